//! Restarts that somebody asks for.

use ctr_core::{
    CleanupRequest, CleanupScope, Container, EngineError, RemoveMode, RemoveRequest,
    RestartRequest, Restarted, StopOutcome,
};
use ctr_events::{Event, EventKind};
use ctr_state::{AutoRemove, ExitCause, IntentKind, StartReason, Status, StopReason};
use ctr_sys::{Child, ExitStatus, Signal};

use crate::Test;
use crate::fixture::{Fixture, detached, generation, record, remove, runs, status, stop_after};
use crate::journal::{count, words};
use crate::needing::requires;
use crate::policies::reasons;
use crate::processes::{await_poll, end, init_of, lose_monitor, monitor_of};

pub(crate) const TESTS: [Test; 10] = [
    ("restarting: one that runs", running),
    ("restarting: one that does not run", idle),
    (
        "restarting: one whose end was not cleaned up after",
        stopped,
    ),
    ("restarting: what is refused stays as it is", refused),
    ("restarting: a stop calls it off", stop_meets_restart),
    (
        "restarting: the command is killed before the stop is through",
        killed_in_stop,
    ),
    (
        "restarting: the command is killed between stop and start",
        killed_between,
    ),
    (
        "restarting: the command is killed while the runtime creates",
        killed_in_start,
    ),
    ("restarting: a start that fails", failing_start),
    ("restarting: one that goes by itself stays", auto_remove),
];

const REQUEST: RestartRequest = RestartRequest { timeout_s: None };

/// Each of them once, the restart first, and the start of the new run last.
fn assert_restarted(events: &[Event], stops: usize) {
    let said = words(events);
    assert_eq!(events[0].kind(), EventKind::Restart, "{said}");
    assert_eq!(events.last().unwrap().kind(), EventKind::Start, "{said}");
    for kind in [
        EventKind::Restart,
        EventKind::Died,
        EventKind::Cleanup,
        EventKind::Init,
    ] {
        assert_eq!(count(events, kind), 1, "{said}");
    }
    assert_eq!(count(events, EventKind::Stop), stops, "{said}");
    assert_eq!(events.len(), 5 + stops, "{said}");
}

fn assert_idle_after_stop(f: &Fixture, container: &Container<'_>) {
    assert_eq!(record(container).restart(), None);
    container.stop(stop_after(0)).unwrap();
    f.assert_idle(container.id());
}

fn running() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let mut journal = f.journal();
    journal.news();
    let first = init_of(&container).stamp();
    let restarted = container.restart(REQUEST).unwrap();
    assert_eq!(restarted, Restarted::Stopped(StopOutcome::Stopped));
    assert_restarted(&journal.news(), 1);
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Running, 2)
    );
    assert_ne!(init_of(&container).stamp(), first);
    assert_eq!(
        reasons(&container),
        [StartReason::User, StartReason::Restart]
    );
    let runs = runs(&container);
    assert_eq!(runs[0].stop_reason, Some(StopReason::Restart));
    assert_eq!(runs[0].ended.as_ref().unwrap().code(), 0);
    assert_eq!(runs[1].stop_reason, None);
    assert_idle_after_stop(&f, &container);
    // One that does not obey.
    let container = f.named("other", |request| {
        request.command.push("ignore-term".to_owned());
    });
    container.start(detached()).unwrap();
    let timeout_s = Some(0);
    let restarted = container.restart(RestartRequest { timeout_s }).unwrap();
    assert_eq!(restarted, Restarted::Stopped(StopOutcome::Stopped));
    assert_eq!(generation(&container), 2);
    container.stop(stop_after(0)).unwrap();
    container.remove(remove(RemoveMode::Normal)).unwrap();
    f.assert_gone(container.id());
}

