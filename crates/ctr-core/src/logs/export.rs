//! The journal's export form.
//!
//! An entry is lines `NAME=value`, or, for values that may hold anything, the name, a newline, the length as eight bytes little endian, the
//! value, a newline. An empty line ends it.

use ctr_sys::rfc3339;

use super::record::Period;
use super::{LogGap, LogItem, LogLine, LogStream, Partial};

/// Cuts bytes, as they come, into entries.
#[derive(Debug, Default)]
pub(super) struct Entries {
    buffer: Vec<u8>,
    /// Bytes of the buffer that were understood.
    used: usize,
    entry: Entry,
}

/// What is wanted of an entry.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) cursor: Option<String>,
    time_us: i64,
    priority: Vec<u8>,
    message: Option<Vec<u8>>,
    partial: Option<Vec<u8>>,
    lost: Option<Vec<u8>>,
    reason: Vec<u8>,
}

/// A field, and where the next one begins.
struct Field {
    name: String,
    value: Vec<u8>,
    next: usize,
}

impl Entries {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole entry.
    pub(super) fn next(&mut self) -> Option<Entry> {
        loop {
            let rest = &self.buffer[self.used..];
            if rest.first() == Some(&b'\n') {
                self.used += 1;
                return Some(std::mem::take(&mut self.entry));
            }
            let field = field(rest)?;
            self.used += field.next;
            self.entry.set(&field.name, field.value);
        }
    }
}

/// The field at the beginning; `None` when it is not whole.
fn field(bytes: &[u8]) -> Option<Field> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = &bytes[..end];
    if let Some(at) = line.iter().position(|byte| *byte == b'=') {
        return Some(Field {
            name: String::from_utf8_lossy(&line[..at]).into_owned(),
            value: line[at + 1..].to_vec(),
            next: end + 1,
        });
    }
    let (length, rest) = bytes[end + 1..].split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let value = rest.get(..length)?;
    rest.get(length)?;
    Some(Field {
        name: String::from_utf8_lossy(line).into_owned(),
        value: value.to_vec(),
        next: end + 1 + 8 + length + 1,
    })
}

impl Entry {
    fn set(&mut self, name: &str, value: Vec<u8>) {
        match name {
            "__CURSOR" => self.cursor = String::from_utf8(value).ok(),
            "__REALTIME_TIMESTAMP" => self.time_us = number(&value).unwrap_or(0),
            "PRIORITY" => self.priority = value,
            "MESSAGE" => self.message = Some(value),
            "CONTAINER_PARTIAL_MESSAGE" => self.partial = Some(value),
            "CONTAINER_LOST_BYTES" => self.lost = Some(value),
            "CONTAINER_LOST_REASON" => self.reason = value,
            _ => {}
        }
    }

    /// The record that it is, if it is of the period.
    pub(super) fn into_item(self, period: Period) -> Option<LogItem> {
        let time_ns = self.time_us.saturating_mul(1000);
        if !period.has(time_ns) {
            return None;
        }
        let time_text = rfc3339(time_ns);
        if let Some(lost) = self.lost {
            return Some(LogItem::Gap(LogGap {
                time_text,
                bytes: u64::try_from(number(&lost)?).ok()?,
                reason: String::from_utf8_lossy(&self.reason).into_owned(),
            }));
        }
        Some(LogItem::Line(LogLine {
            stream: if self.priority == b"3" {
                LogStream::Stderr
            } else {
                LogStream::Stdout
            },
            time_text,
            partial: match self.partial {
                Some(_) => Partial::Partial,
                None => Partial::Full,
            },
            bytes: self.message?,
        }))
    }
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_however_they_are_cut() {
        let mut export =
            b"__CURSOR=c1\n__REALTIME_TIMESTAMP=1\nPRIORITY=3\nMESSAGE=a=b\n\n".to_vec();
        export.extend_from_slice(b"PRIORITY=6\nMESSAGE\n\x05\0\0\0\0\0\0\0x\n\n=\xff\n");
        export.extend_from_slice(b"CONTAINER_PARTIAL_MESSAGE=true\n\n");
        export.extend_from_slice(b"CONTAINER_LOST_BYTES=7\nCONTAINER_LOST_REASON=no room\n\n");
        for size in [1, 2, 7, export.len()] {
            let mut entries = Entries::default();
            let mut found = Vec::new();
            for part in export.chunks(size) {
                entries.push(part);
                found.extend(std::iter::from_fn(|| entries.next()));
            }
            assert_eq!(found[0].cursor.as_deref(), Some("c1"));
            let items: Vec<LogItem> = found
                .into_iter()
                .filter_map(|entry| entry.into_item(Period::default()))
                .collect();
            let [LogItem::Line(a), LogItem::Line(x), LogItem::Gap(gap)] = &items[..] else {
                panic!("{items:?}")
            };
            assert_eq!((a.stream, a.partial), (LogStream::Stderr, Partial::Full));
            assert_eq!(a.bytes, b"a=b");
            assert_eq!(a.time_text, "1970-01-01T00:00:00.000001000+00:00");
            assert_eq!((x.stream, x.partial), (LogStream::Stdout, Partial::Partial));
            assert_eq!(x.bytes, b"x\n\n=\xff");
            assert_eq!((gap.bytes, gap.reason.as_str()), (7, "no room"));
        }
    }
}
