//! Named pipes between a program in the container and the monitor.

use std::os::fd::OwnedFd;
use std::path::Path;

use ctr_sys::{SysError, SysResult};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The monitor's read end and the container's write end. A program in the container may open its own stdout again, whoever it runs as.
pub(super) fn output_pipe(path: &Path) -> SysResult<(OwnedFd, OwnedFd)> {
    make_pipe(path, 0o622)?;
    let read = open(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    let write = open(path, OFlags::WRONLY)?;
    Ok((read, write))
}

/// The monitor's write end and the container's read end, which blocks as programs expect.
pub(super) fn input_pipe(path: &Path) -> SysResult<(OwnedFd, OwnedFd)> {
    make_pipe(path, 0o644)?;
    let read = open(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    let write = open(path, OFlags::WRONLY | OFlags::NONBLOCK)?;
    rustix::io::ioctl_fionbio(&read, false)
        .map_err(|errno| SysError::new("open", path.display().to_string(), errno.into()))?;
    Ok((write, read))
}

/// One end of a pipe that was made before, never blocking. `None`: there is no such pipe, or, for a write end, nobody who reads it.
pub(super) fn reopen_pipe(path: &Path, end: OFlags) -> SysResult<Option<OwnedFd>> {
    let found = open(path, end | OFlags::NONBLOCK);
    match found {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn make_pipe(path: &Path, mode: u32) -> SysResult<()> {
    let error = |errno: Errno| SysError::new("create", path.display().to_string(), errno.into());
    let mode = Mode::from_raw_mode(mode);
    rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).map_err(error)?;
    // The umask took bits away.
    rustix::fs::chmod(path, mode).map_err(error)
}

pub(super) fn open(path: &Path, flags: OFlags) -> SysResult<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| SysError::new("open", path.display().to_string(), errno.into()))
}
