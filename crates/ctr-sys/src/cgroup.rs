//! Control groups of both versions: where they are mounted, entering, killing, removing.
//!
//! `cgroups(7)`. Three arrangements exist: *legacy* (controllers of version 1 mounted one by one), *hybrid* (the same, plus an
//! empty version 2 tree), *unified* (version 2 alone, at `/sys/fs/cgroup`). A path such as `/ctr/ID` means the directory of that name in
//! every hierarchy.
//!
//! Moving a process that exists by writing its pid to `cgroup.procs` costs a grace period of the kernel (about 10 ms) when the
//! machine is idle. A single-threaded process that writes `0` to `tasks` (version 1), or is cloned into the group (version 2),
//! does not pay it.

mod kill;
mod oom;
mod remove;
mod session;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Context, SysError, SysResult};
use crate::kernel_file;
use crate::mount::parse_mountinfo;

pub use session::SessionGroup;

/// Which arrangement of hierarchies the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupMode {
    /// Version 1 only.
    Legacy,
    /// Version 1 with a version 2 tree beside it.
    Hybrid,
    /// Version 2 only.
    Unified,
}

impl CgroupMode {
    /// Whether it is [`CgroupMode::Unified`], by one `statfs(2)`: that much cheaper than [`Cgroups::detect`] where there are many mounts.
    ///
    /// # Errors
    /// When nothing is mounted on `/sys/fs/cgroup` that can be looked at.
    pub fn is_unified() -> SysResult<bool> {
        let found = rustix::fs::statfs(ROOT).context("stat", || ROOT.to_owned())?;
        Ok(found.f_type == CGROUP2_MAGIC)
    }

    /// The word that people use: `v1`, `hybrid`, `v2`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "v1",
            Self::Hybrid => "hybrid",
            Self::Unified => "v2",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

/// The hierarchies that the calling process sees.
#[derive(Clone, Debug)]
pub struct Cgroups {
    mounts: Vec<(Version, PathBuf)>,
    /// Which of them has the freezer of version 1.
    freezer: Option<PathBuf>,
}

const ROOT: &str = "/sys/fs/cgroup";
/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const CGROUP2_MAGIC: rustix::fs::FsWord = 0x6367_7270;

impl Cgroups {
    /// Reads the mount table.
    ///
    /// # Errors
    /// When it cannot be read or no hierarchy is mounted below `/sys/fs/cgroup`.
    pub fn detect() -> SysResult<Self> {
        let table = "/proc/self/mountinfo";
        let text = kernel_file::read_text(table).context("read", || table.to_owned())?;
        let mut mounts = Vec::new();
        let mut freezer = None;
        for entry in parse_mountinfo(&text) {
            let version = match entry.fs_type.as_str() {
                "cgroup" => Version::One,
                "cgroup2" => Version::Two,
                _ => continue,
            };
            if !entry.mount_point.starts_with(ROOT) {
                continue;
            }
            let mut controllers = entry.super_options.split(',');
            if version == Version::One && controllers.any(|name| name == "freezer") {
                freezer = Some(entry.mount_point.clone());
            }
            // A mount stacked on another shows once: only the upper one can be reached.
            if !mounts.contains(&(version, entry.mount_point.clone())) {
                mounts.push((version, entry.mount_point));
            }
        }
        if mounts.is_empty() {
            return Err(SysError::invalid(
                "find",
                ROOT,
                "no cgroup hierarchy is mounted there",
            ));
        }
        Ok(Self { mounts, freezer })
    }

    /// The arrangement.
    pub fn mode(&self) -> CgroupMode {
        let has = |version| self.mounts.iter().any(|(found, _)| *found == version);
        match (has(Version::One), has(Version::Two)) {
            (true, true) => CgroupMode::Hybrid,
            (true, false) => CgroupMode::Legacy,
            (false, _) => CgroupMode::Unified,
        }
    }

    /// Where the hierarchies are mounted.
    pub fn mount_points(&self) -> impl Iterator<Item = &Path> {
        self.mounts.iter().map(|(_, path)| path.as_path())
    }

    pub(crate) fn directories(&self, path: &str) -> impl Iterator<Item = (Version, PathBuf)> {
        let relative = path.trim_start_matches('/').to_owned();
        self.mounts
            .iter()
            .map(move |(version, mount)| (*version, mount.join(&relative)))
    }

    /// Moves the calling, single-threaded process into the group, which is created where it is missing.
    ///
    /// In the version 2 tree it is moved only where that tree is the only one; there [`Cgroups::open_unified`] and cloning into the
    /// group is cheaper.
    ///
    /// # Errors
    /// When a hierarchy refuses.
    pub fn enter(&self, path: &str) -> SysResult<()> {
        let unified = self.mode() == CgroupMode::Unified;
        for (version, directory) in self.directories(path) {
            let file = match version {
                Version::One => "tasks",
                Version::Two if unified => "cgroup.procs",
                Version::Two => continue,
            };
            create(&directory)?;
            if version == Version::One {
                inherit_cpuset(&directory);
            }
            write_existing(&directory.join(file), "0")?;
        }
        Ok(())
    }

