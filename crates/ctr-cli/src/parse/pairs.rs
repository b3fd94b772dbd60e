//! `KEY=VALUE` lists: labels and annotations.

use std::collections::BTreeMap;

use crate::error::CommandError;

/// The pairs by key; the last of a key wins, and a key alone has the empty value.
pub(crate) fn pairs(
    flag: &str,
    entries: &[String],
) -> Result<BTreeMap<String, String>, CommandError> {
    let mut pairs = BTreeMap::new();
    for text in entries {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        if key.is_empty() {
            return Err(CommandError::value(flag, text, "must be KEY=VALUE"));
        }
        pairs.insert(key.to_owned(), value.to_owned());
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_key_wins() {
        let entries = ["a=1", "b", "a=2=3"].map(str::to_owned);
        let pairs = pairs("--label", &entries).unwrap();
        assert_eq!(
            pairs.into_iter().collect::<Vec<_>>(),
            [("a".into(), "2=3".into()), ("b".into(), String::new())]
        );
    }

    #[test]
    fn a_key_is_needed() {
        for bad in ["", "=x"] {
            assert!(pairs("--label", &[bad.to_owned()]).is_err(), "{bad:?}");
        }
    }
}
