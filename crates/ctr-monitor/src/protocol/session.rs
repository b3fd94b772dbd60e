//! Requests about exec sessions.

use ctr_exec::WindowSize;
use ctr_exec::session::{Keep, OnDisconnect, SessionConfig, SessionId, WaitIo};
use ctr_sys::{PidStamp, Signal};
use serde::{Deserialize, Serialize};

/// A new session. The first descriptor of the packet is a file with the process to execute, in the form of `process` of the OCI runtime
/// specification; those of [`ExecStart`] follow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Its identity, which is new.
    pub session: SessionId,
    /// What is remembered of what was asked for.
    pub config: SessionConfig,
    /// How long it stays.
    pub keep: Keep,
    /// With `Some` it is started at once; the answer is then [`Reply::SessionStarted`](super::Reply::SessionStarted), as that to
    /// [`Request::ExecStart`](super::Request::ExecStart).
    pub start: Option<ExecStart>,
}

/// How a session is started. Its descriptors come in the order of [`ExecStart::given`] and [`ExecStart::preserved`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecStart {
    /// The process in whose foreground it runs, and which is attached to it from the first byte on; `None`: it runs by itself.
    pub foreground: Option<PidStamp>,
    /// The size of the client's terminal, for a session that has one.
    #[serde(default)]
    pub window: Option<WindowSize>,
    /// Those standard streams that the client hands over; they do not pass through the monitor.
    #[serde(default)]
    pub given: Vec<GivenStream>,
    /// The numbers, 3 or more and in ascending order, that further descriptors have in the process.
    #[serde(default)]
    pub preserved: Vec<i32>,
    /// How long its process may run, in ms; `None` for no limit.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// How long the output of processes that it leaves behind is waited for.
    #[serde(default)]
    pub wait_io: WaitIo,
    /// What becomes of its processes when the client in whose foreground it runs is gone.
    #[serde(default)]
    pub on_disconnect: OnDisconnect,
    /// How long the runtime may take, in ms.
    pub runtime_deadline_ms: u64,
}

/// A standard stream that a client has handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GivenStream {
    /// Standard input.
    Stdin,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Starts a session that was created before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecStartRequest {
    /// Which.
    pub session: SessionId,
    /// How.
    pub start: ExecStart,
}

/// A signal for a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionSignal {
    /// Which session.
    pub session: SessionId,
    /// Which signal.
    pub signal: Signal,
    /// To whom.
    pub scope: SignalScope,
}

/// Whom a signal to a session reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalScope {
    /// Its own process.
    Process,
    /// Every process that belongs to it, those that it has left behind included.
    All,
}
