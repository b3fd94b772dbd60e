//! Host names, which end up in files that others parse.

use crate::error::CommandError;

/// The kernel's limit (`uname(2)`, without the final zero byte).
const MAX_NAME: usize = 64;
/// RFC 1035, 2.3.4.
const MAX_LABEL: usize = 63;

/// Accepts a host name of RFC 1123: labels of letters, digits and inner hyphens, joined by dots.
pub(crate) fn hostname(text: &str) -> Result<String, CommandError> {
    if text.len() <= MAX_NAME && text.split('.').all(is_label) {
        return Ok(text.to_owned());
    }
    Err(CommandError::value(
        "--hostname",
        text,
        "must be letters, digits and hyphens in parts joined by dots, at most 64 characters",
    ))
}

fn is_label(label: &str) -> bool {
    let length = (1..=MAX_LABEL).contains(&label.len());
    let letters = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    length && letters && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rfc_1123_pass_and_others_do_not() {
        let label = "a".repeat(63);
        for good in ["a", "web-1", "1a.example.org", "X", &label] {
            assert_eq!(hostname(good).unwrap(), good);
        }
        let long = "a".repeat(64);
        let longer = ["abc"; 20].join(".");
        for bad in ["", "-a", "a-", "a..b", ".a", "a.", "a_b", "a b", "a\n6.6.6.6 registry.example", "ä", &long, &longer] {
            assert!(hostname(bad).is_err(), "{bad:?}");
        }
    }
}
