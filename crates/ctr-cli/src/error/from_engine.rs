//! The engine's errors in a command's words: the whole chain of causes on one line, and a hint where an action helps.

use std::error::Error;

use ctr_core::{EngineError, ExitHint};
use ctr_events::EventError;
use ctr_monitor::MonitorError;
use ctr_oci::{FailureKind, OciError, RuntimeFailure};
use ctr_state::{ContainerId, Operation, StateError, Status};

use super::for_store::for_store;
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
        EngineError::State(StateError::NotFound { .. }) => ErrorKind::NotFound,
        EngineError::WrongStatus { .. } | EngineError::State(StateError::Illegal { .. }) => {
            ErrorKind::WrongStatus
        }
        EngineError::Unwound { cause, .. } => kind(cause),
        EngineError::Interrupted { .. } => ErrorKind::Interrupted,
        EngineError::Invalid { .. }
        | EngineError::RemovalStuck { .. }
        | EngineError::CalledOff { .. }
        | EngineError::Needed { .. }
        | EngineError::Dependency { .. }
        | EngineError::NoLogs { .. }
        | EngineError::MonitorLost { .. }
        | EngineError::MonitorFailed { .. }
        | EngineError::NoSession { .. }
        | EngineError::AmbiguousSession { .. }
        | EngineError::SessionState { .. }
        | EngineError::Runtime(_)
        | EngineError::Unkillable { .. }
        | EngineError::State(_)
        | EngineError::Rootfs(_)
        | EngineError::Oci(_)
        | EngineError::Monitor(_)
        | EngineError::Exec(_)
        | EngineError::Sys(_) => ErrorKind::Failed,
    }
}

/// What can be done now, where anything can.
fn hint(error: &EngineError) -> Option<String> {
    match error {
        EngineError::WrongStatus {
            status, operation, ..
        } => for_status(*status, *operation),
        EngineError::Needed { .. } => {
            Some("remove those first, or all of them with --depend".to_owned())
        }
        EngineError::Unwound { cause, .. } => hint(cause),
        EngineError::State(failure) => for_state(failure),
        EngineError::Runtime(failure) | EngineError::Monitor(MonitorError::Runtime(failure)) => {
            for_runtime(failure)
        }
        EngineError::MonitorLost { .. } => {
            Some("container exec-ls shows what runs; otherwise try again".to_owned())
        }
        EngineError::NoSession { .. } | EngineError::AmbiguousSession { .. } => {
            Some("container exec-ls shows those that there are".to_owned())
        }
        EngineError::Oci(OciError::RuntimeNotFound { .. }) => Some(NO_RUNTIME_NEEDED.to_owned()),
        EngineError::Invalid { .. }
        | EngineError::RemovalStuck { .. }
        | EngineError::CalledOff { .. }
        | EngineError::Dependency { .. }
        | EngineError::NoLogs { .. }
        | EngineError::MonitorFailed { .. }
        | EngineError::SessionState { .. }
        | EngineError::Interrupted { .. }
        | EngineError::Unkillable { .. }
        | EngineError::Rootfs(_)
        | EngineError::Oci(_)
        | EngineError::Monitor(_)
        | EngineError::Exec(_)
        | EngineError::Sys(_) => None,
    }
}

const NO_RUNTIME_NEEDED: &str =
    "install it, or correct its path; new containers need no other program with --runtime builtin";

fn for_status(status: Status, operation: Operation) -> Option<String> {
    match (operation, status) {
        (Operation::Remove, Status::Running | Status::Stopping) => {
            Some("stop it first, or use rm -f".to_owned())
        }
        (_, Status::Paused) => Some("unpause it, or end it with kill -s KILL or rm -f".to_owned()),
        (
            Operation::Attach,
            Status::Configured | Status::Created | Status::Stopped | Status::Exited,
        ) => Some("start -a starts it and attaches".to_owned()),
        (
            Operation::Exec,
            Status::Configured | Status::Created | Status::Stopped | Status::Exited,
        ) => Some("start it first".to_owned()),
        (
            _,
            Status::Configured
            | Status::Created
            | Status::Running
            | Status::Stopping
            | Status::Stopped
            | Status::Exited
            | Status::Removing,
        ) => None,
    }
}

