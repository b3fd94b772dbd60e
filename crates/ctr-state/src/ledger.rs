//! The ledger: every run, who started it, how it ended and why. It outlives the container for a while.

use ctr_events::Actor;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::error::Context;
use crate::snapshot::parse_column;
use crate::{ContainerId, ContainerName, ExitInfo, Record, StartReason, StateError, StopReason};

/// How long the runs of a removed container are kept: seven days.
pub const KEEP_REMOVED_NS: i64 = 7 * 24 * 3600 * 1_000_000_000;
/// How many runs of removed containers are kept at most.
pub const KEEP_REMOVED_RUNS: u32 = 2_000;
/// How many runs of a container that exists are kept: its newest ones.
pub const KEEP_RUNS: u64 = 100;

/// One run of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The container.
    pub container_id: ContainerId,
    /// The name it had.
    pub container_name: ContainerName,
    /// The number of the run, from 1.
    pub generation: u64,
    /// Who started it. Its user id is `u32::MAX` and its program empty when nobody has said so.
    pub started_by: Actor,
    /// When the run was begun, which is before its program was started: nanoseconds since 1970-01-01 UTC.
    pub created_ns: i64,
    /// When its program was started: nanoseconds since 1970-01-01 UTC.
    #[serde(default)]
    pub started_ns: Option<i64>,
    /// How it ended; `None` while it has not.
    #[serde(default)]
    pub ended: Option<ExitInfo>,
    /// Who ended it, if it did not end by itself.
    #[serde(default)]
    pub ended_by: Option<Actor>,
    /// Why it was begun.
    #[serde(default)]
    pub start_reason: StartReason,
    /// That, and why, it was asked to stop.
    #[serde(default)]
    pub stop_reason: Option<StopReason>,
}

impl Run {
    /// The row that `record` stands for; `None` before the first run.
    pub(crate) fn of(id: &ContainerId, name: &ContainerName, record: &Record) -> Option<Self> {
        let created_ns = record.generation_ns()?;
        let facts = record.facts();
        Some(Self {
            container_id: id.clone(),
            container_name: name.clone(),
            generation: record.generation(),
            started_by: facts.started_by.clone().unwrap_or_else(nobody),
            created_ns,
            started_ns: facts.started_ns,
            ended: facts.exit.clone(),
            ended_by: facts.ended_by.clone(),
            start_reason: facts.start_reason,
            stop_reason: facts.stop_requested,
        })
    }
}

fn nobody() -> Actor {
    Actor {
        uid: u32::MAX,
        login_uid: None,
        pid: 0,
        program: String::new(),
    }
}

/// Writes the row of a run, new or changed.
pub(crate) fn put(transaction: &Transaction<'_>, run: &Run) -> Result<(), StateError> {
    let operation = "write a run into the ledger";
    let body = serde_json::to_string(run).expect("numbers, texts and text keys are always JSON");
    let generation = signed(run.generation);
    transaction
        .execute(
            "INSERT INTO run (id, generation, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (id, generation) DO UPDATE SET body = excluded.body",
            params![run.container_id.as_str(), generation, body],
        )
        .context(operation)?;
    if run.generation > KEEP_RUNS {
        transaction
            .execute(
                "DELETE FROM run WHERE id = ?1 AND generation <= ?2",
                params![
                    run.container_id.as_str(),
                    signed(run.generation - KEEP_RUNS)
                ],
            )
            .context(operation)?;
    }
    Ok(())
}

/// Notes that the container of these runs is gone: from now on they are kept for a bounded time and number.
pub(crate) fn mark_removed(
    transaction: &Transaction<'_>,
    id: &ContainerId,
    now_ns: i64,
) -> Result<(), StateError> {
    transaction
        .execute(
            "UPDATE run SET removed_ns = ?2 WHERE id = ?1",
            params![id.as_str(), now_ns],
        )
        .context("keep the runs of a removed container")?;
    Ok(())
}

