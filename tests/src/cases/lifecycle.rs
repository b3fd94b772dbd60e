//! A container from create to rm, step by step, and one that runs while others look at it.

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::output::lines;
use crate::harness::wait;

cases! {
    Core create_start_wait_logs_rm,
    Core detached_loop,
    Full verbs_that_find_nothing_to_do,
    Full several_containers_at_once,
    Full targets_as_typed,
    Full wait_before_the_end,
    Full removal_has_rules,
    Full never_started,
    Full detached_and_removed_by_itself,
    Full log_has_both_streams,
}

fn create_start_wait_logs_rm(env: &Env) -> Result<()> {
    let script = "echo out; echo err >&2; exit 4";
    let id = env.create("c", &[], &["sh", "-c", script])?;
    ensure!(env.status("c")? == "created");
    ensure!(env.ids()? == [id.as_str()]);
    env.ctr(&["ps", "-q"])?.prints("")?;
    env.ctr(&["logs", "c"])?.prints("")?;

    for runs in 1..=2 {
        env.ctr(&["start", "c"])?.prints("c\n")?;
        env.ctr(&["wait", "c"])?.prints("4\n")?;
        env.wait_for_cleanup("c")?;
        let state = &env.inspect("c")?["State"];
        ensure!(
            state["ExitCode"] == 4 && state["Running"] == false,
            "{state}"
        );
        ensure!(state["Pid"] == 0, "{state}");
        let log = env.ctr(&["logs", "c"])?;
        ensure!(log.out() == "out\n".repeat(runs), "{log}");
        ensure!(log.err() == "err\n".repeat(runs), "{log}");
    }
    let list = env.ctr(&["ps", "-a"])?.ok()?;
    ensure!(list.contains("Exited (4)"), "{list}");
    env.ctr(&["rm", "c"])?.prints("c\n")?;
    env.ctr(&["container", "exists", "c"])?.prints_with(1, "")
}

fn detached_loop(env: &Env) -> Result<()> {
    let script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done";
    let id = env.detached("loop", &[], script)?;
    env.wait_for_log("loop", "line 3\n")?;
    ensure!(env.status("loop")? == "running");
    let pid = env.state_number("loop", "Pid")?;
    ensure!(pid > 1 && env.state_number("loop", "ConmonPid")? > 1);
    let list = env.ctr(&["ps"])?.ok()?;
    ensure!(list.contains(&id[..12]) && list.contains("Up "), "{list}");
    ensure!(!list.contains(&id), "the full id is shown: {list}");

    let waiting = env.call(&["wait", "loop"]).spawn()?;
    let first = env.ctr(&["logs", "loop"])?.ok()?;
    let second = wait::until("more lines", || {
        let log = env.ctr(&["logs", "loop"])?.ok()?;
        Ok((log.len() > first.len()).then_some(log))
    })?;
    ensure!(second.starts_with(&first), "the log changed its past");
    for (number, line) in second.lines().enumerate() {
        ensure!(
            line == format!("line {}", number + 1),
            "{line:?} at {number}"
        );
    }
    env.ctr(&["stop", "-t", "0", "loop"])?;
    waiting.finish()?.prints("137\n")?;

    env.ctr(&["wait", "loop"])?.prints("137\n")?;
    env.wait_for_cleanup("loop")?;
    let whole = env.ctr(&["logs", "loop"])?.ok()?;
    ensure!(whole.starts_with(&second), "the log changed its past");
    let list = env.ctr(&["ps", "-a"])?.ok()?;
    ensure!(list.contains("Exited (137)"), "{list}");
    env.ctr(&["rm", "loop"])?.prints("loop\n")
}

fn verbs_that_find_nothing_to_do(env: &Env) -> Result<()> {
    env.create("c", &[], &["true"])?;
    env.ctr(&["stop", "c"])?.prints("c\n")?;
    ensure!(env.status("c")? == "created");
    env.ctr(&["kill", "c"])?.refused(125, &["c"])?;
    env.ctr(&["start", "c"])?.prints("c\n")?;
    env.ctr(&["wait", "c"])?.prints("0\n")?;
    env.ctr(&["stop", "c"])?.prints("c\n")?;
    env.ctr(&["kill", "c"])?.refused(125, &["c"])?;
    for _ in 0..2 {
        env.ctr(&["container", "cleanup", "c"])?.prints("c\n")?;
    }
    env.remove("c")?;

    let id = env.detached("r", &[], "sleep 1000")?;
    env.ctr(&["start", "r"])?.prints("r\n")?;
    env.ctr(&["start", &id])?.prints(&format!("{id}\n"))?;
    env.remove("r")
}

