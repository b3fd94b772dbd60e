//! `doctor`: processes that are gone, stand still, or are there without a reason.

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::story::hold;
use crate::harness::tree::write;

cases! {
    Core a_monitor_that_stands_still,
    Full a_monitor_that_stands_still_at_the_end,
    Full a_keeper_that_stands_still,
    Full a_keeper_that_does_not_take_over,
    Full a_writer_of_the_log_that_stands_still,
    Core nobody_looks_after_it,
    Full nobody_saw_its_end,
    Full an_end_that_nobody_has_taken_in,
    Full an_end_that_cannot_be_read,
    Full a_session_without_a_host,
    Full a_stop_that_stands_still,
    Full a_run_that_nobody_knows,
    Full a_run_that_nobody_knows_without_a_monitor,
}

fn a_monitor_that_stands_still(env: &Env) -> Result<()> {
    env.running("calm")?;
    hold(&env.monitor("calm")?)?;
    env.check_found(&["monitor-stopped calm"])?;
    env.check_repaired()?;
    env.ctr(&["exec", "calm", "true"])?.prints("")?;
    env.remove("calm")
}

fn a_monitor_that_stands_still_at_the_end(env: &Env) -> Result<()> {
    let id = env.running("calm")?;
    hold(&env.monitor("calm")?)?;
    Env::shoot(&env.first_process("calm")?)?;
    env.check_found(&["monitor-stopped calm"])?;
    env.check_repaired()?;
    env.wait_for_cleanup("calm")?;
    Env::wait_for_cleaners(&id)?;
    ensure!(env.state_number("calm", "ExitCode")? == 137);
    env.check_well()?;
    env.remove("calm")
}

fn a_keeper_that_stands_still(env: &Env) -> Result<()> {
    let id = env.running("calm")?;
    hold(&env.keeper(&id)?)?;
    env.check_found(&["keeper-stopped calm"])?;
    env.check_repaired()?;
    env.remove("calm")
}

fn a_keeper_that_does_not_take_over(env: &Env) -> Result<()> {
    let id = env.running("calm")?;
    hold(&env.keeper(&id)?)?;
    Env::shoot(&env.monitor("calm")?)?;
    env.check_found(&["keeper-without-monitor calm"])?;
    env.check_repaired()?;
    env.ctr(&["exec", "calm", "true"])?.prints("")?;
    env.remove("calm")
}

fn a_writer_of_the_log_that_stands_still(env: &Env) -> Result<()> {
    let id = env.running("calm")?;
    hold(&env.log_writer(&id)?)?;
    env.check_found(&["log-writer-stopped calm"])?;
    env.check_repaired()?;
    env.remove("calm")
}

fn nobody_looks_after_it(env: &Env) -> Result<()> {
    env.running("lost")?;
    env.lose_monitor("lost")?;
    env.check_found(&["monitor-lost lost"])?;
    env.check_repaired()?;
    env.ctr(&["exec", "lost", "true"])?.prints("")?;
    env.remove("lost")
}

fn nobody_saw_its_end(env: &Env) -> Result<()> {
    env.running("gone")?;
    let first = env.first_process("gone")?;
    env.lose_monitor("gone")?;
    Env::shoot(&first)?;
    env.check_found(&["end-unseen gone"])?;
    env.check_repaired()?;
    ensure!(env.status("gone")? == "exited");
    env.remove("gone")
}

/// A container that has ended, with its monitor, and whose monitor has written this about it.
fn ended_with_record(env: &Env, text: &str) -> Result<()> {
    let id = env.running("told")?;
    let first = env.first_process("told")?;
    env.lose_monitor("told")?;
    Env::shoot(&first)?;
    write(&env.run_dir(&id).join("exit.1"), text)
}

fn an_end_that_nobody_has_taken_in(env: &Env) -> Result<()> {
    let record = r#"{"version":1,"id":"told","generation":1,"init":{"pid":7,"start_time":7},
        "exit":{"how":"exited","code":5},"finished_ns":1,"oom_kills":0,"log_bytes_lost":0}"#;
    ended_with_record(env, record)?;
    env.check_found(&["exit-not-taken told"])?;
    env.check_repaired()?;
    ensure!(env.state_number("told", "ExitCode")? == 5);
    env.remove("told")
}

fn an_end_that_cannot_be_read(env: &Env) -> Result<()> {
    ended_with_record(env, "{")?;
    env.check_found(&["exit-record-damaged told"])?;
    env.check_repaired()?;
    ensure!(env.state_number("told", "ExitCode")? == -1);
    env.remove("told")
}

fn a_session_without_a_host(env: &Env) -> Result<()> {
    env.running("host")?;
    let session = env.ctr(&["exec", "-d", "host", "sleep", "100000"])?.id()?;
    let process = env.session_process(&session)?;
    env.lose_monitor("host")?;
    Env::shoot(&process)?;
    env.check_found(&["monitor-lost host", "session-orphaned host"])?;
    env.check_repaired()?;
    env.remove("host")
}

fn a_stop_that_stands_still(env: &Env) -> Result<()> {
    env.detached(
        "busy",
        &[],
        "trap '' TERM; echo ready; while :; do sleep 1; done",
    )?;
    env.wait_for_log("busy", "ready")?;
    let stop = env.call(&["stop", "-t", "-1", "busy"]).spawn()?;
    env.wait_for_status("busy", "stopping")?;
    stop.signal(Signal::STOP)?;
    let found = crate::harness::wait::until("the stopped command to be found", || {
        let report = env.doctor(&[])?;
        Ok((report["findings"] != serde_json::json!([])).then_some(report))
    })?;
    env.check_problems(&found, &["command-stopped busy"])?;
    // Killed, it leaves what it had begun; the next command takes that in.
    stop.signal(Signal::KILL)?;
    stop.finish()?;
    env.check_found(&["intent-abandoned busy"])?;
    env.check_repaired()?;
    env.remove("busy")
}

fn forget(env: &Env, id: &str) -> Result<()> {
    env.sql("DELETE FROM record WHERE id = ?1", id)?;
    env.sql("DELETE FROM container WHERE id = ?1", id)
}

fn a_run_that_nobody_knows(env: &Env) -> Result<()> {
    let id = env.running("secret")?;
    let first = env.first_process("secret")?;
    forget(env, &id)?;
    env.check_found(&[
        &format!("directory-without-record root/containers/{id}"),
        &format!("lock-without-record runroot/locks/{id}"),
        &format!("monitor-without-record runroot/run/{id}"),
    ])?;
    // The log is a file that may be wanted.
    let report = env.doctor(&["--repair"])?;
    env.check_problems(
        &report,
        &[&format!("directory-without-record root/containers/{id}")],
    )?;
    ensure!(
        first.ends_within(crate::harness::wait::PATIENCE)?,
        "its program runs on"
    );
    crate::harness::tree::remove(&env.own_dir(&id))?;
    env.check_well()
}

fn a_run_that_nobody_knows_without_a_monitor(env: &Env) -> Result<()> {
    let id = env.running("secret")?;
    let first = env.first_process("secret")?;
    env.lose_monitor("secret")?;
    forget(env, &id)?;
    crate::harness::tree::remove(&env.own_dir(&id))?;
    std::fs::remove_file(env.runroot().join("locks").join(&id))?;
    env.check_found(&[&format!("run-directory-without-record runroot/run/{id}")])?;
    env.check_repaired()?;
    ensure!(
        first.ends_within(crate::harness::wait::PATIENCE)?,
        "its program runs on"
    );
    Ok(())
}
