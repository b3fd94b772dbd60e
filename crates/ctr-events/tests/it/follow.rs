use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use ctr_events::{Cursor, EventError, EventKind, Filter, Follow, Watch, Woken, touch};
use ctr_sys::Deadline;

use crate::{Fixture, event};

/// Long enough for the slowest machine: reaching it is a failure.
fn patience() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn now() -> Deadline {
    Deadline::after(Duration::ZERO)
}

fn open(fixture: &Fixture, after: u64, terms: &[&str]) -> Follow {
    let filter = Filter::parse(terms).unwrap();
    Follow::open(&fixture.database(), &fixture.wake(), Cursor(after), filter).unwrap()
}

#[test]
fn the_past_then_the_future() {
    let fixture = Fixture::new();
    fixture.append(&[event(EventKind::Create, "a")]);
    let mut follow = open(&fixture, 0, &[]);
    assert_eq!(follow.next(now()).unwrap().unwrap().seq, 1);
    assert_eq!(follow.next(now()).unwrap(), None);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..100 {
                fixture.append(&[event(EventKind::Start, "a")]);
            }
        });
        for expected in 2..=101 {
            assert_eq!(follow.next(patience()).unwrap().unwrap().seq, expected);
        }
    });
    assert_eq!(follow.next(now()).unwrap(), None);
    assert_eq!(follow.cursor(), Cursor(101));
}

#[test]
fn the_cursor_is_that_of_the_last_event_returned() {
    let fixture = Fixture::new();
    fixture.append(&["a", "b", "a", "b"].map(|name| event(EventKind::Start, name)));
    let mut follow = open(&fixture, 0, &["container=a"]);
    assert_eq!(follow.cursor(), Cursor(0));
    assert_eq!(follow.next(now()).unwrap().unwrap().seq, 1);
    let resumed = follow.cursor();
    assert_eq!(follow.next(now()).unwrap().unwrap().seq, 3);
    assert_eq!(follow.next(now()).unwrap(), None);
    assert_eq!(
        follow.cursor(),
        Cursor(4),
        "what was passed over is not looked at again"
    );
    let mut again = open(&fixture, resumed.0, &["container=a"]);
    assert_eq!(again.next(now()).unwrap().unwrap().seq, 3);
}

#[test]
fn a_reader_that_came_too_late_is_told() {
    let fixture = Fixture::new();
    fixture.append(&["a", "b", "c"].map(|name| event(EventKind::Start, name)));
    fixture.trim(1);
    let error = open(&fixture, 1, &[]).next(now()).unwrap_err();
    assert!(
        matches!(error, EventError::Expired { oldest: 3, .. }),
        "{error}"
    );
}

#[test]
fn a_follower_survives_the_loss_of_the_wake_file() {
    let fixture = Fixture::new();
    let mut follow = open(&fixture, 0, &[]);
    for expected in 1..=4 {
        if expected % 2 == 0 {
            std::fs::rename(fixture.wake(), fixture.wake().with_extension("old")).unwrap();
        } else {
            std::fs::remove_file(fixture.wake()).unwrap();
        }
        assert_eq!(follow.next(now()).unwrap(), None);
        thread::scope(|scope| {
            scope.spawn(|| fixture.append(&[event(EventKind::Start, "a")]));
            assert_eq!(follow.next(patience()).unwrap().unwrap().seq, expected);
        });
    }
}

#[test]
fn a_wait_ends_with_the_reader_of_the_output() {
    let fixture = Fixture::new();
    let mut watch = Watch::start(&fixture.wake()).unwrap();
    let (reader, output) = std::io::pipe().unwrap();
    let mut wait = |deadline| watch.wait(Some(output.as_fd()), deadline).unwrap();
    assert_eq!(wait(now()), Woken::TimedOut);
    touch(&fixture.wake()).unwrap();
    assert_eq!(wait(patience()), Woken::Touched);
    drop(reader);
    assert_eq!(wait(patience()), Woken::ReaderGone);
    // A file has no reader that could go.
    let file = tempfile::tempfile().unwrap();
    let woken = watch.wait(Some(file.as_fd()), now()).unwrap();
    assert_eq!(woken, Woken::TimedOut);
}

#[test]
fn a_cursor_from_the_future_is_refused() {
    let fixture = Fixture::new();
    fixture.append(&["a", "b"].map(|name| event(EventKind::Start, name)));
    assert_eq!(open(&fixture, 2, &[]).next(now()).unwrap(), None);
    let error = open(&fixture, 3, &[]).next(now()).unwrap_err();
    assert!(
        matches!(error, EventError::NotYet { last: 2, .. }),
        "{error}"
    );
}

#[test]
fn a_wake_without_an_event_is_no_event() {
    let fixture = Fixture::new();
    let mut follow = open(&fixture, 0, &[]);
    touch(&fixture.wake()).unwrap();
    assert_eq!(follow.next(now()).unwrap(), None);
}

#[test]
fn a_missing_database_is_not_made() {
    let fixture = Fixture::new();
    let missing = fixture.directory.path().join("missing.db");
    let result = Follow::open(
        &missing,
        &fixture.wake(),
        Cursor::start(),
        Filter::default(),
    );
    assert!(matches!(result, Err(EventError::Database { .. })));
    assert!(!missing.exists());
}
