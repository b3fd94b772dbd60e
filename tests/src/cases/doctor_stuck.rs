//! `doctor` answers in time, whatever is stuck, and says what is.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::holders::{Hanging, hang_in, locked_by, wait_for_hang};
use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::process::Process;
use crate::harness::program::{Call, Running};
use crate::harness::story::hold;
use crate::harness::tree::{directory, remove, write};

cases! {
    Core a_lock_that_is_held_by_a_stopped_command,
    Full a_lock_that_is_held_for_long,
    Full a_pipe_where_a_file_should_be,
    Full pipes_in_many_places,
    Core everything_at_once,
}

/// A pipe without a writer, in the place of the record of an exec session: whoever opens it to read waits for ever.
fn pipe(env: &Env, id: &str) -> Result<PathBuf> {
    let session = env.run_dir(id).join("exec").join("b".repeat(64));
    directory(&session, 0o700)?;
    let path = session.join("session.json");
    let made = Call::new("mkfifo").args([&path]).output()?;
    ensure!(made.code == 0, "{made}");
    Ok(session)
}

/// A start that hangs in its runtime; the process that has the lock.
fn hang(env: &Env) -> Result<(Running, Process)> {
    Hanging::make(env)?.create(env)?;
    hang_in(env, "create")?;
    let client = env.call(&["start", "held"]).spawn()?;
    wait_for_hang(env, "create")?;
    let (_, pid) = locked_by(env)?.context("nobody has the lock")?;
    let holder = Process::open(pid)?.context("the holder is there")?;
    Ok((client, holder))
}

fn end(client: Running, holder: &Process) -> Result<()> {
    Env::shoot(holder)?;
    client.signal(Signal::CONT)?;
    client.finish()?;
    Ok(())
}

fn a_lock_that_is_held_by_a_stopped_command(env: &Env) -> Result<()> {
    let (client, holder) = hang(env)?;
    // In the middle of its work, it is no finding.
    env.check_well()?;
    hold(&holder)?;
    env.check_found(&["lock-holder-stopped held"])?;
    env.check_not_repaired(&["lock-holder-stopped held"])?;
    end(client, &holder)?;
    env.doctor(&["--repair"])?;
    env.check_well()?;
    env.remove("held")
}

fn a_lock_that_is_held_for_long(env: &Env) -> Result<()> {
    let (client, holder) = hang(env)?;
    let id = env.ids()?.pop().context("there is a container")?;
    let lock = env.runroot().join("locks").join(id);
    let text = std::fs::read_to_string(&lock)?;
    let mut signature: Value = serde_json::from_str(&text)?;
    signature["since_ms"] = 1.into();
    write(&lock, &signature.to_string())?;
    env.check_found(&["lock-held-long held"])?;
    end(client, &holder)?;
    env.doctor(&["--repair"])?;
    env.check_well()?;
    env.remove("held")
}

fn a_pipe_where_a_file_should_be(env: &Env) -> Result<()> {
    let id = env.running("odd")?;
    env.running("even")?;
    let session = pipe(env, &id)?;
    let report = env.doctor(&[])?;
    ensure!(report["complete"] == false, "{report:#}");
    env.check_problems(&report, &["not-examined odd"])?;
    remove(&session)?;
    env.check_well()?;
    env.remove("odd")?;
    env.remove("even")
}

/// More than there is time for: what could not be looked at is said in one line.
fn pipes_in_many_places(env: &Env) -> Result<()> {
    let mut sessions = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let id = env.running(name)?;
        sessions.push(pipe(env, &id)?);
    }
    let report = env.doctor(&[])?;
    ensure!(report["complete"] == false, "{report:#}");
    let findings = report["findings"].as_array().context("findings")?;
    ensure!(
        findings.iter().any(|found| found["kind"] == "not-examined"),
        "{report:#}"
    );
    for session in sessions {
        remove(&session)?;
    }
    env.check_well()?;
    for name in ["a", "b", "c", "d", "e", "f"] {
        env.remove(name)?;
    }
    Ok(())
}

/// A stopped monitor, a runtime that hangs, a lock that is held by a stopped command, and a file that cannot be read to its end.
fn everything_at_once(env: &Env) -> Result<()> {
    env.running("calm")?;
    hold(&env.monitor("calm")?)?;
    let id = env.running("odd")?;
    let session = pipe(env, &id)?;
    let (client, holder) = hang(env)?;
    hold(&holder)?;
    let report = env.doctor(&[])?;
    env.check_problems(
        &report,
        &[
            "lock-holder-stopped held",
            "monitor-stopped calm",
            "not-examined odd",
        ],
    )?;
    remove(&session)?;
    end(client, &holder)?;
    env.check_repaired()?;
    for name in ["held", "calm", "odd"] {
        env.remove(name)?;
    }
    Ok(())
}
