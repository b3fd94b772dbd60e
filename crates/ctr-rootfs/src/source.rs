//! The text that names a root file system: `DIR` or `DIR:O`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::error::RootfsError;

/// What the container's writes do to the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootfsMode {
    /// They change it.
    Plain,
    /// They go to a layer of the container's own and leave it as it is.
    Overlay,
}

/// A directory to be used as root file system, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootfsSource {
    /// The directory as typed; not looked at yet.
    pub path: PathBuf,
    /// How it is used.
    pub mode: RootfsMode,
}

impl RootfsSource {
    /// Parses `DIR` (used as it is) or `DIR:O` (under an overlay). Only the text after the last colon can be an option, so a directory
    /// with a colon in its name works; one whose name *ends* in `:O` is reached by `NAME:O/`.
    ///
    /// # Errors
    /// [`RootfsError::Source`]: an empty path, a NUL byte, or an option that is known but does not exist here (`idmap`).
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Self, RootfsError> {
        let text = text.as_ref();
        let refuse = |why| {
            Err(RootfsError::Source {
                text: text.to_string_lossy().into_owned(),
                why,
            })
        };
        let bytes = text.as_bytes();
        if bytes.contains(&0) {
            return refuse("a path cannot contain a NUL byte");
        }
        let (path, mode) = match bytes.iter().rposition(|byte| *byte == b':') {
            Some(colon) if &bytes[colon + 1..] == b"O" => (&bytes[..colon], RootfsMode::Overlay),
            Some(colon) if is_idmap(&bytes[colon + 1..]) => {
                return refuse("the option idmap (id-mapped root) is not supported");
            }
            Some(_) | None => (bytes, RootfsMode::Plain),
        };
        if path.is_empty() {
            return refuse("the path is empty");
        }
        Ok(Self {
            path: PathBuf::from(OsStr::from_bytes(path)),
            mode,
        })
    }
}

fn is_idmap(option: &[u8]) -> bool {
    option == b"idmap" || option.starts_with(b"idmap=")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<(&str, RootfsMode)>) {
        let parsed = RootfsSource::parse(text).ok();
        let expected = expected.map(|(path, mode)| RootfsSource {
            path: path.into(),
            mode,
        });
        assert_eq!(parsed, expected, "{text:?}");
    }

    #[test]
    fn forms() {
        check("/srv/r", Some(("/srv/r", RootfsMode::Plain)));
        check("/srv/r:O", Some(("/srv/r", RootfsMode::Overlay)));
        check("r", Some(("r", RootfsMode::Plain)));
        check("/:O", Some(("/", RootfsMode::Overlay)));
        check("/srv/a:b", Some(("/srv/a:b", RootfsMode::Plain)));
        check("/srv/a:b:O", Some(("/srv/a:b", RootfsMode::Overlay)));
        check("/srv/r:O/", Some(("/srv/r:O/", RootfsMode::Plain)));
        check("/srv/r:", Some(("/srv/r:", RootfsMode::Plain)));
        check("/srv/r:idmap", None);
        check("/srv/r:idmap=uids=0-1-10", None);
        check("", None);
        check(":O", None);
        check("/a\0b", None);
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_a_prefix_of_what_was_typed(text in "[a-zO:/=\\x00-\\x20]{0,12}") {
            if let Ok(source) = RootfsSource::parse(&text) {
                let path = source.path.to_str().expect("made from a str");
                prop_assert!(!path.is_empty() && !path.contains('\0'));
                let again = match source.mode {
                    RootfsMode::Plain => path.to_owned(),
                    RootfsMode::Overlay => format!("{path}:O"),
                };
                prop_assert_eq!(again, text);
            }
        }
    }
}
