//! Exec sessions whose client, or whose monitor, is killed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::exec_sessions::{FAMILY, all_end, verb, whole_family};
use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::hosted::{WAYS, container, ended, running, session, with_share, words};
use crate::harness::output::Output;
use crate::harness::pattern::{Kind, Pattern};
use crate::harness::process::Process;
use crate::harness::program::Running;
use crate::harness::wait::{PATIENCE, until};

cases! {
    Core a_command_outlives_its_client,
    Core a_client_that_is_gone_hangs_up,
    Core a_client_that_is_gone_kills,
    Full a_client_killed_at_any_moment,
    Core a_monitor_is_killed,
    Full a_monitor_is_killed_with_its_container,
}

/// Long enough to see that somebody waits.
const MOMENT: Duration = Duration::from_millis(200);

/// Kills a client that has seen its command say `ready`.
fn lose(client: Running) -> Result<()> {
    client.wait_for_stdout("ready")?;
    client.signal(Signal::KILL)?;
    let output = client.finish()?;
    ensure!(output.code == 137, "{output}");
    Ok(())
}

/// The only session that there is, once it was reported to have begun: a client that is killed before it could report has not.
fn only(env: &Env) -> Result<String> {
    let mut ids = env.listed_sessions("c")?;
    ensure!(ids.len() == 1, "{ids:?}");
    let id = ids.pop().context("one")?;
    until("the report of a beginning", || {
        let story = env.whole_story_of_session(&id)?;
        Ok((!story.is_empty()).then_some(()))
    })?;
    Ok(id)
}

fn a_command_outlives_its_client(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Nul, 1))?;
    let script = "echo ready; until test -e /share/go; do sleep 0.02; done; for n in 1 2 3; do echo $n; done; : > /share/done; until test -e /share/end; do sleep 0.02; done; exit 7";
    for flags in [
        &["--stdio=stream"][..],
        &["--stdio=stream", "--on-disconnect=keep", "-i"],
    ] {
        let client = env.call(&words(flags, "c", script)).open_stdin().spawn()?;
        lose(client)?;
        let id = only(env)?;
        // What it writes goes nowhere, and does not end it.
        share.tell("go")?;
        share.hear("done")?;
        ensure!(env.inspect_session(&id)?["State"] == "running");
        let waiter = env.call(&["container", "exec-wait", &id]).spawn()?;
        let attached = env.call(&["attach", "--session", &id]).spawn()?;
        ensure!(!attached.ends_within(Duration::from_millis(200))?);
        share.tell("end")?;
        waiter.finish()?.prints("7\n")?;
        let output = attached.finish()?;
        ensure!(output.code == 7 && output.err().is_empty(), "{output}");
        env.ctr(&["kill", "-s", "CONT", "c"])?.ok()?;
        env.check_session_events("c", &id, 7)?;
        env.check_no_sessions("c")?;
        for word in ["go", "done", "end"] {
            share.forget(word)?;
        }
    }
    env.remove("c")
}

fn a_client_that_is_gone_hangs_up(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Nul, 1))?;
    let script = "trap ': > /share/hup; exit 9' HUP; (trap ': > /share/too; exit' HUP; : > /share/child; while :; do sleep 0.02; done) & until test -e /share/child; do sleep 0.02; done; echo ready; while :; do sleep 0.02; done";
    for way in WAYS {
        let flags = [way, "--on-disconnect=hup"];
        lose(env.call(&words(&flags, "c", script)).spawn()?)?;
        share.hear("hup")?;
        share.hear("too")?;
        env.ctr(&["kill", "-s", "CONT", "c"])?.ok()?;
        let events = env.session_events("c")?;
        let last = events.last().context("an event")?;
        ended_by_now(env, &last.1, 9)?;
        for word in ["hup", "too", "child"] {
            share.forget(word)?;
        }
    }
    env.check_no_sessions("c")?;
    env.remove("c")
}

/// A session without a client has ended, or ends now, with this code, and that is reported once.
fn ended_by_now(env: &Env, id: &str, code: i32) -> Result<()> {
    until("the report of an end", || {
        env.ctr(&["kill", "-s", "CONT", "c"])?.ok()?;
        let events = env.session_events("c")?;
        let died = events
            .iter()
            .any(|(kind, of, _)| kind == "exec_died" && of == id);
        Ok(died.then_some(()))
    })?;
    env.check_session_events("c", id, i64::from(code))
}

