//! Exec sessions as objects, from their creation to their removal, and what is reported of them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::case::cases;
use crate::harness::env::{Env, refs};
use crate::harness::hosted::{container, ended, running, session, words};
use crate::harness::output::Output;
use crate::harness::process::Process;
use crate::harness::wait::{PATIENCE, until};

cases! {
    Core from_creation_to_removal,
    Core a_kill_reaches_all_processes,
    Full a_signal_for_one_process,
    Core removal_by_force,
    Full orders_that_come_too_early_or_too_late,
    Core each_is_reported_once,
    Core a_time_limit,
    Full lists,
}

/// A command that starts two others and waits.
pub(super) const FAMILY: &str = "sleep 1000 & sleep 1000 & wait";

/// `ctr container exec-VERB` with these words.
pub(super) fn verb(env: &Env, verb: &str, words: &[&str]) -> Result<Output> {
    let verb = format!("exec-{verb}");
    env.ctr(&[&["container", &verb], words].concat())
}

/// A session is in this state, in the words and numbers of `exec-inspect`.
fn check(env: &Env, id: &str, state: &str) -> Result<Value> {
    let value = env.inspect_session(id)?;
    let pid = value["Pid"].as_i64().context("Pid")?;
    let running = state == "running";
    ensure!(
        value["ID"] == id
            && value["State"] == state
            && value["Running"] == running
            && value["CanRemove"] == !running
            && (pid > 0) == running,
        "not {state}: {value}"
    );
    Ok(value)
}

/// Waits until a command and those that it has started are there; gives all of them.
pub(super) fn whole_family(env: &Env, count: usize) -> Result<Vec<Process>> {
    until("a command and its children", || {
        let found = env.executed("c")?;
        Ok((found.len() == count).then_some(found))
    })
}

pub(super) fn all_end(processes: &[Process]) -> Result<()> {
    for process in processes {
        ensure!(process.ends_within(PATIENCE)?, "{}", process.describe());
    }
    Ok(())
}

fn from_creation_to_removal(env: &Env) -> Result<()> {
    let whole = env.detached("c", &[], "exec sleep 1000000")?;
    let id = session(env, &["-u", "alice", "-i"], "c", "sleep 1000; exit 4")?;
    ensure!(env.listed_sessions("c")? == [id.as_str()]);
    let made = check(env, &id, "created")?;
    let process = &made["ProcessConfig"];
    ensure!(made["ContainerID"] == whole.as_str(), "{made}");
    ensure!(process["entrypoint"] == "sh", "{made}");
    ensure!(process["arguments"][1] == "sleep 1000; exit 4", "{made}");
    ensure!(
        process["user"] == "alice" && process["tty"] == false && process["privileged"] == false,
        "{made}"
    );
    ensure!(env.executed("c")?.is_empty(), "it runs already");
    verb(env, "start", &["-d", &id])?.prints(&format!("{id}\n"))?;
    check(env, &id, "running")?;
    let process = env.session_process(&id)?;
    let list = verb(env, "ls", &[])?.ok()?;
    ensure!(
        list.contains(&id[..12])
            && list.contains("running")
            && list.contains(&process.pid.to_string()),
        "{list}"
    );
    // The beginning of an id is enough.
    verb(env, "kill", &[&id[..12]])?.prints(&format!("{id}\n"))?;
    verb(env, "wait", &[&id[..8]])?.prints("137\n")?;
    all_end(&[process])?;
    let over = check(env, &id, "ended")?;
    ensure!(over["ExitCode"] == 137, "{over}");
    ensure!(verb(env, "ls", &[])?.ok()?.contains("ended (137)"));
    verb(env, "rm", &[&id])?.prints(&format!("{id}\n"))?;
    ensure!(env.listed_sessions("c")?.is_empty());
    ensure!(verb(env, "inspect", &[&id])?.code == 125);
    env.check_session_events("c", &id, 137)?;
    env.check_no_sessions("c")?;
    ensure!(env.status("c")? == "running");
    env.remove("c")
}