fn for_state(failure: &StateError) -> Option<String> {
    match failure {
        StateError::Ambiguous { candidates, .. } => {
            let short: Vec<&str> = candidates.iter().map(ContainerId::short).collect();
            Some(format!("it could be {}", short.join(", ")))
        }
        StateError::NameInUse { name, .. } => Some(format!(
            "choose another name, or remove that container first: rm {name}"
        )),
        StateError::NewerSchema { .. } => Some(
            "use the newer program, or another --root; the database was not touched".to_owned(),
        ),
        StateError::Store(fault) => Some(for_store(fault)),
        StateError::Corrupt { id, .. } => Some(format!(
            "rm -f {} removes it, with its processes and files; system export shows what is stored of it",
            id.short()
        )),
        StateError::Events(EventError::Expired { oldest, .. }) => Some(format!(
            "continue with --after {}, and take those in between as lost",
            oldest - 1
        )),
        StateError::Events(EventError::NotYet { last, .. }) => {
            Some(format!("continue with --after {last}"))
        }
        StateError::NotFound { .. }
        | StateError::InUse { .. }
        | StateError::AlreadyHeld { .. }
        | StateError::Busy { .. }
        | StateError::Illegal { .. }
        | StateError::Database { .. }
        | StateError::Events(_)
        | StateError::Sys(_) => None,
    }
}

