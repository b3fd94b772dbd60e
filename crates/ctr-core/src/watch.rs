//! What announces that something has happened to a container, as descriptors to wait on.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use ctr_exec::session::{SessionId, SessionPaths};
use ctr_monitor::files;
use ctr_state::ContainerId;
use ctr_sys::{Deadline, Liveness, PidRef, PidStamp, SysError, poll};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::container::Container;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::probe::{Observed, observe};
use crate::summary::MonitorState;
use crate::wait::starter;

/// Where nothing can announce the end (watches are a limited resource of the machine), it is looked for this often.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What announces the end of a run: a file that appears in the run directory, the end of the monitor, or of the container, or of the
/// command that is starting it.
#[derive(Debug)]
pub(crate) struct Watch {
    directory: Option<OwnedFd>,
    processes: Vec<PidRef>,
}

impl Watch {
    pub(crate) fn new(container: &Container<'_>, generation: u64) -> Result<Self, EngineError> {
        let run_dir = container.engine().run_dir(container.id());
        // First, so that nothing that happens after the look at the rest is missed.
        let directory = watch(&run_dir, WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF)?;
        let processes = match Liveness::holder(&run_dir.join(files::ALIVE))? {
            Some(monitor) => vec![monitor],
            None => without_monitor(container, generation)?,
        };
        Ok(Self {
            directory,
            processes,
        })
    }

    /// What announces the end of an exec session: its record, the end of its process, or that of its host.
    pub(crate) fn of_session(
        container: &Container<'_>,
        id: &SessionId,
        process: Option<PidStamp>,
    ) -> Result<Self, EngineError> {
        let run_dir = container.engine().run_dir(container.id());
        let paths = SessionPaths::new(&run_dir, id);
        let directory = watch(
            paths.directory(),
            WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF,
        )?;
        let processes = match (Liveness::holder(&run_dir.join(files::ALIVE))?, process) {
            (Some(host), _) => Some(host),
            (None, Some(process)) => PidRef::open(process)?,
            (None, None) => None,
        };
        Ok(Self {
            directory,
            processes: processes.into_iter().collect(),
        })
    }

    /// What becomes readable when something has happened.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let processes = self.processes.iter().map(AsFd::as_fd);
        processes.chain(self.directory.as_ref().map(AsFd::as_fd))
    }

    /// When to look again although nothing was announced.
    pub(crate) fn deadline(&self) -> Deadline {
        if self.directory.is_none() || self.processes.is_empty() {
            return Deadline::after(LOOK_AGAIN);
        }
        Deadline::never()
    }

    pub(crate) fn wait(&self, deadline: Deadline) -> Result<(), EngineError> {
        self.wait_beside(None, deadline)
    }

    /// Waits until something has happened, or `other` can be read.
    pub(crate) fn wait_beside(
        &self,
        other: Option<BorrowedFd<'_>>,
        deadline: Deadline,
    ) -> Result<(), EngineError> {
        let mut fds: Vec<PollFd<'_>> = self
            .descriptors()
            .chain(other)
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        Ok(poll(&mut fds, deadline.min(self.deadline()))?)
    }
}

/// The container's first process when it runs without a monitor, or the command that is starting it.
fn without_monitor(container: &Container<'_>, generation: u64) -> Result<Vec<PidRef>, EngineError> {
    let Ok(snapshot) = container.snapshot() else {
        return Ok(Vec::new());
    };
    let Ok(record) = snapshot.record() else {
        return Ok(Vec::new());
    };
    let mut processes: Vec<PidRef> = starter(record, generation)?.into_iter().collect();
    let lost = Observed::Alive(MonitorState::Lost);
    if record.generation() == generation
        && observe(container.engine(), container.id(), record)? == lost
        && let Some(init) = record.init()
    {
        processes.extend(PidRef::open(init)?);
    }
    Ok(processes)
}

fn watch(path: &Path, flags: WatchFlags) -> Result<Option<OwnedFd>, EngineError> {
    let error = |errno: Errno| SysError::new("watch", path.display().to_string(), errno.into());
    let watch = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
        Ok(watch) => watch,
        // As many watches as the machine allows are in use.
        Err(Errno::MFILE | Errno::NFILE) => return Ok(None),
        Err(errno) => return Err(error(errno).into()),
    };
    match inotify::add_watch(&watch, path, flags) {
        Ok(_) => Ok(Some(watch)),
        Err(Errno::NOENT | Errno::NOSPC) => Ok(None),
        Err(errno) => Err(error(errno).into()),
    }
}

/// Announces that somebody has given a container's lock up, or removed the container: whatever is recorded may have changed then.
#[derive(Debug)]
pub(crate) struct LockWatch {
    file: Option<OwnedFd>,
}

impl LockWatch {
    pub(crate) fn new(engine: &Engine, id: &ContainerId) -> Result<Self, EngineError> {
        let path = engine.layout().locks().join(id.as_str());
        let given_up = WatchFlags::CLOSE_WRITE | WatchFlags::ATTRIB | WatchFlags::DELETE_SELF;
        Ok(Self {
            file: watch(&path, given_up)?,
        })
    }

    /// Waits until then, or until the deadline has passed.
    pub(crate) fn wait(&self, deadline: Deadline) -> Result<(), EngineError> {
        let Some(file) = &self.file else {
            return Ok(poll(&mut [], deadline.min(Deadline::after(LOOK_AGAIN)))?);
        };
        Ok(poll(&mut [PollFd::new(file, PollFlags::IN)], deadline)?)
    }
}
