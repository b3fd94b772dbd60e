//! The error of the engine, grouped by what a caller can do about it.

use std::fmt;

use ctr_exec::ExecError;
use ctr_exec::session::SessionRecord;
use ctr_monitor::MonitorError;
use ctr_oci::{FailureKind, OciError, RuntimeFailure};
use ctr_rootfs::RootfsError;
use ctr_state::{ContainerId, Operation, StateError, Status};
use ctr_sys::{Signal, SysError, rfc3339};

/// What can go wrong with an operation of the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The container's status does not allow the operation.
    #[error(
        "cannot {operation} container {name}: it is {status} since {} (possible now: {})",
        moment(*since_ns),
        possible(*status)
    )]
    WrongStatus {
        /// The container.
        id: ContainerId,
        /// Its name.
        name: String,
        /// The status it has.
        status: Status,
        /// Since when: nanoseconds since 1970-01-01 UTC.
        since_ns: i64,
        /// The operation.
        operation: Operation,
    },
    /// The container's removal was begun, cannot be taken back, and cannot be finished. Any operation on it tries again.
    #[error("container {name} is removing since {}, and that cannot be finished: {cause}", moment(*since_ns))]
    RemovalStuck {
        /// Its name.
        name: String,
        /// Since when: nanoseconds since 1970-01-01 UTC.
        since_ns: i64,
        /// What is in the way.
        cause: Box<EngineError>,
    },
    /// Somebody else has called off what was asked for, while it was under way.
    #[error(
        "the {operation} of container {name} was called off: somebody has stopped it meanwhile"
    )]
    CalledOff {
        /// Its name.
        name: String,
        /// What was asked for.
        operation: Operation,
    },
    /// The container's monitor was killed while it was asked for something.
    #[error(
        "the monitor of container {name} was killed while it was asked: what it had begun may run"
    )]
    MonitorLost {
        /// The container's name.
        name: String,
    },
    /// The monitor ended, or did not answer, while a container was made or started; everything was taken back.
    #[error("container {name}: {why}")]
    MonitorFailed {
        /// The container's name.
        name: String,
        /// What became of the monitor.
        why: String,
    },
    /// There is no exec session with this id, or none any more.
    #[error("no exec session {what}: it never was, or its end has been told and it is forgotten")]
    NoSession {
        /// What was asked for.
        what: String,
    },
    /// Several exec sessions have an id that begins like this.
    #[error("several exec sessions have an id that begins with {what}: give more of it")]
    AmbiguousSession {
        /// What was asked for.
        what: String,
    },
    /// An exec session's state does not allow the operation.
    #[error("cannot {operation} exec session {id}: it is {state}")]
    SessionState {
        /// The beginning of its id.
        id: String,
        /// Its state: created, starting, running, ended or failed.
        state: &'static str,
        /// The operation, as words.
        operation: &'static str,
    },
    /// Other containers need this one, so it cannot be removed alone.
    #[error("cannot remove container {name}: it is needed by {}", by.join(", "))]
    Needed {
        /// Its name.
        name: String,
        /// The names of those that need it, in the order of their creation.
        by: Vec<String>,
    },
    /// A container that this one needs is not as it must be.
    #[error("container {name} needs {needed}: {why}")]
    Dependency {
        /// Its name.
        name: String,
        /// The name of the one that it needs.
        needed: String,
        /// How that one is, or why it could not be started.
        why: String,
    },
    /// A value of a request cannot be used.
    #[error("invalid {what} {value:?}: {why}")]
    Invalid {
        /// Which value.
        what: &'static str,
        /// The value as given.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// The runtime failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeFailure),
    /// An operation failed, and not everything that it had done could be taken back. The next command that takes the container's
    /// lock tries again.
    #[error(
        "{cause} (left behind while {operation} was taken back: {})",
        list(cleanup_failures)
    )]
    Unwound {
        /// The operation.
        operation: &'static str,
        /// Why it failed.
        cause: Box<EngineError>,
        /// What could not be taken back.
        cleanup_failures: Vec<CleanupFailure>,
    },
    /// A signal to end arrived before the container existed; everything was taken back.
    #[error("interrupted by {signal}")]
    Interrupted {
        /// Which.
        signal: Signal,
    },
    /// The container's output is kept nowhere.
    #[error("container {name} has no logs: its log driver is {driver}")]
    NoLogs {
        /// The container.
        name: String,
        /// The driver's name.
        driver: &'static str,
    },
    /// A process did not end although it was killed.
    #[error("process {pid} of container {name} is still there {waited_s} s after SIGKILL")]
    Unkillable {
        /// The container's name.
        name: String,
        /// The process.
        pid: i32,
        /// How long was waited, in seconds.
        waited_s: u64,
    },
    /// The state of containers: not found, ambiguous, name in use, busy, damaged.
    #[error(transparent)]
    State(#[from] StateError),
    /// The container's files.
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    /// The specification, or finding a runtime.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// The monitor.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// The record of an exec session.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The kernel refused something.
    #[error(transparent)]
    Sys(#[from] SysError),
}

/// An error with its causes, as one line: `a: b: c`.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Many errors already show their cause.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// A time to the second: `2026-11-25T17:04:05Z`.
fn moment(ns: i64) -> String {
    let text = rfc3339(ns);
    format!("{}Z", text.get(..19).unwrap_or(&text))
}

fn possible(status: Status) -> String {
    let words: Vec<&str> = Operation::possible(status).collect();
    words.join(", ")
}

/// A step that could not be taken back.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {error}")]
pub struct CleanupFailure {
    /// The step's name.
    pub step: &'static str,
    /// Why.
    pub error: Box<EngineError>,
}

fn list(failures: &[CleanupFailure]) -> String {
    let texts: Vec<String> = failures.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// Which exit code a failure to run a command has by convention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitHint {
    /// 125: the engine failed.
    Generic,
    /// 127: the command does not exist.
    CommandNotFound,
    /// 126: the command cannot be executed.
    CommandNotExecutable,
}

impl EngineError {
    /// The error of an operation whose steps could not all be taken back.
    pub(crate) fn unwound(operation: &'static str, cause: Self, left: Self) -> Self {
        Self::Unwound {
            operation,
            cause: Box::new(cause),
            cleanup_failures: vec![CleanupFailure {
                step: "release the run",
                error: Box::new(left),
            }],
        }
    }

    pub(crate) fn invalid(what: &'static str, value: &dyn fmt::Display, why: &str) -> Self {
        Self::Invalid {
            what,
            value: value.to_string(),
            why: why.to_owned(),
        }
    }

    pub(crate) fn session_state(record: &SessionRecord, operation: &'static str) -> Self {
        Self::SessionState {
            id: record.id.short().to_owned(),
            state: record.state.word(),
            operation,
        }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::State(StateError::NotFound {
            what: what.to_owned(),
        })
    }

    /// The exit code that the failure of a run has by convention.
    pub fn exit_hint(&self) -> ExitHint {
        match self {
            Self::Runtime(failure) | Self::Monitor(MonitorError::Runtime(failure)) => {
                hint(failure.kind)
            }
            Self::Unwound { cause, .. } => cause.exit_hint(),
            Self::WrongStatus { .. }
            | Self::RemovalStuck { .. }
            | Self::CalledOff { .. }
            | Self::MonitorLost { .. }
            | Self::MonitorFailed { .. }
            | Self::NoSession { .. }
            | Self::AmbiguousSession { .. }
            | Self::SessionState { .. }
            | Self::Needed { .. }
            | Self::Dependency { .. }
            | Self::Invalid { .. }
            | Self::Interrupted { .. }
            | Self::NoLogs { .. }
            | Self::Unkillable { .. }
            | Self::State(_)
            | Self::Rootfs(_)
            | Self::Oci(_)
            | Self::Monitor(_)
            | Self::Exec(_)
            | Self::Sys(_) => ExitHint::Generic,
        }
    }

    /// Whether the container is not there (any more).
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::State(StateError::NotFound { .. }))
    }
}

fn hint(kind: FailureKind) -> ExitHint {
    match kind {
        FailureKind::CommandNotFound => ExitHint::CommandNotFound,
        FailureKind::CommandNotExecutable => ExitHint::CommandNotExecutable,
        FailureKind::PermissionDenied
        | FailureKind::NoSuchContainer
        | FailureKind::RuntimeMissing
        | FailureKind::Timeout
        | FailureKind::Unsupported
        | FailureKind::BadAnswer
        | FailureKind::Other => ExitHint::Generic,
    }
}
