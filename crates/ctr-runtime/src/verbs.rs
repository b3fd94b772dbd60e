//! `start`, `state`, `kill`, `pause`, `resume`, `ps` and `delete`: without the library, and without side effects on the calling process, which may have threads.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use ctr_oci::{DeleteMode, KillScope, RuntimeState, RuntimeStatus, Target};
use ctr_sys::{Cgroups, Deadline, PidRef, Signal};
use rustix::fs::{Mode, OFlags};

use crate::error::{Result, RuntimeError};
use crate::record::{Phase, Place, Record};

/// The socket in the library's directory on which the first process waits for its start.
const START_SOCKET: &str = "notify.sock";

/// Killed processes that take longer to die than this hang in the kernel; waiting on would hang the caller too.
const DEATH_LIMIT: Duration = Duration::from_secs(10);

/// A process that hangs in the kernel is not frozen before it comes back from there.
const FREEZER_LIMIT: Duration = Duration::from_secs(10);

/// A container with all that is known of it.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) place: Place,
    /// `None`: a create is under way, or was cut short.
    pub(crate) record: Option<Record>,
    pub(crate) process: Option<PidRef>,
}

impl Found {
    pub(crate) fn new(target: Target<'_>) -> Result<Self> {
        let place = Place::new(target.root, target.id)?;
        let record = place.record()?;
        let process = match &record {
            Some(record) => record.process()?,
            None => None,
        };
        Ok(Self {
            place,
            record,
            process,
        })
    }

    pub(crate) fn state(&self) -> Result<RuntimeState> {
        let status = match (&self.record, &self.process) {
            (None, _) => RuntimeStatus::Creating,
            (Some(_), None) => RuntimeStatus::Stopped,
            (Some(record), Some(_)) => match record.phase {
                Phase::Created => RuntimeStatus::Created,
                // Not recorded: whoever freezes the group, the container is paused.
                Phase::Started if Cgroups::detect()?.is_frozen(&record.cgroup)? => {
                    RuntimeStatus::Paused
                }
                Phase::Started => RuntimeStatus::Running,
            },
        };
        Ok(RuntimeState {
            status,
            pid: self.process.as_ref().map(|process| process.stamp().pid),
        })
    }

    /// The error of a verb that does not fit the status; or why the status cannot be told.
    pub(crate) fn wrong_status(&self) -> Result<RuntimeError> {
        Ok(RuntimeError::WrongStatus {
            id: self.place.id().to_owned(),
            status: status_word(self.state()?.status),
        })
    }
}

/// The specification's word.
pub(crate) fn status_word(status: RuntimeStatus) -> &'static str {
    match status {
        RuntimeStatus::Creating => "creating",
        RuntimeStatus::Created => "created",
        RuntimeStatus::Running => "running",
        RuntimeStatus::Stopped => "stopped",
        RuntimeStatus::Paused => "paused",
    }
}

pub(crate) fn state(target: Target<'_>) -> Result<RuntimeState> {
    Found::new(target)?.state()
}

pub(crate) fn start(target: Target<'_>) -> Result<()> {
    let found = Found::new(target)?;
    let (Some(record), RuntimeStatus::Created) = (&found.record, found.state()?.status) else {
        return Err(found.wrong_status()?);
    };
    // Recorded first: if we die in between, the container is taken for one that runs and waits for nothing, and is killed as such;
    // the other way round a running program could be deleted as "only created".
    found.place.save(&Record {
        phase: Phase::Started,
        ..record.clone()
    })?;
    notify(&found.place.library_directory())
}

/// Connects through the directory's descriptor: the path of a socket is limited to 107 bytes.
fn notify(directory: &Path) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty());
    let opened = opened.map_err(|errno| RuntimeError::at("open", directory)(errno.into()))?;
    let socket = format!("/proc/self/fd/{}/{START_SOCKET}", opened.as_raw_fd());
    UnixStream::connect(socket)
        .and_then(|mut stream| stream.write_all(b"start container"))
        .map_err(RuntimeError::at(
            "ask for the start through",
            &directory.join(START_SOCKET),
        ))
}

