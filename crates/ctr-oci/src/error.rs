//! What can go wrong before a runtime is called. A runtime's own refusals are [`crate::RuntimeFailure`].

use std::path::PathBuf;

use ctr_sys::SysError;

/// An error of building a specification, writing a bundle or finding a runtime's program.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// A value that no specification or call may hold.
    #[error("invalid {what} {value:?}: {why}")]
    Invalid {
        /// Which value: `hostname`, `cgroup path`, …
        what: &'static str,
        /// The value as given.
        value: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// What the defaults of a specification depend on cannot be told.
    #[error("look at the cgroups of this host")]
    Host {
        /// What the kernel said.
        source: SysError,
    },
    /// A named runtime is in none of the directories that are searched.
    #[error("OCI runtime {name:?} is not installed (looked in {})", list(.searched))]
    RuntimeNotFound {
        /// The configured name.
        name: String,
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// The program of a runtime cannot be looked at.
    #[error("look at the program of OCI runtime {}", path.display())]
    RuntimeUnreadable {
        /// The program.
        path: PathBuf,
        /// What `stat(2)` said.
        source: std::io::Error,
    },
    /// A runtime's file is fine, but others can put another in its place.
    #[error("refuse to execute OCI runtime {}: others may change the directory {}", path.display(), directory.display())]
    RuntimeExchangeable {
        /// The program.
        path: PathBuf,
        /// The directory, above the program or above what a link on the way names.
        directory: PathBuf,
    },
    /// A runtime's file is there but must not or cannot be executed.
    #[error("refuse to execute OCI runtime {}: {why}", path.display())]
    RuntimeUnusable {
        /// The program.
        path: PathBuf,
        /// What is wrong with the file.
        why: &'static str,
    },
    /// A specification that does not become JSON.
    #[error("encode the specification for {}", path.display())]
    Encode {
        /// The file that it was meant for.
        path: PathBuf,
        /// What the encoder said.
        source: serde_json::Error,
    },
    /// The bundle's directory or file could not be made or removed.
    #[error("{operation} the bundle {}", path.display())]
    Bundle {
        /// `write` or `remove`.
        operation: &'static str,
        /// The bundle's directory.
        path: PathBuf,
        /// What the kernel said.
        source: SysError,
    },
}

impl OciError {
    pub(crate) fn invalid(what: &'static str, value: impl Into<String>, why: &'static str) -> Self {
        Self::Invalid {
            what,
            value: value.into(),
            why,
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    names.join(", ")
}
