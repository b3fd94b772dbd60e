//! `restart`: of containers in every status, of many, and what becomes of one whose command was killed in the middle.

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::tree::write;

cases! {
    Core running_and_exited,
    Full created,
    Full killed_at_once,
    Full warns_when_it_had_to_kill,
    Full running_only,
    Full all_of_them,
    Full wrong_statuses_are_refused,
    Full names_that_do_not_exist,
    Core command_killed_while_it_waits,
    Full command_killed_and_container_stopped,
}

/// Ends when it is asked to, with a code that tells.
const POLITE: &str = "trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done";

fn running_and_exited(env: &Env) -> Result<()> {
    env.detached("r", &["--stop-timeout", "60"], POLITE)?;
    env.wait_for_log("r", "ready\n")?;
    env.ctr(&["restart", "r"])?.prints("r\n")?;
    env.wait_for_log("r", "ready\nready\n")?;
    // Who comes first after the end, the command or the cleanup that the monitor starts, is open.
    let story = env.story("r")?;
    let both = ["stop cleanup", "cleanup stop"];
    ensure!(
        both.iter()
            .any(|both| story == format!("create init start restart died {both} init start")),
        "{story}"
    );
    let runs = env.past_runs("r")?;
    ensure!(runs.len() == 2, "{runs:?}");
    ensure!(
        runs[0]["StopReason"] == "restart" && runs[0]["ExitCode"] == 7,
        "{}",
        runs[0]
    );
    ensure!(runs[1]["StartReason"] == "restart", "{}", runs[1]);
    ensure!(runs[1]["ExitCode"].is_null(), "{}", runs[1]);
    ensure!(env.restart_count("r")? == 0, "only a policy is counted");
    // Stopped by a person: it starts all the same.
    env.ctr(&["stop", "r"])?.prints("r\n")?;
    env.ctr(&["restart", "-t", "60", "r"])?.prints("r\n")?;
    env.wait_for_log("r", "ready\nready\nready\n")?;
    ensure!(env.generation("r")? == 3 && env.status("r")? == "running");
    ensure!(env.inspect("r")?["State"]["StoppedByUser"] == false);
    env.remove("r")
}

fn created(env: &Env) -> Result<()> {
    env.create("c", &["--stop-timeout", "0"], &["sleep", "1000"])?;
    env.ctr(&["restart", "c"])?.prints("c\n")?;
    ensure!(env.generation("c")? == 1 && env.status("c")? == "running");
    env.remove("c")?;
    // Made by the runtime already: that run goes on.
    env.create("i", &["--stop-timeout", "0"], &["sleep", "1000"])?;
    env.ctr(&["init", "i"])?.prints("i\n")?;
    let first = env.state_number("i", "Pid")?;
    env.ctr(&["restart", "i"])?.prints("i\n")?;
    ensure!(env.generation("i")? == 1 && env.status("i")? == "running");
    ensure!(env.state_number("i", "Pid")? == first);
    env.remove("i")
}

fn killed_at_once(env: &Env) -> Result<()> {
    env.detached("z", &["--stop-timeout", "60"], POLITE)?;
    env.wait_for_log("z", "ready\n")?;
    env.ctr(&["restart", "-t", "0", "z"])?.prints("z\n")?;
    let runs = env.past_runs("z")?;
    ensure!(
        runs[0]["ExitCode"] == 137,
        "it was asked first: {}",
        runs[0]
    );
    ensure!(env.status("z")? == "running" && env.generation("z")? == 2);
    env.ctr(&["rm", "-f", "-t", "0", "z"])?.prints("z\n")
}

fn warns_when_it_had_to_kill(env: &Env) -> Result<()> {
    // The first process of a container ignores what it does not handle.
    env.detached("deaf", &[], "echo ready; while :; do sleep 0.02; done")?;
    env.wait_for_log("deaf", "ready")?;
    let output = env.ctr(&["restart", "-t", "1", "deaf"])?;
    ensure!(output.code == 0 && output.out() == "deaf\n", "{output}");
    let warning = output.err();
    ensure!(warning.lines().count() == 1, "{output}");
    for word in ["deaf", "SIGTERM", "kill"] {
        ensure!(warning.contains(word), "it does not say {word}: {output}");
    }
    ensure!(env.status("deaf")? == "running" && env.generation("deaf")? == 2);
    env.remove("deaf")
}

/// One container in each of the statuses that `restart` has an answer to, by name.
fn some(env: &Env) -> Result<()> {
    env.create("new", &["--stop-timeout", "0"], &["sleep", "1000"])?;
    env.detached("runs", &[], "sleep 1000")?;
    env.detached("ended", &[], "sleep 1000")?;
    env.ctr(&["stop", "ended"])?.prints("ended\n")
}

