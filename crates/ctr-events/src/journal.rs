//! The rows: append, read, trim, and their schema.

use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension, Row, Rows, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::error::Context;
use crate::{Event, EventError, Filter, NewEvent, Subject};

/// A place in the journal: after the event of this number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Before the oldest event that is kept. This cursor never expires.
    pub const fn start() -> Self {
        Self(0)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Cursor {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|_| digits)
            .map(Self)
            .ok_or_else(|| EventError::invalid("cursor", text, "expected a number"))
    }
}

/// One step of reading: what matched, and how far it was looked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The events that the filter wants, oldest first.
    pub events: Vec<Event>,
    /// Where to go on. Equal to the cursor asked for when there is nothing after it.
    pub scanned: Cursor,
}

/// Step `n` makes version `n + 1` out of version `n`. Steps are only ever added.
const STEPS: [&str; 1] = [
    // The counter outlives the rows that it has numbered, so trimming never makes a number free again.
    "CREATE TABLE journal (
         one INTEGER PRIMARY KEY CHECK (one = 1),
         version INTEGER NOT NULL,
         last INTEGER NOT NULL
     ) STRICT;
     INSERT INTO journal (one, version, last) VALUES (1, 1, 0);
     CREATE TABLE event (
         seq INTEGER PRIMARY KEY,
         time_ns INTEGER NOT NULL,
         kind TEXT NOT NULL,
         subject_kind TEXT NOT NULL,
         subject_id TEXT NOT NULL,
         subject_name TEXT NOT NULL,
         image TEXT NOT NULL,
         generation INTEGER NOT NULL,
         actor TEXT NOT NULL,
         attributes TEXT NOT NULL
     ) STRICT;",
];

/// The journal in a database. It has no state: everything is in the caller's transaction or connection.
#[derive(Clone, Copy, Debug)]
pub struct Journal;

impl Journal {
    /// The version that [`Journal::migrate`] brings a database to.
    pub const VERSION: u32 = 1;

    /// Makes or updates the tables of the journal: `event` and the one-row `journal`.
    ///
    /// # Errors
    /// [`EventError::NewerSchema`], with nothing changed, when a newer program has written the journal.
    pub fn migrate(transaction: &Transaction<'_>) -> Result<(), EventError> {
        let found = Self::version(transaction)?;
        if found > Self::VERSION {
            return Err(EventError::NewerSchema {
                found,
                known: Self::VERSION,
            });
        }
        for step in STEPS.iter().skip(found as usize) {
            transaction
                .execute_batch(step)
                .context("update the tables of the journal")?;
        }
        transaction
            .execute("UPDATE journal SET version = ?1", [Self::VERSION])
            .context("note the version of the journal")?;
        Ok(())
    }

    /// The version of the tables; 0 when there are none.
    fn version(connection: &Connection) -> Result<u32, EventError> {
        let operation = "read the version of the journal";
        let present = connection
            .query_row(
                "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'journal'",
                [],
                |_| Ok(()),
            )
            .optional()
            .context(operation)?;
        match present {
            None => Ok(0),
            Some(()) => connection
                .query_row("SELECT version FROM journal", [], |row| row.get(0))
                .context(operation),
        }
    }

    /// Appends an event inside the transaction of the change that it reports, and returns its number.
    ///
    /// The transaction must be one that writes from its beginning (`BEGIN IMMEDIATE`), else two writers can fail each
    /// other. [`touch`](crate::touch) the wake file after the commit.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn append(transaction: &Transaction<'_>, event: &NewEvent) -> Result<u64, EventError> {
        let seq = next_number(transaction).context("number an event")?;
        insert(transaction, seq, event).context("append an event")?;
        Ok(seq.unsigned_abs())
    }

    /// Drops all events but the newest `keep`. Readers that have not seen the dropped ones are told so.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn trim(transaction: &Transaction<'_>, keep: u64) -> Result<(), EventError> {
        transaction
            .execute(
                "DELETE FROM event WHERE seq <= (SELECT last FROM journal) - ?1",
                [to_sql(keep)],
            )
            .context("trim the journal")?;
        Ok(())
    }

    /// How many events are kept.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn count(connection: &Connection) -> Result<u64, EventError> {
        connection
            .query_row("SELECT count(*) FROM event", [], |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
            .context("count the events")
    }

    /// At most `most` events that cannot be read, by their numbers, and why.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn unreadable(
        connection: &Connection,
        most: usize,
    ) -> Result<Vec<(u64, String)>, EventError> {
        let mut statement = connection
            .prepare(&format!("{SELECT} ORDER BY seq"))
            .context(READ)?;
        let mut rows = statement.query([]).context(READ)?;
        let mut found = Vec::new();
        while found.len() < most
            && let Some(row) = rows.next().context(READ)?
        {
            match decode(row) {
                Err(EventError::Corrupt { seq, reason }) => found.push((seq, reason)),
                other => drop(other?),
            }
        }
        Ok(found)
    }

    /// At most `limit` events after the cursor that the filter wants, oldest first.
    ///
    /// # Errors
    /// [`EventError::Expired`] when the event next to the cursor was trimmed, [`EventError::NotYet`] for a cursor after the last
    /// event, [`EventError::Corrupt`] for a row that holds no event.
    pub fn read(
        connection: &Connection,
        after: Cursor,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<Event>, EventError> {
        Self::scan(connection, after, usize::MAX, filter, limit).map(|page| page.events)
    }

    /// Looks at no more than `rows` events after the cursor, and says how far it came: what a reader with a narrow
    /// filter needs to make progress without returning to the same rows.
    ///
    /// # Errors
    /// Those of [`Journal::read`].
    pub fn page(
        connection: &Connection,
        after: Cursor,
        filter: &Filter,
        rows: usize,
    ) -> Result<Page, EventError> {
        Self::scan(connection, after, rows, filter, usize::MAX)
    }

    /// Where a reader starts that wants only what is to come.
    ///
    /// # Errors
    /// What SQLite reports.
    pub fn last(connection: &Connection) -> Result<Cursor, EventError> {
        connection
            .query_row("SELECT last FROM journal", [], |row| row.get::<_, i64>(0))
            .map(|last| Cursor(last.unsigned_abs()))
            .context("read the last number of the journal")
    }

    fn scan(
        connection: &Connection,
        after: Cursor,
        rows: usize,
        filter: &Filter,
        limit: usize,
    ) -> Result<Page, EventError> {
        let mut statement = connection
            .prepare(&format!("{SELECT} WHERE seq > ?1 ORDER BY seq LIMIT ?2"))
            .context(READ)?;
        let bound = i64::try_from(rows).unwrap_or(i64::MAX);
        let found = statement
            .query(params![to_sql(after.0), bound])
            .context(READ)?;
        let page = collect(found, after, filter, limit)?;
        if page.scanned == after {
            expect_end(connection, after)?;
        }
        Ok(page)
    }
}

