//! A container in the foreground, for `run` and `start --attach`: its streams, its signals, its exit code; and why a code is unknown.

use ctr_core::{SessionEnd, SessionIo, Started};
use ctr_state::{ExitCause, ExitInfo, StdinMode};
use ctr_sys::SignalFd;

use crate::error::{CommandError, ErrorKind, Outcome};
use crate::io::Io;

/// What a foreground client brings along.
pub(crate) struct Foreground<'a> {
    /// The container, for messages.
    pub(crate) name: &'a str,
    /// Whether this program's standard input goes to the container.
    pub(crate) stdin: StdinMode,
    /// The signals that go to the container.
    pub(crate) signals: &'a SignalFd,
}

impl Foreground<'_> {
    /// Stays with the container until it ends or the client is detached.
    pub(crate) fn follow(self, started: Started, io: &mut Io) -> Result<Outcome, CommandError> {
        let session = match started {
            Started::Attached(session) => session,
            Started::Already => return Err(self.already()),
            Started::Detached => return Ok(Outcome::Done),
        };
        let [input, stdout, stderr] = io.descriptors();
        let stdin = match self.stdin {
            StdinMode::Open => Some(input),
            StdinMode::Null => None,
        };
        let signals = Some(self.signals);
        match session.run(SessionIo {
            stdin,
            stdout,
            stderr,
            signals,
        })? {
            SessionEnd::Detached => Ok(Outcome::Done),
            SessionEnd::Exited(info) => ended(self.name, &info),
            SessionEnd::CutOff(info) => {
                let name = self.name;
                io.warning(&format!(
                    "the last of its output did not arrive here (nobody read it for too long, or its monitor was killed); \
                     if the container was kept, it is in: logs {name}"
                ));
                ended(name, &info)
            }
        }
    }

    fn already(&self) -> CommandError {
        let name = self.name;
        let text = format!(
            "{name} runs already; attaching to a running container comes in the next version"
        );
        CommandError::new(ErrorKind::WrongStatus, text)
    }
}

/// The program's code is the container's. A code that nobody knows is an error that says why, never a guess.
fn ended(name: &str, info: &ExitInfo) -> Result<Outcome, CommandError> {
    u8::try_from(info.code()).map(Outcome::Ended).map_err(|_| {
        CommandError::failed(format!(
            "{name} has ended with an unknown exit code: {}",
            why(info)
        ))
    })
}

/// Why the code of a run is unknown.
pub(crate) fn why(info: &ExitInfo) -> String {
    let cause = match &info.cause {
        ExitCause::Exited { .. } | ExitCause::Signaled { .. } | ExitCause::Timeout => {
            "it is no code of a process"
        }
        ExitCause::Lost => "its monitor was killed before it could see the end",
        ExitCause::Reboot => "the host was restarted while it ran",
        ExitCause::NeverStarted { reason } => return reason.clone(),
    };
    match &info.reason {
        Some(reason) => format!("{cause} ({reason})"),
        None => cause.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctr_state::OomKilled;
    use ctr_sys::Signal;

    fn info(cause: ExitCause) -> ExitInfo {
        ExitInfo {
            cause,
            oom: OomKilled::No,
            finished_ns: 0,
            reason: None,
        }
    }

    #[test]
    fn a_known_end_is_the_programs_code() {
        let signal = Signal::KILL;
        for (cause, code) in [
            (ExitCause::Exited { code: 42 }, 42),
            (ExitCause::Signaled { signal }, 137),
            (ExitCause::Timeout, 255),
        ] {
            assert_eq!(ended("web", &info(cause)), Ok(Outcome::Ended(code)));
        }
    }

    #[test]
    fn an_unknown_end_is_an_error_with_its_reason() {
        let lost = ExitInfo {
            reason: Some("killed at 12:00".into()),
            ..info(ExitCause::Lost)
        };
        let error = ended("web", &lost).unwrap_err();
        assert_eq!(
            error.message(),
            "web has ended with an unknown exit code: its monitor was killed before it could see the end (killed at 12:00)"
        );
        assert!(ended("web", &info(ExitCause::Reboot)).is_err());
    }
}
