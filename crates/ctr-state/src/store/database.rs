//! The connection: live, or to a copy while the live database is blocked.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use ctr_events::{open_database, retry_while_busy, wait_when_busy};
use ctr_sys::{Deadline, SysError, sync_directory};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::fault::{answer, directory_of, lacks_index};
use super::room::{is_scarce, set_aside};
use super::{Durability, StoreConfig};
use crate::StateError;
use crate::error::Context;
use crate::schema::{self, Age};

/// A checkpoint is made when the WAL has so many pages of 4 KiB: 512 KiB. One costs four syncs, whoever's commit it falls to, and a run
/// of a container writes about 30 pages; a command that finds nobody else connected reads the headers of the whole WAL, 1.5 to 3.5 us
/// a page. Runs alone would have it larger, lists alone smaller.
const CHECKPOINT_PAGES: u32 = 128;

/// What a connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The database.
    Live,
    /// The database, and nobody else may use it meanwhile: there is no room on the disk for an index to be shared. Only for as long as one
    /// call takes.
    Alone,
    /// Nothing, between two such calls.
    Nothing,
    /// A private copy of it, for reading.
    Copy,
}

/// Where the index of the log lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Index {
    /// In a file beside the database, for all.
    Shared,
    /// In memory, which keeps all others out.
    Own,
}

/// The connection, with the setting that is only worth a statement when it changes.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    origin: Origin,
    synchronous: Durability,
}

impl Database {
    pub(super) fn new(connection: Connection, origin: Origin) -> Self {
        Self {
            connection,
            origin,
            // What SQLite starts with.
            synchronous: Durability::Durable,
        }
    }

    /// Connects to the database, waiting at most `entry` to get in, and brings it up to date until the deadline.
    ///
    /// Who finds nobody else connected makes the shared index anew: its file is emptied, and somebody who fills the disk may take the room
    /// that this frees, or (with blocks smaller than a page) have the kernel kill whoever uses the index. Where nobody else is connected,
    /// there is nobody either whom an index in memory could keep out for longer than a moment.
    pub(super) fn live(
        config: &StoreConfig,
        entry: Duration,
        deadline: Deadline,
    ) -> Result<Self, StateError> {
        if !is_scarce(&config.database) {
            match Self::connect(config, Index::Shared, entry, deadline) {
                Err(error) if lacks_index(&error) => {}
                other => return other,
            }
        }
        let wait = Deadline::after(entry);
        retry_while_busy(wait, is_busy, |left| {
            match Self::connect(config, Index::Own, Duration::ZERO, deadline) {
                // Somebody is connected, so the shared index is there.
                Err(error) if is_busy(&error) => {
                    match Self::connect(config, Index::Shared, left.min(entry), deadline) {
                        // And has left again.
                        Err(other) if lacks_index(&other) => Err(error),
                        other => other,
                    }
                }
                other => other,
            }
        })
    }

    fn connect(
        config: &StoreConfig,
        index: Index,
        entry: Duration,
        deadline: Deadline,
    ) -> Result<Self, StateError> {
        let mut connection = open_database(&config.database, entry)
            .and_then(|connection| {
                connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
                if index == Index::Own {
                    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
                }
                Ok(connection)
            })
            .context("open the database")?;
        let age = retry_while_busy(Deadline::after(entry), is_busy, |_| {
            schema::age(&connection)
        })?;
        if age == Age::Older {
            retry_while_busy(deadline, is_busy, |left| {
                let _turn = take_turn(&config.database)?;
                wait_when_busy(&mut connection, left).context(SET_UP)?;
                schema::refuse_foreign(&connection)?;
                sync_way_to(&config.database)?;
                use_wal(&connection)?;
                schema::migrate(&mut connection, (config.clock)())?;
                set_aside(SET_UP, &connection, &config.database)
            })?;
        }
        wait_when_busy(&mut connection, config.busy).context("open the database")?;
        Ok(Self::new(
            connection,
            match index {
                Index::Shared => Origin::Live,
                Index::Own => Origin::Alone,
            },
        ))
    }

    /// Leaves a copy, or nothing, for the database. One who has a copy need not wait for longer than `entry`.
    pub(super) fn ensure_live(
        &mut self,
        config: &StoreConfig,
        entry: Duration,
    ) -> Result<(), StateError> {
        let entry = match self.origin {
            Origin::Live | Origin::Alone => return Ok(()),
            Origin::Copy => entry,
            Origin::Nothing => config.busy,
        };
        *self = Self::live(config, entry, Deadline::after(config.busy))?;
        Ok(())
    }

    /// Has the log used from its beginning by what is written next, where nobody else can be connected. What has been written back is noted
    /// in the index, and one in memory is forgotten with its connection: without this the log would only ever grow.
    fn reuse_log(&self) {
        if self.origin == Origin::Alone {
            // What cannot be written back now stays in the log, and what is written next may find room behind it.
            self.connection
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
                .ok();
        }
    }