fn for_runtime(failure: &RuntimeFailure) -> Option<String> {
    (failure.kind == FailureKind::RuntimeMissing).then(|| NO_RUNTIME_NEEDED.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctr_rootfs::RootfsError;
    use ctr_state::{IllegalTransition, Trigger};
    use expect_test::{Expect, expect};

    fn check(error: impl Into<EngineError>, expected: &Expect) {
        let converted = CommandError::from(error.into());
        let mut text = format!("{:?}: {}\n", converted.kind(), converted.message());
        for hint in converted.hints() {
            text.push_str("hint: ");
            text.push_str(hint);
            text.push('\n');
        }
        expected.assert_eq(&text);
    }

    fn id() -> ContainerId {
        "0123456789abcdef".repeat(4).parse().unwrap()
    }

    fn wrong(status: Status, operation: Operation) -> EngineError {
        let name = "web".to_owned();
        EngineError::WrongStatus {
            id: id(),
            name,
            status,
            since_ns: 0,
            operation,
        }
    }

    #[test]
    fn containers_that_are_not_what_was_meant() {
        let what = "web".to_owned();
        check(
            StateError::NotFound { what },
            &expect![[r#"
            NotFound: no such container: web
        "#]],
        );
        let (what, candidates) = ("01".to_owned(), vec![id(), id()]);
        check(
            StateError::Ambiguous { what, candidates },
            &expect![[r#"
            Failed: 01 is the beginning of more than one id
            hint: it could be 0123456789ab, 0123456789ab
        "#]],
        );
        let (name, by) = ("web".parse().unwrap(), id());
        check(
            StateError::NameInUse { name, by },
            &expect![[r#"
            Failed: the name web is in use by container 0123456789ab
            hint: choose another name, or remove that container first: rm web
        "#]],
        );
        let expired = EventError::Expired {
            cursor: ctr_events::Cursor(7),
            oldest: 12,
        };
        check(
            StateError::Events(expired),
            &expect![[r#"
            Failed: cursor 7 has expired: events up to 11 are gone, the oldest is 12
            hint: continue with --after 11, and take those in between as lost
        "#]],
        );
        let not_yet = EventError::NotYet {
            cursor: ctr_events::Cursor(7),
            last: 3,
        };
        check(
            StateError::Events(not_yet),
            &expect![[r#"
            Failed: cursor 7 is none of this journal: its last event is 3
            hint: continue with --after 3
        "#]],
        );
        let (found, known) = (9, 1);
        check(
            StateError::NewerSchema {
                database: "/s/state.db".into(),
                found,
                known,
            },
            &expect![[r#"
            Failed: the database /s/state.db has schema 9, this program knows schemas up to 1
            hint: use the newer program, or another --root; the database was not touched
        "#]],
        );
    }

    #[test]
    fn a_wrong_status_says_what_helps() {
        check(
            wrong(Status::Running, Operation::Remove),
            &expect![[r#"
                WrongStatus: cannot remove container web: it is running since 1970-01-01T00:00:00Z (possible now: restart, attach, exec, kill, stop, pause, rename, rm -f)
                hint: stop it first, or use rm -f
            "#]],
        );
        check(
            wrong(Status::Paused, Operation::Stop),
            &expect![[r#"
                WrongStatus: cannot stop container web: it is paused since 1970-01-01T00:00:00Z (possible now: kill, unpause, rename, rm -f)
                hint: unpause it, or end it with kill -s KILL or rm -f
            "#]],
        );
        check(
            wrong(Status::Exited, Operation::Signal),
            &expect![[r#"
                WrongStatus: cannot signal container web: it is exited since 1970-01-01T00:00:00Z (possible now: init, start, restart, rename, rm)
            "#]],
        );
        let (status, trigger) = (Status::Exited, Trigger::Start);
        let source = IllegalTransition { status, trigger };
        check(
            StateError::Illegal { id: id(), source },
            &expect![[r#"
            WrongStatus: container 0123456789ab: cannot start while it is exited
        "#]],
        );
    }

    #[test]
    fn the_program_to_run_has_kinds_of_its_own() {
        for (kind, expected) in [
            (FailureKind::CommandNotFound, ErrorKind::CommandNotFound),
            (
                FailureKind::CommandNotExecutable,
                ErrorKind::CommandNotExecutable,
            ),
            (FailureKind::Other, ErrorKind::Failed),
        ] {
            let failure = RuntimeFailure::new(kind, "runc", "start", "x");
            let unwound = EngineError::Unwound {
                operation: "start",
                cause: Box::new(failure.into()),
                cleanup_failures: Vec::new(),
            };
            assert_eq!(CommandError::from(unwound).kind(), expected);
        }
    }

    #[test]
    fn a_missing_runtime_says_that_none_is_needed() {
        let missing = FailureKind::RuntimeMissing;
        let failure = RuntimeFailure::new(missing, "crun", "create", "crun is not installed");
        check(
            failure.clone(),
            &expect![[r#"
            Failed: OCI runtime crun failed to create the container: crun is not installed
            hint: install it, or correct its path; new containers need no other program with --runtime builtin
        "#]],
        );
        check(
            MonitorError::Runtime(failure),
            &expect![[r#"
            Failed: OCI runtime crun failed to create the container: crun is not installed
            hint: install it, or correct its path; new containers need no other program with --runtime builtin
        "#]],
        );
        let (name, searched) = ("crun".to_owned(), vec!["/usr/bin".into()]);
        check(
            OciError::RuntimeNotFound { name, searched },
            &expect![[r#"
            Failed: OCI runtime "crun" is not installed (looked in /usr/bin)
            hint: install it, or correct its path; new containers need no other program with --runtime builtin
        "#]],
        );
    }

    #[test]
    fn an_overlay_below_an_overlay_says_where_to_go() {
        let path = "/var/lib/ctr".into();
        check(
            RootfsError::OverlayOnOverlay { path },
            &expect![[r#"
            Failed: cannot keep a writable layer in /var/lib/ctr: it lies on an overlay file system itself; put the engine's --root on another file system (ext4, xfs, btrfs or tmpfs)
        "#]],
        );
    }
}
