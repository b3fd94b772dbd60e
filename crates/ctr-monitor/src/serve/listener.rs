//! The socket on which clients connect.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

/// How long a connection that could not be taken waits.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Listener {
    socket: OwnedFd,
    accepting: Accepting,
}

/// Whether new connections are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    Yes,
    /// Not before a client has left, or this moment: descriptors or memory were short.
    From(Instant),
}

impl Listener {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket,
            accepting: Accepting::Yes,
        }
    }

    /// What to wait for before [`Listener::accept`].
    pub(super) fn interest(&self) -> PollFd<'_> {
        let flags = match self.accepting {
            Accepting::Yes => PollFlags::IN,
            Accepting::From(_) => PollFlags::empty(),
        };
        PollFd::from_borrowed_fd(self.socket.as_fd(), flags)
    }

    /// When [`Listener::accept`] is to be called although nothing happened.
    pub(super) fn timeout(&self) -> Option<Duration> {
        match self.accepting {
            Accepting::Yes => None,
            Accepting::From(at) => Some(at.saturating_duration_since(Instant::now())),
        }
    }

    /// A client has left: there is room for another.
    pub(super) fn client_left(&mut self) {
        self.accepting = Accepting::Yes;
    }

    /// The next connection. One that cannot be taken (no descriptors left) waits a while; the container must not suffer from it.
    pub(super) fn accept(&mut self) -> Option<OwnedFd> {
        if self.timeout().is_some_and(|left| !left.is_zero()) {
            return None;
        }
        self.accepting = Accepting::Yes;
        ctr_sys::accept(self.socket.as_fd()).unwrap_or_else(|_| {
            self.accepting = Accepting::From(Instant::now() + AGAIN);
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctr_sys::{bind_seqpacket, connect_seqpacket};

    #[test]
    fn a_connection_that_cannot_be_taken_waits_for_a_moment_or_a_departure() {
        let directory = tempfile::tempdir().unwrap();
        let opened = std::fs::File::open(directory.path()).unwrap();
        let mut listener = Listener::new(bind_seqpacket(opened.as_fd(), "s").unwrap());
        let _client = connect_seqpacket(opened.as_fd(), "s").unwrap();
        listener.accepting = Accepting::From(Instant::now() + Duration::from_secs(3600));
        assert!(listener.timeout().is_some() && listener.accept().is_none());
        listener.client_left();
        assert!(listener.timeout().is_none() && listener.accept().is_some());
        let _other = connect_seqpacket(opened.as_fd(), "s").unwrap();
        listener.accepting = Accepting::From(Instant::now());
        assert_eq!(listener.timeout(), Some(Duration::ZERO));
        assert!(listener.accept().is_some());
    }
}
