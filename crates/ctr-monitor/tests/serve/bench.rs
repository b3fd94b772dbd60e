//! A run directory, a monitor for it, and what its clients receive.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use ctr_exec::frames::{self, Frame, Stream};
use ctr_monitor::protocol::{
    AttachRequest, CleanupCommand, CleanupPromise, CreateRequest, Envelope, LogTarget, Reply,
    Request, RuntimeKind, RuntimeSpec, StdinMode, Streams, VERSION,
};
use ctr_monitor::{ExitRecord, MonitorClient, MonitorError, MonitorLaunch, files};
use ctr_sys::{
    Cgroups, Child, Deadline, ExitStatus, PidRef, PidStamp, Signal, Sync, reap_any, replace_file,
    wait_readable,
};
use rustix::fs::{CWD, Mode};

/// A hang is a failure, not a test run that never ends. Nothing else depends on it.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

pub(crate) const GENERATION: u64 = 3;

pub(crate) struct Bench {
    base: tempfile::TempDir,
    pub(crate) request: CreateRequest,
}

/// A monitor and the connection on which its container was created.
pub(crate) struct Monitored {
    pub(crate) client: MonitorClient,
    pub(crate) monitor: Child,
    pub(crate) init: PidRef,
}

/// What an attached client received.
#[derive(Default, PartialEq, Debug)]
pub(crate) struct Received {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// How many bytes it missed, when it was dropped.
    pub(crate) missed: Option<u64>,
    /// `None`: the connection ended without it.
    pub(crate) exit: Option<ExitRecord>,
}

impl Bench {
    /// For a container that runs this shell script.
    pub(crate) fn new(script: &str) -> Self {
        let base = tempfile::tempdir().unwrap();
        let run_dir = base.path().join("run");
        for part in ["run", "run/runtime", "empty"] {
            std::fs::create_dir(base.path().join(part)).unwrap();
        }
        rustix::fs::mkfifoat(CWD, run_dir.join("gate"), Mode::from_raw_mode(0o600)).unwrap();
        replace_file(&run_dir.join("script"), script.as_bytes(), 0o600, Sync::No).unwrap();
        let cleaned = base.path().join("cleaned");
        let request = CreateRequest {
            id: "c1".to_owned(),
            generation: GENERATION,
            runtime: RuntimeSpec {
                name: "shell".to_owned(),
                kind: RuntimeKind::Builtin,
            },
            mounts: Vec::new(),
            stdin: StdinMode::Null,
            streams: Streams::Pipes,
            cgroup_path: "/ctr-monitor-test-absent".to_owned(),
            monitor_cgroup: None,
            log: LogTarget::K8sFile {
                path: base.path().join("log"),
                max_size: None,
                max_files: 1,
            },
            cleanup: CleanupCommand {
                program: "/bin/sh".into(),
                args: vec!["-c".to_owned(), format!("echo x >>{}", cleaned.display())],
            },
            runtime_deadline_ms: 60_000,
            timeout_ms: None,
            run_dir,
        };
        Self { base, request }
    }

