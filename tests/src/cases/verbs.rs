//! The smaller verbs and flags.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::output::lines;
use crate::harness::process::directory;

cases! {
    Full replace,
    Full replace_keeps_what_others_need,
    Full exists,
    Core init_then_attached_start,
    Full init_then_cleanup,
    Core pause_and_unpause_all,
    Full paused_ones_refuse,
    Full signals_by_all_their_names,
    Full signals_that_are_none,
    Core willingness_to_be_killed,
    Full willingness_below_our_own,
    Full willingness_that_is_none,
}

fn replace(env: &Env) -> Result<()> {
    // There is none yet: that is fine.
    let first = env.detached("r", &["--replace"], "sleep 1000")?;
    env.ctr(&["container", "exists", "r"])?.prints("")?;
    let second = env.detached("r", &["--replace"], "sleep 1000")?;
    ensure!(first != second && env.ids()? == [second.as_str()]);
    ensure!(env.status("r")? == "running");
    ensure!(env.story(&first)?.ends_with(" remove"));
    // One that rests, one that is over, one that never ran; by `create`, and in the foreground.
    env.ctr(&["pause", "r"])?.prints("r\n")?;
    let third = env.create("r", &["--replace"], &["true"])?;
    ensure!(env.ids()? == [third.as_str()] && env.status("r")? == "created");
    env.run(
        &["--name", "r", "--replace"],
        &["sh", "-c", "echo new; exit 4"],
    )?
    .prints_with(4, "new\n")?;
    ensure!(env.ids()?.is_empty(), "and that one was to go by itself");
    env.run(&["--replace"], &["true"])?
        .refused(125, &["--replace", "--name"])
}

/// A new one that cannot be created costs nobody the old one.
fn replace_keeps_what_others_need(env: &Env) -> Result<()> {
    let old = env.detached("r", &[], "sleep 1000")?;
    let rootfs = env.rootfs();
    let words = ["run", "--name", "r", "--replace", "--rootfs", &rootfs];
    for wrong in [
        &["--network", "bridge", "true"][..],
        &["-v", "/no/such/place:/x", "true"],
        &[],
    ] {
        let output = env.ctr(&[&words[..], wrong].concat())?;
        output.refused(125, &[])?;
        ensure!(env.ids()? == [old.as_str()], "{output}");
        ensure!(env.status("r")? == "running", "{output}");
    }
    env.detached("guest", &["--pid", "container:r"], "sleep 1000")?;
    let output = env.ctr(&[&words[..], &["true"]].concat())?;
    output.refused(125, &["r", "guest"])?;
    ensure!(env.status("r")? == "running" && env.status("guest")? == "running");
    env.remove("guest")?;
    env.remove("r")
}

fn exists(env: &Env) -> Result<()> {
    let id = env.create("there", &[], &["true"])?;
    for name in ["there", "/there", &id, &id[..8]] {
        env.ctr(&["container", "exists", name])?.prints("")?;
    }
    for name in ["nosuch", "ther", "thereabouts"] {
        env.ctr(&["container", "exists", name])?
            .prints_with(1, "")?;
    }
    env.remove("there")?;
    env.ctr(&["container", "exists", "there"])?
        .prints_with(1, "")
}

fn init_then_attached_start(env: &Env) -> Result<()> {
    env.create(
        "i",
        &[],
        &["sh", "-c", "echo first; echo second >&2; exit 9"],
    )?;
    env.ctr(&["init", "i"])?.prints("i\n")?;
    ensure!(env.status("i")? == "initialized");
    env.check_story("i", "create init")?;
    // The container is there, its program is not.
    let pid = env.state_number("i", "Pid")?;
    ensure!(pid > 1 && directory(pid).exists());
    env.ctr(&["logs", "i"])?.prints("")?;
    env.ctr(&["init", "i"])?
        .refused(125, &["i", "initialized"])?;
    let output = env.ctr(&["start", "-a", "i"])?;
    ensure!(
        output.code == 9 && output.out() == "first\n" && output.err() == "second\n",
        "{output}"
    );
    env.wait_for_cleanup("i")?;
    ensure!(env.generation("i")? == 1);
    env.check_story("i", "create init start attach died cleanup")?;
    env.remove("i")
}

