//! What restart policies start again, when, and who calls that off.

use ctr_core::{Container, RemoveMode, RestartRequest, Summary};
use ctr_events::EventKind;
use ctr_state::{AutoRemove, RestartPolicy, StartReason, Status, StopReason};
use ctr_sys::Signal;

use crate::Test;
use crate::fixture::{Fixture, detached, generation, record, remove, runs, status, stop_after};
use crate::journal::words;
use crate::processes::{await_cleanups, await_end, await_record, end, init_of, waiter_of};

pub(crate) const TESTS: [Test; 9] = [
    ("policies: on-failure:2 tries three times", on_failure),
    ("policies: an end that calls for no restart", no_restart),
    ("policies: always and unless-stopped until a stop", always),
    ("policies: a signal that asks for the end is obeyed", killed),
    ("policies: the back-off doubles", back_off),
    ("policies: a restart that is to come is seen", seen),
    ("policies: what calls a restart off", called_off),
    (
        "policies: one that goes by itself once no restart is due",
        auto_remove,
    ),
    ("policies: a run in the foreground", foreground),
];

pub(crate) const ON_FAILURE: RestartPolicy = RestartPolicy::OnFailure { retries: None };

pub(crate) fn retries(number: u32) -> RestartPolicy {
    RestartPolicy::OnFailure {
        retries: Some(number),
    }
}

/// Has the next restart by the policy put off by a minute.
pub(crate) fn put_off(f: &Fixture, container: &Container<'_>) {
    f.edit(container.id(), |record| record.edit().backoff_ms = 40_000);
}

/// A container that waits for its restart, for as long as a test takes.
pub(crate) fn waiting(
    f: &Fixture,
    change: impl FnOnce(&mut ctr_core::CreateRequest),
) -> Container<'_> {
    let container = f.created_with(|request| {
        request.restart = ON_FAILURE;
        change(request);
    });
    container.start(detached()).unwrap();
    put_off(f, &container);
    end(&init_of(&container), Signal::USR1);
    waiter_of(&container);
    container
}

/// Has a restart that waits happen now.
pub(crate) fn make_due(f: &Fixture, container: &Container<'_>) {
    f.edit(container.id(), |record| {
        record.edit().restart.as_mut().unwrap().at_ns = 0;
    });
}

pub(crate) fn reasons(container: &Container<'_>) -> Vec<StartReason> {
    let runs = runs(container);
    runs.iter().map(|run| run.start_reason).collect()
}

fn is_pending(container: &Container<'_>) -> bool {
    container.summary().unwrap().restart().is_some()
}

fn on_failure() {
    let f = Fixture::new();
    let mut journal = f.journal();
    let container = f.running_with(retries(2), &["exit", "3"]);
    let mut news = Vec::new();
    for _ in 0..3 {
        news.extend(journal.until(EventKind::Cleanup));
    }
    await_cleanups(&f.engine);
    assert_eq!(
        words(&news),
        "create init start died cleanup restart init start died cleanup restart init start died cleanup"
    );
    assert_eq!(journal.words(), "");
    assert_eq!(status(&container), Status::Exited);
    let last = record(&container);
    assert_eq!((last.restart_count(), last.restart()), (2, None));
    let codes = runs(&container);
    let codes = codes.iter().map(|run| run.ended.as_ref().unwrap().code());
    assert_eq!(codes.collect::<Vec<_>>(), [3, 3, 3]);
    let policy = StartReason::Policy;
    assert_eq!(reasons(&container), [StartReason::User, policy, policy]);
    f.assert_idle(container.id());
}

fn no_restart() {
    for (policy, code) in [
        (ON_FAILURE, "0"),
        (RestartPolicy::No, "3"),
        (RestartPolicy::No, "0"),
    ] {
        let f = Fixture::new();
        let mut journal = f.journal();
        let container = f.running_with(policy, &["exit", code]);
        let news = words(&journal.until(EventKind::Cleanup));
        assert_eq!(news, "create init start died cleanup");
        f.assert_idle(container.id());
        assert!(!is_pending(&container));
        assert_eq!(journal.words(), "", "{policy} after {code}");
        assert_eq!(status(&container), Status::Exited);
    }
}

fn always() {
    for policy in [RestartPolicy::Always, RestartPolicy::UnlessStopped] {
        let f = Fixture::new();
        let container = f.running_with(policy, &[]);
        let mut journal = f.journal();
        journal.until(EventKind::Start);
        // A success is no reason to leave it.
        end(&init_of(&container), Signal::TERM);
        let news = journal.until(EventKind::Start);
        assert_eq!(words(&news), "died cleanup restart init start");
        assert_eq!(news[2].generation(), 2);
        assert_eq!(record(&container).restart_count(), 1);
        container.stop(stop_after(60)).unwrap();
        f.assert_idle(container.id());
        assert_eq!(status(&container), Status::Exited);
        assert!(!is_pending(&container));
        let runs = runs(&container);
        assert_eq!(runs[0].stop_reason, None);
        assert_eq!(runs[1].stop_reason, Some(StopReason::User));
        // A start by hand counts anew.
        container.start(detached()).unwrap();
        assert_eq!(record(&container).restart_count(), 0);
        container.remove(remove(RemoveMode::Force)).unwrap();
        f.assert_gone(container.id());
    }
}

