//! The loop of a session: one `poll` over everything that can happen.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use ctr_exec::frames::{Frame, Stream};
use ctr_exec::session::SessionExit;
use ctr_exec::{Departure, RawMode, Sink, Source, SourceKind, WindowSize, is_terminal};
use ctr_monitor::MonitorError;
use ctr_monitor::protocol::{Reply, Request};
use ctr_state::Terminal;
use ctr_sys::{Deadline, PidRef, Signal, SignalFd, SysError, poll};
use rustix::event::{PollFd, PollFlags};

use super::rejoin::rejoin;
use super::replies::{Sent, end_of, sent};
use super::{Role, Session, SessionEnd, SessionIo, SignalProxy};
use crate::error::EngineError;
use crate::watch::Watch;

/// How long a container may go on after its stop signal when nobody reads its output any more. In a pipeline of processes it would have
/// been killed by its next write.
const READER_GONE: Duration = Duration::from_secs(1);

/// What the copying led to: the end of the session, and whether all output was written.
pub(super) struct Ended {
    pub(super) end: SessionEnd,
    /// What the monitor said of it.
    pub(super) seen: Option<Seen>,
    pub(super) output: Result<(), EngineError>,
}

/// The monitor's own words about the end of an exec session.
#[derive(Clone, Copy, Debug)]
pub(super) enum Seen {
    Exec(SessionExit),
}

pub(super) struct Copy<'s, 'e, 'a> {
    session: &'s mut Session<'e>,
    signals: Option<&'a SignalFd>,
    proxy: SignalProxy,
    init: Option<PidRef>,
    input: Source<'a>,
    stdout: Sink<'a>,
    stderr: Sink<'a>,
    /// The caller's terminal, whose size the container's follows.
    window: Option<BorrowedFd<'a>>,
    /// A size that the monitor has not been told yet.
    resize: Option<WindowSize>,
    connection: Connection,
    seen: Option<Seen>,
    gap: Gap,
    /// When a container that was asked to stop, because nobody reads its output, is killed.
    kill_at: Option<Deadline>,
    /// Put back when this is dropped, on every way out.
    _raw: Option<RawMode<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Connection {
    /// Frames come.
    Open,
    /// The end has come; what is buffered is still to be written.
    Ended(SessionEnd),
    /// The monitor has closed it before the exit.
    Lost,
}

/// Whether output may be missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    None,
    /// The monitor was killed with output that it had read, and another one has gone on.
    Possible,
}

impl<'s, 'e, 'a> Copy<'s, 'e, 'a> {
    pub(super) fn new(
        session: &'s mut Session<'e>,
        io: SessionIo<'a>,
    ) -> Result<Self, EngineError> {
        session.client.set_nonblocking()?;
        let terminal = io.stdin.filter(|fd| is_terminal(fd));
        let raw = match (terminal, session.attached.terminal()) {
            (Some(terminal), Terminal::Yes) => {
                Some(RawMode::enter(terminal).map_err(MonitorError::from)?)
            }
            (Some(_), Terminal::No) | (None, _) => None,
        };
        let watch = io.detach_keys.watch();
        let kind = match (terminal, &raw) {
            (None, _) => SourceKind::Data,
            (Some(_), None) => SourceKind::Lines(watch),
            (Some(_), Some(_)) => SourceKind::Keys(watch),
        };
        let window = match session.attached.terminal() {
            Terminal::Yes => terminal.or(io.stdout.filter(|fd| is_terminal(fd))),
            Terminal::No => None,
        };
        Ok(Self {
            init: session
                .attached
                .process()
                .map(PidRef::open)
                .transpose()?
                .flatten(),
            session,
            signals: io.signals,
            proxy: io.proxy,
            input: Source::new(io.stdin, kind),
            stdout: Sink::new(io.stdout),
            stderr: Sink::new(io.stderr),
            // What changed while the container was made was no news to anybody.
            resize: window.and_then(WindowSize::of),
            window,
            connection: Connection::Open,
            seen: None,
            gap: Gap::None,
            kill_at: None,
            _raw: raw,
        })
    }

    pub(super) fn run(mut self) -> Result<Ended, EngineError> {
        loop {
            let written = self.stdout.is_empty() && self.stderr.is_empty();
            match &self.connection {
                Connection::Ended(end) if written => return Ok(self.ended(end.clone())),
                Connection::Open | Connection::Ended(_) => {
                    if let Some(end) = self.wait(None)? {
                        return Ok(self.leave(end));
                    }
                }
                Connection::Lost => {
                    if let Some(end) = self.go_on_alone()? {
                        return Ok(self.ended(end));
                    }
                }
            }
        }
    }

