//! Where the processes of a session are found.

use ctr_exec::PidFile;
use ctr_exec::session::{SessionId, SessionPaths};
use ctr_sys::{Cgroups, Deadline, PidRef, SessionGroup, Signal, SysError, descendants};
use std::time::Duration;

/// How long killed processes of a session may take to go.
pub(super) const END_WAIT: Duration = Duration::from_secs(1);

/// Where the processes of a session are found.
pub(super) enum Group {
    /// In this control group alone.
    Own(String),
    /// No hierarchy allows it: its process and what descends from it.
    None,
}

impl Group {
    /// A group below that of the container, where a hierarchy allows it.
    pub(super) fn make(container: &str, id: &SessionId) -> Result<Self, SysError> {
        let path = format!("{container}/{}", id.group());
        match Cgroups::detect()?.create_session(&path) {
            Ok(SessionGroup::Made) => Ok(Self::Own(path)),
            Ok(SessionGroup::Nowhere) => Ok(Self::None),
            // A container without a group of its own there.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::None),
            Err(error) => Err(error),
        }
    }

    /// Sends a signal to all of them; those that have ended are fine.
    pub(super) fn signal(&self, process: &PidRef, signal: Signal) -> Result<(), SysError> {
        match self {
            Self::Own(path) => {
                Cgroups::detect()?.signal_all(path, signal)?;
            }
            Self::None => {
                for process in descendants(process)?.iter().chain([process]) {
                    process.signal(signal)?;
                }
            }
        }
        Ok(())
    }

    /// Kills what a runtime that failed may have made: what is in the group, and the process that it has written down, if that is one of
    /// the container's. What fails here is killed with the container.
    pub(super) fn kill(&self, container: &str, paths: &SessionPaths) {
        let Ok(cgroups) = Cgroups::detect() else {
            return;
        };
        let written = PidFile::new(paths.pid_file()).read().ok().flatten();
        // A pid that is nobody's child here may be anybody's by now: what it is in the container's group for tells it apart.
        let process = written.and_then(|pid| PidRef::capture(pid).ok().flatten());
        if let Some(process) = process
            && cgroups
                .processes(container)
                .is_ok_and(|pids| pids.contains(&process.stamp().pid))
        {
            drop(process.signal(Signal::KILL));
        }
        if let Self::Own(path) = self {
            drop(cgroups.kill_all(path, Deadline::after(END_WAIT)));
        }
    }
}
