//! The caller's ends of the streams: one packet of input on its way, output with a bounded buffer.
//!
//! Nothing here blocks: while the caller's own output stands still (a pager, Ctrl-S), signals must still reach the container. The descriptors are
//! the caller's and shared with others, so they are not made non-blocking themselves: pipes and terminals are opened once more for us
//! alone, sockets are asked not to wait with each write, files never wait.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use ctr_exec::frames::MAX_PAYLOAD;
use ctr_monitor::{MonitorClient, MonitorError};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::error::EngineError;

/// Where a descriptor can neither be opened again nor be asked not to wait: what a pipe that has room is sure to take (`PIPE_BUF`).
const SAFE_WRITE: usize = 4096;
/// Output waiting for the caller's descriptor before the monitor is asked for no more.
const LIMIT: usize = 1024 * 1024;

/// The container's input.
pub(super) struct Input<'a> {
    source: Option<BorrowedFd<'a>>,
    pending: Option<Vec<u8>>,
}

impl<'a> Input<'a> {
    pub(super) fn new(source: Option<BorrowedFd<'a>>) -> Self {
        Self {
            source,
            pending: None,
        }
    }

    pub(super) fn has_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// What to wait for before reading.
    pub(super) fn readable(&self) -> Option<BorrowedFd<'a>> {
        self.source.filter(|_| self.pending.is_none())
    }

    pub(super) fn read(&mut self) {
        let Some(source) = self.readable() else {
            return;
        };
        let mut buffer = vec![0; MAX_PAYLOAD];
        match rustix::io::read(source, &mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // A closed or unreadable input is an empty one.
            Ok(0) | Err(_) => {
                self.source = None;
                self.pending = Some(Vec::new());
            }
            Ok(count) => {
                buffer.truncate(count);
                self.pending = Some(buffer);
            }
        }
    }

    pub(super) fn send(&mut self, client: &MonitorClient) -> Result<(), EngineError> {
        let Some(bytes) = &self.pending else {
            return Ok(());
        };
        match client.try_send_stdin(bytes) {
            Ok(true) => self.pending = None,
            Ok(false) => {}
            // The monitor is gone: reading from it says so next.
            Err(MonitorError::Connection { .. }) => self.close(),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    pub(super) fn close(&mut self) {
        self.pending = None;
        self.source = None;
    }
}

/// One of the container's output streams.
pub(super) struct Output<'a> {
    target: Option<Target<'a>>,
    queue: VecDeque<u8>,
    failure: Option<Errno>,
}

/// The caller's descriptor, and how it is written to without waiting.
enum Target<'a> {
    /// Opened again, non-blocking: a pipe, a terminal.
    Own(OwnedFd),
    /// A socket.
    Socket(BorrowedFd<'a>),
    /// It never waits: a file.
    File(BorrowedFd<'a>),
    /// Anything else.
    Careful(BorrowedFd<'a>),
}

impl<'a> Target<'a> {
    fn new(fd: BorrowedFd<'a>) -> Self {
        let kind = rustix::fs::fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        match kind {
            Ok(FileType::RegularFile) => Self::File(fd),
            Ok(FileType::Socket) => Self::Socket(fd),
            Ok(_) | Err(_) => {
                let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                rustix::fs::open(path, flags, Mode::empty()).map_or(Self::Careful(fd), Self::Own)
            }
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match self {
            Self::Own(fd) => rustix::io::write(fd, bytes),
            Self::File(fd) => rustix::io::write(fd, bytes),
            Self::Careful(fd) => rustix::io::write(fd, &bytes[..bytes.len().min(SAFE_WRITE)]),
            Self::Socket(fd) => {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                rustix::net::send(fd, bytes, flags)
            }
        }
    }
}

impl AsFd for Target<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(fd) => fd.as_fd(),
            Self::Socket(fd) | Self::File(fd) | Self::Careful(fd) => *fd,
        }
    }
}

impl<'a> Output<'a> {
    pub(super) fn new(target: BorrowedFd<'a>) -> Self {
        Self {
            target: Some(Target::new(target)),
            queue: VecDeque::new(),
            failure: None,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.target.is_some() {
            self.queue.extend(bytes);
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < LIMIT
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What to wait for before writing.
    pub(super) fn writable(&self) -> Option<BorrowedFd<'_>> {
        let target = self.target.as_ref().filter(|_| !self.queue.is_empty());
        target.map(AsFd::as_fd)
    }

    /// Writes once. A stream that cannot be written is given up; the container and the other stream go on.
    pub(super) fn write(&mut self) {
        let Some(target) = self.target.as_ref().filter(|_| !self.queue.is_empty()) else {
            return;
        };
        let (front, _) = self.queue.as_slices();
        match target.write(front) {
            Ok(count) => {
                self.queue.drain(..count);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => {
                self.failure = Some(errno);
                self.target = None;
                self.queue.clear();
            }
        }
    }

    /// Whether whoever read this stream has gone.
    pub(super) fn reader_is_gone(&self) -> bool {
        self.failure == Some(Errno::PIPE)
    }

    /// Why output was lost, other than that its reader had seen enough.
    pub(super) fn failure(&self) -> Option<Errno> {
        self.failure.filter(|errno| *errno != Errno::PIPE)
    }
}
