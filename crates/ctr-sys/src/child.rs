//! A child process: its pidfd, its end.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;

use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, WaitOptions};

use crate::deadline::Deadline;
use crate::error::{SysError, SysResult};
use crate::pidref::Delivery;
use crate::poll::wait_readable;
use crate::raw;
use crate::signal::Signal;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It called `exit` with this code, 0 to 255.
    Exited(i32),
    /// A signal ended it.
    Signaled(Signal),
}

impl ExitStatus {
    /// The code as shells show it: the exit code, or 128 plus the signal's number.
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => 128 + signal.number(),
        }
    }

    /// Whether it exited with 0.
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }

    /// From a status as `wait(2)` delivers it.
    pub(crate) fn from_raw(status: i32) -> Option<Self> {
        let status = std::process::ExitStatus::from_raw(status);
        let exited = status.code().map(Self::Exited);
        let signaled = status.signal().and_then(Signal::new);
        exited.or(signaled.map(Self::Signaled))
    }

    pub(crate) fn from_wait(status: &WaitIdStatus) -> Option<Self> {
        if let Some(code) = status.exit_status() {
            return Some(Self::Exited(code));
        }
        status
            .terminating_signal()
            .and_then(Signal::new)
            .map(Self::Signaled)
    }
}

/// A child of this process. Dropping it neither kills nor reaps it.
#[derive(Debug)]
#[must_use = "a child that nobody waits for stays a zombie"]
pub struct Child {
    pid: i32,
    pidfd: OwnedFd,
}

impl Child {
    pub(crate) fn new(pid: i32, pidfd: OwnedFd) -> Self {
        Self { pid, pidfd }
    }

    /// Its pid.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Waits for its end and reaps it.
    ///
    /// # Errors
    /// When it was reaped by somebody else (`ECHILD`).
    pub fn wait(&self) -> SysResult<ExitStatus> {
        loop {
            match rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED)
            {
                Ok(Some(status)) => {
                    if let Some(end) = ExitStatus::from_wait(&status) {
                        return Ok(end);
                    }
                }
                Ok(None) | Err(Errno::INTR) => {}
                Err(errno) => return Err(self.error("wait for", errno)),
            }
        }
    }

    /// As [`Child::wait`], but `None` when the deadline passes first.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn wait_deadline(&self, deadline: Deadline) -> SysResult<Option<ExitStatus>> {
        if wait_readable(self.pidfd.as_fd(), deadline)? {
            return self.wait().map(Some);
        }
        Ok(None)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill(&self, signal: Signal) -> SysResult<Delivery> {
        raw::pidfd_send_signal(self.pidfd.as_fd(), signal, self.pid)
    }

    /// Kills it and reaps it.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn kill_and_wait(&self) -> SysResult<ExitStatus> {
        self.kill(Signal::KILL)?;
        self.wait()
    }

    /// Leaves the child to whoever reaps (init, a subreaper, a `waitid` for all) and returns its pid.
    pub fn detach(self) -> i32 {
        self.pid
    }

    fn error(&self, operation: &'static str, errno: Errno) -> SysError {
        SysError::new(operation, format!("child {}", self.pid), errno.into())
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Reaps one child that has ended, whichever it is; `None` when none has.
///
/// # Errors
/// When `waitid(2)` fails for another reason than that there are no children.
pub fn reap_any() -> SysResult<Option<(i32, ExitStatus)>> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                let exited = status.exit_status().map(ExitStatus::Exited);
                let signaled = status.terminating_signal().and_then(Signal::new);
                if let Some(end) = exited.or(signaled.map(ExitStatus::Signaled)) {
                    return Ok(Some((pid.as_raw_nonzero().get(), end)));
                }
            }
            Ok(None) | Err(Errno::CHILD) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(SysError::new("wait for", "any child", errno.into())),
        }
    }
}
