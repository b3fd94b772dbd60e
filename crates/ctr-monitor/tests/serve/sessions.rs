//! Exec sessions: what their clients receive, what is recorded, what is left.

use std::os::fd::AsFd;

use ctr_exec::session::{Input, Keep, OnDisconnect, SessionPaths, SessionState, Tty, WaitIo};
use ctr_exec::{TimedOut, WindowSize};
use ctr_monitor::protocol::{
    AttachRequest, ClientInput, ExecRequest, ExecStart, ExecStartRequest, GivenStream,
    SessionSignal, SignalScope,
};
use ctr_sys::{Launch, PidRef, PidStamp, Signal};

use crate::Test;
use crate::bench::deadline;
use crate::hosted::{Hosted, code, foreground, hear, is_gone, of_command, request};

pub(crate) const TESTS: [Test; 12] = [
    ("sessions: output and then the exit", output_and_exit),
    ("sessions: streams that are handed over", handed_over),
    ("sessions: input, its end, and how much was read", input),
    ("sessions: a runtime that fails", failures),
    (
        "sessions: a process whose runtime dies is killed",
        runtime_dies,
    ),
    (
        "sessions: one that is made first and started later",
        made_first,
    ),
    ("sessions: a client that is lost", lost_client),
    ("sessions: output of those that stay", left_behind),
    ("sessions: whose time is up", timed_out),
    ("sessions: others attach, look on and see what was", others),
    ("sessions: a terminal", terminal),
    ("sessions: they end with the container", container_ends),
];

fn output_and_exit() {
    let hosted = Hosted::new();
    let script = "echo out; echo err >&2; head -c 300000 /dev/zero; exit 7";
    let (mut client, id, process) = hosted.exec(script, foreground());
    let record = hosted.record(&id).unwrap();
    assert_eq!(record.owner, Some(PidStamp::own().unwrap()));
    let heard = hear(&mut client, usize::MAX);
    assert_eq!((code(&heard), heard.stdout.len()), (7, 300_004));
    assert_eq!(heard.stderr, b"err\n");
    assert!(is_gone(process));
    // It is recorded until somebody has told.
    let state = hosted.record(&id).unwrap().state;
    assert!(matches!(state, SessionState::Ended(end) if Some(end) == heard.end));
    hosted.end();
}

fn handed_over() {
    let hosted = Hosted::new();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let start = ExecStart {
        given: vec![GivenStream::Stdout],
        preserved: vec![5],
        ..foreground()
    };
    let extra = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut &extra, b"extra").unwrap();
    std::io::Seek::rewind(&mut &extra).unwrap();
    let script = request("cat <&5; echo err >&2; exit 3", Input::Null);
    let given = [writer.as_fd(), extra.as_fd()];
    let (mut client, _, _) = hosted.exec_with(script, start, &given).unwrap();
    drop(writer);
    let heard = hear(&mut client, usize::MAX);
    assert_eq!((code(&heard), &heard.stdout[..]), (3, &b""[..]));
    assert_eq!(heard.stderr, b"err\n");
    let mut passed = String::new();
    std::io::Read::read_to_string(&mut std::fs::File::from(reader), &mut passed).unwrap();
    assert_eq!(passed, "extra");
    // What was announced must come.
    let start = ExecStart {
        given: vec![GivenStream::Stdout],
        ..foreground()
    };
    let refused = hosted.exec_with(request("true", Input::Null), start, &[]);
    assert!(refused.unwrap_err().to_string().contains("descriptors"));
    hosted.end();
}

fn input() {
    let hosted = Hosted::new();
    let sent = vec![b'x'; 100_000];
    for (script, read) in [("cat", 100_000), ("head -c 5; exit 0", 5), ("exit 0", 0)] {
        let script = request(script, Input::Open);
        let (mut client, _, _) = hosted.exec_with(script, foreground(), &[]).unwrap();
        for part in sent.chunks(10_000) {
            // The program may have ended by now.
            client.try_send_stdin(part).ok();
        }
        client.try_send_stdin(b"").ok();
        let heard = hear(&mut client, usize::MAX);
        assert_eq!(heard.stdout.len(), read);
        let read = u64::try_from(read).unwrap();
        // `head` reads a block at a time.
        let taken = heard.end.unwrap().input_read;
        assert!(
            taken >= read && (taken > 0) == (read > 0),
            "{taken} of {read}"
        );
    }
    hosted.end();
}

