//! Containers that need others: order, conditions, namespaces of another one, and what may be removed.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::output::lines;
use crate::harness::process::directory;
use crate::harness::tree::write;

cases! {
    Full a_chain_starts_in_order,
    Full a_chain_that_breaks,
    Full one_that_must_have_ended_well,
    Full one_that_has_ended_badly,
    Full one_that_is_waited_for,
    Core namespaces_are_joined,
    Full all_namespaces_are_joined,
    Full memory_and_host_name_are_shared,
    Core processes_end_with_their_namespace,
    Full removal_names_those_who_need_it,
    Full removal_of_all_in_their_order,
    Full each_is_named_once,
    Full restart_does_not_start_others,
    Full wrong_words_are_refused,
}

/// What lets a container end at once when it is stopped.
const QUICK: [&str; 2] = ["--stop-timeout", "0"];

/// Creates a container that runs for long and needs another one in this way.
fn needing(env: &Env, name: &str, flags: &[&str]) -> Result<String> {
    env.create(name, &[&QUICK[..], flags].concat(), &["sleep", "1000"])
}

/// `base`, `mid` that needs it, `top` that needs that; their ids.
fn chain(env: &Env) -> Result<[String; 3]> {
    Ok([
        needing(env, "base", &[])?,
        needing(env, "mid", &["--requires", "base"])?,
        needing(env, "top", &["--requires", "mid:started"])?,
    ])
}

fn remove_chain(env: &Env) -> Result<()> {
    ["top", "mid", "base"]
        .iter()
        .try_for_each(|name| env.remove(name))
}

/// Who was started, in this order.
fn started(env: &Env) -> Result<Vec<String>> {
    let words = [
        "events",
        "--no-stream",
        "--format",
        "json",
        "-f",
        "event=start",
    ];
    let text = env.ctr(&words)?.ok()?;
    let name = |line| {
        let event: Value = serde_json::from_str(line)?;
        Ok(event["Name"].as_str().unwrap_or_default().to_owned())
    };
    text.lines().map(name).collect()
}

fn a_chain_starts_in_order(env: &Env) -> Result<()> {
    let [base, mid, _] = chain(env)?;
    ensure!(started(env)?.is_empty(), "creation starts nothing");
    env.ctr(&["start", "top"])?.prints("top\n")?;
    ensure!(started(env)? == ["base", "mid", "top"]);
    for (name, reason) in [
        ("base", "dependency"),
        ("mid", "dependency"),
        ("top", "user"),
    ] {
        ensure!(env.status(name)? == "running");
        let run = env.past_runs(name)?.swap_remove(0);
        ensure!(run["StartReason"] == reason, "{name}: {run}");
    }
    ensure!(env.inspect("mid")?["Dependencies"] == Value::from(vec![base]));
    ensure!(env.inspect("top")?["Dependencies"] == Value::from(vec![mid]));
    // What runs already is left alone, what does not is started.
    env.ctr(&["stop", "top", "base"])?.prints("top\nbase\n")?;
    ensure!(env.status("mid")? == "running");
    env.ctr(&["start", "top"])?.prints("top\n")?;
    ensure!(started(env)?[3..] == ["base", "top"]);
    ensure!(env.generation("mid")? == 1);
    remove_chain(env)
}

/// One in the middle that cannot be started: nothing after it is.
fn a_chain_that_breaks(env: &Env) -> Result<()> {
    needing(env, "base", &[])?;
    env.create("mid", &["--requires", "base"], &["/no/such/program"])?;
    needing(env, "top", &["--requires", "mid"])?;
    let output = env.ctr(&["start", "top"])?;
    ensure!(output.code != 0 && output.stdout.is_empty(), "{output}");
    output.one_error(&["top", "mid", "/no/such/program"])?;
    ensure!(env.status("top")? == "created" && env.generation("top")? == 0);
    ensure!(env.status("base")? == "running", "what was started goes on");
    remove_chain(env)
}

fn one_that_must_have_ended_well(env: &Env) -> Result<()> {
    env.create("job", &[], &["sh", "-c", "exit 0"])?;
    // It is started for the first one, and has ended for the second.
    for _ in 0..2 {
        env.run(&["--requires", "job:exited-ok"], &["echo", "hi"])?
            .prints("hi\n")?;
    }
    env.wait_for_cleanup("job")?;
    ensure!(env.generation("job")? == 1);
    let run = env.past_runs("job")?.swap_remove(0);
    ensure!(run["StartReason"] == "dependency", "{run}");
    env.ctr(&["rm", "job"])?.prints("job\n")
}

