//! The configuration file: a small TOML document whose unknown keys are errors.
//!
//! ```toml
//! default_runtime = "crun"
//! detach_keys = "ctrl-p,ctrl-q"
//!
//! [runtimes]
//! mine = "/opt/runtime/bin/mine"
//! runc = ["/usr/local/sbin/runc", "/usr/sbin/runc"]
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
//! Of a list of programs, the first that exists is meant. A container stays with the program that its name meant when it was created; where
//! programs move with their version, the path of a link that does not is better.
//!
//! The file names programs that are executed with the rights of the engine, so one that others may write to is refused.

mod tables;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use ctr_exec::DetachKeys;
use ctr_sys::{Root, SysError};
use serde::Deserialize;

use crate::error::CommandError;
use crate::parse::runtime;

pub(crate) use tables::{EventsTable, LogTable, Programs};

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
    /// As `--detach-keys` of clients that say nothing else.
    pub(crate) detach_keys: Option<String>,
    /// Runtimes by name, each the absolute path of its program.
    #[serde(default)]
    pub(crate) runtimes: BTreeMap<String, Programs>,
    /// The journal of events.
    #[serde(default)]
    pub(crate) events: EventsTable,
    /// The logs of containers whose flags say nothing else.
    #[serde(default)]
    pub(crate) log: LogTable,
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
            .map_err(|error| failed(cause(&error)))?
        else {
            return match presence {
                Presence::Optional => Ok(Self::default()),
                Presence::Required => Err(failed("it does not exist".to_owned())),
            };
        };
        let metadata = root
            .metadata(relative)
            .map_err(|error| failed(cause(&error)))?;
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
        for (name, Programs(paths)) in &file.runtimes {
            if ["default_runtime", "detach_keys"].contains(&name.as_str()) {
                return Err(format!("{name} must stand before [runtimes]"));
            }
            runtime::check_name(name).map_err(|why| format!("runtimes.{name}: {why}"))?;
            if paths.is_empty() {
                return Err(format!("runtimes.{name}: the list is empty"));
            }
            if let Some(path) = paths.iter().find(|path| !path.is_absolute()) {
                return Err(format!(
                    "runtimes.{name} \"{}\": must be an absolute path",
                    path.display()
                ));
            }
        }
        if let Some(keys) = &file.detach_keys {
            keys.parse::<DetachKeys>()
                .map_err(|refused| format!("detach_keys: {refused}"))?;
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

/// The reason alone: the file is named already.
fn cause(error: &SysError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
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
                ConfigFile { default_runtime: Some("crun"), detach_keys: None, runtimes: {"mine": Programs(["/opt/mine"])}, events: EventsTable { keep: Some(500) }, log: LogTable { driver: None, max_size: None, max_file: None } }
            "#]],
        );
        check(
            "[runtimes]\nrunc = [\"/a/runc\", \"/b/runc\"]\n",
            &expect![[r#"
                ConfigFile { default_runtime: None, detach_keys: None, runtimes: {"runc": Programs(["/a/runc", "/b/runc"])}, events: EventsTable { keep: None }, log: LogTable { driver: None, max_size: None, max_file: None } }
            "#]],
        );
        check(
            "",
            &expect![[r#"
                ConfigFile { default_runtime: None, detach_keys: None, runtimes: {}, events: EventsTable { keep: None }, log: LogTable { driver: None, max_size: None, max_file: None } }
            "#]],
        );
    }

    #[test]
    fn faults_are_named_by_key_and_line() {
        check(
            "\ndefault_runtme = \"crun\"\n",
            &expect![[r#"
                error: line 2: unknown field `default_runtme`, expected one of `default_runtime`, `detach_keys`, `runtimes`, `events`, `log`
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
            "detach_keys = \"ctrl-1\"",
            &expect![[r#"
            error: detach_keys: invalid detach keys "ctrl-1": allowed are single characters, ctrl-X with X one of a-z @ [ \ ] ^ _, or DEL, separated by commas; nothing to have none
        "#]],
        );
        check(
            "[runtimes\n",
            &expect![[r#"
            error: line 1: unclosed table, expected `]`
        "#]],
        );
    }

    #[test]
    fn runtimes_that_cannot_be_used_are_named() {
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
            "[runtimes]\nmine = \"/m\"\ndefault_runtime = \"mine\"",
            &expect![[r#"
            error: default_runtime must stand before [runtimes]
        "#]],
        );
        check(
            "[runtimes]\nmine = []",
            &expect![[r#"
            error: runtimes.mine: the list is empty
        "#]],
        );
        check(
            "[runtimes]\nmine = 7",
            &expect![[r#"
            error: line 2: invalid type: integer `7`, expected a path or a list of paths
        "#]],
        );
        check(
            "[runtimes]\nmine = [\"/a\", \"b\"]",
            &expect![[r#"
            error: runtimes.mine "b": must be an absolute path
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
    }

    #[test]
    fn logs_that_cannot_be_are_named() {
        check(
            "[log]\ndriver = \"syslog\"",
            &expect![[r#"
                error: log.driver "syslog": the log drivers are k8s-file (also as json-file), journald, none and passthrough
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
