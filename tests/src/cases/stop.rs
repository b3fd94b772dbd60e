//! `stop` and `kill`.

use anyhow::{Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;

cases! {
    Core term_then_kill,
    Core term_is_handled,
    Full own_stop_signal,
    Full own_stop_timeout,
    Full kill_sends_what_is_asked,
    Full kill_reaches_the_first_process_only,
    Full stop_while_waited_for,
    Full stop_of_a_foreground_run,
    Full stop_twice_at_once,
}

/// A program that takes its time when asked: it says so, and ends when it likes.
const POLITE: &str = "trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.02; done";

fn term_then_kill(env: &Env) -> Result<()> {
    // The first process of a container ignores what it does not handle.
    env.detached("deaf", &[], "echo ready; while :; do sleep 0.02; done")?;
    env.wait_for_log("deaf", "ready")?;
    let output = env.ctr(&["stop", "-t", "1", "deaf"])?;
    ensure!(output.code == 0 && output.out() == "deaf\n", "{output}");
    let warning = output.err();
    ensure!(warning.lines().count() == 1, "{output}");
    for word in ["deaf", "SIGTERM", "kill"] {
        ensure!(
            warning.contains(word),
            "the warning does not say {word}: {output}"
        );
    }
    env.ctr(&["wait", "deaf"])?.prints("137\n")?;
    env.wait_for_cleanup("deaf")?;
    env.ctr(&["rm", "deaf"])?.prints("deaf\n")
}

fn term_is_handled(env: &Env) -> Result<()> {
    env.detached("polite", &["--stop-timeout", "60"], POLITE)?;
    env.wait_for_log("polite", "ready")?;
    env.ctr(&["stop", "polite"])?.prints("polite\n")?;
    env.ctr(&["logs", "polite"])?.prints("ready\ngot\n")?;
    env.ctr(&["wait", "polite"])?.prints("7\n")?;
    // It starts again as if nothing had been.
    env.ctr(&["start", "polite"])?.prints("polite\n")?;
    env.wait_for_log("polite", "got\nready\n")?;
    env.ctr(&["stop", "-t", "60", "polite"])?
        .prints("polite\n")?;
    env.ctr(&["wait", "polite"])?.prints("7\n")?;
    env.ctr(&["rm", "polite"])?.prints("polite\n")
}

fn own_stop_signal(env: &Env) -> Result<()> {
    for signal in ["USR1", "SIGUSR1", "10"] {
        let script = "trap 'exit 8' USR1; echo ready; while :; do sleep 0.02; done";
        let flags = ["--stop-signal", signal, "--stop-timeout", "60"];
        env.detached("s", &flags, script)?;
        env.wait_for_log("s", "ready")?;
        env.ctr(&["stop", "s"])?.prints("s\n")?;
        env.ctr(&["wait", "s"])?.prints("8\n")?;
        env.ctr(&["rm", "s"])?.prints("s\n")?;
    }
    Ok(())
}

fn own_stop_timeout(env: &Env) -> Result<()> {
    env.detached(
        "t",
        &["--stop-timeout", "1"],
        "echo ready; while :; do sleep 0.02; done",
    )?;
    env.wait_for_log("t", "ready")?;
    let output = env.ctr(&["stop", "t"])?;
    ensure!(
        output.code == 0 && output.err().contains("kill"),
        "{output}"
    );
    env.ctr(&["wait", "t"])?.prints("137\n")?;
    env.ctr(&["rm", "t"])?.prints("t\n")
}

fn kill_sends_what_is_asked(env: &Env) -> Result<()> {
    let script = "for s in HUP INT USR1 USR2; do trap \"echo got $s\" $s; done; echo ready; while :; do sleep 0.02; done";
    env.detached("k", &[], script)?;
    env.wait_for_log("k", "ready")?;
    for (typed, name) in [
        ("HUP", "HUP"),
        ("SIGINT", "INT"),
        ("10", "USR1"),
        ("usr2", "USR2"),
    ] {
        env.ctr(&["kill", "-s", typed, "k"])?.prints("k\n")?;
        env.wait_for_log("k", &format!("got {name}"))?;
    }
    ensure!(env.status("k")? == "running");
    for wrong in ["NOSUCH", "0", "65", "-1", ""] {
        env.ctr(&["kill", "-s", wrong, "k"])?.refused(125, &[])?;
    }
    env.ctr(&["kill", "k"])?.prints("k\n")?;
    env.ctr(&["wait", "k"])?.prints("137\n")?;
    env.ctr(&["rm", "k"])?.prints("k\n")
}

fn kill_reaches_the_first_process_only(env: &Env) -> Result<()> {
    let script = "trap 'echo first' USR1; \
        sh -c 'trap \"echo second\" USR1; echo ready; while :; do sleep 0.02; done' & \
        while :; do sleep 0.02; done";
    env.detached("two", &[], script)?;
    env.wait_for_log("two", "ready")?;
    env.ctr(&["kill", "-s", "USR1", "two"])?.prints("two\n")?;
    let log = env.wait_for_log("two", "first")?;
    ensure!(!log.contains("second"), "{log}");
    env.remove("two")
}

fn stop_while_waited_for(env: &Env) -> Result<()> {
    env.detached("p", &["--stop-timeout", "60"], POLITE)?;
    env.wait_for_log("p", "ready")?;
    let waiting = [
        env.call(&["wait", "p"]).spawn()?,
        env.call(&["wait", "p"]).spawn()?,
    ];
    env.ctr(&["stop", "p"])?.prints("p\n")?;
    for one in waiting {
        one.finish()?.prints("7\n")?;
    }
    env.ctr(&["rm", "p"])?.prints("p\n")
}

fn stop_of_a_foreground_run(env: &Env) -> Result<()> {
    let flags = ["--name", "f", "--stop-timeout", "60"];
    let running = env.start_run(&flags, &["sh", "-c", POLITE])?;
    running.wait_for_stdout("ready")?;
    env.ctr(&["stop", "f"])?.prints("f\n")?;
    running.finish()?.prints_with(7, "ready\ngot\n")
}

fn stop_twice_at_once(env: &Env) -> Result<()> {
    env.detached("d", &["--stop-timeout", "60"], POLITE)?;
    env.wait_for_log("d", "ready")?;
    let both = [
        env.call(&["stop", "d"]).spawn()?,
        env.call(&["stop", "d"]).spawn()?,
    ];
    for one in both {
        one.finish()?.prints("d\n")?;
    }
    env.ctr(&["wait", "d"])?.prints("7\n")?;
    env.ctr(&["rm", "d"])?.prints("d\n")
}
