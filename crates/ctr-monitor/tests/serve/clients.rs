//! Several clients of one monitor.

use std::time::Duration;

use ctr_exec::frames::MAX_PAYLOAD;
use ctr_monitor::ExitReport;
use ctr_monitor::protocol::{CleanupPromise, Request, StdinMode};
use ctr_sys::Deadline;
use rustix::fs::{CWD, Mode};

use crate::Test;
use crate::bench::{Bench, deadline, receive, stdout_of};
use crate::runtime::open_pipe;

pub(crate) const TESTS: [Test; 8] = [
    ("clients: two receive the same bytes", same_bytes),
    ("clients: one that leaves does not matter", one_leaves),
    (
        "clients: an observer that never reads is dropped alone and told",
        never_reads,
    ),
    (
        "clients: the container waits for an owner that does not read",
        owner_stalls,
    ),
    (
        "clients: an observer that leaves does not end the input, its owner does",
        input_of_leavers,
    ),
    (
        "clients: what an owner sent before it was killed arrives, and then the end",
        input_of_killed,
    ),
    ("clients: one that has detached breaks no promise", detaches),
    ("clients: input reaches the program", input),
];

/// More than pipes and sockets hold.
const LINES: usize = 60_000;

fn same_bytes() {
    let bench = Bench::new(&format!("seq 1 {LINES}; seq 1 {LINES} >&2; exit 9"));
    let mut run = bench.committed();
    let mut clients = [
        bench.attached(CleanupPromise::None),
        bench.attached(CleanupPromise::None),
    ];
    run.client.start(deadline()).unwrap();
    // One after the other: what the second has not read yet waits for it.
    let [first, second] = clients.each_mut().map(receive);
    let numbers: Vec<String> = (1..=LINES).map(|number| number.to_string()).collect();
    let expected = numbers.join("\n") + "\n";
    assert!(first.stdout == expected.as_bytes() && first.stderr == expected.as_bytes());
    assert!(first == second);
    assert_eq!(first.exit.unwrap().exit, ExitReport::Exited { code: 9 });
    drop(clients);
    assert_eq!(bench.cleanups(&run.monitor), 1);
    let log = std::fs::read_to_string(bench.path("log")).unwrap();
    assert!(logged(&log, " stdout ") == expected && logged(&log, " stderr ") == expected);
}

/// What the records of a stream say together.
fn logged(log: &str, stream: &str) -> String {
    let mut text = String::new();
    for (_, record) in log.lines().filter_map(|line| line.split_once(stream)) {
        let (tag, part) = record.split_at(2);
        text.push_str(part);
        text.push_str(if tag == "F " { "\n" } else { "" });
    }
    text
}

fn one_leaves() {
    let bench = Bench::new(&format!("seq 1 {LINES}; exit 0"));
    let mut run = bench.committed();
    let leaver = bench.attached(CleanupPromise::None);
    let mut stayer = bench.attached(CleanupPromise::None);
    run.client.start(deadline()).unwrap();
    drop(leaver);
    let received = receive(&mut stayer);
    let lines = received.stdout.iter().filter(|byte| **byte == b'\n');
    assert_eq!((lines.count(), received.exit.is_some()), (LINES, true));
    drop(stayer);
    assert_eq!(bench.cleanups(&run.monitor), 1);
}

/// It holds the others up for a moment, and costs nobody a byte.
fn never_reads() {
    const BYTES: usize = 8_000_000;
    let mut bench = Bench::new(&format!("head -c {BYTES} /dev/zero; exec cat"));
    bench.request.stdin = StdinMode::Open;
    let mut run = bench.committed();
    let mut sleeper = bench.attached(CleanupPromise::None);
    let mut reader = bench.attached(CleanupPromise::None);
    run.client.start(deadline()).unwrap();
    assert_eq!(stdout_of(&mut reader, BYTES).len(), BYTES);
    // It wakes up and learns what it missed, while the container goes on.
    let received = receive(&mut sleeper);
    assert!(received.stdout.len() < BYTES && received.exit.is_none());
    let missed = received.missed.unwrap();
    assert_eq!(received.stdout.len() as u64 + missed, BYTES as u64);
    assert!(reader.try_send_stdin(b"end").unwrap());
    assert!(reader.try_send_stdin(b"").unwrap());
    let received = receive(&mut reader);
    assert_eq!(received.stdout, b"end");
    assert!(received.exit.is_some());
    drop((reader, sleeper, run.client));
    assert_eq!(bench.cleanups(&run.monitor), 1);
    let log = std::fs::metadata(bench.path("log")).unwrap();
    assert!(log.len() >= BYTES as u64);
}

