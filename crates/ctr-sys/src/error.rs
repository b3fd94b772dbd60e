//! The error of this crate: which operation, on what, and the kernel's answer.

use std::fmt;
use std::io;

/// A system call that failed, with the operation and its subject.
///
/// Displayed as `OPERATION SUBJECT: cause`, for example `open /run/ctr/x: No such file or directory (os error 2)`.
#[derive(Debug)]
pub struct SysError {
    operation: &'static str,
    subject: String,
    source: io::Error,
}

/// The result of the calls of this crate.
pub type SysResult<T> = Result<T, SysError>;

impl SysError {
    /// An error of `operation` (a verb, as in "open") on `subject` (a path, a pid, …).
    pub fn new(operation: &'static str, subject: impl Into<String>, source: io::Error) -> Self {
        Self {
            operation,
            subject: subject.into(),
            source,
        }
    }

    /// An error that this crate found itself, without a failed system call.
    pub fn invalid(operation: &'static str, subject: impl Into<String>, why: &str) -> Self {
        Self::new(
            operation,
            subject,
            io::Error::new(io::ErrorKind::InvalidInput, why),
        )
    }

    /// The kind of the cause.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// The `errno` of the cause, when the kernel gave one.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// The operation that failed.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// What it was done to.
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl fmt::Display for SysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.operation, self.subject, self.source)
    }
}

impl std::error::Error for SysError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Adds operation and subject to the errors of the standard library and of rustix.
pub(crate) trait Context<T> {
    /// Names the operation and, only on failure, builds the subject.
    fn context(self, operation: &'static str, subject: impl FnOnce() -> String) -> SysResult<T>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, operation: &'static str, subject: impl FnOnce() -> String) -> SysResult<T> {
        self.map_err(|source| SysError::new(operation, subject(), source.into()))
    }
}
