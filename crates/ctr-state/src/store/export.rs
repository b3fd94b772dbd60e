//! Everything that is stored, for people and programs that must read it without us.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Row};
use serde::Serialize;
use serde_json::Value;

use super::Store;
use super::fault::is_damage;
use super::read::{known_ids, reason};
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
    /// What could not be read because the database is damaged: what is here is not all then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
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
    /// Those of the database as a whole. A damaged one is read as far as that goes.
    pub fn export(&self) -> Result<Export, StateError> {
        self.read(|connection| {
            // One moment for all tables; nothing is written, so it ends as it may.
            let moment = connection
                .unchecked_transaction()
                .context("begin to read everything")?;
            let mut missing = Vec::new();
            Ok(Export {
                schema: schema::VERSION,
                containers: containers(&moment, &mut missing)?,
                runs: runs(&moment, &mut missing)?,
                meta: meta(&moment, &mut missing)?,
                missing,
            })
        })
    }
}

fn containers(
    connection: &Connection,
    missing: &mut Vec<String>,
) -> Result<Vec<ExportedContainer>, StateError> {
    let ordered = format!("{SELECT} ORDER BY c.created_ns, c.id");
    let (found, end) = rows(connection, &ordered, [], container)?;
    let Some(end) = end else {
        return Ok(found);
    };
    missing.push(end);
    let mut found = Vec::new();
    for id in known_ids(connection) {
        let one = format!("{SELECT} WHERE c.id = ?1");
        match rows(connection, &one, [id.as_str()], container)? {
            (rows, None) => found.extend(rows),
            (_, Some(reason)) => found.push(unreadable(&id, reason)),
        }
    }
    found.sort_by(|a, b| (a.created_ns, &a.id).cmp(&(b.created_ns, &b.id)));
    Ok(found)
}

/// From both ends, where something in the middle cannot be read.
fn runs(
    connection: &Connection,
    missing: &mut Vec<String>,
) -> Result<Vec<ExportedRun>, StateError> {
    let select = "SELECT id, generation, removed_ns, body FROM run";
    let forwards = format!("{select} ORDER BY id, generation");
    let (mut found, end) = rows(connection, &forwards, [], run)?;
    if let Some(end) = end {
        missing.push(end);
        let known: BTreeSet<(String, i64)> = found
            .iter()
            .map(|run| (run.id.clone(), run.generation))
            .collect();
        let backwards = format!("{select} ORDER BY id DESC, generation DESC");
        let (rest, _) = rows(connection, &backwards, [], run)?;
        let rest = rest.into_iter().rev();
        found.extend(rest.filter(|run| !known.contains(&(run.id.clone(), run.generation))));
    }
    Ok(found)
}

fn meta(
    connection: &Connection,
    missing: &mut Vec<String>,
) -> Result<BTreeMap<String, String>, StateError> {
    let select = "SELECT key, value FROM meta ORDER BY key";
    let (found, end) = rows(connection, select, [], |row| (text(row, 0), text(row, 1)))?;
    missing.extend(end);
    Ok(found.into_iter().collect())
}

/// The rows up to the end, or to where the database is damaged: then with a reason.
fn rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl Fn(&Row<'_>) -> T,
) -> Result<(Vec<T>, Option<String>), StateError> {
    let mut found = Vec::new();
    let outcome = connection
        .prepare(sql)
        .and_then(|mut statement| {
            let mut rows = statement.query(parameters)?;
            while let Some(row) = rows.next()? {
                found.push(read(row));
            }
            Ok(())
        })
        .context("read everything");
    match outcome {
        Ok(()) => Ok((found, None)),
        Err(error) if is_damage(&error) => Ok((found, Some(reason(&error)))),
        Err(error) => Err(error),
    }
}

fn container(row: &Row<'_>) -> ExportedContainer {
    let snapshot = Snapshot::from_row(row);
    let unreadable = match &snapshot {
        Ok(snapshot) => snapshot.corrupt().map(str::to_owned),
        Err(error) => Some(error.to_string()),
    };
    ExportedContainer {
        id: text(row, 0),
        name: text(row, 1),
        created_ns: row.get(2).unwrap_or(0),
        config: json(&text(row, 3)),
        status: optional(row, 4),
        generation: row.get(5).unwrap_or(None),
        version: row.get(6).unwrap_or(None),
        facts: optional(row, 7).as_deref().map(json),
        intent: optional(row, 8).as_deref().map(json),
        needs: snapshot.map_or_else(|_| Vec::new(), |snapshot| snapshot.dependencies().to_vec()),
        unreadable,
    }
}

/// One of which nothing but the id can be read.
fn unreadable(id: &ContainerId, reason: String) -> ExportedContainer {
    ExportedContainer {
        id: id.to_string(),
        name: String::new(),
        created_ns: 0,
        config: Value::Null,
        status: None,
        generation: None,
        version: None,
        facts: None,
        intent: None,
        needs: Vec::new(),
        unreadable: Some(reason),
    }
}

fn run(row: &Row<'_>) -> ExportedRun {
    ExportedRun {
        id: text(row, 0),
        generation: row.get(1).unwrap_or(0),
        removed_ns: row.get(2).unwrap_or(None),
        body: json(&text(row, 3)),
    }
}

/// A text column, whatever its bytes are.
fn text(row: &Row<'_>, column: usize) -> String {
    optional(row, column).unwrap_or_default()
}

fn optional(row: &Row<'_>, column: usize) -> Option<String> {
    match row.get_ref(column).ok()? {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
