//! How a process ended.

use ctr_sys::{ExitStatus, Signal};
use serde::{Deserialize, Serialize};

/// How a process ended, as far as whoever watched it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum ExitReport {
    /// It exited with this code, 0 to 255.
    Exited {
        /// The code.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// Which.
        signal: Signal,
    },
    /// It ended and nobody can say how: it was not the watcher's child.
    Unknown,
}

impl From<Option<ExitStatus>> for ExitReport {
    fn from(status: Option<ExitStatus>) -> Self {
        match status {
            Some(ExitStatus::Exited(code)) => Self::Exited { code },
            Some(ExitStatus::Signaled(signal)) => Self::Signaled { signal },
            None => Self::Unknown,
        }
    }
}

/// Whether a process was ended because its time was up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimedOut {
    /// It was not, or it ended by itself before the signal came.
    #[default]
    No,
    /// It was.
    Yes,
}
