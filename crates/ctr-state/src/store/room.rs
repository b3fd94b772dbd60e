//! Room that is set aside, so that a full disk keeps nobody from stopping and removing containers.
//!
//! It is not a file that is given up when it is needed: whoever fills the disk would have it at once. It is blocks that belong to the
//! database and its log all the time:
//! * The log is as long as it ever gets from the beginning, and used again from its beginning after each checkpoint.
//! * A checkpoint needs room for the pages that the database has gained. It gains none in passing: new pages come out of those that are
//!   free in it already, and when those get few, a creation adds a number of them at once and has them written out.
//!
//! What makes something leaves [`KEPT_PAGES`] free ones behind, or fails. What ends or removes something may use those, too; the events
//! that it reports are what they are for. Should they run out, the oldest events make room for new ones.
//!
//! File systems that never write in place (btrfs, zfs, bcachefs) need new blocks for old pages, so there it is only a better chance.

use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ctr_sys::{SysError, free_bytes};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::fault::{directory_of, full};
use crate::StateError;
use crate::error::Context;

/// The bytes of a page: what SQLite makes databases with.
const PAGE: u64 = 4096;
/// How many pages stay free for what ends or removes: the events of some 300 containers that are stopped. Each that is removed gives
/// back more than its events take.
pub(super) const KEPT_PAGES: u64 = 96;
/// How many pages there are once more were added: adding some waits twice for the disk.
const FULL_PAGES: u64 = 2 * KEPT_PAGES;
/// Fewer than this, and old events make room.
const FEW_PAGES: u64 = KEPT_PAGES / 4;
/// The bytes of the log: of a header, and of pages with a header each. As many as are there before a checkpoint is tried, those that are
/// added at once, and some for when a reader is in the way of the checkpoint.
const LOG_BYTES: u64 = 32 + (PAGE + 24) * (128 + FULL_PAGES + 32);
/// What must be free beyond what is taken, so that the file system has some for its own purposes.
const MARGIN: u64 = 64 * 1024;
/// With less than this on the disk, the shared index is not made anew.
const SCARCE: u64 = 128 * 1024;
/// How often a checkpoint is tried that a reader is in the way of.
const CHECKPOINTS: u32 = 3;
/// Under this key, pages are added to the table of notes for a moment.
const ROOM: &str = "room";

/// What a transaction may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// What is free on the disk: for what makes something.
    Free,
    /// Also what is set aside: for what ends or removes something, and for what has happened already.
    Reserve,
}

/// What is set aside now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reserve {
    /// Free pages.
    pub(super) pages: u64,
    /// Pages that the database has and its file does not have yet.
    unwritten: u64,
    /// Bytes that the log lacks.
    log_lack: u64,
}

impl Reserve {
    /// Looks, in a transaction or outside.
    pub(super) fn look(connection: &Connection, database: &Path) -> Result<Self, StateError> {
        let number = |pragma: &str| {
            connection
                .query_row(pragma, [], |row| row.get::<_, i64>(0))
                .map(i64::unsigned_abs)
                .context("look at the free pages of the database")
        };
        let pages = number("PRAGMA freelist_count")?;
        let written = std::fs::metadata(database).map_or(0, |found| found.len() / PAGE);
        let log = std::fs::symlink_metadata(log(database))
            .map_or(0, |found| found.len().max(found.blocks() * 512));
        Ok(Self {
            pages,
            unwritten: number("PRAGMA page_count")?.saturating_sub(written),
            log_lack: LOG_BYTES.saturating_sub(log),
        })
    }

    /// Whether a creation finds what it has to leave behind.
    pub(super) fn is_whole(self) -> bool {
        self.pages >= KEPT_PAGES && self.unwritten == 0 && self.log_lack == 0
    }

    /// Whether events that are to come would not find any room soon.
    pub(super) fn is_low(self) -> bool {
        self.pages < FEW_PAGES
    }

