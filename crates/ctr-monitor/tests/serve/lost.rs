//! Monitors that are killed: their keepers, and monitors that adopt a container.

use std::time::Duration;

use ctr_monitor::protocol::{
    AdoptRequest, AttachRequest, CleanupPromise, Phase, StdinMode, Streams,
};
use ctr_monitor::{ExitReport, MonitorError, files};
use ctr_sys::{Deadline, Liveness, PidRef, Signal};

use crate::Test;
use crate::bench::{Bench, Monitored, deadline, receive, stdout_of};
use crate::runtime::open_pipe;

pub(crate) const TESTS: [Test; 11] = [
    ("lost: the keeper goes on with the streams", streams),
    ("lost: the keeper goes on with a terminal", terminal),
    ("lost: one keeper after the other", three_times),
    ("lost: a keeper that is killed is replaced", keeper_killed),
    ("lost: a short life has no keeper", short_life),
    ("lost: what nobody recorded is taken back", uncommitted),
    ("lost: the time limit holds", time_limit),
    ("lost: a container is adopted", adopted),
    (
        "lost: one that waits for its start is adopted",
        adopted_before_its_start,
    ),
    ("lost: nobody is adopted twice", adopted_twice),
    ("lost: the end of the input is not held back", end_of_input),
];

/// Answers lines with numbers, and ends with 7 when it is told to.
/// A writer of the pipe that is slow to close it ends the next `read` with nothing.
const ECHO: &str = "n=0; while :; do read line <again || continue; n=$((n + 1)); echo $n || exit 3; [ $line = end ] && exit 7; done";

/// For a container that reads lines from the pipe `again`.
fn bench(script: &str) -> Bench {
    let bench = Bench::new(script);
    let again = bench.request.run_dir.join("again");
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        again,
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .unwrap();
    bench
}

fn line(bench: &Bench, line: &str) {
    let path = bench.request.run_dir.join("again");
    let mut gate = std::fs::File::options().write(true).open(path).unwrap();
    std::io::Write::write_all(&mut gate, format!("{line}\n").as_bytes()).unwrap();
}

/// So long a keeper must have been there: one that was made in the middle of a change goes soon.
const SETTLED: Duration = Duration::from_millis(600);

/// The keeper, as soon as there is one other than that, and it stays.
fn keeper(bench: &Bench, other: Option<&PidRef>) -> PidRef {
    let path = bench.request.run_dir.join(files::KEEPER);
    let until = deadline();
    loop {
        assert!(!until.expired(), "there is no keeper");
        let pid = Liveness::probe(&path).unwrap();
        let found = pid.and_then(|pid| PidRef::capture(pid).unwrap());
        if let Some(keeper) = found
            && other.is_none_or(|other| other.stamp() != keeper.stamp())
            && !keeper.wait(Deadline::after(SETTLED)).unwrap()
        {
            return keeper;
        }
        std::thread::yield_now();
    }
}

fn monitor(bench: &Bench) -> Option<PidRef> {
    let pid = Liveness::probe(&bench.request.run_dir.join(files::ALIVE)).unwrap();
    pid.and_then(|pid| PidRef::capture(pid).unwrap())
}

fn kill(process: &PidRef) {
    process.signal(Signal::KILL).unwrap();
    assert!(process.wait(deadline()).unwrap());
}

/// Kills monitor and keeper.
fn orphan(bench: &Bench, run: &Monitored) {
    let keeper = keeper(bench, None);
    kill(&keeper);
    run.monitor.kill_and_wait().unwrap();
    assert!(monitor(bench).is_none());
}

