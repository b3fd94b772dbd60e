//! A database that others are using: it is waited for as long as was asked, and an error says how long that was.

use std::fs::File;
use std::time::{Duration, Instant};

use ctr_state::{ContainerId, StateError, Store};

use crate::process::{Process, Role};
use crate::{Fixture, config_at, create, database_at};

/// Checks that `operation` fails because of the database, not before `wait` is over, and that its error says so.
fn check_waits<T>(
    wait: Duration,
    operation: impl FnOnce() -> Result<T, StateError>,
    expected: &str,
) {
    let begin = Instant::now();
    let Err(error) = operation() else {
        panic!("nobody was in the way");
    };
    let really = begin.elapsed();
    let StateError::Busy { waited, .. } = error else {
        panic!("{error:?}");
    };
    assert!(waited >= wait, "{waited:?} instead of {wait:?}");
    assert!(waited <= really, "{waited:?} of {really:?}");
    let text = error.to_string();
    assert!(text.contains(expected), "{text}");
}

const ANSWER: &str = "SQLite code 5, database is locked";

/// Longer than all that an opening does which does not wait.
const WAIT: Duration = Duration::from_secs(1);

#[test]
fn a_new_database_is_waited_for_while_another_process_sets_it_up() {
    // SQLite does not wait in this place: it answers at once.
    let directory = tempfile::tempdir().unwrap();
    let other = Process::start(Role::SetUp, directory.path(), "");
    for wait in [Duration::ZERO, WAIT] {
        let open = || Store::open(config_at(directory.path(), wait));
        check_waits(wait, open, ANSWER);
    }
    other.kill();
    Store::open(config_at(directory.path(), Duration::ZERO)).unwrap();
}

#[test]
fn only_one_process_at_a_time_sets_up_a_database() {
    let directory = tempfile::tempdir().unwrap();
    let parent = directory.path().join("lib");
    ctr_sys::create_private_dir(&parent).unwrap();
    let turn = File::open(&parent).unwrap();
    turn.lock().unwrap();
    for wait in [Duration::ZERO, WAIT] {
        let open = || Store::open(config_at(directory.path(), wait));
        check_waits(wait, open, "the setting up of the database");
    }
    turn.unlock().unwrap();
    Store::open(config_at(directory.path(), Duration::ZERO)).unwrap();
    // Who finds it set up needs no turn.
    turn.lock().unwrap();
    Store::open(config_at(directory.path(), Duration::ZERO)).unwrap();
}

#[test]
fn a_new_database_is_used_as_soon_as_another_process_lets_go() {
    let directory = tempfile::tempdir().unwrap();
    let other = Process::start(Role::SetUp, directory.path(), "");
    let mut waiting: Vec<Process> = (0..4)
        .map(|_| Process::start(Role::Create, directory.path(), ""))
        .collect();
    for process in &mut waiting {
        process.release();
        process.await_open(&database_at(directory.path()));
    }
    other.kill();
    let words = waiting
        .into_iter()
        .map(|process| process.finish(&["won", "lost"]));
    assert_eq!(words.filter(|word| word == "won").count(), 1);
}

#[test]
fn a_writer_is_waited_for() {
    let fixture = Fixture::new();
    let writer = Process::start(Role::Write, fixture.path(), "");
    writer.freeze();
    for wait in [Duration::ZERO, WAIT] {
        let store = Store::open(config_at(fixture.path(), wait)).unwrap();
        let id = ContainerId::generate().unwrap();
        check_waits(wait, || create(&store, &id, "web"), ANSWER);
    }
    writer.kill();
}