fn idle() {
    let f = Fixture::new();
    let container = f.create(&[]);
    let mut journal = f.journal();
    journal.news();
    assert_eq!(container.restart(REQUEST).unwrap(), Restarted::Started);
    assert_eq!(journal.words(), "restart init start");
    assert_idle_after_stop(&f, &container);
    journal.news();
    assert_eq!(container.restart(REQUEST).unwrap(), Restarted::Started);
    assert_eq!(journal.words(), "restart init start");
    assert_eq!(reasons(&container), [StartReason::Restart; 2]);
    assert_idle_after_stop(&f, &container);
    container.init().unwrap();
    journal.news();
    assert_eq!(container.restart(REQUEST).unwrap(), Restarted::Started);
    assert_eq!(journal.words(), "restart start");
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Running, 3)
    );
    assert_idle_after_stop(&f, &container);
}

fn stopped() {
    let f = Fixture::new();
    let container = f.running(&[]);
    lose_monitor(&container);
    end(&init_of(&container), Signal::KILL);
    let mut journal = f.journal();
    journal.news();
    assert_eq!(container.restart(REQUEST).unwrap(), Restarted::Started);
    assert_eq!(journal.words(), "died cleanup restart init start");
    assert_idle_after_stop(&f, &container);
}

fn refused() {
    let f = Fixture::new();
    let needed = f.named("needed", |_| {});
    let container = f.named("c", requires(&[("needed", "started")]));
    container.start(detached()).unwrap();
    let mut journal = f.journal();
    journal.news();
    let assert_untouched = |error: EngineError, at: Status| {
        assert_eq!(
            (status(&container), generation(&container)),
            (at, 1),
            "{error}"
        );
        assert_eq!(record(&container).restart(), None);
    };
    container.pause().unwrap();
    let error = container.restart(REQUEST).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("cannot restart container c: it is paused since"),
        "{text}"
    );
    assert_untouched(error, Status::Paused);
    container.unpause().unwrap();
    journal.news();
    needed.stop(stop_after(60)).unwrap();
    let error = container.restart(REQUEST).unwrap_err();
    let text = error.to_string();
    assert_eq!(text, "container c needs needed: it is exited, and must run");
    assert_untouched(error, Status::Running);
    assert_eq!(count(&journal.news(), EventKind::Restart), 0);
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

/// A restart, in a process of its own, that waits for a program which does not obey.
fn restarting(f: &Fixture) -> (Container<'_>, Child) {
    let container = f.running(&["ignore-term"]);
    let command = f.command("restart", container.id());
    await_poll(&command);
    assert_eq!(status(&container), Status::Stopping);
    (container, command)
}

fn stop_meets_restart() {
    let f = Fixture::new();
    let (container, command) = restarting(&f);
    let error = container.restart(REQUEST).unwrap_err();
    assert!(matches!(error, EngineError::WrongStatus { .. }), "{error}");
    let outcome = container.stop(stop_after(0)).unwrap();
    assert_eq!(outcome, StopOutcome::Stopped);
    assert_eq!(command.wait().unwrap(), ExitStatus::Exited(1));
    f.assert_idle(container.id());
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Exited, 1)
    );
    assert_eq!(record(&container).restart(), None);
    assert_eq!(record(&container).stop_requested(), Some(StopReason::User));
    let news = f.journal().news();
    let shown = words(&news);
    let kinds = [
        EventKind::Restart,
        EventKind::Died,
        EventKind::Stop,
        EventKind::Cleanup,
    ];
    for kind in kinds {
        assert_eq!(count(&news, kind), 1, "{shown}");
    }
    assert_eq!(news.len(), 7, "{shown}");
}

fn killed_in_stop() {
    let f = Fixture::new();
    let (container, command) = restarting(&f);
    command.kill_and_wait().unwrap();
    let mut journal = f.journal();
    journal.until(EventKind::Start);
    // Whoever looks in between does not call it off.
    container.lock("test").unwrap().unlock();
    init_of(&container).signal(Signal::USR1).unwrap();
    assert_finished_by_cleanup(&f, &container, &journal.until(EventKind::Start));
}

