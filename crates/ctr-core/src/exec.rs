//! Exec: further processes in a container that runs.
//!
//! The container's monitor hosts them ([`ctr_exec::session`]), so neither the container's lock nor a transaction stands between a caller
//! and the process: whether the container runs is asked of the kernel and of the monitor. What is recorded of a session is a file that
//! the monitor writes before the process exists. The events `exec` and `exec_died` are the caller's to report; where it is gone, whoever
//! takes the container's lock next reports them ([`crate::container::LockedContainer`]).

mod ended;
mod process;
mod sessions;
mod streams;
mod taken_in;

use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use ctr_exec::WindowSize;
use ctr_exec::session::{
    Input, Keep, OnDisconnect, SessionConfig, SessionId, SessionState, Tty, WaitIo,
};
use ctr_monitor::protocol::{self, ExecStartRequest};
use ctr_monitor::{MonitorClient, MonitorError};
use ctr_oci::Rights;
use ctr_state::{Config, Operation, Snapshot, Status};
use ctr_sys::{Deadline, PidStamp};

use crate::container::Container;
use crate::error::EngineError;
use crate::init::{MONITOR_WAIT, REPLY_WAIT, RUNTIME_WAIT};
use crate::session::{Attached, Session};
use crate::summary::Summary;
use ended::begun;
use process::{Prepared, prepare};
use streams::given_streams;

pub(crate) use ended::{exec_end, exit_info as session_exit_info, finish_exec};
pub use sessions::{ExecInspect, ExecProcessInspect, ExecSignal};
pub(crate) use taken_in::TakeIn;

/// What is to be executed, and as whom.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Variables beside those of the container's own program, which they replace.
    pub env: Vec<(String, String)>,
    /// The working directory; `None` for that of the container's own program.
    pub cwd: Option<PathBuf>,
    /// The user, and group, by name or number; `None` for that of the container's own program.
    pub user: Option<String>,
    /// Whether it gets a terminal.
    pub tty: Tty,
    /// What it reads.
    pub input: Input,
    /// Which capabilities it has.
    pub rights: Rights,
    /// The keys by which clients leave, for those who ask about the session; empty for none.
    pub detach_keys: String,
}

/// How a session is started.
#[derive(Clone, Debug)]
pub struct ExecStart<'a> {
    /// Whether the caller attaches: the session then runs in its foreground.
    pub attach: ExecAttach<'a>,
    /// Further descriptors that the process gets, with their numbers there: 3 or more, in ascending order.
    pub preserved: Vec<(i32, BorrowedFd<'a>)>,
    /// How long it may run, in ms; `None` for no limit.
    pub timeout_ms: Option<u64>,
    /// How long the output of processes that it leaves behind is waited for.
    pub wait_io: WaitIo,
    /// What becomes of its processes when the caller is gone without having left.
    pub on_disconnect: OnDisconnect,
}

impl ExecStart<'_> {
    /// A session that runs by itself.
    pub fn in_background() -> Self {
        Self {
            attach: ExecAttach::None,
            preserved: Vec::new(),
            timeout_ms: None,
            wait_io: WaitIo::default(),
            on_disconnect: OnDisconnect::default(),
        }
    }
}

/// Whether the caller attaches to a session.
#[derive(Clone, Copy, Debug)]
pub enum ExecAttach<'a> {
    /// It runs by itself.
    None,
    /// The caller gets its streams, from the first byte on.
    Streams {
        /// The size of the caller's terminal, for a session that has one; set before its program starts.
        window: Option<WindowSize>,
        /// The caller's standard streams, as far as they are to be used.
        streams: [Option<BorrowedFd<'a>>; 3],
        /// Whether they may be handed over.
        stdio: Stdio,
    },
}

/// Whether the caller's own streams are handed over to the process, so that nothing copies a byte.
///
/// Only pipes and sockets ever are: a file could be truncated by the container, and a terminal typed into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdio {
    /// Those that are pipes or sockets, if the process has no terminal.
    #[default]
    Auto,
    /// None: all bytes pass through the monitor, so that others can attach.
    Stream,
    /// All; it is an error when standard input or output cannot be.
    Pass,
}

/// What a start led to.
#[derive(Debug)]
pub enum ExecStarted<'e> {
    /// It runs by itself.
    Detached(SessionId),
    /// It runs, and its streams are here.
    Attached(Session<'e>),
}

/// A container that runs, as a reader sees it.
pub(crate) struct Target {
    snapshot: Snapshot,
    init: PidStamp,
}

