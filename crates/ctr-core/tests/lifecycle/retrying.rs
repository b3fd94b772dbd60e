//! Restarts whose process is killed, or that fail.

use ctr_core::{Container, RemoveMode};
use ctr_events::EventKind;
use ctr_state::{AutoRemove, ExitCause, RestartPolicy, StartReason, Status};
use ctr_sys::{PidRef, Signal};

use crate::Test;
use crate::fixture::{Fixture, generation, record, remove, runs, status, stop_after};
use crate::journal::{count, words};
use crate::policies::{ON_FAILURE, make_due, reasons, retries, waiting};
use crate::processes::{
    await_children, await_cleanups, await_end, await_record, end, init_of, lose_monitor, waiter_of,
};

pub(crate) const TESTS: [Test; 7] = [
    (
        "retrying: whoever takes the lock sees to it that a killed wait goes on",
        killed_waiter,
    ),
    ("retrying: two that take it over at once", taken_over_twice),
    (
        "retrying: a restart that is killed while the runtime creates",
        killed_start,
    ),
    (
        "retrying: the same of one that goes by itself",
        killed_auto_remove,
    ),
    ("retrying: a runtime that fails", failing_runtime),
    ("retrying: a runtime that works again", recovering_runtime),
    ("retrying: a run whose monitor was lost", lost_monitor),
];

fn never_started(cause: &ExitCause) -> bool {
    matches!(cause, ExitCause::NeverStarted { .. })
}

/// How a run ended.
fn cause(container: &Container<'_>, generation: usize) -> ExitCause {
    runs(container)[generation - 1].ended.clone().unwrap().cause
}

fn killed_waiter() {
    let f = Fixture::new();
    let container = waiting(&f, |_| {});
    let killed = waiter_of(&container);
    let planned = record(&container).restart().unwrap().clone();
    end(&killed, Signal::KILL);
    // Looking alone starts nothing, and says what is to come.
    let summary = container.summary().unwrap();
    assert_eq!(summary.restart(), Some(&planned));
    container.lock("test").unwrap().unlock();
    let record_now = await_record(&container, |record| {
        record.restart().unwrap().owner != planned.owner
    });
    let now = record_now.restart().unwrap();
    assert_eq!((now.at_ns, now.reason), (planned.at_ns, planned.reason));
    let mut journal = f.journal();
    journal.news();
    make_due(&f, &container);
    assert_eq!(
        words(&journal.until(EventKind::Start)),
        "restart init start"
    );
    assert_eq!(generation(&container), 2);
    assert_eq!(record(&container).restart_count(), 1);
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn taken_over_twice() {
    let f = Fixture::new();
    let container = waiting(&f, |_| {});
    end(&waiter_of(&container), Signal::KILL);
    for _ in 0..3 {
        container.lock("test").unwrap().unlock();
    }
    let mut journal = f.journal();
    journal.news();
    await_record(&container, |record| {
        let owner = record.restart().unwrap().owner.unwrap();
        PidRef::open(owner).unwrap().is_some()
    });
    let waiter = waiter_of(&container);
    // Those that came too late have nothing to do.
    await_cleanups(&f.engine);
    assert_eq!(waiter_of(&container).stamp(), waiter.stamp());
    make_due(&f, &container);
    journal.until(EventKind::Start);
    await_end(&waiter);
    assert_eq!(
        (generation(&container), journal.words()),
        (2, String::new())
    );
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

/// A restart by the policy that was killed while the runtime creates the container.
fn cut_off(f: &Fixture, auto_remove: AutoRemove) -> Container<'_> {
    let container = waiting(f, |request| request.auto_remove = auto_remove);
    f.cue("create", "pause");
    make_due(f, &container);
    f.await_pause();
    let owner = record(&container).intent().unwrap().owner;
    end(&PidRef::open(owner).unwrap().unwrap(), Signal::KILL);
    f.end_pause();
    f.cue("create", "");
    container
}

fn killed_start() {
    let f = Fixture::new();
    let container = cut_off(&f, AutoRemove::No);
    container.lock("test").unwrap().unlock();
    // Taken back, and tried again in its time.
    assert!(never_started(&cause(&container, 2)));
    waiter_of(&container);
    make_due(&f, &container);
    await_record(&container, |record| record.status() == Status::Running);
    let policy = StartReason::Policy;
    assert_eq!(reasons(&container), [StartReason::User, policy, policy]);
    assert_eq!(record(&container).restart_count(), 2);
    assert_eq!(count(&f.journal().news(), EventKind::Restart), 2);
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn killed_auto_remove() {
    let f = Fixture::new();
    let container = cut_off(&f, AutoRemove::Yes);
    container.lock("test").unwrap().unlock();
    waiter_of(&container);
    make_due(&f, &container);
    await_record(&container, |record| record.status() == Status::Running);
    container.stop(stop_after(60)).unwrap();
    f.assert_gone(container.id());
}

fn failing_runtime() {
    for (verb, attempt) in [("create", "restart"), ("start", "restart init cleanup")] {
        let f = Fixture::new();
        let container = f.running_with(retries(2), &[]);
        let mut journal = f.journal();
        journal.until(EventKind::Start);
        f.cue(verb, "fail");
        end(&init_of(&container), Signal::USR1);
        journal.until(EventKind::Cleanup);
        await_children(&[]);
        // Each attempt is a run that has been counted, and was put off for longer.
        assert_eq!(journal.words(), format!("{attempt} {attempt}"));
        let policy = StartReason::Policy;
        assert_eq!(reasons(&container), [StartReason::User, policy, policy]);
        assert!(never_started(&cause(&container, 2)) && never_started(&cause(&container, 3)));
        let last = record(&container);
        let facts = (last.restart_count(), last.facts().backoff_ms);
        assert_eq!((facts, last.restart()), ((2, 200), None));
        assert_eq!(status(&container), Status::Exited);
        let refused = format!("the fake does not {verb}");
        assert!(last.error().unwrap().contains(&refused), "{last:?}");
        assert!(f.cleanup_error().contains(&refused));
        f.assert_idle(container.id());
    }
}

fn recovering_runtime() {
    let f = Fixture::new();
    let container = f.running_with(RestartPolicy::Always, &[]);
    f.cue("create", "fail");
    end(&init_of(&container), Signal::USR1);
    await_record(&container, |record| record.restart_count() >= 2);
    f.cue("create", "");
    let running = await_record(&container, |record| record.status() == Status::Running);
    assert!(running.generation() > 2);
    assert!(never_started(&cause(&container, 2)));
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

/// Nobody has started a cleanup command for its end: whoever notices does.
fn lost_monitor() {
    let f = Fixture::new();
    let container = f.running_with(ON_FAILURE, &[]);
    let mut journal = f.journal();
    journal.until(EventKind::Start);
    lose_monitor(&container);
    end(&init_of(&container), Signal::KILL);
    container.lock("test").unwrap().unlock();
    let news = words(&journal.until(EventKind::Start));
    assert_eq!(news, "died cleanup restart init start");
    let signal = Signal::KILL;
    assert_eq!(cause(&container, 1), ExitCause::Signaled { signal });
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}
