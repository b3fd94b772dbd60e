//! Names that users give.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::is_hex;
use crate::{ContainerId, ParseError};

const WHAT: &str = "container name";
/// Longer names are refused: they end up in host names, file names and table columns.
const MAX_BYTES: usize = 128;

/// The name of a container: a letter or digit, then letters, digits, `_`, `.` and `-`, at most 128 bytes, unique among
/// containers. A text that could be a full id is no name, since it could hide the container of that id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerName(String);

impl ContainerName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name of two words of lower-case letters.
    pub(crate) fn of_words(first: &str, second: &str) -> Self {
        Self(format!("{first}_{second}"))
    }

    /// Stands in for a stored name that cannot be read, so that its container can still be shown.
    pub(crate) fn unreadable(id: &ContainerId) -> Self {
        Self(format!("unreadable-{}", id.short()))
    }
}

impl FromStr for ContainerName {
    type Err = ParseError;

    /// Takes a name, with at most one leading '/' which is dropped.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let name = text.strip_prefix('/').unwrap_or(text);
        let refuse = |why| Err(ParseError::new(WHAT, text, why));
        let mut bytes = name.bytes();
        if !bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphanumeric())
        {
            return refuse("it must begin with a letter or digit");
        }
        if !bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')) {
            return refuse("it may only hold letters, digits, '_', '.' and '-'");
        }
        if name.len() > MAX_BYTES {
            return refuse("it is longer than 128 bytes");
        }
        if name.len() == 64 && is_hex(name) {
            return refuse("it could be mistaken for an id");
        }
        Ok(Self(name.to_owned()))
    }
}

impl TryFrom<String> for ContainerName {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<ContainerName> for String {
    fn from(name: ContainerName) -> Self {
        name.0
    }
}

impl AsRef<str> for ContainerName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_are_kept_as_they_are() {
        for name in ["a", "web", "A1_b.c-d", &"x".repeat(128), &"a".repeat(63)] {
            assert_eq!(name.parse::<ContainerName>().unwrap().as_str(), name);
        }
        assert_eq!("/web".parse::<ContainerName>().unwrap().as_str(), "web");
    }

    #[test]
    fn bad_names_are_refused() {
        let id = "a".repeat(64);
        let long = "x".repeat(129);
        for name in [
            "", "/", "//a", "-a", ".a", "_a", "a b", "a/b", "ä", "a\n", &id, &long,
        ] {
            assert!(name.parse::<ContainerName>().is_err(), "{name:?}");
        }
    }
}
