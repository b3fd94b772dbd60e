//! The clients of a monitor, each with a bounded queue.
//!
//! Sockets are non-blocking. While the slowest attached client has more than [`QUEUE_LIMIT`] bytes waiting, the container's output is left
//! in its pipes, so that a client that reads slowly receives everything; one that takes nothing at all for [`GRACE`] is dropped, so
//! that it never stalls the container for longer. At the exit nothing is held back: what the pipes still hold is queued at once.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use ctr_exec::frames::{self, Frame, MAX_PAYLOAD, Stream};
use ctr_sys::{Deadline, SysError, peer_uid};
use rustix::event::{PollFd, PollFlags};

use super::cleanup::Cleanup;
use super::streams::{Input, ReadOutput};
use crate::error::MonitorError;
use crate::protocol::{CleanupPromise, Reply};

/// Bytes that may wait for one client before the container's output is held back.
pub(super) const QUEUE_LIMIT: usize = 1024 * 1024;

/// How long a client with a full queue may take nothing.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// How long, once the container has been cleaned up after: whoever did that waits for the monitor's end.
const SHORT_GRACE: Duration = Duration::from_secs(1);

/// Whether clients have gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departed {
    None,
    Some,
}

/// How patient the monitor is with clients that take nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// The container runs: only a full queue matters.
    Running,
    /// It has ended, and the clients are to get what was theirs.
    Ending,
    /// It has ended, and somebody waits for the monitor to end.
    Cleaned,
}

impl Patience {
    fn grace(self) -> Duration {
        match self {
            Self::Running | Self::Ending => GRACE,
            Self::Cleaned => SHORT_GRACE,
        }
    }
}

/// More are refused: each costs memory.
const MAX_CLIENTS: usize = 64;

