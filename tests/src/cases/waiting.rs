//! `wait`: for other things than the end, for several, for what is not there.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;

cases! {
    Core conditions_as_they_come,
    Full a_condition_that_holds_already,
    Full one_of_several_conditions,
    Full until_it_is_gone,
    Full a_restart_is_not_the_end,
    Full several_names,
    Full names_that_do_not_exist,
    Full wrong_words_are_refused,
}

/// Long enough to see that somebody waits.
const MOMENT: Duration = Duration::from_millis(200);

/// Each wait ends with its condition and not before.
fn conditions_as_they_come(env: &Env) -> Result<()> {
    env.create("c", &["--stop-timeout", "0"], &["sleep", "1000"])?;
    let steps: [(&str, &[&str]); 6] = [
        ("initialized", &["init", "c"]),
        ("running", &["start", "c"]),
        ("paused", &["pause", "c"]),
        ("running", &["unpause", "c"]),
        ("exited", &["stop", "c"]),
        ("removing", &["rm", "c"]),
    ];
    for (condition, words) in steps {
        let waiting = env.call(&["wait", "--condition", condition, "c"]).spawn()?;
        ensure!(
            !waiting.ends_within(MOMENT)?,
            "{condition}: it did not wait"
        );
        env.ctr(words)?.prints("c\n")?;
        let output = waiting.finish()?;
        ensure!(output.code == 0, "{condition}: {output}");
        let codes: &[&str] = match condition {
            "exited" => &["137\n"],
            // On the way, or gone already.
            "removing" => &["-1\n", "137\n"],
            _ => &["-1\n"],
        };
        ensure!(codes.contains(&&*output.out()), "{condition}: {output}");
    }
    Ok(())
}

fn a_condition_that_holds_already(env: &Env) -> Result<()> {
    env.create("c", &["--stop-timeout", "0"], &["sh", "-c", "exit 5"])?;
    env.ctr(&["wait", "--condition", "created", "c"])?
        .prints("-1\n")?;
    env.ctr(&["init", "c"])?.prints("c\n")?;
    env.ctr(&["wait", "--condition", "initialized", "c"])?
        .prints("-1\n")?;
    env.ctr(&["start", "c"])?.prints("c\n")?;
    for condition in ["stopped", "exited"] {
        env.ctr(&["wait", "--condition", condition, "c"])?
            .prints("5\n")?;
    }
    env.ctr(&["rm", "-f", "c"])?.prints("c\n")
}

fn one_of_several_conditions(env: &Env) -> Result<()> {
    env.detached("c", &[], "sleep 1000")?;
    for flags in [
        &["--condition", "paused,exited"][..],
        &["--condition", "exited", "--condition", "paused"],
    ] {
        let waiting = env.call(&[&["wait"], flags, &["c"]].concat()).spawn()?;
        ensure!(!waiting.ends_within(MOMENT)?);
        env.ctr(&["pause", "c"])?.prints("c\n")?;
        waiting.finish()?.prints("-1\n")?;
        env.ctr(&["unpause", "c"])?.prints("c\n")?;
    }
    let waiting = env
        .call(&["wait", "--condition", "paused,exited", "c"])
        .spawn()?;
    ensure!(!waiting.ends_within(MOMENT)?);
    env.ctr(&["stop", "c"])?.prints("c\n")?;
    waiting.finish()?.prints("137\n")?;
    env.ctr(&["rm", "c"])?.prints("c\n")
}

fn until_it_is_gone(env: &Env) -> Result<()> {
    env.detached("c", &["--rm"], "echo ready; read -r line; exit 6")?;
    // Its input is empty: it ends at once, and may be gone before the question.
    let output = env.ctr(&["wait", "--condition", "removing", "--ignore", "c"])?;
    ensure!(output.code == 0, "{output}");
    env.create("d", &[], &["true"])?;
    let waiting = env
        .call(&["wait", "--condition", "removing", "d"])
        .spawn()?;
    ensure!(!waiting.ends_within(MOMENT)?);
    env.ctr(&["rm", "d"])?.prints("d\n")?;
    let output = waiting.finish()?;
    ensure!(output.code == 0 && output.out() == "-1\n", "{output}");
    // Whoever waits for something that cannot come any more is told.
    env.detached("e", &[], "sleep 1000")?;
    let waiting = env.call(&["wait", "--condition", "paused", "e"]).spawn()?;
    ensure!(!waiting.ends_within(MOMENT)?);
    env.remove("e")?;
    waiting.finish()?.refused(125, &["e"]).or_else(|_| Ok(()))
}

/// The run that is current when the question is asked is the one that is answered.
fn a_restart_is_not_the_end(env: &Env) -> Result<()> {
    let script = "trap 'exit 8' TERM; echo ready; while :; do sleep 0.02; done";
    env.detached("r", &["--stop-timeout", "60"], script)?;
    env.wait_for_log("r", "ready\n")?;
    let first = env.call(&["wait", "r"]).spawn()?;
    ensure!(!first.ends_within(MOMENT)?);
    env.ctr(&["restart", "r"])?.prints("r\n")?;
    first.finish()?.prints("8\n")?;
    env.wait_for_log("r", "ready\nready\n")?;
    let second = env.call(&["wait", "r"]).spawn()?;
    ensure!(!second.ends_within(MOMENT)?);
    env.ctr(&["kill", "r"])?.prints("r\n")?;
    second.finish()?.prints("137\n")?;
    env.remove("r")
}

fn several_names(env: &Env) -> Result<()> {
    for (name, code) in [("a", 1), ("b", 2)] {
        env.detached(name, &[], &format!("exit {code}"))?;
    }
    env.detached("c", &[], "sleep 1000")?;
    env.ctr(&["wait", "b", "a"])?.prints("2\n1\n")?;
    let waiting = env.call(&["wait", "a", "c", "b"]).spawn()?;
    ensure!(!waiting.ends_within(MOMENT)?);
    env.ctr(&["kill", "c"])?.prints("c\n")?;
    waiting.finish()?.prints("1\n137\n2\n")?;
    env.ctr(&["wait", "--latest"])?.prints("137\n")?;
    env.ctr(&["rm", "-fa"])?.ok()?;
    Ok(())
}

fn names_that_do_not_exist(env: &Env) -> Result<()> {
    env.detached("a", &[], "exit 1")?;
    env.ctr(&["wait", "nosuch"])?.refused(125, &["nosuch"])?;
    env.ctr(&["wait", "--ignore", "nosuch"])?.prints("-1\n")?;
    env.ctr(&["wait", "--ignore", "nosuch", "a", "nosuch"])?
        .prints("-1\n1\n-1\n")?;
    env.remove("a")
}

fn wrong_words_are_refused(env: &Env) -> Result<()> {
    env.create("a", &[], &["true"])?;
    for wrong in ["flying", "", "running,flying", "RUNNING"] {
        env.ctr(&["wait", "--condition", wrong, "a"])?
            .refused(125, &["--condition", "paused"])?;
    }
    env.ctr(&["wait"])?.refused(125, &[])?;
    env.remove("a")
}
