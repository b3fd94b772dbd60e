//! Paths in JSON: text where it can be, bytes where it cannot.
//!
//! A path of Linux is any bytes but NUL. Serde's own form refuses paths that are not UTF-8, and then a container whose
//! root lies under such a path could not be saved.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Utf8(String),
    Bytes { bytes: Vec<u8> },
}

impl From<&Path> for Text {
    fn from(path: &Path) -> Self {
        path.to_str().map_or_else(
            || Self::Bytes {
                bytes: path.as_os_str().as_bytes().to_vec(),
            },
            |text| Self::Utf8(text.to_owned()),
        )
    }
}

impl From<Text> for PathBuf {
    fn from(text: Text) -> Self {
        match text {
            Text::Utf8(text) => text.into(),
            Text::Bytes { bytes } => OsString::from_vec(bytes).into(),
        }
    }
}

pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    Text::from(path).serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    Text::deserialize(deserializer).map(PathBuf::from)
}

/// The same for a path that may be absent.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, PathBuf, Serialize, Serializer, Text};

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(crate) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        path.as_deref().map(Text::from).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        Option::<Text>::deserialize(deserializer).map(|text| text.map(PathBuf::from))
    }
}

/// The same for a list of paths.
pub(crate) mod list {
    use super::{Deserialize, Deserializer, PathBuf, Serializer, Text};

    pub(crate) fn serialize<S: Serializer>(
        paths: &[PathBuf],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(|path| Text::from(path.as_path())))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<PathBuf>, D::Error> {
        let texts = Vec::<Text>::deserialize(deserializer)?;
        Ok(texts.into_iter().map(PathBuf::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Paths {
        #[serde(with = "super")]
        one: PathBuf,
        #[serde(with = "super::option")]
        maybe: Option<PathBuf>,
        #[serde(with = "super::list")]
        many: Vec<PathBuf>,
    }

    #[test]
    fn every_path_survives() {
        let odd = PathBuf::from(OsString::from_vec(vec![b'/', 0xff, b'a']));
        let paths = Paths {
            one: odd.clone(),
            maybe: Some("/plain".into()),
            many: vec![odd, "/ä".into()],
        };
        let json = serde_json::to_string(&paths).unwrap();
        assert!(json.contains(r#""maybe":"/plain""#), "{json}");
        assert_eq!(serde_json::from_str::<Paths>(&json).unwrap(), paths);
    }
}
