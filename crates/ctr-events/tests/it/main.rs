//! The journal as its users see it, in real database files.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking, as the test itself does"
)]

mod follow;
mod journal;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ctr_events::{
    Actor, Event, EventKind, Journal, NewEvent, Subject, SubjectKind, open_database, touch,
};
use rusqlite::{Connection, TransactionBehavior};
use tempfile::TempDir;

/// A journal in a directory of its own.
struct Fixture {
    directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let fixture = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        Connection::open(fixture.database())
            .unwrap()
            .pragma_update(None, "journal_mode", "WAL")
            .unwrap();
        let mut connection = fixture.connect();
        let transaction = connection.transaction().unwrap();
        Journal::migrate(&transaction).unwrap();
        transaction.commit().unwrap();
        fixture
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("events.db")
    }

    fn wake(&self) -> PathBuf {
        self.directory.path().join("run/journal")
    }

    fn connect(&self) -> Connection {
        open_database(&self.database(), Duration::from_secs(30)).unwrap()
    }

    /// Appends in one transaction and wakes followers.
    fn append(&self, events: &[NewEvent]) -> Vec<u64> {
        let mut connection = self.connect();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        let numbers = events
            .iter()
            .map(|event| Journal::append(&transaction, event).unwrap())
            .collect();
        transaction.commit().unwrap();
        touch(&self.wake()).unwrap();
        numbers
    }

    fn trim(&self, keep: u64) {
        let mut connection = self.connect();
        let transaction = connection.transaction().unwrap();
        Journal::trim(&transaction, keep).unwrap();
        transaction.commit().unwrap();
    }
}

fn event(kind: EventKind, name: &str) -> NewEvent {
    NewEvent {
        time_ns: 1_700_000_000_000_000_000,
        kind,
        subject: Subject {
            kind: SubjectKind::Container,
            id: "c0ffee".to_owned(),
            name: name.to_owned(),
            image: "/srv/root".to_owned(),
        },
        generation: 3,
        actor: Actor {
            uid: 0,
            login_uid: Some(1000),
            pid: 42,
            program: "test".to_owned(),
        },
        attributes: BTreeMap::from([("exit_code".to_owned(), "1".to_owned())]),
    }
}

fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}