fn failures() {
    let hosted = Hosted::new();
    let another = Launch::program("/bin/sleep").arg("1000").spawn().unwrap();
    for (word, part) in [
        ("!fails", "it failed"),
        ("!dies", "died"),
        ("!names-nobody", "does not exist"),
        ("!names-another", "none that it has made"),
    ] {
        let command = vec![word.to_owned(), another.pid().to_string()];
        let command = of_command(command, Input::Null, Tty::No);
        let id = command.0.session.clone();
        let error = hosted.exec_with(command, foreground(), &[]).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert!(hosted.record(&id).is_none());
        let paths = SessionPaths::new(&hosted.bench.request.run_dir, &id);
        assert!(!paths.directory().exists());
    }
    // Others are not harmed.
    assert!(PidRef::capture(another.pid()).unwrap().is_some());
    another.kill_and_wait().unwrap();
    let (mut client, _, _) = hosted.exec("exit 4", foreground());
    assert_eq!(code(&hear(&mut client, usize::MAX)), 4);
    hosted.end();
}

fn runtime_dies() {
    let hosted = Hosted::new();
    let script = request("echo $$ >started; exec sleep 1000 # and dies", Input::Null);
    let error = hosted.exec_with(script, foreground(), &[]).unwrap_err();
    assert!(error.to_string().contains("died"), "{error}");
    hosted.end();
}

fn made_first() {
    let hosted = Hosted::new();
    let (request, process) = request("echo here; exit 5", Input::Null);
    let id = request.session.clone();
    let request = ExecRequest {
        keep: Keep::UntilRemoved,
        ..request
    };
    let mut client = hosted.bench.connect();
    let made = client.create_session(request.clone(), process.as_fd(), deadline());
    made.unwrap();
    assert_eq!(hosted.record(&id).unwrap().state, SessionState::Created);
    let again = client.create_session(request, process.as_fd(), deadline());
    assert!(again.unwrap_err().to_string().contains("in use"));
    let start = ExecStartRequest {
        session: id.clone(),
        start: foreground(),
    };
    client
        .start_session(start.clone(), &[], deadline())
        .unwrap();
    let refused = hosted.bench.connect().start_session(start, &[], deadline());
    assert!(refused.is_err());
    let heard = hear(&mut client, usize::MAX);
    assert_eq!((code(&heard), &heard.stdout[..]), (5, &b"here\n"[..]));
    assert!(matches!(
        hosted.record(&id).unwrap().state,
        SessionState::Ended(_)
    ));

    let (request, process) = crate::hosted::request("true", Input::Null);
    let id = request.session.clone();
    let mut client = hosted.bench.connect();
    client
        .create_session(request, process.as_fd(), deadline())
        .unwrap();
    client.remove_session(&id, deadline()).unwrap();
    assert!(hosted.record(&id).is_none());
    assert!(client.remove_session(&id, deadline()).is_err());
    hosted.end();
}

fn lost_client() {
    let hosted = Hosted::new();
    for policy in [OnDisconnect::Keep, OnDisconnect::Hup, OnDisconnect::Kill] {
        let start = ExecStart {
            on_disconnect: policy,
            ..foreground()
        };
        let script = "trap 'exit 9' HUP; echo ready; while :; do sleep 0.05; done";
        let (mut client, id, process) = hosted.exec(script, start);
        assert_eq!(hear(&mut client, 6).stdout, b"ready\n");
        drop(client);
        if policy == OnDisconnect::Keep {
            let mut other = hosted.bench.connect();
            let attach = AttachRequest {
                session: Some(id.clone()),
                replay: 100,
                ..AttachRequest::observer()
            };
            other.attach(attach, deadline()).unwrap();
            let signal = SessionSignal {
                session: id.clone(),
                signal: Signal::HUP,
                scope: SignalScope::Process,
            };
            let mut third = hosted.bench.connect();
            third.signal_session(signal, deadline()).unwrap();
            let heard = hear(&mut other, usize::MAX);
            assert_eq!((code(&heard), &heard.stdout[..]), (9, &b"ready\n"[..]));
        }
        assert!(is_gone(process), "{policy:?}");
    }
    hosted.end();
}

