//! Containers whose monitor was killed.

use ctr_core::{Container, MonitorState, RemoveMode, StopOutcome};
use ctr_state::{ExitCause, Status};
use ctr_sys::Signal;

use crate::Test;
use crate::fixture::{Fixture, detached, remove, status, stop_after};
use crate::processes::{end, init_of, monitor_of};

pub(crate) const TESTS: [Test; 6] = [
    ("lost: the program goes on and is stopped", stopped),
    ("lost: the program goes on and is removed", removed),
    ("lost: the program goes on and is killed", killed),
    ("lost: the program ends unseen", unseen_end),
    ("lost: while the container is stopping", while_stopping),
    (
        "lost: a terminated monitor takes the container with it",
        terminated,
    ),
];

/// A container that runs without its monitor.
fn orphan(f: &Fixture) -> Container<'_> {
    let container = f.running(&[]);
    assert_eq!(monitor_state(&container), MonitorState::Present);
    end(&monitor_of(&container), Signal::KILL);
    assert_eq!(status(&container), Status::Running);
    assert_eq!(monitor_state(&container), MonitorState::Lost);
    container
}

fn monitor_state(container: &Container<'_>) -> MonitorState {
    container.summary().unwrap().monitor()
}

/// Nobody knows how it ended, and that is said; never 0.
fn assert_unknown_end(f: &Fixture, container: &Container<'_>) {
    let summary = container.summary().unwrap();
    let exit = summary.exit().unwrap();
    assert_eq!((exit.cause.clone(), exit.code()), (ExitCause::Lost, -1));
    assert!(
        exit.reason.as_ref().unwrap().contains("monitor"),
        "{exit:?}"
    );
    assert_eq!(summary.monitor(), MonitorState::None);
    let run = f
        .engine
        .store()
        .exit_of(container.id(), 1)
        .unwrap()
        .unwrap();
    assert_eq!(run.ended.unwrap().cause, ExitCause::Lost);
}

fn stopped() {
    let f = Fixture::new();
    let container = orphan(&f);
    assert_eq!(
        container.stop(stop_after(60)).unwrap(),
        StopOutcome::Stopped
    );
    assert_unknown_end(&f, &container);
    assert_eq!(status(&container), Status::Exited);
    assert_eq!(f.journal().words(), "create init start died stop cleanup");
    f.assert_idle(container.id());
    container.start(detached()).unwrap();
    assert_eq!(monitor_state(&container), MonitorState::Present);
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn removed() {
    let f = Fixture::new();
    let container = orphan(&f);
    container.remove(remove(RemoveMode::Normal)).unwrap_err();
    assert_eq!(status(&container), Status::Running);
    container.remove(remove(RemoveMode::Force)).unwrap();
    assert_eq!(f.journal().words(), "create init start died stop remove");
    f.assert_gone(container.id());
}

fn killed() {
    let f = Fixture::new();
    let container = orphan(&f);
    container.kill(Signal::KILL).unwrap();
    assert_eq!(status(&container), Status::Stopped);
    assert_unknown_end(&f, &container);
    container.cleanup(ctr_core::CleanupRequest::ENDED).unwrap();
    assert_eq!(f.journal().words(), "create init start kill died cleanup");
    f.assert_idle(container.id());
}

fn unseen_end() {
    let f = Fixture::new();
    let container = orphan(&f);
    // Even the code 0 of a program that obeys is not known to anybody.
    end(&init_of(&container), Signal::TERM);
    assert_eq!(status(&container), Status::Stopped);
    assert_eq!(container.summary().unwrap().exit().unwrap().code(), -1);
    // Nothing was recorded by looking.
    assert_eq!(f.journal().words(), "create init start");
    container.lock("test").unwrap().unlock();
    assert_unknown_end(&f, &container);
    container.start(detached()).unwrap();
    assert_eq!(
        f.journal().words(),
        "create init start died cleanup init start"
    );
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

fn while_stopping() {
    let f = Fixture::new();
    let container = f.running(&["ignore-term"]);
    let monitor = monitor_of(&container);
    let stopping = container.lock("test").unwrap();
    let stopping = stopping.begin_stop(stop_after(0)).unwrap();
    end(&monitor, Signal::KILL);
    let (mut locked, _) = stopping.finish().unwrap();
    assert_eq!(locked.record().status(), Status::Stopped);
    locked.cleanup().unwrap();
    locked.unlock();
    assert_unknown_end(&f, &container);
    f.assert_idle(container.id());
}

/// A signal that asks the monitor to end is meant for the container.
fn terminated() {
    let f = Fixture::new();
    let container = f.running(&[]);
    end(&monitor_of(&container), Signal::TERM);
    f.journal().until(ctr_events::EventKind::Cleanup);
    assert_eq!(container.summary().unwrap().exit().unwrap().code(), 0);
    f.assert_idle(container.id());
}
