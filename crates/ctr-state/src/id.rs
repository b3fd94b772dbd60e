//! Ids, and what a user types for a container.

use std::fmt;
use std::str::FromStr;

use ctr_sys::random_id;
use serde::{Deserialize, Serialize};

use crate::{ParseError, StateError};

/// How many hex digits an id has.
const DIGITS: usize = 64;
/// How many of them are shown where space is short.
const SHORT: usize = 12;

/// The identity of a container: 256 random bits as 64 lower-case hex digits. Never used twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

impl ContainerId {
    /// A new id from the kernel's random numbers, getrandom(2).
    ///
    /// # Errors
    /// [`StateError::Sys`] when the kernel gives none.
    pub fn generate() -> Result<Self, StateError> {
        Ok(Self(random_id()?))
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..SHORT]
    }
}

/// Whether `text` is made of lower-case hex digits only.
pub(crate) fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl FromStr for ContainerId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() == DIGITS && is_hex(text) {
            return Ok(Self(text.to_owned()));
        }
        let why = "expected 64 lower-case hexadecimal digits";
        Err(ParseError::new("container id", text, why))
    }
}

impl TryFrom<String> for ContainerId {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

impl AsRef<str> for ContainerId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a user types to mean a container: an id, the beginning of an id, or a name. One leading '/' is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdOrName(String);

impl IdOrName {
    /// The text, without the leading '/'.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdOrName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let rest = text.strip_prefix('/').unwrap_or(text);
        if rest.is_empty() {
            return Err(ParseError::new("container", text, "it is empty"));
        }
        Ok(Self(rest.to_owned()))
    }
}

impl From<&ContainerId> for IdOrName {
    fn from(id: &ContainerId) -> Self {
        Self(id.0.clone())
    }
}

impl fmt::Display for IdOrName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_ids_are_ids_and_differ() {
        let id = ContainerId::generate().unwrap();
        assert_eq!(id.as_str().parse::<ContainerId>().unwrap(), id);
        assert_eq!(id.short().len(), 12);
        assert_ne!(id, ContainerId::generate().unwrap());
    }

    #[test]
    fn only_64_lower_case_digits_are_an_id() {
        for text in ["", "abc", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65)] {
            assert!(text.parse::<ContainerId>().is_err(), "{text}");
        }
        assert!("/".parse::<IdOrName>().is_err());
        assert_eq!("/web".parse::<IdOrName>().unwrap().as_str(), "web");
    }
}
