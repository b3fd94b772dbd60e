//! An attached foreground run: its streams, its signals, its end.

mod io;

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use ctr_exec::frames::{Frame, Stream};
use ctr_monitor::MonitorClient;
use ctr_monitor::protocol::Reply;
use ctr_state::{AutoRemove, ExitInfo, Status};
use ctr_sys::{Child, Deadline, PidRef, PidStamp, Signal, SignalFd, SysError, poll};
use rustix::event::{PollFd, PollFlags};

use crate::container::Container;
use crate::error::EngineError;
use crate::probe::exit_info;
use crate::wait::{Watch, exit_of};
use io::{Input, Output};

/// How long a container may go on after its stop signal when nobody reads its output any more. In a pipeline of processes it would have
/// been killed by its next write.
const READER_GONE: Duration = Duration::from_secs(1);

/// How long a monitor may take to end once its container is cleaned up after.
const MONITOR_END: Duration = Duration::from_secs(10);

/// The caller's side of the streams. All descriptors stay the caller's.
#[derive(Clone, Copy, Debug)]
pub struct SessionIo<'a> {
    /// Where the container's input comes from; `None`: it gets none.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Where its output goes.
    pub stdout: BorrowedFd<'a>,
    /// Where its error output goes.
    pub stderr: BorrowedFd<'a>,
    /// Signals to pass on to the container's first process.
    pub signals: Option<&'a SignalFd>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// The container ended.
    Exited(ExitInfo),
    /// It ended, but the last of its output was not received: the caller had taken nothing for too long, or the monitor was killed.
    CutOff(ExitInfo),
    /// The caller left; the container runs on.
    Detached,
}

/// A container that runs and whose streams are here.
///
/// Dropping it leaves the container running; its output goes on to the log, and the monitor sees to the cleanup.
#[derive(Debug)]
pub struct Session<'e> {
    container: Container<'e>,
    generation: u64,
    init: Option<PidStamp>,
    client: MonitorClient,
    monitor: Option<Child>,
}

impl<'e> Session<'e> {
    pub(crate) fn new(
        container: Container<'e>,
        generation: u64,
        init: Option<PidStamp>,
        client: MonitorClient,
        monitor: Option<Child>,
    ) -> Self {
        Self {
            container,
            generation,
            init,
            client,
            monitor,
        }
    }

    /// The container.
    pub fn container(&self) -> &Container<'e> {
        &self.container
    }

    /// Copies the streams and passes signals on until the container ends; then cleans up after it, or removes it when it is to
    /// go by itself.
    ///
    /// When whoever reads the output goes away (`| head -1`), the container gets its stop signal, and SIGKILL a second later: a program
    /// in a pipeline ends then, too.
    ///
    /// # Errors
    /// When the output cannot be written (a full disk), or the cleanup fails; the exit is recorded all the same.
    pub fn run(mut self, io: SessionIo<'_>) -> Result<SessionEnd, EngineError> {
        let span = tracing::info_span!(
            "session",
            container = self.container.id().short(),
            generation = self.generation
        );
        let _span = span.entered();
        let end = Copy::new(&mut self, io)?.run()?;
        let finished = self.finish();
        if let Some(monitor) = self.monitor.take() {
            // Our child: it ends now, and its zombie with it.
            monitor.wait_deadline(Deadline::after(MONITOR_END))?;
        }
        finished?;
        end.output.map(|()| end.end)
    }

    /// Records the exit and gives the run's resources back. Somebody else may have done so, or removed the container.
    fn finish(&self) -> Result<(), EngineError> {
        let result = self.container.lock("cleanup").and_then(|mut locked| {
            if locked.record().generation() != self.generation {
                return Ok(());
            }
            match (locked.config().auto_remove, locked.status()) {
                (AutoRemove::Yes, Status::Stopped | Status::Exited) => {
                    locked.remove_stopped().map(drop)
                }
                (AutoRemove::No, Status::Stopped) => locked.cleanup(),
                _ => Ok(()),
            }
        });
        match result {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }
}

/// What the copying led to: the end of the container, and whether all output was written.
struct Ended {
    end: SessionEnd,
    output: Result<(), EngineError>,
}

