//! The configuration file: a small TOML document whose unknown keys are errors.
//!
//! ```toml
//! default_runtime = "crun"
//!
//! [runtimes]
//! mine = "/opt/runtime/bin/mine"
//!
//! [events]
//! keep = 50000
//!
//! [log]
//! driver = "k8s-file"
//! max_size = "10m"
//! max_file = 3
//! ```
//!
//! The file names programs that are executed with the rights of the engine, so one that others may write to is refused.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use ctr_core::LogDefaults;
use ctr_state::UnknownLogDriver;
use ctr_sys::Root;
use serde::Deserialize;

use crate::error::CommandError;
use crate::parse::{log, runtime};

/// No sensible configuration is larger.
const MAX_BYTES: u64 = 1 << 20;

/// How many events may be kept: enough for a reader to keep up, and no more than are trimmed in a moment.
const KEEP: RangeInclusive<u64> = 100..=10_000_000;

/// Write permission of the group and of others.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// What the file says; absent keys are `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// The runtime of containers that name none.
    pub(crate) default_runtime: Option<String>,
    /// Runtimes by name, each the absolute path of its program.
    #[serde(default)]
    pub(crate) runtimes: BTreeMap<String, PathBuf>,
    /// The journal of events.
    #[serde(default)]
    pub(crate) events: EventsTable,
    /// The logs of containers whose flags say nothing else.
    #[serde(default)]
    pub(crate) log: LogTable,
}

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

/// Whether a file that is not there is fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
}

impl ConfigFile {
    /// Reads and checks the file at an absolute path.
    ///
    /// # Errors
    /// A required file that is missing, one that is not a regular file, is too large or may be written to by others, and every fault
    /// of its text, by line.
    pub(crate) fn read(path: &Path, presence: Presence, euid: u32) -> Result<Self, CommandError> {
        let failed = |why: String| {
            CommandError::failed(format!("configuration file {}: {why}", path.display()))
        };
        let root = Root::open(Path::new("/")).map_err(|error| failed(error.to_string()))?;
        let relative = path.strip_prefix("/").unwrap_or(path);
        let Some(bytes) = root
            .read(relative, MAX_BYTES)
            .map_err(|error| failed(error.to_string()))?
        else {
            return match presence {
                Presence::Optional => Ok(Self::default()),
                Presence::Required => Err(failed("it does not exist".to_owned())),
            };
        };
        let metadata = root
            .metadata(relative)
            .map_err(|error| failed(error.to_string()))?;
        if metadata.is_none_or(|found| {
            found.mode & WRITABLE_BY_OTHERS != 0 || ![0, euid].contains(&found.uid)
        }) {
            return Err(failed(
                "others may write to it; it must belong to root and be writable by its owner alone"
                    .to_owned(),
            ));
        }
        let text =
            String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".to_owned()))?;
        Self::parse(&text).map_err(failed)
    }

    /// Parses the text; the error is one line.
    fn parse(text: &str) -> Result<Self, String> {
        let file: Self = toml::from_str(text).map_err(|error| located(text, &error))?;
        if let Some(name) = &file.default_runtime {
            runtime::check(name).map_err(|why| format!("default_runtime \"{name}\": {why}"))?;
        }
        for (name, path) in &file.runtimes {
            runtime::check_name(name).map_err(|why| format!("runtimes.{name}: {why}"))?;
            if !path.is_absolute() {
                return Err(format!(
                    "runtimes.{name} \"{}\": must be an absolute path",
                    path.display()
                ));
            }
        }
        if let Some(keep) = file.events.keep.filter(|keep| !KEEP.contains(keep)) {
            let (least, most) = (KEEP.start(), KEEP.end());
            return Err(format!(
                "events.keep {keep}: must be from {least} to {most}"
            ));
        }
        file.log.defaults()?;
        Ok(file)
    }
}