fn left_behind() {
    let hosted = Hosted::new();
    for wait_io in [WaitIo::Exit, WaitIo::Grace, WaitIo::Eof] {
        let start = ExecStart {
            wait_io,
            ..foreground()
        };
        let script =
            "{ read line <left; echo late; exec sleep 1000 >&- 2>&-; } & echo early; exit 6";
        let left = hosted.bench.request.run_dir.join("left");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &left, mode).unwrap();
        let (mut client, _, process) = hosted.exec(script, start);
        assert!(is_gone(process));
        let mut expected = b"early\n".to_vec();
        if wait_io == WaitIo::Eof {
            crate::runtime::open_pipe(&left);
            expected.extend(b"late\n");
        }
        let heard = hear(&mut client, usize::MAX);
        assert_eq!((code(&heard), &heard.stdout), (6, &expected), "{wait_io:?}");
        if wait_io != WaitIo::Eof {
            // It is not killed by what it writes after the end.
            crate::runtime::open_pipe(&left);
        }
        std::fs::remove_file(left).unwrap();
    }
    hosted.end();
}

fn timed_out() {
    let hosted = Hosted::new();
    let start = ExecStart {
        timeout_ms: Some(50),
        ..foreground()
    };
    let (mut client, _, process) = hosted.exec("sleep 1000 & sleep 1000; wait", start);
    let end = hear(&mut client, usize::MAX).end.unwrap();
    assert_eq!(end.timed_out, TimedOut::Yes);
    assert!(is_gone(process));
    hosted.end();
}

fn others() {
    let hosted = Hosted::new();
    let script = request("echo one; cat", Input::Open);
    let (mut client, id, _) = hosted.exec_with(script, foreground(), &[]).unwrap();
    assert_eq!(hear(&mut client, 4).stdout, b"one\n");
    let attach = |input, replay| {
        let mut client = hosted.bench.connect();
        let request = AttachRequest {
            session: Some(id.clone()),
            input,
            replay,
            ..AttachRequest::observer()
        };
        client.attach(request, deadline()).unwrap();
        client
    };
    let mut late = attach(ClientInput::Ignored, 3);
    let mut other = attach(ClientInput::Taken, 0);
    assert!(late.try_send_stdin(b"ignored\n").unwrap());
    assert!(late.try_send_stdin(b"").unwrap());
    // Answered only after what was sent before.
    late.resize_session(
        &id,
        WindowSize {
            rows: 1,
            columns: 1,
        },
        deadline(),
    )
    .unwrap();
    assert!(other.try_send_stdin(b"two\n").unwrap());
    assert_eq!(hear(&mut other, 4).stdout, b"two\n");
    assert!(client.try_send_stdin(b"").unwrap());
    assert_eq!(hear(&mut client, usize::MAX).stdout, b"two\n");
    assert_eq!(hear(&mut late, usize::MAX).stdout, b"ne\ntwo\n");
    hosted.end();
}

fn terminal() {
    let hosted = Hosted::new();
    let start = ExecStart {
        window: Some(WindowSize {
            rows: 33,
            columns: 99,
        }),
        ..foreground()
    };
    let words = ["/bin/sh", "-c", "read line; stty size; exit 2"];
    let command = words.map(str::to_owned).to_vec();
    let command = of_command(command, Input::Open, Tty::Yes);
    let (mut client, _, _) = hosted.exec_with(command, start, &[]).unwrap();
    assert!(client.try_send_stdin(b"go\n").unwrap());
    let heard = hear(&mut client, usize::MAX);
    assert_eq!(code(&heard), 2);
    assert_eq!(heard.stdout, b"go\r\n33 99\r\n");
    hosted.end();
}

fn container_ends() {
    let hosted = Hosted::new();
    let (mut client, id, process) = hosted.exec("echo on; exec sleep 1000", foreground());
    assert_eq!(hear(&mut client, 3).stdout, b"on\n");
    hosted.run.init.signal(Signal::KILL).unwrap();
    assert_eq!(code(&hear(&mut client, usize::MAX)), 137);
    assert!(is_gone(process));
    drop(client);
    assert_eq!(hosted.bench.cleanups(&hosted.run.monitor), 1);
    let state = hosted.record(&id).unwrap().state;
    assert!(matches!(state, SessionState::Ended(_)), "{state:?}");
}
