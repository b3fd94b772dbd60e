//! The error of this crate.

use ctr_sys::SysError;

use crate::{Cursor, is_busy};

/// What can go wrong with the journal.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// SQLite refused a statement. A database that stayed busy for longer than the bounded wait is reported here too.
    #[error("cannot {operation}")]
    Database {
        /// What was being done, as in "append an event".
        operation: &'static str,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
    /// Events after the cursor were trimmed before they were read, so resuming there would silently skip some.
    #[error("cursor {cursor} has expired: events up to {} are gone, the oldest is {oldest}", oldest - 1)]
    Expired {
        /// Where the reader wanted to resume.
        cursor: Cursor,
        /// The number of the oldest event that can still be read; one past the last number when none is left.
        oldest: u64,
    },
    /// The cursor lies after the last event: it comes from another journal, or from one that a power cut has set back.
    #[error("cursor {cursor} is none of this journal: its last event is {last}")]
    NotYet {
        /// Where the reader wanted to resume.
        cursor: Cursor,
        /// The number of the last event; 0 before the first one.
        last: u64,
    },
    /// A row of the journal does not hold an event of the version that the journal claims to have.
    #[error("event {seq} cannot be read: {reason}")]
    Corrupt {
        /// The number of the event.
        seq: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The journal was written by a newer program. Nothing was changed.
    #[error("the journal has version {found}, this program knows versions up to {known}")]
    NewerSchema {
        /// The version that was found.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// A text that should name an event kind, a cursor or a filter does not.
    #[error("invalid {what} {value:?}: {why}")]
    Invalid {
        /// What the text was taken for, as in "filter".
        what: &'static str,
        /// The text.
        value: String,
        /// Why it is none.
        why: String,
    },
    /// The wake file could not be watched.
    #[error(transparent)]
    Sys(#[from] SysError),
}

impl EventError {
    /// Whether the database stayed busy for the whole of the bounded wait.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Database { source, .. } if is_busy(source))
    }

    pub(crate) fn invalid(what: &'static str, value: &str, why: impl Into<String>) -> Self {
        Self::Invalid {
            what,
            value: value.to_owned(),
            why: why.into(),
        }
    }
}

/// Names the operation of a failed SQLite call.
pub(crate) trait Context<T> {
    fn context(self, operation: &'static str) -> Result<T, EventError>;
}

impl<T> Context<T> for rusqlite::Result<T> {
    fn context(self, operation: &'static str) -> Result<T, EventError> {
        self.map_err(|source| EventError::Database { operation, source })
    }
}
