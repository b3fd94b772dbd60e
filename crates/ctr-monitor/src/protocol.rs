//! What engine and monitor say to each other.
//!
//! Messages are JSON objects in frames ([`ctr_exec::frames`]). Every request gets exactly one reply on its connection, in order. A
//! connection that has attached also receives output frames, and one [`Reply::Exit`], [`Reply::SessionExit`] or [`Reply::Dropped`] after the
//! last of them. A connection is attached to one thing at most: the container's own program, or one exec session.
//! Unknown fields are ignored; a request of another [`VERSION`] is refused with a reply.

mod session;

use std::path::{Path, PathBuf};

use ctr_exec::WindowSize;
use ctr_exec::session::{SessionExit, SessionId};
use ctr_sys::{Launch, PidStamp, Signal, SysResult};
use serde::{Deserialize, Serialize};

use crate::error::WireFailure;
use crate::record::ExitRecord;

pub use session::{
    ExecRequest, ExecStart, ExecStartRequest, GivenStream, SessionSignal, SignalScope,
};

/// The version of the protocol that this code speaks.
pub const VERSION: u32 = 1;

/// A request with its version.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope {
    /// See [`VERSION`].
    pub version: u32,
    /// The request.
    #[serde(flatten)]
    pub request: Request,
}

/// What a client may ask.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "request")]
pub enum Request {
    /// Create the container. Only as the first request on the connection that the monitor was started with; the mounts come as
    /// descriptors of the same packet.
    Create(Box<CreateRequest>),
    /// Look after a container that lives and whose monitor was killed. Only as the first request, like [`Request::Create`], and answered in
    /// the same way.
    Adopt(Box<AdoptRequest>),
    /// The engine has recorded the creation: keep the container even when this connection ends.
    Commit,
    /// Let the container's program run.
    Start,
    /// Send me the output from now on.
    Attach(AttachRequest),
    /// Stop sending; the end of this connection, which follows, means nothing more.
    Detach,
    /// The terminal of this client has this size now. Nothing happens to a program without a terminal.
    Resize {
        /// Which.
        size: WindowSize,
        /// Of which session; `None`: of what this client is attached to, or else the container's own program.
        #[serde(default)]
        session: Option<SessionId>,
    },
    /// Send a signal to the container's first process.
    Signal {
        /// Which.
        signal: Signal,
    },
    /// Make an exec session, and perhaps start it.
    Exec(Box<ExecRequest>),
    /// Start an exec session that was made before.
    ExecStart(Box<ExecStartRequest>),
    /// Send a signal to an exec session.
    SessionSignal(SessionSignal),
    /// Forget an exec session that was never started.
    SessionRemove {
        /// Which.
        session: SessionId,
    },
    /// How is it?
    Status,
    /// I have cleaned up after this generation: end without the cleanup command.
    Cleaned,
    /// Kill the container and end without the cleanup command: the engine takes its start back.
    Abandon,
}

impl Request {
    /// The request as a verb, for messages.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create(_) => "create the container",
            Self::Adopt(_) => "look after the container",
            Self::Commit => "keep the container",
            Self::Start => "start the container",
            Self::Attach(_) => "attach",
            Self::Detach => "detach",
            Self::Resize { .. } => "resize the terminal",
            Self::Signal { .. } | Self::SessionSignal(_) => "send a signal",
            Self::Exec(_) | Self::ExecStart(_) => "execute a process",
            Self::SessionRemove { .. } => "remove an exec session",
            Self::Status => "tell its status",
            Self::Cleaned => "end",
            Self::Abandon => "give the container up",
        }
    }
}

/// Everything about the container that the monitor needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateRequest {
    /// The container's id.
    pub id: String,
    /// Which run of it this is.
    pub generation: u64,
    /// Its run directory, which exists with the pipes and targets of mounts in it (see [`crate::files`]).
    pub run_dir: PathBuf,
    /// Which runtime.
    pub runtime: RuntimeSpec,
    /// What to attach where; the descriptors come in the same order.
    pub mounts: Vec<MountTarget>,
    /// Whether standard input stays open for clients.
    pub stdin: StdinMode,
    /// What the container's standard streams are.
    #[serde(default)]
    pub streams: Streams,
    /// The container's control group, for counting what the kernel killed in it.
    pub cgroup_path: String,
    /// The control group that the monitor enters where it was not started in it; `None`: it stays where it is.
    pub monitor_cgroup: Option<String>,
    /// The log.
    pub log: LogTarget,
    /// What to run when the container has ended.
    pub cleanup: CleanupCommand,
    /// How long one call of the runtime may take, in ms.
    pub runtime_deadline_ms: u64,
    /// How long its program may run, in ms from its start; `None` for no limit. Time in which the container is paused counts, time in
    /// which the machine sleeps does not.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// A container that needs another monitor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdoptRequest {
    /// As it was created, but for the mounts, which it has, and its time limit: that is from now on.
    pub container: CreateRequest,
    /// Its first process.
    pub init: PidStamp,
    /// Whether its program has been started.
    pub phase: Phase,
}

