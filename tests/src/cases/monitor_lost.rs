//! Monitors that are killed while a container goes on: its keeper, or another one, looks after it as the first one would have.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::{Env, refs};
use crate::harness::program::Running;
use crate::harness::terminal::SIZE;
use crate::harness::wait::until;

cases! {
    Core client_in_the_foreground_goes_on,
    Core terminal_survives,
    Full input_goes_on_and_ends,
    Full policy_is_honoured,
    Full removal_is_honoured,
    Full time_limit_is_honoured,
    Full container_that_waits_is_started,
    Full killed_one_after_the_other,
    Core told_afterwards,
}

/// Who is left when the monitor has been killed.
#[derive(Clone, Copy, Debug)]
enum Left {
    /// Its keeper, who takes over by itself.
    Keeper,
    /// Nobody, until a command takes the lock.
    Nobody,
}

const BOTH: [Left; 2] = [Left::Keeper, Left::Nobody];

fn kill(env: &Env, name: &str, left: Left) -> Result<()> {
    match left {
        Left::Nobody => env.lose_monitor(name),
        Left::Keeper => {
            let monitor = env.monitor(name)?;
            let keeper = env.keeper(name)?;
            Env::shoot(&monitor)?;
            until("the keeper to take over", || {
                let pid = env.state_number(name, "ConmonPid")?;
                Ok((pid == keeper.pid).then_some(()))
            })
        }
    }
}

/// A container in the foreground that says `begun`, and `over` and a code when it is told to end.
fn in_foreground(env: &Env, flags: &[&str]) -> Result<Running> {
    let script = "echo begun; trap 'echo over; exit 7' USR1; while :; do sleep 0.02; done";
    let words = [&["--name", "c", "--rm"], flags].concat();
    let client = env.start_run(&words, &["sh", "-c", script])?;
    client.wait_for_stdout("begun\n")?;
    Ok(client)
}

fn client_in_the_foreground_goes_on(env: &Env) -> Result<()> {
    for left in BOTH {
        let client = in_foreground(env, &[])?;
        let id = env.inspect("c")?["Id"].take();
        kill(env, "c", left)?;
        env.ctr(&["kill", "-s", "USR1", "c"])?.prints("c\n")?;
        let output = client.finish()?;
        ensure!(
            output.code == 7 && output.out() == "begun\nover\n",
            "{left:?}: {output}"
        );
        ensure!(output.err().lines().count() == 1, "{output}");
        // Removed by its client, as it was to be.
        env.ctr(&["container", "exists", "c"])?.prints_with(1, "")?;
        let id = id.as_str().context("Id")?;
        let run = &env.past_runs(id)?[0];
        ensure!(run["ExitCode"] == 7 && run["MonitorsLost"] == 1, "{run}");
    }
    Ok(())
}

fn terminal_survives(env: &Env) -> Result<()> {
    let script = "trap 'echo hangup' HUP; trap 'stty size' WINCH; echo ready; \
                  while read line; do echo \"<$line>\"; done; exit 5";
    let words = env.run_words(&["-i", "-t", "--name", "c"], &["sh", "-c", script]);
    let mut terminal = env.terminal(&refs(&words), SIZE)?;
    terminal.expect("ready")?;
    for round in ["one", "two"] {
        kill(env, "c", Left::Keeper)?;
        terminal.send_line(round)?;
        terminal.expect(&format!("<{round}>"))?;
    }
    terminal.send(b"\x04")?;
    let screen = terminal.finish(5)?;
    ensure!(!screen.contains("hangup"), "{screen}");
    Ok(())
}

/// Without a keeper nobody would have the other end of the pipe, and the program would see the end of its input.
fn input_goes_on_and_ends(env: &Env) -> Result<()> {
    let words = env.run_words(&["-i", "--name", "c"], &["cat"]);
    let mut client = env.call(&refs(&words)).open_stdin().spawn()?;
    client.say(b"one\n")?;
    client.wait_for_stdout("one\n")?;
    kill(env, "c", Left::Keeper)?;
    client.say(b"two\n")?;
    client.wait_for_stdout("two\n")?;
    client.close_stdin();
    let output = client.finish()?;
    ensure!(output.code == 0 && output.out() == "one\ntwo\n", "{output}");
    Ok(())
}

