//! Wrong input to `attach` and to the options of terminals: one clear line, nothing made, nothing ended.

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;

cases! {
    Full bad_detach_keys,
    Full bad_streams_and_combinations,
    Full attach_needs_a_running_container,
    Full attach_needs_one_container,
}

const BAD_KEYS: &[&str] = &[
    "ctrl-",
    "ctrl-1",
    "ctrl-pp",
    "ctrl-é",
    "ab",
    ",",
    "a,",
    ",a",
    "ctrl-p,,ctrl-q",
    "ctrl-p ctrl-q",
    "ctrl-p;ctrl-q",
    "é",
    "del",
    "a,€",
    "\u{7}b",
];

fn bad_detach_keys(env: &Env) -> Result<()> {
    env.detached("r", &["-i", "-t"], "sleep 1000")?;
    env.create("c", &["-i", "-t"], &["true"])?;
    for keys in BAD_KEYS {
        let flag = format!("--detach-keys={keys}");
        env.run(&["-i", "-t", &flag], &["true"])?
            .refused(125, &["detach", "ctrl-"])
            .with_context(|| format!("run {keys:?}"))?;
        for words in [
            &["attach", &flag, "r"][..],
            &["start", "-a", "-i", &flag, "c"],
        ] {
            env.ctr(words)?
                .refused(125, &["detach", "ctrl-"])
                .with_context(|| format!("{words:?}"))?;
        }
    }
    ensure!(env.status("r")? == "running");
    ensure!(env.status("c")? == "created");
    ensure!(env.ids()?.len() == 2, "a refused run left a container");
    env.remove("c")?;
    env.remove("r")
}

fn bad_streams_and_combinations(env: &Env) -> Result<()> {
    for stream in ["", "stdnix", "out", "stdout,stderr", "1"] {
        env.run(&["-a", stream], &["true"])?
            .refused(125, &["stdin", "stdout", "stderr"])
            .with_context(|| format!("-a {stream:?}"))?;
    }
    for flags in [
        &["-d", "-a", "stdout"][..],
        &["-d", "-a", "stdin", "-a", "stderr"],
    ] {
        env.run(flags, &["true"])?
            .refused(125, &["detach", "attach"])
            .with_context(|| format!("{flags:?}"))?;
    }
    for flag in ["--sig-proxy=maybe", "--sig-proxy="] {
        env.run(&[flag], &["true"])?
            .refused(125, &["sig-proxy"])
            .with_context(|| flag.to_owned())?;
    }
    ensure!(env.ids()?.is_empty());
    Ok(())
}

fn attach_needs_a_running_container(env: &Env) -> Result<()> {
    env.ctr(&["attach", "nosuch"])?.refused(125, &["nosuch"])?;
    env.create("c", &[], &["true"])?;
    // Created and ended: the error says which it is, the hint what to type instead.
    let output = env.ctr(&["attach", "c"])?;
    output.refused(125, &["c", "created", "start"])?;
    ensure!(output.err().contains("Hint: "), "{output}");
    env.ctr(&["start", "c"])?.prints("c\n")?;
    env.ctr(&["wait", "c"])?.prints("0\n")?;
    env.wait_for_cleanup("c")?;
    let output = env.ctr(&["attach", "c"])?;
    output.refused(125, &["c", "start"])?;
    ensure!(output.err().contains("Hint: "), "{output}");
    env.ctr(&["attach", "-l"])?.refused(125, &["start"])?;
    env.remove("c")
}

fn attach_needs_one_container(env: &Env) -> Result<()> {
    env.detached("a", &[], "sleep 1000")?;
    env.detached("b", &[], "sleep 1000")?;
    for words in [
        &["attach"][..],
        &["attach", "a", "b"],
        &["attach", "-l", "a"],
        &["attach", ""],
        &["attach", "--no-such-flag", "a"],
        &["attach", "--no-stdin=maybe", "a"],
        &["start", "-a", "a", "b"],
    ] {
        env.ctr(words)?
            .refused(125, &[])
            .with_context(|| format!("{words:?}"))?;
    }
    ensure!(env.status("a")? == "running" && env.status("b")? == "running");
    env.remove("a")?;
    env.remove("b")
}
