//! The words of a command line, taken one after the other.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::str::FromStr;

pub(super) fn set_once(slot: &mut Option<String>, word: String) -> Result<(), String> {
    if slot.is_some() {
        return Err(format!("one argument too many: {word:?}"));
    }
    *slot = Some(word);
    Ok(())
}

pub(super) fn required(id: Option<String>) -> Result<String, String> {
    id.ok_or_else(|| "the container's id is missing".to_owned())
}

pub(super) fn unknown(name: &str) -> String {
    format!("unknown option {name:?}; see --help")
}

/// `--name=value` into its two parts.
pub(super) fn split(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((name, value)) if name.starts_with("--") => (name, Some(value)),
        Some(_) | None => (word, None),
    }
}

/// The words that have not been looked at.
pub(super) struct Words(pub(super) VecDeque<OsString>);

impl Words {
    pub(super) fn next_text(&mut self) -> Result<Option<String>, String> {
        let Some(word) = self.0.pop_front() else {
            return Ok(None);
        };
        match word.into_string() {
            Ok(text) => Ok(Some(text)),
            Err(word) => Err(format!("{} is not UTF-8", word.display())),
        }
    }

    /// The value of an option: what follows its `=`, or the next word. May be any bytes in the second form.
    pub(super) fn value(&mut self, name: &str, inline: Option<&str>) -> Result<OsString, String> {
        let given = inline.map(OsString::from).or_else(|| self.0.pop_front());
        match given {
            Some(value) if !value.is_empty() => Ok(value),
            Some(_) | None => Err(format!("{name} needs a value")),
        }
    }

    pub(super) fn text(&mut self, name: &str, inline: Option<&str>) -> Result<String, String> {
        let value = self.value(name, inline)?;
        value
            .into_string()
            .map_err(|_| format!("{name}: the value is not UTF-8"))
    }

    pub(super) fn only_id(&mut self, verb: &str) -> Result<String, String> {
        match self.next_text()? {
            Some(option) if option.starts_with('-') => Err(unknown(&option)),
            Some(id) => Ok(id),
            None => Err(format!("{verb}: the container's id is missing")),
        }
    }

    /// As [`Words::text`], as something else.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        name: &str,
        inline: Option<&str>,
        form: &str,
    ) -> Result<T, String> {
        let text = self.text(name, inline)?;
        text.parse()
            .map_err(|_| format!("{name} {text:?}: must be {form}"))
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> Result<Vec<String>, String> {
        let mut rest = Vec::new();
        while let Some(word) = self.next_text()? {
            rest.push(word);
        }
        Ok(rest)
    }
}

/// Refuses a value for an option that has none.
pub(super) fn plain(name: &str, inline: Option<&str>) -> Result<(), String> {
    match inline {
        None => Ok(()),
        Some(_) => Err(format!("{name} takes no value")),
    }
}
