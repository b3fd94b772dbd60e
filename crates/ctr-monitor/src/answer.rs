//! What comes back from a monitor: replies, or none.

use crate::error::MonitorError;
use crate::protocol::Reply;

impl Reply {
    /// Parses a message frame.
    ///
    /// # Errors
    /// [`MonitorError::BadAnswer`] when it is not of the protocol.
    pub fn parse(bytes: &[u8]) -> Result<Self, MonitorError> {
        serde_json::from_slice(bytes).map_err(|error| MonitorError::BadAnswer {
            why: error.to_string(),
        })
    }
}

/// Whether something was sent, or found no room.
pub(crate) fn would_block(sent: Result<(), MonitorError>) -> Result<bool, MonitorError> {
    match sent {
        Ok(()) => Ok(true),
        Err(MonitorError::Connection { source, .. })
            if source.kind() == std::io::ErrorKind::WouldBlock =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn unexpected(reply: &Reply) -> MonitorError {
    MonitorError::BadAnswer {
        why: format!("unexpected reply {reply:?}"),
    }
}

/// A write to a monitor that has ended says the same as its silence.
pub(crate) fn gone(error: MonitorError, request: &'static str) -> MonitorError {
    if let MonitorError::Connection { source, .. } = &error
        && source.kind() == std::io::ErrorKind::BrokenPipe
    {
        return MonitorError::Gone { request };
    }
    error
}
