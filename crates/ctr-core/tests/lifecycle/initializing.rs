//! Containers that are made in their runtime and wait to be started.

use ctr_core::{
    AfterCleanup, CleanupRequest, CleanupScope, Container, EngineError, RemoveMode, Started,
};
use ctr_events::EventKind;
use ctr_state::{AutoRemove, ExitCause, StartReason, Status};
use ctr_sys::Signal;

use crate::Test;
use crate::fixture::{Fixture, detached, generation, record, remove, runs, status, stop_after};
use crate::journal::words;
use crate::policies::reasons;
use crate::processes::{end, init_of, lose_monitor, monitor_of};

pub(crate) const TESTS: [Test; 10] = [
    ("initializing: it is made, waits, and is started", start),
    ("initializing: a first one is cleaned up", cleaned_up),
    (
        "initializing: one that has run before is cleaned up",
        taken_back,
    ),
    (
        "initializing: after a run that nobody cleaned up after",
        stopped,
    ),
    ("initializing: a stop", stop),
    (
        "initializing: the program ends, or is killed, before it is started",
        ends,
    ),
    ("initializing: a runtime that fails", failing),
    ("initializing: one that goes by itself", auto_remove),
    (
        "initializing: the command that starts it is killed",
        killed_start,
    ),
    ("initializing: its monitor is lost", lost_monitor),
];

const ALL: CleanupRequest = CleanupRequest {
    scope: CleanupScope::All,
    ..CleanupRequest::ENDED
};

fn wrong_status(error: &EngineError) {
    assert!(matches!(error, EngineError::WrongStatus { .. }), "{error}");
}

fn initialized(f: &Fixture) -> Container<'_> {
    let container = f.create(&[]);
    container.init().unwrap();
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Created, 1)
    );
    container
}

fn start() {
    let f = Fixture::new();
    let mut journal = f.journal();
    let container = initialized(&f);
    assert_eq!(journal.words(), "create init");
    let (init, monitor) = (init_of(&container).stamp(), monitor_of(&container).stamp());
    assert_eq!(record(&container).started_ns(), None);
    wrong_status(&container.init().unwrap_err());
    wrong_status(&container.kill(Signal::TERM).unwrap_err());
    wrong_status(&container.pause().unwrap_err());
    // A cleanup after runs that have ended leaves it alone.
    wrong_status(&container.cleanup(CleanupRequest::ENDED).unwrap_err());
    // Whoever takes the lock does, too.
    container.lock("test").unwrap().unlock();
    assert!(matches!(
        container.start(detached()).unwrap(),
        Started::Detached
    ));
    assert_eq!(journal.words(), "start");
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Running, 1)
    );
    assert_eq!(
        (init_of(&container).stamp(), monitor_of(&container).stamp()),
        (init, monitor)
    );
    assert!(record(&container).started_ns().is_some());
    assert_eq!(reasons(&container), [StartReason::User]);
    wrong_status(&container.init().unwrap_err());
    end(&init_of(&container), Signal::USR1);
    journal.until(EventKind::Cleanup);
    f.assert_idle(container.id());
    // And again, after a run.
    container.init().unwrap();
    container.start(detached()).unwrap();
    assert_eq!(
        (generation(&container), journal.words().as_str()),
        (2, "init start")
    );
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

fn assert_never_started(container: &Container<'_>) {
    let run = runs(container).pop().unwrap();
    let cause = run.ended.unwrap().cause;
    assert!(matches!(cause, ExitCause::NeverStarted { .. }), "{cause:?}");
    assert_eq!(run.started_ns, None);
}

fn cleaned_up() {
    let f = Fixture::new();
    let container = initialized(&f);
    let mut journal = f.journal();
    journal.news();
    container.cleanup(ALL).unwrap();
    assert_eq!(
        (status(&container), journal.words().as_str()),
        (Status::Configured, "cleanup")
    );
    assert_never_started(&container);
    f.assert_idle(container.id());
    // Nothing is left to do.
    container.cleanup(ALL).unwrap();
    assert_eq!(journal.words(), "");
    // Another run than the one that it is about is left alone.
    container.init().unwrap();
    let other = CleanupRequest {
        generation: Some(1),
        ..ALL
    };
    container.cleanup(other).unwrap();
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Created, 2)
    );
    container.remove(remove(RemoveMode::Normal)).unwrap();
    f.assert_gone(container.id());
}

