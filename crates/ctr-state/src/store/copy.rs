//! Reading while the database is blocked.
//!
//! Readers of a WAL wait for nobody, with one exception: the first of several connections rebuilds the shared index, and until
//! it has done so nobody gets in. If that process is stopped just there, a copy of database and WAL tells what was last
//! committed: nothing can be written to either meanwhile. So does one where the index is missing on a file system that is read-only.

use std::io;
use std::path::Path;
use std::time::Duration;

use ctr_events::open_database;
use ctr_sys::{Deadline, SysError, SysResult, create_private_dir, remove_tree};

use super::StoreConfig;
use super::database::{Database, Origin, is_busy};
use super::fault::is_read_only;
use super::room::log;
use crate::error::Context;
use crate::schema::{self, Age};
use crate::{ContainerId, StateError};

/// How long the rebuilding of the index is waited for: it takes less than a millisecond.
const PATIENCE: Duration = Duration::from_millis(300);

/// Connects to the database or, when it is blocked, to a copy of it.
pub(super) fn connect(config: &StoreConfig) -> Result<Database, StateError> {
    let deadline = Deadline::after(config.busy);
    let blocked = match Database::live(config, config.busy.min(PATIENCE), deadline) {
        Err(error) if is_busy(&error) => None,
        // No index can be made there, and nothing can change what is copied.
        Err(error) if is_read_only(config, &error) => Some(error),
        other => return other,
    };
    // No connection is open here: closing the files that are copied drops the locks this process has on them, fcntl(2).
    let directory = config
        .wake
        .with_file_name(format!("copy-{}", ContainerId::generate()?.short()));
    create_private_dir(&directory)?;
    let copied = copy(config, &directory);
    remove_tree(&directory)?;
    let copied = copied?;
    if let Some(error) = blocked {
        return copied.ok_or(error);
    }
    // If the database lets us in now, then it may have been written to while it was copied.
    match (Database::live(config, Duration::ZERO, deadline), copied) {
        (Err(error), Some(copy)) if is_busy(&error) => Ok(copy),
        (Err(error), None) if is_busy(&error) => {
            let left = deadline.remaining().unwrap_or(config.busy);
            Database::live(config, left, deadline)
        }
        (live, _) => live,
    }
}

/// A connection to a copy in `directory`, whose files may be removed then; `None` when it is no current database.
fn copy(config: &StoreConfig, directory: &Path) -> Result<Option<Database>, StateError> {
    let target = directory.join("state.db");
    copy_file(&config.database, &target)?;
    copy_file(&log(&config.database), &log(&target))?;
    let connection =
        open_database(&target, Duration::ZERO).context("open a copy of the database")?;
    let current = schema::age(&connection)? == Age::Current;
    Ok(current.then(|| Database::new(connection, Origin::Copy)))
}

/// A missing file is as good as an empty one.
fn copy_file(source: &Path, target: &Path) -> SysResult<()> {
    match std::fs::copy(source, target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(SysError::new("copy", source.display().to_string(), error))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}
