//! Environment entries of the command line.
//!
//! Only here may the host's own variables be asked for: `-e KEY` without a value is a person's wish to pass one on. Entries from
//! anywhere else (images, an API) have no such form and must never come through this module.

use crate::error::CommandError;
use crate::host::Host;

const FLAG: &str = "--env";

/// One `-e`, before the host is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Set { key: String, value: String },
    HostPassThrough { key: String },
}

impl Entry {
    fn parse(text: &str) -> Result<Self, CommandError> {
        let (key, value) = text
            .split_once('=')
            .map_or((text, None), |(key, value)| (key, Some(value)));
        if key.is_empty() || key.contains(char::is_control) {
            return Err(CommandError::value(
                FLAG,
                text,
                "must be KEY=VALUE, or KEY to pass on the host's value",
            ));
        }
        let key = key.to_owned();
        Ok(match value {
            Some(value) => Self::Set {
                key,
                value: value.to_owned(),
            },
            None => Self::HostPassThrough { key },
        })
    }

    /// The pair for the container; `None` for a variable that the host does not have.
    fn resolve(self, host: &Host) -> Result<Option<(String, String)>, CommandError> {
        match self {
            Self::Set { key, value } => Ok(Some((key, value))),
            Self::HostPassThrough { key } => {
                match host.variable(&key).map(|value| value.to_str()) {
                    None => Ok(None),
                    Some(Some(value)) => Ok(Some((key.clone(), value.to_owned()))),
                    Some(None) => Err(CommandError::value(
                        FLAG,
                        &key,
                        "the host's value is not UTF-8",
                    )),
                }
            }
        }
    }
}

/// The container's own variables: each key once, where it came first, with the value that came last.
pub(crate) fn environment(
    entries: &[String],
    host: &Host,
) -> Result<Vec<(String, String)>, CommandError> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for text in entries {
        if let Some((key, value)) = Entry::parse(text)?.resolve(host)? {
            match pairs.iter_mut().find(|(known, _)| *known == key) {
                Some(pair) => pair.1 = value,
                None => pairs.push((key, value)),
            }
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::host;

    fn check(entries: &[&str], expected: &[(&str, &str)]) {
        let entries: Vec<String> = entries.iter().map(|&text| text.to_owned()).collect();
        let pairs = environment(&entries, &host()).unwrap();
        let pairs: Vec<(&str, &str)> = pairs
            .iter()
            .map(|(key, value)| (&**key, &**value))
            .collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn values_are_given_or_the_hosts() {
        check(
            &["A=1", "B=", "C=x=y"],
            &[("A", "1"), ("B", ""), ("C", "x=y")],
        );
        check(
            &["LANG", "EMPTY", "ABSENT"],
            &[("LANG", "C.UTF-8"), ("EMPTY", "")],
        );
        check(&["LANG=", "A=\u{1b}\n"], &[("LANG", ""), ("A", "\u{1b}\n")]);
    }

    #[test]
    fn the_last_one_wins_in_the_first_ones_place() {
        check(&["A=1", "B=2", "A=3"], &[("A", "3"), ("B", "2")]);
    }

    #[test]
    fn a_star_is_a_name_like_any_other() {
        check(&["LA*"], &[]);
    }

    #[test]
    fn keys_must_be_keys() {
        for bad in ["", "=x", "A\nB=1"] {
            assert!(Entry::parse(bad).is_err(), "{bad:?}");
        }
    }
}
