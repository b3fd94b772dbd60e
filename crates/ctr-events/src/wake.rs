//! The wake file: touched after a commit, watched by followers.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_sys::{Deadline, SysError, SysResult, create_private_dir, poll};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

/// Tells followers that something was committed: sets the times of the wake file `path`, and makes it (0600, in a
/// private directory) when it is missing.
///
/// # Errors
/// The file can neither be touched nor made. What was committed before stays committed.
pub fn touch(path: &Path) -> SysResult<()> {
    match set_times(path) {
        Err(Errno::NOENT) => create(path),
        other => other.map_err(|errno| failed("touch", path, errno)),
    }
}

fn set_times(path: &Path) -> rustix::io::Result<()> {
    let now = || Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now(),
        last_modification: now(),
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
}

/// Makes the file without opening it, and its directory when that is missing.
fn create(path: &Path) -> SysResult<()> {
    let node = || rustix::fs::mknodat(CWD, path, FileType::RegularFile, Mode::RUSR | Mode::WUSR, 0);
    let mut result = node();
    if let (Err(Errno::NOENT), Some(parent)) = (result, path.parent()) {
        create_private_dir(parent)?;
        result = node();
    }
    match result {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(failed("create", path, errno)),
    }
}

fn failed(operation: &'static str, path: &Path, errno: Errno) -> SysError {
    SysError::new(operation, path.display().to_string(), errno.into())
}

/// What ended a wait for the wake file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The file was touched, or something that cannot be told from that.
    Touched,
    /// The deadline has passed.
    TimedOut,
    /// The reader of what the waiting program writes has gone.
    ReaderGone,
}

/// An inotify(7) watch on the wake file that survives its deletion, and its renaming.
#[derive(Debug)]
pub struct Watch {
    inotify: OwnedFd,
    path: PathBuf,
}

impl Watch {
    /// Watches `path`, made when it is missing. Only what happens from now on is seen.
    ///
    /// # Errors
    /// The file can be neither made nor watched.
    pub fn start(path: &Path) -> SysResult<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(|errno| failed("watch", path, errno))?;
        let watch = Self {
            inotify,
            path: path.to_owned(),
        };
        watch.add()?;
        Ok(watch)
    }

    /// Waits until the file was touched or the deadline has passed.
    ///
    /// `output` is the pipe, socket or terminal that the caller writes to, if it wants to know that nobody reads there any more
    /// before it has something to write.
    ///
    /// # Errors
    /// When the file was deleted or renamed and cannot be made again, or waiting fails.
    pub fn wait(&self, output: Option<BorrowedFd<'_>>, deadline: Deadline) -> SysResult<Woken> {
        let watched = PollFd::new(&self.inotify, PollFlags::IN);
        // Without an output the watch stands in for it. Asked for nothing, poll(2) reports errors and hang-ups only.
        let output = output.unwrap_or(self.inotify.as_fd());
        let mut fds = [
            watched,
            PollFd::from_borrowed_fd(output, PollFlags::empty()),
        ];
        poll(&mut fds, deadline)?;
        let [touched, gone] = fds.map(|fd| !fd.revents().is_empty());
        if gone {
            return Ok(Woken::ReaderGone);
        }
        if !touched && deadline.expired() {
            return Ok(Woken::TimedOut);
        }
        if self.drain()? == WatchState::Ended {
            self.add()?;
        }
        Ok(Woken::Touched)
    }

    fn add(&self) -> SysResult<()> {
        let touched = WatchFlags::ATTRIB | WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE;
        let flags = touched | WatchFlags::MOVE_SELF;
        loop {
            match inotify::add_watch(&self.inotify, &self.path, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::NOENT) => create(&self.path)?,
                Err(errno) => return Err(failed("watch", &self.path, errno)),
            }
        }
    }

    fn drain(&self) -> SysResult<WatchState> {
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut state = WatchState::Lasting;
        loop {
            match reader.next() {
                Ok(event)
                    if (event.events()).intersects(ReadFlags::IGNORED | ReadFlags::MOVE_SELF) =>
                {
                    state = WatchState::Ended;
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(state),
                Err(errno) => return Err(failed("watch", &self.path, errno)),
            }
        }
    }
}

/// Whether the kernel still watches the file of that name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WatchState {
    Lasting,
    /// The file is gone, or has another name.
    Ended,
}
