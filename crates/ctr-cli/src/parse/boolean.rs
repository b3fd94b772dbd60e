//! Flags that may be switched off: `--flag`, `--flag=false`.

use crate::error::CommandError;

/// The word of such a flag, in the forms of podman and docker; `None` without the flag.
pub(crate) fn boolean(flag: &str, text: Option<&str>) -> Result<Option<bool>, CommandError> {
    match text {
        None => Ok(None),
        Some("true" | "True" | "TRUE" | "t" | "T" | "1") => Ok(Some(true)),
        Some("false" | "False" | "FALSE" | "f" | "F" | "0") => Ok(Some(false)),
        Some(other) => Err(CommandError::value(flag, other, "must be true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_both_kinds_and_no_others() {
        assert_eq!(boolean("--x", None), Ok(None));
        assert_eq!(boolean("--x", Some("true")), Ok(Some(true)));
        assert_eq!(boolean("--x", Some("0")), Ok(Some(false)));
        for bad in ["yes", "", "2"] {
            assert!(boolean("--x", Some(bad)).is_err(), "{bad:?}");
        }
    }
}
