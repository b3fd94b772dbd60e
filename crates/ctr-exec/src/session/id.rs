//! The identity of a session.

use std::fmt;

use ctr_sys::{SysResult, random_id};
use serde::{Deserialize, Serialize};

/// How many hex digits an id has.
const DIGITS: usize = 64;
/// How many of them are shown where space is short.
const SHORT: usize = 12;

/// The identity of an exec session: 256 random bits as 64 lower-case hex digits. Never used twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

/// A text that is no id of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of an exec session has 64 lower-case hex digits")]
pub struct BadSessionId;

impl SessionId {
    /// A new id from the kernel's random numbers, `getrandom(2)`.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn generate() -> SysResult<Self> {
        random_id().map(Self)
    }

    /// All digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..SHORT]
    }

    /// The name of the control group of its processes, below that of the container.
    pub fn group(&self) -> String {
        format!("exec-{}", self.0)
    }
}

impl TryFrom<String> for SessionId {
    type Error = BadSessionId;

    fn try_from(text: String) -> Result<Self, BadSessionId> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == DIGITS && text.bytes().all(is_digit) {
            Ok(Self(text))
        } else {
            Err(BadSessionId)
        }
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_new_and_their_form_is_checked() {
        let (one, two) = (
            SessionId::generate().unwrap(),
            SessionId::generate().unwrap(),
        );
        assert_ne!(one, two);
        assert_eq!(SessionId::try_from(one.to_string()), Ok(one.clone()));
        assert_eq!(one.short().len(), SHORT);
        let upper = one
            .as_str()
            .to_uppercase()
            .replace(|c: char| c.is_ascii_digit(), "A");
        for bad in ["", "abc", "../x", &upper, &format!("{one}0")] {
            assert_eq!(
                SessionId::try_from(bad.to_owned()),
                Err(BadSessionId),
                "{bad}"
            );
        }
    }
}
