//! Host names that can be written into files and given to the kernel without a second look.

use std::fmt;
use std::str::FromStr;

use crate::error::OciError;

/// What the kernel takes at most, `sethostname(2)`.
const MAX_BYTES: usize = 64;
const MAX_LABEL: usize = 63;

/// A host name as RFC 1123 allows it: labels of letters, digits and inner hyphens, joined by dots, at most 64 bytes in all.
///
/// Such a name holds no blank, newline or other control character, so it cannot forge a line of `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hostname(String);

impl Hostname {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hostname {
    type Err = OciError;

    fn from_str(text: &str) -> Result<Self, OciError> {
        let refuse = |why| Err(OciError::invalid("hostname", text, why));
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > MAX_BYTES {
            return refuse("it is longer than 64 bytes");
        }
        for label in text.split('.') {
            if label.is_empty() || label.len() > MAX_LABEL {
                return refuse("each part between dots must have 1 to 63 characters");
            }
            if !label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            {
                return refuse("only letters, digits, hyphens and dots are allowed");
            }
            if label.starts_with('-') || label.ends_with('-') {
                return refuse("no part may begin or end with a hyphen");
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, refused_because: Option<&str>) {
        let why = text
            .parse::<Hostname>()
            .err()
            .map(|error| error.to_string());
        let expected = refused_because.map(|why| format!("invalid hostname {text:?}: {why}"));
        assert_eq!(why, expected);
    }

    #[test]
    fn names_follow_rfc_1123() {
        for good in ["a", "web-1", "1", "a.b.example", "A9", &"a".repeat(63)] {
            check(good, None);
        }
        check("", Some("it is empty"));
        let too_long = format!("{}.{}", "a".repeat(40), "b".repeat(40));
        check(&too_long, Some("it is longer than 64 bytes"));
        for bad in [".", "a..b", "a.", &"a".repeat(64)] {
            check(
                bad,
                Some("each part between dots must have 1 to 63 characters"),
            );
        }
        for bad in ["-a", "a-", "a.-b"] {
            check(bad, Some("no part may begin or end with a hyphen"));
        }
        let forged = "a\n6.6.6.6 registry";
        for bad in ["a_b", "a b", forged, "a\0b", "a\u{7f}", "ü", "a/b"] {
            check(
                bad,
                Some("only letters, digits, hyphens and dots are allowed"),
            );
        }
    }
}
