//! One exec session: a process that was added to the container, its streams, its record.

mod adopt;
mod group;
mod launch;
mod run;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use ctr_exec::frames::Stream;
use ctr_exec::session::{
    Keep, OnDisconnect, SessionExit, SessionId, SessionPaths, SessionRecord, SessionState, WaitIo,
};
use ctr_exec::{ExecError, WindowSize};
use ctr_sys::{Deadline, ExitStatus, PidStamp, Signal};
use rustix::event::{PollFd, PollFlags};

use super::container::Container;
use super::replay::Replay;
use super::streams::{Input, ReadOutput, Streams};
use super::subject::{ClientId, Key};
use crate::error::WireFailure;
use crate::protocol::{ExecRequest, SignalScope};
use group::Group;
use launch::{Order, Starting};
use run::Running;

pub(super) struct Session {
    key: Key,
    record: SessionRecord,
    run_dir: PathBuf,
    container_group: String,
    group: Group,
    stage: Stage,
    streams: Streams,
    replay: Replay,
    /// Whether anybody knows its id before it has been started.
    announced: Announced,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Announced {
    Yes,
    No,
}

enum Stage {
    Created,
    /// Until there is room for another helper.
    Waiting(Box<Order>),
    Starting(Box<Starting>),
    Running(Box<Running>),
    /// Whatever was to happen has happened.
    Over,
}

/// What was agreed at the start.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    timeout_ms: Option<u64>,
    wait_io: WaitIo,
    on_disconnect: OnDisconnect,
    window: Option<WindowSize>,
    /// Who is told that it has started.
    client: ClientId,
    client_is: ClientIs,
}

/// Whether the client of a session is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientIs {
    There,
    Gone,
}

/// Output in the order in which it came.
pub(super) type Output = Vec<(Stream, Vec<u8>)>;

/// What has become of a session.
pub(super) enum Change {
    /// Its process exists; this is what it has written by then.
    Started {
        client: ClientId,
        process: PidStamp,
        output: Output,
    },
    /// It could not be started, and is over.
    Failed {
        client: ClientId,
        failure: WireFailure,
    },
    /// It is over.
    Ended(SessionExit),
}

