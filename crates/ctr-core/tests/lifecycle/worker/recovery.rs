//! What an engine finds where the power was cut: first as it lies there, then whether it can be worked with.

use std::path::Path;
use std::time::Duration;

use ctr_core::{Engine, EngineError, RemoveMode};
use ctr_events::{Cursor, Filter, Reader, open_database};
use serde_json::{Map, Value, json};

use super::object;
use crate::fixture::{config, remove, request};

/// A name that no container of the test has.
const NEW: &str = "after-the-power-came-back";

/// Looks, then removes everything by force and makes something new.
pub(super) fn look(base: &Path) -> Map<String, Value> {
    let engine = match Engine::open(config(base)) {
        Ok(engine) => engine,
        Err(error) => return object(json!({ "damaged": format!("open: {error}: {error:?}") })),
    };
    match found(&engine, base) {
        Err(error) => object(json!({ "damaged": format!("{error}: {error:?}") })),
        Ok(mut said) => {
            let wedged = match work_on(&engine, base) {
                Ok(0) => return said,
                Ok(left) => format!("{left} containers are left"),
                Err(error) => format!("{error}: {error:?}"),
            };
            said.insert("wedged".to_owned(), wedged.into());
            said
        }
    }
}

/// What lies there, before anything is changed.
fn found(engine: &Engine, base: &Path) -> Result<Map<String, Value>, EngineError> {
    let mut rows = Vec::new();
    for snapshot in engine.store().list()? {
        let record = snapshot.record()?;
        snapshot.config()?;
        rows.push(json!({
            "id": snapshot.id().as_str(), "name": snapshot.name().as_str(),
            "status": record.status().to_string(), "generation": record.generation(),
        }));
    }
    Ok(object(json!({
        "integrity": integrity(base), "rows": rows, "events": events(engine)?
    })))
}

/// What SQLite says of its file; "ok" when nothing is wrong.
fn integrity(base: &Path) -> String {
    let database = base.join("root/state.db");
    let checked = open_database(&database, Duration::from_secs(5)).and_then(|connection| {
        let said: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        let dangling: u32 =
            connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| {
                row.get(0)
            })?;
        Ok((said, dangling))
    });
    match checked {
        Ok((said, 0)) => said,
        Ok((said, dangling)) => format!("{said}, {dangling} rows refer to nothing"),
        Err(error) => error.to_string(),
    }
}

/// One text for each event: number, kind, container, name, run and who did it.
fn events(engine: &Engine) -> Result<Vec<String>, EngineError> {
    let mut reader = Reader::new(Cursor::start(), Filter::default());
    let mut events = Vec::new();
    while let Some(event) = engine.store().next_event(&mut reader)? {
        events.push(format!(
            "{} {} {} {} {} {}",
            event.cursor().0,
            event.kind(),
            event.subject().id,
            event.subject().name,
            event.generation(),
            event.actor().pid
        ));
    }
    Ok(events)
}

/// Gives how many containers there are in the end.
fn work_on(engine: &Engine, base: &Path) -> Result<usize, EngineError> {
    let summaries = engine.list()?;
    let names: Vec<String> = summaries
        .iter()
        .map(|summary| summary.snapshot().name().to_string())
        .collect();
    for summary in &summaries {
        let container = engine.container(summary.snapshot().id());
        match container.remove(remove(RemoveMode::Force)) {
            // Looking at another one may have finished its removal.
            Err(error) if error.is_not_found() => {}
            other => drop(other?),
        }
    }
    for name in names.iter().map(String::as_str).chain([NEW]) {
        let mut request = request(base, &[]);
        request.name = Some(name.parse().unwrap());
        engine.create(request)?.remove(remove(RemoveMode::Normal))?;
    }
    engine.sweep()?;
    Ok(engine.list()?.len())
}
