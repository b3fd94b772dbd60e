//! How long the monitor waits for clients that take nothing.

use std::time::Duration;

/// How long an observer may take nothing once the container has ended.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// How long anybody may, once the container has been cleaned up after: whoever did that waits for the monitor's end.
const SHORT_GRACE: Duration = Duration::from_secs(1);

/// How patient the monitor is with clients that take nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// The container runs: only a full queue matters.
    Running,
    /// It has ended, and the clients are to get what was theirs.
    Ending,
    /// It has ended, and somebody waits for the monitor to end.
    Cleaned,
}

impl Patience {
    /// How long a client with something to take may take nothing.
    pub(super) fn grace(self) -> Duration {
        match self {
            Self::Running | Self::Ending => GRACE,
            Self::Cleaned => SHORT_GRACE,
        }
    }
}
