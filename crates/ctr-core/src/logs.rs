//! Reading a container's log.
//!
//! The file is the one fixed at creation, opened without following a link. Lines that are not of the log's form are passed over: the log
//! lies in our own directory, and whoever damaged one line must not hide the others.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;

use ctr_sys::SysError;
use rustix::fs::OFlags;

use crate::container::Container;
use crate::error::EngineError;

/// Longer than any record: what one read of the monitor holds, and the head of the record.
const MAX_RECORD: u64 = 64 * 1024;

/// Which part of the log is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRequest {
    /// Only the last so many lines; `None` for all.
    pub tail: Option<usize>,
}

/// Which stream a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Whether the record ends its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partial {
    /// It does.
    Full,
    /// The line goes on in the next record of the stream.
    Partial,
}

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The stream.
    pub stream: LogStream,
    /// When it was read, RFC 3339.
    pub time_text: String,
    /// Whether it ends its line.
    pub partial: Partial,
    /// What the container wrote, without the newline.
    pub bytes: Vec<u8>,
}

/// The records of a log, in order.
#[derive(Debug)]
pub struct LogReader {
    source: Source,
}

#[derive(Debug)]
enum Source {
    None,
    File(BufReader<File>),
    Tail(VecDeque<LogLine>),
}

impl Container<'_> {
    /// Opens the log. One that was never written is empty. Takes no lock.
    ///
    /// # Errors
    /// When the log is something else than a regular file, or cannot be read.
    pub fn logs(&self, request: LogRequest) -> Result<LogReader, EngineError> {
        let snapshot = self.snapshot()?;
        let generation = snapshot.record().map_or(0, ctr_state::Record::generation);
        let _span =
            tracing::info_span!("logs", container = self.id().short(), generation).entered();
        let path = &snapshot.config()?.log.path;
        let error = |source| SysError::new("read the log", path.display().to_string(), source);
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::options()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path);
        let file = match file {
            Ok(file) => file,
            Err(found) if found.kind() == std::io::ErrorKind::NotFound => {
                return Ok(LogReader {
                    source: Source::None,
                });
            }
            Err(found) => return Err(error(found).into()),
        };
        if !file.metadata().map_err(error)?.is_file() {
            let why =
                std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a regular file");
            return Err(error(why).into());
        }
        let mut reader = LogReader {
            source: Source::File(BufReader::new(file)),
        };
        if let Some(lines) = request.tail {
            reader.source = Source::Tail(last_lines(&mut reader, lines)?);
        }
        Ok(reader)
    }
}

/// The records that belong to the last `lines` lines: a line that was logged in parts counts once.
fn last_lines(reader: &mut LogReader, lines: usize) -> Result<VecDeque<LogLine>, EngineError> {
    let mut kept = VecDeque::new();
    let mut ends = 0;
    for line in reader {
        let line = line?;
        ends += usize::from(line.partial == Partial::Full);
        kept.push_back(line);
        while ends > lines {
            let first: Option<LogLine> = kept.pop_front();
            ends -= usize::from(first.is_some_and(|line| line.partial == Partial::Full));
        }
    }
    if lines == 0 {
        kept.clear();
    }
    Ok(kept)
}

impl Iterator for LogReader {
    type Item = Result<LogLine, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = match &mut self.source {
            Source::None => return None,
            Source::Tail(lines) => return lines.pop_front().map(Ok),
            Source::File(reader) => reader,
        };
        loop {
            let mut record = Vec::new();
            let read = std::io::Read::take(&mut *reader, MAX_RECORD).read_until(b'\n', &mut record);
            match read {
                Ok(0) => return None,
                Ok(_) => {
                    if let Some(line) = parse(&record) {
                        return Some(Ok(line));
                    }
                }
                Err(source) => {
                    return Some(Err(SysError::new("read", "the log", source).into()));
                }
            }
        }
    }
}

/// `TIME STREAM TAG TEXT` and a newline; a record without its newline is still being written.
fn parse(record: &[u8]) -> Option<LogLine> {
    let record = record.strip_suffix(b"\n")?;
    let mut fields = record.splitn(4, |byte| *byte == b' ');
    let time_text = String::from_utf8(fields.next()?.to_vec()).ok()?;
    let stream = match fields.next()? {
        b"stdout" => LogStream::Stdout,
        b"stderr" => LogStream::Stderr,
        _ => return None,
    };
    let partial = match fields.next()? {
        b"F" => Partial::Full,
        b"P" => Partial::Partial,
        _ => return None,
    };
    Some(LogLine {
        stream,
        time_text,
        partial,
        bytes: fields.next()?.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_what_is_none() {
        let line = parse(b"T stderr P a b\x1b \n").unwrap();
        assert_eq!(line.stream, LogStream::Stderr);
        assert_eq!(line.partial, Partial::Partial);
        assert_eq!(line.bytes, b"a b\x1b ");
        assert!(parse(b"T stdout F \n").unwrap().bytes.is_empty());
        for bad in [
            &b"T stdout F x"[..],
            b"T stdin F x\n",
            b"T stdout X x\n",
            b"\n",
            b"T stdout\n",
        ] {
            assert_eq!(parse(bad), None);
        }
    }
}
