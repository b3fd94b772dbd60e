//! Commands that are killed in the middle of their work: whoever takes the lock next finishes or takes back.

use ctr_core::{Container, RemoveMode};
use ctr_events::EventKind;
use ctr_state::{ExitCause, IntentKind, Status};
use ctr_sys::{Child, Signal};

use crate::Test;
use crate::fixture::{Fixture, detached, remove, status, stop_after};
use crate::journal::words;
use crate::processes::{await_poll, end, init_of, monitor_of};

pub(crate) const TESTS: [Test; 10] = [
    ("killed: start, while the runtime creates", start_at_create),
    (
        "killed: start, and the runtime fails to create",
        start_at_failing_create,
    ),
    ("killed: start, while the runtime starts", start_at_start),
    (
        "killed: start, and the program ends at once",
        start_of_short_program,
    ),
    (
        "killed: start, and the runtime fails to start",
        start_at_failing_start,
    ),
    ("killed: start, and the monitor with it", start_and_monitor),
    (
        "killed: start, and the runtime hangs",
        start_at_hanging_create,
    ),
    ("killed: stop", stop),
    (
        "killed: stop, and its time is over",
        stop_whose_time_is_over,
    ),
    ("killed: remove", remove_by_force),
];

/// A start that was killed while the runtime was at `verb`, which goes on afterwards.
fn killed_start<'f>(f: &'f Fixture, verb: &str, cue: &str, words: &[&str]) -> Container<'f> {
    let container = f.create(words);
    f.cue(verb, cue);
    let start = f.command("start", container.id());
    f.await_pause();
    kill(&start);
    f.end_pause();
    f.cue(verb, "");
    container
}

fn kill(command: &Child) {
    command.kill_and_wait().unwrap();
}

/// The record says what was under way, until the lock is taken; then it says nothing.
fn settle(container: &Container<'_>, announced: IntentKind) {
    let snapshot = container.snapshot().unwrap();
    let intent = snapshot.record().unwrap().intent().unwrap().clone();
    assert_eq!(intent.kind, announced);
    let locked = container.lock("test").unwrap();
    assert_eq!(locked.record().intent(), None);
    locked.unlock();
}

/// The start was taken back: as if it had not been tried, but for the ledger.
fn assert_taken_back(f: &Fixture, container: &Container<'_>) {
    assert_eq!(status(container), Status::Configured);
    f.assert_idle(container.id());
    let run = f
        .engine
        .store()
        .exit_of(container.id(), 1)
        .unwrap()
        .unwrap();
    let ended = run.ended.unwrap().cause;
    assert!(matches!(ended, ExitCause::NeverStarted { .. }), "{ended:?}");
    let snapshot = container.snapshot().unwrap();
    let record = snapshot.record().unwrap();
    assert!(
        record.error().unwrap().contains("cut off"),
        "{:?}",
        record.error()
    );
    container.start(detached()).unwrap();
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

fn start_at_create() {
    let f = Fixture::new();
    let container = killed_start(&f, "create", "pause", &[]);
    settle(&container, IntentKind::Init);
    assert_taken_back(&f, &container);
}

fn start_at_failing_create() {
    let f = Fixture::new();
    let container = killed_start(&f, "create", "pause-fail", &[]);
    settle(&container, IntentKind::Init);
    assert_taken_back(&f, &container);
}

fn start_at_start() {
    let f = Fixture::new();
    let container = killed_start(&f, "start", "pause", &[]);
    settle(&container, IntentKind::Start);
    assert_eq!(status(&container), Status::Running);
    assert_eq!(f.journal().words(), "create init start");
    let snapshot = container.snapshot().unwrap();
    assert!(snapshot.record().unwrap().started_ns().is_some());
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn start_of_short_program() {
    let f = Fixture::new();
    let container = killed_start(&f, "start", "pause", &["exit", "6"]);
    // The one that takes the lock next is the cleanup command.
    let events = f.journal().until(EventKind::Cleanup);
    assert_eq!(words(&events), "create init start died cleanup");
    assert_eq!(status(&container), Status::Exited);
    assert_eq!(container.summary().unwrap().exit().unwrap().code(), 6);
    f.assert_idle(container.id());
}

fn start_at_failing_start() {
    let f = Fixture::new();
    let container = killed_start(&f, "start", "pause-fail", &[]);
    settle(&container, IntentKind::Start);
    assert_taken_back(&f, &container);
}

fn start_and_monitor() {
    for signal in [Signal::KILL, Signal::TERM] {
        let f = Fixture::new();
        let container = f.create(&[]);
        f.cue("start", "pause");
        let start = f.command("start", container.id());
        f.await_pause();
        let (monitor, init) = (monitor_of(&container), init_of(&container));
        kill(&start);
        // Its runtime ends with it, or has already gone on: the program was not started either way.
        end(&monitor, Signal::KILL);
        end(&init, signal);
        f.cue("start", "");
        settle(&container, IntentKind::Start);
        assert_taken_back(&f, &container);
    }
}

/// Monitor, helper and runtime are stuck together: all of them are killed.
fn start_at_hanging_create() {
    let f = Fixture::new();
    let container = f.create(&[]);
    f.cue("create", "pause");
    let start = f.command("start", container.id());
    f.await_pause();
    kill(&start);
    f.cue("create", "");
    settle(&container, IntentKind::Init);
    assert_taken_back(&f, &container);
}

fn stop() {
    let f = Fixture::new();
    let container = f.running(&["ignore-term"]);
    let stop = f.command("stop", container.id());
    await_poll(&stop);
    kill(&stop);
    settle(&container, IntentKind::Stop);
    assert_eq!(status(&container), Status::Stopping);
    container.stop(stop_after(0)).unwrap();
    assert_eq!(status(&container), Status::Exited);
    f.assert_idle(container.id());
    // A stop that was killed does not keep a program from ending by itself, either.
    container.start(detached()).unwrap();
    let stop = f.command("stop", container.id());
    await_poll(&stop);
    kill(&stop);
    let mut journal = f.journal();
    journal.news();
    init_of(&container).signal(Signal::USR1).unwrap();
    assert_eq!(words(&journal.until(EventKind::Cleanup)), "died cleanup");
    assert_eq!(status(&container), Status::Exited);
    f.assert_idle(container.id());
}

/// Whoever takes the lock once its time is over does what it would have done.
fn stop_whose_time_is_over() {
    let f = Fixture::new();
    let container = f.running(&["ignore-term"]);
    let stop = f.command("stop", container.id());
    await_poll(&stop);
    kill(&stop);
    settle(&container, IntentKind::Stop);
    assert_eq!(status(&container), Status::Stopping);
    f.edit(container.id(), |record| {
        record.edit().stop_until_ns = Some(1);
    });
    let init = init_of(&container);
    container.lock("test").unwrap().unlock();
    assert!(!init.is_alive());
    f.journal().until(EventKind::Cleanup);
    assert_eq!(status(&container), Status::Exited);
    let exit = container.summary().unwrap().exit().unwrap().clone();
    assert_eq!(exit.code(), 137);
    f.assert_idle(container.id());
}

fn remove_by_force() {
    let f = Fixture::new();
    let container = f.running(&["ignore-term"]);
    let command = f.command("remove", container.id());
    await_poll(&command);
    kill(&command);
    settle(&container, IntentKind::Stop);
    assert_eq!(status(&container), Status::Stopping);
    let request = ctr_core::RemoveRequest {
        timeout_s: Some(0),
        ..remove(RemoveMode::Force)
    };
    container.remove(request).unwrap();
    f.assert_gone(container.id());
}
