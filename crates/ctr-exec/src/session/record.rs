//! The record of a session, and the directory that it lies in.

use std::io::ErrorKind;
use std::path::Path;

use ctr_sys::{PidStamp, Sync, SysError, replace_file};
use serde::{Deserialize, Serialize};

use super::SessionId;
use super::paths::{News, SessionPaths};
use crate::error::ExecError;
use crate::exit::{ExitReport, TimedOut};

/// The version of the record that this code writes.
const VERSION: u32 = 1;

/// Whether the process of a session has a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tty {
    /// Its standard streams are pipes, or whatever its client has handed over.
    No,
    /// Its standard streams are a pseudo-terminal.
    Yes,
}

/// What the process of a session reads on its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// Nothing, its end at once.
    Null,
    /// What clients send.
    Open,
}

/// How long a session stays to be asked about once it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Until its end has been told, to a client or to the journal of events.
    UntilTold,
    /// Until somebody removes it, or the container's run is over.
    UntilRemoved,
}

/// What a session was asked to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionConfig {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The user as it was typed; empty for the container's.
    #[serde(default)]
    pub user: String,
    /// The working directory inside.
    #[serde(default)]
    pub cwd: String,
    /// Whether it has a terminal.
    pub tty: Tty,
    /// What it reads.
    pub input: Input,
    /// Whether it has every right that the engine can give.
    #[serde(default)]
    pub privileged: bool,
    /// The keys by which a client leaves, as they were typed; empty for none.
    #[serde(default)]
    pub detach_keys: String,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionExit {
    /// How its process ended.
    pub exit: ExitReport,
    /// Whether its time was up.
    #[serde(default)]
    pub timed_out: TimedOut,
    /// When that was seen, nanoseconds since 1970 UTC.
    pub finished_ns: i64,
    /// Bytes that processes which it had left behind had written, and that nobody waited for any more.
    #[serde(default)]
    pub dropped: u64,
    /// Bytes of input that its processes have read, from a pipe.
    #[serde(default)]
    pub input_read: u64,
}

/// What is known of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum SessionState {
    /// It waits to be started.
    Created,
    /// A runtime has been asked for its process.
    Starting,
    /// Its process exists.
    Running {
        /// Which it is, in the boot that the record names.
        process: PidStamp,
        /// Since when, nanoseconds since 1970 UTC.
        started_ns: i64,
    },
    /// Its process has ended.
    Ended(SessionExit),
    /// It could not be started, and nothing of it is left.
    Failed {
        /// Why.
        why: String,
    },
}

impl SessionState {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Starting => "starting",
            Self::Running { .. } => "running",
            Self::Ended(_) => "ended",
            Self::Failed { .. } => "failed",
        }
    }
}

/// One file per session, replaced by rename. Unknown fields are tolerated: a newer host may say more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Version of this form.
    pub version: u32,
    /// Which session.
    pub id: SessionId,
    /// The container.
    pub container: String,
    /// Which run of it.
    pub generation: u64,
    /// The boot of the machine that pids belong to.
    pub boot_id: String,
    /// When it was created, nanoseconds since 1970 UTC.
    pub created_ns: i64,
    /// What it was asked to be.
    pub config: SessionConfig,
    /// How long it stays.
    pub keep: Keep,
    /// The process of the client in whose foreground it runs, and which reports its end; `None`: nobody's.
    #[serde(default)]
    pub owner: Option<PidStamp>,
    /// What is known of it.
    pub state: SessionState,
}

impl SessionRecord {
    /// The record of a session that was just created.
    pub fn new(
        id: SessionId,
        container: &str,
        generation: u64,
        boot_id: &str,
        config: SessionConfig,
    ) -> Self {
        Self {
            version: VERSION,
            id,
            container: container.to_owned(),
            generation,
            boot_id: boot_id.to_owned(),
            created_ns: ctr_sys::now_ns(),
            config,
            keep: Keep::UntilRemoved,
            owner: None,
            state: SessionState::Created,
        }
    }