/// As in a pipeline; and when it reads again it gets every byte.
fn owner_stalls() {
    const BYTES: usize = 8_000_000;
    let bench = Bench::new(&format!("head -c {BYTES} /dev/zero; exit 4"));
    let mut run = bench.committed();
    let mut owner = bench.attached(CleanupPromise::Made);
    run.client.start(deadline()).unwrap();
    // Longer than an observer would be waited for.
    let moment = Deadline::after(Duration::from_secs(3));
    assert!(!run.init.wait(moment).unwrap());
    let received = receive(&mut owner);
    assert_eq!(received.stdout.len(), BYTES);
    assert_eq!(received.exit.unwrap().exit, ExitReport::Exited { code: 4 });
    owner.cleaned(deadline()).unwrap();
    drop((owner, run.client));
    assert_eq!(bench.cleanups(&run.monitor), 0);
}

fn input_of_leavers() {
    let mut bench = Bench::new("exec cat");
    bench.request.stdin = StdinMode::Open;
    let mut run = bench.committed();
    let mut owner = bench.attached(CleanupPromise::Made);
    run.client.start(deadline()).unwrap();
    let observer = bench.attached(CleanupPromise::None);
    assert!(observer.try_send_stdin(b"one ").unwrap());
    assert_eq!(stdout_of(&mut owner, 4), b"one ");
    drop(observer);
    assert!(owner.try_send_stdin(b"two").unwrap());
    assert_eq!(stdout_of(&mut owner, 3), b"two");
    drop((owner, run.client));
    // Its connection was the input's other end, and its promise went with it.
    assert_eq!(bench.cleanups(&run.monitor), 1);
    let exit = bench.exit_record().unwrap().exit;
    assert_eq!(exit, ExitReport::Exited { code: 0 });
}

/// Its end is noticed first by output that it does not take any more, while its input has to wait for the program.
fn input_of_killed() {
    const PACKETS: usize = 36;
    let mut bench = Bench::new("read a <second; printf x; sleep 0.2; exec wc -c");
    bench.request.stdin = StdinMode::Open;
    // Not the one of the start, which may still be open for that.
    let second = bench.request.run_dir.join("second");
    rustix::fs::mkfifoat(CWD, &second, Mode::from_raw_mode(0o600)).unwrap();
    let mut run = bench.committed();
    let owner = bench.attached(CleanupPromise::Made);
    let mut observer = bench.attached(CleanupPromise::None);
    run.client.start(deadline()).unwrap();
    let packet = vec![0; MAX_PAYLOAD];
    for _ in 0..PACKETS {
        assert!(owner.try_send_stdin(&packet).unwrap());
    }
    drop(owner);
    open_pipe(&second);
    let received = receive(&mut observer);
    let count = format!("x{}\n", PACKETS * MAX_PAYLOAD);
    assert_eq!(received.stdout, count.as_bytes());
    drop((observer, run.client));
    assert_eq!(bench.cleanups(&run.monitor), 1);
}

fn detaches() {
    let mut bench = Bench::new("exec cat");
    bench.request.stdin = StdinMode::Open;
    let mut run = bench.committed();
    let mut owner = bench.attached(CleanupPromise::Made);
    run.client.start(deadline()).unwrap();
    assert!(owner.try_send_stdin(b"x").unwrap());
    assert_eq!(stdout_of(&mut owner, 1), b"x");
    assert!(owner.try_send(&Request::Detach).unwrap());
    drop(owner);
    let mut next = bench.attached(CleanupPromise::None);
    assert!(next.try_send_stdin(b"y").unwrap());
    assert_eq!(stdout_of(&mut next, 1), b"y");
    assert!(next.try_send_stdin(b"").unwrap());
    let received = receive(&mut next);
    assert_eq!(received.exit.unwrap().exit, ExitReport::Exited { code: 0 });
    drop((next, run.client));
    assert_eq!(bench.cleanups(&run.monitor), 1);
}

fn input() {
    let mut bench = Bench::new("exec cat");
    bench.request.stdin = StdinMode::Open;
    let mut run = bench.committed();
    let mut client = bench.attached(CleanupPromise::None);
    run.client.start(deadline()).unwrap();
    let bytes = vec![b'x'; MAX_PAYLOAD];
    for part in [b"in".as_slice(), &bytes, b""] {
        assert!(client.try_send_stdin(part).unwrap());
    }
    let received = receive(&mut client);
    assert_eq!(received.stdout, [b"in".as_slice(), &bytes].concat());
    assert_eq!(received.exit.unwrap().exit, ExitReport::Exited { code: 0 });
    drop((client, run.client));
    assert_eq!(bench.cleanups(&run.monitor), 1);
}
