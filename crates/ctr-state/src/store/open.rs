//! Opening: trust, settings, schema.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use ctr_sys::{FilesystemKind, SysError, SysResult, create_private_dir, filesystem_kind};
use rustix::fs::{CWD, FileType, Mode};
use rustix::io::Errno;

use super::check::unsound_since_boot;
use super::fault::explain;
use super::room::{index, log};
use super::{Store, StoreConfig, StoreFault, copy};
use crate::StateError;

impl Store {
    /// Opens the store, making or migrating its database as needed.
    ///
    /// The database must be a regular file of this user that nobody else may write, on a local file system. A current
    /// database is only read. When another process is stopped at the one moment where it keeps readers out, the store
    /// answers from a copy, and returns to the database when it can or when it has to write.
    ///
    /// # Errors
    /// [`StateError::NewerSchema`], with nothing changed, for the database of a newer program; [`StateError::Store`] when
    /// it is none of ours or cannot be trusted; [`StateError::Busy`] when another process sets it up or migrates it for too long.
    pub fn open(config: StoreConfig) -> Result<Self, StateError> {
        ensure_file(&config.database)?;
        let begin = Instant::now();
        let opened = copy::connect(&config).and_then(|database| {
            // A copy is for reading alone.
            let damage = if database.is_copy() {
                None
            } else {
                unsound_since_boot(&config, database.connection())?
            };
            Ok((database, damage))
        });
        let (mut database, damage) = opened.map_err(|error| explain(&config, begin, error))?;
        database.let_others_in();
        Ok(Self {
            database: Mutex::new(database),
            config,
            held: Mutex::default(),
            damage,
        })
    }
}

/// Makes the file when it is missing, and refuses one that others could have prepared or could change. Nothing is opened here, so nothing
/// can keep us waiting.
fn ensure_file(path: &Path) -> Result<(), StateError> {
    let Some(found) = look(path)? else {
        create(path)?;
        return refuse_network(path);
    };
    check(path, path, &found)?;
    // SQLite opens them by their names.
    for part in [log(path), index(path)] {
        if let Some(found) = look(&part)? {
            check(path, &part, &found)?;
        }
    }
    refuse_network(path)
}

fn look(path: &Path) -> SysResult<Option<Metadata>> {
    match std::fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(SysError::new("stat", path.display().to_string(), error)),
    }
}

/// Refuses a part of the database that is not ours alone.
fn check(database: &Path, part: &Path, found: &Metadata) -> Result<(), StoreFault> {
    let own = rustix::process::geteuid().as_raw();
    let kind = found.file_type();
    let why = if kind.is_symlink() {
        "a symbolic link, and not a regular file".to_owned()
    } else if kind.is_dir() {
        "a directory, and not a regular file".to_owned()
    } else if kind.is_fifo() {
        "a named pipe, and not a regular file".to_owned()
    } else if !kind.is_file() {
        "not a regular file".to_owned()
    } else if found.uid() != own {
        return Err(StoreFault::Untrusted {
            database: part.to_owned(),
            what: format!("it belongs to user {}, not to {own}", found.uid()),
        });
    } else if found.mode() & 0o022 != 0 {
        return Err(StoreFault::Untrusted {
            database: part.to_owned(),
            what: format!("others may write to it (mode {:o})", found.mode() & 0o7777),
        });
    } else {
        return Ok(());
    };
    let what = if part == database {
        format!("it is {why}")
    } else {
        format!("{} is {why}", part.display())
    };
    Err(StoreFault::Foreign {
        database: database.to_owned(),
        what,
    })
}

fn refuse_network(path: &Path) -> Result<(), StateError> {
    match filesystem_kind(path)? {
        FilesystemKind::Network(kind) => {
            let why = format!("it lies on {kind}, whose locks cannot be relied on");
            let source = io::Error::new(io::ErrorKind::Unsupported, why);
            Err(SysError::new("use", path.display().to_string(), source).into())
        }
        FilesystemKind::Overlay | FilesystemKind::Other => Ok(()),
    }
}

/// Makes the file, and its directory when that is missing, without opening it: closing a descriptor would drop the locks
/// of this process on the same file, fcntl(2), and another thread may have opened it meanwhile.
fn create(path: &Path) -> SysResult<()> {
    let node = || rustix::fs::mknodat(CWD, path, FileType::RegularFile, Mode::RUSR | Mode::WUSR, 0);
    let mut result = node();
    if let (Err(Errno::NOENT), Some(parent)) = (result, path.parent()) {
        create_private_dir(parent)?;
        result = node();
    }
    match result {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(SysError::new(
            "create",
            path.display().to_string(),
            errno.into(),
        )),
    }
}