fn one_that_has_ended_badly(env: &Env) -> Result<()> {
    env.create("job", &[], &["sh", "-c", "exit 3"])?;
    let output = env.run(&["--requires", "job:exited-ok"], &["echo", "hi"])?;
    output.refused(125, &["job", "code 0", "3"])?;
    ensure!(env.ids()?.len() == 1, "nothing was created");
    // The same for one that is there: it stays as it is, and can be started once the job has done well.
    let (out, volume) = env.out()?;
    let script = "test -e /out/well";
    env.create("again", &["-v", &volume], &["sh", "-c", script])?;
    needing(env, "after", &["--requires", "again:exited-ok"])?;
    env.ctr(&["start", "after"])?
        .refused(125, &["after", "again", "code 0", "1"])?;
    ensure!(env.status("after")? == "created");
    write(&out.join("well"), "")?;
    env.ctr(&["start", "after"])?.prints("after\n")?;
    ensure!(env.status("after")? == "running");
    for name in ["after", "again", "job"] {
        env.remove(name)?;
    }
    Ok(())
}

fn one_that_is_waited_for(env: &Env) -> Result<()> {
    let (out, volume) = env.out()?;
    let script = "echo ready; until test -e /out/go; do sleep 0.02; done; echo done > /out/result";
    env.create("job", &["-v", &volume], &["sh", "-c", script])?;
    let flags = ["--requires", "job:exited-ok", "-v", &volume];
    let running = env.start_run(&flags, &["cat", "/out/result"])?;
    env.wait_for_log("job", "ready")?;
    ensure!(env.ids()?.len() == 1, "it was created before its time");
    write(&out.join("go"), "")?;
    running.finish()?.prints("done\n")?;
    env.remove("job")
}

/// The flags that join a namespace, and the kernel's names of what they join.
const KINDS: [(&str, &str); 4] = [
    ("--network", "net"),
    ("--pid", "pid"),
    ("--ipc", "ipc"),
    ("--uts", "uts"),
];

/// The namespace of the container's first process.
fn namespace(env: &Env, name: &str, kind: &str) -> Result<PathBuf> {
    let pid = env.state_number(name, "Pid")?;
    let link = directory(pid).join("ns").join(kind);
    fs::read_link(&link).with_context(|| format!("read {}", link.display()))
}

fn namespaces_are_joined(env: &Env) -> Result<()> {
    let id = env.detached("owner", &["-h", "boss"], "sleep 1000")?;
    for (flag, kind) in KINDS {
        env.detached("guest", &[flag, "container:owner"], "sleep 1000")?;
        for (_, other) in KINDS {
            let same = namespace(env, "guest", other)? == namespace(env, "owner", other)?;
            ensure!(
                same == (other == kind),
                "{flag}: {other} is the same: {same}"
            );
        }
        ensure!(namespace(env, "guest", "mnt")? != namespace(env, "owner", "mnt")?);
        let value = env.inspect("guest")?;
        ensure!(value["Dependencies"] == Value::from(vec![id.clone()]));
        env.ctr(&["rm", "owner"])?
            .refused(125, &["owner", "guest"])?;
        env.remove("guest")?;
    }
    env.remove("owner")
}

/// By id, and all at once; the one that they belong to is started first.
fn all_namespaces_are_joined(env: &Env) -> Result<()> {
    let id = env.create("owner", &QUICK, &["sleep", "1000"])?;
    let joined = format!("container:{}", &id[..12]);
    let flags = [
        "--network",
        &joined,
        "--pid",
        &joined,
        "--ipc",
        &joined,
        "--uts",
        &joined,
    ];
    env.detached("guest", &flags, "sleep 1000")?;
    ensure!(env.status("owner")? == "running");
    for (_, kind) in KINDS {
        ensure!(namespace(env, "guest", kind)? == namespace(env, "owner", kind)?);
    }
    env.remove("guest")?;
    env.remove("owner")
}

fn memory_and_host_name_are_shared(env: &Env) -> Result<()> {
    let script = "echo hello > /dev/shm/word; echo ready; sleep 1000";
    env.detached("owner", &["-h", "boss"], script)?;
    env.wait_for_log("owner", "ready")?;
    env.run(&["--ipc", "container:owner"], &["cat", "/dev/shm/word"])?
        .prints("hello\n")?;
    env.run(
        &["--ipc", "container:owner"],
        &["sh", "-c", "echo back > /dev/shm/word"],
    )?
    .prints("")?;
    let pid = env.state_number("owner", "Pid")?;
    let word = fs::read_to_string(directory(pid).join("root/dev/shm/word"))?;
    ensure!(word == "back\n", "{word:?}");
    env.run(&[], &["ls", "/dev/shm"])?.prints("")?;

    env.run(&["--uts", "container:owner"], &["hostname"])?
        .prints("boss\n")?;
    let script = "echo $$; ps -o pid,args | grep -c '[s]leep 1000'";
    let output = env
        .run(&["--pid", "container:owner"], &["sh", "-c", script])?
        .ok()?;
    let [own, seen] = output.lines().collect::<Vec<_>>()[..] else {
        anyhow::bail!("{output:?}");
    };
    ensure!(own != "1" && seen != "0", "{output:?}");
    env.remove("owner")
}

