//! A container in the foreground of a client, for `run`, `start --attach` and `attach`: its exit code, and why a code is unknown.

use ctr_core::{Session, SessionEnd, SessionIo};
use ctr_state::{ExitCause, ExitInfo};

use crate::error::{CommandError, Outcome};
use crate::io::Io;

/// What a client stays with, in words.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program<'a> {
    /// The program of this container.
    OfContainer(&'a str),
    /// A command in this one.
    Exec(&'a str),
}

impl Program<'_> {
    fn words(self) -> String {
        match self {
            Self::OfContainer(name) => name.to_owned(),
            Self::Exec(name) => format!("the command in {name}"),
        }
    }

    /// Where what was missed can be found.
    fn kept(self) -> Option<String> {
        match self {
            Self::OfContainer(name) => Some(format!("logs {name}")),
            Self::Exec(_) => None,
        }
    }
}

/// Stays with the program until it ends, or the client leaves it.
pub(crate) fn follow(
    session: Session<'_>,
    program: Program<'_>,
    streams: SessionIo<'_>,
    io: &mut Io,
) -> Result<Outcome, CommandError> {
    let name = &program.words();
    match session.run(streams)? {
        SessionEnd::Detached => Ok(Outcome::Done),
        SessionEnd::Exited(info) => ended(name, &info),
        SessionEnd::Left { exit, dropped } => {
            io.warning(&format!(
                "processes that the command has left behind wrote {dropped} bytes that were not waited for; --wait-io eof waits"
            ));
            ended(name, &exit)
        }
        SessionEnd::CutOff(info) => {
            let why = "some of its output may not have arrived here (its monitor was killed, or somebody cleaned up after it meanwhile)";
            io.warning(&match program.kept() {
                Some(place) => format!("{why}; if the container was kept, it is in: {place}"),
                None => why.to_owned(),
            });
            ended(name, &info)
        }
        SessionEnd::Dropped { missed } => {
            let text = format!(
                "{name} goes on without this client, which took too little of its output: {missed} bytes were not sent"
            );
            let dropped = CommandError::failed(text);
            Err(match program.kept() {
                Some(place) => dropped.hint(format!("what was missed is in: {place}")),
                None => dropped,
            })
        }
        SessionEnd::Interrupted { signal } => {
            let code = u8::try_from(128 + signal.number()).unwrap_or(u8::MAX);
            Ok(Outcome::Ended(code))
        }
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
            monitors_lost: 0,
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
