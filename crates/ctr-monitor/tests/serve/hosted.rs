//! A container with exec sessions in it, and what their clients receive.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ctr_exec::ExitReport;
use ctr_exec::frames::{Frame, Stream};
use ctr_exec::session::{
    Input, Keep, OnDisconnect, SessionConfig, SessionExit, SessionId, SessionRecord, Tty, WaitIo,
};
use ctr_monitor::protocol::{ExecRequest, ExecStart, Reply};
use ctr_monitor::{MonitorClient, MonitorError};
use ctr_oci::ProcessBuilder;
use ctr_sys::{ExitStatus, PidRef, PidStamp, Signal, wait_readable};

use crate::bench::{Bench, Monitored, deadline, kill_children};

/// A container that runs until it is killed, and its monitor.
pub(crate) struct Hosted {
    pub(crate) bench: Bench,
    pub(crate) run: Monitored,
}

/// What the client of a session received.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) end: Option<SessionExit>,
}

impl Hosted {
    pub(crate) fn new() -> Self {
        let bench = Bench::new("exec sleep 1000");
        let mut run = bench.committed();
        run.client.start(deadline()).unwrap();
        Self { bench, run }
    }

    pub(crate) fn record(&self, id: &SessionId) -> Option<SessionRecord> {
        SessionRecord::read(&self.bench.request.run_dir, id).unwrap()
    }

    /// Runs a script in the foreground of a new client.
    pub(crate) fn exec(
        &self,
        script: &str,
        start: ExecStart,
    ) -> (MonitorClient, SessionId, PidStamp) {
        self.exec_with(request(script, Input::Null), start, &[])
            .unwrap()
    }

    pub(crate) fn exec_with(
        &self,
        request: (ExecRequest, OwnedFd),
        start: ExecStart,
        given: &[BorrowedFd<'_>],
    ) -> Result<(MonitorClient, SessionId, PidStamp), MonitorError> {
        let (mut request, process) = request;
        request.start = Some(start);
        let mut descriptors = vec![process.as_fd()];
        descriptors.extend(given);
        let mut client = self.bench.connect();
        let id = request.session.clone();
        let process = client.exec(request, &descriptors, deadline())?;
        Ok((client, id, process))
    }

    /// The container is killed, and its monitor ends; here no control group holds what sessions have left behind.
    pub(crate) fn end(self) {
        self.run.init.signal(Signal::KILL).unwrap();
        let ended = self.run.monitor.wait_deadline(deadline()).unwrap();
        assert_eq!(ended, Some(ExitStatus::Exited(0)));
        kill_children();
    }
}

pub(crate) fn request(script: &str, input: Input) -> (ExecRequest, OwnedFd) {
    let command = vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()];
    of_command(command, input, Tty::No)
}

pub(crate) fn of_command(command: Vec<String>, input: Input, tty: Tty) -> (ExecRequest, OwnedFd) {
    let host = ctr_oci::HostFacts::read().unwrap();
    let process = ProcessBuilder::new().args(&command).build(&host).unwrap();
    let file = tempfile::tempfile().unwrap();
    serde_json::to_writer(&file, &process).unwrap();
    std::io::Seek::rewind(&mut &file).unwrap();
    let request = ExecRequest {
        session: SessionId::generate().unwrap(),
        config: SessionConfig {
            command,
            user: String::new(),
            cwd: "/".to_owned(),
            tty,
            input,
            privileged: false,
            detach_keys: String::new(),
        },
        keep: Keep::UntilTold,
        start: None,
    };
    (request, file.into())
}

pub(crate) fn foreground() -> ExecStart {
    ExecStart {
        foreground: Some(PidStamp::own().unwrap()),
        window: None,
        given: Vec::new(),
        preserved: Vec::new(),
        timeout_ms: None,
        wait_io: WaitIo::Grace,
        on_disconnect: OnDisconnect::Keep,
        runtime_deadline_ms: 60_000,
    }
}

/// Reads until the exit, or until so many bytes of output have come.
pub(crate) fn hear(client: &mut MonitorClient, enough: usize) -> Heard {
    client.set_nonblocking().unwrap();
    let mut heard = Heard::default();
    while heard.stdout.len() < enough {
        if !client.has_early_frames() {
            assert!(wait_readable(client.as_fd(), deadline()).unwrap());
        }
        match client.try_next_frame().unwrap() {
            Some(Frame::Data(Stream::Stdout, bytes)) => heard.stdout.extend(bytes),
            Some(Frame::Data(Stream::Stderr, bytes)) => heard.stderr.extend(bytes),
            Some(Frame::Message(bytes, _)) => {
                let reply = Reply::parse(&bytes).unwrap();
                if let Reply::SessionExit(end) = reply {
                    heard.end = Some(end);
                    return heard;
                }
                assert!(matches!(reply, Reply::Done), "{reply:?}");
            }
            Some(frame) => panic!("{frame:?}"),
            None => {}
        }
    }
    heard
}

pub(crate) fn code(heard: &Heard) -> i32 {
    match heard.end.as_ref().map(|end| end.exit) {
        Some(ExitReport::Exited { code }) => code,
        Some(ExitReport::Signaled { signal }) => 128 + signal.number(),
        Some(ExitReport::Unknown) | None => panic!("{heard:?}"),
    }
}

pub(crate) fn is_gone(process: PidStamp) -> bool {
    let process = PidRef::open(process).unwrap();
    process.is_none_or(|process| process.wait(deadline()).unwrap())
}
