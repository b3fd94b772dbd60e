//! Logs and the disk: limits that hold at every moment, a disk that is full, a writer that stands still or is killed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::output::Output;
use crate::harness::process::Process;
use crate::harness::program::Call;
use crate::harness::tree;
use crate::harness::wait;

cases! {
    Full limits_hold_while_much_is_written,
    Full a_full_disk_stops_nobody_and_is_counted,
    Full a_writer_that_stands_still_stops_nobody,
    Full a_killed_writer_is_replaced,
    Full a_follower_that_is_too_slow_is_told,
}

/// Sizes of the files of a log.
pub(super) fn sizes(directory: &Path) -> Result<Vec<u64>> {
    let mut sizes = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let is_log = entry.file_name().to_string_lossy().starts_with("ctr.log");
        // One that was found may be gone by now.
        if let (true, Ok(metadata)) = (is_log, entry.metadata()) {
            sizes.push(metadata.len());
        }
    }
    Ok(sizes)
}

fn limits_hold_while_much_is_written(env: &Env) -> Result<()> {
    for (name, size, count) in [
        ("byte", "1", "300000"),
        ("page", "4096", "12000"),
        ("mib", "1048576", "100"),
    ] {
        let line = "x".repeat(99);
        let script = format!("yes {line} | dd bs={size} count={count} 2>/dev/null");
        let flags = ["--log-opt", "max-size=64k", "--log-opt", "max-file=3"];
        let id = env.detached(name, &flags, &script)?;
        let directory = env.root().join("containers").join(&id);
        wait::until("the end of the writing", || {
            for size in sizes(&directory)? {
                ensure!(size <= 64_000, "{size} bytes in a file of a log of 64000");
            }
            Ok((env.status(name)? == "exited").then_some(()))
        })?;
        let sizes = sizes(&directory)?;
        ensure!(
            sizes.len() == 3 && sizes.iter().sum::<u64>() > 2 * 60_000,
            "{sizes:?}"
        );
        env.remove(name)?;
    }
    Ok(())
}

fn a_full_disk_stops_nobody_and_is_counted(env: &Env) -> Result<()> {
    const SAID: usize = 5_000_000;
    let disk = env.path("disk");
    tree::directory(&disk, 0o755)?;
    let (out, volume) = env.out()?;
    // The small disk is mounted in a mount namespace of the command and of its monitor.
    let mount = format!(
        "mount -t tmpfs -o size=200k small {}; exec \"$@\"",
        disk.display()
    );
    let option = format!("path={}", disk.join("x.log").display());
    let rootfs = env.rootfs();
    let script = format!(
        "while [ ! -e /out/begin ]; do sleep 0.05; done; yes 123456789 | head -c {SAID}; touch /out/written; \
         while [ ! -e /out/go ]; do sleep 0.05; done; echo after; sleep 1000"
    );
    let run = [
        "run",
        "-d",
        "--name",
        "full",
        "--stop-timeout",
        "0",
        "--log-opt",
        &option,
        "-v",
        &volume,
        "--rootfs",
        &rootfs,
        "sh",
        "-c",
        &script,
    ];
    env.finish(env.call_through(&["unshare", "-m", "sh", "-c", &mount, "sh"], &run))?
        .id()?;
    let monitor = env.state_number("full", "ConmonPid")?.to_string();
    let inside = ["nsenter", "-m", "-t", &monitor];
    let follower = env.call_through(&inside, &["logs", "-f", "full"]).spawn()?;
    tree::write(&out.join("begin"), "")?;
    wait::until("the container to have written all", || {
        Ok(out.join("written").exists().then_some(()))
    })?;
    let disk = disk.to_string_lossy();
    Call::new(inside[0])
        .args(&inside[1..])
        .args(["mount", "-o", "remount,size=8m", &*disk])
        .output()?
        .ok()?;
    tree::write(&out.join("go"), "")?;
    let output = wait::until("the log to go on", || {
        let output = env.finish(env.call_through(&inside, &["logs", "full"]))?;
        Ok(output.out().ends_with("after\n").then_some(output))
    })?;
    check_gap(&output, SAID, "No space left on device")?;
    env.remove("full")?;
    // Nothing was shown while it was there that was not there to stay.
    let shown = follower.finish()?;
    ensure!(shown.out() == output.out(), "{shown}");
    ensure!(shown.err() == output.err(), "{shown}");
    Ok(())
}

/// What was logged before the last line, and what is said to be missing, are together what was said.
fn check_gap(output: &Output, said: usize, reason: &str) -> Result<()> {
    let (kept, warnings) = (output.out().len() - "after\n".len(), output.err());
    let end = format!(" bytes of output were lost here ({reason})");
    let mut lost = 0;
    // A part that is small enough may find room in between.
    for warning in warnings.lines() {
        let bytes = warning
            .strip_prefix("Warning: ")
            .and_then(|rest| rest.strip_suffix(&end));
        lost += bytes.context(warnings.clone())?.parse::<usize>()?;
    }
    ensure!(
        kept > 0 && kept + lost == said,
        "{kept} bytes and {warnings:?}"
    );
    Ok(())
}