fn located(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', ", ");
    let line = |at: usize| {
        1 + text
            .as_bytes()
            .iter()
            .take(at)
            .filter(|byte| **byte == b'\n')
            .count()
    };
    error.span().map_or_else(
        || message.clone(),
        |span| format!("line {}: {message}", line(span.start)),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: &Expect) {
        let shown = match ConfigFile::parse(text) {
            Ok(file) => format!("{file:?}\n"),
            Err(why) => format!("error: {why}\n"),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn a_whole_file() {
        check(
            "default_runtime = \"crun\"\n[runtimes]\nmine = \"/opt/mine\"\n[events]\nkeep = 500\n",
            &expect![[r#"
                ConfigFile { default_runtime: Some("crun"), runtimes: {"mine": "/opt/mine"}, events: EventsTable { keep: Some(500) }, log: LogTable { driver: None, max_size: None, max_file: None } }
            "#]],
        );
        check(
            "",
            &expect![[r#"
                ConfigFile { default_runtime: None, runtimes: {}, events: EventsTable { keep: None }, log: LogTable { driver: None, max_size: None, max_file: None } }
            "#]],
        );
    }

    #[test]
    fn faults_are_named_by_key_and_line() {
        check(
            "\ndefault_runtme = \"crun\"\n",
            &expect![[r#"
                error: line 2: unknown field `default_runtme`, expected one of `default_runtime`, `runtimes`, `events`, `log`
            "#]],
        );
        check(
            "default_runtime = 3",
            &expect![[r#"
            error: line 1: invalid type: integer `3`, expected a string
        "#]],
        );
        check(
            "[events]\nkeep = 99",
            &expect![[r#"
            error: events.keep 99: must be from 100 to 10000000
        "#]],
        );
        check(
            "[events]\nkeep = -1",
            &expect![[r#"
            error: line 2: invalid value: integer `-1`, expected u64
        "#]],
        );
        check(
            "[runtimes\n",
            &expect![[r#"
            error: line 1: unclosed table, expected `]`
        "#]],
        );
        check(
            "default_runtime = \"../x\"",
            &expect![[r#"
            error: default_runtime "../x": must be builtin, a name ([a-z0-9][a-z0-9._-]*) or an absolute path
        "#]],
        );
        check(
            "[runtimes]\nmine = \"bin/mine\"",
            &expect![[r#"
            error: runtimes.mine "bin/mine": must be an absolute path
        "#]],
        );
        check(
            "[runtimes]\nbuiltin = \"/bin/mine\"",
            &expect![[r#"
            error: runtimes.builtin: the name of the built-in runtime is taken
        "#]],
        );
        check(
            "[runtimes]\n\"a/b\" = \"/bin/mine\"",
            &expect![[r#"
            error: runtimes.a/b: a runtime's name is [a-z0-9][a-z0-9._-]*, at most 64 characters
        "#]],
        );
        check(
            "[log]\ndriver = \"syslog\"",
            &expect![[r#"
            error: log.driver "syslog": the log drivers are k8s-file (also as json-file), journald and none
        "#]],
        );
        check(
            "[log]\nmax_size = \"big\"",
            &expect![[r#"
            error: log.max_size "big": must be a size such as 500k, 10m or 1.5g (0 for no limit)
        "#]],
        );
        check(
            "[log]\nmax_file = 0",
            &expect![[r#"
            error: log.max_file "0": must be at least 1
        "#]],
        );
        check(
            "[log]\ncompress = true",
            &expect![[r#"
            error: line 2: unknown field `compress`, expected one of `driver`, `max_size`, `max_file`
        "#]],
        );
    }

    #[test]
    fn a_missing_file_matters_only_when_it_was_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ctr.toml");
        let read =
            |presence| ConfigFile::read(&path, presence, rustix::process::geteuid().as_raw());
        assert_eq!(read(Presence::Optional).unwrap(), ConfigFile::default());
        assert!(
            read(Presence::Required)
                .unwrap_err()
                .message()
                .contains("does not exist")
        );
    }

    #[test]
    fn a_file_that_others_may_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ctr.toml");
        ctr_sys::replace_file(
            &path,
            b"default_runtime = \"crun\"",
            0o600,
            ctr_sys::Sync::No,
        )
        .unwrap();
        let read = || {
            ConfigFile::read(
                &path,
                Presence::Required,
                rustix::process::geteuid().as_raw(),
            )
        };
        assert_eq!(read().unwrap().default_runtime.as_deref(), Some("crun"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(read().unwrap_err().message().contains("others may write"));
    }
}
