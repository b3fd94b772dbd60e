//! The leak check: what is on the machine after a case that was not there before it.
//!
//! Looked at: processes, files under both roots, cgroups in every tree, the mount table. A process may need a moment to end
//! after its container did; it is waited for by its descriptor, and only one that does not end is a leak.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, unmount};

use super::machine::{container_cgroups, mounts, processes_in};
use super::process::{describe, marked};
use super::wait::within;

/// How long what is on its way out may take; only a leak takes that long.
const SETTLE: Duration = Duration::from_secs(15);

/// What the engine keeps whether or not there are containers, by first component below the root.
const KEPT_ROOT: &[&str] = &["containers", "state.db", "state.db-shm", "state.db-wal"];

/// The same below the run root. The empty directory is a layer of the overlay that the monitor is executed through.
const KEPT_RUNROOT: &[&str] = &["checked", "empty", "journal", "locks", "run"];

/// Which new mounts are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MountScope {
    /// All: the mount namespace is ours.
    All,
    /// Those that bear a mark: others mount here too.
    Marked,
}

/// Where to look for leaks.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) runroot: PathBuf,
    /// Texts that only processes and mounts of ours bear.
    pub(crate) marks: Vec<String>,
    pub(crate) mounts: MountScope,
}

/// What was there before.
#[derive(Debug, Default)]
pub(crate) struct Before {
    processes: BTreeSet<i32>,
    files: BTreeSet<PathBuf>,
    cgroups: BTreeSet<String>,
    mounts: BTreeSet<String>,
}

impl Before {
    /// What is there now, where nothing was ever started and no file is: only the mounts.
    pub(crate) fn of_mounts() -> Result<Before> {
        Ok(Before {
            mounts: mounts()?.into_iter().map(|mount| mount.line).collect(),
            ..Before::default()
        })
    }
}

impl Place {
    /// What is there now.
    pub(crate) fn look(&self) -> Result<Before> {
        Ok(Before {
            processes: marked(&self.marks)?.iter().map(|found| found.pid).collect(),
            files: self.files()?,
            cgroups: container_cgroups()?.into_keys().collect(),
            mounts: mounts()?.into_iter().map(|mount| mount.line).collect(),
        })
    }

    /// What is there beyond what was there before, each as a line.
    pub(crate) fn leaks(&self, before: &Before) -> Result<Vec<String>> {
        let mut leaks = self.leaks_but_cgroups(before)?;
        for name in abandoned_cgroups(before)? {
            leaks.push(format!("cgroup {name}"));
        }
        Ok(leaks)
    }

    /// The same without cgroups, which everybody on the machine makes: for one who knows the names of his own.
    pub(crate) fn leaks_but_cgroups(&self, before: &Before) -> Result<Vec<String>> {
        let mut leaks = self.processes(before)?;
        for path in self.files()?.difference(&before.files) {
            leaks.push(format!("file {}", path.display()));
        }
        for line in self.new_mounts(before)? {
            leaks.push(format!("mount {line}"));
        }
        Ok(leaks)
    }

    /// Removes leaked cgroups and mounts, as far as it goes.
    pub(crate) fn clear(&self, before: &Before) {
        for name in abandoned_cgroups(before).unwrap_or_default() {
            for path in container_cgroups()
                .unwrap_or_default()
                .remove(&name)
                .unwrap_or_default()
            {
                remove_cgroup(&path);
            }
        }
        self.unmount_new(before);
    }

    /// Removes leaked mounts, as far as it goes.
    pub(crate) fn unmount_new(&self, before: &Before) {
        for mount in mounts().unwrap_or_default().iter().rev() {
            if !before.mounts.contains(&mount.line) && self.bears_a_mark(&mount.line) {
                unmount(&mount.point, UnmountFlags::DETACH).ok();
            }
        }
    }

    /// Waits for processes that are on their way out; names those that stay.
    fn processes(&self, before: &Before) -> Result<Vec<String>> {
        let found = || -> Result<Vec<super::process::Process>> {
            let mut found = marked(&self.marks)?;
            found.retain(|process| !before.processes.contains(&process.pid));
            Ok(found)
        };
        let mut patience = SETTLE;
        loop {
            let left = found()?;
            if left.is_empty() {
                return Ok(Vec::new());
            }
            for process in &left {
                let begin = std::time::Instant::now();
                if !process.ends_within(patience)? {
                    return Ok(left.iter().map(super::process::Process::describe).collect());
                }
                patience = patience.saturating_sub(begin.elapsed());
            }
        }
    }