fn assert_finished_by_cleanup(f: &Fixture, container: &Container<'_>, news: &[Event]) {
    assert_restarted(news, 0);
    assert_eq!(
        (status(container), generation(container)),
        (Status::Running, 2)
    );
    assert_eq!(
        reasons(container),
        [StartReason::User, StartReason::Restart]
    );
    assert_idle_after_stop(f, container);
}

fn killed_between() {
    let f = Fixture::new();
    let container = f.running(&["ignore-term"]);
    let monitor = monitor_of(&container);
    let command = f.command("restart", container.id());
    await_poll(&command);
    monitor.signal(Signal::STOP).unwrap();
    end(&init_of(&container), Signal::KILL);
    // The program has ended; the command waits for the monitor to say so.
    command.kill_and_wait().unwrap();
    let mut journal = f.journal();
    journal.until(EventKind::Start);
    monitor.signal(Signal::CONT).unwrap();
    assert_finished_by_cleanup(&f, &container, &journal.until(EventKind::Start));
}

fn killed_in_start() {
    let f = Fixture::new();
    let container = f.running(&[]);
    f.cue("create", "pause");
    let command = f.command("restart", container.id());
    f.await_pause();
    command.kill_and_wait().unwrap();
    f.end_pause();
    f.cue("create", "");
    let intent = record(&container).intent().unwrap().kind;
    assert_eq!(intent, IntentKind::Init);
    container.lock("test").unwrap().unlock();
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Exited, 2)
    );
    let cause = runs(&container)[1].ended.clone().unwrap().cause;
    assert!(matches!(cause, ExitCause::NeverStarted { .. }), "{cause:?}");
    assert_eq!(record(&container).restart(), None);
    f.assert_idle(container.id());
}

/// Nobody tries a second time what the command has told to have failed.
fn failing_start() {
    let f = Fixture::new();
    let container = f.running(&[]);
    f.cue("create", "fail");
    container.restart(REQUEST).unwrap_err();
    f.cue("create", "");
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Exited, 2)
    );
    assert_eq!(record(&container).restart(), None);
    f.assert_idle(container.id());
    container.remove(remove(RemoveMode::Normal)).unwrap();
    // The same when it does not even come to a run.
    let needed = f.named("needed", |_| {});
    let container = f.named("c", |request| {
        requires(&[("needed", "started")])(request);
        request.command.push("ignore-term".to_owned());
    });
    container.start(detached()).unwrap();
    let command = f.command("restart", container.id());
    await_poll(&command);
    needed.stop(stop_after(60)).unwrap();
    end(&init_of(&container), Signal::USR1);
    assert_eq!(command.wait().unwrap(), ExitStatus::Exited(1));
    f.assert_idle(container.id());
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Exited, 1)
    );
    assert_eq!(record(&container).restart(), None);
    // A later one is a restart of its own.
    needed.start(detached()).unwrap();
    let mut journal = f.journal();
    journal.news();
    container.restart(REQUEST).unwrap();
    assert_eq!(journal.words(), "restart init start");
    let at_once = RemoveRequest {
        timeout_s: Some(0),
        ..remove(RemoveMode::Force)
    };
    for container in [container, needed] {
        container.remove(at_once).unwrap();
        f.assert_gone(container.id());
    }
}

fn auto_remove() {
    let f = Fixture::new();
    let container = f.created_with(|request| request.auto_remove = AutoRemove::Yes);
    container.start(detached()).unwrap();
    container.restart(REQUEST).unwrap();
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Running, 2)
    );
    // Its cleanup command, and any other one, sees the new run.
    let all = CleanupRequest {
        generation: Some(1),
        scope: CleanupScope::All,
        ..CleanupRequest::ENDED
    };
    container.cleanup(all).unwrap();
    assert_eq!(status(&container), Status::Running);
    container.stop(stop_after(60)).unwrap();
    f.assert_gone(container.id());
}
