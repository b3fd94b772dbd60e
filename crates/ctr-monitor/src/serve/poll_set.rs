//! What one wait of the monitor's loop is for, and what came of it.

use ctr_sys::{Deadline, SysResult};
use rustix::event::{PollFd, PollFlags};

use super::subject::Key;
use std::os::fd::BorrowedFd;

/// Whom a descriptor belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Signals,
    Listener,
    /// The container's first process.
    Init,
    Log,
    /// The container's standard streams.
    Streams,
    /// The client at this place of the list, which does not change before it is served.
    Client(usize),
    Session(Key),
    /// Output that ended sessions have left to others.
    Leftovers,
}

/// Descriptors with their owners.
#[derive(Default)]
pub(super) struct PollSet<'a> {
    fds: Vec<PollFd<'a>>,
    tokens: Vec<Token>,
}

impl<'a> PollSet<'a> {
    /// Adds what `add` adds.
    pub(super) fn add(&mut self, token: Token, add: impl FnOnce(&mut Vec<PollFd<'a>>)) {
        add(&mut self.fds);
        self.tokens.resize(self.fds.len(), token);
    }

    /// Adds a descriptor that becomes readable.
    pub(super) fn add_readable(&mut self, token: Token, fd: BorrowedFd<'a>) {
        self.add(token, |fds| {
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        });
    }

    /// Waits; each owner of a descriptor that is ready, once, in the order in which they were added.
    pub(super) fn wait(mut self, deadline: Deadline) -> SysResult<Vec<Token>> {
        ctr_sys::poll(&mut self.fds, deadline)?;
        let ready = self.fds.iter().zip(self.tokens);
        let ready = ready.filter(|(fd, _)| !fd.revents().is_empty());
        let mut tokens: Vec<Token> = ready.map(|(_, token)| token).collect();
        // The descriptors of one owner stand together.
        tokens.dedup();
        Ok(tokens)
    }
}
