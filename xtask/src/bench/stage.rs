//! Where the measurement takes place: a private mount namespace, and a temporary directory with what the containers are made of.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::options::{ON_STAGE, Options};
use crate::process;

/// On disk, as the directories of a machine are.
const PARENT: &str = "/var/tmp";

/// The one program of the containers; every other name is a link to it.
const BUSYBOX: &[&str] = &["/bin/busybox", "/usr/bin/busybox"];

const NAMES: &[&str] = &["cat", "sh", "sleep", "true"];

/// The directories that are mounted upon.
const DIRECTORIES: &[&str] = &[
    "bin", "data", "dev", "etc", "proc", "root", "run", "sys", "tmp",
];

/// The files that are mounted upon: without them each contender would make and remove them.
const FILES: &[&str] = &[
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "run/.containerenv",
];

/// The file that is read, as containers see it.
pub(super) const DATA: &str = "/data/bytes";

/// This program, with these options, in a mount namespace of its own.
pub(super) fn command(program: &Path, options: &Options) -> Result<Command> {
    let ourselves = std::env::current_exe().context("find this program")?;
    let mut command = process::command("unshare");
    command
        .args(["--mount", "--propagation", "private", "--"])
        .arg(ourselves)
        .args(["bench", ON_STAGE])
        .arg(program)
        .args(options.own_words());
    Ok(command)
}

/// The directories of one measurement.
pub(super) struct Stage {
    directory: PathBuf,
    /// The `ctr` that is measured.
    pub(super) program: PathBuf,
}

impl Stage {
    /// Makes the mount table that every contender can work with, and the directories.
    pub(super) fn enter(program: &Path, bytes: u64) -> Result<Stage> {
        leave_version_2()?;
        let directory = Path::new(PARENT).join(format!("ctr-bench.{}", std::process::id()));
        let stage = Stage {
            directory,
            program: program.to_path_buf(),
        };
        match stage.furnish(bytes) {
            Ok(()) => Ok(stage),
            Err(error) => {
                // What is not there any more need not be removed, and the first error is the one to tell.
                stage.remove().ok();
                Err(error)
            }
        }
    }

    fn furnish(&self, bytes: u64) -> Result<()> {
        let root = self.root();
        for name in DIRECTORIES {
            make_directory(&root.join(name))?;
        }
        make_directory(&self.data())?;
        let busybox = BUSYBOX.iter().map(Path::new).find(|path| path.exists());
        let busybox = busybox.context("no busybox: install the package busybox-static")?;
        fs::copy(busybox, root.join("bin/busybox")).context("copy busybox")?;
        for name in NAMES {
            symlink("busybox", root.join("bin").join(name)).context("link to busybox")?;
        }
        for name in FILES {
            new_file(&root.join(name))?;
        }
        write_noise(&self.data().join("bytes"), bytes)
    }

    /// A path in the directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The root directory that all containers have.
    pub(super) fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// The directory of the file that is read.
    fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The value of `--volume` that shows that directory in a container.
    pub(super) fn volume(&self) -> String {
        format!("{}:/data:ro", self.data().display())
    }

    /// Removes everything. podman leaves mounts of its storage, in this namespace alone.
    pub(super) fn remove(self) -> Result<()> {
        for point in mounts()?.iter().rev().map(|mount| &mount.point) {
            if Path::new(point).starts_with(&self.directory) {
                unmount(point)?;
            }
        }
        let mut rm = process::command("rm");
        rm.args(["-rf", "--one-file-system", "--"]);
        process::succeed(rm.arg(&self.directory))
    }
}

/// Where the machine has version 1 of the control groups beside version 2, leaves version 1 alone.
fn leave_version_2() -> Result<()> {
    let before = mounts()?;
    let is_devices = |mount: &Mount| {
        mount.kind == "cgroup" && mount.options.split(',').any(|option| option == "devices")
    };
    if before.iter().any(is_devices) {
        for tree in before.iter().filter(|mount| mount.kind == "cgroup2") {
            unmount(&tree.point)?;
        }
        ensure!(
            mounts()?.iter().all(|mount| mount.kind != "cgroup2"),
            "a tree of version 2 of the control groups is still mounted"
        );
    }
    // As ordinary machines have it.
    process::succeed(process::command("mount").args(["--make-rshared", "/"]))
}

/// What is needed of a line of the mount table, `proc_pid_mountinfo(5)`.
struct Mount {
    point: String,
    kind: String,
    options: String,
}

fn mounts() -> Result<Vec<Mount>> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("read the mount table")?;
    Ok(text.lines().filter_map(parse_mount).collect())
}

/// Blanks in paths stay as the kernel writes them: none of ours has any.
fn parse_mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    Some(Mount {
        point: left.split(' ').nth(4)?.to_owned(),
        kind: right.next()?.to_owned(),
        options: right.nth(1)?.to_owned(),
    })
}

fn unmount(point: &str) -> Result<()> {
    process::succeed(process::command("umount").args(["--lazy", "--", point]))
}

fn make_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("make {}", path.display()))
}

fn new_file(path: &Path) -> Result<fs::File> {
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path);
    made.with_context(|| format!("make {}", path.display()))
}

/// Bytes that no layer below can make less of: a file of zeros may be a hole, and each of its pages the same one.
fn write_noise(path: &Path, bytes: u64) -> Result<()> {
    let noise = fs::File::open("/dev/urandom").context("open /dev/urandom")?;
    let mut file = new_file(path)?;
    let copied = std::io::copy(&mut std::io::Read::take(noise, bytes), &mut file);
    if copied.with_context(|| format!("write {}", path.display()))? != bytes {
        bail!("{}: it is too short", path.display());
    }
    // Written back now, not while others are measured.
    file.sync_all()
        .with_context(|| format!("sync {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read() {
        let line =
            "36 35 98:0 / /sys/fs/cgroup/devices rw,noatime shared:1 - cgroup cgroup rw,devices";
        let mount = parse_mount(line).unwrap();
        assert_eq!(
            (
                mount.point.as_str(),
                mount.kind.as_str(),
                mount.options.as_str()
            ),
            ("/sys/fs/cgroup/devices", "cgroup", "rw,devices")
        );
        assert!(parse_mount("nonsense").is_none());
    }
}