/// The first process of a namespace of processes takes all of them along, those of other containers too.
fn processes_end_with_their_namespace(env: &Env) -> Result<()> {
    env.detached("owner", &[], "sleep 1000")?;
    env.detached("pids", &["--pid", "container:owner"], "sleep 1000")?;
    env.detached("net", &["--network", "container:owner"], "sleep 1000")?;
    let waiting = env.call(&["wait", "pids"]).spawn()?;
    env.ctr(&["stop", "owner"])?.prints("owner\n")?;
    waiting.finish()?.prints("137\n")?;
    env.wait_for_cleanup("pids")?;
    let run = env.past_runs("pids")?.swap_remove(0);
    ensure!(
        run["Cause"]["kind"] == "signaled" && run["StopReason"].is_null(),
        "{run}"
    );
    ensure!(
        env.status("net")? == "running",
        "only the processes were the owner's"
    );
    env.ctr(&["start", "pids"])?.prints("pids\n")?;
    ensure!(namespace(env, "pids", "pid")? == namespace(env, "owner", "pid")?);
    for name in ["pids", "net", "owner"] {
        env.remove(name)?;
    }
    Ok(())
}

fn removal_names_those_who_need_it(env: &Env) -> Result<()> {
    let [_, mid, top] = chain(env)?;
    for words in [&["rm", "base"][..], &["rm", "-f", "base"]] {
        env.ctr(words)?
            .refused(125, &["base", "mid, top", "--depend"])?;
    }
    env.ctr(&["start", "top"])?.prints("top\n")?;
    env.ctr(&["rm", "-f", "mid"])?
        .refused(125, &["mid", "top"])?;
    for name in ["base", "mid", "top"] {
        ensure!(env.status(name)? == "running", "{name}");
    }
    let output = env.ctr(&["rm", "--depend", "base"])?;
    ensure!(output.code != 0, "they run: {output}");
    env.ctr(&["rm", "-f", "--depend", "base"])?
        .prints(&format!("{top}\n{mid}\nbase\n"))?;
    ensure!(env.ids()?.is_empty());
    // Once nobody needs it any more it goes as any other.
    chain(env)?;
    env.ctr(&["rm", "top", "mid", "base"])?
        .prints("top\nmid\nbase\n")
}

fn removal_of_all_in_their_order(env: &Env) -> Result<()> {
    chain(env)?;
    env.ctr(&["start", "top"])?.prints("top\n")?;
    env.ctr(&["rm", "-fa"])?.ok()?;
    ensure!(env.ids()?.is_empty());
    let words = [
        "events",
        "--no-stream",
        "--format",
        "json",
        "-f",
        "event=remove",
    ];
    let text = env.ctr(&words)?.ok()?;
    let places = ["\"top\"", "\"mid\"", "\"base\""].map(|name| text.find(name));
    ensure!(places.is_sorted() && places[0].is_some(), "{text}");
    Ok(())
}

/// `rm --all` says of each container once that it is gone.
fn each_is_named_once(env: &Env) -> Result<()> {
    let ids = chain(env)?;
    let out = env.ctr(&["rm", "-a"])?.ok()?;
    let mut printed: Vec<&str> = out.lines().collect();
    printed.sort_unstable();
    let mut expected = ids.each_ref().map(String::as_str);
    expected.sort_unstable();
    ensure!(lines(&printed) == lines(expected), "{out}");
    Ok(())
}

fn restart_does_not_start_others(env: &Env) -> Result<()> {
    chain(env)?;
    env.ctr(&["restart", "top"])?
        .refused(125, &["top", "mid"])?;
    ensure!(env.status("top")? == "created" && env.status("base")? == "created");
    env.ctr(&["start", "top"])?.prints("top\n")?;
    env.ctr(&["stop", "mid"])?.prints("mid\n")?;
    env.ctr(&["restart", "top"])?
        .refused(125, &["top", "mid"])?;
    ensure!(env.generation("top")? == 1 && env.status("top")? == "running");
    env.ctr(&["restart", "base"])?.prints("base\n")?;
    ensure!(env.status("mid")? == "exited" && env.generation("base")? == 2);
    remove_chain(env)
}

fn wrong_words_are_refused(env: &Env) -> Result<()> {
    needing(env, "owner", &[])?;
    for (flags, words) in [
        (&["--requires", "nosuch"][..], &["nosuch"][..]),
        (
            &["--requires", "owner:maybe"],
            &["owner:maybe", "started", "exited-ok"],
        ),
        (&["--requires", "owner:"], &["--requires"]),
        (&["--requires", ""], &["--requires"]),
        (&["--network", "container:nosuch"], &["nosuch"]),
        (&["--network", "container:"], &["container:"]),
        (&["--pid", "container:nosuch"], &["nosuch"]),
        (&["--pid", "shared"], &["--pid", "shared", "private"]),
        (&["--ipc", "container:nosuch"], &["nosuch"]),
        (&["--uts", "container:nosuch"], &["nosuch"]),
        (&["--uts", "container:owner", "-h", "x"], &["host"]),
        (&["--uts", "host", "-h", "x"], &["host"]),
        (&["--name", "self", "--requires", "self"], &["self"]),
    ] {
        env.run(flags, &["true"])?
            .refused(125, words)
            .with_context(|| format!("{flags:?}"))?;
    }
    ensure!(env.ids()?.len() == 1 && env.status("owner")? == "created");
    env.remove("owner")
}
