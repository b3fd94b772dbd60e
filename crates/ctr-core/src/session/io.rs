//! The caller's ends of the streams: one packet of input on its way, output with a bounded buffer.
//!
//! Nothing here blocks: while the caller's own output stands still (a pager, Ctrl-S), signals must still reach the container. The descriptors are
//! the caller's and shared with others, so they are not made non-blocking: at most [`SAFE_WRITE`] bytes are written after `poll(2)` said that
//! there is room, which every pipe and terminal then takes.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use ctr_exec::frames::MAX_PAYLOAD;
use ctr_monitor::{MonitorClient, MonitorError};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::EngineError;

/// What a pipe that has room is sure to take (`PIPE_BUF`).
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
    target: Option<BorrowedFd<'a>>,
    chunk: usize,
    queue: VecDeque<u8>,
    failure: Option<Errno>,
}

impl<'a> Output<'a> {
    pub(super) fn new(target: BorrowedFd<'a>) -> Self {
        let regular = rustix::fs::fstat(target)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        Self {
            target: Some(target),
            // A file always takes everything.
            chunk: if regular { LIMIT } else { SAFE_WRITE },
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
    pub(super) fn writable(&self) -> Option<BorrowedFd<'a>> {
        self.target.filter(|_| !self.queue.is_empty())
    }

    /// Writes once. A stream that cannot be written is given up; the container and the other stream go on.
    pub(super) fn write(&mut self) {
        let Some(target) = self.writable() else {
            return;
        };
        let (front, _) = self.queue.as_slices();
        let front = &front[..front.len().min(self.chunk)];
        match rustix::io::write(target, front) {
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
