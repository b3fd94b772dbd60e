//! How the database of a journal is opened, and how a busy one is waited for.
//!
//! SQLite asks the handler that [`wait_when_busy`] sets only where waiting cannot become a deadlock in its eyes. It does not ask when a
//! statement that reads already turns to writing, and setting the journal mode of a database to WAL is always such a statement: it answers
//! "busy" at once while another process is doing the same. Nor does it ask before it gives up on the shared index ("locking protocol"), and
//! a statement that is being prepared may inherit the expired wait of the one before it. [`retry_while_busy`] waits in all these cases.

use std::path::Path;
use std::thread;
use std::time::Duration;

use ctr_sys::Deadline;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

/// The first pause before a busy database is tried again.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
/// The longest pause: transactions take microseconds, so a long sleep would only add latency.
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

/// Opens an existing SQLite database for reading and writing, and never creates one.
///
/// A busy database is tried again for at most `busy`, with pauses that grow from 0.2 to 2 ms. The WAL is neither
/// checkpointed nor deleted when the last connection closes (a command that lives for milliseconds should not pay for
/// that), and the schema is not trusted: SQL functions with side effects cannot run out of it, its triggers and views do
/// nothing, and the defensive setting forbids to rewrite it.
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
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
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

/// Calls `attempt` until its outcome is another than busy or the deadline has passed, with pauses that grow from 0.2 to 2 ms. It is told
/// how much time is left, [`Duration::MAX`] when there is no deadline, so that its statements can be given no more than that. It is called
/// at least once.
///
/// An attempt must leave nothing behind when it fails.
///
/// # Errors
/// That of the last attempt; it is a busy one only when the deadline has passed.
pub fn retry_while_busy<T, E>(
    deadline: Deadline,
    is_busy: impl Fn(&E) -> bool,
    mut attempt: impl FnMut(Duration) -> Result<T, E>,
) -> Result<T, E> {
    let mut attempts = 0_i32;
    loop {
        match attempt(time_left(deadline)) {
            Err(error) if is_busy(&error) && !deadline.expired() => {
                thread::sleep(pause(attempts).min(time_left(deadline)));
                attempts = attempts.saturating_add(1);
            }
            outcome => return outcome,
        }
    }
}

/// Whether another connection was in the way. SQLite has a word of its own for the case that another process does not get on with setting
/// up the shared index, after a wait of its own of 10 s.
pub fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::FileLockingProtocolFailed)
    )
}

fn time_left(deadline: Deadline) -> Duration {
    deadline.remaining().unwrap_or(Duration::MAX)
}

fn pause(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or(0).min(8);
    (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn failed(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)
    }

    /// Fails with the codes one after the other, and tells how often it was tried.
    fn check_attempts(wait: Duration, codes: &[i32], expected: usize) {
        let mut attempts = 0;
        let deadline = Deadline::after(wait);
        let outcome = retry_while_busy(deadline, is_busy, |_| {
            let code = codes.get(attempts);
            attempts += 1;
            code.map_or(Ok(()), |code| Err(failed(*code)))
        });
        assert_eq!(attempts, expected, "{codes:?}");
        assert_eq!(outcome.is_ok(), attempts > codes.len(), "{codes:?}");
    }

    #[test]
    fn only_a_busy_attempt_is_followed_by_another() {
        use rusqlite::ffi::{
            SQLITE_BUSY, SQLITE_BUSY_RECOVERY, SQLITE_BUSY_SNAPSHOT, SQLITE_FULL, SQLITE_PROTOCOL,
        };
        let busy = [
            SQLITE_BUSY,
            SQLITE_BUSY_RECOVERY,
            SQLITE_BUSY_SNAPSHOT,
            SQLITE_PROTOCOL,
        ];
        check_attempts(Duration::MAX, &[], 1);
        check_attempts(Duration::MAX, &busy, 5);
        check_attempts(Duration::MAX, &[SQLITE_BUSY, SQLITE_FULL], 2);
        check_attempts(Duration::ZERO, &busy, 1);
    }

    #[test]
    fn busy_is_the_answer_only_when_the_time_is_over() {
        let wait = Duration::from_millis(50);
        let begin = Instant::now();
        let outcome: rusqlite::Result<()> =
            retry_while_busy(Deadline::after(wait), is_busy, |left| {
                assert!(left <= wait, "{left:?}");
                Err(failed(rusqlite::ffi::SQLITE_BUSY))
            });
        assert!(is_busy(&outcome.unwrap_err()));
        assert!(begin.elapsed() >= wait);
    }

    #[test]
    fn pauses_grow_to_their_bound() {
        assert_eq!(pause(0), FIRST_PAUSE);
        assert_eq!(pause(1), FIRST_PAUSE * 2);
        assert_eq!(pause(4), LONGEST_PAUSE);
        assert_eq!(pause(i32::MAX), LONGEST_PAUSE);
    }
}
