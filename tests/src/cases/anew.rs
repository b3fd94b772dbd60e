//! A container that somebody has meddled with: `refresh` makes it anew, `ps --sync` and `sync` take in what its runtime says.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::base::find;
use crate::harness::case::{Runtime, cases};
use crate::harness::env::Env;
use crate::harness::program::Call;

cases! {
    Core refresh_of_one_that_runs,
    Full refresh_of_one_that_is_paused,
    Full refresh_of_one_that_is_made,
    Full refresh_of_one_that_does_not_run,
    Full refresh_of_all,
    Full refresh_brings_back_what_was_taken_away,
    Core paused_behind_our_back,
    Full nothing_is_asked_without_the_flag,
    Full started_behind_our_back,
    Full killed_behind_our_back,
}

/// Says each time it starts how often it was started before.
const COUNTS: &str = "echo x >> /out/runs; echo ready; sleep 1000";

fn refresh_of_one_that_runs(env: &Env) -> Result<()> {
    let (out, volume) = env.out()?;
    let id = env.detached("r", &["-v", &volume, "-h", "host"], COUNTS)?;
    env.wait_for_log("r", "ready\n")?;
    let first = env.first_process("r")?;
    env.ctr(&["container", "refresh", "r"])?.prints("r\n")?;
    env.wait_for_log("r", "ready\nready\n")?;
    let value = env.inspect("r")?;
    ensure!(
        value["Id"] == id.as_str() && value["State"]["Status"] == "running",
        "{value}"
    );
    ensure!(value["State"]["Generation"] == 2, "{value}");
    ensure!(value["Config"]["Hostname"] == "host", "{value}");
    ensure!(
        first.ends_within(std::time::Duration::ZERO)?,
        "the old run goes on"
    );
    ensure!(std::fs::read_to_string(out.join("runs"))? == "x\nx\n");
    let story = env.story("r")?;
    ensure!(
        story.starts_with("create init start ") && story.ends_with(" init start refresh"),
        "{story}"
    );
    let runs = env.past_runs("r")?;
    ensure!(
        runs.len() == 2 && runs[0]["StopReason"] == "restart",
        "{runs:?}"
    );
    env.remove("r")
}

fn refresh_of_one_that_is_paused(env: &Env) -> Result<()> {
    env.detached("p", &[], "sleep 1000")?;
    env.ctr(&["pause", "p"])?.prints("p\n")?;
    env.ctr(&["container", "refresh", "p"])?.prints("p\n")?;
    ensure!(env.status("p")? == "paused" && env.generation("p")? == 2);
    env.ctr(&["unpause", "p"])?.prints("p\n")?;
    ensure!(env.status("p")? == "running");
    env.remove("p")
}

fn refresh_of_one_that_is_made(env: &Env) -> Result<()> {
    env.create(
        "m",
        &["--stop-timeout", "0"],
        &["sh", "-c", "echo once; exit 5"],
    )?;
    env.ctr(&["init", "m"])?.prints("m\n")?;
    let first = env.first_process("m")?;
    env.ctr(&["container", "refresh", "m"])?.prints("m\n")?;
    ensure!(first.ends_within(crate::harness::wait::PATIENCE)?);
    ensure!(env.status("m")? == "initialized" && env.generation("m")? == 2);
    env.ctr(&["start", "-a", "m"])?.prints_with(5, "once\n")?;
    env.remove("m")
}

fn refresh_of_one_that_does_not_run(env: &Env) -> Result<()> {
    env.create("new", &[], &["true"])?;
    env.detached("over", &[], "exit 3")?;
    env.wait_for_cleanup("over")?;
    env.ctr(&["container", "refresh", "new", "over"])?
        .prints("new\nover\n")?;
    ensure!(env.status("new")? == "created" && env.generation("new")? == 0);
    let state = &env.inspect("over")?["State"];
    ensure!(
        state["Status"] == "exited" && state["Generation"] == 1 && state["ExitCode"] == 3,
        "{state}"
    );
    env.ctr(&["container", "refresh", "nosuch"])?
        .refused(125, &["nosuch"])?;
    env.ctr(&["rm", "new", "over"])?.prints("new\nover\n")
}

fn refresh_of_all(env: &Env) -> Result<()> {
    env.create("new", &[], &["true"])?;
    env.detached("runs", &[], "sleep 1000")?;
    env.detached("rests", &[], "sleep 1000")?;
    env.ctr(&["pause", "rests"])?.prints("rests\n")?;
    let out = env.ctr(&["container", "refresh", "--all"])?.ok()?;
    ensure!(out.lines().count() >= 2, "{out}");
    for (name, status, generation) in [
        ("new", "created", 0),
        ("runs", "running", 2),
        ("rests", "paused", 2),
    ] {
        ensure!(env.status(name)? == status, "{name}");
        ensure!(env.generation(name)? == generation, "{name}");
    }
    env.ctr(&["rm", "-fa"])?.ok()?;
    Ok(())
}