/// A runtime as data, to be turned into one by the program that serves the monitor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeSpec {
    /// Its configured name.
    pub name: String,
    /// What it is.
    pub kind: RuntimeKind,
}

/// What a runtime is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum RuntimeKind {
    /// The one inside the monitor's own program.
    Builtin,
    /// A program with the usual command line.
    Program {
        /// Its path.
        path: PathBuf,
    },
}

/// Where a mount that came as a descriptor goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountTarget {
    /// An existing file or directory, relative to the run directory.
    pub path: PathBuf,
}

/// What the container's standard input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StdinMode {
    /// `/dev/null`.
    Null,
    /// A pipe that clients write to.
    Open,
}

/// What a container's standard streams are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Streams {
    /// Pipes to the monitor.
    #[default]
    Pipes,
    /// A pseudo-terminal whose master the monitor has.
    Terminal,
    /// Three descriptors that come after those of the mounts. The monitor keeps none of them, so it has nothing to log or to copy.
    Given,
}

/// Where output is logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "driver")]
pub enum LogTarget {
    /// Nowhere.
    None,
    /// A file in the Kubernetes text form.
    K8sFile {
        /// Its path.
        path: PathBuf,
        /// The most bytes that the file holds before it is put aside; `None` for no limit.
        #[serde(default)]
        max_size: Option<u64>,
        /// How many files there are at most, with those put aside (`PATH.1`, `PATH.2`, …, older and older); at least 1.
        #[serde(default = "one_file")]
        max_files: u32,
    },
    /// The journal of the host.
    Journald {
        /// Its socket.
        socket: PathBuf,
        /// The container's name.
        name: String,
        /// What its entries are marked with.
        #[serde(default)]
        tag: Option<String>,
    },
}

fn one_file() -> u32 {
    1
}

/// The command that cleans up after a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanupCommand {
    /// Path of the installed program; the monitor's own file is used when this one is gone.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

impl CleanupCommand {
    /// Has `program` carry it out, in a session of its own and with nothing of the caller's, and leaves it alone.
    ///
    /// # Errors
    /// When the program cannot be executed.
    pub fn launch(&self, program: &Path) -> SysResult<()> {
        let started = Launch::program(program)
            .args(&self.args)
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .umask(0o077)
            .new_session()
            .spawn()?;
        started.detach();
        Ok(())
    }
}

/// How a client attaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachRequest {
    /// Whether it will clean up when the container has ended; such a client is the container's foreground.
    pub cleanup: CleanupPromise,
    /// The size of its terminal, which the program's terminal takes over.
    #[serde(default)]
    pub window: Option<WindowSize>,
    /// To which exec session; `None`: to the container's own program.
    #[serde(default)]
    pub session: Option<SessionId>,
    /// Whether its input counts.
    #[serde(default)]
    pub input: ClientInput,
    /// So many bytes of output that was written before come first, as far as they are still known.
    #[serde(default)]
    pub replay: u64,
}

impl AttachRequest {
    /// One more client of the container's own program, from now on.
    pub fn observer() -> Self {
        Self {
            cleanup: CleanupPromise::None,
            window: None,
            session: None,
            input: ClientInput::Taken,
            replay: 0,
        }
    }
}

/// Whether a client's input reaches the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientInput {
    /// It does.
    #[default]
    Taken,
    /// It is thrown away: the client looks on.
    Ignored,
}

/// Who cleans up after the exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CleanupPromise {
    /// Not this client.
    None,
    /// This client, and says [`Request::Cleaned`] when it has; if its connection ends before, the cleanup command runs.
    Made,
}

/// What a monitor answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub enum Reply {
    /// The container exists and waits.
    Created {
        /// Its first process.
        init: PidStamp,
        /// The monitor itself.
        monitor: PidStamp,
    },
    /// Done.
    Done,
    /// The status.
    Status(MonitorStatus),
    /// It failed; nothing else changed.
    Failed(WireFailure),
    /// The process of an exec session exists.
    SessionStarted {
        /// Its identity.
        process: PidStamp,
    },
    /// The container has ended; the last thing an attached client receives.
    Exit(ExitRecord),
    /// The exec session has ended; the last thing a client that is attached to it receives.
    SessionExit(SessionExit),
    /// The client took too little while others waited; the last thing that it receives. The container goes on.
    Dropped {
        /// Bytes of output that were not sent to it.
        missed: u64,
    },
}

/// How the container and the monitor are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonitorStatus {
    /// The run.
    pub generation: u64,
    /// Where the run is.
    pub phase: Phase,
    /// The first process.
    pub init: PidStamp,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Created and waiting for its start.
    Created,
    /// Started.
    Started,
    /// Ended.
    Ended,
}
