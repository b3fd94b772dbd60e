//! The errors of this crate.

use std::path::PathBuf;
use std::time::Duration;

use ctr_events::EventError;
use ctr_sys::{LockHolder, SysError};

use crate::{ContainerId, ContainerName, IllegalTransition, StoreFault};

/// A text that is no id, no name or no status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {value:?}: {why}")]
pub struct ParseError {
    /// What the text was taken for, as in "container name".
    pub what: &'static str,
    /// The text.
    pub value: String,
    /// Why it is none.
    pub why: &'static str,
}

impl ParseError {
    pub(crate) fn new(what: &'static str, value: &str, why: &'static str) -> Self {
        Self {
            what,
            value: value.to_owned(),
            why,
        }
    }
}

/// What can go wrong with the state of containers.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// No container is called so, or it was removed meanwhile.
    #[error("no such container: {what}")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// More than one id begins so.
    #[error("{what} is the beginning of more than one id")]
    Ambiguous {
        /// What was looked for.
        what: String,
        /// Some of the ids that begin so, in ascending order.
        candidates: Vec<ContainerId>,
    },
    /// The name belongs to another container.
    #[error("the name {name} is in use by container {}", by.short())]
    NameInUse {
        /// The name.
        name: ContainerName,
        /// Whose it is.
        by: ContainerId,
    },
    /// Other containers depend on this one, so it cannot be removed.
    #[error("container {} is needed by {}", id.short(), short_ids(by))]
    InUse {
        /// The container.
        id: ContainerId,
        /// Those that depend on it.
        by: Vec<ContainerId>,
    },
    /// The same [`Store`](crate::Store) already holds the lock: waiting for it would never end.
    #[error("container {} is already locked by this process", id.short())]
    AlreadyHeld {
        /// The container.
        id: ContainerId,
    },
    /// A lock was held by somebody else for the whole of the bounded wait.
    #[error("{what} is locked{}, waited {:.1} s", holder_text(holder.as_ref()), waited.as_secs_f64())]
    Busy {
        /// The container or the database, in words; for the database with what was being done and SQLite's answer with its extended
        /// code.
        what: String,
        /// Who holds the lock, by its own words, when it can be named.
        holder: Option<LockHolder>,
        /// How long was really waited, by the clock.
        waited: Duration,
    },
    /// The status of the container does not allow this.
    #[error("container {}: {source}", id.short())]
    Illegal {
        /// The container.
        id: ContainerId,
        /// The status it has and what was asked of it.
        source: IllegalTransition,
    },
    /// What is stored about the container cannot be read. Other containers are not affected.
    #[error("the record of container {} cannot be read: {reason}", id.short())]
    Corrupt {
        /// The container.
        id: ContainerId,
        /// What is wrong.
        reason: String,
    },
    /// The database was written by a newer program. Nothing was changed.
    #[error("the database {} has schema {found}, this program knows schemas up to {known}", database.display())]
    NewerSchema {
        /// The file.
        database: PathBuf,
        /// The schema that was found.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
    },
    /// The store as a whole cannot do it.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// SQLite refused.
    #[error("cannot {operation}")]
    Database {
        /// What was being done, as in "save a record".
        operation: &'static str,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
    /// The journal of events refused.
    #[error(transparent)]
    Events(#[from] EventError),
    /// The system refused, or what was found there cannot be trusted.
    #[error(transparent)]
    Sys(#[from] SysError),
}

impl StateError {
    pub(crate) fn not_found(what: &impl ToString) -> Self {
        Self::NotFound {
            what: what.to_string(),
        }
    }
}

fn short_ids(ids: &[ContainerId]) -> String {
    let short: Vec<&str> = ids.iter().map(ContainerId::short).collect();
    short.join(", ")
}

fn holder_text(holder: Option<&LockHolder>) -> String {
    holder.map_or_else(String::new, |holder| {
        format!(" by process {} ({})", holder.pid, holder.verb)
    })
}

/// Names the operation of a failed SQLite call.
pub(crate) trait Context<T> {
    fn context(self, operation: &'static str) -> Result<T, StateError>;
}

impl<T> Context<T> for rusqlite::Result<T> {
    fn context(self, operation: &'static str) -> Result<T, StateError> {
        self.map_err(|source| StateError::Database { operation, source })
    }
}
