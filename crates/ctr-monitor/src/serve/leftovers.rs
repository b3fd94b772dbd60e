//! Output that processes still write which an ended exec session has left behind.
//!
//! Their pipes stay open, or they would be killed by the first thing that they write; what they write is thrown away.

use std::os::fd::{AsFd, OwnedFd};

use ctr_exec::frames::MAX_PAYLOAD;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use super::poll_set::{PollSet, Token};

#[derive(Default)]
pub(super) struct Leftovers {
    pipes: Vec<OwnedFd>,
}

impl Leftovers {
    pub(super) fn add(&mut self, pipes: Vec<OwnedFd>) {
        self.pipes.extend(pipes);
    }

    pub(super) fn add_to<'a>(&'a self, set: &mut PollSet<'a>) {
        for pipe in &self.pipes {
            set.add_readable(Token::Leftovers, pipe.as_fd());
        }
    }

    /// Throws away what is there, and forgets the pipes that nobody writes to any more.
    pub(super) fn drain(&mut self) {
        let mut buffer = Vec::with_capacity(MAX_PAYLOAD);
        self.pipes.retain(|pipe| {
            buffer.clear();
            match rustix::io::read(pipe, spare_capacity(&mut buffer)) {
                Ok(0) => false,
                Ok(_) | Err(Errno::AGAIN | Errno::INTR) => true,
                Err(_) => false,
            }
        });
    }
}