fn several_containers_at_once(env: &Env) -> Result<()> {
    for (name, code) in [("a", "1"), ("b", "2"), ("c", "3")] {
        env.create(name, &[], &["sh", "-c", &format!("exit {code}")])?;
    }
    env.ctr(&["start", "a", "b", "c"])?.prints("a\nb\nc\n")?;
    env.ctr(&["wait", "c", "a", "b"])?.prints("3\n1\n2\n")?;
    env.ctr(&["rm", "a", "b", "c"])?.prints("a\nb\nc\n")
}

/// What a verb prints is what was typed, and a prefix or a leading slash finds the container too.
fn targets_as_typed(env: &Env) -> Result<()> {
    let id = env.create("c", &[], &["true"])?;
    for typed in [&id[..3], &id[..12], "/c", &id] {
        env.ctr(&["stop", typed])?.prints(&format!("{typed}\n"))?;
        ensure!(env.inspect(typed)?["Id"] == id.as_str());
    }
    env.ctr(&["rm", &id[..12]])?
        .prints(&format!("{}\n", &id[..12]))
}

fn wait_before_the_end(env: &Env) -> Result<()> {
    env.detached(
        "w",
        &["-i"],
        "trap 'exit 9' USR1; echo ready; while :; do sleep 0.02; done",
    )?;
    env.wait_for_log("w", "ready")?;
    let waiting = env.call(&["wait", "w"]).spawn()?;
    ensure!(
        !waiting.ends_within(std::time::Duration::from_millis(100))?,
        "wait did not wait"
    );
    env.ctr(&["kill", "-s", "USR1", "w"])?.prints("w\n")?;
    waiting.finish()?.prints("9\n")?;
    env.ctr(&["rm", "w"])?.prints("w\n")
}

fn removal_has_rules(env: &Env) -> Result<()> {
    env.detached("r", &[], "sleep 1000")?;
    env.ctr(&["rm", "r"])?.refused(2, &["r", "running"])?;
    ensure!(env.status("r")? == "running");
    env.ctr(&["rm", "nosuch"])?.refused(1, &["nosuch"])?;
    env.ctr(&["rm", "-f", "nosuch"])?.prints("")?;
    env.ctr(&["rm", "-f", "r"])?.prints("r\n")?;
    env.ctr(&["rm", "-f", "r"])?.prints("")
}

fn never_started(env: &Env) -> Result<()> {
    let id = env.create("n", &[], &["true"])?;
    let list = env.ctr(&["ps", "-a"])?.ok()?;
    ensure!(list.contains("Created"), "{list}");
    let zero = "0001-01-01T00:00:00Z";
    let state = &env.inspect("n")?["State"];
    ensure!(
        state["StartedAt"] == zero && state["FinishedAt"] == zero,
        "{state}"
    );
    env.ctr(&["rm", &id])?.prints(&format!("{id}\n"))
}

fn detached_and_removed_by_itself(env: &Env) -> Result<()> {
    let rootfs = env.rootfs();
    for script in ["exit 3", "sleep 0.2"] {
        let id = env
            .ctr(&["run", "-d", "--rm", "--rootfs", &rootfs, "sh", "-c", script])?
            .id()?;
        wait::until("the container to remove itself", || {
            let exists = env.ctr(&["container", "exists", &id])?;
            Ok((exists.code == 1).then_some(()))
        })?;
    }
    ensure!(env.ids()?.is_empty());
    Ok(())
}

fn log_has_both_streams(env: &Env) -> Result<()> {
    // Lines of both streams, one that is longer than any buffer, and one that never ends.
    let script =
        "seq 1 2000; seq 1 2000 >&2; head -c 100000 /dev/zero | sed 's/./x/g'; echo; printf end";
    env.detached("l", &[], script)?;
    env.ctr(&["wait", "l"])?.prints("0\n")?;
    let numbers = lines(1..=2000);
    let log = env.ctr(&["logs", "l"])?;
    ensure!(log.code == 0, "{log}");
    ensure!(log.err() == numbers, "standard error differs");
    let out = log.out();
    let rest = out
        .strip_prefix(&numbers)
        .context("standard output differs")?;
    ensure!(
        rest.trim_end_matches('\n').ends_with("end"),
        "the last words are missing"
    );
    ensure!(rest.len() >= 100_000, "only {} bytes", rest.len());
    env.remove("l")
}
