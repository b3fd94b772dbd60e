//! Containers that end at once, with clients that attach before, at and after their start.

use anyhow::{Context, Result, bail, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::output::Output;

cases! {
    Full attached_before_the_start,
    Full attached_at_the_start,
    Full attached_after_the_start,
    Full what_was_missed_is_replayed,
    Full commands_that_its_end_meets,
}

/// One container of many: how long it lives, what it says, how it ends.
struct Life {
    name: String,
    script: String,
    said: String,
    code: i32,
}

impl Life {
    /// Those of a case: from 0 to 50 ms.
    fn all(env: &Env) -> impl Iterator<Item = Life> {
        (0..env.scale.pick(30, 1000)).map(Life::new)
    }

    fn new(number: i32) -> Life {
        let milliseconds = number * 7 % 51;
        let pause = match milliseconds {
            0 => String::new(),
            _ => format!("sleep 0.{milliseconds:03};"),
        };
        let code = 1 + number % 100;
        Life {
            name: format!("n{number}"),
            script: format!("echo begin {number}; {pause} printf 'end {number}'; exit {code}"),
            said: format!("begin {number}\nend {number}"),
            code,
        }
    }

    /// What a client that came when it was already running has to say.
    fn seen_by_latecomer(&self, output: &Output) -> Result<()> {
        if output.code == 125 {
            output.refused(125, &[&self.name])?;
            return Ok(());
        }
        ensure!(output.code == self.code, "{output}");
        ensure!(
            self.said.ends_with(&output.out()) && output.err().is_empty(),
            "{output} instead of the end of {:?}",
            self.said
        );
        Ok(())
    }

    /// It ended as it should, and everything is in its log; then it is removed.
    fn conclude(&self, env: &Env) -> Result<()> {
        env.ctr(&["wait", &self.name])?
            .prints(&format!("{}\n", self.code))?;
        env.wait_for_cleanup(&self.name)?;
        env.ctr(&["logs", &self.name])?.prints(&self.said)?;
        env.remove(&self.name)
    }
}

/// Who is attached before the start loses nothing, ever.
fn attached_before_the_start(env: &Env) -> Result<()> {
    for (number, life) in Life::all(env).enumerate() {
        let removed = number % 2 == 0;
        let flags: &[&str] = if removed { &["--rm"] } else { &[] };
        env.create(&life.name, flags, &["sh", "-c", &life.script])?;
        env.ctr(&["start", "-a", &life.name])?
            .prints_with(life.code, &life.said)?;
        if removed {
            env.ctr(&["container", "exists", &life.name])?
                .prints_with(1, "")?;
        } else {
            life.conclude(env)?;
        }
    }
    Ok(())
}

fn attached_at_the_start(env: &Env) -> Result<()> {
    let rootfs = env.rootfs();
    let mut attached = 0;
    for life in Life::all(env) {
        let words = [
            "run",
            "-d",
            "--name",
            &life.name,
            "--rootfs",
            &rootfs,
            "sh",
            "-c",
            &life.script,
        ];
        let starting = env.call(&words).spawn()?;
        let output = race(env, &life)?;
        life.seen_by_latecomer(&output)?;
        attached += i32::from(output.code != 125);
        starting.finish()?.id()?;
        life.conclude(env)?;
    }
    ensure!(attached > 0, "no client was in time, so nothing was shown");
    Ok(())
}

/// Attaches as soon as it is possible; gives how that ended.
fn race(env: &Env, life: &Life) -> Result<Output> {
    for _ in 0..10_000 {
        let output = env.ctr(&["attach", &life.name])?;
        let err = output.err();
        let early = ["no such container", "created", "configured"];
        if output.code != 125 || !early.iter().any(|word| err.contains(word)) {
            return Ok(output);
        }
    }
    bail!("{} never started", life.name)
}

fn attached_after_the_start(env: &Env) -> Result<()> {
    for life in Life::all(env) {
        env.detached(&life.name, &[], &life.script)?;
        let output = env.ctr(&["attach", &life.name])?;
        life.seen_by_latecomer(&output)
            .with_context(|| life.script.clone())?;
        life.conclude(env)?;
    }
    Ok(())
}

/// With a replay, whoever comes in time has all of it, however late.
fn what_was_missed_is_replayed(env: &Env) -> Result<()> {
    let mut attached = 0;
    for life in Life::all(env) {
        env.detached(&life.name, &[], &life.script)?;
        let output = env.ctr(&["attach", "--replay=64", &life.name])?;
        if output.code == 125 {
            life.seen_by_latecomer(&output)?;
        } else {
            output.prints_with(life.code, &life.said)?;
            attached += 1;
        }
        life.conclude(env)?;
    }
    ensure!(attached > 0, "no client was in time, so nothing was shown");
    Ok(())
}

/// A command that is started just as its container ends: it runs, and ends with it or by itself, or it is refused in one line. What it
/// says is said once and whole.
/// A runtime that is a program and fails says so itself on a standard error that was handed over, before the engine does.
fn without_words_of_the_runtime(mut output: Output) -> Output {
    let text = output.err();
    if let (125, Some(start)) = (output.code, text.find("Error: ")) {
        output.stderr = text.as_bytes()[start..].to_vec();
    }
    output
}

fn commands_that_its_end_meets(env: &Env) -> Result<()> {
    let (mut ran, mut refused) = (0, 0);
    for (number, life) in Life::all(env).enumerate() {
        env.detached(&life.name, &[], &life.script)?;
        let way = ["--stdio=stream", "--stdio=pass"][number % 2];
        let script = "printf said; exit 9";
        let output = env.ctr(&["exec", way, &life.name, "sh", "-c", script])?;
        let output = without_words_of_the_runtime(output);
        match output.code {
            9 => output.prints_with(9, "said")?,
            // Killed in the middle: it has said all or nothing.
            137 => ensure!(["", "said"].contains(&output.out().as_str()), "{output}"),
            code => output
                .refused(code, &[])
                .context("neither run nor refused")?,
        }
        ensure!([9, 125, 137].contains(&output.code), "{output}");
        ran += i32::from(output.code == 9);
        refused += i32::from(output.code == 125);
        life.conclude(env)?;
    }
    ensure!(ran > 0 && refused > 0, "{ran} ran, {refused} were refused");
    Ok(())
}