    /// Without a connection: the end, when it is known and all is written; otherwise another connection, or some waiting.
    fn go_on_alone(&mut self) -> Result<Option<SessionEnd>, EngineError> {
        let written = self.stdout.is_empty() && self.stderr.is_empty();
        let (attached, container) = (&self.session.attached, &self.session.container);
        let watch = attached.watch(container)?;
        match attached.recorded_end(container)? {
            Some(exit) if written => return Ok(Some(attached.cut_off(exit))),
            Some(_) => {}
            None => {
                if let Some(client) = rejoin(attached, container, self.window) {
                    self.session.client = client;
                    self.input.resume();
                    self.connection = Connection::Open;
                    self.gap = Gap::Possible;
                    return Ok(None);
                }
            }
        }
        self.wait(Some(&watch))
    }

    /// Goes, and has the monitor go on as if the session had never been there.
    fn leave(&self, end: SessionEnd) -> Ended {
        // If this finds no room, the container has not read its input for long, and its end is what follows.
        let told = self.session.client.try_send(&Request::Detach);
        tracing::debug!(?told, "leaving");
        self.ended(end)
    }

    fn ended(&self, end: SessionEnd) -> Ended {
        let failures = [
            ("standard output", self.stdout.failure()),
            ("standard error", self.stderr.failure()),
        ];
        let failed = failures.into_iter().find_map(|(name, errno)| {
            errno.map(|errno| SysError::new("write to", name, errno.into()))
        });
        self.give_input_back();
        Ended {
            end,
            seen: self.seen,
            output: failed.map_or(Ok(()), |error| Err(error.into())),
        }
    }

    /// Input from a file that the program has not read is left to whoever reads the file next: a loop over its lines, mostly.
    fn give_input_back(&self) {
        // A monitor that has taken another one's place does not know how much was read.
        if let (Some(Seen::Exec(end)), Gap::None) = (self.seen, self.gap) {
            self.input.give_back(end.input_read);
        }
    }

    /// Waits for anything to happen and does what there is to do; the end, when the caller leaves.
    fn wait(&mut self, watch: Option<&Watch>) -> Result<Option<SessionEnd>, EngineError> {
        let [signals, input, stdout, stderr] = self.poll(watch)?;
        if signals && let Some(end) = self.take_signals()? {
            return Ok(Some(end));
        }
        if input {
            self.input.read();
        }
        if stdout {
            self.stdout.write();
        }
        if stderr {
            self.stderr.write();
        }
        if self.connection == Connection::Open {
            self.send()?;
        }
        if self.connection == Connection::Open {
            self.receive()?;
        }
        match self.input.departure() {
            Some(Departure::Keys) => return Ok(Some(SessionEnd::Detached)),
            Some(Departure::LostTerminal) => return self.lose_terminal().map(Some),
            None => {}
        }
        self.see_to_lost_reader()
    }

    /// A terminal that goes away is a `SIGHUP`, also when no shell is left to send it.
    fn lose_terminal(&self) -> Result<SessionEnd, EngineError> {
        let signal = Signal::HUP;
        if let (SignalProxy::ToContainer, Some(init)) = (self.proxy, &self.init) {
            init.signal(signal)?;
        }
        Ok(SessionEnd::Interrupted { signal })
    }

