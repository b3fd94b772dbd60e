//! Everything that is stored, for people and programs that must read it without us.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rusqlite::{Connection, Row};
use serde::Serialize;
use serde_json::Value;

use super::Store;
use crate::error::Context;
use crate::schema;
use crate::snapshot::{SELECT, Snapshot};
use crate::{ContainerId, StateError};

/// What is stored, at one moment. Texts that are no JSON where JSON is expected are here as texts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Export {
    /// The version of the tables.
    pub schema: u32,
    /// All containers, oldest first.
    pub containers: Vec<ExportedContainer>,
    /// The ledger: all runs that are kept, also those of removed containers.
    pub runs: Vec<ExportedRun>,
    /// Notes of the database about itself.
    pub meta: BTreeMap<String, String>,
}

/// One container.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExportedContainer {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was created: nanoseconds since 1970-01-01 UTC.
    pub created_ns: i64,
    /// What it was asked to be.
    pub config: Value,
    /// The status that the record tells.
    pub status: Option<String>,
    /// The number of its run.
    pub generation: Option<i64>,
    /// The version of the record.
    pub version: Option<i64>,
    /// The facts of the record.
    pub facts: Option<Value>,
    /// What somebody was about to do.
    pub intent: Option<Value>,
    /// The containers that it needs.
    pub needs: Vec<ContainerId>,
    /// What this program cannot read of it.
    pub unreadable: Option<String>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExportedRun {
    /// Its container.
    pub id: String,
    /// Its number.
    pub generation: i64,
    /// When the container was removed: nanoseconds since 1970-01-01 UTC.
    pub removed_ns: Option<i64>,
    /// The row of the ledger.
    pub body: Value,
}

impl Store {
    /// All that is stored, whether this program can read it or not, as it was at one moment. Takes no lock.
    ///
    /// # Errors
    /// Those of the database as a whole.
    pub fn export(&self) -> Result<Export, StateError> {
        self.read(|connection| {
            // One moment for all tables; nothing is written, so it ends as it may.
            let moment = connection
                .unchecked_transaction()
                .context("begin to read everything")?;
            Ok(Export {
                schema: schema::VERSION,
                containers: rows(
                    &moment,
                    &format!("{SELECT} ORDER BY c.created_ns, c.id"),
                    container,
                )?,
                runs: rows(
                    &moment,
                    "SELECT id, generation, removed_ns, body FROM run ORDER BY id, generation",
                    run,
                )?,
                meta: rows(&moment, "SELECT key, value FROM meta ORDER BY key", |row| {
                    Ok((text(row, 0)?, text(row, 1)?))
                })?
                .into_iter()
                .collect(),
            })
        })
    }
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StateError> {
    let operation = "read everything";
    let mut statement = connection.prepare(sql).context(operation)?;
    let found = statement
        .query_map([], |row| read(row))
        .context(operation)?;
    found.collect::<rusqlite::Result<_>>().context(operation)
}

fn container(row: &Row<'_>) -> rusqlite::Result<ExportedContainer> {
    let snapshot = Snapshot::from_row(row)?;
    Ok(ExportedContainer {
        id: text(row, 0)?,
        name: text(row, 1)?,
        created_ns: row.get(2)?,
        config: json(&text(row, 3)?),
        status: optional(row, 4)?,
        generation: row.get(5)?,
        version: row.get(6)?,
        facts: optional(row, 7)?.as_deref().map(json),
        intent: optional(row, 8)?.as_deref().map(json),
        needs: snapshot.dependencies().to_vec(),
        unreadable: snapshot.corrupt().map(str::to_owned),
    })
}

fn run(row: &Row<'_>) -> rusqlite::Result<ExportedRun> {
    Ok(ExportedRun {
        id: text(row, 0)?,
        generation: row.get(1)?,
        removed_ns: row.get(2)?,
        body: json(&text(row, 3)?),
    })
}

/// A text column, whatever its bytes are.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    optional(row, column).map(Option::unwrap_or_default)
}

fn optional(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let bytes = row.get_ref(column)?.as_bytes_or_null()?;
    Ok(bytes.map(String::from_utf8_lossy).map(Cow::into_owned))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
