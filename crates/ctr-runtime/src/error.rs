//! What can go wrong in this crate, and the kind that callers of the trait see.

use std::io;
use std::path::{Path, PathBuf};

use ctr_oci::{FailureKind, RuntimeFailure};
use ctr_sys::SysError;

use crate::report::Refusal;

/// Bytes of the library's log that are kept beside a failure.
pub(crate) const RAW_LIMIT: usize = 4096;

/// Internal result type.
pub(crate) type Result<T> = std::result::Result<T, RuntimeError>;

/// A failed operation of the built-in runtime.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuntimeError {
    /// The specification asks for something that would not be enforced.
    #[error("{what} is not supported by the built-in runtime")]
    Unsupported { what: String },
    /// A value that no container can have.
    #[error("{what}: {why}")]
    Invalid { what: String, why: String },
    /// The state directory has no such container.
    #[error("container {id} does not exist")]
    NoSuchContainer { id: String },
    /// The id is taken.
    #[error("container {id} exists already")]
    Exists { id: String },
    /// The verb does not fit the container's status.
    #[error("container {id} is {status}")]
    WrongStatus { id: String, status: &'static str },
    /// A call took too long.
    #[error("{what} did not end in time")]
    Deadline { what: String },
    /// A file does not hold what it should.
    #[error("{} is not readable as {form}", .path.display())]
    Corrupt {
        path: PathBuf,
        form: &'static str,
        #[source]
        source: serde_json::Error,
    },
    /// The container's command cannot be executed, or was told to be wrong before it was tried.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The library gave up.
    #[error("{message}")]
    Library { message: String, raw: String },
    /// The forked helper ended without an answer.
    #[error("the helper process ended with {end} and gave no answer")]
    Helper { end: String, raw: String },
    /// A system call failed.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// The work failed, and so did taking back what it had done.
    #[error("{cause}; cleaning up failed too: {cleanup}")]
    Unwound {
        #[source]
        cause: Box<RuntimeError>,
        cleanup: Box<RuntimeError>,
    },
}

impl RuntimeError {
    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }

    pub(crate) fn invalid(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid {
            what: what.into(),
            why: why.into(),
        }
    }

    /// The failure of `operation` on a path.
    pub(crate) fn at(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let subject = path.display().to_string();
        move |source| SysError::new(operation, subject, source).into()
    }

    fn kind(&self) -> FailureKind {
        match self {
            Self::Unsupported { .. } => FailureKind::Unsupported,
            Self::NoSuchContainer { .. } => FailureKind::NoSuchContainer,
            Self::Deadline { .. } => FailureKind::Timeout,
            Self::Corrupt { .. } => FailureKind::BadAnswer,
            Self::Refused(refusal) => refusal.kind,
            Self::Unwound { cause, .. } => cause.kind(),
            Self::Sys(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                FailureKind::PermissionDenied
            }
            Self::Sys(_)
            | Self::Invalid { .. }
            | Self::Exists { .. }
            | Self::WrongStatus { .. }
            | Self::Library { .. }
            | Self::Helper { .. } => FailureKind::Other,
        }
    }

    fn raw(&self) -> &str {
        match self {
            Self::Library { raw, .. } | Self::Helper { raw, .. } => raw,
            Self::Unwound { cause, .. } => cause.raw(),
            Self::Unsupported { .. }
            | Self::Invalid { .. }
            | Self::NoSuchContainer { .. }
            | Self::Exists { .. }
            | Self::WrongStatus { .. }
            | Self::Deadline { .. }
            | Self::Corrupt { .. }
            | Self::Refused(_)
            | Self::Sys(_) => "",
        }
    }

    /// The form in which callers of the trait get it.
    pub(crate) fn into_failure(self, runtime: &str, operation: &str) -> RuntimeFailure {
        let message = chain(&self);
        RuntimeFailure::new(self.kind(), runtime, operation, &message).with_raw(self.raw())
    }
}

/// An error and its sources in one line; a source that the text above it already quotes is not repeated.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let cause = source.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_failure_survives_a_failed_cleanup() {
        let cause = RuntimeError::unsupported("linux.seccomp");
        let cleanup = SysError::new("remove", "/x", io::Error::from_raw_os_error(libc::EBUSY));
        let failure = RuntimeError::Unwound {
            cause: Box::new(cause),
            cleanup: Box::new(cleanup.into()),
        }
        .into_failure("builtin", "create");
        assert_eq!(failure.kind, FailureKind::Unsupported);
        assert!(failure.message.contains("linux.seccomp"), "{failure}");
        assert!(failure.message.contains("remove"), "{failure}");
    }

    #[test]
    fn a_refused_permission_is_told_apart() {
        let path = Path::new("/x");
        let denied = RuntimeError::at("open", path)(io::Error::from_raw_os_error(libc::EPERM));
        assert_eq!(
            denied.into_failure("builtin", "state").kind,
            FailureKind::PermissionDenied
        );
        let full = RuntimeError::at("open", path)(io::Error::from_raw_os_error(libc::ENOSPC));
        assert_eq!(
            full.into_failure("builtin", "state").kind,
            FailureKind::Other
        );
    }
}
