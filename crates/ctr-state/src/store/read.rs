//! Reading, without any lock of a container.

use std::collections::BTreeSet;

use ctr_events::{Cursor, Event, Journal, Reader};
use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use super::fault::{answer, is_damage, is_of_a_value};
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
        self.read(|connection| match one(connection, id) {
            Err(error) if is_of_the_row(&error) && known_ids(connection).contains(id) => {
                Ok(Snapshot::unreadable(id, reason(&error)))
            }
            other => other,
        })
    }

    /// Copies of all containers at one moment, oldest first. One that cannot be read is among them and says so.
    ///
    /// # Errors
    /// Only those of the database as a whole.
    pub fn list(&self) -> Result<Vec<Snapshot>, StateError> {
        self.read(all)
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

/// All containers, oldest first; one by one where a damaged one is in the way of the others.
pub(super) fn all(connection: &Connection) -> Result<Vec<Snapshot>, StateError> {
    let together = connection
        .prepare(&format!("{SELECT} ORDER BY c.created_ns, c.id"))
        .and_then(|mut statement| {
            let rows = statement.query_map([], Snapshot::from_row)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })
        .context("list the containers");
    let error = match together {
        Err(error) if is_of_the_row(&error) => error,
        other => return other,
    };
    let ids = known_ids(connection);
    if ids.is_empty() {
        return Err(error);
    }
    let mut found = ids
        .iter()
        .map(|id| match one(connection, id) {
            Err(error) if is_of_the_row(&error) => Ok(Snapshot::unreadable(id, reason(&error))),
            other => other,
        })
        .collect::<Result<Vec<_>, _>>()?;
    found.sort_by(|a, b| (a.created_ns(), a.id()).cmp(&(b.created_ns(), b.id())));
    Ok(found)
}

/// Whatever the tables say of containers, as far as they can be read.
pub(super) fn known_ids(connection: &Connection) -> BTreeSet<ContainerId> {
    let mut ids = BTreeSet::new();
    for sql in [
        // The index of the ids, the table, and what each record begins with.
        "SELECT id FROM container WHERE id > '' ORDER BY id",
        "SELECT id FROM container NOT INDEXED",
        "SELECT id FROM record ORDER BY id",
        "SELECT id FROM record ORDER BY id DESC",
    ] {
        let Ok(mut statement) = connection.prepare(sql) else {
            continue;
        };
        let Ok(mut rows) = statement.query([]) else {
            continue;
        };
        while let Ok(Some(row)) = rows.next() {
            ids.extend(parse_column(row, 0).ok());
        }
    }
    ids
}

fn one(connection: &Connection, id: &ContainerId) -> Result<Snapshot, StateError> {
    connection
        .query_row(
            &format!("{SELECT} WHERE c.id = ?1"),
            [id.as_str()],
            Snapshot::from_row,
        )
        .optional()
        .context("read a container")?
        .ok_or_else(|| StateError::not_found(id))
}

/// Whether others may be read all the same: the row's pages are damaged, or it holds values of a kind that it cannot have.
fn is_of_the_row(error: &StateError) -> bool {
    is_damage(error) || answer(error).is_some_and(|(_, source)| is_of_a_value(source))
}

/// What an error says, with its cause.
pub(super) fn reason(error: &StateError) -> String {
    match answer(error) {
        Some((operation, source)) => format!("cannot {operation}: {source}"),
        None => error.to_string(),
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
