//! `doctor`: records that say something else than the kernel.

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::reboot::RunFiles;

cases! {
    Core nothing_is_wrong,
    Full facts_that_are_no_json,
    Full a_configuration_that_is_no_json,
    Full a_row_that_is_missing,
    Full a_run_that_cannot_be_read,
    Full an_event_that_cannot_be_read,
    Full a_record_of_a_newer_program,
    Full an_unknown_status,
    Full a_killed_stop,
    Full a_killed_pause,
    Full a_killed_cleanup,
    Full a_removal_that_stands_still,
    Full a_removal_that_is_due,
    Full a_restart_that_nobody_sees_to,
    Full running_by_its_record_alone,
    Full exited_by_its_record_alone,
    Full paused_by_its_record_alone,
    Full running_and_frozen,
    Full stopped_by_its_record_alone,
    Full a_reboot_with_files_kept,
    Full a_reboot_with_files_gone,
}

const STATUS: &str = "UPDATE record SET status = 'WORD' WHERE id = ?1";

fn set_status(env: &Env, id: &str, word: &str) -> Result<()> {
    env.sql(&STATUS.replace("WORD", word), id)
}

/// One container in each status that lasts, and the words of both commands.
fn nothing_is_wrong(env: &Env) -> Result<()> {
    env.check_well()?;
    env.create("new", &[], &["true"])?;
    env.create("made", &[], &["true"])?;
    env.ctr(&["init", "made"])?.prints("made\n")?;
    env.running("runs")?;
    env.detached("rests", &[], "sleep 100000")?;
    env.ctr(&["pause", "rests"])?.prints("rests\n")?;
    env.ended("over")?;
    env.detached("works", &[], "sleep 100000")?;
    env.ctr(&["exec", "-d", "works", "sleep", "100000"])?.id()?;
    env.check_well()?;
    let text = env.ctr(&["system", "check"])?.ok()?;
    ensure!(
        text.contains("nothing is wrong: 6 containers, 4 monitors"),
        "{text}"
    );
    for name in ["new", "made", "runs", "rests", "over", "works"] {
        env.remove(name)?;
    }
    env.check_well()
}

/// A record that cannot be read: a repair must not throw it away, `rm -f` does.
fn check_unreadable(env: &Env, statement: &str) -> Result<()> {
    let id = env.create("bad", &[], &["true"])?;
    env.create("good", &[], &["true"])?;
    env.sql(statement, &id)?;
    env.check_found(&["record-unreadable bad"])?;
    env.check_not_repaired(&["record-unreadable bad"])?;
    env.ctr(&["rm", "-f", &id])?.prints(&format!("{id}\n"))?;
    env.check_well()?;
    env.remove("good")
}

fn facts_that_are_no_json(env: &Env) -> Result<()> {
    check_unreadable(env, "UPDATE record SET facts = '{' WHERE id = ?1")
}

fn a_configuration_that_is_no_json(env: &Env) -> Result<()> {
    check_unreadable(env, "UPDATE container SET config = 'x' WHERE id = ?1")
}

fn a_row_that_is_missing(env: &Env) -> Result<()> {
    check_unreadable(env, "DELETE FROM record WHERE id = ?1")
}

/// Only that row is concerned: no container is.
fn check_row(env: &Env, statement: &str) -> Result<()> {
    let id = env.ended("past")?;
    env.sql(statement, &id)?;
    env.check_found(&["store-row-damaged root/state.db"])?;
    env.check_not_repaired(&["store-row-damaged root/state.db"])?;
    env.remove("past")?;
    env.check_found(&["store-row-damaged root/state.db"])
}

fn a_run_that_cannot_be_read(env: &Env) -> Result<()> {
    check_row(env, "UPDATE run SET body = '{' WHERE id = ?1")
}

fn an_event_that_cannot_be_read(env: &Env) -> Result<()> {
    check_row(
        env,
        "UPDATE event SET actor = '{' WHERE seq = (SELECT max(seq) FROM event) AND ?1 <> ''",
    )
}

fn a_record_of_a_newer_program(env: &Env) -> Result<()> {
    check_unreadable(env, "UPDATE record SET version = 99 WHERE id = ?1")
}

fn an_unknown_status(env: &Env) -> Result<()> {
    check_unreadable(env, "UPDATE record SET status = 'dreaming' WHERE id = ?1")
}

/// The intent of a process that is gone.
fn intent(env: &Env, id: &str, kind: &str) -> Result<()> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").context("boot id")?;
    let text = format!(
        r#"{{"kind":"{kind}","owner":{{"pid":4194304,"start_time":1}},"boot_id":"{}","since_ns":1,"generation":1}}"#,
        boot.trim_end()
    );
    let statement = format!("UPDATE record SET intent = '{text}' WHERE id = ?1");
    env.sql(&statement, id)
}

