//! Making and removing directory trees for the cases.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::machine::mounts;

/// The one program of the root directories; every other name is a link to it.
const BUSYBOX: &[&str] = &["/bin/busybox", "/usr/bin/busybox"];

/// The names that cases call it by.
const NAMES: &[&str] = &[
    "cat",
    "chmod",
    "chown",
    "dd",
    "echo",
    "env",
    "false",
    "grep",
    "head",
    "hostname",
    "id",
    "ip",
    "ls",
    "mkdir",
    "mknod",
    "mount",
    "od",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "rm",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "stat",
    "stty",
    "tail",
    "tee",
    "test",
    "touch",
    "true",
    "tty",
    "umount",
    "vi",
    "wc",
    "yes",
];

/// What `/etc/passwd` says in every root directory.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    alice:x:1234:1234:Alice:/home/alice:/bin/sh\n\
    nobody:x:65534:65534:nobody:/:/bin/false\n";

/// What `/etc/group` says in every root directory.
const GROUP: &str = "root:x:0:\n\
    wheel:x:10:alice\n\
    audio:x:29:root,alice\n\
    alice:x:1234:\n\
    nogroup:x:65534:\n";

/// Which directories of an ordinary image the root directory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MountPoints {
    /// Those that a runtime mounts upon are there.
    Present,
    /// None of them is.
    Absent,
}

/// Makes a small root directory: busybox, users, a home.
pub(crate) fn make_root(root: &Path, mount_points: MountPoints) -> Result<()> {
    let busybox = BUSYBOX
        .iter()
        .map(Path::new)
        .find(|path| path.exists())
        .context("no busybox: install the package busybox-static")?;
    for name in ["bin", "etc", "home/alice", "root", "tmp", "var"] {
        directory(&root.join(name), 0o755)?;
    }
    if mount_points == MountPoints::Present {
        for name in ["dev", "proc", "run", "sys"] {
            directory(&root.join(name), 0o755)?;
        }
    }
    mode(&root.join("tmp"), 0o1777)?;
    let program = root.join("bin/busybox");
    copy_program(busybox, &program)?;
    for name in NAMES {
        symlink("busybox", root.join("bin").join(name)).context("link to busybox")?;
    }
    write(&root.join("etc/passwd"), PASSWD)?;
    write(&root.join("etc/group"), GROUP)
}

/// Makes a directory and what lies above it.
pub(crate) fn directory(path: &Path, bits: u32) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))?;
    mode(path, bits)
}

/// Sets the mode of a file.
pub(crate) fn mode(path: &Path, bits: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(bits))
        .with_context(|| format!("set the mode of {}", path.display()))
}

/// Writes a file that nobody else reads yet.
#[expect(
    clippy::disallowed_methods,
    reason = "files of a case, written before any program looks at them"
)]
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// Writes a program.
pub(crate) fn write_program(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("draft");
    write(&draft, text)?;
    copy_program(&draft, path)?;
    fs::remove_file(&draft).with_context(|| format!("remove {}", draft.display()))
}

/// Copies a program.
///
/// Another process does it: a file that somebody has open for writing cannot be executed, and what this process has open is for a moment
/// open in every child that another case is just starting, too.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness stands outside the engine and starts processes itself"
)]
pub(crate) fn copy_program(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("--").args([from, to]).status();
    let status = status.with_context(|| format!("copy {}", from.display()))?;
    ensure!(status.success(), "copy {}: {status}", from.display());
    mode(to, 0o755)
}

/// Removes a tree, unless something is mounted below it: what lies there may be anything.
#[expect(
    clippy::disallowed_methods,
    reason = "the tree is the harness's own, and it looks for mounts first"
)]
pub(crate) fn remove(path: &Path) -> Result<()> {
    let below: Vec<PathBuf> = mounts()?
        .into_iter()
        .map(|mount| mount.point)
        .filter(|point| point.starts_with(path))
        .collect();
    if !below.is_empty() {
        bail!(
            "{} is left there: mounted below it: {below:?}",
            path.display()
        );
    }
    fs::remove_dir_all(path).with_context(|| format!("remove {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::program::Call;
    use super::*;

    #[test]
    fn the_root_has_a_shell_that_runs() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        make_root(&root, MountPoints::Absent).unwrap();
        let output = Call::new(root.join("bin/sh"))
            .args(["-c", "echo hello"])
            .output();
        assert_eq!(output.unwrap().out(), "hello\n");
        assert!(!root.join("proc").exists());
        remove(&root).unwrap();
        assert!(!root.exists());
    }
}
