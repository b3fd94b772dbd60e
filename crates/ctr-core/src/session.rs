//! An attached client: its streams, its terminal, its signals, its end.

mod copy;

use std::os::fd::BorrowedFd;
use std::time::Duration;

use ctr_exec::DetachKeys;
use ctr_monitor::MonitorClient;
use ctr_state::{ExitInfo, LogDriver, Terminal};
use ctr_sys::{Child, Deadline, PidStamp, Signal, SignalFd};

use crate::container::{Container, LockedContainer};
use crate::error::EngineError;
use crate::reconcile::Leave;
use copy::Copy;

/// How long a monitor may take to end once its container is cleaned up after.
const MONITOR_END: Duration = Duration::from_secs(10);

/// The caller's side of the streams. All descriptors stay the caller's.
#[derive(Clone, Debug)]
pub struct SessionIo<'a> {
    /// Where the container's input comes from; `None`: it gets none. A terminal is in raw mode during the session, if the container has a
    /// terminal too.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Where its output goes; `None`: it is dropped.
    pub stdout: Option<BorrowedFd<'a>>,
    /// Where its error output goes; `None`: it is dropped.
    pub stderr: Option<BorrowedFd<'a>>,
    /// Where the caller's signals arrive. `SIGWINCH` resizes the container's terminal, if it has one.
    pub signals: Option<&'a SignalFd>,
    /// What becomes of the others.
    pub proxy: SignalProxy,
    /// The keys by which a user leaves. They are watched only when `stdin` is a terminal: from elsewhere any bytes may come.
    pub detach_keys: DetachKeys,
}

/// What becomes of the caller's signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalProxy {
    /// They go to the container's first process.
    ToContainer,
    /// Those that ask a process to end (`SIGHUP`, `SIGINT`, `SIGQUIT`, `SIGTERM`) end the session, the others have no effect.
    EndsSession,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// The container ended.
    Exited(ExitInfo),
    /// It ended, but the last of its output was not received: the caller had taken nothing for too long, or the monitor was killed.
    CutOff(ExitInfo),
    /// The caller took too little of the output while others waited for theirs, and was let go; the container runs on.
    Dropped {
        /// Bytes of output that it did not get.
        missed: u64,
    },
    /// The caller left; the container runs on.
    Detached,
    /// A signal ended the session; the container runs on.
    Interrupted {
        /// Which.
        signal: Signal,
    },
}

/// What a session is to its container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The container runs in its foreground, and it cleans up afterwards.
    Owner,
    /// One client of several.
    Observer,
}

/// The run that a session belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttachedRun {
    generation: u64,
    init: Option<PidStamp>,
    terminal: Terminal,
    stop_signal: Signal,
    /// Whether the streams are the monitor's to copy, or the container's own.
    streams: Copied,
    role: Role,
}

/// Whether a container's streams pass through its monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copied {
    Yes,
    /// It has those of its starter.
    No,
}

impl AttachedRun {
    pub(crate) fn of(container: &LockedContainer<'_>, role: Role) -> Self {
        Self {
            generation: container.record().generation(),
            init: container.record().init(),
            terminal: container.config().process.terminal,
            stop_signal: container.config().stop_signal,
            streams: match container.config().log.driver {
                LogDriver::Passthrough => Copied::No,
                LogDriver::None | LogDriver::K8sFile | LogDriver::Journald => Copied::Yes,
            },
            role,
        }
    }
}

/// A container that runs and whose streams are here.
///
/// Dropping it leaves the container running; its output goes on to the log, and the monitor sees to the cleanup.
#[derive(Debug)]
pub struct Session<'e> {
    container: Container<'e>,
    run: AttachedRun,
    client: MonitorClient,
    monitor: Option<Child>,
}

impl<'e> Session<'e> {
    pub(crate) fn new(
        container: Container<'e>,
        run: AttachedRun,
        client: MonitorClient,
        monitor: Option<Child>,
    ) -> Self {
        Self {
            container,
            run,
            client,
            monitor,
        }
    }

    /// The container.
    pub fn container(&self) -> &Container<'e> {
        &self.container
    }

    /// Copies the streams and passes signals on until the container ends or the user leaves. If the session started the container, it
    /// then cleans up after it, or removes it when it is to go by itself.
    ///
    /// When whoever reads the output goes away (`| head -1`), a session that only looked on ends; a container in its foreground gets its stop
    /// signal, and SIGKILL a second later: a program in a pipeline ends then, too.
    ///
    /// # Errors
    /// When the output cannot be written (a full disk), or the cleanup fails; the exit is recorded all the same.
    pub fn run(mut self, io: SessionIo<'_>) -> Result<SessionEnd, EngineError> {
        let span = tracing::info_span!(
            "session",
            container = self.container.id().short(),
            generation = self.run.generation
        );
        let _span = span.entered();
        let io = match self.run.streams {
            Copied::Yes => io,
            // What the container reads and writes itself must not be read here too.
            Copied::No => SessionIo {
                stdin: None,
                stdout: None,
                stderr: None,
                ..io
            },
        };
        let end = Copy::new(&mut self, io)?.run()?;
        match (&end.end, self.run.role) {
            (SessionEnd::Exited(_) | SessionEnd::CutOff(_), Role::Owner) => self.conclude()?,
            (SessionEnd::Exited(_) | SessionEnd::CutOff(_), Role::Observer)
            | (
                SessionEnd::Dropped { .. } | SessionEnd::Detached | SessionEnd::Interrupted { .. },
                _,
            ) => {
                if let Some(monitor) = self.monitor.take() {
                    monitor.detach();
                }
            }
        }
        end.output.map(|()| end.end)
    }

    fn conclude(&mut self) -> Result<(), EngineError> {
        let finished = self.finish();
        if let Some(monitor) = self.monitor.take() {
            // Our child: it ends now, and its zombie with it.
            monitor.wait_deadline(Deadline::after(MONITOR_END))?;
        }
        finished
    }

    /// Records the exit and gives the run's resources back. Somebody else may have done so, or removed the container.
    fn finish(&self) -> Result<(), EngineError> {
        let locked = self.container.lock_with("cleanup", Leave::Restart);
        let result = locked.and_then(|locked| {
            if locked.record().generation() != self.run.generation {
                return Ok(());
            }
            locked.conclude()
        });
        match result {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }
}
