//! The exit record: what a monitor leaves behind when its container has ended.

use std::path::{Path, PathBuf};

use ctr_exec::{ExitReport, TimedOut};
use ctr_sys::{PidStamp, Sync, replace_file};
use serde::{Deserialize, Serialize};

use crate::error::MonitorError;

const VERSION: u32 = 1;

/// Takes up room for the record until it is written.
const RESERVE: &str = "exit.reserve";
/// More than a record and the directory's growth need.
const RESERVED_BYTES: usize = 16 * 1024;

/// Whether the runtime's `start` had succeeded before the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartSeen {
    /// It had.
    #[default]
    Yes,
    /// It had not: the container was only created.
    No,
}

/// One file per generation, written once by rename. Unknown fields are tolerated: a newer monitor may say more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Version of this form.
    pub version: u32,
    /// The container's id.
    pub id: String,
    /// Which run of it.
    pub generation: u64,
    /// The first process.
    pub init: PidStamp,
    /// How it ended.
    pub exit: ExitReport,
    /// Whether its program had been started; a record that does not say so is of one that was.
    #[serde(default)]
    pub start: StartSeen,
    /// Whether its time was up; a record that does not say so is of one without a limit.
    #[serde(default)]
    pub timed_out: TimedOut,
    /// When the monitor saw it, nanoseconds since 1970 UTC.
    pub finished_ns: i64,
    /// Processes of the container that the kernel killed for want of memory.
    pub oom_kills: u64,
    /// How many monitors of this run were killed, as far as is known.
    #[serde(default)]
    pub monitors_lost: u32,
    /// Bytes of output that could not be written to the log.
    pub log_bytes_lost: u64,
}

impl ExitRecord {
    pub(crate) fn new(id: &str, generation: u64, init: PidStamp, exit: ExitReport) -> Self {
        Self {
            version: VERSION,
            id: id.to_owned(),
            generation,
            init,
            exit,
            start: StartSeen::Yes,
            timed_out: TimedOut::No,
            finished_ns: ctr_sys::now_ns(),
            oom_kills: 0,
            monitors_lost: 0,
            log_bytes_lost: 0,
        }
    }

    /// Where the record of a generation lies.
    pub fn path(run_dir: &Path, generation: u64) -> PathBuf {
        run_dir.join(format!("exit.{generation}"))
    }

    /// Reads the record of a generation; `None` when there is none (yet).
    ///
    /// # Errors
    /// When it exists and cannot be read or understood.
    pub fn read(run_dir: &Path, generation: u64) -> Result<Option<Self>, MonitorError> {
        let path = Self::path(run_dir, generation);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                let error = ctr_sys::SysError::new("read", path.display().to_string(), source);
                return Err(error.into());
            }
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| MonitorError::BadRecord { path, source })
    }

    /// Sets room aside that is given back when the disk is full at the end.
    pub(crate) fn reserve(run_dir: &Path) -> Result<(), ctr_sys::SysError> {
        // That of a monitor that was killed is as good, and there may be no room for another one.
        if run_dir.join(RESERVE).exists() {
            return Ok(());
        }
        replace_file(
            &run_dir.join(RESERVE),
            &[0; RESERVED_BYTES],
            0o600,
            Sync::No,
        )
    }

    pub(crate) fn write(&self, run_dir: &Path) -> Result<(), ctr_sys::SysError> {
        self.write_once(run_dir).or_else(|_| {
            // Most likely there is no room: the reserve is what makes some. A failure to free it shows in the second attempt.
            std::fs::remove_file(run_dir.join(RESERVE)).ok();
            self.write_once(run_dir)
        })
    }

    fn write_once(&self, run_dir: &Path) -> Result<(), ctr_sys::SysError> {
        let path = Self::path(run_dir, self.generation);
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        // The run directory is volatile: what a reboot takes away is from another boot anyway.
        replace_file(&path, &bytes, 0o600, Sync::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctr_sys::Signal;

    #[test]
    fn written_records_are_read_again_and_damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let init = PidStamp {
            pid: 7,
            start_time: 9,
        };
        let record = ExitRecord::new(
            "abc",
            3,
            init,
            ExitReport::Signaled {
                signal: Signal::KILL,
            },
        );
        assert!(ExitRecord::read(dir.path(), 3).unwrap().is_none());
        record.write(dir.path()).unwrap();
        assert_eq!(ExitRecord::read(dir.path(), 3).unwrap().unwrap(), record);
        assert!(ExitRecord::read(dir.path(), 2).unwrap().is_none());
        replace_file(&ExitRecord::path(dir.path(), 2), b"{", 0o600, Sync::No).unwrap();
        assert!(ExitRecord::read(dir.path(), 2).is_err());
    }
}
