//! Containers whose monitor was killed.

use ctr_core::{Container, MonitorState, RemoveMode, StopOutcome};
use ctr_state::{ExitCause, Status};
use ctr_sys::Signal;

use crate::Test;
use crate::fixture::{Fixture, detached, remove, status, stop_after};
use crate::processes::{end, init_of, keeper_of, lose, lose_monitor, monitor_of};

pub(crate) const TESTS: [Test; 8] = [
    ("lost: the program goes on and is stopped", stopped),
    ("lost: the program goes on and is removed", removed),
    ("lost: the program goes on and is killed", killed),
    ("lost: the program ends unseen", unseen_end),
    ("lost: the program ends unseen and is reaped", unknown_end),
    ("lost: the keeper takes over", kept),
    ("lost: while the container is stopping", while_stopping),
    (
        "lost: a terminated monitor takes the container with it",
        terminated,
    ),
];

/// A container that runs without its monitor.
fn orphan(f: &Fixture) -> Container<'_> {
    let container = f.running(&[]);
    assert_present(&container);
    lose_monitor(&container);
    assert_eq!(status(&container), Status::Running);
    assert_eq!(monitor_state(&container), MonitorState::Lost);
    container
}

fn assert_present(container: &Container<'_>) {
    let state = monitor_state(container);
    assert!(matches!(state, MonitorState::Present { .. }), "{state:?}");
}

fn monitor_state(container: &Container<'_>) -> MonitorState {
    container.summary().unwrap().monitor()
}

/// How it ended is known, and that a monitor was lost.
fn assert_end(f: &Fixture, container: &Container<'_>, code: i32) {
    let summary = container.summary().unwrap();
    let exit = summary.exit().unwrap();
    assert_eq!((exit.code(), exit.monitors_lost), (code, 1), "{exit:?}");
    assert_eq!(summary.monitor(), MonitorState::None);
    let run = f
        .engine
        .store()
        .exit_of(container.id(), 1)
        .unwrap()
        .unwrap();
    assert_eq!(run.ended.as_ref(), Some(exit));
}

fn stopped() {
    let f = Fixture::new();
    let container = orphan(&f);
    assert_eq!(
        container.stop(stop_after(60)).unwrap(),
        StopOutcome::Stopped
    );
    // The stop has had another monitor adopt it, which has seen the end.
    assert_end(&f, &container, 0);
    assert_eq!(status(&container), Status::Exited);
    let news = f.journal().words();
    let orders = ["died stop cleanup", "died cleanup stop"];
    let orders = orders.map(|order| format!("create init start {order}"));
    assert!(orders.contains(&news), "{news}");
    f.assert_idle(container.id());
    container.start(detached()).unwrap();
    assert_present(&container);
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn removed() {
    let f = Fixture::new();
    let container = orphan(&f);
    container.remove(remove(RemoveMode::Normal)).unwrap_err();
    assert_eq!(status(&container), Status::Running);
    assert_present(&container);
    container.remove(remove(RemoveMode::Force)).unwrap();
    let news = f.journal().words().replace("cleanup ", "");
    assert_eq!(news, "create init start died stop remove");
    f.assert_gone(container.id());
}

fn killed() {
    let f = Fixture::new();
    let container = orphan(&f);
    container.kill(Signal::KILL).unwrap();
    // The new monitor has it cleaned up, as the old one would have.
    f.journal().until(ctr_events::EventKind::Cleanup);
    assert_eq!(status(&container), Status::Exited);
    assert_end(&f, &container, 137);
    assert_eq!(f.journal().words(), "create init start kill died cleanup");
    f.assert_idle(container.id());
}

/// No monitor sees the end. The kernel still has it, as long as nobody has reaped the process.
fn unseen_end() {
    let f = Fixture::new();
    let container = orphan(&f);
    end(&init_of(&container), Signal::TERM);
    assert_eq!(status(&container), Status::Stopped);
    assert_eq!(container.summary().unwrap().exit().unwrap().code(), 0);
    // Nothing was recorded by looking.
    assert_eq!(f.journal().words(), "create init start");
    container.lock("test").unwrap().unlock();
    assert_end(&f, &container, 0);
    container.start(detached()).unwrap();
    assert_eq!(
        f.journal().words(),
        "create init start died cleanup init start"
    );
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

/// Once it is reaped, nobody knows how it ended, and that is said; never 0.
fn unknown_end() {
    let f = Fixture::new();
    let container = orphan(&f);
    let init = init_of(&container);
    end(&init, Signal::TERM);
    init.reap().unwrap();
    let exit = container.summary().unwrap().exit().unwrap().clone();
    assert_eq!((exit.cause, exit.monitors_lost), (ExitCause::Lost, 1));
    assert!(exit.reason.unwrap().contains("monitor"));
    container.lock("test").unwrap().unlock();
    assert_end(&f, &container, -1);
}

fn while_stopping() {
    let f = Fixture::new();
    let container = f.running(&["ignore-term"]);
    let monitor = monitor_of(&container);
    let stopping = container.lock("test").unwrap();
    let stopping = stopping.begin_stop(stop_after(0)).unwrap();
    lose(&monitor);
    let (mut locked, _) = stopping.finish().unwrap();
    assert_eq!(locked.record().status(), Status::Stopped);
    locked.cleanup().unwrap();
    locked.unlock();
    assert_end(&f, &container, 137);
    f.assert_idle(container.id());
}

/// The keeper is the monitor then, without any command.
fn kept() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let monitor = monitor_of(&container);
    let keeper = keeper_of(&monitor);
    end(&monitor, Signal::KILL);
    // Readers wait for it.
    let MonitorState::Present { pid } = monitor_state(&container) else {
        panic!("nobody has taken its place");
    };
    assert_eq!(pid, keeper.stamp().pid);
    end(&init_of(&container), Signal::TERM);
    f.journal().until(ctr_events::EventKind::Cleanup);
    assert_end(&f, &container, 0);
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
