//! The end of a terminal's input: a key that is typed until the program has taken note of it.
//!
//! A pipe that has ended says so with every read. To a terminal the end is one more thing that is typed, and whoever reads next may not
//! know it: a shell that waits for its command while the key arrives finds a byte without a meaning afterwards. So the key is typed when
//! everything before it has been read, and again when it has been read itself and the program is still there. A program that reads key
//! by key gets it once: shells end of it, and to others it is data. Nothing announces that something was read; it is looked at in
//! growing intervals.

use std::time::{Duration, Instant};

use ctr_exec::{Console, EndKey};

/// The first interval.
const FIRST: Duration = Duration::from_millis(10);

/// The longest one.
const LONGEST: Duration = Duration::from_secs(1);

/// Input that has ended.
pub(super) struct InputEnd {
    next: Instant,
    interval: Duration,
    /// What was typed last.
    typed: Option<EndKey>,
}

impl InputEnd {
    /// It has ended just now.
    pub(super) fn new() -> Self {
        Self {
            next: Instant::now(),
            interval: FIRST,
            typed: None,
        }
    }

    /// When [`InputEnd::key`] is to be asked again.
    pub(super) fn timeout(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// What is to be typed now.
    pub(super) fn key(&mut self, console: &Console) -> Option<u8> {
        let now = Instant::now();
        if now < self.next {
            return None;
        }
        self.next = now + self.interval;
        self.interval = (self.interval * 2).min(LONGEST);
        if console.has_unread_input() {
            return None;
        }
        let key = console.end_key()?;
        let before = self.typed.replace(key);
        match (key, before) {
            (EndKey::ByKey(_), Some(EndKey::ByKey(_))) => None,
            (EndKey::ByLine(byte) | EndKey::ByKey(byte), _) => Some(byte),
        }
    }
}
