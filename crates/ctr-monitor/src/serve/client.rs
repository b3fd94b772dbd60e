//! One client of a monitor: its connection, its bounded queue, and what it may cost the container.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use ctr_exec::frames::{self, Frame, MAX_PAYLOAD, Receiver, Stream};
use ctr_sys::{Deadline, SysError, peer_uid};
use rustix::event::{PollFd, PollFlags};

use super::patience::Patience;
use super::streams::Input;
use crate::error::MonitorError;
use crate::protocol::{CleanupPromise, Reply};

/// Bytes that may wait for one client before the container's output is held back.
pub(super) const QUEUE_LIMIT: usize = 1024 * 1024;

/// In each such time an observer with a full queue must take [`LEAST`] bytes, or it is dropped.
const WINDOW: Duration = Duration::from_secs(2);
const LEAST: u64 = 64 * 1024;

pub(super) struct Client {
    connection: Option<OwnedFd>,
    queue: VecDeque<Vec<u8>>,
    queued: usize,
    /// When it last took something, or began to have something to take.
    moved: Instant,
    /// All bytes that it took.
    taken: u64,
    /// When its queue was found full, and what it had taken by then.
    full: Option<(Instant, u64)>,
    /// When the container ended, if it was attached by then.
    ended: Option<Instant>,
    role: Role,
    hearing: Hearing,
    stdin_used: StdinUsed,
    pub(super) is_creator: bool,
}

/// Whether somebody is there to take what is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hearing {
    Yes,
    /// The other end is closed. What came before is still to be read.
    No,
}

