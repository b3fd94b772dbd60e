//! What the monitor's answers mean for a session.

use ctr_monitor::MonitorError;
use ctr_monitor::protocol::Reply;

use super::SessionEnd;
use crate::error::EngineError;
use crate::exec::session_exit_info;
use crate::probe::exit_info;

/// What became of something that was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    /// The monitor has no room now.
    No,
    /// The monitor is gone: reading from it says so next.
    Never,
}

pub(super) fn sent(result: Result<bool, MonitorError>) -> Result<Sent, EngineError> {
    match result {
        Ok(true) => Ok(Sent::Yes),
        Ok(false) => Ok(Sent::No),
        Err(MonitorError::Connection { .. }) => Ok(Sent::Never),
        Err(error) => Err(error.into()),
    }
}

/// The end of the session, if the message is about that; answers to what was sent in between are not.
pub(super) fn end_of(reply: Reply) -> Option<SessionEnd> {
    match reply {
        Reply::Exit(record) => Some(SessionEnd::Exited(exit_info(&record))),
        Reply::Dropped { missed } => Some(SessionEnd::Dropped { missed }),
        Reply::SessionExit(end) => Some(match end.dropped {
            0 => SessionEnd::Exited(session_exit_info(&end)),
            dropped => SessionEnd::Left {
                exit: session_exit_info(&end),
                dropped,
            },
        }),
        Reply::Created { .. }
        | Reply::Done
        | Reply::Status(_)
        | Reply::SessionStarted { .. }
        | Reply::Failed(_) => None,
    }
}
