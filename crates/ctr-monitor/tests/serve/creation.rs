//! How a run begins, and how it is taken back.

use ctr_exec::frames::{self, Frame};
use ctr_monitor::protocol::{Phase, Reply, Request, RuntimeKind, Streams};
use ctr_monitor::{ExitReport, MonitorError, files};
use ctr_oci::FailureKind;
use ctr_sys::{ExitStatus, Liveness, Signal, Sync, replace_file};
use std::os::fd::AsFd;

use crate::Test;
use crate::bench::{
    Bench, GENERATION, ask, ask_bytes, assert_nobody, assert_refused, deadline, is_gone,
    kill_children, send,
};

pub(crate) const TESTS: [Test; 10] = [
    ("creation: another version is refused", other_version),
    ("creation: only a creation comes first", wrong_first_request),
    (
        "creation: its client is lost before the commit",
        creator_lost,
    ),
    (
        "creation: its client is lost after the commit",
        creator_left,
    ),
    (
        "creation: its client is lost before it asks",
        silent_creator,
    ),
    ("creation: its client is lost after it asks", hasty_creator),
    ("creation: a given-up container is killed", abandoned),
    ("creation: one monitor for a run directory", second_monitor),
    ("creation: a runtime that hangs", hanging_runtime),
    ("creation: a runtime that makes no terminal", no_terminal),
];

/// It says that all is well, and nothing came: the container would have no streams at all.
fn no_terminal() {
    let mut bench = Bench::new("exit 0");
    bench.request.streams = Streams::Terminal;
    let forget = bench.request.run_dir.join("no-terminal");
    replace_file(&forget, b"", 0o600, Sync::No).unwrap();
    let (mut client, monitor) = bench.launch();
    let created = client.create(bench.request.clone(), &[], deadline());
    let text = created.unwrap_err().to_string();
    assert!(text.contains("did not set up the terminal"), "{text}");
    drop(client);
    let ended = monitor.wait_deadline(deadline()).unwrap();
    assert_eq!(ended, Some(ExitStatus::Exited(0)));
    // This runtime deletes nothing, so what it made is still there.
    kill_children();
    assert!(!bench.request.run_dir.join("console.sock").exists());
    assert_nobody(&bench);
}

fn other_version() {
    let bench = Bench::new("");
    let (client, monitor) = bench.launch();
    let reply = ask_bytes(&client, br#"{"version":2,"request":"status"}"#);
    assert_refused(reply, "version 2, this monitor speaks version 1");
    assert_eq!(bench.cleanups(&monitor), 0);
    assert!(!bench.request.run_dir.join(files::ALIVE).exists());
    // One that is there stays as it is, and goes on talking to those who can.
    let mut run = bench.committed();
    let other = bench.connect();
    let reply = ask_bytes(&other, br#"{"version":99,"request":"abandon"}"#);
    assert_refused(reply, "version 99");
    assert_refused(
        ask_bytes(&other, br#"{"version":1,"request":"no_such"}"#),
        "no_such",
    );
    assert_refused(ask_bytes(&other, b"{nonsense"), "understand");
    assert!(matches!(ask(&other, Request::Status), Reply::Status(_)));
    assert!(run.init.is_alive());
    run.client.abandon(deadline()).unwrap();
    assert_eq!(bench.cleanups(&run.monitor), 0);
}

fn wrong_first_request() {
    let bench = Bench::new("");
    let (client, monitor) = bench.launch();
    assert_refused(ask(&client, Request::Start), "there is none yet");
    assert_eq!(bench.cleanups(&monitor), 0);
    let run = bench.committed();
    let create = Request::Create(Box::new(bench.request.clone()));
    assert_refused(ask(&run.client, create), "it has been created");
}

fn creator_lost() {
    let bench = Bench::new("exit 0");
    let run = bench.created();
    let status = bench.connect().status(deadline()).unwrap();
    assert_eq!(
        (status.generation, status.phase),
        (GENERATION, Phase::Created)
    );
    drop(run.client);
    // Taken back: killed, and no command cleans up behind the engine that will.
    assert!(run.init.wait(deadline()).unwrap());
    assert_eq!(bench.cleanups(&run.monitor), 0);
    let signal = Signal::KILL;
    assert_eq!(
        bench.exit_record().unwrap().exit,
        ExitReport::Signaled { signal }
    );
    assert_nobody(&bench);
}

fn creator_left() {
    let bench = Bench::new("exit 5");
    let run = bench.committed();
    drop(run.client);
    let mut other = bench.connect();
    assert_eq!(other.status(deadline()).unwrap().phase, Phase::Created);
    other.start(deadline()).unwrap();
    assert_eq!(bench.cleanups(&run.monitor), 1);
    assert_eq!(
        bench.exit_record().unwrap().exit,
        ExitReport::Exited { code: 5 }
    );
    assert_nobody(&bench);
}

fn silent_creator() {
    let bench = Bench::new("");
    let (client, monitor) = bench.launch();
    drop(client);
    assert_eq!(bench.cleanups(&monitor), 0);
}

/// However far the monitor has come when it notices.
fn hasty_creator() {
    let bench = Bench::new("");
    for _ in 0..10 {
        let (client, monitor) = bench.launch();
        let request = Request::Create(Box::new(bench.request.clone()));
        send(&client, request);
        drop(client);
        assert_eq!(
            monitor.wait_deadline(deadline()).unwrap(),
            Some(ExitStatus::Exited(0))
        );
        assert_nobody(&bench);
        // A process that the runtime has just made when its work ends is found by the engine, in the control group.
        kill_children();
        assert!(!bench.path("cleaned").exists());
        bench.clear();
    }
}

fn abandoned() {
    let bench = Bench::new("exec sleep 1000");
    let mut run = bench.committed();
    run.client.start(deadline()).unwrap();
    assert_refused(ask(&run.client, Request::Start), "it has been started");
    run.client.abandon(deadline()).unwrap();
    assert_eq!(bench.cleanups(&run.monitor), 0);
    assert!(is_gone(run.init.stamp()));
    assert_nobody(&bench);
}

fn second_monitor() {
    let bench = Bench::new("");
    let first = bench.committed();
    let (mut client, second) = bench.launch();
    let refused = client.create(bench.request.clone(), &[], deadline());
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("another monitor holds its liveness lock"),
        "{text}"
    );
    assert_eq!(second.wait().unwrap(), ExitStatus::Exited(0));
    let alive = bench.request.run_dir.join(files::ALIVE);
    assert_eq!(Liveness::probe(&alive).unwrap(), Some(first.monitor.pid()));
    assert!(first.init.is_alive());
}

fn hanging_runtime() {
    let mut bench = Bench::new("");
    let program = bench.path("hangs");
    replace_file(&program, b"#!/bin/sh\nexec sleep 1000\n", 0o755, Sync::No).unwrap();
    bench.request.runtime.kind = RuntimeKind::Program { path: program };
    // It never answers, however long it is waited for.
    bench.request.runtime_deadline_ms = 1;
    let (mut client, monitor) = bench.launch();
    let failure = client.create(bench.request.clone(), &[], deadline());
    let Err(MonitorError::Runtime(failure)) = failure else {
        panic!("{failure:?}");
    };
    assert_eq!(
        (failure.kind, failure.operation.as_str()),
        (FailureKind::Timeout, "create")
    );
    assert!(matches!(
        frames::receive(client.as_fd()).unwrap(),
        Frame::End
    ));
    assert_eq!(bench.cleanups(&monitor), 0);
    assert_nobody(&bench);
}