/// A container that was lost is there again, made anew.
fn refresh_brings_back_what_was_taken_away(env: &Env) -> Result<()> {
    env.detached("r", &[], "echo ready; sleep 1000")?;
    env.wait_for_log("r", "ready\n")?;
    env.lose_monitor("r")?;
    ensure!(env.inspect("r")?["State"]["Monitor"] == "lost");
    env.ctr(&["container", "refresh", "r"])?.prints("r\n")?;
    env.wait_for_log("r", "ready\nready\n")?;
    let state = &env.inspect("r")?["State"];
    ensure!(
        state["Monitor"] == "present" && state["Status"] == "running",
        "{state}"
    );
    env.remove("r")
}

/// Calls the container's runtime as somebody does who knows where it keeps its state.
fn behind_our_back(env: &Env, verb: &str, id: &str, rest: &[&str]) -> Result<()> {
    let root: PathBuf = env.runroot().join("run").join(id).join("runtime");
    let (program, before) = match env.runtime {
        Runtime::Builtin => (env.program().to_path_buf(), Some("oci-runtime")),
        other @ (Runtime::Runc | Runtime::Crun) => (find(other.name())?, None),
    };
    // In mounts of its own: crun protects its program by mounting it elsewhere.
    let call = Call::new("unshare")
        .args(["--mount".as_ref(), program.as_os_str()])
        .args(before)
        .args(["--root".as_ref(), root.as_os_str()])
        .args([verb, id])
        .args(rest);
    env.finish(call)?.ok()?;
    Ok(())
}

fn paused_behind_our_back(env: &Env) -> Result<()> {
    let id = env.detached("p", &[], "sleep 1000")?;
    behind_our_back(env, "pause", &id, &[])?;
    let list = env.ctr(&["ps", "-a", "--sync", "--format", "json"])?.ok()?;
    let list: Vec<Value> = serde_json::from_str(&list)?;
    let state = list.first().context("a container")?["State"].clone();
    ensure!(state == "paused", "{list:?}");
    ensure!(env.status("p")? == "paused");
    env.check_story("p", "create init start sync")?;
    // Nothing new: no event.
    env.ctr(&["ps", "-a", "--sync"])?.ok()?;
    env.check_story("p", "create init start sync")?;
    behind_our_back(env, "resume", &id, &[])?;
    env.ctr(&["ps", "-a", "--sync"])?.ok()?;
    ensure!(env.status("p")? == "running");
    env.check_story("p", "create init start sync sync")?;
    env.remove("p")
}

/// A list alone asks no runtime, and a container that somebody else has frozen can be removed all the same.
fn nothing_is_asked_without_the_flag(env: &Env) -> Result<()> {
    let id = env.detached("p", &[], "sleep 1000")?;
    behind_our_back(env, "pause", &id, &[])?;
    env.ctr(&["ps", "-a"])?.ok()?;
    ensure!(env.status("p")? == "running", "nobody was asked");
    env.check_story("p", "create init start")?;
    let output = env.ctr(&["rm", "-f", "-t", "0", "p"])?;
    if output.code != 0 {
        // What stands still cannot be killed afterwards, either.
        behind_our_back(env, "resume", &id, &[])?;
    }
    output.prints("p\n")
}

fn started_behind_our_back(env: &Env) -> Result<()> {
    let script = ["sh", "-c", "echo ready; sleep 1000"];
    let id = env.create("s", &["--stop-timeout", "0"], &script)?;
    env.ctr(&["init", "s"])?.prints("s\n")?;
    behind_our_back(env, "start", &id, &[])?;
    env.ctr(&["ps", "-a", "--sync"])?.ok()?;
    ensure!(env.status("s")? == "running");
    env.wait_for_log("s", "ready\n")?;
    env.ctr(&["stop", "s"])?.prints("s\n")?;
    env.ctr(&["wait", "s"])?.prints("137\n")?;
    env.ctr(&["rm", "s"])?.prints("s\n")
}

fn killed_behind_our_back(env: &Env) -> Result<()> {
    let id = env.detached("k", &[], "sleep 1000")?;
    behind_our_back(env, "kill", &id, &["KILL"])?;
    env.ctr(&["wait", "k"])?.prints("137\n")?;
    env.ctr(&["ps", "-a", "--sync"])?.ok()?;
    env.wait_for_cleanup("k")?;
    let run = env.past_runs("k")?.swap_remove(0);
    ensure!(run["StopReason"].is_null(), "{run}");
    env.ctr(&["rm", "k"])?.prints("k\n")
}