fn a_killed_stop(env: &Env) -> Result<()> {
    let id = env.running("half")?;
    intent(env, &id, "stop")?;
    env.check_found(&["intent-abandoned half"])?;
    env.check_repaired()?;
    ensure!(env.status("half")? == "running");
    env.remove("half")
}

fn a_killed_pause(env: &Env) -> Result<()> {
    let id = env.running("half")?;
    intent(env, &id, "pause")?;
    env.check_found(&["intent-abandoned half"])?;
    env.ctr(&["stop", "half"])?.prints("half\n")?;
    env.check_well()?;
    env.remove("half")
}

fn a_killed_cleanup(env: &Env) -> Result<()> {
    let id = env.ended("half")?;
    intent(env, &id, "cleanup")?;
    env.check_found(&["intent-abandoned half"])?;
    env.check_repaired()?;
    env.remove("half")
}

fn a_removal_that_stands_still(env: &Env) -> Result<()> {
    let id = env.ended("going")?;
    set_status(env, &id, "removing")?;
    env.check_found(&["removal-unfinished going"])?;
    env.check_repaired()?;
    ensure!(env.ids()?.is_empty());
    Ok(())
}

fn a_removal_that_is_due(env: &Env) -> Result<()> {
    let id = env.ended("stays")?;
    let config = "json_set(config, '$.auto_remove', 'yes')";
    let statement =
        format!("UPDATE container SET auto_remove = 1, config = {config} WHERE id = ?1");
    env.sql(&statement, &id)?;
    env.check_found(&["removal-due stays"])?;
    env.check_repaired()?;
    ensure!(env.ids()?.is_empty());
    Ok(())
}

fn a_restart_that_nobody_sees_to(env: &Env) -> Result<()> {
    let id = env.ended("again")?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").context("boot id")?;
    let pending = format!(
        r#"json('{{"at_ns":1,"reason":"policy","owner":{{"pid":4194304,"start_time":1}},"boot_id":"{}"}}')"#,
        boot.trim_end()
    );
    let statement =
        format!("UPDATE record SET facts = json_set(facts, '$.restart', {pending}) WHERE id = ?1");
    env.sql(&statement, &id)?;
    env.check_found(&["restart-abandoned again"])?;
    env.doctor(&["--repair"])?;
    Env::wait_for_cleaners(&id)?;
    env.wait_for_cleanup("again")?;
    ensure!(env.generation("again")? > 1, "it was not started again");
    Env::wait_for_cleaners(&id)?;
    env.check_well()?;
    env.remove("again")
}

fn running_by_its_record_alone(env: &Env) -> Result<()> {
    let id = env.ended("ghost")?;
    set_status(env, &id, "running")?;
    env.check_found(&["end-unseen ghost"])?;
    env.check_repaired()?;
    ensure!(env.status("ghost")? == "exited");
    env.remove("ghost")
}

fn exited_by_its_record_alone(env: &Env) -> Result<()> {
    let id = env.running("alive")?;
    set_status(env, &id, "exited")?;
    env.check_found(&["monitor-without-run alive"])?;
    env.check_repaired()?;
    ensure!(env.status("alive")? == "exited");
    env.remove("alive")
}

fn paused_by_its_record_alone(env: &Env) -> Result<()> {
    let id = env.running("awake")?;
    set_status(env, &id, "paused")?;
    env.check_found(&["thawed-unrecorded awake"])?;
    env.check_repaired()?;
    ensure!(env.status("awake")? == "running");
    env.remove("awake")
}

fn running_and_frozen(env: &Env) -> Result<()> {
    let id = env.running("frozen")?;
    env.ctr(&["pause", "frozen"])?.prints("frozen\n")?;
    set_status(env, &id, "running")?;
    env.check_found(&["frozen-unrecorded frozen"])?;
    env.check_repaired()?;
    ensure!(env.status("frozen")? == "paused");
    env.remove("frozen")
}

fn stopped_by_its_record_alone(env: &Env) -> Result<()> {
    let id = env.ended("over")?;
    set_status(env, &id, "stopped")?;
    env.check_found(&["not-cleaned-up over"])?;
    env.check_repaired()?;
    ensure!(env.status("over")? == "exited");
    env.remove("over")
}

fn a_reboot_with_files_kept(env: &Env) -> Result<()> {
    env.running("runs")?;
    env.ended("over")?;
    env.reboot(RunFiles::Kept)?;
    env.check_found(&["reboot-not-taken runs"])?;
    env.check_repaired()?;
    ensure!(env.status("runs")? == "exited");
    env.remove("runs")?;
    env.remove("over")
}

fn a_reboot_with_files_gone(env: &Env) -> Result<()> {
    env.running("runs")?;
    env.reboot(RunFiles::Gone)?;
    env.check_found(&["reboot-not-taken runs"])?;
    env.ctr(&["boot"])?.prints("")?;
    env.check_well()?;
    env.remove("runs")
}