fn taken_back() {
    let f = Fixture::new();
    let container = f.running(&[]);
    container.stop(stop_after(60)).unwrap();
    container.init().unwrap();
    container.cleanup(ALL).unwrap();
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Exited, 2)
    );
    assert_never_started(&container);
    f.assert_idle(container.id());
    container.init().unwrap();
    let remove_too = CleanupRequest {
        removal: AfterCleanup::Remove,
        ..ALL
    };
    container.cleanup(remove_too).unwrap();
    f.assert_gone(container.id());
}

fn stopped() {
    let f = Fixture::new();
    let container = f.running(&[]);
    lose_monitor(&container);
    end(&init_of(&container), Signal::KILL);
    let mut journal = f.journal();
    journal.news();
    container.init().unwrap();
    assert_eq!(journal.words(), "died cleanup init");
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Created, 2)
    );
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

fn stop() {
    let f = Fixture::new();
    let container = initialized(&f);
    let mut journal = f.journal();
    journal.news();
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
    let news = journal.words();
    let expected = ["died stop cleanup", "died cleanup stop"];
    assert!(expected.contains(&news.as_str()), "{news}");
    assert_eq!(status(&container), Status::Exited);
    // It has never run, so nothing starts it by itself.
    assert!(f.engine.boot().unwrap().is_empty());
}

fn ends() {
    for signal in [Signal::TERM, Signal::KILL] {
        let f = Fixture::new();
        let container = initialized(&f);
        let mut journal = f.journal();
        journal.news();
        end(&init_of(&container), signal);
        assert_eq!(words(&journal.until(EventKind::Cleanup)), "died cleanup");
        assert_eq!(status(&container), Status::Exited);
        f.assert_idle(container.id());
        container.start(detached()).unwrap();
        assert_eq!(generation(&container), 2);
        container.remove(remove(RemoveMode::Force)).unwrap();
        f.assert_gone(container.id());
    }
}

fn failing() {
    let f = Fixture::new();
    let container = f.create(&[]);
    for cue in ["fail", "fail-late", "no-pid-file"] {
        f.cue("create", cue);
        container.init().unwrap_err();
        assert_eq!(status(&container), Status::Configured, "{cue}");
        assert_never_started(&container);
        f.assert_idle(container.id());
    }
    f.cue("create", "");
    container.init().unwrap();
    // What was made is given back when it cannot be started.
    f.cue("start", "fail");
    container.start(detached()).unwrap_err();
    f.cue("start", "");
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Configured, 4)
    );
    f.assert_idle(container.id());
    container.start(detached()).unwrap();
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

fn auto_remove() {
    let f = Fixture::new();
    let container = f.created_with(|request| request.auto_remove = AutoRemove::Yes);
    container.init().unwrap();
    container.lock("test").unwrap().unlock();
    assert_eq!(status(&container), Status::Created);
    // Back to what it was: it has not had its run yet.
    container.cleanup(ALL).unwrap();
    container.lock("test").unwrap().unlock();
    assert_eq!(status(&container), Status::Configured);
    container.init().unwrap();
    container.start(detached()).unwrap();
    end(&init_of(&container), Signal::USR1);
    f.journal().until(EventKind::Remove);
    f.assert_gone(container.id());
}

fn killed_start() {
    for cue in ["pause", "pause-fail"] {
        let f = Fixture::new();
        let container = initialized(&f);
        f.cue("start", cue);
        let command = f.command("start", container.id());
        f.await_pause();
        command.kill_and_wait().unwrap();
        f.end_pause();
        f.cue("start", "");
        container.lock("test").unwrap().unlock();
        assert_eq!(record(&container).intent(), None);
        // As far as the runtime got, or back to where it was.
        let (at, events) = if cue == "pause" {
            (Status::Running, "create init start")
        } else {
            (Status::Configured, "create init cleanup")
        };
        assert_eq!(
            (status(&container), f.journal().words().as_str()),
            (at, events)
        );
        container.remove(remove(RemoveMode::Force)).unwrap();
        f.assert_gone(container.id());
    }
}

fn lost_monitor() {
    let f = Fixture::new();
    let container = initialized(&f);
    let init = init_of(&container);
    lose_monitor(&container);
    assert_eq!(status(&container), Status::Created);
    let mut journal = f.journal();
    journal.news();
    // Another monitor starts it.
    container.start(detached()).unwrap();
    assert!(init.is_alive());
    assert_eq!(journal.words(), "start");
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Running, 1)
    );
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}
