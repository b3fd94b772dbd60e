//! Disks without a free byte: what only reads works, what ends or removes works, what makes something is refused and leaves nothing.

use anyhow::{Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::small_disk::SmallDisk;
use crate::harness::wait;

cases! {
    Core on_a_full_root_all_can_be_read_and_ended,
    Full a_run_that_ends_on_a_full_disk_is_recorded,
    Full a_container_that_writes_on_a_full_disk_goes_on,
    Full the_reserve_is_used_up_and_ending_still_works,
    Full a_root_without_a_free_file,
    Core on_a_full_run_root_all_can_be_read_and_ended,
    Full a_first_call_on_a_full_disk,
}

/// Creates containers for as long as the database has pages for them, large ones first, and checks that one that is refused leaves
/// nothing. Gives their names.
fn exhaust(env: &Env, disk: &SmallDisk) -> Result<Vec<String>> {
    let rootfs = env.rootfs();
    let mut made = Vec::new();
    for size in [20_000, 3_000, 1] {
        let label = format!("l={}", "x".repeat(size));
        loop {
            let name = format!("n{}", made.len());
            let before = disk.names("containers")?;
            let output = env.ctr(&[
                "create", "--name", &name, "--label", &label, "--rootfs", &rootfs, "true",
            ])?;
            if output.code != 0 {
                output.refused(125, &["full", &env.root().to_string_lossy()])?;
                ensure!(disk.names("containers")? == before, "{output}");
                break;
            }
            made.push(name);
            ensure!(made.len() < 500, "creations on a full disk have no end");
        }
    }
    Ok(made)
}

/// Removes what [`exhaust`] has made.
fn remove_all(env: &Env, made: &[String]) -> Result<()> {
    let mut words = vec!["rm"];
    words.extend(made.iter().map(String::as_str));
    if !made.is_empty() {
        env.ctr(&words)?.ok()?;
    }
    Ok(())
}

fn read_all(env: &Env, name: &str) -> Result<()> {
    for words in [
        &["ps", "-a"][..],
        &["ps", "-a", "--format", "json"],
        &["inspect", name],
        &["logs", name],
        &["container", "history", name],
        &["events", "--stream=false"],
        &["info"],
        &["container", "exists", name],
        &["system", "export"],
    ] {
        env.ctr(words)?.ok()?;
    }
    Ok(())
}

fn on_a_full_root_all_can_be_read_and_ended(env: &Env) -> Result<()> {
    let disk = SmallDisk::make(env, env.root(), "size=6m")?;
    env.detached("a", &[], "echo said; sleep 1000")?;
    env.detached("b", &[], "sleep 1000")?;
    env.detached("p", &[], "sleep 1000")?;
    env.detached("k", &[], "exec sleep 1000")?;
    env.create("c", &[], &["true"])?;
    env.wait_for_log("a", "said\n")?;
    disk.fill()?;
    let made = exhaust(env, &disk)?;
    // Their events take from what is set aside.
    for _ in 0..40 {
        env.ctr(&["pause", "p"])?.prints("p\n")?;
        env.ctr(&["unpause", "p"])?.prints("p\n")?;
    }
    read_all(env, "a")?;
    let rootfs = env.rootfs();
    let (containers, ids) = (disk.names("containers")?, env.ids()?);
    for words in [
        &["create", "--rootfs", &rootfs, "true"][..],
        &["run", "--rm", "--rootfs", &rootfs, "true"],
        &["run", "-d", "--rootfs", &rootfs, "true"],
        &["start", "c"],
        &["rename", "c", "d"],
    ] {
        env.ctr(words)?
            .refused(125, &["full", &env.root().to_string_lossy()])?;
    }
    ensure!(disk.names("containers")? == containers && env.ids()? == ids);
    ensure!(env.status("c")? == "created");
    env.ctr(&["exec", "a", "echo", "in"])?.prints("in\n")?;
    env.ctr(&["kill", "k"])?.prints("k\n")?;
    env.ctr(&["wait", "k"])?.prints("137\n")?;
    env.ctr(&["stop", "b"])?.prints("b\n")?;
    ensure!(env.status("b")? == "exited");
    env.ctr(&["rm", "-f", "a"])?.prints("a\n")?;
    for name in ["b", "c", "k", "p"] {
        env.remove(name)?;
    }
    remove_all(env, &made)?;
    ensure!(disk.names("containers")?.is_empty() && env.ids()?.is_empty());
    disk.free()?;
    env.run(&[], &["echo", "again"])?.prints("again\n")
}

fn a_run_that_ends_on_a_full_disk_is_recorded(env: &Env) -> Result<()> {
    let disk = SmallDisk::make(env, env.root(), "size=6m")?;
    let (out, volume) = env.out()?;
    let script = "while [ ! -e /out/go ]; do sleep 0.05; done; exit 7";
    let id = env.detached("a", &["-v", &volume], script)?;
    env.detached("r", &["-v", &volume, "--rm"], script)?;
    disk.fill()?;
    exhaust(env, &disk)?;
    crate::harness::tree::write(&out.join("go"), "")?;
    env.ctr(&["wait", "a"])?.prints("7\n")?;
    env.wait_for_cleanup("a")?;
    wait::until("the one that goes with its run to be gone", || {
        Ok((env.ctr(&["container", "exists", "r"])?.code == 1).then_some(()))
    })?;
    ensure!(env.state_number("a", "ExitCode")? == 7);
    let runs = env.past_runs(&id)?;
    ensure!(runs.len() == 1 && runs[0]["ExitCode"] == 7, "{runs:?}");
    env.ctr(&["rm", "-a"])?.ok()?;
    ensure!(disk.names("containers")?.is_empty());
    Ok(())
}

fn a_container_that_writes_on_a_full_disk_goes_on(env: &Env) -> Result<()> {
    let disk = SmallDisk::make(env, env.root(), "size=6m")?;
    let (out, volume) = env.out()?;
    let script = "while [ ! -e /out/go ]; do sleep 0.05; done; yes 123456789 | head -c 3000000; \
                  touch /out/done; sleep 1000";
    env.detached("w", &["-v", &volume], script)?;
    disk.fill()?;
    crate::harness::tree::write(&out.join("go"), "")?;
    wait::until("the container to have written all", || {
        Ok(out.join("done").exists().then_some(()))
    })?;
    env.ctr(&["logs", "--tail", "1", "w"])?;
    env.ctr(&["stop", "w"])?.prints("w\n")?;
    env.remove("w")?;
    ensure!(disk.names("containers")?.is_empty());
    Ok(())
}

fn the_reserve_is_used_up_and_ending_still_works(env: &Env) -> Result<()> {
    let disk = SmallDisk::make(env, env.root(), "size=6m")?;
    // An event has the name of its container: these are large.
    let names: Vec<String> = (0..6).map(|n| format!("{n}{}", "x".repeat(60))).collect();
    let with = |verb: &'static str| -> Vec<&str> {
        std::iter::once(verb)
            .chain(names.iter().map(String::as_str))
            .collect()
    };
    for name in &names {
        env.detached(name, &[], "sleep 1000")?;
    }
    disk.fill()?;
    let made = exhaust(env, &disk)?;
    let events = || -> Result<Vec<String>> {
        let text = env.ctr(&["events", "--stream=false"])?.ok()?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    let first = events()?.into_iter().next();
    // Each of them is an event, and nothing gives any room back.
    for _ in 0..env.scale.pick(150, 1000) {
        env.ctr(&with("pause"))?.ok()?;
        env.ctr(&with("unpause"))?.ok()?;
    }
    let left = events()?;
    ensure!(
        left.first() != first.as_ref(),
        "the oldest events are still there: {} of them",
        left.len()
    );
    ensure!(left.last().is_some_and(|line| line.contains("unpause")));
    env.ctr(&with("stop"))?.ok()?;
    env.ctr(&with("rm"))?.ok()?;
    remove_all(env, &made)?;
    ensure!(env.ids()?.is_empty() && disk.names("containers")?.is_empty());
    Ok(())
}

fn a_root_without_a_free_file(env: &Env) -> Result<()> {
    let disk = SmallDisk::make(env, env.root(), "size=20m,nr_inodes=40")?;
    env.detached("a", &[], "sleep 1000")?;
    let filler = |number: usize| disk.path(&format!("file-{number}"));
    let mut files = 0;
    while crate::harness::tree::write(&filler(files), "").is_ok() {
        files += 1;
        ensure!(files < 100, "files without a bound");
    }
    let rootfs = env.rootfs();
    let containers = disk.names("containers")?;
    for words in [
        &["create", "--rootfs", &rootfs, "true"][..],
        &["run", "--rm", "--rootfs", &rootfs, "true"],
    ] {
        env.ctr(words)?
            .refused(125, &["no space left", &env.root().to_string_lossy()])?;
    }
    ensure!(disk.names("containers")? == containers && env.ids()?.len() == 1);
    read_all(env, "a")?;
    env.ctr(&["stop", "a"])?.prints("a\n")?;
    env.ctr(&["rm", "a"])?.prints("a\n")?;
    for number in 0..files {
        std::fs::remove_file(filler(number))?;
    }
    env.run(&[], &["true"])?.prints("")
}

fn on_a_full_run_root_all_can_be_read_and_ended(env: &Env) -> Result<()> {
    let disk = SmallDisk::make(env, env.runroot(), "size=4m")?;
    let (out, volume) = env.out()?;
    env.detached("a", &[], "echo said; sleep 1000")?;
    let script = "while [ ! -e /out/go ]; do sleep 0.05; done; exit 7";
    env.detached("e", &["-v", &volume], script)?;
    env.create("c", &[], &["true"])?;
    env.wait_for_log("a", "said\n")?;
    disk.fill()?;
    read_all(env, "a")?;
    let rootfs = env.rootfs();
    let (runs, ids) = (disk.names("run")?, env.ids()?);
    for words in [
        &["run", "--rm", "--rootfs", &rootfs, "true"][..],
        &["start", "c"],
        &["exec", "a", "true"],
    ] {
        env.ctr(words)?
            .refused(125, &["no space left", &env.runroot().to_string_lossy()])?;
    }
    ensure!(env.ids()? == ids && env.status("c")? == "created");
    let left = disk.names("run")?;
    ensure!(left == runs, "{left:?} instead of {runs:?}");
    crate::harness::tree::write(&out.join("go"), "")?;
    env.ctr(&["wait", "e"])?.prints("7\n")?;
    env.wait_for_cleanup("e")?;
    env.ctr(&["stop", "a"])?.prints("a\n")?;
    for name in ["a", "c", "e"] {
        env.ctr(&["rm", name])?.prints(&format!("{name}\n"))?;
    }
    ensure!(disk.names("run")?.is_empty() && env.ids()?.is_empty());
    disk.free()?;
    env.run(&[], &["echo", "again"])?.prints("again\n")
}

fn a_first_call_on_a_full_disk(env: &Env) -> Result<()> {
    let disk = SmallDisk::make(env, env.root(), "size=1m")?;
    disk.fill()?;
    let rootfs = env.rootfs();
    let root = env.root().to_string_lossy().into_owned();
    for _ in 0..2 {
        env.ctr(&["run", "--rm", "--rootfs", &rootfs, "true"])?
            .refused(125, &["full", &root])?;
    }
    disk.free()?;
    drop(disk);
    let disk = SmallDisk::make(env, env.root(), "size=6m")?;
    env.run(&[], &["true"])?.prints("")?;
    disk.fill()?;
    let made = exhaust(env, &disk)?;
    remove_all(env, &made)
}
