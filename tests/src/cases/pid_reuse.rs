//! A pid that was recorded belongs to somebody else by now: whoever has it is never signalled, moved, or taken for what had it before.
//!
//! All runs in a pid namespace with few pids. What a container, or a command, was known by is killed where nobody sees it, and a victim
//! gets its pid: a process that keeps account of every signal. Then commands are given, and the victim must not have noticed.

use anyhow::{Context, Result, ensure};

use super::holders::{Hanging, hang_in, locked_by, wait_for_hang};
use super::policies::BackOff;
use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::hosted::{container, running, runs};
use crate::harness::output::Output;
use crate::harness::pid_space::{PidSpace, Victim};
use crate::harness::wait;

cases! {
    Core the_first_process,
    Core the_monitor,
    Full the_process_of_a_session,
    Full a_command_that_was_starting_it,
    Full a_command_that_was_stopping_it,
    Full a_process_that_was_to_start_it_again,
}

/// Kills the monitor and then the first process, which nobody sees; gives the pid of the latter.
fn dies_unseen(env: &Env, space: &PidSpace<'_>, name: &str) -> Result<i32> {
    let first = env.state_number(name, "Pid")?;
    space.shoot(env.state_number(name, "ConmonPid")?)?;
    space.shoot(first)?;
    Ok(first)
}

/// What only looks tells that the container has ended, and nobody knows how.
fn is_told_to_have_ended(env: &Env, name: &str) -> Result<()> {
    let running = env.ctr(&["ps", "-q"])?.ok()?;
    ensure!(running.is_empty(), "ps shows {running}");
    let state = env.inspect(name)?["State"].take();
    let status = state["Status"].as_str().context("Status")?;
    ensure!(
        matches!(status, "stopped" | "exited") && state["Running"] == false && state["Pid"] == 0,
        "{state}"
    );
    // A keeper may have seen it, or the kernel may still know.
    let code = state["ExitCode"].as_i64().context("ExitCode")?;
    ensure!([-1, 137].contains(&code), "{state}");
    let waited = env.ctr(&["wait", name])?;
    let known = ["-1\n", "137\n"].contains(&waited.out().as_str());
    ensure!(waited.code == 0 && known, "{waited}");
    env.ctr(&["exec", name, "true"])?.refused(125, &[name])
}

/// Success with this name, or a refusal in one line.
fn answers(output: &Output, name: &str) -> Result<()> {
    match output.code {
        0 => output.prints(&format!("{name}\n")),
        _ => output.one_error(&[name]),
    }
}

fn the_first_process(env: &Env) -> Result<()> {
    let verbs: [&[&str]; 10] = [
        &["stop"],
        &["kill"],
        &["rm", "-f"],
        &["kill", "-s", "TERM"],
        &["restart"],
        &["start"],
        &["pause"],
        &["container", "cleanup"],
        &["rm"],
        &["container", "refresh"],
    ];
    let mut space = PidSpace::make(env)?;
    for round in 0..env.scale.pick(verbs.len(), 200) {
        container(env, "c", &[])?;
        let first = dies_unseen(env, &space, "c")?;
        // Under the very name that it had.
        let victim = space.place(first, "sleep")?;
        let verb = verbs[round % verbs.len()];
        // Half of them are the first to notice.
        if (round / verbs.len()).is_multiple_of(2) {
            is_told_to_have_ended(env, "c")?;
        }
        let output = env.ctr(&[verb, &["c"]].concat())?;
        answers(&output, "c").with_context(|| format!("{verb:?}"))?;
        victim.check().with_context(|| format!("after {verb:?}"))?;
        if env.ctr(&["container", "exists", "c"])?.code == 0 {
            env.remove("c")?;
        }
        over(&space, &victim)?;
    }
    env.check_leaks_after("all rounds")
}

/// The victim has lived until now, and ends.
fn over(space: &PidSpace<'_>, victim: &Victim) -> Result<()> {
    victim.check()?;
    space.shoot(victim.pid)
}

fn the_monitor(env: &Env) -> Result<()> {
    let mut space = PidSpace::make(env)?;
    for round in 0..env.scale.pick(2, 50) {
        container(env, "c", &[])?;
        let monitor = env.state_number("c", "ConmonPid")?;
        let name = space.words(monitor)?.swap_remove(0);
        space.shoot(monitor)?;
        let victim = space.place(monitor, &name)?;
        // It runs, without a monitor or with another one.
        let running = env.ctr(&["ps", "-q"])?.ok()?;
        ensure!(running.lines().count() == 1, "ps shows {running:?}");
        let state = env.inspect("c")?["State"].take();
        ensure!(
            state["Status"] == "running" && state["ConmonPid"] != monitor,
            "{state}"
        );
        env.ctr(&["logs", "c"])?.prints("")?;
        let output = env.ctr(&["exec", "c", "true"])?;
        ensure!(output.code == 0 || output.code == 125, "{output}");
        let verb: &[&str] = [&["stop"][..], &["kill"], &["rm", "-f"], &["restart"]][round % 4];
        env.ctr(&[verb, &["c"]].concat())?.prints("c\n")?;
        victim.check().with_context(|| format!("after {verb:?}"))?;
        if env.ctr(&["container", "exists", "c"])?.code == 0 {
            env.remove("c")?;
        }
        over(&space, &victim)?;
    }
    env.check_leaks_after("all rounds")
}