    /// Whether the disk has room to make it whole.
    pub(super) fn refuse_full(
        self,
        operation: &'static str,
        database: &Path,
    ) -> Result<(), StateError> {
        let directory = directory_of(database);
        if free_bytes(directory).is_some_and(|free| free < self.lack()) {
            return Err(full(operation, directory).into());
        }
        Ok(())
    }

    /// Bytes that the disk must have to make it whole.
    pub(super) fn lack(self) -> u64 {
        let missing = FULL_PAGES.saturating_sub(self.pages);
        (missing + self.unwritten) * PAGE + self.log_lack + MARGIN
    }
}

/// Sets room aside. Whoever is in the way of the checkpoint at its end leaves it to the next one who looks.
///
/// # Errors
/// [`Full`](super::StoreFault::Full) when the disk has none.
pub(super) fn set_aside(
    operation: &'static str,
    connection: &Connection,
    database: &Path,
) -> Result<(), StateError> {
    let reserve = Reserve::look(connection, database)?;
    if reserve.is_whole() {
        return Ok(());
    }
    let directory = directory_of(database);
    // Asked beforehand: the log would take the new pages, and then there would be none for the database itself.
    reserve.refuse_full(operation, database)?;
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
        .context(operation)?;
    if let Err(error) = lengthen_log(database) {
        let no_room = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded];
        if no_room.contains(&error.kind()) {
            return Err(full(operation, directory).into());
        }
        let log = log(database).to_string_lossy().into_owned();
        return Err(SysError::new("set room aside in", log, error).into());
    }
    if reserve.pages < KEPT_PAGES {
        // Content that is deleted securely is overwritten, so the pages become part of the file and not of a hole in it.
        overwrite_deleted(&transaction, 1).context(operation)?;
        let added = add_pages(&transaction, FULL_PAGES - reserve.pages);
        overwrite_deleted(&transaction, 0).context(operation)?;
        added.context(operation)?;
    }
    transaction.commit().context(operation)?;
    for _ in 0..CHECKPOINTS {
        connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            .context(operation)?;
        if Reserve::look(connection, database)?.unwritten == 0 {
            break;
        }
    }
    Ok(())
}

/// Whether there may be no room for the shared index.
pub(super) fn is_scarce(database: &Path) -> bool {
    free_bytes(directory_of(database)).is_some_and(|free| free < SCARCE)
}

fn overwrite_deleted(connection: &Connection, on: u8) -> rusqlite::Result<()> {
    connection.query_row(&format!("PRAGMA secure_delete = {on}"), [], |_| Ok(()))
}

fn add_pages(transaction: &Transaction<'_>, count: u64) -> rusqlite::Result<()> {
    let bytes = usize::try_from(count * PAGE).unwrap_or(0);
    transaction.execute(
        "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)",
        [ROOM, &" ".repeat(bytes)],
    )?;
    transaction.execute("DELETE FROM meta WHERE key = ?1", [ROOM])?;
    Ok(())
}

/// Gives the log all its blocks. Must be called in a transaction that writes: nobody else may write to the log meanwhile.
fn lengthen_log(database: &Path) -> std::io::Result<()> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = std::fs::File::options()
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .open(log(database))?;
    let keep = FallocateFlags::KEEP_SIZE;
    match retry_on_intr(|| rustix::fs::fallocate(&file, keep, 0, LOG_BYTES)) {
        // Zeros are no frames: SQLite stops reading there.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let length = file.metadata()?.len();
            let lack = usize::try_from(LOG_BYTES.saturating_sub(length)).unwrap_or(0);
            file.write_all_at(&vec![0; lack], length)
        }
        other => Ok(other?),
    }
}

/// The write-ahead log of a database.
pub(super) fn log(database: &Path) -> PathBuf {
    beside(database, "-wal")
}

/// The index of the log, which is shared by all who are connected.
pub(super) fn index(database: &Path) -> PathBuf {
    beside(database, "-shm")
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
