//! The files in which a caller wants a container's id and pid.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ctr_state::ContainerId;
use ctr_sys::{PidRef, SysError};

use crate::error::EngineError;

/// The file must be new: an id file that is there belongs to another container.
pub(super) fn write_cid_file(path: &Path, id: &ContainerId) -> Result<(), EngineError> {
    use std::io::Write;
    let error = |source| SysError::new("create the id file", path.display().to_string(), source);
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
        .map_err(|source| {
            if source.kind() == std::io::ErrorKind::AlreadyExists {
                let why = "it exists: remove it, or the container that it belongs to";
                return EngineError::invalid("id file", &path.display(), why);
            }
            error(source).into()
        })?;
    let written = file.write_all(id.as_str().as_bytes());
    if let Err(source) = written {
        remove_file(path)?;
        return Err(error(source).into());
    }
    Ok(())
}

/// Removes the id file, if it is this container's: another one may lie at that path by now.
pub(crate) fn remove_cid_file(path: &Path, id: &ContainerId) -> Result<(), EngineError> {
    let mut content = String::new();
    let read = std::fs::File::options()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .and_then(|file| file.take(128).read_to_string(&mut content));
    if read.is_ok() && content.trim() == id.as_str() {
        return remove_file(path);
    }
    Ok(())
}

/// Removes a pid file, unless the pid in it belongs to a process that lives: then it is another container's by now.
pub(crate) fn remove_pid_file(path: &Path) -> Result<(), EngineError> {
    if let Ok(Some(pid)) = ctr_exec::PidFile::new(path).read()
        && PidRef::capture(pid)?.is_some()
    {
        return Ok(());
    }
    remove_file(path)
}

fn remove_file(path: &Path) -> Result<(), EngineError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(SysError::new("remove", path.display().to_string(), error).into())
        }
        _ => Ok(()),
    }
}