    /// Reads the record of a session; `None` when there is none (any more).
    ///
    /// # Errors
    /// When it exists and cannot be read or understood.
    pub fn read(run_dir: &Path, id: &SessionId) -> Result<Option<Self>, ExecError> {
        let path = SessionPaths::new(run_dir, id).record();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(SysError::new("read", path.display().to_string(), source).into());
            }
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| ExecError::BadRecord { path, source })
    }

    /// The records of all sessions of a run, oldest first. One that is being removed, or that cannot be understood, is left out.
    ///
    /// # Errors
    /// When the directory exists and cannot be read.
    pub fn list(run_dir: &Path) -> Result<Vec<Self>, ExecError> {
        let ids = Self::ids(run_dir)?;
        let read = |id: &SessionId| Self::read(run_dir, id).ok().flatten();
        let mut records: Vec<Self> = ids.iter().filter_map(read).collect();
        records.sort_by_key(|record| record.created_ns);
        Ok(records)
    }

    /// The records of those sessions whose end nobody has reported; otherwise as [`SessionRecord::list`].
    ///
    /// # Errors
    /// As [`SessionRecord::list`].
    pub fn list_unreported(run_dir: &Path) -> Result<Vec<Self>, ExecError> {
        let ids = Self::ids(run_dir)?.into_iter();
        let unreported =
            ids.filter(|id| !SessionPaths::new(run_dir, id).claimed(News::Ended).exists());
        let mut records: Vec<Self> = unreported
            .filter_map(|id| Self::read(run_dir, &id).ok().flatten())
            .collect();
        records.sort_by_key(|record| record.created_ns);
        Ok(records)
    }

    /// The sessions of a run, in no order.
    fn ids(run_dir: &Path) -> Result<Vec<SessionId>, ExecError> {
        let directory = SessionPaths::all(run_dir);
        let failed = |source| SysError::new("read", directory.display().to_string(), source);
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error).into()),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let name = name.into_string().ok();
            ids.extend(name.and_then(|name| SessionId::try_from(name).ok()));
        }
        Ok(ids)
    }

    /// Puts the record in the place of the one before. The directory must exist.
    ///
    /// # Errors
    /// When it cannot be written; then the one before is still there.
    pub fn write(&self, run_dir: &Path) -> Result<(), ExecError> {
        let path = SessionPaths::new(run_dir, &self.id).record();
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        // The run directory is volatile: what a reboot takes away is from another boot anyway.
        Ok(replace_file(&path, &bytes, 0o600, Sync::No)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> SessionRecord {
        let config = SessionConfig {
            command: vec!["true".into()],
            user: String::new(),
            cwd: "/".into(),
            tty: Tty::No,
            input: Input::Null,
            privileged: false,
            detach_keys: String::new(),
        };
        SessionRecord::new(SessionId::generate().unwrap(), "c", 3, "boot", config)
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let run_dir = tempfile::tempdir().unwrap();
        let run_dir = run_dir.path();
        let mut record = record();
        assert_eq!(SessionRecord::read(run_dir, &record.id).unwrap(), None);
        assert_eq!(SessionRecord::list(run_dir).unwrap(), []);
        let paths = SessionPaths::new(run_dir, &record.id);
        std::fs::create_dir_all(paths.directory()).unwrap();
        let process = PidStamp {
            pid: 7,
            start_time: 9,
        };
        let exit = SessionExit {
            exit: ExitReport::Exited { code: 3 },
            timed_out: TimedOut::No,
            finished_ns: 5,
            dropped: 1,
            input_read: 2,
        };
        for state in [
            SessionState::Created,
            SessionState::Starting,
            SessionState::Running {
                process,
                started_ns: 4,
            },
            SessionState::Ended(exit),
            SessionState::Failed { why: "x".into() },
        ] {
            record.state = state;
            record.write(run_dir).unwrap();
            let read = SessionRecord::read(run_dir, &record.id).unwrap();
            assert_eq!(read.as_ref(), Some(&record));
            assert_eq!(SessionRecord::list(run_dir).unwrap(), [record.clone()]);
            let unreported = SessionRecord::list_unreported(run_dir).unwrap();
            assert_eq!(unreported, [record.clone()]);
        }
        assert!(paths.claim(News::Ended).unwrap());
        assert_eq!(SessionRecord::list_unreported(run_dir).unwrap(), []);
        assert_eq!(SessionRecord::list(run_dir).unwrap(), [record]);
    }

    #[test]
    fn a_damaged_record_harms_itself_alone() {
        let run_dir = tempfile::tempdir().unwrap();
        let run_dir = run_dir.path();
        let (good, bad) = (record(), record());
        for record in [&good, &bad] {
            let paths = SessionPaths::new(run_dir, &record.id);
            std::fs::create_dir_all(paths.directory()).unwrap();
            record.write(run_dir).unwrap();
        }
        let path = SessionPaths::new(run_dir, &bad.id).record();
        replace_file(&path, b"{", 0o600, Sync::No).unwrap();
        assert!(SessionRecord::read(run_dir, &bad.id).is_err());
        assert_eq!(SessionRecord::list(run_dir).unwrap(), [good]);
    }
}