fn a_kill_reaches_all_processes(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    // A second one of which nothing must be hit.
    let other = running(env, &[], "c", FAMILY)?;
    let others = whole_family(env, 3)?;
    let script = format!("(sleep 1000 & sleep 1000; exit) & {FAMILY}");
    let id = running(env, &[], "c", &script)?;
    let all = whole_family(env, 9)?;
    verb(env, "kill", &[&id])?.prints(&format!("{id}\n"))?;
    ended(env, &id, 137)?;
    let is_other = |process: &&Process| others.iter().any(|other| other.pid == process.pid);
    let (spared, hit): (Vec<&Process>, Vec<&Process>) = all.iter().partition(is_other);
    ensure!(hit.len() == 6, "{all:?}");
    for process in hit {
        ensure!(process.ends_within(PATIENCE)?, "{}", process.describe());
    }
    for process in spared {
        let ended = process.ends_within(Duration::ZERO)?;
        ensure!(!ended, "{} was hit", process.describe());
    }
    ensure!(env.status("c")? == "running");
    check(env, &other, "running")?;
    verb(env, "kill", &["-s", "TERM", &other])?.ok()?;
    all_end(&others)?;
    ended(env, &other, 143)?;
    verb(env, "rm", &[&id, &other])?.prints(&format!("{id}\n{other}\n"))?;
    env.check_no_sessions("c")?;
    env.remove("c")
}

fn a_signal_for_one_process(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let script = "trap 'kill %1; exit 6' USR1; sleep 1000 & echo > /tmp/ready; wait";
    let id = running(env, &[], "c", script)?;
    until("the trap", || {
        let ready = env.ctr(&["exec", "c", "test", "-e", "/tmp/ready"])?;
        Ok((ready.code == 0).then_some(()))
    })?;
    verb(env, "kill", &["--process", "-s", "USR1", &id])?.ok()?;
    ended(env, &id, 6)?;
    // What such a session leaves behind is there until somebody ends it.
    let id = running(env, &[], "c", "sleep 1000 & echo; wait")?;
    let all = whole_family(env, 2)?;
    let process = env.session_process(&id)?;
    verb(env, "kill", &["--process", &id])?.ok()?;
    ended(env, &id, 137)?;
    ensure!(process.ends_within(PATIENCE)?);
    let left = all.iter().filter(|one| one.pid != process.pid);
    for one in left {
        ensure!(!one.ends_within(Duration::ZERO)?, "it was hit");
    }
    env.remove("c")
}

fn removal_by_force(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let id = running(env, &[], "c", FAMILY)?;
    let all = whole_family(env, 3)?;
    verb(env, "rm", &[&id])?.refused(125, &[&id[..12], "running"])?;
    check(env, &id, "running")?;
    verb(env, "rm", &["-f", &id])?.prints(&format!("{id}\n"))?;
    all_end(&all)?;
    env.check_session_events("c", &id, 137)?;
    // One that was never started, and one that has ended, need no force and mind none.
    for flags in [&[][..], &["-f"]] {
        let (made, over) = (
            session(env, &[], "c", "true")?,
            running(env, &[], "c", "true")?,
        );
        ended(env, &over, 0)?;
        let ids = [made, over];
        verb(env, "rm", &[flags, &refs(&ids)].concat())?
            .prints(&format!("{}\n{}\n", ids[0], ids[1]))?;
    }
    env.check_no_sessions("c")?;
    env.remove("c")
}

fn orders_that_come_too_early_or_too_late(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let id = session(env, &[], "c", "exec sleep 1000")?;
    let size = ["--height", "3", "--width", "4"];
    let refused = |name: &str, words: &[&str], state: &str| {
        let output = verb(env, name, &[words, &[&id]].concat())?;
        output
            .refused(125, &[&id[..12], state])
            .with_context(|| format!("{name} of one that is {state}"))
    };
    for (name, words) in [("wait", &[][..]), ("kill", &[]), ("resize", &size)] {
        refused(name, words, "created")?;
    }
    env.ctr(&["attach", "--session", &id])?
        .refused(125, &[&id[..12], "created"])?;
    verb(env, "start", &["-d", &id])?.ok()?;
    refused("start", &[], "running")?;
    refused("start", &["-d"], "running")?;
    refused("resize", &size, "no terminal")?;
    verb(env, "kill", &[&id])?.ok()?;
    ended(env, &id, 137)?;
    for (name, words) in [
        ("start", &[][..]),
        ("start", &["-d"]),
        ("kill", &[]),
        ("resize", &size),
    ] {
        refused(name, words, "ended")?;
    }
    env.ctr(&["attach", "--session", &id])?
        .refused(125, &[&id[..12], "ended"])?;
    // The code can be asked for as often as one likes.
    ended(env, &id, 137)?;
    verb(env, "rm", &[&id])?.ok()?;
    verb(env, "wait", &[&id])?.refused(125, &["no exec session"])?;
    env.check_session_events("c", &id, 137)?;
    env.remove("c")
}