impl Target {
    /// The container, if it runs.
    fn of(container: &Container<'_>) -> Result<Self, EngineError> {
        let summary = container.summary()?;
        let snapshot = summary.snapshot().clone();
        let record = snapshot.record()?;
        let status = summary.status().unwrap_or(record.status());
        let init = record.init().filter(|_| status == Status::Running);
        match init {
            Some(init) => Ok(Self { snapshot, init }),
            None => Err(wrong_status(container, &summary, status)),
        }
    }

    fn config(&self) -> Result<&Config, EngineError> {
        Ok(self.snapshot.config()?)
    }
}

fn wrong_status(container: &Container<'_>, summary: &Summary, status: Status) -> EngineError {
    let snapshot = summary.snapshot();
    EngineError::WrongStatus {
        id: container.id().clone(),
        name: snapshot.name().to_string(),
        status,
        since_ns: summary.since_ns().unwrap_or(snapshot.created_ns()),
        operation: Operation::Exec,
    }
}

impl<'e> Container<'e> {
    /// Executes a process in the container, which must run. Neither a lock nor a transaction is waited for. A session in the caller's
    /// foreground is forgotten when its end has been told; one that runs by itself stays until somebody removes it, or the run is over.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when the container does not run; [`EngineError::Runtime`] with its kind when the command is not found or
    /// cannot be executed; nothing of the session is left then.
    pub fn exec(
        &self,
        request: &ExecRequest,
        start: &ExecStart<'_>,
    ) -> Result<ExecStarted<'e>, EngineError> {
        let id = SessionId::generate()?;
        let _span =
            tracing::info_span!("exec", container = self.id().short(), session = id.short())
                .entered();
        let target = Target::of(self)?;
        let prepared = prepare(self.engine(), &target, request, start.window())?;
        let given = given_streams(request.tty, request.input, &start.attach)?;
        let mut descriptors = vec![prepared.file()];
        descriptors.extend(start.descriptors(&given));
        let order = protocol::ExecRequest {
            session: id.clone(),
            config: config_of(request, &prepared),
            keep: match start.attach {
                // Whoever wants to know its end has to ask for it.
                ExecAttach::None => Keep::UntilRemoved,
                ExecAttach::Streams { .. } => Keep::UntilTold,
            },
            start: Some(start.order(&given)?),
        };
        let mut client = self.answering_client()?;
        let started = client.exec(order, &descriptors, Deadline::after(MONITOR_WAIT));
        let process = started.map_err(|error| self.explain_exec(error, &prepared))?;
        self.report_begun(&target, &id);
        Ok(self.started(id, process, client, request.tty, start, given))
    }

    /// Makes a session that waits for its start. It stays until somebody removes it, or the container's run is over.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when the container does not run; [`EngineError::Runtime`] when the command is not found.
    pub fn create_exec(&self, request: &ExecRequest) -> Result<SessionId, EngineError> {
        let id = SessionId::generate()?;
        let target = Target::of(self)?;
        let prepared = prepare(self.engine(), &target, request, None)?;
        let order = protocol::ExecRequest {
            session: id.clone(),
            config: config_of(request, &prepared),
            keep: Keep::UntilRemoved,
            start: None,
        };
        let mut client = self.exec_client()?;
        let made = client.create_session(order, prepared.file(), Deadline::after(REPLY_WAIT));
        made.map_err(|error| self.explain_exec(error, &prepared))?;
        Ok(id)
    }

    /// Starts a session that was made before.
    ///
    /// # Errors
    /// [`EngineError::NoSession`]; [`EngineError::SessionState`] when it has been started; otherwise as [`Container::exec`].
    pub fn start_exec(
        &self,
        id: &SessionId,
        start: &ExecStart<'_>,
    ) -> Result<ExecStarted<'e>, EngineError> {
        let target = Target::of(self)?;
        let record = self.exec_record(id)?;
        if record.state != SessionState::Created {
            return Err(EngineError::session_state(&record, "start"));
        }
        let given = given_streams(record.config.tty, record.config.input, &start.attach)?;
        let order = ExecStartRequest {
            session: id.clone(),
            start: start.order(&given)?,
        };
        let mut client = self.answering_client()?;
        let wait = Deadline::after(MONITOR_WAIT);
        let started = client.start_session(order, &start.descriptors(&given), wait);
        let process = started.map_err(|error| self.exec_gone(error))?;
        self.report_begun(&target, id);
        let tty = record.config.tty;
        Ok(self.started(id.clone(), process, client, tty, start, given))
    }

    fn started(
        &self,
        id: SessionId,
        process: PidStamp,
        client: MonitorClient,
        tty: Tty,
        start: &ExecStart<'_>,
        given: Vec<protocol::GivenStream>,
    ) -> ExecStarted<'e> {
        match start.attach {
            ExecAttach::None => ExecStarted::Detached(id),
            ExecAttach::Streams { .. } => {
                let attached = Attached::to_exec(id, process, tty, given);
                let container = self.engine().container(self.id());
                ExecStarted::Attached(Session::new(container, attached, client, None))
            }
        }
    }

    /// The monitor's side of exec; one that is gone has mostly gone with its container. If it was killed, another one takes its place first.
    pub(crate) fn exec_client(&self) -> Result<MonitorClient, EngineError> {
        let run_dir = self.engine().run_dir(self.id());
        if let Some(client) = MonitorClient::connect(&run_dir)? {
            return Ok(client);
        }
        self.lock("exec")?.unlock();
        let client = MonitorClient::connect(&run_dir)?;
        let gone = MonitorError::Gone {
            request: "execute a process",
        };
        client.ok_or_else(|| self.exec_gone(gone))
    }

    /// The same, once it has answered: a runtime may take its time, but a monitor that stands still is not waited for as long.
    fn answering_client(&self) -> Result<MonitorClient, EngineError> {
        let mut client = self.exec_client()?;
        let answered = client.status(Deadline::after(REPLY_WAIT));
        answered.map_err(|error| self.exec_gone(error))?;
        Ok(client)
    }

    /// The container may have ended meanwhile; then that is what is said.
    fn exec_gone(&self, error: MonitorError) -> EngineError {
        if !matches!(
            error,
            MonitorError::Gone { .. } | MonitorError::Failed { .. }
        ) {
            return error.into();
        }
        match (Target::of(self), &error) {
            (Err(ended @ EngineError::WrongStatus { .. }), _) => ended,
            (Ok(target), MonitorError::Gone { .. }) => EngineError::MonitorLost {
                name: target.snapshot.name().to_string(),
            },
            _ => error.into(),
        }
    }

    fn explain_exec(&self, error: MonitorError, prepared: &Prepared) -> EngineError {
        if let MonitorError::Runtime(failure) = error {
            return prepared.judge(failure).into();
        }
        self.exec_gone(error)
    }

    /// Reports that a session has begun. A journal that cannot be written to must not end what runs; whoever reports its end reports this, too,
    /// then.
    fn report_begun(&self, target: &Target, id: &SessionId) {
        let published = begun(self, &target.snapshot, id)
            .and_then(|event| Ok(self.engine().store().publish(event.as_slice())?));
        if let Err(error) = published {
            tracing::warn!(%error, "cannot report the beginning of an exec session");
        }
    }
}

