//! Every verb when all is well, and what it leaves in the journal.

use std::os::fd::AsFd;

use ctr_core::{
    Attach, CleanupRequest, EngineError, RemoveMode, SessionEnd, SessionIo, SignalProxy,
    StartRequest, Started, StopOutcome,
};
use ctr_events::EventKind;
use ctr_exec::DetachKeys;
use ctr_state::{AutoRemove, ExitCause, StartReason, StateError, Status};
use ctr_sys::Signal;

use crate::Test;
use crate::fake::{USR1_CODE, read_all};
use crate::fixture::{Fixture, detached, generation, remove, status, stop_after};
use crate::journal::words;
use crate::processes::{end, init_of, monitor_of};
use crate::roles::patient_stop;

pub(crate) const TESTS: [Test; 9] = [
    ("verbs: create and remove", create_and_remove),
    ("verbs: an attached run", attached_run),
    (
        "verbs: an attached run that removes itself",
        attached_auto_remove,
    ),
    ("verbs: a detached run cleans up after itself", detached_run),
    (
        "verbs: a detached run that removes itself",
        detached_auto_remove,
    ),
    ("verbs: create and start under one lock", run),
    ("verbs: stop, start again, remove by force", stop_and_start),
    ("verbs: kill", kill),
    ("verbs: refusals change nothing", refusals),
];

fn create_and_remove() {
    let f = Fixture::new();
    let mut journal = f.journal();
    let container = f.created_with(|request| request.cid_file = Some(f.path("cid")));
    assert_eq!(journal.words(), "create");
    assert_eq!(status(&container), Status::Configured);
    let cid = std::fs::read_to_string(f.path("cid")).unwrap();
    assert_eq!(cid, container.id().as_str());
    container.cleanup(CleanupRequest::ENDED).unwrap();
    container.remove(remove(RemoveMode::Normal)).unwrap();
    assert_eq!(journal.words(), "remove");
    assert!(!f.path("cid").exists());
    f.assert_gone(container.id());
}

/// Runs a session to its end; what the container wrote to its two streams.
pub(crate) fn session(started: Started<'_>) -> (SessionEnd, String, String) {
    let Started::Attached(session) = started else {
        panic!("not attached: {started:?}");
    };
    let (stdout, stdout_end) = rustix::pipe::pipe().unwrap();
    let (stderr, stderr_end) = rustix::pipe::pipe().unwrap();
    let io = SessionIo {
        stdin: None,
        stdout: Some(stdout_end.as_fd()),
        stderr: Some(stderr_end.as_fd()),
        signals: None,
        proxy: SignalProxy::ToContainer,
        detach_keys: DetachKeys::none(),
    };
    let end = session.run(io).unwrap();
    drop((stdout_end, stderr_end));
    (end, read_all(stdout), read_all(stderr))
}

pub(crate) fn attached() -> StartRequest<'static> {
    StartRequest {
        attach: Attach::Streams { window: None },
        streams: None,
        reason: StartReason::User,
    }
}

pub(crate) fn assert_code(end: SessionEnd, code: i32) {
    let SessionEnd::Exited(exit) = end else {
        panic!("detached");
    };
    assert_eq!(
        (exit.cause.clone(), exit.code()),
        (ExitCause::Exited { code }, code)
    );
}

fn attached_run() {
    let f = Fixture::new();
    let mut journal = f.journal();
    let container = f.created_with(|request| {
        request.command = ["/program", "print", "exit", "4"].map(str::to_owned).into();
        request.pid_file = Some(f.path("pid"));
    });
    let (end, stdout, stderr) = session(container.start(attached()).unwrap());
    assert_code(end, 4);
    assert_eq!(
        (stdout.as_str(), stderr.as_str()),
        ("to stdout\n", "to stderr\n")
    );
    let events = journal.news();
    assert_eq!(words(&events), "create init start attach died cleanup");
    let generations: Vec<u64> = events.iter().map(ctr_events::Event::generation).collect();
    assert_eq!(generations, [0, 1, 1, 1, 1, 1]);
    assert_eq!(events[4].attributes()["containerExitCode"], "4");
    assert_eq!(status(&container), Status::Exited);
    f.assert_idle(container.id());
    let run = &f.engine.store().runs(container.id()).unwrap()[0];
    assert!(
        run.started_ns.is_some() && run.ended_by.is_none(),
        "{run:?}"
    );
    assert_eq!(run.ended.as_ref().unwrap().code(), 4);
    // The next run begins a new generation, and the file with the pid goes with the container.
    container.start(attached()).map(session).unwrap();
    assert_eq!(journal.words(), "init start attach died cleanup");
    assert_eq!(generation(&container), 2);
    assert!(f.path("pid").exists());
    container.remove(remove(RemoveMode::Normal)).unwrap();
    assert!(!f.path("pid").exists());
    f.assert_gone(container.id());
}

fn attached_auto_remove() {
    let f = Fixture::new();
    let mut journal = f.journal();
    let container = f.created_with(|request| {
        request.auto_remove = AutoRemove::Yes;
        request.command = ["/program", "exit", "5"].map(str::to_owned).into();
    });
    let (end, ..) = session(container.start(attached()).unwrap());
    assert_code(end, 5);
    let events = journal.news();
    assert_eq!(words(&events), "create init start attach died remove");
    assert_eq!(events[5].attributes()["containerExitCode"], "5");
    f.assert_gone(container.id());
    let run = f
        .engine
        .store()
        .exit_of(container.id(), 1)
        .unwrap()
        .unwrap();
    assert_eq!(run.ended.unwrap().code(), 5);
}