fn streams() {
    let bench = bench(ECHO);
    let mut run = bench.committed();
    let mut client = bench.attached(CleanupPromise::None);
    run.client.start(deadline()).unwrap();
    line(&bench, "go");
    assert_eq!(stdout_of(&mut client, 2), b"1\n");
    let keeper = keeper(&bench, None);
    run.monitor.kill_and_wait().unwrap();
    assert_eq!(receive(&mut client).exit, None);
    // Nobody but the keeper holds the pipe now.
    line(&bench, "go");
    let mut client = bench.connect();
    let status = client.status(deadline()).unwrap();
    assert_eq!(
        (status.phase, status.init),
        (Phase::Started, run.init.stamp())
    );
    assert_eq!(monitor(&bench).unwrap().stamp(), keeper.stamp());
    let replay = AttachRequest {
        replay: 64,
        ..AttachRequest::observer()
    };
    client.attach(replay, deadline()).unwrap();
    line(&bench, "end");
    let received = receive(&mut client);
    // What was written when nobody was attached comes as well.
    assert_eq!(received.stdout, b"1\n2\n3\n");
    let record = received.exit.unwrap();
    assert_eq!(
        (record.exit, record.monitors_lost),
        (ExitReport::Exited { code: 7 }, 1)
    );
    drop((client, run.client));
    assert_eq!(bench.cleanups_of_all(), 1);
    assert_eq!(bench.exit_record(), Some(record));
    let log = std::fs::read_to_string(bench.path("log")).unwrap();
    let lines: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, rest)| rest)
        .collect();
    let ["stdout F 1", gap, "stdout F 2", "stdout F 3"] = lines[..] else {
        panic!("{log}");
    };
    assert!(gap.starts_with("gap F 0 the monitor was killed"), "{gap}");
}

fn terminal() {
    let mut bench =
        bench("trap 'exit 9' HUP; tty >/dev/null || exit 3; read line; stty size; exit 6");
    bench.request.streams = Streams::Terminal;
    bench.request.stdin = StdinMode::Open;
    let mut run = bench.committed();
    run.client.start(deadline()).unwrap();
    keeper(&bench, None);
    run.monitor.kill_and_wait().unwrap();
    let mut client = bench.attached(CleanupPromise::None);
    assert!(client.try_send_stdin(b"x\n").unwrap());
    let received = receive(&mut client);
    assert_eq!(received.exit.unwrap().exit, ExitReport::Exited { code: 6 });
    drop((client, run.client));
    assert_eq!(bench.cleanups_of_all(), 1);
}

fn three_times() {
    let bench = bench(ECHO);
    let mut run = bench.committed();
    run.client.start(deadline()).unwrap();
    let mut next = keeper(&bench, None);
    run.monitor.kill_and_wait().unwrap();
    for _ in 0..2 {
        line(&bench, "go");
        let last = next;
        next = keeper(&bench, Some(&last));
        assert_eq!(monitor(&bench).unwrap().stamp(), last.stamp());
        kill(&last);
    }
    line(&bench, "end");
    drop(run.client);
    assert_eq!(bench.cleanups_of_all(), 1);
    let record = bench.exit_record().unwrap();
    assert_eq!(
        (record.exit, record.monitors_lost),
        (ExitReport::Exited { code: 7 }, 3)
    );
}

fn keeper_killed() {
    let bench = bench(ECHO);
    let mut run = bench.committed();
    run.client.start(deadline()).unwrap();
    let first = keeper(&bench, None);
    kill(&first);
    keeper(&bench, Some(&first));
    run.monitor.kill_and_wait().unwrap();
    line(&bench, "end");
    drop(run.client);
    assert_eq!(bench.cleanups_of_all(), 1);
    assert_eq!(
        bench.exit_record().unwrap().exit,
        ExitReport::Exited { code: 7 }
    );
}

fn short_life() {
    let bench = Bench::new("exit 0");
    let mut run = bench.committed();
    run.client.start(deadline()).unwrap();
    assert_eq!(bench.cleanups(&run.monitor), 1);
    assert!(!bench.request.run_dir.join(files::KEEPER).exists());
}