impl<'a> ExecStart<'a> {
    fn window(&self) -> Option<WindowSize> {
        match self.attach {
            ExecAttach::None => None,
            ExecAttach::Streams { window, .. } => window,
        }
    }

    fn order(&self, given: &[protocol::GivenStream]) -> Result<protocol::ExecStart, EngineError> {
        let foreground = match self.attach {
            ExecAttach::None => None,
            ExecAttach::Streams { .. } => Some(PidStamp::own()?),
        };
        Ok(protocol::ExecStart {
            foreground,
            window: self.window(),
            given: given.to_vec(),
            preserved: self.preserved.iter().map(|(number, _)| *number).collect(),
            timeout_ms: self.timeout_ms,
            wait_io: self.wait_io,
            on_disconnect: self.on_disconnect,
            runtime_deadline_ms: u64::try_from(RUNTIME_WAIT.as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// What goes to the monitor with the order, in its order.
    fn descriptors(&self, given: &[protocol::GivenStream]) -> Vec<BorrowedFd<'a>> {
        let streams = match self.attach {
            ExecAttach::None => [None; 3],
            ExecAttach::Streams { streams, .. } => streams,
        };
        let given = given.iter().filter_map(|stream| match stream {
            protocol::GivenStream::Stdin => streams[0],
            protocol::GivenStream::Stdout => streams[1],
            protocol::GivenStream::Stderr => streams[2],
        });
        given
            .chain(self.preserved.iter().map(|(_, fd)| *fd))
            .collect()
    }
}

fn config_of(request: &ExecRequest, prepared: &Prepared) -> SessionConfig {
    SessionConfig {
        command: request.command.clone(),
        user: request.user.clone().unwrap_or_default(),
        cwd: prepared.cwd().display().to_string(),
        tty: request.tty,
        input: request.input,
        privileged: request.rights == Rights::All,
        detach_keys: request.detach_keys.clone(),
    }
}