fn init_then_cleanup(env: &Env) -> Result<()> {
    env.create("i", &[], &["sleep", "1000"])?;
    env.ctr(&["init", "i"])?.prints("i\n")?;
    let process = env.first_process("i")?;
    env.ctr(&["container", "cleanup", "i"])?.prints("i\n")?;
    ensure!(process.ends_within(crate::harness::wait::PATIENCE)?);
    ensure!(env.status("i")? == "created");
    env.ctr(&["init", "i"])?.prints("i\n")?;
    env.ctr(&["rm", "i"])?.prints("i\n")
}

fn pause_and_unpause_all(env: &Env) -> Result<()> {
    let script = "while :; do echo x >> /out/$(hostname); sleep 0.01; done";
    let (out, volume) = env.out()?;
    let mut ids = Vec::new();
    for name in ["one", "two"] {
        ids.push(env.detached(name, &["-h", name, "-v", &volume], script)?);
    }
    env.create("new", &[], &["true"])?;
    let size = |name: &str| fs::metadata(out.join(name)).map_or(0, |file| file.len());
    let grows = |name: &'static str| {
        let before = size(name);
        crate::harness::wait::until("the program to go on", || {
            Ok((size(name) > before).then_some(()))
        })
    };
    grows("one")?;
    grows("two")?;
    env.ctr(&["pause", "--all"])?.prints(&lines(&ids))?;
    for name in ["one", "two"] {
        ensure!(env.status(name)? == "paused", "{name}");
        // While it stands still, not a byte: others do a lot meanwhile.
        let before = size(name);
        for _ in 0..3 {
            env.run(&[], &["true"])?.prints("")?;
        }
        ensure!(size(name) == before, "{name} goes on");
    }
    ensure!(env.status("new")? == "created");
    env.ctr(&["pause", "--all"])?.prints("")?;
    env.ctr(&["unpause", "--all"])?.prints(&lines(&ids))?;
    grows("one")?;
    grows("two")?;
    env.ctr(&["unpause", "--all"])?.prints("")?;
    for name in ["one", "two"] {
        env.check_story(name, "create init start pause unpause")?;
    }
    env.ctr(&["rm", "-fa"])?.ok()?;
    Ok(())
}

fn paused_ones_refuse(env: &Env) -> Result<()> {
    env.detached("p", &[], "sleep 1000")?;
    env.ctr(&["unpause", "p"])?
        .refused(125, &["p", "running"])?;
    env.ctr(&["pause", "p"])?.prints("p\n")?;
    for verb in ["pause", "stop", "start", "init", "restart", "attach"] {
        env.ctr(&[verb, "p"])?
            .refused(125, &["p", "paused"])
            .with_context(|| verb.to_owned())?;
    }
    env.ctr(&["rm", "p"])?.refused(2, &["p", "paused"])?;
    ensure!(env.status("p")? == "paused");
    // A signal waits, but the one that nobody can wait with.
    env.ctr(&["kill", "-s", "USR1", "p"])?.prints("p\n")?;
    ensure!(env.status("p")? == "paused");
    env.ctr(&["kill", "p"])?.prints("p\n")?;
    env.ctr(&["wait", "p"])?.prints("137\n")?;
    env.wait_for_cleanup("p")?;
    env.ctr(&["rm", "p"])?.prints("p\n")
}

