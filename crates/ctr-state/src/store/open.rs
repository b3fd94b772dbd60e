//! Opening: trust, settings, schema.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use ctr_sys::{FilesystemKind, SysError, SysResult, create_private_dir, filesystem_kind};
use rustix::fs::{CWD, FileType, Mode};
use rustix::io::Errno;

use super::{Store, StoreConfig, copy, name_busy};
use crate::StateError;

impl Store {
    /// Opens the store, making or migrating its database as needed.
    ///
    /// The database must be a regular file of this user that nobody else may write, on a local file system. A current
    /// database is only read. When another process is stopped at the one moment where it keeps readers out, the store
    /// answers from a copy, and returns to the database when it can or when it has to write.
    ///
    /// # Errors
    /// [`StateError::NewerSchema`], with nothing changed, for the database of a newer program; [`StateError::Sys`] when
    /// the file cannot be trusted or made; [`StateError::Busy`] when another process sets it up or migrates it for too long.
    pub fn open(config: StoreConfig) -> Result<Self, StateError> {
        ensure_file(&config.database)?;
        let begin = Instant::now();
        let busy = |error| name_busy(&config, begin, error);
        let database = Mutex::new(copy::connect(&config).map_err(busy)?);
        Ok(Self {
            database,
            config,
            held: Mutex::default(),
        })
    }
}

/// Makes the file when it is missing, and refuses one that others could have prepared or could change.
fn ensure_file(path: &Path) -> SysResult<()> {
    let name = || path.display().to_string();
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(path)?;
            std::fs::symlink_metadata(path).map_err(|error| SysError::new("stat", name(), error))?
        }
        Err(error) => return Err(SysError::new("stat", name(), error)),
    };
    let own = rustix::process::geteuid().as_raw();
    if !found.is_file() {
        return Err(refuse(path, "it is not a regular file"));
    }
    if found.uid() != own {
        let why = format!("it belongs to user {}, not to {own}", found.uid());
        return Err(refuse(path, &why));
    }
    if found.mode() & 0o022 != 0 {
        return Err(refuse(path, "others may write to it (chmod go-w)"));
    }
    match filesystem_kind(path)? {
        FilesystemKind::Network(kind) => Err(refuse(
            path,
            &format!("it lies on {kind}, whose locks cannot be relied on"),
        )),
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

fn refuse(path: &Path, why: &str) -> SysError {
    let source = io::Error::new(io::ErrorKind::PermissionDenied, why);
    SysError::new("use", path.display().to_string(), source)
}
