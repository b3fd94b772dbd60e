//! Why a runtime refused: a kind that callers branch on, and the runtime's own words beside it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What went wrong, as far as it can be told for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The program to run does not exist in the container (exit code 127).
    CommandNotFound,
    /// It exists but cannot be executed: a directory, no permission, no known format (exit code 126).
    CommandNotExecutable,
    /// The runtime was refused something by the kernel.
    PermissionDenied,
    /// The runtime does not know the container.
    NoSuchContainer,
    /// The runtime's program is not installed or cannot be executed.
    RuntimeMissing,
    /// The call passed its deadline and the runtime was killed.
    Timeout,
    /// The specification asks for something that this runtime cannot enforce.
    Unsupported,
    /// The runtime answered something that is not the specification's form.
    BadAnswer,
    /// Anything else; the message says what the runtime said.
    Other,
}

/// A failed runtime call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeFailure {
    /// The class, for callers.
    pub kind: FailureKind,
    /// The configured name of the runtime.
    pub runtime: String,
    /// The verb: `create`, `start`, …
    pub operation: String,
    /// One line for people, without control characters.
    pub message: String,
    /// What the runtime printed or logged, capped, as it was; empty when it said nothing.
    pub raw: String,
}

impl RuntimeFailure {
    /// A failure with no text of the runtime beside it. Control characters of `message` become blanks.
    pub fn new(kind: FailureKind, runtime: &str, operation: &str, message: &str) -> Self {
        Self {
            kind,
            runtime: runtime.to_owned(),
            operation: operation.to_owned(),
            message: one_line(message),
            raw: String::new(),
        }
    }

    /// The same failure with the runtime's own text.
    #[must_use]
    pub fn with_raw(mut self, raw: &str) -> Self {
        raw.clone_into(&mut self.raw);
        self
    }
}

fn one_line(text: &str) -> String {
    let flat: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    flat
}

impl fmt::Display for RuntimeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (runtime, message) = (&self.runtime, &self.message);
        match self.operation.as_str() {
            // Not asked about a container.
            "version" | "features" => {
                write!(
                    f,
                    "OCI runtime {runtime} failed to tell its {}: {message}",
                    self.operation
                )
            }
            operation => write!(
                f,
                "OCI runtime {runtime} failed to {operation} the container: {message}"
            ),
        }
    }
}

impl std::error::Error for RuntimeFailure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_told() {
        let check = |operation: &str, expected: &str| {
            let failure = RuntimeFailure::new(FailureKind::Other, "r", operation, "m");
            assert_eq!(failure.to_string(), expected);
        };
        check("create", "OCI runtime r failed to create the container: m");
        check("version", "OCI runtime r failed to tell its version: m");
        check("features", "OCI runtime r failed to tell its features: m");
    }
}
