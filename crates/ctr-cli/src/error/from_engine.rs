//! The engine's errors in a command's words: the whole chain of causes on one line, and a hint where an action helps.

use std::error::Error;

use ctr_core::{EngineError, ExitHint};
use ctr_oci::{FailureKind, RuntimeFailure};
use ctr_state::Status;

use super::{CommandError, ErrorKind};

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> Self {
        let mut converted = Self::new(kind(&error), chain(&error));
        converted.hints = hint(&error).into_iter().collect();
        converted
    }
}

/// What the engine says, with the causes behind it; a cause that the text names already is not repeated.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = next.source();
    }
    text
}

fn kind(error: &EngineError) -> ErrorKind {
    match error.exit_hint() {
        ExitHint::CommandNotFound => return ErrorKind::CommandNotFound,
        ExitHint::CommandNotExecutable => return ErrorKind::CommandNotExecutable,
        ExitHint::Generic => {}
    }
    match error {
        EngineError::NotFound { .. } => ErrorKind::NotFound,
        EngineError::WrongStatus { .. } => ErrorKind::WrongStatus,
        EngineError::Unwound { cause, .. } => kind(cause),
        EngineError::Ambiguous { .. }
        | EngineError::NameInUse { .. }
        | EngineError::Busy { .. }
        | EngineError::Runtime(_)
        | EngineError::Invalid { .. }
        | EngineError::State(_)
        | EngineError::Rootfs(_)
        | EngineError::Sys(_) => ErrorKind::Failed,
    }
}

fn hint(error: &EngineError) -> Option<String> {
    match error {
        EngineError::Ambiguous { candidates, .. } => {
            Some(format!("it could be {}", candidates.join(", ")))
        }
        EngineError::NameInUse { name, .. } => Some(format!(
            "choose another --name, or remove that container first: rm {name}"
        )),
        EngineError::WrongStatus { status, .. } => for_status(*status),
        EngineError::Runtime(failure) => for_runtime(failure),
        EngineError::Unwound { cause, .. } => hint(cause),
        EngineError::NotFound { .. }
        | EngineError::Busy { .. }
        | EngineError::Invalid { .. }
        | EngineError::State(_)
        | EngineError::Rootfs(_)
        | EngineError::Sys(_) => None,
    }
}

fn for_status(status: Status) -> Option<String> {
    match status {
        Status::Running | Status::Stopping => {
            Some("stop it first, or use rm -f to remove it anyway".to_owned())
        }
        Status::Paused => Some("unpause it, or end it with kill -s KILL or rm -f".to_owned()),
        Status::Configured
        | Status::Created
        | Status::Stopped
        | Status::Exited
        | Status::Removing => None,
    }
}

fn for_runtime(failure: &RuntimeFailure) -> Option<String> {
    (failure.kind == FailureKind::RuntimeMissing).then(|| {
        "install it, or leave --runtime out: the built-in runtime needs nothing".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctr_rootfs::RootfsError;
    use expect_test::{Expect, expect};

    fn check(error: EngineError, expected: &Expect) {
        let converted = CommandError::from(error);
        let mut text = format!("{:?}: {}\n", converted.kind(), converted.message());
        for hint in converted.hints() {
            text.push_str("hint: ");
            text.push_str(hint);
            text.push('\n');
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn a_missing_runtime_says_that_none_is_needed() {
        let failure = RuntimeFailure::new(
            FailureKind::RuntimeMissing,
            "crun",
            "create",
            "crun is not installed",
        );
        check(
            EngineError::Runtime(failure),
            &expect![[r#"
            Failed: OCI runtime crun failed to create the container: crun is not installed
            hint: install it, or leave --runtime out: the built-in runtime needs nothing
        "#]],
        );
    }

    #[test]
    fn an_overlay_below_an_overlay_says_where_to_go() {
        check(
            EngineError::Rootfs(RootfsError::OverlayOnOverlay {
                path: "/var/lib/ctr".into(),
            }),
            &expect![[r#"
                Failed: root file system: cannot keep a writable layer in /var/lib/ctr: it lies on an overlay file system itself; put the engine's --root on another file system (ext4, xfs, btrfs or tmpfs)
            "#]],
        );
    }
}
