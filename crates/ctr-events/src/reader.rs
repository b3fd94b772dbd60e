//! Where a reader is, and what it has read ahead.

use std::collections::VecDeque;

use rusqlite::Connection;

use crate::{Cursor, Event, EventError, Filter, Journal};

/// How many rows one look at the journal takes in: bounds the memory and the length of the read transaction.
const PAGE: usize = 256;

/// A reader of the journal from a cursor on, over whatever connection it is lent.
///
/// Every look at the journal is a short read transaction of its own, so a reader that is stopped or slow holds nobody up.
#[derive(Debug)]
pub struct Reader {
    filter: Filter,
    scanned: Cursor,
    ready: VecDeque<Event>,
}

impl Reader {
    /// Begins after the cursor.
    pub fn new(after: Cursor, filter: Filter) -> Self {
        Self {
            filter,
            scanned: after,
            ready: VecDeque::new(),
        }
    }

    /// The next event that the filter wants, `None` when there is none yet.
    ///
    /// # Errors
    /// [`EventError::Expired`] when events were trimmed before they were read; whatever reading the journal meets.
    pub fn next(&mut self, connection: &Connection) -> Result<Option<Event>, EventError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let page = Journal::page(connection, self.scanned, &self.filter, PAGE)?;
            if page.scanned == self.scanned {
                return Ok(None);
            }
            self.scanned = page.scanned;
            self.ready.extend(page.events);
        }
    }

    /// Where to resume: after the last event that [`Reader::next`] returned or passed over.
    pub fn cursor(&self) -> Cursor {
        self.ready
            .front()
            .map_or(self.scanned, |event| Cursor(event.seq - 1))
    }
}