fn a_client_that_is_gone_kills(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    for way in WAYS {
        let flags = [way, "--on-disconnect=kill"];
        let script = format!("trap '' HUP TERM; echo ready; {FAMILY}");
        let client = env.call(&words(&flags, "c", &script)).spawn()?;
        client.wait_for_stdout("ready")?;
        let all = whole_family(env, 3)?;
        let id = only(env)?;
        lose(client)?;
        all_end(&all)?;
        ended_by_now(env, &id, 137)?;
    }
    // The same of a session that was made before.
    let id = session(env, &[], "c", &format!("echo ready; {FAMILY}"))?;
    let start = ["container", "exec-start", "--on-disconnect=kill", &id];
    let client = env.call(&start).spawn()?;
    client.wait_for_stdout("ready")?;
    let all = whole_family(env, 3)?;
    lose(client)?;
    all_end(&all)?;
    ended(env, &id, 137)?;
    verb(env, "rm", &[&id])?.ok()?;
    env.check_no_sessions("c")?;
    ensure!(env.status("c")? == "running");
    env.remove("c")
}

/// The sessions of which there are events of this kind.
fn events_of(env: &Env, kind: &str) -> Result<Vec<String>> {
    let events = env.session_events("c")?.into_iter();
    let events = events.filter(|event| event.0 == kind);
    Ok(events.map(|(_, id, _)| id).collect())
}

/// Whatever was begun by then is over in the end, and nothing is left of it.
fn a_client_killed_at_any_moment(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let clock = Instant::now();
    env.ctr(&words(&[], "c", "true"))?.prints("")?;
    let whole = clock.elapsed();
    let moments = env.scale.pick(12, 300);
    for moment in 0..moments {
        let flags = [WAYS[usize::from(moment % 2 == 1)], "--on-disconnect=kill"];
        let client = env.call(&words(&flags, "c", "exec sleep 1000")).spawn()?;
        let time = whole * moment / moments;
        ensure!(!client.ends_within(time)?, "it ended");
        client.signal(Signal::KILL)?;
        client.finish()?;
        until("the end of what was begun", || {
            env.ctr(&["kill", "-s", "CONT", "c"])?.ok()?;
            Ok(env.session_files("c")?.is_empty().then_some(()))
        })?;
        env.check_no_sessions("c")
            .with_context(|| format!("after {time:?} of {whole:?}"))?;
    }
    // Each has ended once, and has begun before that.
    let ended = events_of(env, "exec_died")?;
    let begun = events_of(env, "exec")?;
    for id in &ended {
        let story = env.whole_story_of_session(id)?;
        // A client that is killed while it reports has reported, or not.
        ensure!(
            story == ["exec", "exec_died"] || story == ["exec_died"],
            "{story:?}"
        );
    }
    ensure!(
        begun.iter().all(|id| ended.contains(id)),
        "{begun:?} and {ended:?}"
    );
    env.remove("c")
}

/// The code is known or said to be unknown; where the monitor has copied the output, a warning comes before it, that some may be lost.
fn says_how_it_ended(output: &Output, way: &str) -> Result<()> {
    let err = output.err();
    let mut lines: Vec<&str> = err.lines().collect();
    if output.code == 125 {
        let error = lines.pop().unwrap_or_default();
        ensure!(
            error.starts_with("Error: ") && error.contains("unknown"),
            "{output}"
        );
    } else {
        // Nobody has reaped it yet, so the kernel knew.
        ensure!(output.code == 137, "{output}");
    }
    let lost = usize::from(way == WAYS[0]);
    let are_warnings = lines.iter().all(|line| line.starts_with("Warning: "));
    ensure!(are_warnings && lines.len() == lost, "{way}: {output}");
    Ok(())
}

fn a_monitor_is_killed(env: &Env) -> Result<()> {
    WAYS.iter()
        .try_for_each(|way| one_monitor_is_killed(env, way))
}

