//! Clients beside the one that started a container.

use std::os::fd::{AsFd, OwnedFd};

use ctr_core::{
    Attach, AttachRequest, ClientInput, Container, EngineError, RemoveMode, Session, SessionEnd,
    SessionIo, SignalProxy, StartRequest, Started,
};
use ctr_exec::DetachKeys;
use ctr_state::{ExitCause, Operation, StartReason, Status};
use ctr_sys::{PidRef, Signal, SignalFd};

use crate::Test;
use crate::fake::read_all;
use crate::fixture::{Fixture, remove, status, stop_after};
use crate::journal::words;
use crate::processes::init_of;

pub(crate) const TESTS: [Test; 4] = [
    ("attaching: to a container that runs", running),
    (
        "attaching: a start of one that runs only attaches",
        start_attaches,
    ),
    (
        "attaching: a signal that ends the client alone",
        interrupted,
    ),
    (
        "attaching: a reader that goes ends the client alone",
        reader_gone,
    ),
];

const REQUEST: AttachRequest = AttachRequest {
    window: None,
    input: ClientInput::Taken,
    replay: 0,
};

/// A pipe for the output, and the client's end of it in a session.
struct Output {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Output {
    fn new() -> Self {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        Self { reader, writer }
    }

    fn io<'a>(&'a self, signals: Option<&'a SignalFd>, proxy: SignalProxy) -> SessionIo<'a> {
        SessionIo {
            stdin: None,
            stdout: Some(self.writer.as_fd()),
            stderr: None,
            signals,
            proxy,
            detach_keys: DetachKeys::none(),
        }
    }
}

fn assert_ended(end: SessionEnd) {
    let SessionEnd::Exited(exit) = end else {
        panic!("{end:?}");
    };
    assert_eq!(exit.cause, ExitCause::Exited { code: 0 });
}

/// Has the container write and end, both seen by its clients: of signals that wait, the lower number is taken first.
fn write_and_end(container: &Container<'_>) {
    let init = init_of(container);
    init.signal(Signal::USR2).unwrap();
    init.signal(Signal::TERM).unwrap();
}

fn follow(session: Session<'_>) -> (SessionEnd, String) {
    let output = Output::new();
    let end = session
        .run(output.io(None, SignalProxy::ToContainer))
        .unwrap();
    drop(output.writer);
    (end, read_all(output.reader))
}

fn running() {
    let f = Fixture::new();
    let container = f.created_with(|_| {});
    let refused = |status| {
        let error = container.attach(REQUEST).unwrap_err();
        let operation = Operation::Attach;
        assert!(
            matches!(&error, EngineError::WrongStatus { status: found, operation: asked, .. } if (*found, *asked) == (status, operation)),
            "{error}"
        );
    };
    refused(Status::Configured);
    container.remove(remove(RemoveMode::Normal)).unwrap();
    let container = f.running(&[]);
    let mut journal = f.journal();
    journal.news();
    let sessions = [container.attach(REQUEST), container.attach(REQUEST)];
    assert_eq!(words(&journal.news()), "attach attach");
    write_and_end(&container);
    for session in sessions {
        let (end, text) = follow(session.unwrap());
        assert_ended(end);
        assert!(text.contains("to stdout\n"), "{text:?}");
    }
    // Nobody of them had promised to clean up.
    f.assert_idle(container.id());
    assert_eq!(status(&container), Status::Exited);
    let error = container.attach(REQUEST).unwrap_err();
    assert!(matches!(error, EngineError::WrongStatus { .. }), "{error}");
}

fn start_attaches() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let mut journal = f.journal();
    journal.news();
    let attach = Attach::Streams { window: None };
    let started = container
        .start(StartRequest {
            attach,
            streams: None,
            reason: StartReason::User,
        })
        .unwrap();
    let Started::Attached(session) = started else {
        panic!("{started:?}");
    };
    assert_eq!(words(&journal.news()), "attach");
    write_and_end(&container);
    assert_ended(follow(session).0);
    f.assert_idle(container.id());
}

fn interrupted() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let session = container.attach(REQUEST).unwrap();
    let signals = SignalFd::block(&[Signal::TERM, Signal::WINCH]).unwrap();
    let own = i32::try_from(std::process::id()).unwrap();
    let own = PidRef::capture(own).unwrap().unwrap();
    // One without a meaning for the client, one that ends it.
    own.signal(Signal::WINCH).unwrap();
    own.signal(Signal::TERM).unwrap();
    let output = Output::new();
    let end = session.run(output.io(Some(&signals), SignalProxy::EndsSession));
    let signal = Signal::TERM;
    assert_eq!(end.unwrap(), SessionEnd::Interrupted { signal });
    assert_eq!(status(&container), Status::Running);
    container.stop(stop_after(0)).unwrap();
    f.assert_idle(container.id());
}

fn reader_gone() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let session = container.attach(REQUEST).unwrap();
    let Output { reader, writer } = Output::new();
    drop(reader);
    init_of(&container).signal(Signal::USR2).unwrap();
    let io = SessionIo {
        stdin: None,
        stdout: Some(writer.as_fd()),
        stderr: None,
        signals: None,
        proxy: SignalProxy::ToContainer,
        detach_keys: DetachKeys::none(),
    };
    assert_eq!(session.run(io).unwrap(), SessionEnd::Detached);
    assert_eq!(status(&container), Status::Running);
    container.stop(stop_after(0)).unwrap();
    f.assert_idle(container.id());
}
