//! The error of this crate.

use std::io;
use std::path::PathBuf;

use ctr_sys::SysError;

/// What can go wrong with a process in a container and its streams.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// A packet that is not of the frame protocol.
    #[error("received a frame that this version does not know: {what}")]
    BadFrame {
        /// What was wrong with it.
        what: String,
    },
    /// A pid file that holds no pid.
    #[error("the pid file {} does not hold a pid: {content:?}", path.display())]
    BadPidFile {
        /// The file.
        path: PathBuf,
        /// What it holds, cut to 32 bytes.
        content: String,
    },
    /// The program that should write the pid file ended, or the deadline passed, without it.
    #[error("the pid file {} was not written: {why}", path.display())]
    NoPidFile {
        /// The file.
        path: PathBuf,
        /// "the runtime ended" or "the deadline passed".
        why: &'static str,
    },
    /// A record of a session that cannot be understood.
    #[error("{} is damaged", path.display())]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Text that is no sequence of detach keys.
    #[error(
        "invalid detach keys {text:?}: allowed are {}",
        crate::detach_keys::GRAMMAR
    )]
    BadDetachKeys {
        /// The text as given.
        text: String,
    },
    /// A runtime was to make a terminal and did not deliver it.
    #[error("the runtime did not set up the terminal: {why}")]
    NoTerminal {
        /// What happened instead.
        why: &'static str,
    },
    /// A stream or socket failed.
    #[error("cannot {operation}")]
    Stream {
        /// "send a frame", "receive a frame", …
        operation: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel refused something.
    #[error(transparent)]
    Sys(#[from] SysError),
}
