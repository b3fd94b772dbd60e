use std::path::Path;
use std::time::Duration;

use ctr_events::{Cursor, EventKind, Filter, Journal, open_database};
use ctr_state::{
    Durability, ExitInfo, IntentKind, StartReason, StateError, Status, Store, StoreFault, Trigger,
};
use rusqlite::Connection;

use crate::{Fixture, config_at, database_at, event, patience};

/// A directory with a database that `sql` has made.
fn with_database(sql: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("lib")).unwrap();
    let connection = Connection::open(database_at(directory.path())).unwrap();
    connection.execute_batch(sql).unwrap();
    directory
}

fn open(directory: &Path) -> Result<Store, StateError> {
    Store::open(config_at(directory, Duration::from_secs(30)))
}

fn is_foreign(error: &StateError) -> bool {
    matches!(error, StateError::Store(StoreFault::Foreign { .. }))
}

fn tables(directory: &Path) -> Vec<(String, String)> {
    let connection = open_database(&database_at(directory), Duration::ZERO).unwrap();
    let mut statement = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
        .unwrap();
    let one_line = |sql: String| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, one_line(row.get(1)?))))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn a_database_of_schema_1_is_read_and_written() {
    let directory = with_database(include_str!("schema_v1.sql"));
    let store = open(directory.path()).unwrap();
    let id = store.resolve(&"web".parse().unwrap()).unwrap();
    let snapshot = store.snapshot(&id).unwrap();
    let record = snapshot.record().unwrap();
    assert_eq!(record.status(), Status::Exited);
    assert_eq!(record.exit().map(ExitInfo::code), Some(137));
    assert_eq!(record.intent().unwrap().kind, IntentKind::Remove);
    assert_eq!(snapshot.config().unwrap().labels["k"], "v");
    assert_eq!(store.runs(&id).unwrap().len(), 1);

    let mut locked = store.lock(&id, "init", patience()).unwrap();
    assert_eq!(locked.begin_generation(StartReason::User), 2);
    locked.advance(Trigger::Init).unwrap();
    let events = [event(EventKind::Init, &id, 2)];
    locked.save(&events, Durability::Durable).unwrap();
    let connection = open_database(&database_at(directory.path()), Duration::ZERO).unwrap();
    let events = Journal::read(&connection, Cursor::start(), &Filter::default(), 9).unwrap();
    assert_eq!(events.len(), 2);
}

#[test]
fn an_empty_database_and_one_of_schema_1_become_the_same() {
    let old = with_database(include_str!("schema_v1.sql"));
    open(old.path()).unwrap();
    let fixture = Fixture::new();
    assert_eq!(tables(old.path()), tables(fixture.path()));
    let empty = with_database("");
    open(empty.path()).unwrap();
    assert_eq!(tables(empty.path()), tables(fixture.path()));
}

#[test]
fn a_newer_database_is_refused_untouched() {
    let directory = with_database(
        "CREATE TABLE future (x); PRAGMA application_id = 1668575859; PRAGMA user_version = 99;",
    );
    let before = std::fs::read(database_at(directory.path())).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(
        matches!(error, StateError::NewerSchema { found: 99, .. }),
        "{error:?}"
    );
    let after = std::fs::read(database_at(directory.path())).unwrap();
    assert!(before == after, "the file was changed");
}

#[test]
fn the_database_of_another_program_is_refused() {
    for mark in ["", "PRAGMA user_version = 1;", "PRAGMA user_version = 99;"] {
        let directory = with_database(&format!("CREATE TABLE other (x);{mark}"));
        let error = open(directory.path()).unwrap_err();
        assert!(is_foreign(&error), "{mark} {error:?}");
        assert_eq!(tables(directory.path()).len(), 1);
    }
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("lib")).unwrap();
    let text = "no database at all ".repeat(100);
    ctr_sys::replace_file(
        &database_at(directory.path()),
        text.as_bytes(),
        0o600,
        ctr_sys::Sync::No,
    )
    .unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(is_foreign(&error), "{error:?}");
    assert_eq!(
        std::fs::read(database_at(directory.path())).unwrap(),
        text.as_bytes()
    );
}
