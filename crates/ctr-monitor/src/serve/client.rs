//! One client of a monitor: its connection, its bounded queue, and what it may cost the program whose output it takes.

mod outbox;

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use ctr_exec::frames::{Frame, MAX_PAYLOAD, Receiver, Stream};
use ctr_sys::{Deadline, SysError, peer_uid};
use rustix::event::{PollFd, PollFlags};

use super::patience::Patience;
use super::streams::Input;
use super::subject::{ClientId, Subject};
use crate::error::MonitorError;
use crate::protocol::{CleanupPromise, ClientInput, Reply};
use outbox::Outbox;

/// Bytes that may wait for one client before the program's output is held back.
pub(super) const QUEUE_LIMIT: usize = 1024 * 1024;

/// In each such time an observer with a full queue must take [`LEAST`] bytes, or it is dropped.
const WINDOW: Duration = Duration::from_secs(2);
const LEAST: u64 = 64 * 1024;

pub(super) struct Client {
    id: ClientId,
    outbox: Outbox,
    /// When its queue was found full, and what it had taken by then.
    full: Option<(Instant, u64)>,
    /// When the container ended.
    ended: Option<Instant>,
    role: Role,
    /// What it is attached to, if it is attached.
    subject: Subject,
    input: ClientInput,
    stdin_used: StdinUsed,
    pub(super) is_creator: bool,
}

/// What a client is to the program that it is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It asks and is answered.
    Caller,
    /// It receives the output beside others, and must not hold them up.
    Observer,
    /// The container runs in its foreground, and it has promised to clean up: as in a pipeline, the container waits for it.
    Owner,
    /// An exec session runs in its foreground, and waits for it in the same way.
    Foreground,
    /// An observer that took too little. It gets no more output but the number of bytes that it missed.
    Dropped { missed: u64 },
}

