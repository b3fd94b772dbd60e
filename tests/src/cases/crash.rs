//! Processes of the engine killed at any moment: the next ordinary command sets things right.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::process::Process;

cases! {
    Full client_killed_at_twenty_moments_of_run,
    Full client_killed_at_moments_of_rm,
    Core monitor_killed,
    Full monitor_and_program_killed,
    Full program_killed_from_the_host,
}

/// Kills the command after this long, unless it has ended by then.
fn killed_after(env: &Env, time: Duration, words: &[&str]) -> Result<()> {
    let running = env.call(words).spawn()?;
    if !running.ends_within(time)? {
        running.signal(Signal::KILL)?;
    }
    running.finish()?;
    Ok(())
}

/// How long an undisturbed command takes here and now, to spread the moments over.
fn duration_of(env: &Env, words: &[&str]) -> Result<Duration> {
    let begin = Instant::now();
    let output = env.ctr(words)?;
    ensure!(output.code == 0, "{output}");
    Ok(begin.elapsed())
}

/// A random time in one of `parts` equal parts of the whole.
fn moment_of(whole: Duration, part: u32, parts: u32) -> Duration {
    // The standard library's source of keys for hash tables is random enough, and there without a dependency.
    let random = RandomState::new().build_hasher().finish();
    let thousandths = u32::try_from(random % 1000).expect("less than 1000 fits");
    (whole * part + whole * thousandths / 1000) / parts
}

/// Removes all that `ps` shows, as one would after a crash.
fn remove_all(env: &Env) -> Result<()> {
    let expected = env.ids()?;
    let out = env.ctr(&["rm", "-fa"])?.ok()?;
    // The cleanup command that a monitor has started may finish what the killed client began, before this one gets to it.
    let known = out
        .lines()
        .all(|id| expected.iter().any(|known| known == id));
    ensure!(known, "rm -fa removed {out:?} of {expected:?}");
    let left = env.ids()?;
    ensure!(left.is_empty(), "rm -fa has left {left:?}");
    Ok(())
}

fn client_killed_at_twenty_moments_of_run(env: &Env) -> Result<()> {
    const MOMENTS: u32 = 20;
    let rootfs = env.rootfs();
    let words = [
        "run",
        "-d",
        "--name",
        "victim",
        "--stop-timeout",
        "0",
        "--rootfs",
        &rootfs,
        "sleep",
        "1000",
    ];
    let whole = duration_of(env, &words)?;
    remove_all(env)?;
    for moment in 0..MOMENTS {
        killed_after(env, moment_of(whole, moment, MOMENTS), &words)?;
        remove_all(env)?;
        let step = format!("a kill at moment {moment} of {MOMENTS}, {whole:?} in all");
        env.check_leaks_after(&step)?;
        // The name is free.
        env.create("victim", &[], &["true"])
            .with_context(|| step.clone())?;
        env.ctr(&["rm", "victim"])?.prints("victim\n")?;
    }
    Ok(())
}

fn client_killed_at_moments_of_rm(env: &Env) -> Result<()> {
    const MOMENTS: u32 = 10;
    env.detached("victim", &[], "sleep 1000")?;
    let whole = duration_of(env, &["rm", "-f", "victim"])?;
    for moment in 0..MOMENTS {
        env.detached("victim", &[], "sleep 1000")?;
        let time = moment_of(whole, moment, MOMENTS);
        killed_after(env, time, &["rm", "-f", "victim"])?;
        remove_all(env)?;
        env.check_leaks_after(&format!("a kill at moment {moment} of rm"))?;
    }
    Ok(())
}

fn monitor_killed(env: &Env) -> Result<()> {
    let id = env.detached("orphan", &[], "echo ready; sleep 1000")?;
    env.wait_for_log("orphan", "ready")?;
    env.lose_monitor("orphan")?;
    let list = env.ctr(&["ps", "-a"])?.ok()?;
    ensure!(list.contains(&id[..12]), "{list}");
    ensure!(
        list.to_lowercase().contains("monitor lost"),
        "ps does not tell that the monitor is lost: {list}"
    );
    ensure!(env.status("orphan")? == "running", "its program still runs");
    env.ctr(&["logs", "orphan"])?.prints("ready\n")?;
    // A command that takes the lock sees to another one, also if it is refused.
    env.ctr(&["rm", "orphan"])?.refused(2, &["running"])?;
    ensure!(env.inspect("orphan")?["State"]["Monitor"] == "present");
    env.remove("orphan")
}

fn monitor_and_program_killed(env: &Env) -> Result<()> {
    env.detached("gone", &[], "echo ready; sleep 1000")?;
    env.wait_for_log("gone", "ready")?;
    let program = env.first_process("gone")?;
    env.lose_monitor("gone")?;
    Env::shoot(&program)?;
    // Nobody saw the end. Unless the kernel still knows it, the code is unknown, and that is said instead of a number that means success.
    let output = env.ctr(&["wait", "gone"])?;
    let unknown = output.out() == "-1\n" && !output.err().is_empty();
    ensure!(
        output.code == 0 && (unknown || output.out() == "137\n"),
        "{output}"
    );
    let status = env.status("gone")?;
    ensure!(
        matches!(status.as_str(), "stopped" | "exited"),
        "it is {status}"
    );
    env.ctr(&["container", "cleanup", "gone"])?
        .prints("gone\n")?;
    ensure!(env.status("gone")? == "exited");
    // It can be started again.
    env.ctr(&["start", "gone"])?.prints("gone\n")?;
    ensure!(env.status("gone")? == "running");
    env.remove("gone")
}

fn program_killed_from_the_host(env: &Env) -> Result<()> {
    env.detached("shot", &[], "echo ready; sleep 1000")?;
    env.wait_for_log("shot", "ready")?;
    let pid = env.state_number("shot", "Pid")?;
    Process::open(pid)?
        .context("the program is there")?
        .signal(Signal::KILL)?;
    env.ctr(&["wait", "shot"])?.prints("137\n")?;
    env.ctr(&["rm", "shot"])?.prints("shot\n")
}
