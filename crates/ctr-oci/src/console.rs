//! A console socket that any runtime can connect to, however deep its directory lies.
//!
//! The address of a local socket has room for 107 bytes (`unix(7)`), and most runtimes connect by the path that they are given. So the
//! socket's directory is handed to the runtime as a descriptor, and the path goes through it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use ctr_sys::{SysError, SysResult};
use rustix::fs::{Mode, OFlags};

/// The descriptor that the socket's directory has in the runtime. Far from those that runtimes take for their own purposes
/// (`LISTEN_FDS` counts from 3).
pub(crate) const DIRECTORY: RawFd = 100;

/// The socket of one call.
#[derive(Debug)]
pub(crate) struct ConsoleSocket {
    directory: OwnedFd,
    path: PathBuf,
}

impl ConsoleSocket {
    /// The socket at `path`, which must exist in a directory.
    pub(crate) fn open(path: &Path) -> SysResult<Self> {
        let fail = |source| SysError::new("open", path.display().to_string(), source);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(fail(std::io::ErrorKind::InvalidInput.into()));
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(parent, flags, Mode::empty());
        Ok(Self {
            directory: directory.map_err(|errno| fail(errno.into()))?,
            path: Path::new("/proc/self/fd")
                .join(DIRECTORY.to_string())
                .join(name),
        })
    }

    /// The path by which the runtime reaches it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for ConsoleSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}
