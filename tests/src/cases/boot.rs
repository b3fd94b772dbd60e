//! The machine is started anew: no container is believed to have survived it, and `boot` starts what starts then.

use anyhow::{Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::output::lines;
use crate::harness::reboot::RunFiles;
use crate::harness::tree::write;

cases! {
    Core every_status_with_files_kept,
    Core every_status_with_files_gone,
    Full boot_starts_what_starts_then,
    Full boot_without_files_starts_the_same,
    Full runs_that_never_started_are_over,
    Full boot_before_any_reboot,
    Full a_planned_restart_is_dropped,
    Full removed_by_itself,
    Full needed_ones_come_first,
    Full one_that_fails_keeps_no_other,
    Full any_command_takes_it_in,
}

/// A container with what it is before the reboot and after it.
struct Expected {
    name: &'static str,
    before: &'static str,
    after: &'static str,
    /// The exit code; `None`: it has none.
    code: Option<i32>,
}

const fn expected(
    name: &'static str,
    before: &'static str,
    after: &'static str,
    code: Option<i32>,
) -> Expected {
    Expected {
        name,
        before,
        after,
        code,
    }
}

/// Not known, because the power went.
const UNKNOWN: Option<i32> = Some(-1);

const ALL: [Expected; 8] = [
    expected("new", "created", "created", None),
    expected("made", "initialized", "created", None),
    expected("runs", "running", "exited", UNKNOWN),
    expected("rests", "paused", "exited", UNKNOWN),
    expected("ends", "stopping", "exited", UNKNOWN),
    expected("over", "exited", "exited", Some(3)),
    expected("again", "initialized", "exited", None),
    expected("stopped", "exited", "exited", Some(137)),
];

/// Makes one container in each status.
fn populate(env: &Env) -> Result<()> {
    let quick = ["--stop-timeout", "0"];
    env.create("new", &quick, &["sleep", "1000"])?;
    env.create("made", &quick, &["sleep", "1000"])?;
    env.ctr(&["init", "made"])?.prints("made\n")?;
    env.detached("runs", &[], "echo ready; sleep 1000")?;
    env.wait_for_log("runs", "ready")?;
    env.detached("rests", &[], "sleep 1000")?;
    env.ctr(&["pause", "rests"])?.prints("rests\n")?;
    env.detached("ends", &[], "echo ready; sleep 1000")?;
    let stopping = env.call(&["stop", "-t", "-1", "ends"]).spawn()?;
    env.wait_for_status("ends", "stopping")?;
    stopping.signal(Signal::KILL)?;
    stopping.finish()?;
    for name in ["over", "again"] {
        env.detached(
            name,
            &[],
            "test -e /stay && exec sleep 1000; : > /stay; exit 3",
        )?;
        env.wait_for_cleanup(name)?;
    }
    env.ctr(&["init", "again"])?.prints("again\n")?;
    env.detached("stopped", &[], "sleep 1000")?;
    env.ctr(&["stop", "stopped"])?.prints("stopped\n")?;
    for expected in &ALL {
        let status = env.status(expected.name)?;
        ensure!(status == expected.before, "{} is {status}", expected.name);
    }
    Ok(())
}

/// What readers say, before and after somebody has taken the reboot in.
fn check_all(env: &Env) -> Result<()> {
    for expected in &ALL {
        let state = &env.inspect(expected.name)?["State"];
        let name = expected.name;
        ensure!(state["Status"] == expected.after, "{name}: {state}");
        ensure!(
            state["Pid"] == 0 && state["ConmonPid"] == 0 && state["Running"] == false,
            "{name}: {state}"
        );
        if let Some(code) = expected.code {
            ensure!(state["ExitCode"] == code, "{name}: {state}");
        }
        if expected.code == UNKNOWN {
            let reason = state["ExitReason"].as_str().unwrap_or_default();
            ensure!(reason.contains("started anew"), "{name}: {state}");
            let list = env
                .ctr(&["ps", "-a", "-f", &format!("name={name}")])?
                .ok()?;
            ensure!(list.contains("Exited (-1)"), "{list}");
        }
    }
    let list = env.ctr(&["ps", "-a", "--format", "json"])?.ok()?;
    let list: Vec<Value> = serde_json::from_str(&list)?;
    ensure!(list.len() == ALL.len(), "{list:?}");
    env.ctr(&["ps", "-q"])?.prints("")
}

fn every_status(env: &Env, files: RunFiles) -> Result<()> {
    populate(env)?;
    env.reboot(files)?;
    check_all(env)?;
    env.ctr(&["boot"])?.prints("")?;
    check_all(env)?;
    for expected in ALL.iter().filter(|expected| expected.code == UNKNOWN) {
        let runs = env.past_runs(expected.name)?;
        let last = runs.last().cloned().unwrap_or_default();
        ensure!(last["Cause"]["kind"] == "reboot", "{last}");
        ensure!(last["ExitCode"] == -1, "{last}");
    }
    // All go on as if nothing had been.
    for expected in &ALL {
        let name = expected.name;
        env.ctr(&["start", name])?.prints(&format!("{name}\n"))?;
        ensure!(env.status(name)? == "running", "{name}");
        env.remove(name)?;
    }
    Ok(())
}

fn every_status_with_files_kept(env: &Env) -> Result<()> {
    every_status(env, RunFiles::Kept)
}

fn every_status_with_files_gone(env: &Env) -> Result<()> {
    every_status(env, RunFiles::Gone)
}

/// A run that the runtime had made, and whose program was never started, has an end too, and no code that means success.
fn runs_that_never_started_are_over(env: &Env) -> Result<()> {
    env.create("new", &["--stop-timeout", "0"], &["sleep", "1000"])?;
    env.detached(
        "again",
        &[],
        "test -e /stay && exec sleep 1000; : > /stay; exit 3",
    )?;
    env.wait_for_cleanup("again")?;
    env.ctr(&["init", "new", "again"])?.prints("new\nagain\n")?;
    env.reboot(RunFiles::Kept)?;
    env.ctr(&["boot"])?.prints("")?;
    let state = &env.inspect("again")?["State"];
    ensure!(state["ExitCode"] == -1, "{state}");
    env.ctr(&["start", "new", "again"])?
        .prints("new\nagain\n")?;
    for (name, number) in [("new", 0), ("again", 1)] {
        let run = &env.past_runs(name)?[number];
        ensure!(
            !run["Cause"].is_null(),
            "{name}: it goes on for ever: {run}"
        );
        ensure!(
            run["StartedAt"].is_null() && run["ExitCode"] == -1,
            "{name}: {run}"
        );
        env.remove(name)?;
    }
    Ok(())
}

/// Containers of all policies, by name; those that come back are in [`BACK`].
fn policies(env: &Env) -> Result<()> {
    let run = |name: &str, policy: &str| env.detached(name, &["--restart", policy], "sleep 1000");
    for policy in ["no", "on-failure", "always", "unless-stopped"] {
        run(policy, policy)?;
        let stopped = format!("{policy}-stopped");
        run(&stopped, policy)?;
        env.ctr(&["stop", &stopped])?.ok()?;
        let shut = format!("{policy}-service");
        run(&shut, policy)?;
        env.ctr(&["stop", "--service", &shut])?.ok()?;
        let killed = format!("{policy}-killed");
        run(&killed, policy)?;
        env.ctr(&["kill", &killed])?.ok()?;
        env.wait_for_cleanup(&killed)?;
        let rests = format!("{policy}-rests");
        run(&rests, policy)?;
        env.ctr(&["pause", &rests])?.ok()?;
        let flags = ["--restart", policy, "--stop-timeout", "0"];
        env.create(&format!("{policy}-new"), &flags, &["sleep", "1000"])?;
        let made = format!("{policy}-made");
        env.create(&made, &flags, &["sleep", "1000"])?;
        env.ctr(&["init", &made])?.ok()?;
    }
    Ok(())
}

/// In the order of their creation.
const BACK: [&str; 8] = [
    "always",
    "always-stopped",
    "always-service",
    "always-killed",
    "always-rests",
    "unless-stopped",
    "unless-stopped-service",
    "unless-stopped-rests",
];

fn boot_starts(env: &Env, files: RunFiles) -> Result<()> {
    policies(env)?;
    env.reboot(files)?;
    env.ctr(&["boot"])?.prints(&lines(BACK))?;
    let running = env.ctr(&["ps", "--format", "json"])?.ok()?;
    let running: Vec<Value> = serde_json::from_str(&running)?;
    ensure!(running.len() == BACK.len(), "{running:?}");
    for name in BACK {
        ensure!(env.status(name)? == "running", "{name}");
        let runs = env.past_runs(name)?;
        ensure!(
            runs.last().is_some_and(|run| run["StartReason"] == "boot"),
            "{runs:?}"
        );
        ensure!(env.restart_count(name)? == 0, "{name}");
    }
    env.ctr(&["boot"])?.prints("")?;
    // A second reboot finds the same, though nobody has stopped anything in between.
    env.reboot(files)?;
    env.ctr(&["boot"])?.prints(&lines(BACK))?;
    let count = env.ids()?.len();
    let removed = env.ctr(&["rm", "-fa"])?.ok()?;
    ensure!(removed.lines().count() == count, "{removed}");
    Ok(())
}

fn boot_starts_what_starts_then(env: &Env) -> Result<()> {
    boot_starts(env, RunFiles::Kept)
}

fn boot_without_files_starts_the_same(env: &Env) -> Result<()> {
    boot_starts(env, RunFiles::Gone)
}

/// Run in the middle of ordinary work it starts what has been stopped and starts on boot, and leaves what runs alone.
fn boot_before_any_reboot(env: &Env) -> Result<()> {
    env.detached("runs", &["--restart", "always"], "sleep 1000")?;
    env.detached("made", &["--restart", "unless-stopped"], "sleep 1000")?;
    env.ctr(&["stop", "--service", "made"])?.prints("made\n")?;
    let before = env.state_number("runs", "Pid")?;
    env.ctr(&["boot"])?.prints("made\n")?;
    ensure!(env.state_number("runs", "Pid")? == before);
    env.ctr(&["boot"])?.prints("")?;
    env.ctr(&["rm", "-fa"])?.ok()?;
    Ok(())
}

/// What the power cut off in the back-off is decided by the boot, not by what was planned before.
fn a_planned_restart_is_dropped(env: &Env) -> Result<()> {
    let (out, volume) = env.out()?;
    let crash = "test -e /out/stay && exec sleep 1000; exit 3";
    for policy in ["on-failure", "always"] {
        let id = env.detached(policy, &["--restart", policy, "-v", &volume], crash)?;
        env.wait_for_event(&id, "cleanup", 3)?;
    }
    env.reboot(RunFiles::Kept)?;
    for policy in ["on-failure", "always"] {
        ensure!(
            env.inspect(policy)?["State"]["Restarting"] == false,
            "{policy}"
        );
    }
    let list = env.ctr(&["ps", "-a"])?.ok()?;
    ensure!(!list.contains("restart"), "{list}");
    write(&out.join("stay"), "")?;
    env.ctr(&["boot"])?.prints("always\n")?;
    ensure!(env.status("always")? == "running");
    ensure!(env.status("on-failure")? == "exited");
    env.ctr(&["rm", "on-failure"])?.prints("on-failure\n")?;
    env.remove("always")
}

fn removed_by_itself(env: &Env) -> Result<()> {
    for files in [RunFiles::Kept, RunFiles::Gone] {
        let id = env.detached("ran", &["--rm"], "sleep 1000")?;
        env.create("new", &["--rm"], &["true"])?;
        env.reboot(files)?;
        env.ctr(&["boot"])?.prints("")?;
        env.ctr(&["container", "exists", "ran"])?
            .prints_with(1, "")?;
        let last = env.past_runs(&id)?.pop().unwrap_or_default();
        ensure!(last["Cause"]["kind"] == "reboot", "{last}");
        ensure!(env.status("new")? == "created");
        env.ctr(&["rm", "new"])?.prints("new\n")?;
        env.check_leaks_after("a boot")?;
    }
    Ok(())
}

fn needed_ones_come_first(env: &Env) -> Result<()> {
    // The one that is needed has no policy of its own.
    env.detached("base", &[], "sleep 1000")?;
    let flags = ["--restart", "always", "--network", "container:base"];
    env.detached("web", &flags, "sleep 1000")?;
    env.reboot(RunFiles::Kept)?;
    env.ctr(&["boot"])?.prints("web\n")?;
    ensure!(env.status("base")? == "running" && env.status("web")? == "running");
    for name in ["base", "web"] {
        let last = env.past_runs(name)?.pop().unwrap_or_default();
        ensure!(last["StartReason"] == "boot", "{last}");
    }
    env.ctr(&["rm", "-fa"])?.ok()?;
    Ok(())
}

fn one_that_fails_keeps_no_other(env: &Env) -> Result<()> {
    let there = env.path("there");
    crate::harness::tree::directory(&there, 0o755)?;
    let volume = format!("{}:/there", there.display());
    env.detached("bad", &["--restart", "always", "-v", &volume], "sleep 1000")?;
    env.detached("good", &["--restart", "always"], "sleep 1000")?;
    env.reboot(RunFiles::Kept)?;
    std::fs::remove_dir(&there)?;
    let output = env.ctr(&["boot"])?;
    ensure!(output.code != 0 && output.out() == "good\n", "{output}");
    output.one_error(&["bad", "there"])?;
    ensure!(env.status("good")? == "running" && env.status("bad")? == "exited");
    env.ctr(&["rm", "bad"])?.prints("bad\n")?;
    env.remove("good")
}

/// Nobody has to call `boot`.
fn any_command_takes_it_in(env: &Env) -> Result<()> {
    for words in [
        &["start", "r"][..],
        &["restart", "r"],
        &["stop", "r"],
        &["rm", "r"],
    ] {
        let id = env.detached("r", &[], "sleep 1000")?;
        env.reboot(RunFiles::Kept)?;
        env.ctr(words)?.prints("r\n")?;
        let first = env.past_runs(&id)?.swap_remove(0);
        ensure!(first["Cause"]["kind"] == "reboot", "{words:?}: {first}");
        env.ctr(&["rm", "-f", "r"])?.ok()?;
        env.check_leaks_after(&words.join(" "))?;
    }
    Ok(())
}
