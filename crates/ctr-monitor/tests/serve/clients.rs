//! Several clients of one monitor.

use ctr_exec::frames::MAX_PAYLOAD;
use ctr_monitor::ExitReport;
use ctr_monitor::protocol::{CleanupPromise, StdinMode};

use crate::Test;
use crate::bench::{Bench, deadline, receive};

pub(crate) const TESTS: [Test; 4] = [
    ("clients: two receive the same bytes", same_bytes),
    ("clients: one that leaves does not matter", one_leaves),
    (
        "clients: one that never reads is dropped alone",
        never_reads,
    ),
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

/// It holds the others up until its patience is over, and costs nobody a byte.
fn never_reads() {
    const BYTES: usize = 4_000_000;
    let bench = Bench::new(&format!("head -c {BYTES} /dev/zero; exit 0"));
    let mut run = bench.committed();
    let mut sleeper = bench.attached(CleanupPromise::Made);
    let mut reader = bench.attached(CleanupPromise::None);
    run.client.start(deadline()).unwrap();
    let received = receive(&mut reader);
    assert_eq!(
        (received.stdout.len(), received.exit.is_some()),
        (BYTES, true)
    );
    drop((reader, run.client));
    // Its promise went with its connection.
    assert_eq!(bench.cleanups(&run.monitor), 1);
    let received = receive(&mut sleeper);
    assert!(received.stdout.len() < BYTES && received.exit.is_none());
    let log = std::fs::metadata(bench.path("log")).unwrap();
    assert!(log.len() >= BYTES as u64);
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
