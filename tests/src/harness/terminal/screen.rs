//! Our side of a terminal as something to read from.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Our side of the terminal, read without ever blocking in read(2).
pub(super) struct Screen {
    pub(super) master: Arc<OwnedFd>,
    /// Readable when reading is to end.
    pub(super) stop: Arc<OwnedFd>,
}

impl Read for Screen {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let mut fds = [
                PollFd::new(&self.stop, PollFlags::IN),
                PollFd::new(&self.master, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) if !fds[0].revents().is_empty() => return Ok(0),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            match rustix::io::read(&self.master, &mut *buffer) {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Nobody has the other side open any more.
                Err(Errno::IO) => return Ok(0),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Waits for an event; false when the time is over.
pub(super) fn ready(fd: impl AsFd, events: PollFlags, time: Duration) -> Result<bool> {
    let timeout = Timespec::try_from(time)?;
    let mut fds = [PollFd::new(&fd, events)];
    loop {
        match poll(&mut fds, Some(&timeout)) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("wait for a terminal"),
        }
    }
}
