//! The Kubernetes text form.
//!
//! A record is `TIME STREAM F|P TEXT` and a newline: `F` when the text ended with a newline, `P` when it did not and goes on in the
//! next record of that stream. Bytes are copied as they are; a newline is the only one that ends a record, so nothing that a container
//! writes can look like the beginning of another. `TIME gap F BYTES REASON` is a record of what is missing: no stream of a container
//! has that name.

use ctr_exec::frames::Stream;

/// What stands around the text: the time (35 bytes), the stream's name (6), the tag, three blanks and the newline.
pub(super) const OVERHEAD: usize = 46;

/// A part of a line that becomes one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a [u8],
    pub(super) tag: Tag,
}

/// Whether a record ends its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Full,
    Partial,
}

impl Piece<'_> {
    /// The size of its record.
    pub(super) fn record_size(self) -> u64 {
        (self.text.len() + OVERHEAD) as u64
    }

    /// How many bytes of the container's output it is.
    pub(super) fn output_size(self) -> u64 {
        self.text.len() as u64 + u64::from(self.tag == Tag::Full)
    }

    /// Appends its record; see [`head`].
    pub(super) fn append_to(self, records: &mut Vec<u8>, head: &str) {
        let tag = match self.tag {
            Tag::Full => b"F ",
            Tag::Partial => b"P ",
        };
        records.extend_from_slice(head.as_bytes());
        records.extend_from_slice(tag);
        records.extend_from_slice(self.text);
        records.push(b'\n');
    }
}

/// What the records of one read begin with.
pub(super) fn head(time: &str, stream: Stream) -> String {
    let name = match stream {
        Stream::Stderr => "stderr",
        Stream::Stdout | Stream::Stdin => "stdout",
    };
    format!("{time} {name} ")
}

/// Cuts bytes into lines and the rest of the last one, and texts longer than `longest` into parts.
pub(super) fn pieces(bytes: &[u8], longest: usize) -> impl Iterator<Item = Piece<'_>> {
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .flat_map(move |line| {
            let (text, tag) = match line.strip_suffix(b"\n") {
                Some(text) => (text, Tag::Full),
                None => (line, Tag::Partial),
            };
            let last = text.len().saturating_sub(1) / longest;
            let part = move |index: usize| Piece {
                text: &text[index * longest..text.len().min((index + 1) * longest)],
                tag: if index == last { tag } else { Tag::Partial },
            };
            (0..=last).map(part)
        })
}

/// The record of a gap.
pub(super) fn gap(time: &str, bytes: u64, why: &str) -> Vec<u8> {
    let why: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
    format!("{time} gap F {bytes} {why}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], longest: usize, expected: &str) {
        let mut records = Vec::new();
        let mut sizes = (0, 0);
        for piece in pieces(bytes, longest) {
            piece.append_to(&mut records, &head("T", Stream::Stdout));
            sizes.0 += piece.record_size();
            sizes.1 += piece.output_size();
        }
        assert_eq!(String::from_utf8_lossy(&records), expected);
        // The time is one byte here and 35 in a log.
        let lines = expected.lines().count() as u64;
        assert_eq!(
            sizes,
            (records.len() as u64 + lines * 34, bytes.len() as u64)
        );
    }

    #[test]
    fn lines_and_parts_of_lines() {
        check(b"a\nb\n", 99, "T stdout F a\nT stdout F b\n");
        check(b"a\nb", 99, "T stdout F a\nT stdout P b\n");
        check(b"\n", 99, "T stdout F \n");
        check(b"", 99, "");
        let forged = b"a\r\n2026-01-01 stdout F forged";
        check(
            forged,
            99,
            "T stdout F a\r\nT stdout P 2026-01-01 stdout F forged\n",
        );
    }

    #[test]
    fn long_texts_are_cut() {
        check(
            b"abcde\n",
            2,
            "T stdout P ab\nT stdout P cd\nT stdout F e\n",
        );
        check(b"abcd\n", 2, "T stdout P ab\nT stdout F cd\n");
        check(b"abcd", 2, "T stdout P ab\nT stdout P cd\n");
    }

    #[test]
    fn a_gap_is_one_line() {
        let record = gap("T", 7, "no\nroom");
        assert_eq!(record, b"T gap F 7 noroom\n");
    }
}
