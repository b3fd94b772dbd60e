//! Switches with a value, as scripts for podman and docker have them: `--rm=true`, `-d=false`.
//!
//! Clap takes a switch alone. It is left to find out which word is one: when it refuses a value for a switch, the word is written
//! without the value, or left out, and everything is parsed again. So a line without such words costs nothing, and the help
//! shows switches as what they are.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::parse::boolean::truth;

/// The line without the values of its switches, if it is right then. `parse` says what is wrong with a line.
pub(super) fn without_values(
    args: &[OsString],
    error: &clap::Error,
    parse: &impl Fn(&[OsString]) -> Option<clap::Error>,
) -> Option<Vec<OsString>> {
    let refused = Refused::of(error)?;
    // The first word that fits is nearly always the one; that `-e=1` is an option with its value shows in what follows.
    args.iter().enumerate().find_map(|(index, word)| {
        let (switch, value) = word.to_str()?.split_once('=')?;
        let on = truth(value).filter(|_| refused.fits(switch, value))?;
        let mut line = args.to_vec();
        line.splice(index..=index, on.then(|| OsString::from(switch)));
        match parse(&line) {
            None => Some(line),
            Some(next) => without_values(&line, &next, parse),
        }
    })
}

/// What clap has refused.
enum Refused {
    /// A value of this switch, which has a long name.
    Value { name: String, value: String },
    /// A `=` behind letters; it does not say which.
    Letters,
}

impl Refused {
    fn of(error: &clap::Error) -> Option<Self> {
        let text = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            Some(_) | None => None,
        };
        let name = text(ContextKind::InvalidArg)?;
        if error.kind() == ErrorKind::TooManyValues {
            let value = text(ContextKind::InvalidValue)?;
            return Some(Self::Value { name, value });
        }
        (error.kind() == ErrorKind::UnknownArgument && name == "-=").then_some(Self::Letters)
    }

    fn fits(&self, switch: &str, given: &str) -> bool {
        match self {
            Self::Value { name, value } => switch == name && given == value,
            Self::Letters => switch.starts_with('-') && !switch.starts_with("--"),
        }
    }
}
