//! The error of this crate.

use std::io;
use std::path::PathBuf;

use ctr_exec::ExecError;
use ctr_oci::RuntimeFailure;
use ctr_sys::{Signal, SysError};
use serde::{Deserialize, Serialize};

/// What can go wrong between an engine and a monitor.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The monitor did not answer before the deadline.
    #[error("the monitor did not answer the request to {request}")]
    NoAnswer {
        /// What was asked.
        request: &'static str,
    },
    /// The monitor ended, or closed the connection, before it answered.
    #[error("the monitor ended while it was asked to {request}")]
    Gone {
        /// What was asked.
        request: &'static str,
    },
    /// A signal to end arrived while the monitor was asked.
    #[error("interrupted by {signal}")]
    Interrupted {
        /// Which.
        signal: Signal,
    },
    /// The monitor refused or failed.
    #[error("the monitor could not {operation} {subject}: {why}")]
    Failed {
        /// What it tried.
        operation: String,
        /// On what.
        subject: String,
        /// The cause.
        why: String,
    },
    /// The runtime failed while the monitor used it.
    #[error(transparent)]
    Runtime(#[from] RuntimeFailure),
    /// The answer is not of the protocol, or of another version of it.
    #[error("the monitor's answer cannot be understood: {why}")]
    BadAnswer {
        /// What was wrong.
        why: String,
    },
    /// A file in the run directory is damaged.
    #[error("{} is damaged", path.display())]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// Why it cannot be read.
        #[source]
        source: serde_json::Error,
    },
    /// The program for the monitor cannot be used.
    #[error("{} is not a program that can be a monitor", path.display())]
    NoProgram {
        /// The configured path.
        path: PathBuf,
        /// Why.
        #[source]
        source: SysError,
    },
    /// The connection failed.
    #[error("cannot {operation} the monitor")]
    Connection {
        /// "write to", "read from".
        operation: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A frame could not be read or written.
    #[error(transparent)]
    Frame(#[from] ExecError),
    /// The kernel refused something.
    #[error(transparent)]
    Sys(#[from] SysError),
}

/// A failure as it travels to the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "failure")]
pub enum WireFailure {
    /// The runtime's.
    Runtime(RuntimeFailure),
    /// The monitor's own.
    Monitor {
        /// What it tried.
        operation: String,
        /// On what.
        subject: String,
        /// The cause.
        why: String,
    },
}

impl WireFailure {
    pub(crate) fn own(operation: &str, subject: &str, why: &str) -> Self {
        Self::Monitor {
            operation: operation.to_owned(),
            subject: subject.to_owned(),
            why: why.to_owned(),
        }
    }
}

impl From<SysError> for WireFailure {
    fn from(error: SysError) -> Self {
        let why = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
        Self::own(error.operation(), error.subject(), &why)
    }
}

impl From<ExecError> for WireFailure {
    fn from(error: ExecError) -> Self {
        if let ExecError::Sys(error) = error {
            return error.into();
        }
        Self::own("use", "the container's terminal", &error.to_string())
    }
}

impl From<WireFailure> for MonitorError {
    fn from(failure: WireFailure) -> Self {
        match failure {
            WireFailure::Runtime(failure) => Self::Runtime(failure),
            WireFailure::Monitor {
                operation,
                subject,
                why,
            } => Self::Failed {
                operation,
                subject,
                why,
            },
        }
    }
}
