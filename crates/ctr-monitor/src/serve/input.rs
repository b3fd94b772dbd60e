//! The container's standard input: a queue before a pipe or a terminal.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::streams::Input;

/// Input that the container has not read yet; beyond it clients are not read.
const LIMIT: usize = 1024 * 1024;

/// Input on its way.
#[derive(Default)]
pub(super) struct InputQueue {
    target: Option<Target>,
    queue: VecDeque<u8>,
    /// Bytes that went into the target.
    written: u64,
    read_end: Option<OwnedFd>,
}

struct Target {
    fd: OwnedFd,
    end: End,
}

/// What the end of the input is to the target.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is closed once everything is written; so far that was not asked for.
    Closing,
    /// It has been asked for.
    Asked,
    /// A terminal stays open: others may type on.
    Staying,
}

impl InputQueue {
    /// Before a pipe, which is closed at the end of the input.
    pub(super) fn pipe(fd: OwnedFd) -> Self {
        Self::new(fd, End::Closing)
    }

    /// Before a terminal, which is never closed.
    pub(super) fn terminal(fd: OwnedFd) -> Self {
        Self::new(fd, End::Staying)
    }

    fn new(fd: OwnedFd, end: End) -> Self {
        Self {
            target: Some(Target { fd, end }),
            ..Self::default()
        }
    }

    /// Adds what is to be waited for.
    pub(super) fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        if let (Some(target), false) = (&self.target, self.queue.is_empty()) {
            fds.push(PollFd::from_borrowed_fd(target.fd.as_fd(), PollFlags::OUT));
        }
    }

    /// Whether clients may send more.
    pub(super) fn state(&self) -> Input {
        if self.queue.len() < LIMIT {
            Input::Wanted
        } else {
            Input::Full
        }
    }

    /// Whether more can be written.
    pub(super) fn is_open(&self) -> bool {
        self.target.is_some()
    }

    /// Drops what is queued.
    pub(super) fn forget(&mut self) {
        self.queue.clear();
    }

    /// Whether everything that was queued has been written.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Keeps a read end of the pipe, so that it can be told what nobody has read: also when the input has ended.
    pub(super) fn count_by(&mut self, read_end: OwnedFd) {
        self.read_end = Some(read_end);
    }

    /// Bytes that the program has read, of a pipe that is counted.
    pub(super) fn read_by_program(&self) -> u64 {
        let in_pipe = self.read_end.as_ref();
        let in_pipe = in_pipe.and_then(|pipe| rustix::io::ioctl_fionread(pipe).ok());
        self.written.saturating_sub(in_pipe.unwrap_or(0))
    }

    /// Queues input, unless it has ended.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self
            .target
            .as_ref()
            .is_some_and(|target| target.end != End::Asked)
        {
            self.queue.extend(bytes);
        }
    }

    /// The input has ended: what is queued still goes to the container, and then its end.
    pub(super) fn end(&mut self) {
        if let Some(target) = self.target.as_mut().filter(|it| it.end == End::Closing) {
            target.end = End::Asked;
        }
    }

    /// Writes what the target takes.
    pub(super) fn write(&mut self) {
        while let (Some(target), false) = (&self.target, self.queue.is_empty()) {
            let (front, _) = self.queue.as_slices();
            match rustix::io::write(&target.fd, front) {
                Ok(count) => {
                    self.queue.drain(..count);
                    self.written += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // Nobody reads any more: what is queued has no receiver.
                Err(_) => self.close(),
            }
        }
        if self.queue.is_empty() && self.target.as_ref().is_some_and(|it| it.end == End::Asked) {
            self.target = None;
        }
    }

    /// Closes the target.
    pub(super) fn close(&mut self) {
        self.target = None;
        self.queue.clear();
    }
}
