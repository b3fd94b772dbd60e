//! Pauses, and what one does to the other verbs.

use ctr_core::{AttachRequest, Container, EngineError, RemoveMode};
use ctr_events::EventKind;
use ctr_state::{ExitCause, IntentKind, Status, StopReason};
use ctr_sys::{Cgroups, Deadline, ExitStatus, Signal};

use crate::Test;
use crate::fixture::{Fixture, GUARD, detached, record, remove, status, stop_after};
use crate::journal::words;
use crate::processes::{await_cleanups, init_of, lose_monitor};

pub(crate) const TESTS: [Test; 9] = [
    ("pausing: a pause and its end", pause_and_unpause),
    (
        "pausing: a stop is refused and says what is possible",
        stop_refused,
    ),
    ("pausing: what else is refused", refusals),
    ("pausing: a kill ends one that is paused", kill),
    ("pausing: so does a removal by force", remove_by_force),
    ("pausing: a runtime that fails changes nothing", failing),
    ("pausing: a command that is killed", killed),
    ("pausing: one whose monitor was lost", lost),
    ("pausing: nobody comes between the parts of a batch", batch),
];

fn is_frozen(container: &Container<'_>) -> bool {
    let snapshot = container.snapshot().unwrap();
    let group = &snapshot.config().unwrap().cgroup_path;
    Cgroups::detect().unwrap().is_frozen(group).unwrap()
}

/// A container that stands still.
fn paused(f: &Fixture) -> Container<'_> {
    let container = f.running(&[]);
    container.pause().unwrap();
    assert_eq!(
        (status(&container), is_frozen(&container)),
        (Status::Paused, true)
    );
    container
}

/// The error that names the operation and says how it is and since when.
fn refused<T: std::fmt::Debug>(result: Result<T, EngineError>, what: &str) {
    let text = result.unwrap_err().to_string();
    assert!(text.starts_with(&format!("cannot {what} ")), "{text}");
}

fn pause_and_unpause() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let mut journal = f.journal();
    journal.news();
    refused(container.unpause(), "unpause container c: it is running");
    for _ in 0..2 {
        container.pause().unwrap();
        assert_eq!(
            (status(&container), is_frozen(&container)),
            (Status::Paused, true)
        );
        refused(container.pause(), "pause container c: it is paused");
        // Seen by whoever takes the lock, and left as it is.
        container.lock("test").unwrap().unlock();
        container.unpause().unwrap();
        assert_eq!(
            (status(&container), is_frozen(&container)),
            (Status::Running, false)
        );
    }
    assert_eq!(journal.words(), "pause unpause pause unpause");
    assert_eq!(record(&container).intent(), None);
    container.stop(stop_after(60)).unwrap();
    refused(container.pause(), "pause container c: it is exited");
    f.assert_idle(container.id());
}