fn killed() {
    let f = Fixture::new();
    let container = f.running_with(RestartPolicy::Always, &[]);
    let mut journal = f.journal();
    for signal in [Signal::TERM, Signal::KILL] {
        container.kill(signal).unwrap();
        journal.until(EventKind::Cleanup);
        f.assert_idle(container.id());
        assert_eq!(
            (status(&container), is_pending(&container)),
            (Status::Exited, false)
        );
        container.start(detached()).unwrap();
    }
    journal.news();
    // One that asks for nothing of that kind does not count.
    container.kill(Signal::USR1).unwrap();
    let news = words(&journal.until(EventKind::Start));
    assert_eq!(news, "kill died cleanup restart init start");
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn back_off() {
    let f = Fixture::new();
    let container = f.running_with(ON_FAILURE, &[]);
    let mut journal = f.journal();
    let mut put_off = Vec::new();
    for run in 0..5 {
        journal.until(EventKind::Start);
        if run == 3 {
            // As if it had run for long enough to begin anew.
            f.edit(container.id(), |record| {
                let started = record.edit().started_ns.as_mut().unwrap();
                *started -= 11_000_000_000;
            });
        }
        end(&init_of(&container), Signal::USR1);
        journal.until(EventKind::Cleanup);
        put_off.push(record(&container).facts().backoff_ms);
    }
    assert_eq!(put_off, [100, 200, 400, 100, 200]);
    journal.until(EventKind::Start);
    assert_eq!(record(&container).restart_count(), 5);
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn seen() {
    let f = Fixture::new();
    let container = waiting(&f, |_| {});
    let waiter = waiter_of(&container);
    let summary = container.summary().unwrap();
    let pending = summary.restart().unwrap();
    assert_eq!(pending.reason, StartReason::Policy);
    assert_eq!(pending.owner, Some(waiter.stamp()));
    let ended_ns = summary.exit().unwrap().finished_ns;
    assert!(pending.at_ns >= ended_ns + 60_000_000_000, "{pending:?}");
    assert_eq!(summary.status(), Some(Status::Exited));
    let listed = f.engine.list().unwrap();
    assert!(
        listed
            .iter()
            .all(|summary| Summary::restart(summary).is_some())
    );
    // Looking, and taking the lock, change nothing of it.
    container.lock("test").unwrap().unlock();
    assert_eq!(record(&container).restart(), Some(pending));
    make_due(&f, &container);
    f.journal().until(EventKind::Restart);
    await_record(&container, |record| record.status() == Status::Running);
    await_end(&waiter);
    assert!(!is_pending(&container));
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn called_off() {
    for name in ["stop", "start", "restart", "rm"] {
        let f = Fixture::new();
        let container = waiting(&f, |_| {});
        let waiter = waiter_of(&container);
        let mut journal = f.journal();
        journal.news();
        match name {
            "stop" => {
                container.stop(stop_after(60)).unwrap();
            }
            "start" => drop(container.start(detached()).unwrap()),
            "restart" => {
                let request = RestartRequest { timeout_s: None };
                container.restart(request).unwrap();
            }
            _ => drop(container.remove(remove(RemoveMode::Normal)).unwrap()),
        }
        await_end(&waiter);
        let expected = match name {
            "stop" => "",
            "start" => "init start",
            "restart" => "restart init start",
            _ => "remove",
        };
        assert_eq!(journal.words(), expected, "{name}");
        if name != "rm" {
            assert!(!is_pending(&container), "{name}");
            let last = if name == "stop" { 1 } else { 2 };
            let now = (generation(&container), record(&container).restart_count());
            assert_eq!(now, (last, 0), "{name}");
            container.remove(remove(RemoveMode::Force)).unwrap();
        }
        f.assert_gone(container.id());
    }
}

fn auto_remove() {
    let f = Fixture::new();
    let mut journal = f.journal();
    let container = f.created_with(|request| {
        request.auto_remove = AutoRemove::Yes;
        request.restart = retries(1);
        request.command = ["/program", "exit", "3"].map(str::to_owned).into();
    });
    container.start(detached()).unwrap();
    let news = words(&journal.until(EventKind::Remove));
    assert_eq!(
        news,
        "create init start died cleanup restart init start died remove"
    );
    f.assert_gone(container.id());
    // As long as it waits, it stays; once nothing is to come, it goes.
    let container = waiting(&f, |request| request.auto_remove = AutoRemove::Yes);
    let waiter = waiter_of(&container);
    container.lock("test").unwrap().unlock();
    assert!(is_pending(&container));
    container.stop(stop_after(60)).unwrap();
    await_end(&waiter);
    f.assert_gone(container.id());
}

fn foreground() {
    let f = Fixture::new();
    let container = f.created_with(|request| {
        request.restart = RestartPolicy::Always;
        request.command = ["/program", "exit", "4"].map(str::to_owned).into();
    });
    let (end, ..) = crate::verbs::session(container.start(crate::verbs::attached()).unwrap());
    crate::verbs::assert_code(end, 4);
    // The session was about its run; the next one is in the background.
    let mut journal = f.journal();
    let news = words(&journal.until(EventKind::Restart));
    assert_eq!(news, "create init start attach died cleanup restart");
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}