fn policy_is_honoured(env: &Env) -> Result<()> {
    for left in BOTH {
        env.detached("c", &["--restart", "always"], "echo ready; sleep 1000")?;
        env.wait_for_log("c", "ready\n")?;
        let program = env.first_process("c")?;
        kill(env, "c", left)?;
        env.ctr(&["kill", "-s", "CONT", "c"])?.prints("c\n")?;
        Env::shoot(&program)?;
        env.wait_for_event("c", "start", 2)?;
        ensure!(env.restart_count("c")? == 1, "{left:?}");
        let run = &env.past_runs("c")?[0];
        ensure!(run["ExitCode"] == 137 && run["MonitorsLost"] == 1, "{run}");
        env.remove("c")?;
    }
    Ok(())
}

fn removal_is_honoured(env: &Env) -> Result<()> {
    for left in BOTH {
        let id = env.detached("c", &["--rm"], "echo ready; sleep 1000")?;
        let gone = env
            .call(&["wait", "--condition", "removing", "c"])
            .spawn()?;
        let program = env.first_process("c")?;
        kill(env, "c", left)?;
        env.ctr(&["pause", "c"])?.prints("c\n")?;
        env.ctr(&["unpause", "c"])?.prints("c\n")?;
        Env::shoot(&program)?;
        gone.finish()?.prints("137\n")?;
        until("the removal", || {
            let output = env.ctr(&["container", "exists", &id])?;
            Ok((output.code == 1).then_some(()))
        })?;
    }
    Ok(())
}

fn time_limit_is_honoured(env: &Env) -> Result<()> {
    for left in BOTH {
        env.detached("c", &["--timeout", "3"], "sleep 1000")?;
        kill(env, "c", left)?;
        env.ctr(&["kill", "-s", "CONT", "c"])?.prints("c\n")?;
        env.ctr(&["wait", "c"])?.prints("255\n")?;
        env.remove("c")?;
    }
    Ok(())
}

fn container_that_waits_is_started(env: &Env) -> Result<()> {
    for left in BOTH {
        env.create("c", &[], &["sh", "-c", "echo ran; exit 3"])?;
        env.ctr(&["init", "c"])?.prints("c\n")?;
        kill(env, "c", left)?;
        env.ctr(&["start", "c"])?.prints("c\n")?;
        env.ctr(&["wait", "c"])?.prints("3\n")?;
        ensure!(env.generation("c")? == 1, "{left:?}: it was made anew");
        env.wait_for_log("c", "ran\n")?;
        env.remove("c")?;
    }
    Ok(())
}

/// Each of the monitors has its keeper soon, and each new one is like the one before.
fn killed_one_after_the_other(env: &Env) -> Result<()> {
    let count = env.scale.pick(5, 50);
    let client = in_foreground(env, &[])?;
    for round in 0..count {
        let left = BOTH[usize::from(round % 5 == 4)];
        kill(env, "c", left)?;
        ensure!(!client.ends_within(Duration::ZERO)?, "{round}");
        env.ctr(&["exec", "c", "true"])?.prints("")?;
    }
    env.ctr(&["kill", "-s", "USR1", "c"])?.prints("c\n")?;
    let output = client.finish()?;
    ensure!(
        output.code == 7 && output.out() == "begun\nover\n",
        "{output}"
    );
    Ok(())
}

fn told_afterwards(env: &Env) -> Result<()> {
    env.detached("c", &[], "echo ready; sleep 1000")?;
    env.wait_for_log("c", "ready\n")?;
    kill(env, "c", Left::Keeper)?;
    kill(env, "c", Left::Keeper)?;
    env.ctr(&["kill", "-s", "KILL", "c"])?.prints("c\n")?;
    env.wait_for_cleanup("c")?;
    let table = env.ctr(&["container", "history", "c"])?.ok()?;
    ensure!(
        table.contains("its monitor was killed 2 times before"),
        "{table}"
    );
    let log = env.ctr(&["logs", "c"])?;
    ensure!(log.code == 0 && log.out() == "ready\n", "{log}");
    env.ctr(&["exec", "c", "true"])?.refused(125, &["exited"])?;
    env.remove("c")
}