fn signals_by_all_their_names(env: &Env) -> Result<()> {
    let script = "for s in 1 10 35 63; do trap \"echo got $s\" $s; done; echo ready; \
        while :; do sleep 0.02; done";
    env.detached("k", &[], script)?;
    env.wait_for_log("k", "ready")?;
    let typed = [
        ("HUP", 1),
        ("sighup", 1),
        ("USR1", 10),
        ("10", 10),
        ("RTMIN+1", 35),
        ("SIGRTMIN+1", 35),
        ("35", 35),
        ("rtmax-1", 63),
    ];
    for (number, (signal, _)) in typed.iter().enumerate() {
        env.ctr(&["kill", "-s", signal, "k"])?.prints("k\n")?;
        let got = typed[..=number].iter();
        let got = lines(got.map(|(_, number)| format!("got {number}")));
        env.wait_for_log("k", &format!("ready\n{got}"))
            .with_context(|| format!("after {signal}"))?;
    }
    let events = env.events_of("k")?;
    let sent: Vec<&str> = events
        .iter()
        .filter(|event| event["Status"] == "kill")
        .filter_map(|event| event["Attributes"]["signal"].as_str())
        .collect();
    ensure!(
        sent == ["1", "1", "10", "10", "35", "35", "35", "63"],
        "{sent:?}"
    );
    env.remove("k")
}

fn signals_that_are_none(env: &Env) -> Result<()> {
    env.detached("k", &[], "sleep 1000")?;
    for wrong in [
        "RTMIN+31", "RTMIN-1", "RTMAX+1", "RTMIN+", "SIG", "+1", "1.0",
    ] {
        env.ctr(&["kill", "-s", wrong, "k"])?
            .refused(125, &["--signal"])
            .with_context(|| wrong.to_owned())?;
    }
    env.remove("k")
}

/// What the kernel says of the first process.
fn score(env: &Env, name: &str) -> Result<i32> {
    let pid = env.state_number(name, "Pid")?;
    let text = fs::read_to_string(directory(pid).join("oom_score_adj"))?;
    Ok(text.trim().parse()?)
}

fn willingness_to_be_killed(env: &Env) -> Result<()> {
    let own: i32 = fs::read_to_string("/proc/self/oom_score_adj")?
        .trim()
        .parse()?;
    env.detached("usual", &[], "sleep 1000")?;
    ensure!(score(env, "usual")? == own);
    env.detached("more", &["--oom-score-adj", "500"], "sleep 1000")?;
    ensure!(score(env, "more")? == 500);
    let value = env.inspect("more")?;
    ensure!(value["HostConfig"]["OomScoreAdj"] == 500, "{value}");
    // Its children too, and its monitor not.
    let monitor = env.state_number("more", "ConmonPid")?;
    let text = fs::read_to_string(directory(monitor).join("oom_score_adj"))?;
    ensure!(text.trim() != "500", "{text}");
    env.ctr(&["restart", "more"])?.prints("more\n")?;
    ensure!(score(env, "more")? == 500);
    env.ctr(&["rm", "-fa"])?.ok()?;
    Ok(())
}

/// Whether this process has `CAP_SYS_RESOURCE`.
fn may_lower() -> Result<bool> {
    const CAP_SYS_RESOURCE: u32 = 24;
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = u64::from_str_radix(line.context("CapEff")?.trim(), 16)?;
    Ok(bits >> CAP_SYS_RESOURCE & 1 == 1)
}

fn willingness_below_our_own(env: &Env) -> Result<()> {
    let flags = ["--oom-score-adj", "-500", "--stop-timeout", "0"];
    env.create("less", &flags, &["sleep", "1000"])?;
    if may_lower()? {
        env.ctr(&["start", "less"])?.prints("less\n")?;
        ensure!(score(env, "less")? == -500);
        return env.remove("less");
    }
    let output = env.ctr(&["start", "less"])?;
    output.refused(125, &["oom score", "-500", "CAP_SYS_RESOURCE"])?;
    ensure!(env.status("less")? == "created");
    env.ctr(&["rm", "less"])?.prints("less\n")
}

fn willingness_that_is_none(env: &Env) -> Result<()> {
    for wrong in ["1001", "-1001", "x", "1.5", ""] {
        env.run(&[&format!("--oom-score-adj={wrong}")], &["true"])?
            .refused(125, &["--oom-score-adj", wrong])?;
    }
    env.run(
        &["--oom-score-adj", "1000"],
        &["cat", "/proc/self/oom_score_adj"],
    )?
    .prints("1000\n")
}