/// What a client is to the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It asks and is answered.
    Caller,
    /// It receives the output beside others, and must not hold them up.
    Observer,
    /// The container runs in its foreground, and it has promised to clean up: as in a pipeline, the container waits for it.
    Owner,
    /// An observer that took too little. It gets no more output but the number of bytes that it missed.
    Dropped { missed: u64 },
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
            taken: 0,
            full: None,
            ended: None,
            role: Role::Caller,
            hearing: Hearing::Yes,
            stdin_used: StdinUsed::No,
            is_creator: false,
        })
    }

    /// Whether it may be served: root, or the engine's own user.
    pub(super) fn is_allowed(&self) -> bool {
        let own = rustix::process::geteuid().as_raw();
        let uid = self
            .connection
            .as_ref()
            .and_then(|connection| peer_uid(connection.as_fd()).ok());
        uid.is_some_and(|uid| uid == own || uid == 0)
    }

    /// Adds the end of the connection, which is reported without being asked for.
    pub(super) fn add_end_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        if let Some(connection) = &self.connection {
            let end = PollFlags::empty();
            fds.push(PollFd::from_borrowed_fd(connection.as_fd(), end));
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

    /// Whether this end is open.
    pub(super) fn is_open(&self) -> bool {
        self.connection.is_some()
    }

    pub(super) fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>, input: Input) {
        let Some(connection) = &self.connection else {
            return;
        };
        // Without any interest it is left out: a dead peer would be reported all the same, again and again.
        let mut flags = PollFlags::empty();
        if input == Input::Wanted || self.stdin_used == StdinUsed::No {
            flags |= PollFlags::IN;
        }
        if self.has_something_to_say() {
            flags |= PollFlags::OUT;
        }
        if !flags.is_empty() {
            fds.push(PollFd::from_borrowed_fd(connection.as_fd(), flags));
        }
    }

    fn has_something_to_say(&self) -> bool {
        !self.queue.is_empty() || matches!(self.role, Role::Dropped { .. })
    }

    /// The next frame; `None` when there is none now.
    pub(super) fn receive(&mut self, input: Input, receiver: &mut Receiver) -> Option<Frame> {
        if input == Input::Full && self.stdin_used == StdinUsed::Yes {
            return None;
        }
        let connection = self.connection.as_ref()?;
        match receiver.receive(connection.as_fd()) {
            Ok(frame) => {
                if matches!(&frame, Frame::Data(Stream::Stdin, _)) {
                    self.stdin_used = StdinUsed::Yes;
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

    /// Whether the end of its connection is the end of the container's input: it was the container's foreground.
    pub(super) fn owns_stdin(&self) -> bool {
        self.role == Role::Owner && self.stdin_used == StdinUsed::Yes
    }

    pub(super) fn attach(&mut self, promise: CleanupPromise) {
        self.role = match promise {
            CleanupPromise::None => Role::Observer,
            CleanupPromise::Made => Role::Owner,
        };
    }

    pub(super) fn is_attached(&self) -> bool {
        self.role != Role::Caller
    }

    /// It leaves, and the container goes on as if it had never been there.
    pub(super) fn detach(&mut self) {
        self.role = Role::Caller;
    }

    pub(super) fn reply(&mut self, reply: &Reply) {
        if let Ok(bytes) = serde_json::to_vec(reply) {
            self.push(bytes);
        }
    }

    /// Output of the container, if it is attached.
    pub(super) fn send_output(&mut self, stream: Stream, bytes: &[u8]) {
        match &mut self.role {
            Role::Caller => {}
            Role::Dropped { missed } => *missed += bytes.len() as u64,
            Role::Observer | Role::Owner => {
                for part in bytes.chunks(MAX_PAYLOAD) {
                    self.push_output(stream, part);
                }
            }
        }
    }

    /// The exit, if it is attached.
    pub(super) fn send_exit(&mut self, exit: &Reply) {
        match self.role {
            Role::Caller | Role::Dropped { .. } => {}
            Role::Observer | Role::Owner => {
                self.ended = Some(Instant::now());
                self.reply(exit);
            }
        }
    }

    /// Many small writes of the program become few packets.
    fn push_output(&mut self, stream: Stream, part: &[u8]) {
        let joins = |last: &Vec<u8>| {
            last.first() == Some(&stream.tag()) && last.len() + part.len() <= MAX_PAYLOAD
        };
        match self.queue.back_mut() {
            Some(last) if joins(last) => {
                last.extend_from_slice(part);
                self.queued += part.len();
            }
            Some(_) | None => self.push(frames::data_packet(stream, part)),
        }
    }

    fn push(&mut self, packet: Vec<u8>) {
        if self.connection.is_none() || self.hearing == Hearing::No {
            return;
        }
        if self.queue.is_empty() {
            self.moved = Instant::now();
        }
        self.queued += cost(&packet);
        self.queue.push_back(packet);
    }

    /// Sends what the socket takes.
    pub(super) fn write(&mut self) {
        self.write_queue();
        if let (Role::Dropped { missed }, true) = (self.role, self.queue.is_empty()) {
            self.tell_what_was_missed(missed);
        }
    }

    /// The last thing that it hears, with what it has missed until then: so it is not queued.
    fn tell_what_was_missed(&mut self, missed: u64) {
        let (Some(connection), Ok(packet)) = (
            &self.connection,
            serde_json::to_vec(&Reply::Dropped { missed }),
        ) else {
            return;
        };
        match frames::send(connection.as_fd(), &packet, &[]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(()) | Err(_) => self.close(),
        }
    }

    fn write_queue(&mut self) {
        while let (Some(connection), Some(packet)) = (&self.connection, self.queue.front()) {
            match frames::send(connection.as_fd(), packet, &[]) {
                Ok(()) => {
                    self.queued -= cost(packet);
                    self.taken += packet.len() as u64;
                    self.queue.pop_front();
                    self.moved = Instant::now();
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                    self.hearing = Hearing::No;
                    self.forget_queue();
                }
                Err(_) => self.close(),
            }
        }
    }

    pub(super) fn close(&mut self) {
        self.connection = None;
        self.forget_queue();
    }

    fn forget_queue(&mut self) {
        self.queue.clear();
        self.queued = 0;
    }

    /// Whether the container's output has to wait for it.
    pub(super) fn holds_back(&self) -> bool {
        self.queued > QUEUE_LIMIT
    }

    /// Lets go of it if it costs more than it may.
    pub(super) fn see_to_patience(&mut self, patience: Patience) {
        match (patience, self.role) {
            (Patience::Running, Role::Observer) => {
                if self.is_too_slow() {
                    self.drop_output();
                }
            }
            (Patience::Running, Role::Caller | Role::Owner | Role::Dropped { .. })
            | (Patience::Ending, Role::Owner) => {}
            (Patience::Ending | Patience::Cleaned, _) => {
                if !self.queue.is_empty() && self.idle(patience) >= patience.grace() {
                    self.close();
                }
            }
        }
    }

    /// How long it has taken nothing. What was before the end of the container is forgiven, until somebody waits.
    fn idle(&self, patience: Patience) -> Duration {
        let since = match patience {
            Patience::Running | Patience::Cleaned => self.moved,
            Patience::Ending => self.ended.map_or(self.moved, |ended| ended.max(self.moved)),
        };
        since.elapsed()
    }

    fn is_too_slow(&mut self) -> bool {
        if self.queued <= QUEUE_LIMIT / 2 {
            self.full = None;
        }
        if !self.holds_back() {
            return false;
        }
        let now = Instant::now();
        let (since, taken) = *self.full.get_or_insert((now, self.taken));
        if now.duration_since(since) < WINDOW {
            return false;
        }
        self.full = Some((now, self.taken));
        self.taken - taken < LEAST
    }

    /// Output that waits for it is counted and dropped; replies stay.
    fn drop_output(&mut self) {
        let is_output = |packet: &Vec<u8>| packet.first() != Some(&b'{');
        let dropped = self.queue.iter().filter(|packet| is_output(packet));
        let missed = dropped.map(|packet| packet.len() as u64 - 1).sum();
        self.queue.retain(|packet| !is_output(packet));
        self.queued = self.queue.iter().map(cost).sum();
        self.role = Role::Dropped { missed };
    }

    /// When it is to be looked at although nothing happened.
    pub(super) fn timeout(&self, patience: Patience) -> Option<Duration> {
        match (patience, self.role) {
            (Patience::Running, Role::Observer) if self.holds_back() => {
                let full_for = self.full.map(|(since, _)| since.elapsed());
                Some(WINDOW.saturating_sub(full_for.unwrap_or_default()))
            }
            (Patience::Running, _) | (Patience::Ending, Role::Owner) => None,
            (Patience::Ending | Patience::Cleaned, _) => {
                let waits = !self.queue.is_empty();
                waits.then(|| patience.grace().saturating_sub(self.idle(patience)))
            }
        }
    }

    /// Whether the monitor need not stay for it. An owner promised to clean up, and is waited for until somebody has.
    pub(super) fn is_done(&self, patience: Patience) -> bool {
        match self.role {
            _ if self.connection.is_none() => true,
            Role::Dropped { .. } => true,
            Role::Owner => self.queue.is_empty() && patience == Patience::Cleaned,
            Role::Caller | Role::Observer => self.queue.is_empty(),
        }
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

/// The memory of a packet: with its place in the queue and in the heap, a small one is more than its bytes.
#[expect(clippy::ptr_arg, reason = "what is counted is the vector")]
fn cost(packet: &Vec<u8>) -> usize {
    packet.len() + size_of::<Vec<u8>>() + 32
}

#[cfg(test)]
mod tests;
