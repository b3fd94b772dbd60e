//! What announces that a log has grown.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_sys::{Deadline, SysError};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::watch::LOOK_AGAIN;

/// Watches the log file, and its directory for the next one.
#[derive(Debug)]
pub(super) struct LogWatch {
    path: PathBuf,
    /// `None`: as many watches as the machine allows are in use.
    inotify: Option<OwnedFd>,
}

impl LogWatch {
    pub(super) fn new(path: &Path) -> Result<Self, SysError> {
        let inotify = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(inotify) => Some(inotify),
            Err(Errno::MFILE | Errno::NFILE) => None,
            Err(errno) => return Err(failed(path, errno)),
        };
        let mut watch = Self {
            path: path.to_owned(),
            inotify,
        };
        watch.add()?;
        Ok(watch)
    }

    fn add(&mut self) -> Result<(), SysError> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let wanted = [
            (directory, WatchFlags::CREATE | WatchFlags::MOVED_TO),
            (&self.path, WatchFlags::MODIFY | WatchFlags::DONT_FOLLOW),
        ];
        for (path, flags) in wanted {
            let Some(inotify) = &self.inotify else {
                return Ok(());
            };
            match inotify::add_watch(inotify, path, flags) {
                Ok(_) | Err(Errno::NOENT) => {}
                Err(Errno::NOSPC) => self.inotify = None,
                Err(errno) => return Err(failed(path, errno)),
            }
        }
        Ok(())
    }

    /// What becomes readable when something has happened.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().map(AsFd::as_fd)
    }

    /// When to look again although nothing was announced.
    pub(super) fn deadline(&self) -> Deadline {
        match self.inotify {
            Some(_) => Deadline::never(),
            None => Deadline::after(LOOK_AGAIN),
        }
    }

    /// Forgets what was announced, and watches the file that now has the name. Only afterwards the log is to be looked at.
    pub(super) fn rearm(&mut self) -> Result<(), SysError> {
        let mut buffer = [0; 4096];
        while let Some(inotify) = &self.inotify
            && matches!(rustix::io::read(inotify, &mut buffer), Ok(count) if count > 0)
        {}
        self.add()
    }
}

fn failed(path: &Path, errno: Errno) -> SysError {
    SysError::new("watch", path.display().to_string(), errno.into())
}