fn running_only(env: &Env) -> Result<()> {
    some(env)?;
    env.ctr(&["restart", "--running"])?.prints(&format!(
        "{}\n",
        env.inspect("runs")?["Id"].as_str().unwrap_or_default()
    ))?;
    ensure!(env.generation("runs")? == 2 && env.status("runs")? == "running");
    ensure!(env.status("new")? == "created" && env.status("ended")? == "exited");
    env.ctr(&["rm", "-fa"])?.ok()?;
    Ok(())
}

fn all_of_them(env: &Env) -> Result<()> {
    some(env)?;
    let ids = env.ids()?;
    let out = env.ctr(&["restart", "--all"])?.ok()?;
    let mut done: Vec<&str> = out.lines().collect();
    done.sort_unstable();
    let mut wanted: Vec<&str> = ids.iter().map(String::as_str).collect();
    wanted.sort_unstable();
    ensure!(done == wanted, "{done:?} instead of {wanted:?}");
    for (name, generation) in [("new", 1), ("runs", 2), ("ended", 2)] {
        ensure!(env.status(name)? == "running", "{name}");
        ensure!(env.generation(name)? == generation, "{name}");
    }
    env.ctr(&["restart", "--all", "--running"])?
        .refused(125, &["--all", "--running"])?;
    env.ctr(&["rm", "-fa"])?.ok()?;
    Ok(())
}

fn wrong_statuses_are_refused(env: &Env) -> Result<()> {
    env.detached("p", &[], "sleep 1000")?;
    env.ctr(&["pause", "p"])?.prints("p\n")?;
    env.ctr(&["restart", "p"])?.refused(125, &["p", "paused"])?;
    ensure!(env.status("p")? == "paused" && env.generation("p")? == 1);
    env.ctr(&["unpause", "p"])?.prints("p\n")?;
    env.remove("p")
}

fn names_that_do_not_exist(env: &Env) -> Result<()> {
    env.detached("there", &[], "sleep 1000")?;
    env.ctr(&["restart", "nosuch"])?.refused(125, &["nosuch"])?;
    let output = env.ctr(&["restart", "there", "nosuch"])?;
    ensure!(output.code == 125, "{output}");
    output.one_error(&["nosuch"])?;
    // Names are looked up before anything is done.
    ensure!(env.generation("there")? == 1, "{output}");
    env.remove("there")
}

/// A container that says when it is asked to end, and ends when `/out/go` is there. The command that restarts it waits for that.
fn half_restarted(env: &Env) -> Result<crate::harness::program::Running> {
    let (_, volume) = env.out()?;
    let script = "test -e /out/second && { echo second; exec sleep 1000; }; \
        trap 'echo asked; until test -e /out/go; do sleep 0.02; done; : > /out/second; exit 5' TERM; \
        echo ready; while :; do sleep 0.02; done";
    env.detached("h", &["-v", &volume], script)?;
    env.wait_for_log("h", "ready\n")?;
    let restarting = env.call(&["restart", "-t", "-1", "h"]).spawn()?;
    env.wait_for_log("h", "asked\n")?;
    ensure!(env.status("h")? == "stopping");
    restarting.signal(Signal::KILL)?;
    Ok(restarting)
}

/// The wish is in the record, and whoever notices the end of the run carries it out.
fn command_killed_while_it_waits(env: &Env) -> Result<()> {
    let restarting = half_restarted(env)?;
    let output = restarting.finish()?;
    ensure!(output.code == 137 && output.stdout.is_empty(), "{output}");
    write(&env.path("out").join("go"), "")?;
    env.wait_for_event("h", "start", 2)?;
    env.wait_for_log("h", "second\n")?;
    ensure!(env.status("h")? == "running" && env.generation("h")? == 2);
    let runs = env.past_runs("h")?;
    ensure!(
        runs[0]["ExitCode"] == 5 && runs[0]["StopReason"] == "restart",
        "{}",
        runs[0]
    );
    ensure!(runs[1]["StartReason"] == "restart", "{}", runs[1]);
    env.remove("h")
}

/// A stop that comes after it is the last word.
fn command_killed_and_container_stopped(env: &Env) -> Result<()> {
    half_restarted(env)?.finish()?;
    let id = env.inspect("h")?["Id"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let stopping = env.call(&["stop", "-t", "-1", "h"]).spawn()?;
    // It has said what it wants once the record names it as the one who ends the run.
    env.wait_for_log("h", "asked\n")?;
    crate::harness::wait::until("the stop to be recorded", || {
        Ok((env.inspect("h")?["State"]["StoppedByUser"] == true).then_some(()))
    })?;
    write(&env.path("out").join("go"), "")?;
    stopping.finish()?.prints("h\n")?;
    Env::wait_for_cleaners(&id)?;
    ensure!(env.status("h")? == "exited" && env.generation("h")? == 1);
    env.ctr(&["rm", "h"])?.prints("h\n")
}
