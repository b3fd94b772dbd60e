//! A container with a terminal.

use ctr_exec::WindowSize;
use ctr_monitor::ExitReport;
use ctr_monitor::protocol::{AttachRequest, CleanupPromise, StdinMode, Streams};

use crate::Test;
use crate::bench::{Bench, deadline, receive};

pub(crate) const TESTS: [Test; 2] = [
    (
        "terminals: the end of the input is typed until the program has taken note",
        end_of_input,
    ),
    (
        "terminals: the size is there before the program starts",
        size,
    ),
];

/// For a container that runs this shell script on a terminal.
fn bench(script: &str) -> Bench {
    let mut bench = Bench::new(script);
    bench.request.streams = Streams::Terminal;
    bench.request.stdin = StdinMode::Open;
    bench
}

/// Two programs read to the end, one after the other: the key has to come twice, and before either only what was typed.
fn end_of_input() {
    let bench = bench("stty -echo; cat; echo one; sleep 0.1; cat; echo two; exit 7");
    let mut run = bench.committed();
    let mut client = bench.attached(CleanupPromise::None);
    run.client.start(deadline()).unwrap();
    for part in [&b"unfinished"[..], b""] {
        assert!(client.try_send_stdin(part).unwrap());
    }
    let received = receive(&mut client);
    let text = String::from_utf8(received.stdout).unwrap();
    // What was typed before the echo was switched off is there twice.
    assert!(text.contains("unfinished"), "{text:?}");
    assert_eq!(text.replace("unfinished", ""), "one\r\ntwo\r\n");
    assert_eq!(received.exit.unwrap().exit, ExitReport::Exited { code: 7 });
    drop((client, run.client));
    assert_eq!(bench.cleanups(&run.monitor), 1);
}

fn size() {
    let bench = bench("stty size");
    let mut run = bench.committed();
    let mut client = bench.connect();
    let attach = AttachRequest {
        cleanup: CleanupPromise::None,
        window: Some(WindowSize {
            rows: 33,
            columns: 99,
        }),
        ..AttachRequest::observer()
    };
    client.attach(attach, deadline()).unwrap();
    run.client.start(deadline()).unwrap();
    assert_eq!(receive(&mut client).stdout, b"33 99\r\n");
    drop((client, run.client));
    assert_eq!(bench.cleanups(&run.monitor), 1);
}
