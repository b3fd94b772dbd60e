//! Stops that meet: an exit, another stop, a kill, a removal.

use ctr_core::{Container, RemoveMode, StopOutcome};
use ctr_events::EventKind;
use ctr_state::{AutoRemove, ExitCause, Status};
use ctr_sys::{Child, ExitStatus, Signal};

use crate::Test;
use crate::fake::USR1_CODE;
use crate::fixture::{Fixture, remove, status, stop_after};
use crate::journal::Journal;
use crate::processes::{await_cleanups, await_poll, end, init_of, monitor_of};

pub(crate) const TESTS: [Test; 7] = [
    ("stopping: one that does not obey", disobedience),
    (
        "stopping: the program ends while it is asked",
        exit_meets_stop,
    ),
    ("stopping: a second stop joins the first", second_stop),
    ("stopping: two patient stops and an exit", two_patient_stops),
    ("stopping: a kill ends a stop", kill_meets_stop),
    ("stopping: a removal ends a stop", removal_meets_stop),
    (
        "stopping: the program ends before the stop looks",
        exit_before_stop,
    ),
];

/// A container that ignores SIGTERM, and a stop that waits for it in a process of its own.
fn stopping(f: &Fixture) -> (Container<'_>, Child) {
    let container = f.running(&["ignore-term"]);
    let stop = f.command("stop", container.id());
    await_poll(&stop);
    assert_eq!(status(&container), Status::Stopping);
    (container, stop)
}

/// How often something has happened, however it was ordered.
fn count(journal: &mut Journal, kind: EventKind) -> usize {
    let news = journal.news();
    news.iter().filter(|event| event.kind() == kind).count()
}

fn assert_success(command: &Child) {
    assert_eq!(command.wait().unwrap(), ExitStatus::Exited(0));
}

fn cause(container: &Container<'_>) -> ExitCause {
    container.summary().unwrap().exit().unwrap().cause.clone()
}

fn disobedience() {
    let f = Fixture::new();
    let container = f.running(&["ignore-term"]);
    // No second is long enough for one that never obeys.
    let outcome = container.stop(stop_after(1)).unwrap();
    let signal = Signal::TERM;
    assert_eq!(
        outcome,
        StopOutcome::Killed {
            signal,
            waited_s: 1
        }
    );
    let signal = Signal::KILL;
    assert_eq!(cause(&container), ExitCause::Signaled { signal });
    f.assert_idle(container.id());
}

fn exit_meets_stop() {
    let f = Fixture::new();
    let (container, stop) = stopping(&f);
    init_of(&container).signal(Signal::USR1).unwrap();
    assert_success(&stop);
    assert_eq!(cause(&container), ExitCause::Exited { code: USR1_CODE });
    assert_eq!(status(&container), Status::Exited);
    assert_eq!(count(&mut f.journal(), EventKind::Stop), 1);
    f.assert_idle(container.id());
}

fn second_stop() {
    let f = Fixture::new();
    let (container, first) = stopping(&f);
    let outcome = container.stop(stop_after(0)).unwrap();
    assert_eq!(outcome, StopOutcome::Stopped);
    assert_success(&first);
    assert_eq!(status(&container), Status::Exited);
    let mut journal = f.journal();
    assert_eq!(count(&mut journal, EventKind::Stop), 1);
    assert_eq!(
        container.stop(stop_after(0)).unwrap(),
        StopOutcome::AlreadyStopped
    );
    assert_eq!(count(&mut journal, EventKind::Stop), 0);
    f.assert_idle(container.id());
}

fn two_patient_stops() {
    let f = Fixture::new();
    let (container, first) = stopping(&f);
    let second = f.command("stop", container.id());
    await_poll(&second);
    init_of(&container).signal(Signal::USR1).unwrap();
    assert_success(&first);
    assert_success(&second);
    let mut journal = f.journal();
    let news = journal.news();
    for kind in [EventKind::Died, EventKind::Stop, EventKind::Cleanup] {
        assert_eq!(
            news.iter().filter(|event| event.kind() == kind).count(),
            1,
            "{kind}"
        );
    }
    f.assert_idle(container.id());
}

fn kill_meets_stop() {
    let f = Fixture::new();
    let (container, stop) = stopping(&f);
    container.kill(Signal::KILL).unwrap();
    assert_success(&stop);
    await_cleanups(&f.engine);
    let mut journal = f.journal();
    let news = journal.news();
    for kind in [
        EventKind::Kill,
        EventKind::Died,
        EventKind::Stop,
        EventKind::Cleanup,
    ] {
        assert_eq!(
            news.iter().filter(|event| event.kind() == kind).count(),
            1,
            "{kind}"
        );
    }
    f.assert_idle(container.id());
}

fn removal_meets_stop() {
    for auto_remove in [AutoRemove::No, AutoRemove::Yes] {
        let f = Fixture::new();
        let container = f.created_with(|request| {
            request.auto_remove = auto_remove;
            request.command.push("ignore-term".to_owned());
        });
        container.start(crate::fixture::detached()).unwrap();
        let stop = f.command("stop", container.id());
        await_poll(&stop);
        let request = ctr_core::RemoveRequest {
            timeout_s: Some(0),
            ..remove(RemoveMode::Force)
        };
        container.remove(request).unwrap();
        assert_success(&stop);
        f.assert_gone(container.id());
        let mut journal = f.journal();
        let news = journal.news();
        let count = |kind| news.iter().filter(|event| event.kind() == kind).count();
        assert_eq!((count(EventKind::Died), count(EventKind::Remove)), (1, 1));
        assert!(count(EventKind::Stop) <= 1);
    }
}

/// The program has ended and its monitor, stopped, has not seen it yet.
fn exit_before_stop() {
    for verb in ["stop", "remove"] {
        let f = Fixture::new();
        let container = f.running(&[]);
        let monitor = monitor_of(&container);
        monitor.signal(Signal::STOP).unwrap();
        end(&init_of(&container), Signal::USR1);
        let command = f.command(verb, container.id());
        await_poll(&command);
        monitor.signal(Signal::CONT).unwrap();
        assert_success(&command);
        let run = f
            .engine
            .store()
            .exit_of(container.id(), 1)
            .unwrap()
            .unwrap();
        assert_eq!(
            run.ended.unwrap().cause,
            ExitCause::Exited { code: USR1_CODE }
        );
        f.assert_idle(container.id());
        if verb == "remove" {
            f.assert_gone(container.id());
        }
    }
}
