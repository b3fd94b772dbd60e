//! What is wrong with the store, as data, for somebody who looks after it.

use std::fmt;

use ctr_events::Journal;
use rusqlite::Connection;

use super::check::{Depth, faults};
use super::fault::{directory_of, is_damage};
use super::room::log;
use super::{Store, read};
use crate::error::Context;
use crate::{ContainerId, StateError, ledger};

/// So many issues of a kind are told at most.
const MOST: usize = 20;

/// Something that is wrong with the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreIssue {
    /// The database does not hold together: nothing is written to it any more.
    Damaged {
        /// What SQLite says.
        what: String,
    },
    /// A value is none that the table may have: only its row is concerned.
    Value {
        /// What SQLite says.
        what: String,
    },
    /// A container that this program cannot read. `rm -f` of its id removes it.
    Container {
        /// The container.
        id: ContainerId,
        /// What cannot be read.
        what: String,
    },
    /// A run in the ledger that cannot be read.
    Run {
        /// Its container, as it is stored.
        id: String,
        /// Its number.
        generation: i64,
        /// Why.
        what: String,
    },
    /// An event that cannot be read.
    Event {
        /// Its number.
        seq: u64,
        /// Why.
        what: String,
    },
    /// Rows that belong to a row that is not there.
    Dangling {
        /// The table.
        table: String,
        /// How many.
        rows: u64,
    },
    /// The log of the database is missing: what was written last may be lost. Another program that has opened the database may also have
    /// removed it, properly.
    LogMissing,
    /// What is set aside for stopping and removing on a full disk is not whole, and the disk has no room for it.
    NoReserve {
        /// Pages of 4 KiB that are left of it.
        pages: u64,
        /// Pages that there should be.
        wanted: u64,
        /// What is free on the disk, in bytes.
        free_bytes: u64,
    },
}

impl fmt::Display for StoreIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { what } => write!(f, "the database is damaged: {what}"),
            Self::Value { what } => write!(f, "a row of the database is damaged: {what}"),
            Self::Container { id, what } => {
                write!(f, "container {} cannot be read: {what}", id.short())
            }
            Self::Run {
                id,
                generation,
                what,
            } => write!(f, "run {generation} of {id:.12} cannot be read: {what}"),
            Self::Event { seq, what } => write!(f, "event {seq} cannot be read: {what}"),
            Self::Dangling { table, rows } => {
                write!(f, "{rows} rows of the table {table} belong to nothing")
            }
            Self::LogMissing => f.write_str("the log of the database is missing"),
            Self::NoReserve {
                pages,
                wanted,
                free_bytes,
            } => write!(
                f,
                "{pages} of {wanted} pages are set aside for a full disk ({} KiB free)",
                free_bytes / 1024
            ),
        }
    }
}

impl Store {
    /// Looks at all that is stored: the whole database is read, and every row is parsed. Takes no lock and changes nothing. At most twenty
    /// issues of each kind are told, those of the database as a whole first.
    ///
    /// # Errors
    /// Only when the database cannot be asked at all: it is busy, or lies on a disk that does not answer.
    pub fn health(&self) -> Result<Vec<StoreIssue>, StateError> {
        let mut issues = self.read(|connection| {
            let mut issues = faults(connection, Depth::Whole)?;
            for look in [containers, runs, events, dangling] {
                match look(connection) {
                    Ok(found) => issues.extend(found),
                    // It was told already, or is now.
                    Err(error) if is_damage(&error) => issues.push(StoreIssue::Damaged {
                        what: read::reason(&error),
                    }),
                    Err(error) => return Err(error),
                }
            }
            issues.extend(self.room_issue(connection));
            Ok(issues)
        })?;
        if std::fs::symlink_metadata(log(&self.config().database)).is_err() {
            issues.push(StoreIssue::LogMissing);
        }
        Ok(issues)
    }

    /// A reserve that is not whole is made whole by the next creation, where the disk has room.
    fn room_issue(&self, connection: &Connection) -> Option<StoreIssue> {
        let reserve = self.reserve(connection).ok()?;
        let free_bytes = ctr_sys::free_bytes(directory_of(&self.config().database))?;
        (!reserve.is_whole() && free_bytes < reserve.lack()).then_some(StoreIssue::NoReserve {
            pages: reserve.pages,
            wanted: super::room::KEPT_PAGES,
            free_bytes,
        })
    }
}

fn containers(connection: &Connection) -> Result<Vec<StoreIssue>, StateError> {
    let issue = |snapshot: crate::Snapshot| {
        let what = snapshot.corrupt()?.to_owned();
        let id = snapshot.id().clone();
        Some(StoreIssue::Container { id, what })
    };
    let all = read::all(connection)?;
    Ok(all.into_iter().filter_map(issue).take(MOST).collect())
}

fn runs(connection: &Connection) -> Result<Vec<StoreIssue>, StateError> {
    let found = ledger::unreadable(connection, MOST)?;
    let issue = |(id, generation, what)| StoreIssue::Run {
        id,
        generation,
        what,
    };
    Ok(found.into_iter().map(issue).collect())
}

fn events(connection: &Connection) -> Result<Vec<StoreIssue>, StateError> {
    let found = Journal::unreadable(connection, MOST)?;
    let issue = |(seq, what)| StoreIssue::Event { seq, what };
    Ok(found.into_iter().map(issue).collect())
}

fn dangling(connection: &Connection) -> Result<Vec<StoreIssue>, StateError> {
    connection
        .prepare("SELECT \"table\", count(*) FROM pragma_foreign_key_check GROUP BY 1 ORDER BY 1")
        .and_then(|mut statement| {
            let rows = statement.query_map([], |row| {
                Ok(StoreIssue::Dangling {
                    table: row.get(0)?,
                    rows: row.get::<_, i64>(1)?.unsigned_abs(),
                })
            })?;
            rows.collect()
        })
        .context("look for rows that belong to nothing")
}