impl Role {
    /// That of a client that attaches to the container's own program.
    pub(super) fn of(promise: CleanupPromise) -> Self {
        match promise {
            CleanupPromise::None => Self::Observer,
            CleanupPromise::Made => Self::Owner,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum StdinUsed {
    No,
    Yes,
}

impl Client {
    pub(super) fn new(connection: OwnedFd, id: ClientId) -> Result<Self, MonitorError> {
        rustix::io::ioctl_fionbio(&connection, true)
            .map_err(|errno| SysError::new("set up", "a connection", errno.into()))?;
        Ok(Self {
            id,
            outbox: Outbox::new(connection),
            full: None,
            ended: None,
            role: Role::Caller,
            subject: Subject::Container,
            input: ClientInput::Taken,
            stdin_used: StdinUsed::No,
            is_creator: false,
        })
    }

    pub(super) fn id(&self) -> ClientId {
        self.id
    }

    /// Whether it may be served: root, or the engine's own user.
    pub(super) fn is_allowed(&self) -> bool {
        let own = rustix::process::geteuid().as_raw();
        let connection = self.outbox.connection();
        let uid = connection.and_then(|connection| peer_uid(connection).ok());
        uid.is_some_and(|uid| uid == own || uid == 0)
    }

    /// Adds the end of the connection, which is reported without being asked for.
    pub(super) fn add_end_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        if let Some(connection) = self.outbox.connection() {
            let end = PollFlags::empty();
            fds.push(PollFd::from_borrowed_fd(connection, end));
        }
    }

    /// Whether the other end has closed the connection.
    pub(super) fn is_gone(&self) -> bool {
        if self.outbox.connection().is_none() {
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
        self.outbox.connection().is_some()
    }

    pub(super) fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>, input: Input) {
        let Some(connection) = self.outbox.connection() else {
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
            fds.push(PollFd::from_borrowed_fd(connection, flags));
        }
    }

    fn has_something_to_say(&self) -> bool {
        !self.outbox.is_empty() || matches!(self.role, Role::Dropped { .. })
    }

    /// The next frame; `None` when there is none now.
    pub(super) fn receive(&mut self, input: Input, receiver: &mut Receiver) -> Option<Frame> {
        if input == Input::Full && self.stdin_used == StdinUsed::Yes {
            return None;
        }
        let connection = self.outbox.connection()?;
        match receiver.receive(connection) {
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

    /// Whether the end of its connection is the end of the program's input: it was the program's foreground.
    pub(super) fn owns_stdin(&self) -> bool {
        matches!(self.role, Role::Owner | Role::Foreground) && self.stdin_used == StdinUsed::Yes
    }

    /// Where its input goes; `None`: nowhere.
    pub(super) fn input_subject(&self) -> Option<Subject> {
        (self.is_attached() && self.input == ClientInput::Taken).then_some(self.subject)
    }

    /// Whether it changes nothing of the program that it is attached to.
    pub(super) fn looks_on(&self) -> bool {
        self.is_attached() && self.input == ClientInput::Ignored
    }

    /// The session that runs in its foreground.
    pub(super) fn foreground_of(&self) -> Option<Subject> {
        (self.role == Role::Foreground).then_some(self.subject)
    }

    pub(super) fn attach(&mut self, subject: Subject, role: Role, input: ClientInput) {
        self.role = role;
        self.subject = subject;
        self.input = input;
    }

    pub(super) fn is_attached(&self) -> bool {
        self.role != Role::Caller
    }

    pub(super) fn is_attached_to(&self, subject: Subject) -> bool {
        self.is_attached() && self.subject == subject
    }

    /// What it is attached to, or else the container's own program.
    pub(super) fn subject(&self) -> Subject {
        if self.is_attached() {
            self.subject
        } else {
            Subject::Container
        }
    }

    /// It leaves, and the program goes on as if it had never been there.
    pub(super) fn detach(&mut self) {
        self.role = Role::Caller;
    }

    /// What it was attached to is over. One that was dropped has still to be told so.
    pub(super) fn outlive(&mut self) {
        match self.role {
            Role::Dropped { .. } => {}
            Role::Caller | Role::Observer | Role::Owner | Role::Foreground => self.detach(),
        }
    }

    pub(super) fn reply(&mut self, reply: &Reply) {
        if let Ok(bytes) = serde_json::to_vec(reply) {
            self.outbox.push(bytes);
        }
    }

    /// Output of what it is attached to.
    pub(super) fn send_output(&mut self, stream: Stream, bytes: &[u8]) {
        match &mut self.role {
            Role::Caller => {}
            Role::Dropped { missed } => *missed += bytes.len() as u64,
            Role::Observer | Role::Owner | Role::Foreground => {
                for part in bytes.chunks(MAX_PAYLOAD) {
                    self.outbox.push_output(stream, part);
                }
            }
        }
    }

    /// The exit of what it is attached to.
    pub(super) fn send_exit(&mut self, exit: &Reply) {
        match self.role {
            Role::Caller | Role::Dropped { .. } => {}
            Role::Observer | Role::Owner | Role::Foreground => self.reply(exit),
        }
    }

    /// The container has ended: what it has not taken by now is forgiven.
    pub(super) fn forgive(&mut self) {
        self.ended = Some(Instant::now());
    }

    /// Sends what the socket takes.
    pub(super) fn write(&mut self) {
        self.outbox.write();
        if let (Role::Dropped { missed }, true) = (self.role, self.outbox.is_empty()) {
            self.tell_what_was_missed(missed);
        }
    }

    /// The last thing that it hears, with what it has missed until then: so it is not queued.
    fn tell_what_was_missed(&mut self, missed: u64) {
        if let Ok(packet) = serde_json::to_vec(&Reply::Dropped { missed })
            && self.outbox.write_now(&packet)
        {
            self.close();
        }
    }

    pub(super) fn close(&mut self) {
        self.outbox.close();
    }

    /// Whether the output of what it is attached to has to wait for it.
    pub(super) fn holds_back(&self) -> bool {
        self.outbox.queued() > QUEUE_LIMIT
    }

    /// Lets go of it if it costs more than it may.
    pub(super) fn see_to_patience(&mut self, patience: Patience) {
        match (patience, self.role) {
            (Patience::Running, Role::Observer) => {
                if self.is_too_slow() {
                    let missed = self.outbox.drop_output();
                    self.role = Role::Dropped { missed };
                }
            }
            (
                Patience::Running,
                Role::Caller | Role::Owner | Role::Foreground | Role::Dropped { .. },
            )
            | (Patience::Ending, Role::Owner) => {}
            (Patience::Ending | Patience::Cleaned, _) => {
                if !self.outbox.is_empty() && self.idle(patience) >= patience.grace() {
                    self.close();
                }
            }
        }
    }

    /// How long it has taken nothing. What was before the end of the container is forgiven, until somebody waits.
    fn idle(&self, patience: Patience) -> Duration {
        self.outbox.idle(match patience {
            Patience::Running | Patience::Cleaned => None,
            Patience::Ending => self.ended,
        })
    }

    fn is_too_slow(&mut self) -> bool {
        if self.outbox.queued() <= QUEUE_LIMIT / 2 {
            self.full = None;
        }
        if !self.holds_back() {
            return false;
        }
        let now = Instant::now();
        let taken_now = self.outbox.taken();
        let (since, taken) = *self.full.get_or_insert((now, taken_now));
        if now.duration_since(since) < WINDOW {
            return false;
        }
        self.full = Some((now, taken_now));
        taken_now - taken < LEAST
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
                let waits = !self.outbox.is_empty();
                waits.then(|| patience.grace().saturating_sub(self.idle(patience)))
            }
        }
    }

    /// Whether the monitor need not stay for it. An owner promised to clean up, and is waited for until somebody has.
    pub(super) fn is_done(&self, patience: Patience) -> bool {
        match self.role {
            _ if !self.is_open() => true,
            Role::Dropped { .. } => true,
            Role::Owner => self.outbox.is_empty() && patience == Patience::Cleaned,
            Role::Caller | Role::Observer | Role::Foreground => self.outbox.is_empty(),
        }
    }

    /// Sends everything or gives up at the deadline; for a client that is served outside the loop.
    pub(super) fn flush(&mut self, deadline: Deadline) -> Result<(), MonitorError> {
        loop {
            self.write();
            let waiting = !self.outbox.is_empty();
            let Some(connection) = self.outbox.connection().filter(|_| waiting) else {
                return Ok(());
            };
            if deadline.expired() {
                return Ok(());
            }
            let mut fds = [PollFd::from_borrowed_fd(connection, PollFlags::OUT)];
            ctr_sys::poll(&mut fds, deadline)?;
        }
    }
}

#[cfg(test)]
mod tests;
