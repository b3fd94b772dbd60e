//! The wake file: touched after a commit, watched by followers.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_sys::{Deadline, SysError, SysResult, create_private_dir, poll};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

/// How often a journal that cannot be watched is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

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
    /// The file was touched, or something that cannot be told from that: the journal is to be looked at.
    Touched,
    /// The deadline has passed.
    TimedOut,
    /// The reader of what the waiting program writes has gone.
    ReaderGone,
}

/// An inotify(7) watch on the wake file that survives its deletion, and its renaming.
#[derive(Debug)]
pub struct Watch {
    /// `None`: as many watches as the machine allows are in use, so it is looked at now and then.
    inotify: Option<OwnedFd>,
    path: PathBuf,
}

impl Watch {
    /// Watches `path`, made when it is missing. Only what happens from now on is seen.
    ///
    /// # Errors
    /// The file can be neither made nor watched.
    pub fn start(path: &Path) -> SysResult<Self> {
        let inotify = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(inotify) => add(&inotify, path)?.then_some(inotify),
            Err(Errno::MFILE | Errno::NFILE) => None,
            Err(errno) => return Err(failed("watch", path, errno)),
        };
        Ok(Self {
            inotify,
            path: path.to_owned(),
        })
    }

    /// Waits until the file was touched or the deadline has passed.
    ///
    /// `output` is the pipe, socket or terminal that the caller writes to, if it wants to know that nobody reads there any more
    /// before it has something to write.
    ///
    /// # Errors
    /// When the file was deleted or renamed and cannot be made again, or waiting fails.
    pub fn wait(&mut self, output: Option<BorrowedFd<'_>>, deadline: Deadline) -> SysResult<Woken> {
        let until = match self.inotify {
            Some(_) => deadline,
            None => deadline.min(Deadline::after(LOOK_AGAIN)),
        };
        let inotify = self.inotify.as_ref().map(AsFd::as_fd);
        // Asked for nothing, poll(2) reports errors and hang-ups only.
        let output = output.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty()));
        let watched = inotify.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        let outputs = usize::from(output.is_some());
        let mut fds: Vec<PollFd<'_>> = output.into_iter().chain(watched).collect();
        poll(&mut fds, until)?;
        let happened = |fd: &PollFd<'_>| !fd.revents().is_empty();
        if fds[..outputs].iter().any(happened) {
            return Ok(Woken::ReaderGone);
        }
        let touched = fds[outputs..].iter().any(happened);
        if !touched && deadline.expired() {
            return Ok(Woken::TimedOut);
        }
        self.drain()?;
        Ok(Woken::Touched)
    }

    /// Waits until the file was touched, one of `others` can be read, or the deadline has passed; it may return without any of them.
    ///
    /// # Errors
    /// As [`Watch::wait`].
    pub fn wait_beside<'f>(
        &mut self,
        others: impl IntoIterator<Item = BorrowedFd<'f>>,
        deadline: Deadline,
    ) -> SysResult<()> {
        let until = match self.inotify {
            Some(_) => deadline,
            None => deadline.min(Deadline::after(LOOK_AGAIN)),
        };
        let mut fds: Vec<PollFd<'_>> = Vec::new();
        let watched = self.inotify.as_ref().map(AsFd::as_fd);
        fds.extend(watched.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        fds.extend(
            others
                .into_iter()
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
        );
        poll(&mut fds, until)?;
        drop(fds);
        self.drain()
    }

    fn drain(&mut self) -> SysResult<()> {
        if let Some(inotify) = &self.inotify
            && drain(inotify, &self.path)? == WatchState::Ended
            && !add(inotify, &self.path)?
        {
            self.inotify = None;
        }
        Ok(())
    }
}

/// Watches the file, made when it is missing; false when as many as the machine allows are watched.
fn add(inotify: &OwnedFd, path: &Path) -> SysResult<bool> {
    let touched = WatchFlags::ATTRIB | WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE;
    let flags = touched | WatchFlags::MOVE_SELF;
    loop {
        match inotify::add_watch(inotify, path, flags) {
            Ok(_) => return Ok(true),
            Err(Errno::NOENT) => create(path)?,
            Err(Errno::NOSPC) => return Ok(false),
            Err(errno) => return Err(failed("watch", path, errno)),
        }
    }
}

fn drain(inotify: &OwnedFd, path: &Path) -> SysResult<WatchState> {
    let mut buffer = [MaybeUninit::uninit(); 1024];
    let mut reader = inotify::Reader::new(inotify, &mut buffer);
    let mut state = WatchState::Lasting;
    loop {
        match reader.next() {
            Ok(event) if (event.events()).intersects(ReadFlags::IGNORED | ReadFlags::MOVE_SELF) => {
                state = WatchState::Ended;
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(state),
            Err(errno) => return Err(failed("watch", path, errno)),
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
