//! What can be wrong with the store as a whole, and how it is recognised.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ctr_events::EventError;
use ctr_sys::free_bytes;
use rusqlite::ErrorCode;
use rusqlite::ffi::{
    SQLITE_CORRUPT, SQLITE_ERROR, SQLITE_IOERR_SHMOPEN, SQLITE_IOERR_SHMSIZE,
    SQLITE_IOERR_SHORT_READ, SQLITE_NOTADB,
};

use rustix::fs::StatVfsMountFlags;

use super::StoreConfig;
use super::check::forget;
use super::database::busy_answer;
use crate::StateError;

/// Why the store as a whole cannot do what was asked for. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// There is no room for more. What ends or removes containers still works: room for it is set aside.
    #[error("cannot {operation}: the file system of {} is full ({} KiB free)", directory.display(), free_bytes / 1024)]
    Full {
        /// What was being done, as in "create a container".
        operation: &'static str,
        /// Where the database lies.
        directory: PathBuf,
        /// What is free there.
        free_bytes: u64,
    },
    /// Nothing can be written there.
    #[error("cannot {operation}: the file system of {} is read-only", directory.display())]
    ReadOnly {
        /// What was being done.
        operation: &'static str,
        /// Where the database lies.
        directory: PathBuf,
    },
    /// The database does not hold together. It can be read as far as that goes, and is not written to any more.
    #[error("the database {} is damaged: {what}", database.display())]
    Damaged {
        /// The file.
        database: PathBuf,
        /// What was found.
        what: String,
    },
    /// The file is none of ours.
    #[error("{} is not a database of containers: {what}", database.display())]
    Foreign {
        /// The file.
        database: PathBuf,
        /// What it is, or what it lacks.
        what: String,
    },
    /// The file, or its directory, is not as private as it must be.
    #[error("the database {} cannot be trusted: {what}", database.display())]
    Untrusted {
        /// The file.
        database: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// The directory that a database lies in.
pub(super) fn directory_of(database: &Path) -> &Path {
    match database.parent() {
        Some(parent) if parent != Path::new("") => parent,
        // `parent` of a bare name is the empty path.
        Some(_) | None => Path::new("."),
    }
}

/// What was being done, and what SQLite answered.
pub(super) fn answer(error: &StateError) -> Option<(&'static str, &rusqlite::Error)> {
    if let StateError::Database { operation, source }
    | StateError::Events(EventError::Database { operation, source }) = error
    {
        return Some((*operation, source));
    }
    None
}

/// Whether the database is not what it should be, in SQLite's eyes.
pub(super) fn is_damage(error: &StateError) -> bool {
    let code = answer(error)
        .and_then(|(_, source)| source.sqlite_error())
        .map(|error| error.extended_code);
    // A part of the file that is not there is read short. Our statements are always the same: one that is wrong is about tables that are
    // not there.
    code == Some(SQLITE_IOERR_SHORT_READ)
        || code.is_some_and(|code| {
            matches!(code & 0xff, SQLITE_CORRUPT | SQLITE_NOTADB | SQLITE_ERROR)
        })
}

/// Whether a row holds what it cannot hold, or is not there where one must be.
pub(super) fn is_of_a_value(source: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, QueryReturnedNoRows,
        Utf8Error,
    };
    matches!(
        source,
        FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | QueryReturnedNoRows
            | Utf8Error(..)
    )
}

fn is_foreign(source: &rusqlite::Error) -> bool {
    source.sqlite_error_code() == Some(ErrorCode::NotADatabase)
}

/// Whether there was no room for the shared index, which is emptied and filled again by whoever finds nobody else connected.
pub(super) fn lacks_index(error: &StateError) -> bool {
    let code = answer(error)
        .and_then(|(_, source)| source.sqlite_error())
        .map(|error| error.extended_code);
    matches!(code, Some(SQLITE_IOERR_SHMSIZE | SQLITE_IOERR_SHMOPEN))
}

/// Whether something cannot be made or changed because the file system is read-only.
pub(super) fn is_read_only(config: &StoreConfig, error: &StateError) -> bool {
    let code = answer(error).and_then(|(_, source)| source.sqlite_error_code());
    matches!(code, Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen))
        && rustix::fs::statvfs(directory_of(&config.database))
            .is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Says in our words what SQLite's answer means for the store as a whole. It was tried since `begin`.
pub(super) fn explain(config: &StoreConfig, begin: Instant, error: StateError) -> StateError {
    let Some((operation, source)) = answer(&error) else {
        return name_busy(config, begin, error);
    };
    let directory = directory_of(&config.database);
    let database = || config.database.clone();
    let fault = match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => full(operation, directory),
        Some(_) if lacks_index(&error) => full(operation, directory),
        // A quota has its own error, which SQLite does not tell from others: what is free says it, where it is the disk.
        Some(ErrorCode::SystemIoFailure) if free_bytes(directory) == Some(0) => {
            full(operation, directory)
        }
        Some(_) if is_read_only(config, &error) => StoreFault::ReadOnly {
            operation,
            directory: directory.to_owned(),
        },
        Some(_) if is_damage(&error) && !is_foreign(source) => {
            forget(config);
            StoreFault::Damaged {
                database: database(),
                what: format!("cannot {operation}: {source}"),
            }
        }
        None if is_of_a_value(source) => StoreFault::Damaged {
            database: database(),
            what: format!("cannot {operation}: {source}"),
        },
        Some(ErrorCode::NotADatabase) => StoreFault::Foreign {
            database: database(),
            what: "it does not begin like one".to_owned(),
        },
        _ => return name_busy(config, begin, error),
    };
    fault.into()
}

/// That there is no room on the file system of a directory.
pub(super) fn full(operation: &'static str, directory: &Path) -> StoreFault {
    StoreFault::Full {
        operation,
        directory: directory.to_owned(),
        free_bytes: free_bytes(directory).unwrap_or(0),
    }
}

/// A database that stayed busy is something a caller can wait for, unlike other refusals of SQLite. It was waited for since `begin`.
fn name_busy(config: &StoreConfig, begin: Instant, error: StateError) -> StateError {
    let waited = begin.elapsed();
    if let StateError::Busy { what, holder, .. } = error {
        return StateError::Busy {
            what,
            holder,
            waited,
        };
    }
    let Some((operation, answer)) = busy_answer(&error) else {
        return error;
    };
    // The extended code tells what was in the way: the text is the same for several of them.
    let code = answer
        .sqlite_extended_error_code()
        .map_or_else(String::new, |code| format!("SQLite code {code}, "));
    StateError::Busy {
        what: format!(
            "the database {} ({operation}: {code}{answer})",
            config.database.display()
        ),
        holder: None,
        waited,
    }
}
