//! The database: how it is opened, and how it is read and written.

mod check;
mod copy;
mod create;
mod database;
mod export;
mod fault;
mod health;
mod open;
mod publish;
mod read;
mod room;

pub use create::NewContainer;
pub(crate) use create::refuse_used_name;
pub use export::{Export, ExportedContainer, ExportedRun};
pub use fault::StoreFault;
pub use health::StoreIssue;
pub(crate) use read::dependents;
pub(crate) use room::Room;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ctr_events::{Journal, NewEvent, retry_while_busy, touch};
use ctr_sys::Deadline;
use rusqlite::{Connection, Transaction};

use crate::error::Context;
use crate::{ContainerId, StateError, ledger};
use database::{Database, is_busy};
use fault::{explain, is_read_only};
use room::Reserve;

/// How many events are kept unless a configuration says otherwise. About 400 bytes each.
pub const KEEP_EVENTS: u64 = 10_000;
/// Every so many events, the journal and the ledger are trimmed by whoever writes the one that makes them full: so many more than
/// [`StoreConfig::keep_events`] may be there.
const TRIM_EVERY: u64 = 64;

/// So many bytes of an event's attributes are many.
const LARGE: usize = 1024;

/// Where a store lies and what it needs from outside.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The database file; made, in a private directory, when it is missing.
    pub database: PathBuf,
    /// The file that is touched after each commit, for those who follow the events.
    pub wake: PathBuf,
    /// The directory of the locks, one file per container. It may vanish with a reboot.
    pub locks: PathBuf,
    /// How long a busy database is waited for. Writers hold it for microseconds.
    pub busy: Duration,
    /// The clock: nanoseconds since 1970-01-01 UTC.
    pub clock: fn() -> i64,
    /// How many events are kept, for example [`KEEP_EVENTS`].
    pub keep_events: u64,
}

/// What must be true when a call that writes returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is on the disk: it survives a power cut.
    Durable,
    /// It survives the end of every process, but a power cut may undo the newest of it: enough for what is true only
    /// until then.
    Fact,
}

/// How durable a container's own existence is: one that goes with its run was never meant to outlive a power cut.
impl From<crate::AutoRemove> for Durability {
    fn from(auto_remove: crate::AutoRemove) -> Self {
        match auto_remove {
            crate::AutoRemove::Yes => Self::Fact,
            crate::AutoRemove::No => Self::Durable,
        }
    }
}

/// The store of all containers. May be shared by threads, which then take turns.
#[derive(Debug)]
pub struct Store {
    database: Mutex<Database>,
    config: StoreConfig,
    held: Mutex<BTreeSet<ContainerId>>,
    /// What is wrong with the database as a whole: nothing is written to it then.
    damage: Option<String>,
}

impl Store {
    /// The configuration it was opened with.
    pub fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// The current time by the clock of the store.
    pub(crate) fn now_ns(&self) -> i64 {
        (self.config.clock)()
    }