    /// Which of signals, input, stdout and stderr are ready.
    fn poll(&self, watch: Option<&Watch>) -> Result<[bool; 4], EngineError> {
        let open = self.connection == Connection::Open;
        let wanted = [
            self.signals.map(|signals| (signals.as_fd(), PollFlags::IN)),
            self.input
                .readable()
                .filter(|_| open)
                .map(|fd| (fd, PollFlags::IN)),
            self.stdout.writable().map(|fd| (fd, PollFlags::OUT)),
            self.stderr.writable().map(|fd| (fd, PollFlags::OUT)),
        ];
        let mut fds = Vec::new();
        let mut positions = [None; 4];
        for (position, (fd, flags)) in positions
            .iter_mut()
            .zip(wanted)
            .filter_map(|(position, wanted)| wanted.map(|wanted| (position, wanted)))
        {
            *position = Some(fds.len());
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        }
        let interest = self.connection_interest();
        if !interest.is_empty() {
            let client = self.session.client.as_fd();
            fds.push(PollFd::from_borrowed_fd(client, interest));
        }
        let mut deadline = self.kill_at.unwrap_or(Deadline::never());
        if let Some(watch) = watch {
            let watched = watch.descriptors();
            fds.extend(watched.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            deadline = deadline.min(watch.deadline());
        }
        // Frames that came before the session began do not make the socket readable.
        if open && self.session.client.has_early_frames() {
            deadline = Deadline::after(Duration::ZERO);
        }
        poll(&mut fds, deadline)?;
        Ok(positions
            .map(|position| position.is_some_and(|index: usize| !fds[index].revents().is_empty())))
    }

    fn connection_interest(&self) -> PollFlags {
        let mut interest = PollFlags::empty();
        if self.connection == Connection::Open {
            let room = self.stdout.has_room() && self.stderr.has_room();
            interest.set(PollFlags::IN, room);
            let pending = self.input.pending().is_some() || self.resize.is_some();
            interest.set(PollFlags::OUT, pending);
        }
        interest
    }

    fn take_signals(&mut self) -> Result<Option<SessionEnd>, EngineError> {
        while let Some(info) = self.signals.map(SignalFd::read).transpose()?.flatten() {
            let signal = info.signal;
            if signal == Signal::WINCH && self.session.attached.terminal() == Terminal::Yes {
                // The kernel tells the programs on the container's terminal.
                self.resize = self.window.and_then(WindowSize::of).or(self.resize);
                continue;
            }
            if matches!(self.connection, Connection::Ended(_)) && signal.asks_to_end() {
                // Nobody is left whom it could be for but this client, which waits for its reader.
                return Ok(Some(SessionEnd::Interrupted { signal }));
            }
            match (self.proxy, &self.init) {
                (SignalProxy::ToContainer, Some(init)) => {
                    init.signal(signal)?;
                }
                (SignalProxy::EndsSession, _) if signal.asks_to_end() => {
                    return Ok(Some(SessionEnd::Interrupted { signal }));
                }
                (SignalProxy::ToContainer, None) | (SignalProxy::EndsSession, _) => {}
            }
        }
        Ok(None)
    }

    /// Sends what waits for the monitor, as far as it takes it now.
    fn send(&mut self) -> Result<(), EngineError> {
        let client = &self.session.client;
        if let Some(size) = self.resize
            && sent(client.try_send(&Request::Resize {
                size,
                session: None,
            }))? == Sent::Yes
        {
            self.resize = None;
        }
        let tried = self
            .input
            .pending()
            .map(|bytes| client.try_send_stdin(bytes));
        match tried.map(sent).transpose()? {
            Some(Sent::Yes) => self.input.sent(),
            Some(Sent::No) | None => {}
            // It is sent to whoever takes the monitor's place. What has come is taken, room or not: it is little.
            Some(Sent::Never) => while self.take_frame()? {},
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(), EngineError> {
        while self.stdout.has_room() && self.stderr.has_room() && self.take_frame()? {}
        Ok(())
    }

    /// Whether there may be more.
    fn take_frame(&mut self) -> Result<bool, EngineError> {
        match self.session.client.try_next_frame()? {
            None => return Ok(false),
            Some(Frame::Data(Stream::Stderr, bytes)) => self.stderr.push(&bytes),
            Some(Frame::Data(Stream::Stdout | Stream::Stdin, bytes)) => self.stdout.push(&bytes),
            Some(Frame::Message(bytes, _)) => {
                let reply = Reply::parse(&bytes)?;
                if let Reply::SessionExit(end) = &reply {
                    self.seen = Some(Seen::Exec(*end));
                }
                if let Some(end) = end_of(reply) {
                    self.connection = Connection::Ended(self.judged(end));
                }
            }
            Some(Frame::End) => self.connection = Connection::Lost,
        }
        Ok(self.connection == Connection::Open)
    }

    /// The end as the monitor tells it; one that has taken another one's place does not know what is missing.
    fn judged(&self, end: SessionEnd) -> SessionEnd {
        match (end, self.gap) {
            (SessionEnd::Exited(exit), Gap::Possible) => self.session.attached.cut_off(exit),
            (end, _) => end,
        }
    }

    /// Nobody reads the output any more. Whoever only looked on leaves; a container in the foreground is asked to stop, and killed when
    /// its time is up.
    fn see_to_lost_reader(&mut self) -> Result<Option<SessionEnd>, EngineError> {
        if !self.stdout.reader_is_gone() || matches!(self.connection, Connection::Ended(_)) {
            return Ok(None);
        }
        if self.session.attached.role() == Role::Observer {
            return Ok(Some(SessionEnd::Detached));
        }
        let Some(init) = &self.init else {
            return Ok(None);
        };
        match self.kill_at {
            None => {
                init.signal(self.session.attached.stop_signal())?;
                self.kill_at = Some(Deadline::after(READER_GONE));
            }
            Some(at) if at.expired() => {
                init.signal(Signal::KILL)?;
                self.kill_at = Some(Deadline::never());
            }
            Some(_) => {}
        }
        Ok(None)
    }
}