    /// The group's directory in the version 2 tree, created if missing, for cloning a process into it; `None` where there is no such
    /// tree. In a hybrid arrangement that tree has no controllers, but service managers track their units by it.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open_unified(&self, path: &str) -> SysResult<Option<OwnedFd>> {
        let mut directories = self.directories(path);
        let unified = directories.find(|(version, _)| *version == Version::Two);
        let Some((_, directory)) = unified else {
            return Ok(None);
        };
        create(&directory)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&directory, flags, Mode::empty())
            .map(Some)
            .context("open", || directory.display().to_string())
    }

    /// Whether the group exists in any hierarchy.
    pub fn exists(&self, path: &str) -> bool {
        self.directories(path)
            .any(|(_, directory)| directory.exists())
    }

    /// The processes of the group and of all groups below it, in any hierarchy.
    ///
    /// # Errors
    /// When a group exists and cannot be read.
    pub fn processes(&self, path: &str) -> SysResult<Vec<i32>> {
        let mut pids = Vec::new();
        for (_, directory) in self.directories(path) {
            collect_processes(&directory, &mut pids)?;
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// What a control file of the group says; `None` where no hierarchy has it for this group.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read_control(&self, path: &str, file: &str) -> SysResult<Option<String>> {
        let Some(control) = self.control(path, file) else {
            return Ok(None);
        };
        let text = kernel_file::read_text(&control);
        text.map(Some)
            .context("read", || control.display().to_string())
    }

    /// Writes a control file of the group.
    ///
    /// # Errors
    /// When no hierarchy has it, or the kernel refuses the value.
    pub fn write_control(&self, path: &str, file: &str, value: &str) -> SysResult<()> {
        match self.control(path, file) {
            Some(control) => write_existing(&control, value),
            None => Err(SysError::invalid(
                "write",
                format!("{file} of cgroup {path}"),
                "the kernel has no such control here",
            )),
        }
    }

    fn control(&self, path: &str, file: &str) -> Option<PathBuf> {
        let mut files = self
            .directories(path)
            .map(|(_, directory)| directory.join(file));
        files.find(|control| control.exists())
    }
}

fn create(directory: &Path) -> SysResult<()> {
    match std::fs::create_dir(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::create_dir_all(directory).context("create", || directory.display().to_string())
        }
        Err(error) => Err(error).context("create", || directory.display().to_string()),
    }
}

/// A new cpuset group of version 1 has no CPUs and accepts nobody: it gets its parent's. Where there is no such file, nothing happens.
fn inherit_cpuset(directory: &Path) {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = directory.join(file);
        let Ok(text) = kernel_file::read_text(&own) else {
            // Another controller's hierarchy: it has neither.
            return;
        };
        if !text.trim().is_empty() {
            continue;
        }
        let parent = directory.parent().map(|parent| parent.join(file));
        if let Some(Ok(value)) = parent.map(kernel_file::read_text) {
            // When this fails, entering the group fails right after and says so.
            drop(write_existing(&own, value.trim()));
        }
    }
}

/// Control files take a value in one write and are never created.
pub(crate) fn write_existing(path: &Path, value: &str) -> SysResult<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let name = || path.display().to_string();
    let file = rustix::fs::open(path, flags, Mode::empty()).context("open", name)?;
    rustix::io::write(&file, value.as_bytes())
        .map(drop)
        .context("write", name)
}

fn collect_processes(directory: &Path, pids: &mut Vec<i32>) -> SysResult<()> {
    let file = directory.join("cgroup.procs");
    match kernel_file::read_text(&file) {
        Ok(text) => pids.extend(
            text.lines()
                .filter_map(|line| line.trim().parse::<i32>().ok()),
        ),
        Err(error) if is_gone(&error) => return Ok(()),
        Err(error) => return Err(error).context("read", || file.display().to_string()),
    }
    for child in children(directory)? {
        collect_processes(&child, pids)?;
    }
    Ok(())
}

pub(crate) fn children(directory: &Path) -> SysResult<Vec<PathBuf>> {
    let name = || directory.display().to_string();
    // Each group below is a link more than the two that every directory has; most groups have none.
    if rustix::fs::stat(directory).is_ok_and(|found| found.st_nlink == 2) {
        return Ok(Vec::new());
    }
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error).context("read", name),
    };
    let mut result = Vec::new();
    for entry in entries {
        let entry = entry.context("read", name)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            result.push(entry.path());
        }
    }
    Ok(result)
}

fn is_gone(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::NODEV.raw_os_error())
}