    /// The ids whose locks are held through this store.
    pub(crate) fn held(&self) -> MutexGuard<'_, BTreeSet<ContainerId>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` and appends `events` in one write transaction, then wakes followers.
    pub(crate) fn write<T>(
        &self,
        operation: &'static str,
        durability: Durability,
        room: Room,
        events: &[NewEvent],
        change: impl FnOnce(&Transaction<'_>) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        self.refuse_damaged()?;
        let mut database = self.database();
        let begin = Instant::now();
        let result = database
            .ensure_live(&self.config, self.config.busy)
            .and_then(|()| {
                let deadline = Deadline::after(self.config.busy);
                let mut transaction = database.begin(operation, durability, deadline)?;
                if room == Room::Free && !self.reserve(&transaction)?.is_whole() {
                    drop(transaction);
                    database.set_aside(operation, &self.config)?;
                    transaction = database.begin(operation, durability, deadline)?;
                }
                let result = change(&transaction)?;
                let looked_after = self.append(&transaction, events)?;
                if room == Room::Free {
                    self.refuse_reserve(operation, &transaction)?;
                }
                transaction.commit().context(operation)?;
                if looked_after {
                    self.make_room(&mut database);
                }
                Ok(result)
            });
        database.let_others_in();
        drop(database);
        let result = result.map_err(|error| explain(&self.config, begin, error))?;
        // The change is committed: failing now would say the opposite. Followers learn of it with the next one.
        touch(&self.config.wake).ok();
        Ok(result)
    }

    /// Runs `query` on the connection, and again when another connection is in its way. Takes no lock that a writer holds.
    pub(crate) fn read<T>(
        &self,
        mut query: impl FnMut(&Connection) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let mut database = self.database();
        let begin = Instant::now();
        let result = match database.ensure_live(&self.config, Duration::ZERO) {
            // Still as it was, so the copy is still what was last committed.
            Err(error)
                if database.is_copy()
                    && (is_busy(&error) || is_read_only(&self.config, &error)) =>
            {
                Ok(())
            }
            other => other,
        }
        .and_then(|()| {
            let deadline = Deadline::after(self.config.busy);
            retry_while_busy(deadline, is_busy, |_| query(database.connection()))
        });
        database.let_others_in();
        result.map_err(|error| explain(&self.config, begin, error))
    }

    /// Where pages are not where they should be, writing makes things worse: one that two tables have would be overwritten for both.
    fn refuse_damaged(&self) -> Result<(), StoreFault> {
        self.damage.as_ref().map_or(Ok(()), |what| {
            Err(StoreFault::Damaged {
                database: self.config.database.clone(),
                what: what.clone(),
            })
        })
    }

    fn database(&self) -> MutexGuard<'_, Database> {
        // A thread that panicked has rolled back: its transaction was dropped before the guard.
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is time to see that there is room for more.
    fn append(
        &self,
        transaction: &Transaction<'_>,
        events: &[NewEvent],
    ) -> Result<bool, StateError> {
        let mut due = false;
        for event in events {
            let seq = Journal::append(transaction, event)?;
            if is_due(seq) {
                Journal::trim(transaction, self.config.keep_events)?;
                ledger::trim(transaction, self.now_ns())?;
            }
            due |= is_due(seq) || is_large(event);
        }
        Ok(due)
    }

    fn reserve(&self, connection: &Connection) -> Result<Reserve, StateError> {
        Reserve::look(connection, &self.config.database)
    }

    /// Refuses a change, before it is committed, that has taken what is set aside on a disk that has no room for as much again.
    fn refuse_reserve(
        &self,
        operation: &'static str,
        transaction: &Transaction<'_>,
    ) -> Result<(), StateError> {
        let reserve = self.reserve(transaction)?;
        if reserve.is_whole() {
            return Ok(());
        }
        reserve.refuse_full(operation, &self.config.database)
    }

    /// Looks after what is set aside, where nothing is created that would. On a disk without room, the older half of the events goes once
    /// it is needed. What fails here is tried again some events later.
    fn make_room(&self, database: &mut Database) {
        let operation = "set room aside";
        let low = |database: &Database| {
            self.reserve(database.connection())
                .is_ok_and(Reserve::is_low)
        };
        if !low(database) || database.set_aside(operation, &self.config).is_ok() {
            return;
        }
        database
            .begin(operation, Durability::Fact, Deadline::after(Duration::ZERO))
            .and_then(|transaction| {
                let kept = Journal::count(&transaction)?;
                Journal::trim(&transaction, kept / 2)?;
                transaction.commit().context(operation)
            })
            .ok();
    }
}

/// Whether it is time to look after what grows, by the number of an event.
fn is_due(seq: u64) -> bool {
    seq.is_multiple_of(TRIM_EVERY)
}

/// Whether an event takes a good part of a page by itself: it has the labels of its container.
fn is_large(event: &NewEvent) -> bool {
    let attributes = event.attributes.iter();
    let bytes: usize = attributes.map(|(key, value)| key.len() + value.len()).sum();
    bytes > LARGE
}