fn stop_refused() {
    let f = Fixture::new();
    let container = paused(&f);
    let since_ns = record(&container).since_ns().unwrap();
    let text = container.stop(stop_after(60)).unwrap_err().to_string();
    // To the second.
    let since = &ctr_sys::rfc3339(since_ns)[..19];
    let start = format!("cannot stop container c: it is paused since {since}");
    assert!(text.starts_with(&start), "{text}");
    let end = " (possible now: kill, unpause, rename, rm -f)";
    assert!(text.ends_with(end), "{text}");
    assert_eq!(
        (status(&container), is_frozen(&container)),
        (Status::Paused, true)
    );
    // But that somebody wanted it is known to the restart policy.
    assert_eq!(record(&container).stop_requested(), Some(StopReason::User));
    container.unpause().unwrap();
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn refusals() {
    let f = Fixture::new();
    let container = paused(&f);
    let mut journal = f.journal();
    journal.news();
    refused(container.start(detached()), "start");
    refused(container.init(), "initialize");
    refused(container.attach(AttachRequest::now(None)), "attach to");
    refused(
        container.cleanup(ctr_core::CleanupRequest::ENDED),
        "clean up after",
    );
    refused(container.remove(remove(RemoveMode::Normal)), "remove");
    let mut locked = container.lock("test").unwrap();
    refused(locked.cleanup(), "clean up after");
    locked.unlock();
    assert_eq!(
        (status(&container), journal.words()),
        (Status::Paused, String::new())
    );
    assert!(is_frozen(&container));
    // A signal waits until it goes on.
    container.kill(Signal::USR1).unwrap();
    assert_eq!(status(&container), Status::Paused);
    container.unpause().unwrap();
    let news = words(&journal.until(EventKind::Cleanup));
    assert_eq!(news, "kill unpause died cleanup");
    f.assert_idle(container.id());
}

fn kill() {
    let f = Fixture::new();
    let container = paused(&f);
    let mut journal = f.journal();
    journal.news();
    container.kill(Signal::KILL).unwrap();
    assert_eq!(
        words(&journal.until(EventKind::Cleanup)),
        "kill died cleanup"
    );
    let summary = container.summary().unwrap();
    let signal = Signal::KILL;
    assert_eq!(
        summary.exit().unwrap().cause,
        ExitCause::Signaled { signal }
    );
    assert_eq!(status(&container), Status::Exited);
    f.assert_idle(container.id());
    // The next run is not frozen.
    container.start(detached()).unwrap();
    assert!(!is_frozen(&container));
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

fn remove_by_force() {
    let f = Fixture::new();
    let container = paused(&f);
    let mut journal = f.journal();
    journal.news();
    container.remove(remove(RemoveMode::Force)).unwrap();
    let news = journal.words();
    assert_eq!(news.replace("cleanup ", ""), "kill died remove");
    f.assert_gone(container.id());
}

fn failing() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let mut journal = f.journal();
    journal.news();
    f.cue("pause", "fail");
    let error = container.pause().unwrap_err();
    assert!(
        error.to_string().contains("the fake does not pause"),
        "{error}"
    );
    assert_eq!(
        (status(&container), is_frozen(&container)),
        (Status::Running, false)
    );
    f.cue("pause", "");
    container.pause().unwrap();
    f.cue("resume", "fail");
    let error = container.unpause().unwrap_err();
    assert!(
        error.to_string().contains("the fake does not resume"),
        "{error}"
    );
    assert_eq!(
        (status(&container), is_frozen(&container)),
        (Status::Paused, true)
    );
    assert_eq!(record(&container).intent(), None);
    assert_eq!(journal.words(), "pause");
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

/// The kernel knows whether the runtime got that far.
fn killed() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let mut journal = f.journal();
    let expected = [
        ("pause", "pause", IntentKind::Pause, Status::Paused, "pause"),
        (
            "unpause",
            "resume",
            IntentKind::Unpause,
            Status::Running,
            "unpause",
        ),
    ];
    for (verb, in_runtime, kind, at, event) in expected {
        // Before it has done anything, and after.
        for cue in ["pause-fail", "pause-after"] {
            journal.news();
            let before = status(&container);
            f.cue(in_runtime, cue);
            let command = f.command(verb, container.id());
            f.await_pause();
            command.kill_and_wait().unwrap();
            f.end_pause();
            f.cue(in_runtime, "");
            assert_eq!(record(&container).intent().unwrap().kind, kind);
            container.lock("test").unwrap().unlock();
            assert_eq!(record(&container).intent(), None);
            let done = cue == "pause-after";
            let (now, said) = if done { (at, event) } else { (before, "") };
            assert_eq!(
                (status(&container), journal.words().as_str()),
                (now, said),
                "{verb} {cue}"
            );
            assert_eq!(is_frozen(&container), now == Status::Paused);
        }
    }
    await_cleanups(&f.engine);
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn lost() {
    let f = Fixture::new();
    let container = paused(&f);
    lose_monitor(&container);
    assert_eq!(status(&container), Status::Paused);
    container.unpause().unwrap();
    container.pause().unwrap();
    let init = init_of(&container);
    container.kill(Signal::KILL).unwrap();
    assert!(!init.is_alive());
    let summary = container.summary().unwrap();
    let signal = Signal::KILL;
    assert_eq!(
        summary.exit().unwrap().cause,
        ExitCause::Signaled { signal }
    );
    container.remove(remove(RemoveMode::Normal)).unwrap();
    f.assert_gone(container.id());
}

/// Several operations on one guard, and another command that wants the lock all the time.
fn batch() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let mut journal = f.journal();
    journal.news();
    let mut locked = container.lock("batch").unwrap();
    let stop = f.command("stop", container.id());
    for _ in 0..20 {
        locked.pause().unwrap();
        locked.unpause().unwrap();
    }
    locked.rename(&"other".parse().unwrap()).unwrap();
    locked.signal(Signal::WINCH).unwrap();
    locked.unlock();
    let ended = stop.wait_deadline(Deadline::after(GUARD)).unwrap();
    assert_eq!(ended, Some(ExitStatus::Exited(0)));
    let said = words(&journal.until(EventKind::Cleanup));
    let whole = format!("{}rename kill", "pause unpause ".repeat(20));
    assert!(said.starts_with(&whole), "{said}");
    await_cleanups(&f.engine);
    f.assert_idle(container.id());
}
