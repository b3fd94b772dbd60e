//! The connection: live, or to a copy while the live database is blocked.

use std::time::Duration;

use ctr_events::{open_database, wait_when_busy};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

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
    /// A private copy of it, for reading.
    Copy,
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

    /// Connects to the database, waiting at most `busy` to get in, and brings it up to date.
    pub(super) fn live(config: &StoreConfig, busy: Duration) -> Result<Self, StateError> {
        let mut connection = open_database(&config.database, busy)
            .and_then(|connection| {
                connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
                Ok(connection)
            })
            .context("open the database")?;
        if schema::age(&connection)? == Age::Older {
            wait_when_busy(&mut connection, config.busy).context("open the database")?;
            use_wal(&connection)?;
            schema::migrate(&mut connection, (config.clock)())?;
        } else if busy != config.busy {
            wait_when_busy(&mut connection, config.busy).context("open the database")?;
        }
        Ok(Self::new(connection, Origin::Live))
    }

    /// Leaves a copy for the database as soon as that lets us in.
    pub(super) fn ensure_live(
        &mut self,
        config: &StoreConfig,
        busy: Duration,
    ) -> Result<(), StateError> {
        if self.origin == Origin::Copy {
            *self = Self::live(config, busy)?;
        }
        Ok(())
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Begins a transaction that writes: from its beginning, so that it can only fail there for want of the lock.
    pub(super) fn begin(
        &mut self,
        operation: &'static str,
        durability: Durability,
    ) -> Result<Transaction<'_>, StateError> {
        self.set_synchronous(durability).context(operation)?;
        self.connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .context(operation)
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

/// Whether the database stayed locked for the whole of the bounded wait. SQLite has a word of its own for the case that
/// another process does not get on with setting up the shared memory, after a wait of its own of 10 s.
pub(super) fn is_busy(error: &StateError) -> bool {
    let StateError::Database { source, .. } = error else {
        return false;
    };
    matches!(
        source.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::FileLockingProtocolFailed)
    )
}

/// The setting stays with the file, so only a new one needs it.
fn use_wal(connection: &Connection) -> Result<(), StateError> {
    let operation = "set up the database";
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .context(operation)?;
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
            let transaction = database.begin("test", durability).unwrap();
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
