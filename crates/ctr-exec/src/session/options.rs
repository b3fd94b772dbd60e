//! What becomes of a session's output and processes at its end, or its client's.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How long output is waited for that others still write when a session's process has ended: processes that it has left behind may hold
/// its standard output open for ever. What it has written itself is never lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WaitIo {
    /// Not at all.
    Exit,
    /// For half a second.
    #[default]
    Grace,
    /// Until the last of them has closed it.
    Eof,
}

/// What becomes of a session's processes when the client in whose foreground it runs is gone without having left on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDisconnect {
    /// They go on, and others can attach.
    #[default]
    Keep,
    /// They get SIGHUP, as when a terminal is gone.
    Hup,
    /// They get SIGKILL.
    Kill,
}

/// A word that stands for nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {allowed}")]
pub struct BadWord {
    /// The words that are allowed.
    allowed: &'static str,
}

impl FromStr for WaitIo {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        match text {
            "exit" => Ok(Self::Exit),
            "grace" => Ok(Self::Grace),
            "eof" => Ok(Self::Eof),
            _ => Err(BadWord {
                allowed: "exit, grace or eof",
            }),
        }
    }
}

impl FromStr for OnDisconnect {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        match text {
            "keep" => Ok(Self::Keep),
            "hup" => Ok(Self::Hup),
            "kill" => Ok(Self::Kill),
            _ => Err(BadWord {
                allowed: "keep, hup or kill",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!("eof".parse(), Ok(WaitIo::Eof));
        assert_eq!("hup".parse(), Ok(OnDisconnect::Hup));
        let refused = "EOF".parse::<WaitIo>().unwrap_err().to_string();
        assert_eq!(refused, "must be exit, grace or eof");
        assert!("".parse::<OnDisconnect>().is_err());
    }
}