pub(super) struct Client {
    connection: Option<OwnedFd>,
    queue: VecDeque<Vec<u8>>,
    queued: usize,
    moved: Instant,
    attached: Attached,
    stdin_used: StdinUsed,
    pub(super) is_creator: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Attached {
    No,
    Yes,
    /// And it has promised to clean up.
    Cleaner,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StdinUsed {
    No,
    Yes,
}

impl Client {
    pub(super) fn new(connection: OwnedFd) -> Result<Self, MonitorError> {
        rustix::io::ioctl_fionbio(&connection, true)
            .map_err(|errno| SysError::new("set up", "a connection", errno.into()))?;
        Ok(Self {
            connection: Some(connection),
            queue: VecDeque::new(),
            queued: 0,
            moved: Instant::now(),
            attached: Attached::No,
            stdin_used: StdinUsed::No,
            is_creator: false,
        })
    }

    /// Adds the end of the connection, which is reported without being asked for.
    pub(super) fn add_end_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        if let Some(connection) = &self.connection {
            fds.push(PollFd::from_borrowed_fd(
                connection.as_fd(),
                PollFlags::empty(),
            ));
        }
    }

    /// Whether the other end has closed the connection.
    pub(super) fn is_gone(&self) -> bool {
        if self.connection.is_none() {
            return true;
        }
        let mut fds = Vec::new();
        self.add_end_to(&mut fds);
        let now = Deadline::after(Duration::ZERO);
        ctr_sys::poll(&mut fds, now).is_ok()
            && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }

    pub(super) fn reply(&mut self, reply: &Reply) {
        if let Ok(bytes) = serde_json::to_vec(reply) {
            self.push(bytes);
        }
    }

    fn push(&mut self, packet: Vec<u8>) {
        if self.queue.is_empty() {
            self.moved = Instant::now();
        }
        self.queued += packet.len();
        self.queue.push_back(packet);
    }

    /// Sends what the socket takes.
    fn write(&mut self) {
        while let (Some(connection), Some(packet)) = (&self.connection, self.queue.front()) {
            match frames::send(connection.as_fd(), packet, &[]) {
                Ok(()) => {
                    self.queued -= packet.len();
                    self.queue.pop_front();
                    self.moved = Instant::now();
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(_) => self.close(),
            }
        }
    }

    fn close(&mut self) {
        self.connection = None;
        self.queue.clear();
        self.queued = 0;
    }

    fn is_stalled(&self, patience: Patience) -> bool {
        let matters = match patience {
            Patience::Running => self.queued > QUEUE_LIMIT,
            Patience::Ending | Patience::Cleaned => !self.queue.is_empty(),
        };
        matters && self.moved.elapsed() >= patience.grace()
    }

    /// Sends everything or gives up at the deadline; for a client that is served outside the loop.
    pub(super) fn flush(&mut self, deadline: Deadline) -> Result<(), MonitorError> {
        loop {
            self.write();
            let Some(connection) = self.connection.as_ref().filter(|_| !self.queue.is_empty())
            else {
                return Ok(());
            };
            if deadline.expired() {
                return Ok(());
            }
            let mut fds = [PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::OUT)];
            ctr_sys::poll(&mut fds, deadline)?;
        }
    }
}

#[derive(Default)]
pub(super) struct Clients {
    list: Vec<Client>,
}

impl Clients {
    /// Takes a connection in. Others than root, or the engine's user, are not served; neither is one too many.
    pub(super) fn add(&mut self, client: Client) {
        let own = rustix::process::geteuid().as_raw();
        let allowed = client
            .connection
            .as_ref()
            .and_then(|connection| peer_uid(connection.as_fd()).ok())
            .is_some_and(|uid| uid == own || uid == 0);
        if allowed && self.list.len() < MAX_CLIENTS {
            self.list.push(client);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn have_creator(&self) -> bool {
        let creator = |client: &Client| client.is_creator && client.connection.is_some();
        self.list.iter().any(creator)
    }

    /// Whether output may be read from the container.
    pub(super) fn have_room(&self) -> ReadOutput {
        let full = |client: &Client| client.queued > QUEUE_LIMIT;
        if self.list.iter().any(full) {
            ReadOutput::No
        } else {
            ReadOutput::Yes
        }
    }

    pub(super) fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>, input: Input) {
        for client in &self.list {
            let Some(connection) = &client.connection else {
                continue;
            };
            // Without any interest it is left out: a dead peer would be reported all the same, again and again.
            let mut flags = PollFlags::empty();
            if input == Input::Wanted || client.stdin_used == StdinUsed::No {
                flags |= PollFlags::IN;
            }
            if !client.queue.is_empty() {
                flags |= PollFlags::OUT;
            }
            if !flags.is_empty() {
                fds.push(PollFd::from_borrowed_fd(connection.as_fd(), flags));
            }
        }
    }

    /// When somebody is to be looked at although nothing happened.
    pub(super) fn timeout(&self, patience: Patience) -> Option<Duration> {
        let waiting = self.list.iter().filter(|client| match patience {
            Patience::Running => client.queued > QUEUE_LIMIT,
            Patience::Ending | Patience::Cleaned => !client.queue.is_empty(),
        });
        waiting
            .map(|client| patience.grace().saturating_sub(client.moved.elapsed()))
            .min()
    }

    /// The next frame of a client; `None` when there is none now.
    pub(super) fn receive(&mut self, index: usize, input: Input) -> Option<Frame> {
        let client = self.list.get_mut(index)?;
        if input == Input::Full && client.stdin_used == StdinUsed::Yes {
            return None;
        }
        let connection = client.connection.as_ref()?;
        match frames::receive(connection.as_fd()) {
            Ok(frame) => {
                if matches!(&frame, Frame::Data(Stream::Stdin, _)) {
                    client.stdin_used = StdinUsed::Yes;
                }
                Some(frame)
            }
            Err(ctr_exec::ExecError::Stream { source, .. })
                if source.kind() == std::io::ErrorKind::WouldBlock =>
            {
                None
            }
            // Not of the protocol, or broken: treated as gone.
            Err(_) => Some(Frame::End),
        }
    }

    pub(super) fn sent_stdin(&self, index: usize) -> bool {
        let used = |client: &Client| client.stdin_used == StdinUsed::Yes;
        self.list.get(index).is_some_and(used)
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

    pub(super) fn attach(&mut self, index: usize, promise: CleanupPromise) {
        if let Some(client) = self.list.get_mut(index) {
            client.attached = match promise {
                CleanupPromise::None => Attached::Yes,
                CleanupPromise::Made => Attached::Cleaner,
            };
        }
    }

    pub(super) fn send_output(&mut self, stream: Stream, bytes: &[u8]) {
        for client in self.attached() {
            for part in bytes.chunks(MAX_PAYLOAD) {
                client.push(frames::data_packet(stream, part));
            }
        }
    }

    pub(super) fn send_exit(&mut self, exit: &Reply) {
        for client in self.attached() {
            client.reply(exit);
        }
    }

    fn attached(&mut self) -> impl Iterator<Item = &mut Client> {
        self.list
            .iter_mut()
            .filter(|client| client.attached != Attached::No && client.connection.is_some())
    }

    /// Writes to everybody, drops who stalls, forgets who is gone.
    pub(super) fn write(&mut self, patience: Patience) -> Departed {
        for client in &mut self.list {
            client.write();
            if client.is_stalled(patience) {
                client.close();
            }
        }
        let before = self.list.len();
        self.list.retain(|client| client.connection.is_some());
        if self.list.len() < before {
            Departed::Some
        } else {
            Departed::None
        }
    }

    /// Whether the monitor may end: everybody has what was for them, and nobody still has to keep a promise.
    pub(super) fn are_done(&self, cleanup: Cleanup) -> bool {
        self.list.iter().all(|client| {
            let waits = client.attached == Attached::Cleaner && cleanup == Cleanup::Command;
            client.connection.is_none() || (client.queue.is_empty() && !waits)
        })
    }
}
