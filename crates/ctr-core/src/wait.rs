//! Waiting for the end of a run, without the lock and without polling.
//!
//! The run that is current when the question is asked is the one that is answered: its number is kept, so a restart or a removal in
//! between changes nothing. The answer comes from the monitor's record, or, when that has been taken in already, from the ledger.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use ctr_monitor::files;
use ctr_state::{ExitCause, ExitInfo, IntentKind, OomKilled, Record};
use ctr_sys::{Deadline, Liveness, PidRef, SysError, poll};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::container::Container;
use crate::error::EngineError;
use crate::probe::{Observed, observe, rebooted, recorded_exit};
use crate::summary::MonitorState;

/// Where nothing can announce the end (watches are a limited resource of the machine), it is looked for this often.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(1);

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
        let generation = self.snapshot()?.record()?.generation();
        let _span =
            tracing::info_span!("wait", container = self.id().short(), generation).entered();
        loop {
            let watch = Watch::new(self, generation)?;
            if let Some(exit) = exit_of(self, generation)? {
                return Ok(exit);
            }
            watch.wait(Deadline::never())?;
        }
    }
}

/// How a run ended, as far as anybody knows now; `None`: it is under way.
pub(crate) fn exit_of(
    container: &Container<'_>,
    generation: u64,
) -> Result<Option<ExitInfo>, EngineError> {
    let engine = container.engine();
    if let Some(exit) = recorded_exit(&engine.run_dir(container.id()), generation)? {
        return Ok(Some(exit));
    }
    let observed = observed_exit(container, generation);
    // The ledger comes last: an exit is written there before the files, the status or the container change that were looked at.
    let run = engine.store().exit_of(container.id(), generation)?;
    match run.and_then(|run| run.ended) {
        Some(exit) => Ok(Some(exit)),
        None => observed,
    }
}

/// What record and kernel say of the end of a run that nobody has recorded.
fn observed_exit(
    container: &Container<'_>,
    generation: u64,
) -> Result<Option<ExitInfo>, EngineError> {
    let engine = container.engine();
    let snapshot = container.snapshot()?;
    let record = snapshot.record()?;
    Ok(match observe(engine, container.id(), record)? {
        Observed::Ended(exit) => Some(exit),
        Observed::Rebooted => Some(rebooted(engine)),
        Observed::Alive(_) => None,
        Observed::Inactive if starter(record, generation)?.is_some() => None,
        Observed::Inactive => Some(never_started(engine.now_ns())),
    })
}

/// The process that is about to start this run, while it lives.
fn starter(record: &Record, generation: u64) -> Result<Option<PidRef>, EngineError> {
    let intent = record
        .intent()
        .filter(|intent| intent.generation == generation);
    Ok(match intent.map(|intent| (intent.kind, intent.owner)) {
        Some((IntentKind::Init | IntentKind::Start, owner)) => PidRef::open(owner)?,
        Some((
            IntentKind::Create | IntentKind::Stop | IntentKind::Cleanup | IntentKind::Remove,
            _,
        ))
        | None => None,
    })
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
        let directory = watch_directory(&run_dir)?;
        let monitor = Liveness::probe(&run_dir.join(files::ALIVE))?;
        let processes = match monitor {
            Some(pid) => PidRef::capture(pid)?.into_iter().collect(),
            None => without_monitor(container, generation)?,
        };
        Ok(Self {
            directory,
            processes,
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

    fn wait(&self, deadline: Deadline) -> Result<(), EngineError> {
        let mut fds: Vec<PollFd<'_>> = self
            .descriptors()
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
    let alive = Observed::Alive(MonitorState::Lost);
    if record.generation() == generation
        && observe(container.engine(), container.id(), record)? == alive
        && let Some(init) = record.init()
    {
        processes.extend(PidRef::open(init)?);
    }
    Ok(processes)
}

fn watch_directory(path: &Path) -> Result<Option<OwnedFd>, EngineError> {
    let error = |errno: Errno| SysError::new("watch", path.display().to_string(), errno.into());
    let watch = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
        Ok(watch) => watch,
        // As many watches as the machine allows are in use.
        Err(Errno::MFILE | Errno::NFILE) => return Ok(None),
        Err(errno) => return Err(error(errno).into()),
    };
    match inotify::add_watch(&watch, path, WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF) {
        Ok(_) => Ok(Some(watch)),
        Err(Errno::NOENT | Errno::NOSPC) => Ok(None),
        Err(errno) => Err(error(errno).into()),
    }
}