pub(crate) fn kill(target: Target<'_>, signal: Signal, scope: KillScope) -> Result<()> {
    let found = Found::new(target)?;
    match scope {
        KillScope::Init => match (&found.record, &found.process) {
            (Some(record), Some(process)) => {
                process.signal(signal)?;
                if signal == Signal::KILL {
                    Cgroups::detect()?.thaw_for_death(&record.cgroup)?;
                }
                Ok(())
            }
            (_, _) => Err(found.wrong_status()?),
        },
        KillScope::All => match &found.record {
            Some(record) => signal_all(&record.cgroup, signal, target.deadline),
            None => Err(found.wrong_status()?),
        },
    }
}

fn signal_all(cgroup: &str, signal: Signal, deadline: Deadline) -> Result<()> {
    let cgroups = Cgroups::detect()?;
    if signal == Signal::KILL {
        return kill_all(&cgroups, cgroup, deadline);
    }
    cgroups.signal_all(cgroup, signal)?;
    Ok(())
}

fn kill_all(cgroups: &Cgroups, cgroup: &str, deadline: Deadline) -> Result<()> {
    if cgroups.kill_all(cgroup, deadline.min(Deadline::after(DEATH_LIMIT)))? {
        return Ok(());
    }
    Err(RuntimeError::Deadline {
        what: format!("killing the processes of cgroup {cgroup}"),
    })
}

/// Freezes the container's processes; they are thawed again when they do not all stand still until the deadline.
pub(crate) fn pause(target: Target<'_>) -> Result<()> {
    let cgroup = cgroup_in(target, RuntimeStatus::Running)?;
    if Cgroups::detect()?.freeze(&cgroup, freezer_deadline(target))? {
        return Ok(());
    }
    Err(RuntimeError::Deadline {
        what: format!("freezing cgroup {cgroup}"),
    })
}

pub(crate) fn resume(target: Target<'_>) -> Result<()> {
    let cgroup = cgroup_in(target, RuntimeStatus::Paused)?;
    if Cgroups::detect()?.thaw(&cgroup, freezer_deadline(target))? {
        return Ok(());
    }
    Err(RuntimeError::Deadline {
        what: format!("thawing cgroup {cgroup}"),
    })
}

/// The cgroup of a container that must have a status.
fn cgroup_in(target: Target<'_>, wanted: RuntimeStatus) -> Result<String> {
    let found = Found::new(target)?;
    match &found.record {
        Some(record) if found.state()?.status == wanted => Ok(record.cgroup.clone()),
        Some(_) | None => Err(found.wrong_status()?),
    }
}

fn freezer_deadline(target: Target<'_>) -> Deadline {
    target.deadline.min(Deadline::after(FREEZER_LIMIT))
}

/// The pids in the container's cgroup and below, in ascending order.
pub(crate) fn processes(target: Target<'_>) -> Result<Vec<i32>> {
    match Found::new(target)?.record {
        Some(record) => Ok(Cgroups::detect()?.processes(&record.cgroup)?),
        None => Ok(Vec::new()),
    }
}

pub(crate) fn delete(target: Target<'_>, mode: DeleteMode) -> Result<()> {
    let place = Place::new(target.root, target.id)?;
    match (mode, Found::new(target)) {
        (DeleteMode::Force, Err(RuntimeError::NoSuchContainer { .. })) => Ok(()),
        // What cannot be read can still be removed.
        (DeleteMode::Force, _) => discard(&place, &Cgroups::detect()?, target.deadline),
        (DeleteMode::Stopped, Err(error)) => Err(error),
        (DeleteMode::Stopped, Ok(found)) => match found.state()?.status {
            // As with runc and crun: a container whose program has not been started has nothing to lose.
            RuntimeStatus::Created | RuntimeStatus::Stopped => {
                discard(&place, &Cgroups::detect()?, target.deadline)
            }
            RuntimeStatus::Creating | RuntimeStatus::Running | RuntimeStatus::Paused => {
                Err(found.wrong_status()?)
            }
        },
    }
}

/// Kills what is left of a container and removes everything that is kept of it, however far its creation came.
pub(crate) fn discard(place: &Place, cgroups: &Cgroups, deadline: Deadline) -> Result<()> {
    let record = place.record().ok().flatten();
    let cgroup = match &record {
        Some(record) => Some(record.cgroup.clone()),
        None => place.claimed_cgroup().ok().flatten(),
    };
    if let Some(cgroup) = cgroup.filter(|cgroup| !cgroups.remove_unused(cgroup)) {
        kill_all(cgroups, &cgroup, deadline)?;
        cgroups.remove(&cgroup)?;
    }
    place.remove()
}