    /// Whether there is an older answer to be had when the database does not let us in.
    pub(super) fn is_copy(&self) -> bool {
        self.origin == Origin::Copy
    }

    /// Lets others in, where nobody else can be.
    pub(super) fn let_others_in(&mut self) {
        if self.origin == Origin::Alone
            && let Ok(nothing) = Connection::open_in_memory()
        {
            *self = Self::new(nothing, Origin::Nothing);
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Begins a transaction that writes: from its beginning, so that it can only fail there for want of the lock.
    pub(super) fn begin(
        &mut self,
        operation: &'static str,
        durability: Durability,
        deadline: Deadline,
    ) -> Result<Transaction<'_>, StateError> {
        retry_while_busy(deadline, is_busy, |_| {
            self.set_synchronous(durability).context(operation)
        })?;
        self.reuse_log();
        // The borrow of `self` is what keeps transactions from being nested; a checked one could not be tried twice.
        let connection = &self.connection;
        retry_while_busy(deadline, is_busy, |_| {
            Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
                .context(operation)
        })
    }

    /// Sets room aside, as far as it is missing.
    pub(super) fn set_aside(
        &self,
        operation: &'static str,
        config: &StoreConfig,
    ) -> Result<(), StateError> {
        let deadline = Deadline::after(config.busy);
        retry_while_busy(deadline, is_busy, |_| {
            set_aside(operation, &self.connection, &config.database)
        })
    }

    /// With a WAL, "normal" commits without a sync and "full" syncs the WAL. SQLite takes the setting between transactions
    /// only.
    fn set_synchronous(&mut self, wanted: Durability) -> rusqlite::Result<()> {
        if self.synchronous != wanted {
            let level = match wanted {
                Durability::Durable => "FULL",
                Durability::Fact => "NORMAL",
            };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.synchronous = wanted;
        }
        Ok(())
    }
}

/// Whether another connection was in the way, or somebody who sets up the database.
pub(super) fn is_busy(error: &StateError) -> bool {
    matches!(error, StateError::Busy { .. }) || busy_answer(error).is_some()
}

/// What was being done when another connection was in the way, and what SQLite said.
pub(super) fn busy_answer(error: &StateError) -> Option<(&'static str, &rusqlite::Error)> {
    answer(error).filter(|(_, source)| ctr_events::is_busy(source))
}

const SET_UP: &str = "set up the database";

/// Excludes other processes from setting up the database, for as long as the descriptor is open: a lock on its directory, which dies with
/// its holder and leaves no file.
///
/// SQLite alone would not do. Of several connections that switch a database to a WAL it lets one have its way and turns the others off
/// without a wait, and those that come back at once keep that one from the exclusive lock it needs.
///
/// # Errors
/// [`StateError::Busy`] when it is another's turn, which is not waited for here.
fn take_turn(database: &Path) -> Result<OwnedFd, StateError> {
    let directory = directory_of(database);
    let refused =
        |errno: Errno| SysError::new("lock", directory.display().to_string(), errno.into());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty()).map_err(refused)?;
    match rustix::fs::flock(&opened, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(opened),
        Err(Errno::WOULDBLOCK) => Err(StateError::Busy {
            what: format!("the setting up of the database {}", database.display()),
            holder: None,
            waited: Duration::ZERO,
        }),
        Err(errno) => Err(refused(errno).into()),
    }
}

/// Makes sure that a power cut leaves the directories in which the database lies: some of them may have been made just now, by us or by
/// somebody who was killed since, and what is committed is as safe as the way to it. SQLite sees to the files in the first one.
fn sync_way_to(database: &Path) -> Result<(), StateError> {
    let directories = database.ancestors().skip(2);
    for directory in directories.filter(|path| *path != Path::new("")) {
        match sync_directory(directory) {
            // One that we may not read is another's, and was there before.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    Ok(())
}

/// The setting stays with the file, so only a new one needs it.
fn use_wal(connection: &Connection) -> Result<(), StateError> {
    let operation = SET_UP;
    // To its end: SQLite answers first and commits then, and a commit that failed would leave a database without a log for ever.
    let modes = connection
        .prepare("PRAGMA journal_mode = WAL")
        .and_then(|mut set| {
            let rows = set.query_map([], |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        })
        .context(operation)?;
    let mode = modes.concat();
    if mode == "wal" {
        return Ok(());
    }
    let source = rusqlite::Error::InvalidPath(format!("journal mode {mode} instead of wal").into());
    Err(StateError::Database { operation, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_durable_transactions_are_synced() {
        let connection = Connection::open_in_memory().unwrap();
        let mut database = Database::new(connection, Origin::Live);
        let mut check = |durability, level: u32| {
            let transaction = database
                .begin("test", durability, Deadline::never())
                .unwrap();
            let found: u32 = transaction
                .query_row("PRAGMA synchronous", [], |row| row.get(0))
                .unwrap();
            assert_eq!(found, level);
        };
        check(Durability::Durable, 2);
        check(Durability::Fact, 1);
        check(Durability::Fact, 1);
        check(Durability::Durable, 2);
    }
}
