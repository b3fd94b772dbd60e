//! Waiting for the end of a run, without the lock and without polling.
//!
//! The run that is current when the question is asked is the one that is answered: its number is kept, so a restart or a removal in
//! between changes nothing. The answer comes from the monitor's record, or, when that has been taken in already, from the ledger.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use ctr_monitor::files;
use ctr_state::{ExitCause, ExitInfo, OomKilled, Record};
use ctr_sys::{Deadline, Liveness, PidRef, SysError};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::container::Container;
use crate::error::EngineError;
use crate::probe::{Observed, observe, recorded_exit};
use crate::summary::MonitorState;

/// How long a monitor may take from the end of the container to its record.
const RECORD_WAIT: Duration = Duration::from_secs(5);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// The end of the current run.
    Exit,
}

impl Container<'_> {
    /// Waits for the end of the run that is current now; at once when none is under way. A container that never ran answers with
    /// [`ExitCause::NeverStarted`].
    ///
    /// # Errors
    /// When the container is gone and its run is no longer in the ledger.
    pub fn wait(&self, until: WaitFor) -> Result<ExitInfo, EngineError> {
        let WaitFor::Exit = until;
        let snapshot = self.snapshot()?;
        let record = snapshot.record()?;
        let generation = record.generation();
        loop {
            let watch = Watch::new(self, generation)?;
            if let Some(exit) = self.known_exit(record, generation)? {
                return Ok(exit);
            }
            watch.wait(Deadline::never())?;
        }
    }

    fn known_exit(&self, asked: &Record, generation: u64) -> Result<Option<ExitInfo>, EngineError> {
        let engine = self.engine();
        if let Some(exit) = recorded_exit(&engine.run_dir(self.id()), generation)? {
            return Ok(Some(exit));
        }
        let run = engine.store().exit_of(self.id(), generation)?;
        if let Some(exit) = run.and_then(|run| run.ended) {
            return Ok(Some(exit));
        }
        // Asked again each time: the kernel's answer changes, the store's record may not.
        Ok(match observe(engine, self.id(), asked)? {
            Observed::Alive(_) => None,
            Observed::Ended(exit) => Some(exit),
            Observed::Rebooted => Some(crate::probe::rebooted(engine)),
            Observed::Inactive => Some(never_started(engine.now_ns())),
        })
    }
}

fn never_started(now_ns: i64) -> ExitInfo {
    let reason = "the container was never started".to_owned();
    ExitInfo {
        cause: ExitCause::NeverStarted {
            reason: reason.clone(),
        },
        oom: OomKilled::No,
        finished_ns: now_ns,
        reason: Some(reason),
    }
}

/// Waits, after the end of a container's process, for the monitor to have recorded it. A monitor that is gone is not waited for.
pub(crate) fn wait_for_record(
    container: &Container<'_>,
    generation: u64,
) -> Result<(), EngineError> {
    let deadline = Deadline::after(RECORD_WAIT);
    let run_dir = container.engine().run_dir(container.id());
    while !deadline.expired() {
        let watch = Watch::new(container, generation)?;
        let recorded = recorded_exit(&run_dir, generation)?.is_some();
        let monitored = Liveness::probe(&run_dir.join(files::ALIVE))?.is_some();
        if recorded || !monitored {
            return Ok(());
        }
        watch.wait(deadline)?;
    }
    Ok(())
}

/// What announces the end of a run: a file that appears in the run directory, the end of the monitor, or that of the container.
struct Watch {
    directory: Option<OwnedFd>,
    processes: Vec<PidRef>,
}

impl Watch {
    fn new(container: &Container<'_>, generation: u64) -> Result<Self, EngineError> {
        let engine = container.engine();
        let run_dir = engine.run_dir(container.id());
        let directory = watch_directory(&run_dir)?;
        let mut processes = Vec::new();
        if let Some(pid) = Liveness::probe(&run_dir.join(files::ALIVE))? {
            processes.extend(PidRef::capture(pid)?);
        } else if let Ok(snapshot) = container.snapshot()
            && let Ok(record) = snapshot.record()
            && record.generation() == generation
            && observe(engine, container.id(), record)? == Observed::Alive(MonitorState::Lost)
            && let Some(init) = record.init()
        {
            processes.extend(PidRef::open(init)?);
        }
        Ok(Self {
            directory,
            processes,
        })
    }

    /// Returns when something happened, or there is nothing that could.
    fn wait(&self, deadline: Deadline) -> Result<(), EngineError> {
        let processes = self.processes.iter().map(AsFd::as_fd);
        let watched = processes.chain(self.directory.as_ref().map(AsFd::as_fd));
        let mut fds: Vec<PollFd<'_>> = watched
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        if self.processes.is_empty() {
            return Ok(());
        }
        let timeout = deadline.remaining().map(|left| rustix::time::Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(SysError::new("wait for", "a container", errno.into()).into()),
        }
    }
}

fn watch_directory(path: &Path) -> Result<Option<OwnedFd>, EngineError> {
    let error = |errno: Errno| SysError::new("watch", path.display().to_string(), errno.into());
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(error)?;
    match inotify::add_watch(&watch, path, WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF) {
        Ok(_) => Ok(Some(watch)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(error(errno).into()),
    }
}