/// The process that writes the log: a child of the monitor with the monitor's own command line.
fn writer(monitor: i32) -> Result<Option<Process>> {
    let children = fs::read_to_string(format!("/proc/{monitor}/task/{monitor}/children"))?;
    let command = |pid: &str| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let own = command(&monitor.to_string());
    let found = children.split_whitespace().find(|pid| command(pid) == own);
    found.map_or(Ok(None), |pid| Process::open(pid.parse()?))
}

fn a_writer_that_stands_still_stops_nobody(env: &Env) -> Result<()> {
    const SAID: usize = 3_000_000;
    let (out, volume) = env.out()?;
    let wait_for = |name: &str| format!("while [ ! -e /out/{name} ]; do sleep 0.05; done");
    let script = format!(
        "echo 12345; {}; yes 123456789 | head -c {SAID}; touch /out/written; {}; echo after; {}; \
         yes | head -c {SAID}; touch /out/ended",
        wait_for("go"),
        wait_for("on"),
        wait_for("end")
    );
    env.detached("w", &["-v", &volume], &script)?;
    env.wait_for_log("w", "12345\n")?;
    let monitor = env.state_number("w", "ConmonPid")?;
    let writer = writer(monitor)?.context("nobody writes the log")?;
    let written = |name: &str| {
        let path = out.join(name);
        wait::until("the container to have written", || {
            Ok(path.exists().then_some(()))
        })
    };
    writer.signal(Signal::STOP)?;
    tree::write(&out.join("go"), "")?;
    written("written")?;
    writer.signal(Signal::CONT)?;
    tree::write(&out.join("on"), "")?;
    let output = wait::until("the log to go on", || {
        let output = env.ctr(&["logs", "w"])?;
        Ok(output.out().ends_with("after\n").then_some(output))
    })?;
    check_gap(
        &output,
        SAID + "12345\n".len(),
        "the log could not be written fast enough",
    )?;
    // It does not keep the end of the container from being seen either.
    writer.signal(Signal::STOP)?;
    tree::write(&out.join("end"), "")?;
    written("ended")?;
    env.ctr(&["wait", "w"])?.prints("0\n")?;
    ensure!(writer.ends_within(wait::PATIENCE)?);
    env.remove("w")
}

fn a_killed_writer_is_replaced(env: &Env) -> Result<()> {
    let (dir, volume) = env.out()?;
    let script = "while [ ! -e /out/speak ]; do sleep 0.05; done; echo one; \
        while [ ! -e /out/go ]; do sleep 0.05; done; echo two; sleep 1000";
    env.detached("w", &["-v", &volume], script)?;
    let monitor = env.state_number("w", "ConmonPid")?;
    ensure!(
        writer(monitor)?.is_none(),
        "a silent container has a writer"
    );
    tree::write(&dir.join("speak"), "")?;
    env.wait_for_log("w", "one\n")?;
    let killed = writer(monitor)?.context("nobody writes the log")?;
    killed.signal(Signal::KILL)?;
    ensure!(killed.ends_within(wait::PATIENCE)?);
    tree::write(&dir.join("go"), "")?;
    let log = env.wait_for_log("w", "two\n")?;
    ensure!(log == "one\ntwo\n", "{log}");
    // The end of the monitor and its keeper is the end of the writer, and what it was given is in the log.
    let last = writer(monitor)?.context("nobody writes the log")?;
    env.lose_monitor("w")?;
    ensure!(last.ends_within(wait::PATIENCE)?);
    env.ctr(&["logs", "w"])?.prints("one\ntwo\n")?;
    env.remove("w")
}

fn a_follower_that_is_too_slow_is_told(env: &Env) -> Result<()> {
    let (out, volume) = env.out()?;
    for files in ["1", "2"] {
        let files = format!("max-file={files}");
        let flags = [
            "--log-opt",
            "max-size=4k",
            "--log-opt",
            &files,
            "-v",
            &volume,
        ];
        let script =
            "echo old; while [ ! -e /out/go ]; do sleep 0.05; done; yes 123456789 | head -n 1000";
        env.detached("slow", &flags, script)?;
        env.wait_for_log("slow", "old")?;
        let follower = env.call(&["logs", "-f", "slow"]).spawn()?;
        follower.wait_for_stdout("old\n")?;
        follower.signal(Signal::STOP)?;
        tree::write(&out.join("go"), "")?;
        wait::until("the end of the writing", || {
            Ok((env.status("slow")? == "exited").then_some(()))
        })?;
        follower.signal(Signal::CONT)?;
        let output = follower.finish()?;
        ensure!(output.code == 0, "{output}");
        let told = output
            .err()
            .matches("files of the log are missing here")
            .count();
        ensure!(told == 1, "{output}");
        // What is there is shown all the same, and one that was in time is told nothing.
        let rest = env.ctr(&["logs", "slow"])?;
        ensure!(rest.err().is_empty(), "{rest}");
        ensure!(output.out().ends_with(&rest.out()), "{output}");
        fs::remove_file(out.join("go"))?;
        env.remove("slow")?;
    }
    Ok(())
}
