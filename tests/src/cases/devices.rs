//! The device rules: a node that exists in a root directory opens only what the rules allow.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::tree::{MountPoints, mode};

cases! {
    Core devices_not_allowed_cannot_be_opened,
    Core devices_stay_closed_after_a_restart,
}

/// Nodes of devices that no rule allows: the first disks, the kernel's log and memory, FUSE.
const CLOSED: &[(&str, FileType, u32, u32)] = &[
    ("sda", FileType::BlockDevice, 8, 0),
    ("vda", FileType::BlockDevice, 254, 0),
    ("kmsg", FileType::CharacterDevice, 1, 11),
    ("mem", FileType::CharacterDevice, 1, 1),
    ("fuse", FileType::CharacterDevice, 10, 229),
];

/// Tries each node; says `open NAME` or the reason.
const SCRIPT: &str = "for n in sda vda kmsg mem fuse null; do (exec 3< /nodes/$n) 2> /tmp/why && echo \"open $n\" || sed \"s/^/$n: /\" /tmp/why; done";

fn root_with_nodes(env: &Env) -> Result<String> {
    let root = env.own_root(MountPoints::Present)?;
    let nodes = root.join("nodes");
    crate::harness::tree::directory(&nodes, 0o755)?;
    for (name, kind, major, minor) in CLOSED {
        node(&nodes.join(name), *kind, *major, *minor)?;
    }
    // One that the rules allow, so that a root directory in which no node opens at all is not taken for a success.
    node(&nodes.join("null"), FileType::CharacterDevice, 1, 3)?;
    Ok(format!("{}:O", root.display()))
}

fn node(path: &Path, kind: FileType, major: u32, minor: u32) -> Result<()> {
    mknodat(
        CWD,
        path,
        kind,
        Mode::from_raw_mode(0o666),
        makedev(major, minor),
    )
    .with_context(|| format!("make the node {}", path.display()))?;
    mode(path, 0o666)
}

fn check(out: &str) -> Result<()> {
    let lines: Vec<&str> = out.lines().collect();
    ensure!(lines.len() == CLOSED.len() + 1, "{out:?}");
    ensure!(
        lines.contains(&"open null"),
        "an allowed device does not open: {out:?}"
    );
    for (name, ..) in CLOSED {
        let mark = format!("{name}: ");
        let line = lines.iter().find(|line| line.starts_with(&mark));
        ensure!(
            line.is_some_and(|line| line.contains("Operation not permitted")),
            "{name} is not denied by the rules: {out:?}"
        );
    }
    Ok(())
}

fn devices_not_allowed_cannot_be_opened(env: &Env) -> Result<()> {
    let rootfs = root_with_nodes(env)?;
    let output = env.ctr(&["run", "--rm", "--rootfs", &rootfs, "sh", "-c", SCRIPT])?;
    check(&output.ok()?)?;
    // Making a new node of a forbidden device is no way around.
    let script = "mknod /tmp/sda b 8 0 2>/dev/null; test -e /tmp/sda && (exec 3< /tmp/sda) && echo open; true";
    env.run(&[], &["sh", "-c", script])?.prints("")
}

fn devices_stay_closed_after_a_restart(env: &Env) -> Result<()> {
    let rootfs = root_with_nodes(env)?;
    env.ctr(&[
        "create", "--name", "d", "--rootfs", &rootfs, "sh", "-c", SCRIPT,
    ])?
    .id()?;
    let mut seen = 0;
    for _ in 0..2 {
        env.ctr(&["start", "d"])?.prints("d\n")?;
        env.ctr(&["wait", "d"])?.prints("0\n")?;
        let log = env.ctr(&["logs", "d"])?.ok()?;
        check(&log[seen..])?;
        seen = log.len();
    }
    env.remove("d")
}
