//! What may be said about a new container's log, and what it is then.

use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use ctr_state::{ContainerId, LogConfig, LogDriver};
use ctr_sys::SysError;
use rustix::fs::OFlags;

use crate::engine::Engine;
use crate::error::EngineError;

/// Where the journal of the host listens.
pub(crate) const JOURNAL: &str = "/run/systemd/journal/socket";

/// Files of a log with a limit, unless it is said otherwise: with one alone, reaching the limit would throw everything away.
const FILES_WITH_LIMIT: u32 = 2;

/// What a request says about the log; what it leaves open is the engine's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// The driver.
    pub driver: Option<LogDriver>,
    /// The file, an absolute path; `None` for one in the container's own directory. A file of the user's stays when the container goes.
    pub path: Option<PathBuf>,
    /// The most bytes in a file before another one is begun; 0 for no limit.
    pub max_size: Option<u64>,
    /// How many files there are at most, with those put aside.
    pub max_files: Option<u32>,
    /// What entries of the journal are marked with.
    pub tag: Option<String>,
}

/// What an engine does where a request says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogDefaults {
    /// The driver.
    pub driver: LogDriver,
    /// As [`LogOptions::max_size`].
    pub max_size: u64,
    /// As [`LogOptions::max_files`].
    pub max_files: Option<u32>,
}

impl Default for LogDefaults {
    /// A file without a limit.
    fn default() -> Self {
        Self {
            driver: LogDriver::K8sFile,
            max_size: 0,
            max_files: None,
        }
    }
}

impl Engine {
    /// The log of a new container.
    pub(crate) fn log_config(
        &self,
        id: &ContainerId,
        options: LogOptions,
    ) -> Result<LogConfig, EngineError> {
        let defaults = self.config().log;
        let driver = options.driver.unwrap_or(defaults.driver);
        check_options(driver, &options)?;
        let none = LogConfig {
            driver,
            path: PathBuf::new(),
            max_size: None,
            max_files: 1,
            tag: None,
        };
        match driver {
            LogDriver::None | LogDriver::Passthrough => Ok(none),
            LogDriver::Journald => {
                check_journal(Path::new(JOURNAL))?;
                Ok(LogConfig {
                    tag: options.tag,
                    ..none
                })
            }
            LogDriver::K8sFile => {
                let max_size = options.max_size.unwrap_or(defaults.max_size);
                let several = if max_size > 0 { FILES_WITH_LIMIT } else { 1 };
                let max_files = options.max_files.or(defaults.max_files).unwrap_or(several);
                if max_files == 0 {
                    return Err(invalid("max-file", &"0", "at least one file is needed"));
                }
                if let Some(path) = &options.path {
                    check_path(path)?;
                    self.check_unused(path)?;
                }
                Ok(LogConfig {
                    path: options.path.unwrap_or_else(|| self.layout().log(id)),
                    max_size: Some(max_size).filter(|size| *size > 0),
                    max_files,
                    ..none
                })
            }
        }
    }

    /// Two writers of one file would put it aside under each other's hands.
    fn check_unused(&self, path: &Path) -> Result<(), EngineError> {
        for snapshot in self.store().list()? {
            if snapshot.config().is_ok_and(|other| other.log.path == path) {
                let why = format!("it is the log of container {}", snapshot.name());
                return Err(invalid("path", &path.display(), &why));
            }
        }
        Ok(())
    }
}

fn invalid(option: &str, value: &dyn std::fmt::Display, why: &str) -> EngineError {
    EngineError::invalid("log option", &format!("{option}={value}"), why)
}

/// Refuses options that the driver does not have.
fn check_options(driver: LogDriver, options: &LogOptions) -> Result<(), EngineError> {
    let foreign = |option: &str, value: &dyn std::fmt::Display, owner: LogDriver| {
        let why = format!(
            "only the log driver {} has this option, and the driver is {}",
            owner.name(),
            driver.name()
        );
        Err(invalid(option, value, &why))
    };
    if driver != LogDriver::K8sFile {
        if let Some(path) = &options.path {
            return foreign("path", &path.display(), LogDriver::K8sFile);
        }
        if let Some(size) = options.max_size {
            return foreign("max-size", &size, LogDriver::K8sFile);
        }
        if let Some(files) = options.max_files {
            return foreign("max-file", &files, LogDriver::K8sFile);
        }
    }
    match &options.tag {
        Some(tag) if driver != LogDriver::Journald => foreign("tag", tag, LogDriver::Journald),
        _ => Ok(()),
    }
}

fn check_journal(socket: &Path) -> Result<(), EngineError> {
    if std::fs::metadata(socket).is_ok_and(|found| found.file_type().is_socket()) {
        return Ok(());
    }
    let why = format!(
        "no journal runs on this host ({} is missing); use k8s-file",
        socket.display()
    );
    Err(EngineError::invalid("log driver", &"journald", &why))
}

/// A new file in a directory that can be written to, or a log that is there already.
fn check_path(path: &Path) -> Result<(), EngineError> {
    let refuse = |why: &str| Err(invalid("path", &path.display(), why));
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain || path.file_name().is_none() {
        return refuse("it must be an absolute path of a file, without ..");
    }
    // Looked at before it is opened: opening a device can have effects.
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return check_new(path),
        Err(error) => return refuse(&error.to_string()),
    };
    let own = rustix::process::geteuid().as_raw();
    if !found.is_file() || found.uid() != own || found.nlink() > 1 {
        return refuse("it exists and is not a regular file of this user alone");
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = std::fs::File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|source| {
            SysError::new("look at the log file", path.display().to_string(), source)
        })?;
    let mut begin = String::new();
    let begins_like_a_log = match file.take(11).read_to_string(&mut begin) {
        Ok(_) => {
            begin.is_empty()
                || begin
                    .strip_suffix('T')
                    .and_then(ctr_sys::parse_rfc3339)
                    .is_some()
        }
        Err(_) => false,
    };
    if !begins_like_a_log {
        return refuse("it exists and is not a log");
    }
    Ok(())
}

/// Whether a file can be made there, by making one for a moment.
fn check_new(path: &Path) -> Result<(), EngineError> {
    let made = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|_| std::fs::remove_file(path));
    made.map_err(|error| {
        let why = format!("it cannot be made: {error}");
        invalid("path", &path.display(), &why)
    })
}