    /// All that lies below both roots and is not always there.
    fn files(&self) -> Result<BTreeSet<PathBuf>> {
        let mut found = BTreeSet::new();
        for (root, kept) in [(&self.root, KEPT_ROOT), (&self.runroot, KEPT_RUNROOT)] {
            let mut paths = Vec::new();
            list(root, &mut paths)?;
            found.extend(paths.into_iter().filter(|path| {
                let below = path.strip_prefix(root).unwrap_or(path);
                !kept.iter().any(|name| below == Path::new(name))
            }));
        }
        Ok(found)
    }

    fn new_mounts(&self, before: &Before) -> Result<Vec<String>> {
        let new = || -> Result<Vec<String>> {
            let mut lines: Vec<String> = mounts()?.into_iter().map(|mount| mount.line).collect();
            lines.retain(|line| {
                let ours = self.mounts == MountScope::All || self.bears_a_mark(line);
                ours && !before.mounts.contains(line)
            });
            Ok(lines)
        };
        within(SETTLE, || Ok(new()?.is_empty().then(Vec::new)))?.map_or_else(new, Ok)
    }

    fn bears_a_mark(&self, line: &str) -> bool {
        self.marks.iter().any(|mark| line.contains(mark))
    }
}

/// New cgroups of containers that have no process and do not go away. One that belongs to a container of another case has a
/// process, gets one, or goes away.
fn abandoned_cgroups(before: &Before) -> Result<Vec<String>> {
    let mut suspects: Option<BTreeSet<String>> = None;
    let mut look = || -> Result<Option<()>> {
        let empty = container_cgroups()?
            .into_iter()
            .filter(|(name, _)| !before.cgroups.contains(name))
            .filter(|(_, paths)| paths.iter().all(|path| processes_in(path).is_empty()))
            .map(|(name, _)| name);
        let still = suspects.take();
        let now: BTreeSet<String> = empty
            .filter(|name| still.as_ref().is_none_or(|still| still.contains(name)))
            .collect();
        let done = now.is_empty();
        suspects = Some(now);
        Ok(done.then_some(()))
    };
    within(SETTLE, &mut look)?;
    Ok(suspects.unwrap_or_default().into_iter().collect())
}

/// Removes a cgroup with those below it; one with processes stays.
fn remove_cgroup(path: &Path) {
    for pid in processes_in(path) {
        eprintln!("{} still has {}", path.display(), describe(pid));
    }
    for child in super::machine::directories(path) {
        remove_cgroup(&child);
    }
    fs::remove_dir(path).ok();
}

/// Every path below a directory, links not followed; a directory that is not there is empty.
fn list(directory: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("list {}", directory.display()));
        }
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(&path, paths)?;
        }
        paths.push(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::program::Call;
    use super::super::tree::{directory, write};
    use super::*;

    fn place(path: &Path) -> Place {
        Place {
            root: path.join("root"),
            runroot: path.join("runroot"),
            marks: vec![path.to_string_lossy().into_owned()],
            mounts: MountScope::Marked,
        }
    }

    #[test]
    fn what_is_always_there_is_no_leak() {
        let temporary = tempfile::tempdir().unwrap();
        let place = place(temporary.path());
        let before = place.look().unwrap();
        directory(&place.root.join("containers"), 0o700).unwrap();
        directory(&place.runroot.join("locks"), 0o700).unwrap();
        write(&place.root.join("state.db"), "").unwrap();
        write(&place.runroot.join("journal"), "").unwrap();
        assert_eq!(place.leaks(&before).unwrap(), [""; 0]);
    }

    #[test]
    fn a_file_left_is_named_once_it_is_new() {
        let temporary = tempfile::tempdir().unwrap();
        let place = place(temporary.path());
        directory(&place.root.join("containers/old"), 0o700).unwrap();
        let before = place.look().unwrap();
        directory(&place.root.join("containers/new"), 0o700).unwrap();
        directory(&place.runroot, 0o700).unwrap();
        write(&place.runroot.join("lock"), "").unwrap();
        let leaks = place.leaks(&before).unwrap();
        assert_eq!(leaks.len(), 2, "{leaks:?}");
        assert!(leaks[0].ends_with("/root/containers/new"));
        assert!(leaks[1].ends_with("/runroot/lock"));
    }

    #[test]
    fn a_process_on_its_way_out_is_waited_for() {
        let temporary = tempfile::tempdir().unwrap();
        let place = place(temporary.path());
        let before = place.look().unwrap();
        let mut child = Call::new("/bin/sh")
            .args(["-c", "echo ready; read -r line", &place.marks[0]])
            .open_stdin()
            .spawn()
            .unwrap();
        child.wait_for_stdout("ready").unwrap();
        assert_eq!(place.look().unwrap().processes.len(), 1);
        child.close_stdin();
        // Reaped beside us: a zombie has neither words nor files.
        let leaks = place.leaks(&before).unwrap();
        child.finish().unwrap();
        assert_eq!(leaks, [""; 0]);
    }
}
