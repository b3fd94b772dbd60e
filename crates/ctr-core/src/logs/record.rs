//! Records of the log file: `TIME STREAM F|P TEXT`, and `TIME gap F BYTES REASON`.

use ctr_sys::parse_rfc3339;

use super::{LogGap, LogItem, LogLine, LogStream, Partial};

/// A record, its text still where it was read to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) time_ns: i64,
    time_text: &'a str,
    pub(super) kind: Kind,
    pub(super) partial: Partial,
    text: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Output(LogStream),
    Gap,
}

impl<'a> Record<'a> {
    /// Reads a record without its newline; `None` for a line that is none.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.splitn(4, |byte| *byte == b' ');
        let time_text = std::str::from_utf8(fields.next()?).ok()?;
        let kind = match fields.next()? {
            b"stdout" => Kind::Output(LogStream::Stdout),
            b"stderr" => Kind::Output(LogStream::Stderr),
            b"gap" => Kind::Gap,
            _ => return None,
        };
        let partial = match fields.next()? {
            b"F" => Partial::Full,
            b"P" => Partial::Partial,
            _ => return None,
        };
        Some(Self {
            time_ns: parse_rfc3339(time_text)?,
            time_text,
            kind,
            partial,
            text: fields.next()?,
        })
    }

    /// The record as it is given out; `None` for a gap whose text is none.
    pub(super) fn to_item(self) -> Option<LogItem> {
        let stream = match self.kind {
            Kind::Output(stream) => stream,
            Kind::Gap => return self.gap().map(LogItem::Gap),
        };
        Some(LogItem::Line(LogLine {
            stream,
            time_text: self.time_text.to_owned(),
            partial: self.partial,
            bytes: self.text.to_vec(),
        }))
    }

    fn gap(self) -> Option<LogGap> {
        let text = std::str::from_utf8(self.text).ok()?;
        let (bytes, reason) = text.split_once(' ')?;
        Some(LogGap {
            time_text: self.time_text.to_owned(),
            bytes: bytes.parse().ok()?,
            reason: reason.to_owned(),
        })
    }
}

/// Which records are wanted, by their time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Period {
    /// From here on, nanoseconds since 1970 UTC.
    pub(super) since_ns: Option<i64>,
    /// And before this.
    pub(super) until_ns: Option<i64>,
}

impl Period {
    pub(super) fn has(self, time_ns: i64) -> bool {
        self.since_ns.is_none_or(|since| time_ns >= since)
            && self.until_ns.is_none_or(|until| time_ns < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-25T17:04:05.000000001+00:00";

    fn item(text: &str) -> Option<LogItem> {
        Record::parse(format!("{TIME} {text}").as_bytes()).and_then(Record::to_item)
    }

    #[test]
    fn records_and_what_is_none() {
        let Some(LogItem::Line(line)) = item("stderr P a b\u{1b} ") else {
            panic!()
        };
        assert_eq!(line.stream, LogStream::Stderr);
        assert_eq!(line.partial, Partial::Partial);
        assert_eq!(line.bytes, b"a b\x1b ");
        assert_eq!(line.time_text, TIME);
        for bad in [
            "stdin F x",
            "stdout X x",
            "",
            "stdout",
            "stdout F",
            "gap F",
            "gap F x y",
            "gap F 7",
        ] {
            assert_eq!(item(bad), None, "{bad}");
        }
        assert_eq!(Record::parse(b"yesterday stdout F x"), None);
        let empty = item("stdout F ");
        assert!(matches!(empty, Some(LogItem::Line(line)) if line.bytes.is_empty()));
    }

    #[test]
    fn a_gap_has_a_size_and_a_reason() {
        let Some(LogItem::Gap(gap)) = item("gap F 12 No space left") else {
            panic!()
        };
        assert_eq!((gap.bytes, gap.reason.as_str()), (12, "No space left"));
    }
}
