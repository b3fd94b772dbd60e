//! The past, then the future.

use std::path::Path;
use std::time::Duration;

use ctr_sys::Deadline;
use rusqlite::Connection;

use crate::error::Context;
use crate::wake::{Watch, Woken};
use crate::{Cursor, Event, EventError, Filter, Reader, open_database, retry_while_busy};

/// How long a look at the journal waits when the database is busy. Readers only wait for another process that is just
/// setting up the shared index.
const BUSY: Duration = Duration::from_secs(2);

/// A reader that yields what has happened after a cursor, and then what happens.
///
/// It is a [`Reader`] with a connection and a [`Watch`] of its own. A program that has a connection already combines the two itself.
#[derive(Debug)]
pub struct Follow {
    connection: Connection,
    watch: Watch,
    reader: Reader,
}

impl Follow {
    /// Follows the journal in `database` from after the cursor. `wake` is the file that writers [`touch`](crate::touch)
    /// after each commit; it is made when it is missing.
    ///
    /// # Errors
    /// The database or the wake file cannot be opened.
    pub fn open(
        database: &Path,
        wake: &Path,
        after: Cursor,
        filter: Filter,
    ) -> Result<Self, EventError> {
        // The watch comes before the first look: what is committed between the two wakes us.
        let watch = Watch::start(wake)?;
        let connection = open_database(database, BUSY).context("open the journal")?;
        connection
            .pragma_update(None, "query_only", "ON")
            .context("open the journal for reading")?;
        Ok(Self {
            connection,
            watch,
            reader: Reader::new(after, filter),
        })
    }

    /// The next event that the filter wants; `None` when there is none until the deadline. May be called again then.
    ///
    /// # Errors
    /// [`EventError::Expired`] when events were trimmed before they were read; whatever reading the journal or
    /// waiting for the wake file meets.
    pub fn next(&mut self, deadline: Deadline) -> Result<Option<Event>, EventError> {
        loop {
            if let Some(event) = self.look()? {
                return Ok(Some(event));
            }
            if self.watch.wait(None, deadline)? == Woken::TimedOut {
                return Ok(None);
            }
        }
    }

    fn look(&mut self) -> Result<Option<Event>, EventError> {
        let deadline = Deadline::after(BUSY);
        retry_while_busy(deadline, EventError::is_busy, |_| {
            self.reader.next(&self.connection)
        })
    }

    /// Where to resume: after the last event that [`Follow::next`] returned or passed over.
    pub fn cursor(&self) -> Cursor {
        self.reader.cursor()
    }
}