impl Session {
    /// A session that waits for its start, with its directory.
    pub(super) fn create(
        key: Key,
        container: &Container<'_>,
        request: &ExecRequest,
        boot_id: &str,
        process: &[u8],
    ) -> Result<Self, WireFailure> {
        let of = container.request();
        let (id, config) = (request.session.clone(), request.config.clone());
        let mut record = SessionRecord::new(id, &of.id, of.generation, boot_id, config);
        record.keep = request.keep;
        let session = Self {
            key,
            record,
            run_dir: of.run_dir.clone(),
            container_group: of.cgroup_path.clone(),
            group: Group::None,
            stage: Stage::Created,
            streams: Streams::default(),
            replay: Replay::default(),
            announced: match request.start {
                None => Announced::Yes,
                Some(_) => Announced::No,
            },
        };
        launch::make_directory(&session.paths(), process)?;
        match session.write_record() {
            Ok(()) => Ok(session),
            Err(error) => {
                session.forget_directory();
                Err(error.into())
            }
        }
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    pub(super) fn id(&self) -> &SessionId {
        &self.record.id
    }

    fn paths(&self) -> SessionPaths {
        SessionPaths::new(&self.run_dir, &self.record.id)
    }

    fn write_record(&self) -> Result<(), ExecError> {
        self.record.write(&self.run_dir)
    }

    /// Whether it has not been started.
    pub(super) fn is_created(&self) -> bool {
        matches!(self.stage, Stage::Created)
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_))
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.stage, Stage::Starting(_))
    }

    /// Adds what is to be waited for.
    pub(super) fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>, room: ReadOutput) {
        let room = match &self.stage {
            Stage::Created | Stage::Waiting(_) | Stage::Over => return,
            Stage::Starting(starting) => {
                starting.helper.add_to(fds);
                starting.has_room()
            }
            Stage::Running(running) => {
                if running.ended.is_none() {
                    let process = running.process.as_fd();
                    fds.push(PollFd::from_borrowed_fd(process, PollFlags::IN));
                }
                room
            }
        };
        self.streams.add_to(fds, room);
    }

    /// When [`Session::step`] is to be called although nothing happened.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let own = match &self.stage {
            Stage::Created | Stage::Waiting(_) | Stage::Over => None,
            Stage::Starting(starting) => starting.helper.timeout(),
            Stage::Running(running) => match &running.ended {
                Some(ended) => ended.until.remaining(),
                None => running.time.timeout(),
            },
        };
        own.into_iter().chain(self.streams.timeout()).min()
    }

    /// Output that is there now, one read of each stream.
    pub(super) fn read(&mut self) -> Output {
        if !matches!(self.stage, Stage::Running(_)) {
            return Vec::new();
        }
        let output = read_all(&mut self.streams);
        self.remember(&output);
        output
    }

    fn remember(&mut self, output: &[(Stream, Vec<u8>)]) {
        for (stream, bytes) in output {
            self.replay.push(*stream, bytes);
        }
    }

    /// What was written last.
    pub(super) fn replay(&self) -> &Replay {
        &self.replay
    }

    pub(super) fn input(&self) -> Input {
        self.streams.input()
    }

    pub(super) fn queue_stdin(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            self.streams.end_stdin();
        } else {
            self.streams.queue_stdin(bytes);
        }
        self.streams.write_stdin();
    }

    pub(super) fn lose_stdin(&mut self) {
        self.streams.lose_stdin();
    }

    pub(super) fn resize(&self, size: WindowSize) -> Result<(), ExecError> {
        self.streams.resize(size)
    }

    /// Its process, as long as that is known to exist.
    pub(super) fn process(&self) -> Option<PidStamp> {
        match &self.stage {
            Stage::Running(running) => Some(running.process.stamp()),
            Stage::Created | Stage::Waiting(_) | Stage::Starting(_) | Stage::Over => None,
        }
    }

    /// A child was reaped; whether it was this session's process.
    pub(super) fn note_reaped(&mut self, pid: i32, status: ExitStatus) -> bool {
        match &mut self.stage {
            Stage::Running(running) if running.process.stamp().pid == pid => {
                running.reaped = Some(status);
                true
            }
            Stage::Running(_)
            | Stage::Created
            | Stage::Waiting(_)
            | Stage::Starting(_)
            | Stage::Over => false,
        }
    }

    /// Does what is to be done now. Output that a call brings comes before its change.
    pub(super) fn step(&mut self) -> (Output, Option<Change>) {
        self.streams.write_stdin();
        match &self.stage {
            Stage::Created | Stage::Waiting(_) | Stage::Over => (Vec::new(), None),
            Stage::Starting(_) => (Vec::new(), self.step_start()),
            Stage::Running(_) => self.step_run(),
        }
    }

    /// The client in whose foreground it runs has gone without a word.
    pub(super) fn lose_client(&mut self) {
        let terms = match &mut self.stage {
            Stage::Waiting(order) => &mut order.terms,
            Stage::Starting(starting) => &mut starting.terms,
            Stage::Running(running) => &mut running.terms,
            Stage::Created | Stage::Over => return,
        };
        terms.client_is = ClientIs::Gone;
        self.see_to_lost_client();
    }

    fn see_to_lost_client(&mut self) {
        let Stage::Running(running) = &self.stage else {
            return;
        };
        let signal = match (running.terms.client_is, running.terms.on_disconnect) {
            (ClientIs::There, _) | (ClientIs::Gone, OnDisconnect::Keep) => return,
            (ClientIs::Gone, OnDisconnect::Hup) => Signal::HUP,
            (ClientIs::Gone, OnDisconnect::Kill) => Signal::KILL,
        };
        // Nobody is left who could be told of a failure.
        drop(self.signal(signal, SignalScope::All));
    }

    /// Sends a signal to its process, or to all that belong to it; processes that have ended are fine.
    pub(super) fn signal(&mut self, signal: Signal, scope: SignalScope) -> Result<(), WireFailure> {
        let Stage::Running(running) = &mut self.stage else {
            let why = "its process does not run";
            return Err(WireFailure::own(
                "send a signal to exec session",
                self.id().short(),
                why,
            ));
        };
        match scope {
            SignalScope::Process => {
                running.process.signal(signal)?;
            }
            SignalScope::All => {
                self.group.signal(&running.process, signal)?;
                if let (Signal::KILL, Some(ended)) = (signal, &mut running.ended) {
                    // Whoever else may hold its output open: nobody waits for that any more.
                    ended.until = Deadline::after(Duration::ZERO);
                }
            }
        }
        Ok(())
    }

    /// The container has ended: so does this.
    pub(super) fn end_with_container(&mut self) -> (Output, Option<Change>) {
        let client = match &self.stage {
            Stage::Created | Stage::Over => return (Vec::new(), None),
            Stage::Running(_) => return self.end_now(),
            Stage::Waiting(order) => order.terms.client,
            Stage::Starting(starting) => starting.terms.client,
        };
        if let Stage::Starting(starting) = std::mem::replace(&mut self.stage, Stage::Over) {
            starting.helper.cancel();
        }
        let why = "the container has ended";
        let failure = WireFailure::own("execute a process in", &self.record.container, why);
        (Vec::new(), Some(self.failed(client, failure)))
    }

    /// It could not be started; what may exist of it is killed.
    fn failed(&mut self, client: ClientId, failure: WireFailure) -> Change {
        self.stage = Stage::Over;
        self.group.kill(&self.container_group, &self.paths());
        let why = match &failure {
            WireFailure::Runtime(failure) => failure.to_string(),
            WireFailure::Monitor { why, .. } => why.clone(),
        };
        self.record.state = SessionState::Failed { why };
        match (self.record.keep, self.announced) {
            (Keep::UntilTold, _) | (_, Announced::No) => self.forget_directory(),
            (Keep::UntilRemoved, Announced::Yes) => drop(self.write_record()),
        }
        Change::Failed { client, failure }
    }

    /// Removes its directory. What is left is removed with that of the run.
    pub(super) fn forget_directory(&self) {
        drop(self.paths().remove());
    }

    /// What is left of a session that is over: its control group, unless it still has processes, and pipes that these write to.
    pub(super) fn into_leftovers(self) -> (Option<String>, Vec<OwnedFd>) {
        let group = match self.group {
            Group::Own(path) => Some(path),
            Group::None => None,
        };
        (group, self.streams.into_leftovers())
    }
}

/// What is there now, one read of each stream.
fn read_all(streams: &mut Streams) -> Output {
    let both = [Stream::Stdout, Stream::Stderr].into_iter();
    both.filter_map(|stream| streams.read(stream).map(|bytes| (stream, bytes)))
        .collect()
}
