//! The tables of the configuration file.

use std::fmt;
use std::path::PathBuf;

use ctr_core::LogDefaults;
use ctr_state::UnknownLogDriver;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};

use crate::parse::log;

/// The table `[events]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsTable {
    /// How many events are kept, about 400 bytes each.
    pub(crate) keep: Option<u64>,
}

/// The table `[log]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogTable {
    /// As `--log-driver`.
    driver: Option<String>,
    /// As `--log-opt max-size`.
    max_size: Option<String>,
    /// As `--log-opt max-file`.
    max_file: Option<u32>,
}

impl LogTable {
    /// What the engine does by default.
    ///
    /// # Errors
    /// The first key whose value cannot be used, and what is allowed.
    pub(crate) fn defaults(&self) -> Result<LogDefaults, String> {
        let mut defaults = LogDefaults::default();
        if let Some(driver) = &self.driver {
            let parsed = driver.parse();
            defaults.driver = parsed
                .map_err(|why: UnknownLogDriver| format!("log.driver \"{driver}\": {why}"))?;
        }
        if let Some(size) = &self.max_size {
            let parsed = log::size(size);
            defaults.max_size =
                parsed.ok_or_else(|| format!("log.max_size \"{size}\": {}", log::SIZE))?;
        }
        if self.max_file == Some(0) {
            return Err("log.max_file \"0\": must be at least 1".to_owned());
        }
        defaults.max_files = self.max_file;
        Ok(defaults)
    }
}

/// The program of a runtime, or several of which the first that exists is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Programs(pub(crate) Vec<PathBuf>);

impl<'de> Deserialize<'de> for Programs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ProgramsVisitor)
    }
}

struct ProgramsVisitor;

impl<'de> Visitor<'de> for ProgramsVisitor {
    type Value = Programs;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a path or a list of paths")
    }

    fn visit_str<E: de::Error>(self, path: &str) -> Result<Programs, E> {
        Ok(Programs(vec![path.into()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Programs, A::Error> {
        let mut paths = Vec::new();
        while let Some(path) = list.next_element()? {
            paths.push(path);
        }
        Ok(Programs(paths))
    }
}
