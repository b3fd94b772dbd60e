//! Inheritance: what the caller has open, set or masked reaches neither the container nor the monitor.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::process::{descriptors, directory, environment};
use crate::harness::tree;

cases! {
    Core descriptors_and_environment_stay_outside,
    Core file_mode_mask_is_ours,
    Full directories_are_private,
    Full caller_without_standard_streams,
    Full any_file_name_will_do,
}

/// Opens `/` as descriptors 3 to 15 and a directory of the case as 16 to 30, then executes the rest.
pub(super) fn with_open_directories(canary: &Path) -> [String; 4] {
    let script = format!(
        "for n in {{3..15}}; do eval \"exec $n</\"; done; for n in {{16..30}}; do eval \"exec $n<{}\"; done; exec \"$@\"",
        canary.display()
    );
    [
        "bash".to_owned(),
        "-c".to_owned(),
        script,
        "bash".to_owned(),
    ]
}

fn descriptors_and_environment_stay_outside(env: &Env) -> Result<()> {
    let canary = env.path("canary");
    tree::directory(&canary, 0o700)?;
    let before = with_open_directories(&canary);
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let rootfs = env.rootfs();
    let script = "ls /proc/1/fd; cat /proc/1/environ; echo; echo ready; sleep 1000";
    let words = [
        "run",
        "-d",
        "--name",
        "in",
        "--stop-timeout",
        "0",
        "--rootfs",
        &rootfs,
        "sh",
        "-c",
        script,
    ];
    let call = env
        .call_through(&before, &words)
        .env("SECRET", "of-the-caller");
    env.finish(call)?.id()?;
    let log = env.wait_for_log("in", "ready")?;
    ensure!(log.starts_with("0\n1\n2\n"), "{log:?}");
    let more = log.lines().skip(3).find(|line| line.parse::<u32>().is_ok());
    ensure!(
        more.is_none(),
        "descriptor {more:?} is open inside: {log:?}"
    );
    ensure!(!log.contains("SECRET"), "{log:?}");

    let monitor = env.state_number("in", "ConmonPid")?;
    ensure!(
        !environment(monitor).contains("SECRET"),
        "the monitor has it"
    );
    for (number, target) in descriptors(monitor) {
        ensure!(
            target != canary && target != Path::new("/"),
            "the monitor has {number} -> {}",
            target.display()
        );
    }
    let cwd = fs::read_link(directory(monitor).join("cwd")).context("read a link")?;
    ensure!(
        cwd == Path::new("/") || cwd.starts_with(env.runroot()),
        "the monitor is in {}",
        cwd.display()
    );
    env.remove("in")
}

fn file_mode_mask_is_ours(env: &Env) -> Result<()> {
    for mask in ["000", "077", "777"] {
        let script = format!("umask {mask}; exec \"$@\"");
        let before = ["bash", "-c", &script, "bash"];
        let words = env.run_words(&[], &["sh", "-c", "umask; : > /tmp/f; stat -c %a /tmp/f"]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        env.finish(env.call_through(&before, &words))?
            .prints("0022\n644\n")
            .with_context(|| format!("umask {mask}"))?;
    }
    Ok(())
}

/// Made under a mask that keeps nothing back, nothing below both roots is open to others.
fn directories_are_private(env: &Env) -> Result<()> {
    let before = ["bash", "-c", "umask 000; exec \"$@\"", "bash"];
    let rootfs = env.rootfs();
    let words = [
        "run",
        "-d",
        "--name",
        "p",
        "--stop-timeout",
        "0",
        "--rootfs",
        &rootfs,
        "sleep",
        "1000",
    ];
    env.finish(env.call_through(&before, &words))?.id()?;
    for root in [env.root(), env.runroot()] {
        let bits = root.metadata().context("look at a root")?.mode() & 0o777;
        ensure!(bits == 0o700, "{} has mode {bits:o}", root.display());
        private_below(root)?;
    }
    env.remove("p")
}

/// Plain files of the engine have no bit for others. What lies in a container's writable layer is the container's.
fn private_below(root: &Path) -> Result<()> {
    for entry in fs::read_dir(root).context("list a root")?.flatten() {
        let path = entry.path();
        let metadata = entry.metadata().context("look at an entry")?;
        let kind = metadata.file_type();
        // The container's own layer and files, and what runtimes write with modes of their own, all in private directories.
        let others_choose = ["upper", "work", "files", "runtime", "pid"];
        if kind.is_symlink() || others_choose.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        // The container's streams: whoever runs inside may open /dev/stdout again; the directory above keeps others out.
        let pipe = if kind.is_fifo() { 0o622 } else { 0 };
        let others = metadata.mode() & 0o077 & !pipe;
        ensure!(
            others == 0 && metadata.uid() == 0,
            "{} has mode {:o}",
            path.display(),
            metadata.mode() & 0o7777
        );
        if kind.is_dir() {
            private_below(&path)?;
        }
    }
    Ok(())
}

/// A caller may have closed its standard streams: no file of ours may land in their place.
fn caller_without_standard_streams(env: &Env) -> Result<()> {
    let before = ["bash", "-c", "exec <&- >&- 2>&-; \"$@\"; exit $?", "bash"];
    let script = "sh -c 'ls /proc/1/fd > /out'; echo x; echo y >&2; exit $(grep -c . /out)";
    let words = env.run_words(&[], &["sh", "-c", script]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // Three descriptors, whatever the caller has, and nothing of the output in a file of the engine.
    env.finish(env.call_through(&before, &words))?
        .prints_with(3, "")
}

fn any_file_name_will_do(env: &Env) -> Result<()> {
    let copy = env.path("box with blanks");
    tree::copy_program(env.program(), &copy)?;
    let mut words = env.words(&[]);
    words[0] = copy.to_string_lossy().into_owned();
    words.extend(env.run_words(&[], &["sh", "-c", "echo hello; exit 3"]));
    let call = crate::harness::program::Call::new(&words[0]).args(&words[1..]);
    env.finish(call)?.prints_with(3, "hello\n")
}