fn detached_run() {
    let f = Fixture::new();
    let mut journal = f.journal();
    let container = f.running(&[]);
    assert_eq!(journal.words(), "create init start");
    assert_eq!(status(&container), Status::Running);
    let monitor = monitor_of(&container);
    end(&init_of(&container), Signal::USR1);
    let events = journal.until(EventKind::Cleanup);
    assert_eq!(words(&events), "died cleanup");
    assert_eq!(
        events[0].attributes()["containerExitCode"],
        USR1_CODE.to_string()
    );
    assert!(monitor.wait(ctr_sys::Deadline::never()).unwrap());
    assert_eq!(status(&container), Status::Exited);
    f.assert_idle(container.id());
    assert_eq!(journal.words(), "");
}

fn detached_auto_remove() {
    let f = Fixture::new();
    let mut journal = f.journal();
    let container = f.created_with(|request| request.auto_remove = AutoRemove::Yes);
    container.start(detached()).unwrap();
    end(&init_of(&container), Signal::USR1);
    let events = journal.until(EventKind::Remove);
    assert_eq!(words(&events), "create init start died remove");
    f.assert_gone(container.id());
}

fn run() {
    let f = Fixture::new();
    let (container, started) = f.engine.run(f.request(&[]), detached()).unwrap();
    assert!(matches!(started.unwrap(), Started::Detached));
    assert_eq!(f.journal().words(), "create init start");
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn stop_and_start() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let mut journal = f.journal();
    journal.news();
    assert_eq!(
        container.stop(patient_stop()).unwrap(),
        StopOutcome::Stopped
    );
    let news = journal.words();
    // The cleanup is the stop's, or that of the command that the monitor has started.
    assert!(
        ["died stop cleanup", "died cleanup stop"].contains(&news.as_str()),
        "{news}"
    );
    let exit = container.summary().unwrap().exit().unwrap().clone();
    assert_eq!(exit.cause, ExitCause::Exited { code: 0 });
    let ended_by = f
        .engine
        .store()
        .exit_of(container.id(), 1)
        .unwrap()
        .unwrap()
        .ended_by;
    assert_eq!(ended_by.unwrap().program, "lifecycle");
    f.assert_idle(container.id());
    assert_eq!(
        container.stop(patient_stop()).unwrap(),
        StopOutcome::AlreadyStopped
    );
    assert_eq!(journal.words(), "");
    assert!(matches!(
        container.start(detached()).unwrap(),
        Started::Detached
    ));
    assert!(matches!(
        container.start(detached()).unwrap(),
        Started::Already
    ));
    assert_eq!(journal.words(), "init start");
    container.remove(remove(RemoveMode::Force)).unwrap();
    let news = journal.words();
    assert_eq!(news.replace("cleanup ", ""), "died stop remove");
    f.assert_gone(container.id());
}

fn kill() {
    let f = Fixture::new();
    let mut journal = f.journal();
    let container = f.running(&["ignore-term"]);
    container.kill(Signal::TERM).unwrap();
    let events = journal.until(EventKind::Kill);
    assert_eq!(events.last().unwrap().attributes()["signal"], "15");
    assert_eq!(status(&container), Status::Running);
    let stopped = container.stop(stop_after(0)).unwrap();
    // Nobody was asked first, so nobody disobeyed.
    assert_eq!(stopped, StopOutcome::Stopped);
    container.start(detached()).unwrap();
    journal.news();
    container.kill(Signal::KILL).unwrap();
    let exit = container.summary().unwrap().exit().unwrap().clone();
    let signal = Signal::KILL;
    assert_eq!(
        (exit.cause.clone(), exit.code()),
        (ExitCause::Signaled { signal }, 137)
    );
    assert_eq!(
        words(&journal.until(EventKind::Cleanup)),
        "kill died cleanup"
    );
    f.assert_idle(container.id());
}

fn refusals() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let mut journal = f.journal();
    journal.news();
    let taken = f.engine.create(f.request(&[])).unwrap_err();
    assert!(
        matches!(taken, EngineError::State(StateError::NameInUse { .. })),
        "{taken}"
    );
    let wrong = |error: EngineError| {
        assert!(matches!(error, EngineError::WrongStatus { .. }), "{error}");
    };
    wrong(container.remove(remove(RemoveMode::Normal)).unwrap_err());
    let cleanup = CleanupRequest::ENDED;
    wrong(container.cleanup(cleanup).unwrap_err());
    let other_run = CleanupRequest {
        generation: Some(7),
        ..CleanupRequest::ENDED
    };
    container.cleanup(other_run).unwrap();
    assert_eq!(
        (status(&container), journal.words()),
        (Status::Running, String::new())
    );
    container.stop(patient_stop()).unwrap();
    journal.news();
    wrong(container.kill(Signal::KILL).unwrap_err());
    wrong(container.kill(Signal::TERM).unwrap_err());
    assert_eq!(
        (status(&container), journal.words()),
        (Status::Exited, String::new())
    );
    f.assert_idle(container.id());
}
