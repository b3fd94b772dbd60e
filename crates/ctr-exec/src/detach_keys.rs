//! The keys by which a user leaves a container that goes on.
//!
//! No key is ever held back: each goes to the container at once, and the sequence is watched for beside it. So a program that uses one of
//! the keys itself (Ctrl-P in a shell) gets it without delay; when the sequence is complete, its last key alone is not passed on, and
//! neither are those before it that came in the same read.

use std::fmt;
use std::str::FromStr;

use crate::error::ExecError;

/// The grammar of a sequence, for messages.
pub const GRAMMAR: &str = "single characters, ctrl-X with X one of a-z @ [ \\ ] ^ _, or DEL, separated by commas; nothing to have none";

/// More than anybody could remember, and a bound on what is compared with every key.
const MAX_KEYS: usize = 32;

/// A sequence of keys; none of them means that nothing detaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetachKeys {
    bytes: Vec<u8>,
}

impl DetachKeys {
    /// No key detaches.
    pub const fn none() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Ctrl-P, Ctrl-Q: what a client of a container's main process has unless something else was asked for.
    pub fn usual() -> Self {
        Self {
            bytes: vec![0x10, 0x11],
        }
    }

    /// Whether no key detaches.
    pub fn is_none(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Begins to watch.
    pub fn watch(self) -> DetachWatch {
        DetachWatch {
            keys: self,
            matched: 0,
        }
    }
}

impl FromStr for DetachKeys {
    type Err = ExecError;

    /// Reads a sequence, see [`GRAMMAR`]. The empty text is [`DetachKeys::none`].
    ///
    /// # Errors
    /// [`ExecError::BadDetachKeys`].
    fn from_str(text: &str) -> Result<Self, ExecError> {
        if text.is_empty() {
            return Ok(Self::none());
        }
        let refused = || ExecError::BadDetachKeys {
            text: text.to_owned(),
        };
        let bytes: Option<Vec<u8>> = text.split(',').map(key).collect();
        let bytes = bytes.filter(|bytes| bytes.len() <= MAX_KEYS);
        Ok(Self {
            bytes: bytes.ok_or_else(refused)?,
        })
    }
}

/// One element of a sequence. A control key is the character without its upper bits, `ascii(7)`.
fn key(word: &str) -> Option<u8> {
    if word == "DEL" {
        return Some(0x7f);
    }
    if let Some(rest) = word.strip_prefix("ctrl-") {
        let [letter] = rest.as_bytes() else {
            return None;
        };
        return matches!(letter, b'a'..=b'z' | b'A'..=b'Z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')
            .then_some(letter & 0x1f);
    }
    match word.as_bytes() {
        [letter] if letter.is_ascii_graphic() || *letter == b' ' => Some(*letter),
        _ => None,
    }
}

impl fmt::Display for DetachKeys {
    /// The form that [`DetachKeys::from_str`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.bytes.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match byte {
                0x7f => write!(f, "{comma}DEL")?,
                0..0x20 => write!(
                    f,
                    "{comma}ctrl-{}",
                    char::from(byte | 0x40).to_ascii_lowercase()
                )?,
                _ => write!(f, "{comma}{}", char::from(*byte))?,
            }
        }
        Ok(())
    }
}

/// Watches what is typed.
#[derive(Clone, Debug)]
pub struct DetachWatch {
    keys: DetachKeys,
    /// How many keys of the sequence the latest input ends with.
    matched: usize,
}

/// What is to be done with input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// All of it goes to the container.
    Pass,
    /// So many bytes of it go to the container, and then the client leaves.
    Detach {
        /// Bytes before the sequence, or before that part of it that came with this input.
        before: usize,
    },
}

impl DetachWatch {
    /// Looks at input in the order in which it came.
    pub fn look(&mut self, input: &[u8]) -> Typed {
        let keys = &self.keys.bytes;
        if keys.is_empty() {
            return Typed::Pass;
        }
        for (index, byte) in input.iter().enumerate() {
            self.matched = longest_match(keys, self.matched, *byte);
            if self.matched == keys.len() {
                self.matched = 0;
                return Typed::Detach {
                    before: (index + 1).saturating_sub(keys.len()),
                };
            }
        }
        Typed::Pass
    }
}

/// How many keys match after one more byte: the longest beginning of the sequence that the input ends with now.
fn longest_match(keys: &[u8], matched: usize, byte: u8) -> usize {
    let mut seen = keys[..matched].to_vec();
    seen.push(byte);
    (0..=seen.len())
        .rev()
        .find(|length| keys.starts_with(&seen[seen.len() - length..]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &str, reads: &[&[u8]], expected: Typed) {
        let mut watch = keys.parse::<DetachKeys>().unwrap().watch();
        let mut last = Typed::Pass;
        for (index, read) in reads.iter().enumerate() {
            last = watch.look(read);
            let is_last = index + 1 == reads.len();
            assert!(is_last || last == Typed::Pass, "{keys:?} {reads:?}");
        }
        assert_eq!(last, expected, "{keys:?} {reads:?}");
    }

    #[test]
    fn the_sequence_is_seen_however_it_is_cut() {
        let usual = "ctrl-p,ctrl-q";
        let detach = |before| Typed::Detach { before };
        check(usual, &[b"\x10\x11"], detach(0));
        check(usual, &[b"\x10", b"\x11"], detach(0));
        check(usual, &[b"ab\x10\x11cd"], detach(2));
        check(usual, &[b"ab\x10", b"\x11cd"], detach(0));
        check(usual, &[b"\x10\x10\x11"], detach(1));
        check(usual, &[b"\x10x\x11"], Typed::Pass);
        check(usual, &[b"\x10"], Typed::Pass);
        check(usual, &[b"\x10", b"x", b"\x11"], Typed::Pass);
        check("a,a,b", &[b"aaab"], detach(1));
        check("a,a,b", &[b"a", b"a", b"a", b"b"], detach(0));
        check("a,b,a,c", &[b"ababac"], detach(2));
        check("", &[b"\x10\x11"], Typed::Pass);
    }

    #[test]
    fn sequences_are_read_and_written() {
        for (text, bytes) in [
            ("ctrl-p,ctrl-q", &[0x10, 0x11][..]),
            (
                "ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_",
                &[0, 27, 28, 29, 30, 31],
            ),
            ("a,b, ,DEL", &[b'a', b'b', b' ', 0x7f]),
            ("", &[]),
        ] {
            let keys: DetachKeys = text.parse().unwrap();
            assert_eq!(keys.bytes, bytes, "{text}");
            assert_eq!(keys.to_string(), text);
        }
        assert_eq!("ctrl-P".parse::<DetachKeys>().unwrap().bytes, [0x10]);
        assert_eq!(DetachKeys::usual().to_string(), "ctrl-p,ctrl-q");
        assert!(DetachKeys::none().is_none());
    }

    #[test]
    fn bad_sequences_are_refused_with_the_grammar() {
        let long = vec!["a"; 33].join(",");
        for text in [
            "ctrl-", "ctrl-pq", "ab", ",", "a,", "ctrl-1", "ctrl-é", "é", "\u{1}", "del", &long,
        ] {
            let error = text.parse::<DetachKeys>().unwrap_err().to_string();
            assert!(error.contains(GRAMMAR), "{text:?}: {error}");
        }
    }
}
