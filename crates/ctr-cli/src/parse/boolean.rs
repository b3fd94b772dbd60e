//! Flags that may be given a truth value: `--flag`, `--flag=true`, `--flag=false`.

use crate::error::CommandError;

/// The value in any of Go's forms, which scripts for other engines use.
pub(crate) fn boolean(flag: &str, text: &str) -> Result<bool, CommandError> {
    truth(text).ok_or_else(|| CommandError::value(flag, text, "must be true or false"))
}

/// The value of a flag that may be absent.
pub(crate) fn optional(flag: &str, text: Option<&str>) -> Result<Option<bool>, CommandError> {
    text.map(|text| boolean(flag, text)).transpose()
}

/// What a word means; `None` when it is no truth value.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn true_false_and_nothing_else() {
        assert_eq!(boolean("--stream", "true"), Ok(true));
        assert_eq!(boolean("--stream", "0"), Ok(false));
        for bad in ["", "yes", "tRUE", "2", " true"] {
            let error = boolean("--stream", bad).unwrap_err();
            let expected = format!("--stream \"{bad}\": must be true or false");
            assert_eq!(error.message(), expected);
        }
    }
}
