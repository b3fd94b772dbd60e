//! A user as typed: `[USER][:GROUP]`.

use std::fmt;
use std::str::FromStr;

use crate::error::RootfsError;

/// The largest id that a process can have; the one above it means "leave as it is" to the kernel (`setresuid(2)`).
const MAX_ID: u32 = u32::MAX - 1;
const OUT_OF_RANGE: &str = "a numeric id must be 0 to 4294967294";

/// A user or a group, by number or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Typed as digits.
    Id(u32),
    /// Typed as anything else.
    Name(String),
}

/// Who a container's process runs as, before any file is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSpec {
    /// The user; uid 0 when nothing is typed.
    pub user: Principal,
    /// The group, if one is typed.
    pub group: Option<Principal>,
}

impl UserSpec {
    /// Parses `[USER][:GROUP]`. A text of digits is a number; signs, blanks, leading zeros and `0x` are refused, so that no
    /// two programs can read it differently.
    ///
    /// # Errors
    /// [`RootfsError::UserText`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, RootfsError> {
        let refuse = |why| RootfsError::UserText {
            text: text.to_owned(),
            why,
        };
        let (user, group) = match text.split_once(':') {
            Some(("", "")) => return Err(refuse("it has neither a user nor a group")),
            Some((user, group)) => (user, group),
            None => (text, ""),
        };
        let user = match user {
            "" => Principal::Id(0),
            user => Principal::parse(user).map_err(refuse)?,
        };
        let group = match group {
            "" => None,
            group => Some(Principal::parse(group).map_err(refuse)?),
        };
        Ok(Self { user, group })
    }
}

impl Principal {
    /// One side of the colon, not empty.
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return parse_id(text.as_bytes()).map(Self::Id);
        }
        if text.contains(':') {
            return Err("it has more than one colon");
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("blanks and control characters are not allowed");
        }
        if text.starts_with(['+', '-']) {
            return Err("neither a number nor a name begins with a sign");
        }
        if text.starts_with("0x") || text.starts_with("0X") {
            return Err("a numeric id must be decimal");
        }
        Ok(Self::Name(text.to_owned()))
    }
}

/// A decimal id without sign, blanks and leading zeros, as everywhere in this module.
pub(super) fn parse_id(digits: &[u8]) -> Result<u32, &'static str> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err("an id must be a decimal number");
    }
    if digits.len() > 1 && digits[0] == b'0' {
        return Err("a numeric id has no leading zeros");
    }
    let text = str::from_utf8(digits).expect("only ASCII digits are left");
    match text.parse::<u32>() {
        Ok(id) if id <= MAX_ID => Ok(id),
        Ok(_) | Err(_) => Err(OUT_OF_RANGE),
    }
}

impl FromStr for UserSpec {
    type Err = RootfsError;

    fn from_str(text: &str) -> Result<Self, RootfsError> {
        Self::parse(text)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for UserSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.user.fmt(f)?;
        match &self.group {
            Some(group) => write!(f, ":{group}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `expected` is the canonical form, `None` a refusal.
    fn check(text: &str, expected: Option<&str>) {
        let parsed = UserSpec::parse(text).ok().map(|spec| spec.to_string());
        assert_eq!(parsed.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn forms() {
        check("", Some("0"));
        check("0", Some("0"));
        check("5", Some("5"));
        check("5:6", Some("5:6"));
        check("www-data", Some("www-data"));
        check("www-data:adm", Some("www-data:adm"));
        check("5:adm", Some("5:adm"));
        check(":5", Some("0:5"));
        check(":0", Some("0:0"));
        check("5:", Some("5"));
        check("3proxy", Some("3proxy"));
        check("2147483648", Some("2147483648"));
        check("4294967294", Some("4294967294"));
    }

    #[test]
    fn refusals() {
        for text in [
            ":",
            "4294967295",
            "4294967296",
            "99999999999999999999",
            "+5",
            "-1",
            "0x0",
            "0X1f",
            "01000",
            "00",
            " 1000",
            "1000 ",
            "1:2:3",
            "a:b:c",
            "5:+6",
            "5:06",
            "5:4294967295",
            "a b",
            "a\nb",
            "a\0",
            "+",
            "-",
            "::",
        ] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn digits_are_an_id_or_an_error(text in "[0-9]{1,12}") {
            match UserSpec::parse(&text) {
                Ok(spec) => prop_assert_eq!(spec.user, Principal::Id(text.parse().expect("accepted ids fit"))),
                Err(_) => prop_assert!(text.len() > 1 && text.starts_with('0') || text.parse::<u64>().expect("12 digits fit") > u64::from(MAX_ID)),
            }
        }

        #[test]
        fn the_canonical_form_means_the_same(text in "\\PC{0,6}|[a-z0-9:+-]{0,8}|[0-9]{0,11}:?[0-9]{0,11}") {
            if let Ok(spec) = UserSpec::parse(&text) {
                prop_assert_eq!(UserSpec::parse(&spec.to_string()).expect("it was made by Display"), spec);
            }
        }
    }
}
