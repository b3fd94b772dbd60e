//! Signal numbers and names, and reading blocked signals from a descriptor.
//!
//! Signals are numbers 1 to 64, `signal(7)`. Names are accepted with and without `SIG`, in any case, real-time signals as
//! `RTMIN`, `RTMIN+n`, `RTMAX-n`, `RTMAX`.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::SysResult;
use crate::raw;

/// First and last real-time signal as glibc leaves them to programs.
const RTMIN: i32 = 34;
const RTMAX: i32 = 64;

const NAMES: [(&str, i32); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// A signal, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct Signal(i32);

impl Signal {
    /// Hang-up of the controlling terminal.
    pub const HUP: Self = Self(1);
    /// Ctrl-C.
    pub const INT: Self = Self(2);
    /// Ctrl-\.
    pub const QUIT: Self = Self(3);
    /// Cannot be caught.
    pub const KILL: Self = Self(9);
    /// For the program's own use.
    pub const USR1: Self = Self(10);
    /// For the program's own use.
    pub const USR2: Self = Self(12);
    /// A write to a pipe that nobody reads.
    pub const PIPE: Self = Self(13);
    /// The polite request to end.
    pub const TERM: Self = Self(15);
    /// A child changed its state.
    pub const CHLD: Self = Self(17);
    /// Continue after a stop.
    pub const CONT: Self = Self(18);
    /// Stop; cannot be caught.
    pub const STOP: Self = Self(19);
    /// Urgent data on a socket.
    pub const URG: Self = Self(23);
    /// The terminal's window changed its size.
    pub const WINCH: Self = Self(28);

    /// The signal of that number; `None` outside 1 to 64.
    pub const fn new(number: i32) -> Option<Self> {
        if number >= 1 && number <= RTMAX {
            Some(Self(number))
        } else {
            None
        }
    }

    /// Its number, 1 to 64.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Whether it asks a process to end and can be caught: `SIGHUP`, `SIGINT`, `SIGQUIT` and `SIGTERM`.
    pub fn asks_to_end(self) -> bool {
        [Self::HUP, Self::INT, Self::QUIT, Self::TERM].contains(&self)
    }

    /// Every signal, ascending.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=RTMAX).map(Self)
    }
}

/// Text that names no signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not a signal: a number from 1 to 64 or a name such as TERM, SIGKILL or RTMIN+3"
)]
pub struct UnknownSignal {
    text: String,
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownSignal {
            text: text.to_owned(),
        };
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().ok().and_then(Self::new).ok_or_else(unknown);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
            return Ok(Self(*number));
        }
        real_time(name).ok_or_else(unknown)
    }
}

fn real_time(name: &str) -> Option<Signal> {
    let offset = |text: &str| -> Option<i32> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        text.parse().ok()
    };
    let number = match name {
        "RTMIN" => RTMIN,
        "RTMAX" => RTMAX,
        "CLD" => return Some(Signal::CHLD),
        "POLL" => 29,
        "IOT" => 6,
        other => {
            if let Some(text) = other.strip_prefix("RTMIN+") {
                RTMIN.checked_add(offset(text)?)?
            } else {
                RTMAX.checked_sub(offset(other.strip_prefix("RTMAX-")?)?)?
            }
        }
    };
    let plain = !name.starts_with("RT");
    (plain || (RTMIN..=RTMAX).contains(&number)).then_some(Signal(number))
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = NAMES.iter().find(|(_, number)| *number == self.0) {
            return write!(f, "SIG{name}");
        }
        match self.0 - RTMIN {
            0 => f.write_str("SIGRTMIN"),
            n if n > 0 => write!(f, "SIGRTMIN+{n}"),
            // 32 and 33 belong to the C library and have no name.
            _ => write!(f, "{}", self.0),
        }
    }
}

impl TryFrom<i32> for Signal {
    type Error = UnknownSignal;

    fn try_from(number: i32) -> Result<Self, Self::Error> {
        Self::new(number).ok_or_else(|| UnknownSignal {
            text: number.to_string(),
        })
    }
}

impl From<Signal> for i32 {
    fn from(signal: Signal) -> Self {
        signal.0
    }
}

/// One signal as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalInfo {
    /// Which one.
    pub signal: Signal,
    /// Who sent it; 0 when the kernel did.
    pub pid: i32,
}

/// Signals of this process that are blocked and read instead of handled, `signalfd(2)`.
///
/// Blocking holds for the calling thread and those it starts later, so a program does it first thing. Children started by
/// [`crate::Launch`] have an empty mask again.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// Blocks `signals` in the calling thread and opens a non-blocking descriptor for them.
    ///
    /// # Errors
    /// When the kernel refuses (no descriptors left).
    pub fn block(signals: &[Signal]) -> SysResult<Self> {
        let set = raw::signal_set(signals);
        raw::block_signals(&set)?;
        Ok(Self(raw::signalfd(&set)?))
    }

    /// The next pending signal, `None` when there is none now.
    ///
    /// # Errors
    /// When the descriptor cannot be read.
    pub fn read(&self) -> SysResult<Option<SignalInfo>> {
        raw::read_signalfd(self.0.as_fd())
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<i32>) {
        let parsed = text.parse::<Signal>().ok().map(Signal::number);
        assert_eq!(parsed, expected, "{text:?}");
    }

    #[test]
    fn names_and_numbers() {
        check("TERM", Some(15));
        check("sigkill", Some(9));
        check("1", Some(1));
        check("64", Some(64));
        check("RTMIN+3", Some(37));
        check("SIGRTMAX-1", Some(63));
        check("RTMIN", Some(34));
        for bad in [
            "", "0", "65", "-1", "+9", "SIG", "SIGSIG", "RTMIN+31", "RTMAX-31", "RTMIN+", "9x",
            " 9",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn what_is_displayed_is_parsed_again() {
        for signal in Signal::all() {
            assert_eq!(signal.to_string().parse::<Signal>(), Ok(signal));
        }
    }
}
