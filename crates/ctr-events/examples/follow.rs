//! A journal on its own: one thread appends, another follows, and a third reader resumes where the follower was.
//!
//! `cargo run -p ctr-events --example follow`

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use ctr_events::{
    Actor, Cursor, EventKind, Filter, Follow, Journal, NewEvent, Subject, SubjectKind,
    open_database, touch,
};
use ctr_sys::Deadline;
use rusqlite::{Connection, TransactionBehavior};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let database = directory.path().join("events.db");
    let wake = directory.path().join("wake");
    make(&database)?;

    let writer = {
        let (database, wake) = (database.clone(), wake.clone());
        std::thread::spawn(move || write(&database, &wake).map_err(|error| error.to_string()))
    };
    let resume = follow(&database, &wake, Cursor::start(), "container=web", 3)?;
    writer.join().map_err(|_| "the writer panicked")??;

    println!("resuming after event {resume}, all containers:");
    follow(&database, &wake, resume, "type=container", 2)?;
    Ok(())
}

/// Any SQLite database will do; with a WAL, readers do not wait for writers.
fn make(database: &Path) -> Result<(), Box<dyn Error>> {
    let mut connection = Connection::open(database)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let transaction = connection.transaction()?;
    Journal::migrate(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// Appends six events, each in a transaction of its own, where a program would also make the change they report.
fn write(database: &Path, wake: &Path) -> Result<(), Box<dyn Error>> {
    let mut connection = open_database(database, Duration::from_secs(5))?;
    let kinds = [EventKind::Create, EventKind::Start, EventKind::Died];
    for (kind, time_ns) in kinds.into_iter().zip(1..) {
        for name in ["web", "db"] {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            Journal::append(&transaction, &event(kind, name, time_ns))?;
            transaction.commit()?;
            touch(wake)?;
        }
    }
    Ok(())
}

/// Prints `count` events and returns where to resume after the first of them.
fn follow(
    database: &Path,
    wake: &Path,
    after: Cursor,
    term: &str,
    count: usize,
) -> Result<Cursor, Box<dyn Error>> {
    let mut follow = Follow::open(database, wake, after, Filter::parse([term])?)?;
    let mut resume = after;
    for index in 0..count {
        let deadline = Deadline::after(Duration::from_secs(30));
        let event = follow.next(deadline)?.ok_or("no event in 30 s")?;
        println!("{:>3} {} {}", event.seq, event.subject().name, event.kind());
        if index == 0 {
            resume = follow.cursor();
        }
    }
    Ok(resume)
}

fn event(kind: EventKind, name: &str, time_ns: i64) -> NewEvent {
    NewEvent {
        time_ns,
        kind,
        subject: Subject {
            kind: SubjectKind::Container,
            id: format!("{name}-id"),
            name: name.to_owned(),
            image: String::new(),
        },
        generation: 1,
        actor: Actor {
            uid: 0,
            login_uid: None,
            pid: 1,
            program: "example".to_owned(),
        },
        attributes: BTreeMap::new(),
    }
}
