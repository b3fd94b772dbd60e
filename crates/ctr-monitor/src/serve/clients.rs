//! The clients of a monitor, each with a bounded queue.
//!
//! Sockets are non-blocking. While a client that is attached to a program has more than [`super::client::QUEUE_LIMIT`] bytes waiting, the output of
//! that program is left in its pipes, so that a client that reads slowly receives everything. How long that may last depends on what the
//! client is:
//!
//! * the *owner*, in whose foreground the container runs, and the *foreground* of an exec session are the next member of a pipeline: the
//!   program waits for them as it waits for the one behind its pipe, and nothing is lost;
//! * an *observer* must not hold up the program and the others: one that takes next to nothing for two seconds is dropped alone,
//!   and is told how many bytes it missed.
//!
//! At the exit nothing is held back: what the pipes still hold is queued at once.

use std::os::fd::OwnedFd;
use std::time::Duration;

use ctr_exec::frames::{Frame, Receiver, Stream};

use super::client::{Client, Role};
use super::patience::Patience;
use super::poll_set::{PollSet, Token};
use super::streams::{Input, ReadOutput};
use super::subject::{ClientId, Key, Subject};
use crate::protocol::{ClientInput, Reply};

/// Whether clients have gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departed {
    None,
    Some,
}

/// More may not be attached to one program: each costs memory.
const MAX_ATTACHED: usize = 64;

/// More connections are not taken: they wait until others have left. In a machine that allows fewer descriptors, fewer are.
const MAX_CLIENTS: usize = 1024;
/// Of all descriptors, those that clients may have: their sessions need others.
const SHARE: usize = 6;

pub(super) struct Clients {
    list: Vec<Client>,
    next: u64,
    receiver: Receiver,
    limit: usize,
}

impl Default for Clients {
    fn default() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let descriptors = limit.and_then(|limit| usize::try_from(limit).ok());
        let limit = descriptors.map_or(MAX_CLIENTS, |most| (most / SHARE).clamp(2, MAX_CLIENTS));
        Self {
            list: Vec::new(),
            next: 0,
            receiver: Receiver::new(),
            limit,
        }
    }
}

impl Clients {
    /// Takes a connection in. Others than root, or the engine's user, are not served.
    pub(super) fn accept(&mut self, connection: OwnedFd) {
        if let Ok(client) = Client::new(connection, ClientId(self.next)) {
            self.next += 1;
            self.add(client);
        }
    }

    /// Takes a client in that was served before.
    pub(super) fn add(&mut self, client: Client) {
        self.next = self.next.max(client.id().0 + 1);
        if client.is_allowed() {
            self.list.push(client);
        }
    }

    /// Closes all connections in a copy of the monitor, whose own ones stay open.
    pub(super) fn forget(&mut self) {
        self.list.clear();
    }

    /// Whether another connection may be taken.
    pub(super) fn are_welcome(&self) -> bool {
        self.list.len() < self.limit
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn have_creator(&self) -> bool {
        let creator = |client: &Client| client.is_creator && client.is_open();
        self.list.iter().any(creator)
    }

    /// Whether output of a program may be read.
    pub(super) fn have_room(&self, subject: Subject) -> ReadOutput {
        // Of those that have heard the end of what they were attached to, nobody waits for the last.
        let mut attached = self
            .list
            .iter()
            .filter(|client| client.is_attached_to(subject));
        if attached.any(Client::holds_back) {
            ReadOutput::No
        } else {
            ReadOutput::Yes
        }
    }

    pub(super) fn add_to<'a>(
        &'a self,
        set: &mut PollSet<'a>,
        input: impl Fn(Option<Subject>) -> Input,
    ) {
        for (index, client) in self.list.iter().enumerate() {
            let input = input(client.input_subject());
            set.add(Token::Client(index), |fds| client.add_to(fds, input));
        }
    }

    /// When somebody is to be looked at although nothing happened.
    pub(super) fn timeout(&self, patience: Patience) -> Option<Duration> {
        let timeouts = self.list.iter().map(|client| client.timeout(patience));
        timeouts.flatten().min()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Client> {
        self.list.get(index)
    }

    /// The next frame of a client; `None` when there is none now.
    pub(super) fn receive(&mut self, index: usize, input: Input) -> Option<Frame> {
        self.list.get_mut(index)?.receive(input, &mut self.receiver)
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

    /// The client with this identity, if it is still there.
    pub(super) fn find(&mut self, id: ClientId) -> Option<&mut Client> {
        let found = self.list.iter_mut().find(|client| client.id() == id);
        found.filter(|client| client.is_open())
    }

    /// Attaches a client; false when there are too many.
    pub(super) fn attach(
        &mut self,
        index: usize,
        subject: Subject,
        role: Role,
        input: ClientInput,
    ) -> bool {
        let attached = self
            .list
            .iter()
            .filter(|client| client.is_attached_to(subject));
        if attached.count() >= MAX_ATTACHED {
            return false;
        }
        if let Some(client) = self.list.get_mut(index) {
            client.attach(subject, role, input);
        }
        true
    }

    pub(super) fn detach(&mut self, index: usize) {
        if let Some(client) = self.list.get_mut(index) {
            client.detach();
        }
    }

    pub(super) fn send_output(&mut self, subject: Subject, stream: Stream, bytes: &[u8]) {
        for client in self.attached_to(subject) {
            client.send_output(stream, bytes);
        }
    }

    /// Output for one client alone.
    pub(super) fn send_output_to(&mut self, index: usize, stream: Stream, bytes: &[u8]) {
        if let Some(client) = self.list.get_mut(index) {
            client.send_output(stream, bytes);
        }
    }

    /// The container's exit goes to those who are attached to it, and everybody has some time from now on.
    pub(super) fn send_exit(&mut self, exit: &Reply) {
        for client in &mut self.list {
            client.forgive();
        }
        for client in self.attached_to(Subject::Container) {
            client.send_exit(exit);
        }
    }

    /// The end of a session goes to those who are attached to it, which they are no more then.
    pub(super) fn end_session(&mut self, session: Key, end: &Reply) {
        for client in self.attached_to(Subject::Session(session)) {
            client.send_exit(end);
            client.outlive();
        }
    }

    fn attached_to(&mut self, subject: Subject) -> impl Iterator<Item = &mut Client> {
        let list = self.list.iter_mut();
        list.filter(move |client| client.is_attached_to(subject))
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
