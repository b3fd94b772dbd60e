//! How a run ends: the record, and who cleans up.

use std::os::unix::fs::MetadataExt;

use ctr_monitor::protocol::{CleanupPromise, Phase, Reply, Request};
use ctr_monitor::{ExitRecord, ExitReport, StartSeen, TimedOut};
use ctr_sys::Signal;

use crate::Test;
use crate::bench::{Bench, GENERATION, ask, assert_refused, deadline, is_gone, receive};

pub(crate) const TESTS: [Test; 7] = [
    ("exits: the record of a program that ends", exit_code),
    ("exits: the record of a program that is killed", signal),
    ("exits: output of the last moment is not lost", last_words),
    ("exits: a promise to clean up that is kept", promise_kept),
    (
        "exits: a promise to clean up that is broken",
        promise_broken,
    ),
    (
        "exits: who attaches afterwards learns the exit",
        late_client,
    ),
    (
        "exits: descendants are reaped and not waited for",
        descendants,
    ),
];

fn exit_code() {
    let bench = Bench::new("exit 7");
    let mut run = bench.committed();
    assert_eq!(bench.exit_record(), None);
    let before = ctr_sys::now_ns();
    run.client.start(deadline()).unwrap();
    assert_eq!(bench.cleanups(&run.monitor), 1);
    let record = bench.exit_record().unwrap();
    assert!((before..=ctr_sys::now_ns()).contains(&record.finished_ns));
    let expected = ExitRecord {
        version: 1,
        id: "c1".to_owned(),
        generation: GENERATION,
        init: run.init.stamp(),
        exit: ExitReport::Exited { code: 7 },
        start: StartSeen::Yes,
        timed_out: TimedOut::No,
        finished_ns: record.finished_ns,
        oom_kills: 0,
        monitors_lost: 0,
        log_bytes_lost: 0,
    };
    assert_eq!(record, expected);
    let path = ExitRecord::path(&bench.request.run_dir, GENERATION);
    assert_eq!(std::fs::metadata(path).unwrap().mode() & 0o7777, 0o600);
    let other = ExitRecord::read(&bench.request.run_dir, GENERATION + 1);
    assert_eq!(other.unwrap(), None);
}

fn signal() {
    let bench = Bench::new("exec sleep 1000");
    let mut run = bench.committed();
    run.client.start(deadline()).unwrap();
    let signal = Signal::TERM;
    assert!(matches!(
        ask(&run.client, Request::Signal { signal }),
        Reply::Done
    ));
    assert_eq!(bench.cleanups(&run.monitor), 1);
    assert_eq!(
        bench.exit_record().unwrap().exit,
        ExitReport::Signaled { signal }
    );
}

fn last_words() {
    let bench = Bench::new("printf last; printf words >&2; exit 1");
    let mut run = bench.committed();
    let mut client = bench.attached(CleanupPromise::None);
    run.client.start(deadline()).unwrap();
    let received = receive(&mut client);
    assert_eq!(
        (received.stdout, received.stderr),
        (b"last".into(), b"words".into())
    );
    assert_eq!(received.exit.unwrap().exit, ExitReport::Exited { code: 1 });
    assert_eq!(bench.cleanups(&run.monitor), 1);
    let log = std::fs::read_to_string(bench.path("log")).unwrap();
    assert!(
        log.contains(" stdout P last\n") && log.contains(" stderr P words\n"),
        "{log}"
    );
}

fn promise_kept() {
    let bench = Bench::new("exit 0");
    let mut run = bench.committed();
    let mut client = bench.attached(CleanupPromise::Made);
    assert_refused(ask(&client, Request::Cleaned), "it has not ended");
    run.client.start(deadline()).unwrap();
    drop(run.client);
    assert!(receive(&mut client).exit.is_some());
    // It waits for the promise, as others can see.
    assert_eq!(
        bench.connect().status(deadline()).unwrap().phase,
        Phase::Ended
    );
    bench.connect().cleaned(deadline()).unwrap();
    assert_eq!(bench.cleanups(&run.monitor), 0);
}

fn promise_broken() {
    let bench = Bench::new("exit 0");
    let mut run = bench.committed();
    let mut client = bench.attached(CleanupPromise::Made);
    run.client.start(deadline()).unwrap();
    drop(run.client);
    assert!(receive(&mut client).exit.is_some());
    drop(client);
    assert_eq!(bench.cleanups(&run.monitor), 1);
}

fn late_client() {
    let bench = Bench::new("echo early; exit 4");
    let mut run = bench.committed();
    let mut first = bench.attached(CleanupPromise::Made);
    run.client.start(deadline()).unwrap();
    let exit = receive(&mut first).exit;
    let mut late = bench.attached(CleanupPromise::None);
    let received = receive(&mut late);
    assert_eq!(
        (received.stdout.as_slice(), received.exit),
        (b"".as_slice(), exit)
    );
    drop((first, run.client));
    assert_eq!(bench.cleanups(&run.monitor), 1);
}

fn descendants() {
    // One that ends before the first process, and one that outlives it and keeps the streams open.
    let bench = Bench::new("(true &); sleep 1000 & echo $!; exit 2");
    let mut run = bench.committed();
    let mut client = bench.attached(CleanupPromise::None);
    run.client.start(deadline()).unwrap();
    let received = receive(&mut client);
    assert_eq!(received.exit.unwrap().exit, ExitReport::Exited { code: 2 });
    let pid: i32 = String::from_utf8(received.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let left = ctr_sys::PidRef::capture(pid).unwrap().unwrap();
    left.signal(Signal::KILL).unwrap();
    assert_eq!(bench.cleanups(&run.monitor), 1);
    assert!(is_gone(left.stamp()));
}