fn one_monitor_is_killed(env: &Env, way: &str) -> Result<()> {
    container(env, "c", &[])?;
    let client = env
        .call(&words(&[way], "c", "echo ready; exec sleep 1000"))
        .spawn()?;
    client.wait_for_stdout("ready")?;
    let attached = only(env)?;
    let id = running(env, &[], "c", FAMILY)?;
    let made = session(env, &[], "c", "true")?;
    let process = env.session_process(&attached)?;
    let other = env.session_process(&id)?;
    env.lose_monitor("c")?;

    // The command goes on, and so does whoever wants to know how it ends.
    ensure!(
        !client.ends_within(MOMENT)?,
        "{way}: the client has ended before its command"
    );
    ensure!(env.inspect_session(&attached)?["State"] == "running");
    ensure!(env.listed_sessions("c")?.len() == 3);
    goes_on_with_another_one(env, &made, &id)?;
    Env::shoot(&process)?;
    let output = client.finish()?;
    ensure!(output.out() == "ready\n", "{way}: {output}");
    says_how_it_ended(&output, way)?;
    ensure!(
        !other.ends_within(Duration::ZERO)?,
        "the other one has ended"
    );
    ends_as_others(env, &attached, &id, &other)
}

/// What only a monitor can do is done by the one that has been found instead.
fn goes_on_with_another_one(env: &Env, made: &str, runs: &str) -> Result<()> {
    env.ctr(&words(&[], "c", "echo again; exit 3"))?
        .prints_with(3, "again\n")?;
    verb(env, "start", &["-d", made])?.ok()?;
    ended(env, made, 0)?;
    verb(env, "kill", &["-s", "CONT", runs])?.ok()?;
    Ok(())
}

/// Stopped and removed as any other container.
fn ends_as_others(env: &Env, attached: &str, id: &str, other: &Process) -> Result<()> {
    let waiter = env.call(&["container", "exec-wait", id]).spawn()?;
    ensure!(!waiter.ends_within(MOMENT)?, "it does not wait");
    env.ctr(&["stop", "c"])?.prints("c\n")?;
    let output = waiter.finish()?;
    ensure!(
        output.code == 0 && ["-1\n", "137\n"].contains(&output.out().as_str()),
        "{output}"
    );
    ensure!(other.ends_within(PATIENCE)?);
    env.ctr(&["rm", "c"])?.prints("c\n")?;
    for id in [attached, id] {
        let events = env.whole_story_of_session(id)?;
        ensure!(events == ["exec", "exec_died"], "{events:?}");
    }
    Ok(())
}

fn a_monitor_is_killed_with_its_container(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let client = env
        .call(&words(
            &["--stdio=stream"],
            "c",
            "echo ready; exec sleep 1000",
        ))
        .spawn()?;
    client.wait_for_stdout("ready")?;
    let id = running(env, &[], "c", FAMILY)?;
    let all = whole_family(env, 4)?;
    let first = env.first_process("c")?;
    // It would see to another monitor, which would clean up.
    client.signal(Signal::STOP)?;
    env.lose_monitor("c")?;
    Env::shoot(&first)?;
    all_end(&all)?;
    client.signal(Signal::CONT)?;
    let output = client.finish()?;
    says_how_it_ended(&output, WAYS[0])?;
    let value = env.inspect_session(&id)?;
    // Killed by the kernel with the rest of its pid namespace; whether that is known is up to who reaps it.
    let code = value["ExitCode"].as_i64().context("ExitCode")?;
    ensure!(
        value["State"] == "ended" && [-1, 137].contains(&code),
        "{value}"
    );
    ensure!(code == 137 || value["Reason"].is_string(), "{value}");
    let output = verb(env, "wait", &[&id])?;
    ensure!(
        output.code == 0 && ["-1\n", "137\n"].contains(&output.out().as_str()),
        "{output}"
    );
    env.ctr(&["container", "cleanup", "c"])?.prints("c\n")?;
    ensure!(env.listed_sessions("c")?.is_empty());
    env.ctr(&["start", "c"])?.prints("c\n")?;
    env.ctr(&words(&[], "c", "exit 3"))?.prints_with(3, "")?;
    env.check_no_sessions("c")?;
    env.remove("c")
}