    /// Removes what a monitor makes, as an engine does between two runs.
    pub(crate) fn clear(&self) {
        for file in [files::CONTROL, files::STDOUT, files::STDERR] {
            std::fs::remove_file(self.request.run_dir.join(file)).ok();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    pub(crate) fn launch(&self) -> (MonitorClient, Child) {
        let launch = MonitorLaunch {
            program: std::env::current_exe().unwrap(),
            args: vec!["monitor".to_owned()],
            empty_dir: self.path("empty"),
            cgroup: "/ctr-monitors".to_owned(),
        };
        MonitorClient::spawn(&launch, &Cgroups::detect().unwrap()).unwrap()
    }

    /// A monitor with a container that waits for its start.
    pub(crate) fn created(&self) -> Monitored {
        let (mut client, monitor) = self.launch();
        let request = self.request.clone();
        let (init, stamp) = client.create(request, &[], deadline()).unwrap();
        assert_eq!(stamp.pid, monitor.pid());
        Monitored {
            client,
            monitor,
            init: PidRef::open(init).unwrap().unwrap(),
        }
    }

    /// A monitor with a container that is kept, whatever becomes of its creator.
    pub(crate) fn committed(&self) -> Monitored {
        let mut monitored = self.created();
        monitored.client.commit(deadline()).unwrap();
        monitored
    }

    /// Another client.
    pub(crate) fn connect(&self) -> MonitorClient {
        let client = MonitorClient::connect(&self.request.run_dir).unwrap();
        client.unwrap()
    }

    pub(crate) fn attached(&self, cleanup: CleanupPromise) -> MonitorClient {
        let mut client = self.connect();
        client
            .attach(
                AttachRequest {
                    cleanup,
                    ..AttachRequest::observer()
                },
                deadline(),
            )
            .unwrap();
        client
    }

    pub(crate) fn exit_record(&self) -> Option<ExitRecord> {
        ExitRecord::read(&self.request.run_dir, GENERATION).unwrap()
    }

    /// Waits for the end of the monitor and all that it left; how often the cleanup command ran.
    pub(crate) fn cleanups(&self, monitor: &Child) -> usize {
        assert_eq!(
            monitor.wait_deadline(deadline()).unwrap(),
            Some(ExitStatus::Exited(0))
        );
        self.cleanups_of_all()
    }

    /// Waits for the end of everything; how often the cleanup command ran.
    pub(crate) fn cleanups_of_all(&self) -> usize {
        for child in std::iter::repeat_with(children)
            .take_while(|found| !found.is_empty())
            .flatten()
        {
            assert!(child.wait(deadline()).unwrap(), "still running: {child:?}");
        }
        while reap_any().unwrap().is_some() {}
        std::fs::read(self.path("cleaned")).map_or(0, |text| text.len() / 2)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        kill_children();
    }
}

/// Kills whatever is left; the end of one makes its children ours.
pub(crate) fn kill_children() {
    let found = std::iter::repeat_with(children);
    for child in found.take_while(|found| !found.is_empty()).flatten() {
        child.signal(Signal::KILL).ok();
        child.wait(deadline()).ok();
    }
    while let Ok(Some(_)) = reap_any() {}
}

pub(crate) fn deadline() -> Deadline {
    Deadline::after(GUARD)
}

fn children() -> Vec<PidRef> {
    let text = std::fs::read_to_string("/proc/thread-self/children").unwrap();
    let pids = text.split_whitespace().map(|pid| pid.parse().unwrap());
    pids.filter_map(|pid| PidRef::capture(pid).unwrap())
        .collect()
}

pub(crate) fn send(client: &MonitorClient, request: Request) {
    let envelope = Envelope {
        version: VERSION,
        request,
    };
    let bytes = serde_json::to_vec(&envelope).unwrap();
    frames::send(client.as_fd(), &bytes, &[]).unwrap();
}

fn reply(client: &MonitorClient) -> Reply {
    assert!(wait_readable(client.as_fd(), deadline()).unwrap());
    let frame = frames::receive(client.as_fd()).unwrap();
    let Frame::Message(reply, _) = frame else {
        panic!("{frame:?}");
    };
    Reply::parse(&reply).unwrap()
}

/// Sends bytes as they are and returns the reply.
pub(crate) fn ask_bytes(client: &MonitorClient, bytes: &[u8]) -> Reply {
    frames::send(client.as_fd(), bytes, &[]).unwrap();
    reply(client)
}

pub(crate) fn ask(client: &MonitorClient, request: Request) -> Reply {
    send(client, request);
    reply(client)
}

/// Reads so many bytes of the standard output.
pub(crate) fn stdout_of(client: &mut MonitorClient, count: usize) -> Vec<u8> {
    client.set_nonblocking().unwrap();
    let mut bytes = Vec::new();
    while bytes.len() < count {
        if !client.has_early_frames() {
            assert!(wait_readable(client.as_fd(), deadline()).unwrap());
        }
        match client.try_next_frame().unwrap() {
            Some(Frame::Data(Stream::Stdout, part)) => bytes.extend(part),
            Some(Frame::Message(..)) | None => {}
            Some(frame) => panic!("{frame:?}"),
        }
    }
    bytes
}

/// Reads until the exit arrives or the connection ends.
pub(crate) fn receive(client: &mut MonitorClient) -> Received {
    client.set_nonblocking().unwrap();
    let mut received = Received::default();
    loop {
        if !client.has_early_frames() {
            assert!(wait_readable(client.as_fd(), deadline()).unwrap());
        }
        match client.try_next_frame().unwrap() {
            Some(Frame::Data(Stream::Stdout, bytes)) => received.stdout.extend(bytes),
            Some(Frame::Data(Stream::Stderr, bytes)) => received.stderr.extend(bytes),
            Some(Frame::Data(Stream::Stdin, _)) => panic!("input came back"),
            Some(Frame::Message(bytes, _)) => match Reply::parse(&bytes).unwrap() {
                Reply::Exit(record) => {
                    received.exit = Some(record);
                    return received;
                }
                Reply::Dropped { missed } => received.missed = Some(missed),
                Reply::Created { .. }
                | Reply::Done
                | Reply::Status(_)
                | Reply::SessionStarted { .. }
                | Reply::SessionExit(_)
                | Reply::Failed(_) => {}
            },
            Some(Frame::End) => return received,
            None => {}
        }
    }
}

pub(crate) fn assert_refused(reply: Reply, words: &str) {
    let Reply::Failed(failure) = reply else {
        panic!("{reply:?}");
    };
    let text = MonitorError::from(failure).to_string();
    assert!(text.contains(words), "{text}");
}

/// Nobody holds the liveness lock and nobody listens.
pub(crate) fn assert_nobody(bench: &Bench) {
    let run_dir = &bench.request.run_dir;
    let holder: Option<i32> = ctr_sys::Liveness::probe(&run_dir.join(files::ALIVE)).unwrap();
    assert_eq!(holder, None);
    assert!(MonitorClient::connect(run_dir).unwrap().is_none());
}

pub(crate) fn is_gone(stamp: PidStamp) -> bool {
    PidRef::open(stamp).unwrap().is_none()
}
