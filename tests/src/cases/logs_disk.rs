//! Logs and the disk: limits that hold at every moment, a disk that is full.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::program::Call;
use crate::harness::tree;
use crate::harness::wait;

cases! {
    Full limits_hold_while_much_is_written,
    Full a_full_disk_stops_nobody_and_is_counted,
}

/// Sizes of the files of a log.
fn sizes(directory: &Path) -> Result<Vec<u64>> {
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
    const SAID: usize = 1_000_000;
    let (disk, out) = (env.path("disk"), env.path("out"));
    tree::directory(&disk, 0o755)?;
    tree::directory(&out, 0o777)?;
    // The small disk is mounted in a mount namespace of the command and of its monitor.
    let mount = format!(
        "mount -t tmpfs -o size=200k small {}; exec \"$@\"",
        disk.display()
    );
    let option = format!("path={}", disk.join("x.log").display());
    let (volume, rootfs) = (format!("{}:/out", out.display()), env.rootfs());
    let script = format!(
        "yes 123456789 | head -c {SAID}; touch /out/written; \
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
    wait::until("the container to have written all", || {
        Ok(out.join("written").exists().then_some(()))
    })?;
    let monitor = env.state_number("full", "ConmonPid")?.to_string();
    let inside = ["nsenter", "-m", "-t", &monitor];
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
    let (kept, warning) = (output.out().len() - "after\n".len(), output.err());
    let lost: Option<usize> = warning
        .strip_prefix("Warning: ")
        .and_then(|rest| {
            rest.strip_suffix(" bytes of output were lost here (No space left on device)\n")
        })
        .and_then(|bytes| bytes.parse().ok());
    ensure!(
        kept > 0 && lost == Some(SAID - kept),
        "{kept} bytes and {warning:?}"
    );
    env.remove("full")
}
