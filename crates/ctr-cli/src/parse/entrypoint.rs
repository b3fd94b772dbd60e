//! `--entrypoint`: one program, or a JSON array of words.

use crate::error::CommandError;

/// The words before the command; an empty string is no entry point at all.
pub(crate) fn entrypoint(text: &str) -> Result<Vec<String>, CommandError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if !text.starts_with('[') {
        return Ok(vec![text.to_owned()]);
    }
    serde_json::from_str(text).map_err(|_| {
        CommandError::value(
            "--entrypoint",
            text,
            "must be a program or a JSON array of strings",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_or_an_array() {
        assert_eq!(entrypoint("/bin/sh").unwrap(), ["/bin/sh"]);
        assert_eq!(entrypoint("a b").unwrap(), ["a b"]);
        assert_eq!(entrypoint(r#"["sh", "-c"]"#).unwrap(), ["sh", "-c"]);
        assert!(entrypoint("").unwrap().is_empty());
        for bad in ["[", "[1]", r#"["a", ["b"]]"#] {
            assert!(entrypoint(bad).is_err(), "{bad}");
        }
    }
}
