//! The clients of a monitor, each with a bounded queue.
//!
//! Sockets are non-blocking. While an attached client has more than [`super::client::QUEUE_LIMIT`] bytes waiting, the container's output is
//! left in its pipes, so that a client that reads slowly receives everything. How long that may last depends on what the client is:
//!
//! * the *owner*, in whose foreground the container runs, is the next member of a pipeline: the container waits for it as a program
//!   waits for the one behind its pipe, and nothing is lost;
//! * an *observer* must not hold up the container and the others: one that takes next to nothing for two seconds is dropped alone,
//!   and is told how many bytes it missed.
//!
//! At the exit nothing is held back: what the pipes still hold is queued at once.

use ctr_exec::frames::{Frame, Receiver, Stream};
use rustix::event::PollFd;
use std::time::Duration;

use super::client::Client;
use super::patience::Patience;
use super::streams::{Input, ReadOutput};
use crate::protocol::{CleanupPromise, Reply};

/// Whether clients have gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departed {
    None,
    Some,
}

/// More may not be attached: each costs memory.
const MAX_ATTACHED: usize = 64;

/// More connections are not taken: room beside the attached ones for those who stop, start or ask.
const MAX_CLIENTS: usize = 2 * MAX_ATTACHED;

#[derive(Default)]
pub(super) struct Clients {
    list: Vec<Client>,
    receiver: Receiver,
}

impl Clients {
    /// Takes a connection in. Others than root, or the engine's user, are not served; neither is one too many.
    pub(super) fn add(&mut self, client: Client) {
        if client.is_allowed() && self.list.len() < MAX_CLIENTS {
            self.list.push(client);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn have_creator(&self) -> bool {
        let creator = |client: &Client| client.is_creator && client.is_open();
        self.list.iter().any(creator)
    }

    /// Whether output may be read from the container.
    pub(super) fn have_room(&self) -> ReadOutput {
        if self.list.iter().any(Client::holds_back) {
            ReadOutput::No
        } else {
            ReadOutput::Yes
        }
    }

    pub(super) fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>, input: Input) {
        for client in &self.list {
            client.add_to(fds, input);
        }
    }

    /// When somebody is to be looked at although nothing happened.
    pub(super) fn timeout(&self, patience: Patience) -> Option<Duration> {
        let timeouts = self.list.iter().map(|client| client.timeout(patience));
        timeouts.flatten().min()
    }

    /// The next frame of a client; `None` when there is none now.
    pub(super) fn receive(&mut self, index: usize, input: Input) -> Option<Frame> {
        self.list.get_mut(index)?.receive(input, &mut self.receiver)
    }

    /// Whether the end of this client is the end of the container's input.
    pub(super) fn owns_stdin(&self, index: usize) -> bool {
        self.list.get(index).is_some_and(Client::owns_stdin)
    }

    pub(super) fn drop_client(&mut self, index: usize) {
        if let Some(client) = self.list.get_mut(index) {
            client.close();
        }
    }

    pub(super) fn reply(&mut self, index: usize, reply: &Reply) {
        if let Some(client) = self.list.get_mut(index) {
            client.reply(reply);
        }
    }

    /// Attaches a client; false when there are too many.
    pub(super) fn attach(&mut self, index: usize, promise: CleanupPromise) -> bool {
        let attached = self.list.iter().filter(|client| client.is_attached());
        if attached.count() >= MAX_ATTACHED {
            return false;
        }
        if let Some(client) = self.list.get_mut(index) {
            client.attach(promise);
        }
        true
    }

    pub(super) fn detach(&mut self, index: usize) {
        if let Some(client) = self.list.get_mut(index) {
            client.detach();
        }
    }

    pub(super) fn send_output(&mut self, stream: Stream, bytes: &[u8]) {
        for client in &mut self.list {
            client.send_output(stream, bytes);
        }
    }

    pub(super) fn send_exit(&mut self, exit: &Reply) {
        for client in &mut self.list {
            client.send_exit(exit);
        }
    }

    /// Writes to everybody, lets go of who costs too much, forgets who is gone.
    pub(super) fn write(&mut self, patience: Patience) -> Departed {
        for client in &mut self.list {
            client.write();
            client.see_to_patience(patience);
        }
        let before = self.list.len();
        self.list.retain(Client::is_open);
        if self.list.len() < before {
            Departed::Some
        } else {
            Departed::None
        }
    }

    /// Whether the monitor may end: everybody has what was for them, and nobody still has to keep a promise.
    pub(super) fn are_done(&self, patience: Patience) -> bool {
        self.list.iter().all(|client| client.is_done(patience))
    }
}
