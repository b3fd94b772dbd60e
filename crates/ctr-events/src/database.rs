//! How the database of a journal is opened.

use std::path::Path;
use std::thread;
use std::time::Duration;

use ctr_sys::Deadline;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

/// The first pause before a busy database is tried again.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
/// The longest pause: transactions take microseconds, so a long sleep would only add latency.
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

/// Opens an existing SQLite database for reading and writing, and never creates one.
///
/// A busy database is tried again for at most `busy`, with pauses that grow from 0.2 to 2 ms. The WAL is neither
/// checkpointed nor deleted when the last connection closes (a command that lives for milliseconds should not pay for
/// that), and the schema is not trusted: SQL functions with side effects cannot run out of it and the defensive
/// setting forbids to rewrite it.
///
/// Reading needs no less than this: with a WAL even a reader writes to the shared-memory index.
///
/// # Errors
/// What SQLite reports. The file itself is not read yet.
pub fn open_database(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    wait_when_busy(&mut connection, busy)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
    Ok(connection)
}

/// Sets how long a busy database is tried again from now on, with pauses that grow from 0.2 to 2 ms: SQLite's own handler
/// sleeps up to 100 ms, which is far longer than anybody holds the lock.
///
/// # Errors
/// What SQLite reports.
pub fn wait_when_busy(connection: &mut Connection, wait: Duration) -> rusqlite::Result<()> {
    let mut deadline = Deadline::after(wait);
    connection.busy_handler(Some(move |attempts: i32| {
        if attempts == 0 {
            deadline = Deadline::after(wait);
        }
        if deadline.expired() {
            return false;
        }
        thread::sleep(pause(attempts));
        true
    }))
}

fn pause(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or(0).min(8);
    (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound() {
        assert_eq!(pause(0), FIRST_PAUSE);
        assert_eq!(pause(1), FIRST_PAUSE * 2);
        assert_eq!(pause(4), LONGEST_PAUSE);
        assert_eq!(pause(i32::MAX), LONGEST_PAUSE);
    }
}
