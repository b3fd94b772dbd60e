//! Commands killed at any moment: whatever they had begun, the next ones go on from there, and nothing is left in the end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::program::Running;

cases! {
    Full restart_cut_off,
    Full refresh_cut_off,
    Full pause_cut_off,
    Full unpause_cut_off,
    Full rename_cut_off,
    Full init_cut_off,
    Full stop_cut_off,
    Full boot_cut_off,
    Full replace_cut_off,
    Full start_with_needed_ones_cut_off,
}

/// How often each command is killed in a round that proves little, and in one that proves more.
const MOMENTS: (u32, u32) = (6, 100);

/// A command, the state that it finds, and what must hold when it was killed.
struct Cut<'a> {
    words: &'a [&'a str],
    prepare: &'a dyn Fn(&Env) -> Result<()>,
}

impl Cut<'_> {
    /// Kills the command at moments that are spread over the time that it takes here and now.
    fn at_all_moments(&self, env: &Env) -> Result<()> {
        (self.prepare)(env)?;
        let begin = Instant::now();
        let output = env.ctr(self.words)?;
        ensure!(output.code == 0, "{output}");
        let whole = begin.elapsed();
        settle(env)?;
        let moments = env.scale.pick(MOMENTS.0, MOMENTS.1);
        for moment in 0..moments {
            (self.prepare)(env)?;
            let time = whole * moment / moments;
            kill_after(env.call(self.words).spawn()?, time)?;
            settle(env).with_context(|| format!("killed after {time:?} of {whole:?}"))?;
        }
        Ok(())
    }
}

fn kill_after(command: Running, time: Duration) -> Result<()> {
    if !command.ends_within(time)? {
        command.signal(Signal::KILL)?;
    }
    command.finish()?;
    Ok(())
}

/// Every container that is left can be stopped, started and removed, and leaves nothing.
fn settle(env: &Env) -> Result<()> {
    // Any command that changes a container first takes in what the killed one has left; it may be gone then.
    env.ctr(&["container", "cleanup", "--all"])?.ok()?;
    for id in env.ids()? {
        env.ctr(&["container", "cleanup", &id])?.ok()?;
    }
    for id in env.ids()? {
        if env.status(&id)? == "paused" {
            env.ctr(&["unpause", &id])?.ok()?;
        }
        env.ctr(&["stop", "-t", "0", &id])?
            .prints(&format!("{id}\n"))?;
        let status = env.status(&id)?;
        ensure!(matches!(&*status, "created" | "exited"), "it is {status}");
        env.ctr(&["start", &id])?.prints(&format!("{id}\n"))?;
        ensure!(env.status(&id)? == "running");
        let runs = env.past_runs(&id)?;
        let open = runs.iter().filter(|run| run["Cause"].is_null()).count();
        ensure!(open == 1, "{open} runs go on: {runs:?}");
    }
    env.ctr(&["rm", "-fa"])?.ok()?;
    env.check_leaks()
}

fn runs(env: &Env) -> Result<()> {
    env.detached("c", &[], "sleep 1000").map(drop)
}

fn rests(env: &Env) -> Result<()> {
    runs(env)?;
    env.ctr(&["pause", "c"])?.prints("c\n")
}

fn waits_to_be_made(env: &Env) -> Result<()> {
    env.create("c", &["--stop-timeout", "0"], &["sleep", "1000"])
        .map(drop)
}

fn waits_for_the_boot(env: &Env) -> Result<()> {
    for name in ["a", "b"] {
        env.detached(name, &["--restart", "always"], "sleep 1000")?;
        env.ctr(&["stop", name])?.ok()?;
    }
    Ok(())
}

fn is_needed(env: &Env) -> Result<()> {
    let quick = ["--stop-timeout", "0"];
    env.create("base", &quick, &["sleep", "1000"])?;
    let flags = [&quick[..], &["--network", "container:base"]].concat();
    env.create("top", &flags, &["sleep", "1000"]).map(drop)
}

fn cut(env: &Env, words: &[&str], prepare: &dyn Fn(&Env) -> Result<()>) -> Result<()> {
    Cut { words, prepare }.at_all_moments(env)
}

fn restart_cut_off(env: &Env) -> Result<()> {
    cut(env, &["restart", "-t", "0", "c"], &runs)
}

fn refresh_cut_off(env: &Env) -> Result<()> {
    cut(env, &["container", "refresh", "c"], &rests)
}

fn pause_cut_off(env: &Env) -> Result<()> {
    cut(env, &["pause", "c"], &runs)
}

fn unpause_cut_off(env: &Env) -> Result<()> {
    cut(env, &["unpause", "c"], &rests)
}

fn rename_cut_off(env: &Env) -> Result<()> {
    cut(env, &["rename", "c", "d"], &runs)
}

fn init_cut_off(env: &Env) -> Result<()> {
    cut(env, &["init", "c"], &waits_to_be_made)
}

fn stop_cut_off(env: &Env) -> Result<()> {
    cut(env, &["stop", "c"], &runs)
}

fn boot_cut_off(env: &Env) -> Result<()> {
    cut(env, &["boot"], &waits_for_the_boot)
}

fn replace_cut_off(env: &Env) -> Result<()> {
    let rootfs = env.rootfs();
    let words = [
        "run",
        "-d",
        "--name",
        "c",
        "--replace",
        "--stop-timeout",
        "0",
        "--rootfs",
        &rootfs,
        "sleep",
        "1000",
    ];
    cut(env, &words, &runs)
}

fn start_with_needed_ones_cut_off(env: &Env) -> Result<()> {
    // What was started for it is started again for nothing.
    cut(env, &["start", "top"], &is_needed)
}
