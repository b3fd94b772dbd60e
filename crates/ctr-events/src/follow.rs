//! The past, then the future.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use ctr_sys::Deadline;
use rusqlite::Connection;

use crate::error::Context;
use crate::wake::Watch;
use crate::{Cursor, Event, EventError, Filter, Journal, open_database};

/// How many rows one look at the journal takes in: bounds the memory and the length of the read transaction.
const PAGE: usize = 256;
/// How long a look at the journal waits when the database is busy. Readers only wait for another process that is just
/// setting up the shared index.
const BUSY: Duration = Duration::from_secs(2);

/// A reader that yields what has happened after a cursor, and then what happens.
///
/// Every look at the journal is a short read transaction of its own, so a follower that is stopped or slow holds
/// nobody up.
#[derive(Debug)]
pub struct Follow {
    connection: Connection,
    watch: Watch,
    filter: Filter,
    scanned: Cursor,
    ready: VecDeque<Event>,
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
            filter,
            scanned: after,
            ready: VecDeque::new(),
        })
    }

    /// The next event that the filter wants; `None` when there is none until the deadline. May be called again then.
    ///
    /// # Errors
    /// [`EventError::Expired`] when events were trimmed before they were read; whatever reading the journal or
    /// waiting for the wake file meets.
    pub fn next(&mut self, deadline: Deadline) -> Result<Option<Event>, EventError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let page = Journal::page(&self.connection, self.scanned, &self.filter, PAGE)?;
            self.ready.extend(page.events);
            if page.scanned != self.scanned {
                self.scanned = page.scanned;
            } else if !self.watch.wait(deadline)? {
                return Ok(None);
            }
        }
    }

    /// Where to resume: after the last event that [`Follow::next`] returned or passed over.
    pub fn cursor(&self) -> Cursor {
        self.ready
            .front()
            .map_or(self.scanned, |event| Cursor(event.seq - 1))
    }
}
