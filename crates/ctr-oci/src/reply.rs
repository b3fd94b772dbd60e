//! Understanding what a runtime answered: its exit status, its JSON log, its output.
//!
//! The log is read as structure (one JSON object a line, of which the last error counts). Within its message the runtimes have
//! nothing but prose; the texts that matter are a table here, each with the runtime that says it, and each was produced by that
//! runtime. A caller that acts on "command not found" confirms it by its own look into the root file system.

use ctr_sys::ExitStatus;
use serde::Deserialize;

use crate::failure::{FailureKind, RuntimeFailure};
use crate::runtime::{RuntimeState, RuntimeStatus};

/// How much of a runtime's own words is kept for people.
pub(crate) const KEPT_TEXT: usize = 4096;

/// What one call of a runtime's program left behind.
///
/// In a log line of level error a runtime may state the class of its failure itself, in a field `failure_kind` with the name of
/// a [`FailureKind`] in snake case (`"failure_kind":"command_not_found"`); then nothing is guessed from the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeReply {
    /// How the program ended.
    pub status: ExitStatus,
    /// The end of its JSON log.
    pub log: String,
    /// The beginning of its standard output; empty when that went to the container.
    pub stdout: Vec<u8>,
    /// The end of its standard error; empty when that went to the container.
    pub stderr: Vec<u8>,
}

impl RuntimeReply {
    /// The standard output of a successful call, or what the runtime said instead.
    ///
    /// # Errors
    /// A classified [`RuntimeFailure`] when the program did not exit with 0.
    pub fn success(&self, runtime: &str, operation: &str) -> Result<&[u8], RuntimeFailure> {
        if self.status.success() {
            return Ok(&self.stdout);
        }
        let stderr = String::from_utf8_lossy(&self.stderr);
        let logged = last_error(&self.log);
        let message = logged
            .as_ref()
            .map(|entry| entry.message.clone())
            .or_else(|| last_line(&stderr))
            .or_else(|| last_line(&self.log))
            .unwrap_or_else(|| silent_end(self.status));
        let stated = logged.and_then(|entry| entry.kind);
        let kind = stated.unwrap_or_else(|| classify(operation, &message));
        let raw = if self.log.trim().is_empty() {
            &*stderr
        } else {
            &*self.log
        };
        let failure = RuntimeFailure::new(kind, runtime, operation, tail(&message));
        Err(failure.with_raw(tail(raw)))
    }

    /// The status in the answer of the `state` verb.
    ///
    /// # Errors
    /// As [`RuntimeReply::success`]; kind `BadAnswer` when the answer is not the specification's form.
    pub fn state(&self, runtime: &str) -> Result<RuntimeState, RuntimeFailure> {
        let stdout = self.success(runtime, "state")?;
        let answer: StateAnswer = serde_json::from_slice(stdout).map_err(|error| {
            let message = format!("its state is not the form of the specification: {error}");
            RuntimeFailure::new(FailureKind::BadAnswer, runtime, "state", &message)
                .with_raw(tail(&String::from_utf8_lossy(stdout)))
        })?;
        Ok(RuntimeState {
            status: answer.status,
            // A stopped container has no process; runc and crun write 0 for that.
            pid: answer.pid.filter(|pid| *pid > 0),
        })
    }

    /// The pids in the answer of the `ps` verb, in ascending order.
    ///
    /// # Errors
    /// As [`RuntimeReply::state`].
    pub fn processes(&self, runtime: &str) -> Result<Vec<i32>, RuntimeFailure> {
        let stdout = self.success(runtime, "ps")?;
        // runc writes null for none.
        let pids: Option<Vec<i32>> = serde_json::from_slice(stdout).map_err(|error| {
            let message = format!("its list of processes is no array of numbers: {error}");
            RuntimeFailure::new(FailureKind::BadAnswer, runtime, "ps", &message)
                .with_raw(tail(&String::from_utf8_lossy(stdout)))
        })?;
        let mut pids = pids.unwrap_or_default();
        pids.sort_unstable();
        Ok(pids)
    }
}

#[derive(Deserialize)]
struct StateAnswer {
    status: RuntimeStatus,
    pid: Option<i32>,
}

/// The last entry of a log with level error or worse.
struct LoggedError {
    message: String,
    kind: Option<FailureKind>,
}

/// A log line: runc and crun write `msg`, youki `message` or `fields.message`. A runtime of this house states the
/// kind itself.
#[derive(Deserialize)]
struct LogLine {
    level: String,
    #[serde(alias = "message")]
    msg: Option<String>,
    fields: Option<LogFields>,
    failure_kind: Option<FailureKind>,
}

#[derive(Deserialize)]
struct LogFields {
    message: Option<String>,
}

/// What youki writes after a message.
const BACKTRACE: &str = "\n\nStack backtrace:";

fn last_error(log: &str) -> Option<LoggedError> {
    log.lines().rev().find_map(|line| {
        let line: LogLine = serde_json::from_str(line).ok()?;
        let severe = ["error", "fatal", "panic"];
        if !severe
            .iter()
            .any(|level| line.level.eq_ignore_ascii_case(level))
        {
            return None;
        }
        let message = line
            .msg
            .or_else(|| line.fields.and_then(|fields| fields.message))?;
        let message = message.split(BACKTRACE).next().unwrap_or_default();
        if message.trim().is_empty() {
            return None;
        }
        Some(LoggedError {
            message: message.to_owned(),
            kind: line.failure_kind,
        })
    })
}