/// The loop of a session: one `poll` over everything that can happen.
struct Copy<'s, 'e, 'a> {
    session: &'s mut Session<'e>,
    signals: Option<&'a SignalFd>,
    init: Option<PidRef>,
    input: Input<'a>,
    stdout: Output<'a>,
    stderr: Output<'a>,
    connection: Connection,
    /// When a container that was asked to stop, because nobody reads its output, is killed.
    kill_at: Option<Deadline>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Connection {
    /// Frames come.
    Open,
    /// The exit has come; what is buffered is still to be written.
    Ended(ExitInfo),
    /// The monitor has closed it before the exit.
    Lost,
}

impl<'s, 'e, 'a> Copy<'s, 'e, 'a> {
    fn new(session: &'s mut Session<'e>, io: SessionIo<'a>) -> Result<Self, EngineError> {
        session.client.set_nonblocking()?;
        Ok(Self {
            init: session.init.map(PidRef::open).transpose()?.flatten(),
            session,
            signals: io.signals,
            input: Input::new(io.stdin),
            stdout: Output::new(io.stdout),
            stderr: Output::new(io.stderr),
            connection: Connection::Open,
            kill_at: None,
        })
    }

    fn run(mut self) -> Result<Ended, EngineError> {
        loop {
            let written = self.stdout.is_empty() && self.stderr.is_empty();
            match &self.connection {
                Connection::Ended(exit) if written => {
                    let end = SessionEnd::Exited(exit.clone());
                    return Ok(self.ended(end));
                }
                Connection::Open | Connection::Ended(_) => self.wait(None)?,
                Connection::Lost => {
                    let watch = Watch::new(&self.session.container, self.session.generation)?;
                    let exit = exit_of(&self.session.container, self.session.generation)?;
                    if let (Some(exit), true) = (exit, written) {
                        return Ok(self.ended(SessionEnd::CutOff(exit)));
                    }
                    self.wait(Some(&watch))?;
                }
            }
        }
    }

    fn ended(&self, end: SessionEnd) -> Ended {
        let failures = [
            ("standard output", self.stdout.failure()),
            ("standard error", self.stderr.failure()),
        ];
        let failed = failures.into_iter().find_map(|(name, errno)| {
            errno.map(|errno| SysError::new("write to", name, errno.into()))
        });
        Ended {
            end,
            output: failed.map_or(Ok(()), |error| Err(error.into())),
        }
    }

    /// Waits for anything to happen and does what there is to do.
    fn wait(&mut self, watch: Option<&Watch>) -> Result<(), EngineError> {
        let [signals, input, stdout, stderr] = self.poll(watch)?;
        if signals {
            self.forward_signals()?;
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
            self.input.send(&self.session.client)?;
            self.receive()?;
        }
        self.see_to_lost_reader()
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
            fds.push(PollFd::from_borrowed_fd(
                self.session.client.as_fd(),
                interest,
            ));
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
            interest.set(
                PollFlags::IN,
                self.stdout.has_room() && self.stderr.has_room(),
            );
            interest.set(PollFlags::OUT, self.input.has_pending());
        }
        interest
    }

    fn forward_signals(&self) -> Result<(), EngineError> {
        let Some(signals) = self.signals else {
            return Ok(());
        };
        while let Some(info) = signals.read()? {
            if let Some(init) = &self.init {
                init.signal(info.signal)?;
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(), EngineError> {
        while self.stdout.has_room() && self.stderr.has_room() {
            match self.session.client.try_next_frame()? {
                None => break,
                Some(Frame::Data(Stream::Stderr, bytes)) => self.stderr.push(&bytes),
                Some(Frame::Data(Stream::Stdout | Stream::Stdin, bytes)) => {
                    self.stdout.push(&bytes);
                }
                Some(Frame::Message(bytes, _)) => {
                    if let Reply::Exit(record) = Reply::parse(&bytes)? {
                        self.connection = Connection::Ended(exit_info(&record));
                        break;
                    }
                }
                Some(Frame::End) => {
                    self.input.close();
                    self.connection = Connection::Lost;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Nobody reads the output any more: the container is asked to stop, and killed when its time is up.
    fn see_to_lost_reader(&mut self) -> Result<(), EngineError> {
        let Some(init) = self.init.as_ref().filter(|_| self.stdout.reader_is_gone()) else {
            return Ok(());
        };
        match self.kill_at {
            None => {
                let snapshot = self.session.container.snapshot()?;
                let config = snapshot.config()?;
                init.signal(config.stop_signal)?;
                self.kill_at = Some(Deadline::after(READER_GONE));
            }
            Some(at) if at.expired() => {
                init.signal(Signal::KILL)?;
                self.kill_at = Some(Deadline::never());
            }
            Some(_) => {}
        }
        Ok(())
    }
}
