//! Reading, without any lock of a container.

use ctr_events::{Cursor, Event, Journal, Reader};
use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use crate::error::Context;
use crate::id::is_hex;
use crate::snapshot::{SELECT, Snapshot, parse_column};
use crate::{ContainerId, IdOrName, Run, StateError, ledger};

/// How many ids an ambiguity names.
const CANDIDATES: u32 = 10;

impl Store {
    /// The container that a user means: by its full id, else by its name, else by the beginning of its id.
    ///
    /// # Errors
    /// [`StateError::NotFound`], [`StateError::Ambiguous`].
    pub fn resolve(&self, what: &IdOrName) -> Result<ContainerId, StateError> {
        self.read(|connection| {
            let exact = connection
                .query_row(
                    "SELECT id FROM container WHERE id = ?1 OR name = ?1",
                    [what.as_str()],
                    |row| parse_column(row, 0),
                )
                .optional()
                .context("look up a container")?;
            match exact {
                Some(id) => Ok(id),
                None => by_prefix(connection, what),
            }
        })
    }

    /// A copy of what is stored about a container.
    ///
    /// # Errors
    /// [`StateError::NotFound`].
    pub fn snapshot(&self, id: &ContainerId) -> Result<Snapshot, StateError> {
        self.read(|connection| {
            connection
                .query_row(
                    &format!("{SELECT} WHERE c.id = ?1"),
                    [id.as_str()],
                    Snapshot::from_row,
                )
                .optional()
                .context("read a container")?
                .ok_or_else(|| StateError::not_found(id))
        })
    }

    /// Copies of all containers at one moment, oldest first. One that cannot be read is among them and says so.
    ///
    /// # Errors
    /// Only those of the database as a whole.
    pub fn list(&self) -> Result<Vec<Snapshot>, StateError> {
        self.read(|connection| {
            connection
                .prepare(&format!("{SELECT} ORDER BY c.created_ns, c.id"))
                .and_then(|mut statement| {
                    let rows = statement.query_map([], Snapshot::from_row)?;
                    rows.collect::<rusqlite::Result<Vec<_>>>()
                })
                .context("list the containers")
        })
    }

    /// The runs of a container that the ledger has, oldest first, also when the container was removed.
    ///
    /// # Errors
    /// [`StateError::Corrupt`] when one cannot be read.
    pub fn runs(&self, id: &ContainerId) -> Result<Vec<Run>, StateError> {
        self.read(|connection| ledger::runs(connection, id))
    }

    /// The containers that were removed and of which the ledger still has runs, newest removal first, whose name was `what` or whose id
    /// begins so.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn removed(&self, what: &IdOrName) -> Result<Vec<ContainerId>, StateError> {
        self.read(|connection| ledger::removed(connection, what.as_str()))
    }

    /// One run of a container, also when the container was removed; `None` when the ledger does not have it (any more).
    ///
    /// # Errors
    /// [`StateError::Corrupt`] when it cannot be read.
    pub fn exit_of(&self, id: &ContainerId, generation: u64) -> Result<Option<Run>, StateError> {
        self.read(|connection| ledger::run(connection, id, generation))
    }

    /// The next event for a reader of the journal, `None` when there is none yet. Wait for the wake file then.
    ///
    /// # Errors
    /// Those of [`Reader::next`], as [`StateError::Events`].
    pub fn next_event(&self, reader: &mut Reader) -> Result<Option<Event>, StateError> {
        self.read(|connection| Ok(reader.next(connection)?))
    }

    /// Where a reader starts that wants only what is to come.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn last_event(&self) -> Result<Cursor, StateError> {
        self.read(|connection| Ok(Journal::last(connection)?))
    }
}

/// The containers that need this one.
pub(crate) fn dependents(
    connection: &Connection,
    id: &ContainerId,
) -> Result<Vec<ContainerId>, StateError> {
    connection
        .prepare("SELECT id FROM dependency WHERE needs = ?1 ORDER BY id")
        .and_then(|mut statement| {
            let rows = statement.query_map([id.as_str()], |row| parse_column(row, 0))?;
            rows.collect()
        })
        .context("look up who needs a container")
}

fn by_prefix(connection: &Connection, what: &IdOrName) -> Result<ContainerId, StateError> {
    let prefix = what.as_str();
    if !is_hex(prefix) {
        return Err(StateError::not_found(what));
    }
    // 'g' follows the last digit: the range is all ids that begin so, and the index finds it.
    let mut candidates: Vec<ContainerId> = connection
        .prepare("SELECT id FROM container WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3")
        .and_then(|mut statement| {
            let end = format!("{prefix}g");
            let rows = statement
                .query_map(params![prefix, end, CANDIDATES], |row| parse_column(row, 0))?;
            rows.collect()
        })
        .context("look up the beginning of an id")?;
    match candidates.len() {
        1 => Ok(candidates.remove(0)),
        0 => Err(StateError::not_found(what)),
        _ => Err(StateError::Ambiguous {
            what: what.to_string(),
            candidates,
        }),
    }
}