/// Also of those that have no client, once a command has taken the container's lock.
fn each_is_reported_once(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    env.ctr(&words(&[], "c", "exit 3"))?.prints_with(3, "")?;
    let events = env.session_events("c")?;
    let attached = events.first().context("an event")?.1.clone();
    env.check_session_events("c", &attached, 3)?;
    let alone = env.ctr(&words(&["-d"], "c", "exit 4"))?.id()?;
    verb(env, "wait", &[&alone])?.prints("4\n")?;
    let kept = running(env, &[], "c", "exit 5")?;
    ended(env, &kept, 5)?;
    let followed = session(env, &[], "c", "exit 6")?;
    verb(env, "start", &[&followed])?.prints_with(6, "")?;
    env.check_session_events("c", &followed, 6)?;
    for _ in 0..2 {
        env.ctr(&["kill", "-s", "CONT", "c"])?.prints("c\n")?;
        env.check_session_events("c", &alone, 4)?;
        env.check_session_events("c", &kept, 5)?;
    }
    // What a client was told is forgotten; what runs by itself, or was made before, stays to be asked about.
    let mut left = env.session_files("c")?;
    left.sort();
    let mut expected = vec![alone.clone(), kept.clone(), followed.clone()];
    expected.sort();
    ensure!(left == expected, "{left:?} instead of {expected:?}");
    env.check_session_code(&kept, 5)?;
    verb(env, "rm", &[&alone, &kept, &followed])?.ok()?;
    let events = env.session_events("c")?;
    ensure!(events.len() == 8, "{events:?}");
    env.check_no_sessions("c")?;
    env.remove("c")
}

fn a_time_limit(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    for flags in [
        &["--timeout", "1"][..],
        &["--timeout=1", "-i"],
        &["--timeout=1", "-d"],
    ] {
        let client = env.call(&words(flags, "c", FAMILY)).open_stdin().spawn()?;
        let all = whole_family(env, 3)?;
        let output = client.finish()?;
        if flags.contains(&"-d") {
            let id = output.id()?;
            verb(env, "wait", &[&id])?.prints("255\n")?;
            verb(env, "rm", &[&id])?.ok()?;
        } else {
            output.prints_with(255, "")?;
        }
        all_end(&all)?;
    }
    let id = session(env, &[], "c", FAMILY)?;
    verb(env, "start", &["--timeout", "1", &id])?.prints_with(255, "")?;
    env.check_session_code(&id, 255)?;
    let value = env.inspect_session(&id)?;
    ensure!(value["Reason"].is_string(), "it is not said why: {value}");
    verb(env, "rm", &[&id])?.ok()?;
    env.check_session_events("c", &id, 255)?;
    // One that ends before is not disturbed, and no number is no limit.
    env.ctr(&words(&["--timeout", "1000"], "c", "exit 3"))?
        .prints_with(3, "")?;
    env.ctr(&words(&["--timeout", "0"], "c", "sleep 1.2; exit 3"))?
        .prints_with(3, "")?;
    env.ctr(&["kill", "-s", "CONT", "c"])?.ok()?;
    env.check_no_sessions("c")?;
    ensure!(env.status("c")? == "running");
    env.remove("c")
}

fn lists(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    container(env, "d", &[])?;
    let ids = [
        session(env, &["-t", "-u", "1"], "c", "true")?,
        running(env, &[], "d", "exec sleep 1000")?,
        running(env, &[], "c", "exit 9")?,
    ];
    ended(env, &ids[2], 9)?;
    let quiet = |names: &[&str]| verb(env, "ls", &[&["-q"], names].concat());
    quiet(&[])?.prints(&format!("{}\n{}\n{}\n", ids[0], ids[1], ids[2]))?;
    quiet(&["c"])?.prints(&format!("{}\n{}\n", ids[0], ids[2]))?;
    quiet(&["d", "c"])?.prints(&format!("{}\n{}\n{}\n", ids[0], ids[1], ids[2]))?;
    let json = verb(env, "ls", &["--format", "json"])?.ok()?;
    let list: Vec<Value> = serde_json::from_str(&json).context("read exec-ls")?;
    ensure!(list.len() == 3, "{json}");
    for (view, id) in list.iter().zip(&ids) {
        ensure!(*view == env.inspect_session(id)?, "{view}");
    }
    let views = verb(env, "inspect", &refs(&ids))?.ok()?;
    ensure!(views == json, "{views} instead of {json}");
    let text = verb(env, "ls", &[])?.ok()?;
    ensure!(
        text.lines().count() == 4 && text.starts_with("SESSION ID"),
        "{text}"
    );
    env.remove("d")?;
    quiet(&[])?.prints(&format!("{}\n{}\n", ids[0], ids[2]))?;
    env.remove("c")?;
    quiet(&[])?.prints("")
}
