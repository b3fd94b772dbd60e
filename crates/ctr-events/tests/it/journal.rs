use std::thread;

use ctr_events::{Cursor, EventError, EventKind, Filter, Journal};

use crate::{Fixture, event, numbers};

fn read(fixture: &Fixture, after: u64, filter: &Filter, limit: usize) -> Vec<u64> {
    let events = Journal::read(&fixture.connect(), Cursor(after), filter, limit).unwrap();
    numbers(&events)
}

#[test]
fn what_was_appended_is_read_back() {
    let fixture = Fixture::new();
    for kind in EventKind::ALL {
        fixture.append(&[event(kind, "web")]);
    }
    let connection = fixture.connect();
    let events = Journal::read(&connection, Cursor::start(), &Filter::default(), 100).unwrap();
    for (index, (found, kind)) in events.iter().zip(EventKind::ALL).enumerate() {
        assert_eq!(found.seq, index as u64 + 1);
        assert_eq!(found.body, event(kind, "web"));
    }
    let last = Cursor(EventKind::ALL.len() as u64);
    assert_eq!(Journal::last(&connection).unwrap(), last);
}

#[test]
fn reading_resumes_and_is_bounded() {
    let fixture = Fixture::new();
    for name in ["web", "db", "web", "db"] {
        fixture.append(&[event(EventKind::Start, name)]);
    }
    let all = Filter::default();
    assert_eq!(read(&fixture, 0, &all, 100), [1, 2, 3, 4]);
    assert_eq!(read(&fixture, 2, &all, 1), [3]);
    assert_eq!(read(&fixture, 4, &all, 100), Vec::<u64>::new());
    let db = Filter::parse(["container=db"]).unwrap();
    assert_eq!(read(&fixture, 0, &db, 1), [2]);
    assert_eq!(read(&fixture, 2, &db, 100), [4]);
    let page = Journal::page(&fixture.connect(), Cursor(2), &db, 1).unwrap();
    assert!(page.events.is_empty());
    assert_eq!(page.scanned, Cursor(3));
}

#[test]
fn a_rolled_back_event_leaves_no_gap() {
    let fixture = Fixture::new();
    let mut connection = fixture.connect();
    let transaction = connection.transaction().unwrap();
    assert_eq!(
        Journal::append(&transaction, &event(EventKind::Start, "a")).unwrap(),
        1
    );
    transaction.rollback().unwrap();
    assert_eq!(fixture.append(&[event(EventKind::Start, "a")]), [1]);
}

#[test]
fn numbers_have_no_gaps_under_concurrency() {
    let fixture = Fixture::new();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let events = [event(EventKind::Exec, "a"), event(EventKind::ExecDied, "a")];
                    let numbers = fixture.append(&events);
                    assert_eq!(numbers[0] + 1, numbers[1]);
                }
            });
        }
    });
    let expected: Vec<u64> = (1..=400).collect();
    assert_eq!(read(&fixture, 0, &Filter::default(), 1000), expected);
}

/// Trims four events to `keep` and says what a reader after `cursor` learns.
fn check_trimmed(keep: u64, cursor: u64, expected: Result<&[u64], u64>) {
    let fixture = Fixture::new();
    fixture.append(&[const { EventKind::Start }; 4].map(|kind| event(kind, "a")));
    fixture.trim(keep);
    let connection = fixture.connect();
    let read = Journal::read(&connection, Cursor(cursor), &Filter::default(), 100);
    match (read, expected) {
        (Ok(events), Ok(expected)) => assert_eq!(numbers(&events), expected),
        (Err(EventError::Expired { oldest, .. }), Err(expected)) => assert_eq!(oldest, expected),
        (found, _) => panic!("keep {keep}, after {cursor}: {found:?}"),
    }
    assert_eq!(fixture.append(&[event(EventKind::Stop, "a")]), [5]);
}

#[test]
fn a_reader_learns_that_events_were_trimmed() {
    check_trimmed(2, 0, Ok(&[3, 4]));
    check_trimmed(2, 1, Err(3));
    check_trimmed(2, 2, Ok(&[3, 4]));
    check_trimmed(2, 4, Ok(&[]));
    check_trimmed(0, 0, Ok(&[]));
    check_trimmed(0, 3, Err(5));
    check_trimmed(0, 4, Ok(&[]));
    check_trimmed(9, 0, Ok(&[1, 2, 3, 4]));
}

#[test]
fn migrating_twice_changes_nothing_and_a_newer_journal_is_left_alone() {
    let fixture = Fixture::new();
    fixture.append(&[event(EventKind::Start, "a")]);
    let mut connection = fixture.connect();
    let transaction = connection.transaction().unwrap();
    Journal::migrate(&transaction).unwrap();
    assert_eq!(Journal::last(&transaction).unwrap(), Cursor(1));
    transaction
        .execute("UPDATE journal SET version = 99", [])
        .unwrap();
    let error = Journal::migrate(&transaction).unwrap_err();
    assert!(
        matches!(error, EventError::NewerSchema { found: 99, known } if known == Journal::VERSION)
    );
}

#[test]
fn a_row_that_is_no_event_is_named() {
    let fixture = Fixture::new();
    fixture.append(&[event(EventKind::Start, "a"), event(EventKind::Stop, "a")]);
    fixture
        .connect()
        .execute("UPDATE event SET kind = 'sung' WHERE seq = 2", [])
        .unwrap();
    let error =
        Journal::read(&fixture.connect(), Cursor::start(), &Filter::default(), 100).unwrap_err();
    assert!(matches!(error, EventError::Corrupt { seq: 2, .. }));
    assert!(error.to_string().contains("sung"), "{error}");
}

#[test]
fn cursors_are_numbers() {
    assert_eq!("17".parse::<Cursor>().unwrap(), Cursor(17));
    assert_eq!(Cursor(17).to_string(), "17");
    for text in ["", "+1", "-1", "x", "99999999999999999999"] {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
}
