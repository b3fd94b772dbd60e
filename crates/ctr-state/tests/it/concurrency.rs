//! Many processes at once, and some that do not go on.

use std::thread;
use std::time::Duration;

use ctr_events::{Event, EventKind};
use ctr_state::{ContainerId, StateError, Status, Store};

use crate::process::{Process, Role};
use crate::{Fixture, config_at, create, now, patience};

#[test]
fn one_of_many_processes_gets_the_name() {
    let fixture = Fixture::new();
    let processes: Vec<Process> = (0..16)
        .map(|_| Process::start(Role::Create, fixture.path(), ""))
        .collect();
    let words: Vec<String> = processes
        .into_iter()
        .map(|process| process.finish(&["won", "lost"]))
        .collect();
    assert_eq!(words.iter().filter(|word| *word == "won").count(), 1);
    assert_eq!(fixture.store.list().unwrap().len(), 1);
    assert_eq!(fixture.event_kinds(), [EventKind::Create]);
}

#[test]
fn one_of_many_threads_gets_the_name_of_a_new_database() {
    let directory = tempfile::tempdir().unwrap();
    let attempt = || {
        let config = config_at(directory.path(), Duration::from_secs(60));
        let store = Store::open(config).unwrap();
        let id = ContainerId::generate().unwrap();
        match create(&store, &id, "one") {
            Ok(()) => true,
            Err(StateError::NameInUse { by, .. }) => {
                assert_ne!(by, id);
                false
            }
            Err(error) => panic!("{error}: {error:?}"),
        }
    };
    let winners = thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(attempt)).collect();
        let won = threads.into_iter().map(|thread| thread.join().unwrap());
        won.filter(|won| *won).count()
    });
    assert_eq!(winners, 1);
}

#[test]
fn readers_answer_while_a_writer_is_stopped_in_its_transaction() {
    let fixture = Fixture::new();
    let id = fixture.create("web");
    let writer = Process::start(Role::Write, fixture.path(), "");
    writer.freeze();

    // A busy database is not waited for here at all: one attempt must do.
    let impatient = Store::open(config_at(fixture.path(), Duration::ZERO)).unwrap();
    for store in [&fixture.store, &impatient] {
        let listed = store.list().unwrap();
        assert_eq!(listed.len(), 1);
        let snapshot = store.snapshot(&id).unwrap();
        assert_eq!(snapshot.record().unwrap().status(), Status::Configured);
        assert_eq!(store.resolve(&"web".parse().unwrap()).unwrap(), id);
        assert!(store.runs(&id).unwrap().is_empty());
    }
    let error = create(&impatient, &ContainerId::generate().unwrap(), "db").unwrap_err();
    assert!(matches!(error, StateError::Busy { .. }), "{error:?}");
    assert!(error.to_string().contains("state.db"), "{error}");

    writer.kill();
    create(&impatient, &ContainerId::generate().unwrap(), "db").unwrap();
    let record = fixture.store.snapshot(&id).unwrap();
    assert_eq!(record.record().unwrap().status(), Status::Configured);
}

#[test]
fn readers_answer_from_a_copy_while_even_they_are_kept_out() {
    let Fixture { directory, store } = Fixture::new();
    let web = ContainerId::generate().unwrap();
    create(&store, &web, "web").unwrap();
    drop(store);
    let blocker = Process::start(Role::Block, directory.path(), "");
    blocker.freeze();

    let store = Store::open(config_at(directory.path(), Duration::ZERO)).unwrap();
    assert_eq!(store.resolve(&"web".parse().unwrap()).unwrap(), web);
    assert_eq!(store.list().unwrap().len(), 1);
    let db = ContainerId::generate().unwrap();
    let error = create(&store, &db, "db").unwrap_err();
    assert!(matches!(error, StateError::Busy { .. }), "{error:?}");
    let left = std::fs::read_dir(directory.path().join("run")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["journal"], "the copy is gone");

    blocker.kill();
    let other = Store::open(config_at(directory.path(), Duration::ZERO)).unwrap();
    create(&other, &db, "db").unwrap();
    assert_eq!(store.list().unwrap().len(), 2, "the copy is left behind");
    create(&store, &ContainerId::generate().unwrap(), "last").unwrap();
}

#[test]
fn nothing_is_lost_between_processes_and_events_have_no_gaps() {
    let fixture = Fixture::new();
    let id = fixture.create("web");
    let processes: Vec<Process> = (0..6)
        .map(|_| Process::start(Role::Save, fixture.path(), id.as_str()))
        .collect();
    for process in processes {
        process.finish(&["done"]);
    }
    let snapshot = fixture.store.snapshot(&id).unwrap();
    assert_eq!(snapshot.record().unwrap().restart_count(), 120);
    let numbers: Vec<u64> = fixture
        .events()
        .iter()
        .map(|event: &Event| event.seq)
        .collect();
    let expected: Vec<u64> = (1..=121).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn a_killed_holder_frees_the_lock() {
    let fixture = Fixture::new();
    let id = fixture.create("web");
    let holder = Process::start(Role::Hold, fixture.path(), id.as_str());

    let error = fixture.store.lock(&id, "stop", now()).unwrap_err();
    let StateError::Busy {
        holder: Some(named),
        ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!((named.pid, named.verb.as_str()), (holder.pid(), "hold"));
    assert!(error.to_string().contains("(hold)"), "{error}");

    // A stopped holder holds on, a killed one does not.
    holder.freeze();
    assert!(fixture.store.lock(&id, "stop", now()).is_err());
    holder.kill();
    fixture
        .store
        .lock(&id, "stop", patience())
        .unwrap()
        .unlock();
}
