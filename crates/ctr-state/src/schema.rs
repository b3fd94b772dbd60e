//! The tables, and how an older database becomes a current one.
//!
//! The version is the `user_version` of the database, which one read tells. Steps go forward only and each is
//! never changed once it was released; a database of a newer program is refused before anything is written. The table
//! `meta` notes when each step was taken.

use std::path::PathBuf;

use ctr_events::{EventError, Journal};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::error::Context;
use crate::{StateError, StoreFault};

/// Marks the file as ours: "ctrs" as a number.
const APPLICATION: i32 = 0x6374_7273;

/// The newest schema that this program knows.
pub(crate) const VERSION: u32 = 1;

/// One step, as SQL or as the journal's own migration.
enum Step {
    Sql(&'static str),
    Journal,
}

/// `STEPS[n]` makes version `n + 1` out of version `n`.
const STEPS: [&[Step]; VERSION as usize] = [&[Step::Sql(TABLES), Step::Journal]];

// A new version of the journal is a new step here, else older databases would never get it.
const _: () = assert!(Journal::VERSION == 1);

/// What never changes about a container is apart from what changes with every step, so that a step rewrites little.
/// `container` and `record` have one row each per container.
const TABLES: &str = "
    CREATE TABLE container (
        id TEXT PRIMARY KEY CHECK (length(id) = 64 AND id NOT GLOB '*[^0-9a-f]*'),
        name TEXT NOT NULL UNIQUE,
        created_ns INTEGER NOT NULL,
        auto_remove INTEGER NOT NULL,
        config TEXT NOT NULL
    ) STRICT;
    CREATE TABLE record (
        id TEXT PRIMARY KEY REFERENCES container (id),
        status TEXT NOT NULL,
        generation INTEGER NOT NULL,
        version INTEGER NOT NULL,
        facts TEXT NOT NULL,
        intent TEXT
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE dependency (
        id TEXT NOT NULL REFERENCES container (id),
        needs TEXT NOT NULL REFERENCES container (id),
        PRIMARY KEY (id, needs)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX dependency_needs ON dependency (needs);
    CREATE TABLE run (
        id TEXT NOT NULL,
        generation INTEGER NOT NULL,
        removed_ns INTEGER,
        body TEXT NOT NULL,
        PRIMARY KEY (id, generation)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX run_removed ON run (removed_ns) WHERE removed_ns IS NOT NULL;
    CREATE TABLE meta (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Whether a database has to be migrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    Current,
    Older,
}

/// Reads the version and whose the file is: all that is done to a database that is up to date.
pub(crate) fn age(connection: &Connection) -> Result<Age, StateError> {
    let found = version(connection)?;
    // One without a version is looked at before anything is made in it.
    if found > 0 && application(connection)? != APPLICATION {
        return Err(foreign(connection, "another program has marked it as its own").into());
    }
    if found > VERSION {
        return Err(StateError::NewerSchema {
            database: file(connection),
            found,
            known: VERSION,
        });
    }
    Ok(if found == VERSION {
        Age::Current
    } else {
        Age::Older
    })
}

/// Brings an older or empty database up to date, in one transaction.
pub(crate) fn migrate(connection: &mut Connection, now_ns: i64) -> Result<(), StateError> {
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .context("update the database")?;
    // Asked again: another process may have done it while this one waited.
    let found = version(&transaction)?;
    if age(&transaction)? == Age::Current {
        return Ok(());
    }
    refuse_foreign(&transaction)?;
    for (step, number) in STEPS.iter().zip(1_u32..).skip(found as usize) {
        for part in *step {
            take(&transaction, part)?;
        }
        note(&transaction, number, now_ns).context("note the schema")?;
    }
    transaction.commit().context("update the database")
}

fn take(transaction: &Transaction<'_>, part: &Step) -> Result<(), StateError> {
    match part {
        Step::Sql(sql) => transaction
            .execute_batch(sql)
            .context("update the tables of the database"),
        Step::Journal => Journal::migrate(transaction).map_err(EventError::into),
    }
}

fn note(transaction: &Transaction<'_>, number: u32, now_ns: i64) -> rusqlite::Result<()> {
    transaction.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2)",
        params![format!("schema {number} since ns"), now_ns.to_string()],
    )?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", number)
}

fn version(connection: &Connection) -> Result<u32, StateError> {
    connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .context("read the version of the database")
}

fn application(connection: &Connection) -> Result<i32, StateError> {
    connection
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .context("read whose the database is")
}

/// Refuses another program's database that has no version, before anything is changed in it. It must be empty: its tables are not ours to
/// extend.
pub(crate) fn refuse_foreign(connection: &Connection) -> Result<(), StateError> {
    if version(connection)? > 0 {
        return Ok(());
    }
    let tables: u32 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .context("look into the database")?;
    if tables == 0 && application(connection)? == 0 {
        return Ok(());
    }
    Err(foreign(connection, "it belongs to another program").into())
}

fn foreign(connection: &Connection, what: &str) -> StoreFault {
    StoreFault::Foreign {
        database: file(connection),
        what: what.to_owned(),
    }
}

fn file(connection: &Connection) -> PathBuf {
    connection.path().unwrap_or_default().into()
}
