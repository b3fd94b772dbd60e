//! An attached client: its streams, its terminal, its signals, its end. One path for run, start, attach and exec.

mod attached;
mod copy;
mod rejoin;
mod replies;

use std::os::fd::BorrowedFd;
use std::time::Duration;

use ctr_exec::DetachKeys;
use ctr_monitor::MonitorClient;
use ctr_state::ExitInfo;
use ctr_sys::{Child, Deadline, Signal, SignalFd};

use crate::container::Container;
use crate::error::EngineError;
use crate::exec::finish_exec;
use crate::reconcile::Leave;
use attached::Subject;
pub(crate) use attached::{Attached, Role};
use copy::{Copy, Seen};

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
    /// The program ended: the container's own one, or that of an exec session.
    Exited(ExitInfo),
    /// The program of an exec session ended, and processes that it has left behind wrote more than was waited for.
    Left {
        /// How it ended.
        exit: ExitInfo,
        /// Bytes that were written by then and not waited for.
        dropped: u64,
    },
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

/// A container, or an exec session, that runs and whose streams are here.
///
/// Dropping it leaves the program running; a container's output goes on to the log, and the monitor sees to the cleanup.
#[derive(Debug)]
pub struct Session<'e> {
    container: Container<'e>,
    attached: Attached,
    client: MonitorClient,
    monitor: Option<Child>,
}

impl<'e> Session<'e> {
    pub(crate) fn new(
        container: Container<'e>,
        attached: Attached,
        client: MonitorClient,
        monitor: Option<Child>,
    ) -> Self {
        Self {
            container,
            attached,
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
        let span = tracing::info_span!("session", container = self.container.id().short());
        let _span = span.entered();
        let io = self.attached.used(io);
        let end = Copy::new(&mut self, io)?.run()?;
        match (&end.end, self.attached.role()) {
            (
                SessionEnd::Exited(_) | SessionEnd::Left { .. } | SessionEnd::CutOff(_),
                Role::Owner,
            ) => self.conclude(end.seen)?,
            (
                SessionEnd::Exited(_) | SessionEnd::Left { .. } | SessionEnd::CutOff(_),
                Role::Observer,
            )
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

    fn conclude(&mut self, seen: Option<Seen>) -> Result<(), EngineError> {
        let finished = match (self.attached.subject(), seen) {
            (Subject::Run { generation, .. }, _) => self.finish(*generation),
            (Subject::Exec { id, .. }, Some(Seen::Exec(end))) => {
                finish_exec(&self.container, id, &end)
            }
            // What nobody has seen is for whoever takes the container's lock.
            (Subject::Exec { .. }, None) => Ok(()),
        };
        if let Some(monitor) = self.monitor.take() {
            // Our child: it ends now, and its zombie with it.
            monitor.wait_deadline(Deadline::after(MONITOR_END))?;
        }
        finished
    }

    /// Records the exit and gives the run's resources back. Somebody else may have done so, or removed the container.
    fn finish(&self, generation: u64) -> Result<(), EngineError> {
        let locked = self.container.lock_with("cleanup", Leave::Restart);
        let result = locked.and_then(|locked| {
            if locked.record().generation() != generation {
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