const READ: &str = "read the journal";

/// The columns of an event.
const SELECT: &str = "
    SELECT seq, time_ns, kind, subject_kind, subject_id, subject_name, image, generation, actor, attributes
    FROM event";

/// Takes in rows until `limit` of them match. Since numbers have no gaps, a first row other than the next number means that
/// rows in between were trimmed.
fn collect(
    mut rows: Rows<'_>,
    after: Cursor,
    filter: &Filter,
    limit: usize,
) -> Result<Page, EventError> {
    let mut page = Page {
        events: Vec::new(),
        scanned: after,
    };
    while page.events.len() < limit
        && let Some(row) = rows.next().context(READ)?
    {
        let event = decode(row)?;
        if page.scanned == after {
            expect_next(after, event.seq)?;
        }
        page.scanned = event.cursor();
        if filter.matches(&event) {
            page.events.push(event);
        }
    }
    Ok(page)
}

fn expect_next(after: Cursor, oldest: u64) -> Result<(), EventError> {
    if after == Cursor::start() || oldest == after.0 + 1 {
        return Ok(());
    }
    Err(EventError::Expired {
        cursor: after,
        oldest,
    })
}

/// No row was found after the cursor: either it is the last number, or rows are trimmed, or the number was never given. One that was
/// appended since, between the two statements, is no loss but the next number.
fn expect_end(connection: &Connection, after: Cursor) -> Result<(), EventError> {
    if after == Cursor::start() {
        return Ok(());
    }
    let (last, oldest) = connection
        .query_row(
            "SELECT last, coalesce((SELECT min(seq) FROM event WHERE seq > ?1), last + 1) FROM journal",
            [to_sql(after.0)],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
        )
        .context(READ)?;
    match last.unsigned_abs() {
        last if last < after.0 => Err(EventError::NotYet {
            cursor: after,
            last,
        }),
        last if last == after.0 => Ok(()),
        _ => expect_next(after, oldest.unsigned_abs()),
    }
}

fn insert(transaction: &Transaction<'_>, seq: i64, event: &NewEvent) -> rusqlite::Result<()> {
    let Subject {
        kind,
        id,
        name,
        image,
    } = &event.subject;
    transaction
        .prepare("INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?
        .execute(params![
            seq,
            event.time_ns,
            event.kind.as_str(),
            kind.as_str(),
            id,
            name,
            image,
            to_sql(event.generation),
            json(&event.actor),
            json(&event.attributes),
        ])?;
    Ok(())
}

/// Two statements: for `RETURNING`, SQLite sets up a table in memory, which costs more than all else here together.
fn next_number(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
    transaction.execute("UPDATE journal SET last = last + 1", [])?;
    transaction.query_row("SELECT last FROM journal", [], |row| row.get(0))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("numbers and texts under text keys are always JSON")
}

/// SQLite's integers are signed. Generations and numbers do not come near the bound.
fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn decode(row: &Row<'_>) -> Result<Event, EventError> {
    let seq = row
        .get::<_, i64>(0)
        .context("read the number of an event")?
        .unsigned_abs();
    decode_body(row)
        .map(|body| Event { seq, body })
        .map_err(|reason| EventError::Corrupt {
            seq,
            reason: reason.to_string(),
        })
}

fn decode_body(row: &Row<'_>) -> Result<NewEvent, Box<dyn std::error::Error>> {
    Ok(NewEvent {
        time_ns: row.get(1)?,
        kind: row.get_ref(2)?.as_str()?.parse()?,
        subject: Subject {
            kind: row.get_ref(3)?.as_str()?.parse()?,
            id: row.get(4)?,
            name: row.get(5)?,
            image: row.get(6)?,
        },
        generation: row.get::<_, i64>(7)?.unsigned_abs(),
        actor: serde_json::from_str(row.get_ref(8)?.as_str()?)?,
        attributes: serde_json::from_str(row.get_ref(9)?.as_str()?)?,
    })
}
