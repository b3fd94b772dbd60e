//! How a container is: one monitor is asked, or several at once, first the questions and then the answers.

use ctr_sys::Deadline;

use super::MonitorClient;
use crate::error::MonitorError;
use crate::protocol::{MonitorStatus, Reply, Request};

impl MonitorClient {
    /// Asks how the container is.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn status(&mut self, deadline: Deadline) -> Result<MonitorStatus, MonitorError> {
        self.ask_status()?;
        self.status_answer(deadline)
    }

    /// Sends the question that [`MonitorClient::status`] asks, and waits for nothing.
    ///
    /// # Errors
    /// When the monitor is gone.
    pub fn ask_status(&self) -> Result<(), MonitorError> {
        self.send(&Request::Status, &[])
    }

    /// The answer to [`MonitorClient::ask_status`].
    ///
    /// # Errors
    /// When it does not answer.
    pub fn status_answer(&mut self, deadline: Deadline) -> Result<MonitorStatus, MonitorError> {
        let reply = self.reply(Request::Status.verb(), deadline, None)?;
        let Reply::Status(status) = reply else {
            return Err(super::unexpected(&reply));
        };
        Ok(status)
    }
}
