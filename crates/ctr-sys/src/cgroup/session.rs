//! Groups below that of a container, for the processes of one exec session each.
//!
//! In version 2 such a group lies in the one tree. In version 1 it lies in the freezer's hierarchy alone: the processes stay in the
//! container's groups of all other controllers, whose limits they share, and one directory instead of a dozen says who belongs together.

use std::path::{Path, PathBuf};

use super::kill::move_to;
use super::{CgroupMode, Cgroups, Version, collect_processes};
use crate::error::{Context, SysResult};
use crate::kernel_file;
use crate::pidref::{PidRef, descendants};

/// How often the children of a process that is moved are looked for again: each round finds those that were made since the last one.
const ROUNDS: u32 = 20;

/// Whether the processes of a session have a group of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionGroup {
    /// They have.
    Made,
    /// No hierarchy can have one: they are known by their identity alone.
    Nowhere,
}

impl Cgroups {
    /// Makes the group of a session, such as `/ctr/ID/exec-X`, below the existing one of its container. One that is there already is fine.
    ///
    /// # Errors
    /// When the group of the container is missing (`NotFound`), or the kernel refuses.
    pub fn create_session(&self, path: &str) -> SysResult<SessionGroup> {
        let Some(directory) = self.session_directory(path) else {
            return Ok(SessionGroup::Nowhere);
        };
        // Without those above it: the group of a container that is gone must not come back.
        match std::fs::create_dir(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(error).context("create", || directory.display().to_string())
            }
            Ok(()) | Err(_) => Ok(SessionGroup::Made),
        }
    }

    /// The directory of a session's group, whether it exists or not: in the version 2 tree where that is the only one, else in the hierarchy of
    /// the freezer. `None` where there is neither.
    pub fn session_directory(&self, path: &str) -> Option<PathBuf> {
        if self.mode() != CgroupMode::Unified {
            let mount = self.freezer.as_ref()?;
            return Some(mount.join(path.trim_start_matches('/')));
        }
        let mut directories = self.directories(path);
        let unified = directories.find(|(version, _)| *version == Version::Two);
        unified.map(|(_, directory)| directory)
    }

    /// Moves a process that was made in the group of the container, and what has come of it meanwhile, into the group of its session: what
    /// descends from it, and what is in its session (`setsid(2)`), though its parent may be gone. Nothing is done where the process is in that
    /// group already, and where sessions have none. Processes that end meanwhile are fine.
    ///
    /// # Errors
    /// When the group of the session is missing, or the kernel refuses a move.
    pub fn adopt(&self, path: &str, process: &PidRef) -> SysResult<()> {
        let Some(directory) = self.session_directory(path) else {
            return Ok(());
        };
        if is_in(process.stamp().pid, path) {
            return Ok(());
        }
        move_to(&directory, process)?;
        for _ in 0..ROUNDS {
            let outside = kin_outside(process, &directory)?;
            if outside.is_empty() {
                break;
            }
            for descendant in &outside {
                move_to(&directory, descendant)?;
            }
        }
        Ok(())
    }
}

/// What descends from the process, or is in its session, and is in the group above that of the session, or in another one below it.
fn kin_outside(process: &PidRef, session: &Path) -> SysResult<Vec<PidRef>> {
    let mut found = descendants(process)?;
    let (mut members, mut all) = (Vec::new(), Vec::new());
    if let Some(container) = session.parent() {
        collect_processes(container, &mut all)?;
    }
    for pid in &all {
        if session_of(*pid) == Some(process.stamp().pid) {
            found.extend(PidRef::capture(*pid)?);
        }
    }
    if found.is_empty() {
        return Ok(found);
    }
    // Read now that they are held: a pid that was reused in between belongs to somebody outside.
    all.clear();
    collect_processes(session, &mut members)?;
    if let Some(container) = session.parent() {
        collect_processes(container, &mut all)?;
    }
    found.retain(|held| {
        let pid = held.stamp().pid;
        all.contains(&pid) && !members.contains(&pid)
    });
    Ok(found)
}

/// Field 6 of `proc_pid_stat(5)`, counted from the name that the process chooses itself.
fn session_of(pid: i32) -> Option<i32> {
    let text = kernel_file::read_text(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(3)?.parse().ok()
}

/// Whether the process is in this group of any hierarchy. The kernel names a group by its path from the reader's control group namespace,
/// of which a mount may show only what lies below: the end is what they have in common.
fn is_in(pid: i32, path: &str) -> bool {
    let text = kernel_file::read_text(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    text.lines().any(|line| line.ends_with(path))
}