fn last_line(text: &str) -> Option<String> {
    let mut lines = text.lines().rev().map(str::trim);
    lines.find(|line| !line.is_empty()).map(str::to_owned)
}

fn silent_end(status: ExitStatus) -> String {
    match status {
        ExitStatus::Exited(code) => format!("it exited with code {code} and said nothing"),
        ExitStatus::Signaled(signal) => format!("it was killed by {signal} and said nothing"),
    }
}

/// The end of a text, at a character boundary.
pub(crate) fn tail(text: &str) -> &str {
    let mut from = text.len().saturating_sub(KEPT_TEXT);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// Which verbs a text means something for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verbs {
    /// Those that lead to the program's execution.
    Executing,
    /// Those that need the container to exist.
    Existing,
    /// All.
    Any,
}

struct Text {
    verbs: Verbs,
    /// The message holds these in this order. Lower case; the message is compared in lower case.
    parts: &'static [&'static str],
    kind: FailureKind,
}

/// The first row that fits decides.
#[rustfmt::skip]
const TEXTS: [Text; 24] = [
    // runc
    Text { verbs: Verbs::Executing, parts: &["exec: \"", "\": executable file not found in $path"], kind: FailureKind::CommandNotFound },
    Text { verbs: Verbs::Executing, parts: &["exec: \"", "\": stat ", ": no such file or directory"], kind: FailureKind::CommandNotFound },
    Text { verbs: Verbs::Executing, parts: &["exec: \"", "\": no such file or directory"], kind: FailureKind::CommandNotFound },
    Text { verbs: Verbs::Executing, parts: &["exec: \"", "\": permission denied"], kind: FailureKind::CommandNotExecutable },
    Text { verbs: Verbs::Executing, parts: &["exec: \"", "\": is a directory"], kind: FailureKind::CommandNotExecutable },
    Text { verbs: Verbs::Executing, parts: &["exec: \"", ": not a directory"], kind: FailureKind::CommandNotFound },
    Text { verbs: Verbs::Executing, parts: &["process: exec /", ": no such file or directory"], kind: FailureKind::CommandNotFound },
    Text { verbs: Verbs::Executing, parts: &["process: exec /", ": permission denied"], kind: FailureKind::CommandNotExecutable },
    Text { verbs: Verbs::Executing, parts: &["process: exec /", ": exec format error"], kind: FailureKind::CommandNotExecutable },
    // crun
    Text { verbs: Verbs::Executing, parts: &["executable file `", "` not found in $path"], kind: FailureKind::CommandNotFound },
    Text { verbs: Verbs::Executing, parts: &["open executable: permission denied"], kind: FailureKind::CommandNotExecutable },
    Text { verbs: Verbs::Executing, parts: &["open executable: operation not permitted"], kind: FailureKind::CommandNotExecutable },
    Text { verbs: Verbs::Executing, parts: &["exec container process", "`: no such file or directory"], kind: FailureKind::CommandNotFound },
    Text { verbs: Verbs::Executing, parts: &["exec container process", "`: permission denied"], kind: FailureKind::CommandNotExecutable },
    Text { verbs: Verbs::Executing, parts: &["exec container process", "`: exec format error"], kind: FailureKind::CommandNotExecutable },
    Text { verbs: Verbs::Executing, parts: &["exec: no such file or directory"], kind: FailureKind::CommandNotFound },
    Text { verbs: Verbs::Executing, parts: &["exec: exec format error"], kind: FailureKind::CommandNotExecutable },
    Text { verbs: Verbs::Executing, parts: &["open executable: not a directory"], kind: FailureKind::CommandNotFound },
    Text { verbs: Verbs::Existing, parts: &["error opening file `", "/status`: no such file or directory"], kind: FailureKind::NoSuchContainer },
    // runc, youki
    Text { verbs: Verbs::Existing, parts: &["container ", "does not exist"], kind: FailureKind::NoSuchContainer },
    // youki
    Text { verbs: Verbs::Executing, parts: &["executable '", "' not found in $path"], kind: FailureKind::CommandNotFound },
    Text { verbs: Verbs::Executing, parts: &["executable '", "does not have correct permissions"], kind: FailureKind::CommandNotExecutable },
    // What the kernel says, in all of them.
    Text { verbs: Verbs::Any, parts: &["permission denied"], kind: FailureKind::PermissionDenied },
    Text { verbs: Verbs::Any, parts: &["operation not permitted"], kind: FailureKind::PermissionDenied },
];

fn classify(operation: &str, message: &str) -> FailureKind {
    let executing = matches!(operation, "create" | "start" | "exec");
    let existing = operation != "create";
    let message = message.to_lowercase();
    let row = TEXTS.iter().find(|text| {
        let applies = match text.verbs {
            Verbs::Executing => executing,
            Verbs::Existing => existing,
            Verbs::Any => true,
        };
        applies && holds(&message, text.parts)
    });
    row.map_or(FailureKind::Other, |text| text.kind)
}

fn holds(message: &str, parts: &[&str]) -> bool {
    let mut rest = message;
    parts.iter().all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[cfg(test)]
#[path = "reply/tests.rs"]
mod tests;
