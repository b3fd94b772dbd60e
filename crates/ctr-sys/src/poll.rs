//! Waiting for descriptors, with deadlines: `poll(2)`.

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::deadline::Deadline;
use crate::error::{SysError, SysResult};

/// Waits until something happens to one of `fds`, or the deadline passes. A signal that interrupts the wait is as good as either: callers look
/// at what has happened and at their deadline.
///
/// # Errors
/// When `poll(2)` fails.
pub fn poll(fds: &mut [PollFd<'_>], deadline: Deadline) -> SysResult<()> {
    match rustix::event::poll(fds, deadline.timespec().as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(SysError::new("poll", "descriptors", errno.into())),
    }
}

/// Waits until `fd` has something to read or is at its end; false when the deadline passed first.
///
/// # Errors
/// When `poll(2)` fails.
pub fn wait_readable(fd: BorrowedFd<'_>, deadline: Deadline) -> SysResult<bool> {
    loop {
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        poll(&mut fds, deadline)?;
        if !fds[0].revents().is_empty() {
            return Ok(true);
        }
        if deadline.expired() {
            return Ok(false);
        }
    }
}

/// Which of two descriptors became readable first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The first, or both.
    First,
    /// The second.
    Second,
    /// Neither: the deadline passed, or a signal came between.
    Neither,
}

/// Waits until one of two descriptors has something to read or is at its end.
///
/// # Errors
/// When `poll(2)` fails.
pub fn wait_either(
    first: BorrowedFd<'_>,
    second: BorrowedFd<'_>,
    deadline: Deadline,
) -> SysResult<Ready> {
    let mut fds = [first, second].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    poll(&mut fds, deadline)?;
    let [first, second] = fds.map(|fd| !fd.revents().is_empty());
    Ok(match (first, second) {
        (true, _) => Ready::First,
        (false, true) => Ready::Second,
        (false, false) => Ready::Neither,
    })
}