/// Drops what is older or more than is kept of removed containers.
pub(crate) fn trim(transaction: &Transaction<'_>, now_ns: i64) -> Result<(), StateError> {
    let operation = "trim the ledger";
    transaction
        .execute(
            "DELETE FROM run WHERE removed_ns < ?1",
            [now_ns.saturating_sub(KEEP_REMOVED_NS)],
        )
        .context(operation)?;
    transaction
        .execute(
            "DELETE FROM run WHERE (id, generation) IN (
                 SELECT id, generation FROM run WHERE removed_ns IS NOT NULL
                 ORDER BY removed_ns DESC LIMIT -1 OFFSET ?1)",
            [KEEP_REMOVED_RUNS],
        )
        .context(operation)?;
    Ok(())
}

/// All runs of a container that are kept, oldest first.
pub(crate) fn runs(connection: &Connection, id: &ContainerId) -> Result<Vec<Run>, StateError> {
    let bodies = connection
        .prepare("SELECT body FROM run WHERE id = ?1 ORDER BY generation")
        .and_then(|mut statement| {
            // One that is no text is no run either.
            let rows = statement.query_map([id.as_str()], |row| {
                Ok(row.get::<_, String>(0).unwrap_or_default())
            })?;
            rows.collect::<rusqlite::Result<Vec<String>>>()
        })
        .context("read the ledger")?;
    bodies.iter().map(|body| decode(id, body)).collect()
}

/// The removed containers, newest removal first, that had this name or whose id begins so.
pub(crate) fn removed(connection: &Connection, what: &str) -> Result<Vec<ContainerId>, StateError> {
    // A name is in the bodies only; removed runs are few, see the bounds above.
    connection
        .prepare(
            "SELECT id FROM run
             WHERE removed_ns IS NOT NULL
               AND (substr(id, 1, length(?1)) = ?1 OR json_extract(body, '$.container_name') = ?1)
             GROUP BY id ORDER BY max(removed_ns) DESC",
        )
        .and_then(|mut statement| {
            let rows = statement.query_map([what], |row| parse_column(row, 0))?;
            rows.collect()
        })
        .context("look up a removed container")
}

/// One run.
pub(crate) fn run(
    connection: &Connection,
    id: &ContainerId,
    generation: u64,
) -> Result<Option<Run>, StateError> {
    let body: Option<String> = connection
        .query_row(
            "SELECT body FROM run WHERE id = ?1 AND generation = ?2",
            params![id.as_str(), signed(generation)],
            |row| row.get(0),
        )
        .optional()
        .context("read the ledger")?;
    body.map(|body| decode(id, &body)).transpose()
}

/// At most `most` runs that cannot be read: the container as it is stored, the number, and why.
pub(crate) fn unreadable(
    connection: &Connection,
    most: usize,
) -> Result<Vec<(String, i64, String)>, StateError> {
    let operation = "read the ledger";
    let mut statement = connection
        .prepare("SELECT id, generation, body FROM run")
        .context(operation)?;
    let mut rows = statement.query([]).context(operation)?;
    let mut found = Vec::new();
    while found.len() < most
        && let Some(row) = rows.next().context(operation)?
    {
        if let Err(why) = check(row) {
            let id = row.get(0).unwrap_or_else(|_| "?".to_owned());
            found.push((id, row.get(1).unwrap_or(0), why));
        }
    }
    Ok(found)
}

fn check(row: &Row<'_>) -> Result<(), String> {
    parse_column(row, 0).map_err(|error| error.to_string())?;
    let body: String = row.get(2).map_err(|error| error.to_string())?;
    parse(&body).map(drop).map_err(|error| error.to_string())
}

fn decode(id: &ContainerId, body: &str) -> Result<Run, StateError> {
    parse(body).map_err(|error| StateError::Corrupt {
        id: id.clone(),
        reason: format!("a run in the ledger: {error}"),
    })
}

fn parse(body: &str) -> serde_json::Result<Run> {
    serde_json::from_str(body)
}

/// SQLite's integers are signed. No container lives to see the bound.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
