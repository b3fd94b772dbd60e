//! `--format`, of which only `json` exists.

use crate::error::CommandError;

/// How a command shows its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    Json,
}

/// Text without the flag.
pub(crate) fn format(text: Option<&str>) -> Result<Format, CommandError> {
    match text {
        None => Ok(Format::Text),
        Some("json") => Ok(Format::Json),
        Some(other) => Err(CommandError::value(
            "--format",
            other,
            "must be json: templates do not exist yet",
        )),
    }
}