/// The engine has not said that it has recorded the creation, and never will.
fn uncommitted() {
    let bench = bench(ECHO);
    let run = bench.created();
    keeper(&bench, None);
    run.monitor.kill_and_wait().unwrap();
    drop(run.client);
    assert_eq!(bench.cleanups_of_all(), 0);
    assert!(!run.init.is_alive());
}

fn time_limit() {
    let mut bench = bench(ECHO);
    bench.request.timeout_ms = Some(1500);
    let mut run = bench.committed();
    run.client.start(deadline()).unwrap();
    keeper(&bench, None);
    run.monitor.kill_and_wait().unwrap();
    drop(run.client);
    assert_eq!(bench.cleanups_of_all(), 1);
    let record = bench.exit_record().unwrap();
    let signal = Signal::KILL;
    assert_eq!(record.exit, ExitReport::Signaled { signal });
    assert_eq!(record.timed_out, ctr_monitor::TimedOut::Yes);
}

fn adopted() {
    let bench = bench(ECHO);
    let mut run = bench.committed();
    run.client.start(deadline()).unwrap();
    line(&bench, "go");
    orphan(&bench, &run);
    let (mut client, second) = bench.launch();
    let request = adoption(&bench, &run, Phase::Started);
    let (init, stamp) = client.adopt(request, deadline()).unwrap();
    assert_eq!((init, stamp.pid), (run.init.stamp(), second.pid()));
    // Whoever asked for it may go.
    drop(client);
    let mut client = bench.attached(CleanupPromise::None);
    line(&bench, "go");
    assert_eq!(stdout_of(&mut client, 2), b"2\n");
    line(&bench, "end");
    let record = receive(&mut client).exit.unwrap();
    assert_eq!(
        (record.exit, record.monitors_lost),
        (ExitReport::Exited { code: 7 }, 1)
    );
    drop((client, run.client));
    assert_eq!(bench.cleanups(&second), 1);
}

fn adoption(bench: &Bench, run: &Monitored, phase: Phase) -> AdoptRequest {
    AdoptRequest {
        container: bench.request.clone(),
        init: run.init.stamp(),
        phase,
    }
}

fn adopted_before_its_start() {
    let bench = Bench::new("exit 4");
    let run = bench.committed();
    orphan(&bench, &run);
    let (mut client, second) = bench.launch();
    client
        .adopt(adoption(&bench, &run, Phase::Created), deadline())
        .unwrap();
    client.start(deadline()).unwrap();
    assert_eq!(bench.cleanups(&second), 1);
    assert_eq!(
        bench.exit_record().unwrap().exit,
        ExitReport::Exited { code: 4 }
    );
}

fn adopted_twice() {
    let bench = bench(ECHO);
    let mut run = bench.committed();
    run.client.start(deadline()).unwrap();
    let refused = |words: &str| {
        let (mut client, late) = bench.launch();
        let request = adoption(&bench, &run, Phase::Started);
        let error: MonitorError = client.adopt(request, deadline()).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(late.wait_deadline(deadline()).unwrap().is_some());
    };
    refused("another monitor");
    orphan(&bench, &run);
    kill(&run.init);
    refused("has ended");
}

/// A keeper must not hold a pipe open that the monitor has closed.
fn end_of_input() {
    let mut bench = Bench::new("cat; open=$(cat gate); echo over");
    bench.request.stdin = StdinMode::Open;
    let mut run = bench.committed();
    let mut client = bench.attached(CleanupPromise::None);
    run.client.start(deadline()).unwrap();
    assert!(client.try_send_stdin(b"in").unwrap());
    assert_eq!(stdout_of(&mut client, 2), b"in");
    keeper(&bench, None);
    assert!(client.try_send_stdin(b"").unwrap());
    open_pipe(&bench.request.run_dir.join("gate"));
    assert_eq!(receive(&mut client).stdout, b"over\n");
    drop((client, run.client));
    assert_eq!(bench.cleanups(&run.monitor), 1);
}
