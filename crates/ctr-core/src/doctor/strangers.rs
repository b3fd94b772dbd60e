//! Directories, lock files, control groups, mounts and monitors of containers that have no record.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ctr_monitor::files;
use ctr_state::ContainerId;
use ctr_sys::{FileLock, Liveness, mounts_below};

use super::finding::{Finding, FindingKind, Subject};
use super::look::Examiner;
use crate::engine::MONITOR_CGROUP;
use crate::error::EngineError;

/// What a name among containers is.
enum Name {
    Known,
    Stranger(ContainerId),
    Other,
}

impl Examiner<'_> {
    pub(super) fn strangers(&mut self) {
        let layout = self.layout.clone();
        self.strange(
            "directories of containers",
            &layout.containers(),
            Self::directories,
        );
        self.strange("run directories", &layout.runs(), Self::runs);
        self.strange("lock files", &layout.locks(), Self::locks);
        self.strange("the run root", layout.runroot(), |examiner, runroot| {
            examiner.copies(runroot);
            Ok(())
        });
        self.strange("mounts in the run root", layout.runroot(), Self::mounts);
        self.strange("mounts in the root", &layout.containers(), Self::mounts);
        let groups = Path::new(&self.config.cgroup_parent).to_owned();
        self.strange("control groups", &groups, Self::groups);
        self.strange("monitors", Path::new(MONITOR_CGROUP), Self::lost_monitors);
    }

    fn strange(
        &mut self,
        name: &str,
        path: &Path,
        work: fn(&mut Self, &Path) -> Result<(), EngineError>,
    ) {
        let stuck = Finding::new(FindingKind::NotExamined, Subject::path(path), "");
        self.step(name, stuck, |examiner| work(examiner, path));
    }

    /// Whose directory it is. What goes away while it is looked at is nobody's.
    fn name(&mut self, path: &Path) -> Result<Name, EngineError> {
        self.checked.files += 1;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let Ok(id) = name.parse::<ContainerId>() else {
            return Ok(Name::Other);
        };
        // A record is there before all else, and goes after all else.
        let stranger = self.is_unknown(&id)? && path.symlink_metadata().is_ok();
        Ok(if stranger {
            Name::Stranger(id)
        } else {
            Name::Known
        })
    }

    fn other(&mut self, path: &Path) {
        let why = "it is nothing that the engine has made";
        self.found(FindingKind::UnknownEntry, Subject::path(path), why);
    }

    fn directories(&mut self, all: &Path) -> Result<(), EngineError> {
        for path in entries(all) {
            match self.name(&path)? {
                Name::Known => {}
                Name::Other => self.other(&path),
                Name::Stranger(id) => {
                    let subject = Subject::stranger(&id).at(&path);
                    let why = "it is the directory of a container without a record";
                    let kind = FindingKind::DirectoryWithoutRecord;
                    let finding = Finding::new(kind, subject, why);
                    self.push(if has_files(&path) {
                        finding.for_a_person(
                            "save what you need of the files that its container has written, and remove it",
                        )
                    } else {
                        finding
                    });
                }
            }
        }
        Ok(())
    }

    fn runs(&mut self, all: &Path) -> Result<(), EngineError> {
        for path in entries(all) {
            match self.name(&path)? {
                Name::Known => {}
                Name::Other => self.other(&path),
                Name::Stranger(id) => {
                    let subject = Subject::stranger(&id).at(&path);
                    let monitor = Liveness::holder(&path.join(files::ALIVE))?;
                    if let Some(monitor) = monitor {
                        let pid = monitor.stamp().pid;
                        let why =
                            format!("process {pid} is the monitor of a container without a record");
                        let kind = FindingKind::MonitorWithoutRecord;
                        self.found(kind, subject.process(pid), why);
                    } else {
                        let why = "it is of a run of a container without a record";
                        self.found(FindingKind::RunDirectoryWithoutRecord, subject, why);
                    }
                }
            }
        }
        Ok(())
    }

    fn locks(&mut self, all: &Path) -> Result<(), EngineError> {
        for path in entries(all) {
            match self.name(&path)? {
                Name::Other => self.other(&path),
                // Held: whoever holds it is about to store the record, or has just removed it.
                Name::Stranger(id) if FileLock::holder(&path).is_none() || !self.is_held(&path) => {
                    let subject = Subject::stranger(&id).at(&path);
                    let why = "it is the lock of a container without a record";
                    self.found(FindingKind::LockWithoutRecord, subject, why);
                }
                Name::Known | Name::Stranger(_) => {}
            }
        }
        Ok(())
    }

    fn is_held(&self, path: &Path) -> bool {
        self.holder(path).is_some()
    }

    /// Copies of the database are made, read and removed at once.
    fn copies(&mut self, runroot: &Path) {
        for path in entries(runroot) {
            let name = path.file_name().unwrap_or_default().as_bytes();
            if name.starts_with(b"copy-") {
                let why = "it is a copy of the database that a command which was killed has left";
                self.found(FindingKind::StoreCopyLeft, Subject::path(&path), why);
            }
        }
    }

    /// The host's mount table never has one of ours. What is mounted as a whole on one of the engine's directories is its owner's.
    fn mounts(&mut self, directory: &Path) -> Result<(), EngineError> {
        let layout = self.layout.clone();
        let directory = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        let whole = [layout.root().to_owned(), layout.runs(), layout.containers()];
        for mount in mounts_below(&directory)? {
            let point = &mount.mount_point;
            if *point == directory || whole.contains(point) {
                continue;
            }
            self.checked.mounts += 1;
            let why = format!(
                "{} ({}) is mounted there, and the engine mounts nothing where the host can see it",
                mount.source, mount.fs_type
            );
            self.found(FindingKind::MountLeft, Subject::path(point), why);
        }
        Ok(())
    }

    fn groups(&mut self, parent: &Path) -> Result<(), EngineError> {
        let Some(cgroups) = self.cgroups.clone() else {
            return Ok(());
        };
        let mut names: Vec<String> = cgroups
            .mount_points()
            .flat_map(|mount| entries(&mount.join(parent.strip_prefix("/").unwrap_or(parent))))
            .filter(|path| path.is_dir())
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        names.dedup();
        for name in names {
            let Ok(id) = name.parse::<ContainerId>() else {
                continue;
            };
            if !self.is_unknown(&id)? {
                continue;
            }
            self.checked.control_groups += 1;
            let path = format!("{}/{id}", self.config.cgroup_parent.trim_end_matches('/'));
            let subject = Subject::stranger(&id).at(Path::new(&path));
            let (exists, empty) = (cgroups.exists(&path), cgroups.processes(&path)?.is_empty());
            if !exists {
                continue;
            }
            if self.has_been_ours(&id)? {
                let why = "it is the control group of a container that was removed";
                self.found(FindingKind::ControlGroupWithoutRecord, subject, why);
            } else if empty {
                let why =
                    "it is an empty control group of a container that this engine has never had";
                self.found(FindingKind::ControlGroupUnknown, subject, why);
            }
        }
        Ok(())
    }

    /// Whether this engine's ledger or directories know the id. If they do not, it may be another engine's.
    fn has_been_ours(&self, id: &ContainerId) -> Result<bool, EngineError> {
        let Some(engine) = self.engine() else {
            return Ok(false);
        };
        let on_disk = self.layout.run(id).exists() || self.layout.container(id).exists();
        // What has a directory without a record is found by that, and goes with it.
        Ok(!on_disk && !engine.store().runs(id)?.is_empty())
    }

    /// Monitors of this engine whose run directory was removed: it cannot be looked up any more, but they still hold files of it open.
    fn lost_monitors(&mut self, group: &Path) -> Result<(), EngineError> {
        let Some(cgroups) = self.cgroups.clone() else {
            return Ok(());
        };
        let runs = self.layout.runs();
        for pid in cgroups.processes(&group.to_string_lossy())? {
            let Some(id) = run_held_open(pid, &runs) else {
                continue;
            };
            if self.is_unknown(&id)? && !self.layout.run(&id).exists() {
                let why = format!(
                    "process {pid} is the monitor of a container without a record, and its run directory is gone"
                );
                let subject = Subject::stranger(&id).process(pid);
                let finding = Finding::new(FindingKind::MonitorWithoutRecord, subject, why);
                self.push(finding.for_a_person("kill it, and what is left of its container"));
            }
        }
        Ok(())
    }
}

/// The container in whose run directory a process has a file open.
fn run_held_open(pid: i32, runs: &Path) -> Option<ContainerId> {
    entries(Path::new(&format!("/proc/{pid}/fd")))
        .into_iter()
        .filter_map(|link| std::fs::read_link(link).ok())
        .find_map(|target| {
            let inside = target.strip_prefix(runs).ok()?;
            inside.iter().next()?.to_str()?.parse().ok()
        })
}

/// Whether a process works on the cleanup after a container: the one that its monitor has started as its last act.
pub(super) fn is_being_cleaned_up(id: &ContainerId) -> bool {
    entries(Path::new("/proc")).iter().any(|process| {
        let words = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let has = |word: &[u8]| words.split(|byte| *byte == 0).any(|found| found == word);
        has(b"cleanup") && has(id.as_str().as_bytes())
    })
}

/// What is in a directory; nothing, where there is none.
pub(super) fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Whether anything but directories is in it. Links are not followed.
pub(super) fn has_files(directory: &Path) -> bool {
    entries(directory).iter().any(|path| {
        let found = path.symlink_metadata();
        found.is_ok_and(|found| !found.is_dir() || has_files(path))
    })
}