fn the_process_of_a_session(env: &Env) -> Result<()> {
    let mut space = PidSpace::make(env)?;
    for round in 0..env.scale.pick(2, 50) {
        container(env, "c", &[])?;
        let session = running(env, &[], "c", "exec sleep 1000")?;
        let process = env.inspect_session(&session)?["Pid"].as_i64();
        let process = i32::try_from(process.context("Pid")?)?;
        let kept = round % 2 == 0;
        if kept {
            space.shoot(env.state_number("c", "ConmonPid")?)?;
        }
        space.shoot(process)?;
        let victim = space.place(process, "sleep")?;
        ensure!(!runs(env, &session)?, "its session is said to run");
        // Without a monitor, a keeper may have seen it, or not.
        let waited = env.ctr(&["container", "exec-wait", &session])?;
        let unknown = kept && waited.out() == "-1\n";
        ensure!(
            waited.code == 0 && (unknown || waited.out() == "137\n"),
            "{waited}"
        );
        for verb in [
            &["exec-kill"][..],
            &["exec-kill", "-s", "TERM"],
            &["exec-rm"],
        ] {
            let words = [&["container"], verb, &[&session]].concat();
            let output = env.ctr(&words)?;
            ensure!(output.code == 0 || output.code == 125, "{output}");
            victim.check().with_context(|| format!("after {verb:?}"))?;
        }
        env.remove("c")?;
        over(&space, &victim)?;
    }
    env.check_leaks_after("all rounds")
}

/// The command has died with the lock in its hands, in the middle of a call of the runtime.
fn a_command_that_was_starting_it(env: &Env) -> Result<()> {
    let mut space = PidSpace::make(env)?;
    let hanging = Hanging::make(env)?;
    for round in 0..env.scale.pick(1, 50) {
        let verb = ["start", "create"][round % 2];
        hanging.create(env)?;
        hang_in(env, verb)?;
        let starting = env.call(&["start", "held"]).spawn()?;
        wait_for_hang(env, verb)?;
        let (_, owner) = locked_by(env)?.context("nobody has the lock")?;
        space.shoot(owner)?;
        starting.finish()?;
        let victim = space.place(owner, "ctr")?;
        ensure!(locked_by(env)?.is_none(), "it still has the lock");
        let status = env.status("held")?;
        ensure!(status != "running", "{status}");
        env.ctr(&["start", "held"])?.prints("held\n")?;
        victim.check().with_context(|| format!("after {verb}"))?;
        ensure!(env.status("held")? == "running");
        env.remove("held")?;
        over(&space, &victim)?;
    }
    env.check_leaks_after("all rounds")
}

/// A stop that has asked and waits, without the lock.
fn a_command_that_was_stopping_it(env: &Env) -> Result<()> {
    let mut space = PidSpace::make(env)?;
    for round in 0..env.scale.pick(2, 50) {
        let script = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
        env.detached("c", &[], script)?;
        env.wait_for_log("c", "ready")?;
        let stopping = env.call(&["stop", "-t", "-1", "c"]).spawn()?;
        env.wait_for_status("c", "stopping")?;
        let owner = PidSpace::called_by(&stopping)?;
        space.shoot(owner)?;
        stopping.finish()?;
        let victim = space.place(owner, "ctr")?;
        ensure!(env.status("c")? == "stopping");
        let verb: &[&str] = [&["stop", "-t", "0"][..], &["kill"], &["rm", "-f"]][round % 3];
        env.ctr(&[verb, &["c"]].concat())?.prints("c\n")?;
        victim.check().with_context(|| format!("after {verb:?}"))?;
        if env.ctr(&["container", "exists", "c"])?.code == 0 {
            env.remove("c")?;
        }
        over(&space, &victim)?;
    }
    env.check_leaks_after("all rounds")
}

/// The command that waits for the moment of a restart is gone, and its pid is not: somebody else has to see to it.
fn a_process_that_was_to_start_it_again(env: &Env) -> Result<()> {
    let mut space = PidSpace::make(env)?;
    for round in 0..env.scale.pick(1, 20) {
        let back_off = BackOff::begin(env, "c", "always")?;
        let restarts = env.restart_count("c")?;
        let pid = PidSpace::inside(&back_off.waiting)?;
        space.shoot(pid)?;
        let victim = space.place(pid, "ctr")?;
        let verb: &[&str] = [&["pause"][..], &["container", "cleanup"]][round % 2];
        let output = env.ctr(&[verb, &["c"]].concat())?;
        ensure!(matches!(output.code, 0 | 125), "{output}");
        wait::until("another start", || {
            Ok((env.restart_count("c")? > restarts).then_some(()))
        })?;
        victim.check().with_context(|| format!("after {verb:?}"))?;
        env.remove("c")?;
        Env::wait_for_cleaners(&back_off.id)?;
        over(&space, &victim)?;
    }
    env.check_leaks_after("all rounds")
}
