//! A console socket that any runtime can connect to, however deep its directory lies.
//!
//! The address of a local socket has room for 107 bytes (`unix(7)`), and most runtimes connect by the path that they are given. So the
//! socket's directory is handed to the runtime as a descriptor, and the path goes through it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use ctr_sys::{SysError, SysResult};
use rustix::fs::{Mode, OFlags};

/// The lowest number that the descriptor of the socket's directory has in the runtime. Far from those that runtimes take for their own
/// purposes (`LISTEN_FDS` counts from 3).
const DIRECTORY: RawFd = 100;

/// The socket of one call.
#[derive(Debug)]
pub(crate) struct ConsoleSocket {
    directory: OwnedFd,
    number: RawFd,
    path: PathBuf,
}

impl ConsoleSocket {
    /// The socket at `path`, which must exist in a directory. Descriptors up to `last_fd` are those that the process in the container
    /// gets: a directory of the host is never among them.
    pub(crate) fn open(path: &Path, last_fd: RawFd) -> SysResult<Self> {
        let fail = |source| SysError::new("open", path.display().to_string(), source);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(fail(std::io::ErrorKind::InvalidInput.into()));
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(parent, flags, Mode::empty());
        let number = DIRECTORY.max(last_fd.saturating_add(1));
        Ok(Self {
            number,
            directory: directory.map_err(|errno| fail(errno.into()))?,
            path: Path::new("/proc/self/fd")
                .join(number.to_string())
                .join(name),
        })
    }

    /// The number that the directory's descriptor must have in the runtime.
    pub(crate) fn number(&self) -> RawFd {
        self.number
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
