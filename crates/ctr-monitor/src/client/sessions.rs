//! Exec sessions, from the engine's side.

use std::os::fd::BorrowedFd;

use ctr_exec::WindowSize;
use ctr_exec::session::SessionId;
use ctr_sys::{Deadline, PidStamp};

use super::MonitorClient;
use crate::answer::unexpected;
use crate::error::MonitorError;
use crate::protocol::{ExecRequest, ExecStartRequest, Reply, Request, SessionSignal};

impl MonitorClient {
    /// Makes an exec session that waits for its start. `process` is a file with the process to execute.
    ///
    /// # Errors
    /// [`MonitorError::Failed`] when the container does not run, or there are too many sessions.
    pub fn create_session(
        &mut self,
        request: ExecRequest,
        process: BorrowedFd<'_>,
        deadline: Deadline,
    ) -> Result<(), MonitorError> {
        let reply = self.ask(&Request::Exec(Box::new(request)), &[process], deadline)?;
        if matches!(reply, Reply::Done) {
            return Ok(());
        }
        Err(unexpected(&reply))
    }

    /// Makes an exec session and starts it; the identity of its process. `descriptors` are those of [`ExecRequest`].
    ///
    /// # Errors
    /// [`MonitorError::Runtime`] when the runtime failed: nothing of the session is left then.
    pub fn exec(
        &mut self,
        request: ExecRequest,
        descriptors: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> Result<PidStamp, MonitorError> {
        self.started(&Request::Exec(Box::new(request)), descriptors, deadline)
    }

    /// Starts an exec session that was made before; as [`MonitorClient::exec`].
    ///
    /// # Errors
    /// [`MonitorError::Runtime`] when the runtime failed: the session is over then.
    pub fn start_session(
        &mut self,
        request: ExecStartRequest,
        descriptors: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> Result<PidStamp, MonitorError> {
        self.started(
            &Request::ExecStart(Box::new(request)),
            descriptors,
            deadline,
        )
    }

    fn started(
        &mut self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
        deadline: Deadline,
    ) -> Result<PidStamp, MonitorError> {
        let reply = self.ask(request, descriptors, deadline)?;
        let Reply::SessionStarted { process } = reply else {
            return Err(unexpected(&reply));
        };
        Ok(process)
    }

    /// Sends a signal to an exec session.
    ///
    /// # Errors
    /// [`MonitorError::Failed`] when its process does not run.
    pub fn signal_session(
        &mut self,
        request: SessionSignal,
        deadline: Deadline,
    ) -> Result<(), MonitorError> {
        self.done(&Request::SessionSignal(request), deadline)
    }

    /// Gives the terminal of an exec session another size.
    ///
    /// # Errors
    /// [`MonitorError::Failed`] when it has ended.
    pub fn resize_session(
        &mut self,
        session: &SessionId,
        size: WindowSize,
        deadline: Deadline,
    ) -> Result<(), MonitorError> {
        let session = Some(session.clone());
        self.done(&Request::Resize { size, session }, deadline)
    }

    /// Forgets an exec session that was never started.
    ///
    /// # Errors
    /// [`MonitorError::Failed`] when it has been started.
    pub fn remove_session(
        &mut self,
        session: &SessionId,
        deadline: Deadline,
    ) -> Result<(), MonitorError> {
        let session = session.clone();
        self.done(&Request::SessionRemove { session }, deadline)
    }
}
