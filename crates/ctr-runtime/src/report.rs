//! One pipe on which the processes of a `create` tell what went wrong.
//!
//! The library hands errors from process to process as text. What must keep its structure (why the command cannot be executed) and
//! what the library only logs therefore travel beside it: each line of this pipe is one JSON document. The pipe never blocks: a
//! writer that finds it full drops its line.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use ctr_oci::FailureKind;
use rustix::pipe::PipeFlags;
use serde::{Deserialize, Serialize};

use crate::error::RAW_LIMIT;

/// Why the container's command is not going to be executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// `CommandNotFound` or `CommandNotExecutable`, or another kind for what the check itself could not do.
    pub(crate) kind: FailureKind,
    /// For people.
    pub(crate) message: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Refused(Refusal),
    Log(String),
}

/// The end that is written to. Clones share the descriptor, and so do forked children.
#[derive(Clone, Debug)]
pub(crate) struct Reporter(Arc<OwnedFd>);

/// The end that is read, once all is over.
#[derive(Debug)]
pub(crate) struct Reports(OwnedFd);

/// Everything that was reported.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Reported {
    /// The first refusal.
    pub(crate) refusal: Option<Refusal>,
    /// The log lines in order, at most [`RAW_LIMIT`] bytes.
    pub(crate) log: Vec<String>,
}

/// Makes the pipe.
pub(crate) fn pipe() -> io::Result<(Reporter, Reports)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    Ok((Reporter(Arc::new(writer)), Reports(reader)))
}

impl Reporter {
    pub(crate) fn refuse(&self, refusal: &Refusal) {
        self.send(&Line::Refused(refusal.clone()));
    }

    pub(crate) fn log(&self, text: &str) {
        self.send(&Line::Log(cut(text, RAW_LIMIT / 4).to_owned()));
    }

    fn send(&self, line: &Line) {
        let Ok(mut bytes) = serde_json::to_vec(line) else {
            return;
        };
        bytes.push(b'\n');
        // A line is shorter than PIPE_BUF (4096), so it is written whole or, on a full pipe, not at all: then it is dropped, which is
        // right for a report that nobody can take.
        let _ = rustix::io::write(self.0.as_fd(), &bytes);
    }
}

impl Reports {
    /// Reads what is there now. Never blocks, also while writers are open.
    pub(crate) fn drain(self) -> Reported {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count) = rustix::io::read(self.0.as_fd(), &mut buffer) {
            if count == 0 {
                break;
            }
            bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        Reported::parse(&bytes)
    }
}

impl Reported {
    fn parse(bytes: &[u8]) -> Self {
        let mut reported = Self::default();
        let mut room = RAW_LIMIT;
        for line in bytes.split(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Line::Refused(refusal)) => {
                    reported.refusal.get_or_insert(refusal);
                }
                Ok(Line::Log(text)) if text.len() < room => {
                    room -= text.len() + 1;
                    reported.log.push(text);
                }
                Ok(Line::Log(_)) | Err(_) => {}
            }
        }
        reported
    }
}

/// The longest start of `text` that has at most `limit` bytes.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_and_logs_arrive_while_the_writer_is_open() {
        let (reporter, reports) = pipe().unwrap();
        let refusal = Refusal {
            kind: FailureKind::CommandNotFound,
            message: "no \"x\"\nthere".to_owned(),
        };
        reporter.log("first");
        reporter.clone().refuse(&refusal);
        reporter.log("second");
        let found = reports.drain();
        assert_eq!(found.refusal, Some(refusal));
        assert_eq!(found.log, ["first", "second"]);
    }

    #[test]
    fn a_full_pipe_drops_lines_and_blocks_nobody() {
        let (reporter, reports) = pipe().unwrap();
        for _ in 0..1000 {
            reporter.log(&"ä".repeat(3000));
        }
        let found = reports.drain();
        assert!(found.log.iter().map(String::len).sum::<usize>() <= RAW_LIMIT);
        assert!(!found.log.is_empty());
    }

    #[test]
    fn garbage_is_ignored() {
        assert_eq!(
            Reported::parse(b"\0\n{}\n{\"log\":1}\n"),
            Reported::default()
        );
    }
}
