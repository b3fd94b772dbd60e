//! What a command came to, and the one table of exit codes.
//!
//! A [`CommandError`] is what a person reads: a line, and hints where something can be done. Its kind is what scripts branch on, by way
//! of [`exit_code`]. The engine's errors become command errors in [`from_engine`](self::from_engine); nothing else looks into them.

mod for_store;
mod from_engine;

use std::fmt;

/// The kinds that exit codes tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// Anything that has no kind of its own.
    Failed,
    /// A signal ended the command.
    Interrupted,
    /// A container that does not exist.
    NotFound,
    /// A verb that the container's status does not allow.
    WrongStatus,
    /// The program to run is not in the container.
    CommandNotFound,
    /// It is there and cannot be executed.
    CommandNotExecutable,
}

/// One line for people, with hints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandError {
    kind: ErrorKind,
    message: String,
    hints: Vec<String>,
}

impl CommandError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    /// An error without a kind of its own.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// A flag whose value is refused: names the flag, the value and why (or what is allowed).
    pub(crate) fn value(flag: &str, value: &str, why: impl fmt::Display) -> Self {
        Self::failed(format!("{flag} \"{value}\": {why}"))
    }

    /// A flag whose value one of the libraries refuses, in the library's words, which name the value.
    pub(crate) fn flag(flag: &str, refused: impl fmt::Display) -> Self {
        Self::failed(format!("{flag}: {refused}"))
    }

    /// The same error, which begins by saying what it is about.
    #[must_use]
    pub(crate) fn about(self, subject: &str) -> Self {
        let message = format!("{subject}: {}", self.message);
        Self { message, ..self }
    }

    /// Adds what the reader can do now.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }
}

/// What a command came to when it did not end with one error of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well.
    Done,
    /// The answer to a question is no (`container exists`).
    No,
    /// A container ended in the foreground, with this code.
    Ended(u8),
    /// Some of several containers failed. Their errors are printed already; these are their kinds.
    Partly(Vec<ErrorKind>),
}

impl Outcome {
    /// What a command on several containers came to, from the kinds of its errors, which are printed already.
    pub(crate) fn of(failed: Vec<ErrorKind>) -> Self {
        if failed.is_empty() {
            Self::Done
        } else {
            Self::Partly(failed)
        }
    }
}

/// The families of commands that have exit codes of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Any error is 125.
    General,
    /// `run` and `exec`: 127 and 126 tell about the program to run.
    Run,
    /// `rm`: 1 is an unknown container, 2 one whose status forbids it.
    Remove,
}

/// The exit code of the program. Every code that it ends with is decided here.
///
/// Of several failures the most telling decides: the smallest code.
pub(crate) fn exit_code(rule: Rule, result: &Result<Outcome, CommandError>) -> u8 {
    match result {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::No) => 1,
        Ok(Outcome::Ended(code)) => *code,
        Ok(Outcome::Partly(kinds)) => kinds
            .iter()
            .map(|kind| code_of(rule, *kind))
            .min()
            .unwrap_or(0),
        Err(error) => code_of(rule, error.kind()),
    }
}

/// One row for each kind, one column for each rule.
fn code_of(rule: Rule, kind: ErrorKind) -> u8 {
    let [general, run, remove] = match kind {
        ErrorKind::Failed => [125, 125, 125],
        ErrorKind::Interrupted => [1, 1, 1],
        ErrorKind::NotFound => [125, 125, 1],
        ErrorKind::WrongStatus => [125, 125, 2],
        ErrorKind::CommandNotFound => [125, 127, 125],
        ErrorKind::CommandNotExecutable => [125, 126, 125],
    };
    match rule {
        Rule::General => general,
        Rule::Run => run,
        Rule::Remove => remove,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_failure_decides() {
        let partly =
            |kinds: &[ErrorKind]| exit_code(Rule::Remove, &Ok(Outcome::Partly(kinds.to_vec())));
        assert_eq!(partly(&[ErrorKind::Failed]), 125);
        assert_eq!(partly(&[ErrorKind::Failed, ErrorKind::WrongStatus]), 2);
        assert_eq!(partly(&[ErrorKind::WrongStatus, ErrorKind::NotFound]), 1);
    }

    #[test]
    fn program_codes_belong_to_run_alone() {
        let code = |rule, kind| exit_code(rule, &Err(CommandError::new(kind, "x")));
        assert_eq!(code(Rule::Run, ErrorKind::CommandNotFound), 127);
        assert_eq!(code(Rule::Run, ErrorKind::CommandNotExecutable), 126);
        assert_eq!(code(Rule::General, ErrorKind::CommandNotFound), 125);
        assert_eq!(code(Rule::Run, ErrorKind::Failed), 125);
        assert_eq!(exit_code(Rule::Run, &Ok(Outcome::Ended(42))), 42);
        assert_eq!(exit_code(Rule::General, &Ok(Outcome::No)), 1);
    }
}
