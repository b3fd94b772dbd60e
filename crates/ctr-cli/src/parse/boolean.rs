//! Flags that may be switched off: `--flag`, `--flag=false`.

use crate::error::CommandError;

/// Whether the flag is on; `default` without it. The words are those of podman and docker.
pub(crate) fn boolean(flag: &str, text: Option<&str>, default: bool) -> Result<bool, CommandError> {
    match text {
        None => Ok(default),
        Some("true" | "True" | "TRUE" | "t" | "T" | "1") => Ok(true),
        Some("false" | "False" | "FALSE" | "f" | "F" | "0") => Ok(false),
        Some(other) => Err(CommandError::value(flag, other, "must be true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_both_kinds_and_no_others() {
        assert_eq!(boolean("--x", None, true), Ok(true));
        assert_eq!(boolean("--x", Some("true"), false), Ok(true));
        assert_eq!(boolean("--x", Some("0"), true), Ok(false));
        for bad in ["yes", "", "2"] {
            assert!(boolean("--x", Some(bad), true).is_err(), "{bad:?}");
        }
    }
}
