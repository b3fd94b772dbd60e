//! The last output of a program, for clients that come later.

use std::collections::VecDeque;

use ctr_exec::frames::Stream;

/// The most bytes that are kept: the screens of a large terminal.
const MOST: usize = 64 * 1024;

/// Output in the order in which it came, the oldest first.
#[derive(Default)]
pub(super) struct Replay {
    bytes: VecDeque<u8>,
    /// So many bytes of a stream, one after the other.
    runs: VecDeque<(Stream, usize)>,
}

impl Replay {
    /// Keeps the last of what was and of this.
    pub(super) fn push(&mut self, stream: Stream, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(MOST)..];
        self.drop_oldest((self.bytes.len() + bytes.len()).saturating_sub(MOST));
        self.bytes.extend(bytes);
        match self.runs.back_mut() {
            Some((last, length)) if *last == stream => *length += bytes.len(),
            Some(_) | None => self.runs.push_back((stream, bytes.len())),
        }
    }

    fn drop_oldest(&mut self, mut excess: usize) {
        self.bytes.drain(..excess);
        while let Some((_, length)) = self.runs.front_mut()
            && excess > 0
        {
            let dropped = excess.min(*length);
            *length -= dropped;
            excess -= dropped;
            if *length == 0 {
                self.runs.pop_front();
            }
        }
    }

    /// The last bytes, this many at most.
    pub(super) fn last(&self, most: u64) -> Vec<(Stream, Vec<u8>)> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let mut skip = self.bytes.len().saturating_sub(most);
        let mut bytes = self.bytes.iter().copied().skip(skip);
        let mut parts = Vec::new();
        for (stream, length) in &self.runs {
            let here = skip.min(*length);
            skip -= here;
            let part: Vec<u8> = bytes.by_ref().take(length - here).collect();
            if !part.is_empty() {
                parts.push((*stream, part));
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(replay: &Replay, most: u64) -> String {
        let parts = replay.last(most).into_iter();
        let parts = parts.map(|(_, part)| String::from_utf8(part).unwrap());
        parts.collect()
    }

    #[test]
    fn the_last_of_it_in_its_order() {
        let mut replay = Replay::default();
        replay.push(Stream::Stdout, b"one ");
        replay.push(Stream::Stderr, b"two ");
        replay.push(Stream::Stdout, b"three");
        assert_eq!(text(&replay, 100), "one two three");
        assert_eq!(text(&replay, 7), "o three");
        assert_eq!(text(&replay, 0), "");
        let last = replay.last(7).into_iter();
        let streams: Vec<Stream> = last.map(|(stream, _)| stream).collect();
        assert_eq!(streams, [Stream::Stderr, Stream::Stdout]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut replay = Replay::default();
        for number in 0..30_000 {
            replay.push(Stream::Stdout, format!("{number:06} ").as_bytes());
        }
        let kept = text(&replay, u64::MAX);
        assert_eq!(kept.len(), MOST);
        assert!(kept.ends_with("029998 029999 "));
    }
}
