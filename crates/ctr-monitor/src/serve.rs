//! The monitor's own side: one thread, one loop.
//!
//! Nothing in the loop waits for a client or for the disk of the log. The order at the exit is fixed: drain what is in the pipes, log
//! it (waiting for the log's writer, for a bounded time), write the exit record, tell the clients, see to the cleanup, end.

mod adopt;
mod begin;
mod cleanup;
mod client;
mod clients;
mod container;
mod end;
mod exec;
mod helper;
mod input;
mod input_end;
mod intake;
mod keeper;
mod leftovers;
mod listener;
mod log;
mod patience;
mod pipes;
mod poll_set;
mod replay;
mod requests;
mod session;
mod sessions;
mod strays;
mod streams;
mod subject;
mod time_limit;

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use ctr_exec::frames::{self, Frame, Stream};
use ctr_oci::{OciRuntime, RuntimeFailure};
use ctr_sys::{Deadline, Liveness, PidStamp, Signal, SignalFd, inherited_fd, set_not_dumpable};

use crate::error::MonitorError;
use crate::protocol::{Reply, RuntimeSpec};
use crate::record::ExitRecord;
use client::Client;
use clients::{Clients, Departed};
use container::Container;
use keeper::Keeper;
use listener::Listener;
use log::Log;
use patience::{GRACE, Patience};
use poll_set::{PollSet, Token};
use replay::Replay;
use requests::{First, parse_first};
use sessions::Sessions;
use streams::{ReadOutput, Streams};
use subject::{ClientId, Subject};

/// Turns a runtime's description into the runtime. The program that serves monitors implements it, because it knows the built-in one.
pub trait RuntimeResolver {
    /// The runtime of `spec` for a container with this run directory.
    ///
    /// It is called in a short-lived, single-threaded helper process, so a runtime that is a library may change that process as it
    /// likes; the container's first process must become a child of the helper's parent or of the nearest subreaper.
    ///
    /// # Errors
    /// When there is no such runtime.
    fn resolve(
        &self,
        spec: &RuntimeSpec,
        run_dir: &Path,
    ) -> Result<Box<dyn OciRuntime>, RuntimeFailure>;
}

/// Serves one run of one container and returns when it is over. The first client is on the descriptor `number`, which the process
/// was started with.
///
/// The calling process becomes the monitor: it must be single-threaded and do nothing else afterwards.
///
/// # Errors
/// When the monitor itself fails; failures of the container and its runtime are told to the client.
pub fn serve(number: i32, resolver: &dyn RuntimeResolver) -> Result<(), MonitorError> {
    let connection = inherited_fd(number)?;
    let signals = SignalFd::block(&blocked_signals())?;
    set_not_dumpable()?;
    raise_open_files();
    let Frame::Message(bytes, mounts) = frames::receive(connection.as_fd())? else {
        // The engine went away before it said what it wanted.
        return Ok(());
    };
    let mut client = Client::new(connection, ClientId(0))?;
    let begun = parse_first(&bytes).and_then(|first| match first {
        First::Create(request) => Monitor::create(request, mounts, signals, &client, resolver),
        First::Adopt(request) => Monitor::adopt(request, signals, &client, resolver),
    });
    match begun {
        Ok(mut monitor) => {
            client.reply(&Reply::Created {
                init: monitor.container.stamp(),
                monitor: PidStamp::own()?,
            });
            client.is_creator = true;
            monitor.clients.add(client);
            monitor.run()
        }
        Err(failure) => {
            client.reply(&Reply::Failed(failure));
            client.flush(Deadline::after(GRACE))
        }
    }
}

/// Everything but what cannot be blocked and what the kernel raises for faults of our own.
fn blocked_signals() -> Vec<Signal> {
    const FAULTS: [i32; 8] = [4, 5, 6, 7, 8, 9, 11, 19];
    let wanted = |signal: &Signal| signal.number() < 32 && !FAULTS.contains(&signal.number());
    Signal::all().filter(wanted).collect()
}

/// The limit of descriptors is the caller's; many clients must not cost the container its monitor. As far as allowed, silently.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).ok();
}

/// Whether the engine has recorded the creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commitment {
    /// Its connection's end takes everything back.
    Awaited,
    /// The container stays.
    Made,
}

struct Monitor<'a> {
    container: Container<'a>,
    commitment: Commitment,
    clients: Clients,
    streams: Streams,
    replay: Replay,
    sessions: Sessions,
    log: Log,
    signals: SignalFd,
    listener: Listener,
    exit: Option<ExitRecord>,
    cleanup: cleanup::Cleanup,
    keeper: Keeper,
    /// Monitors of this run before this one: each was killed.
    monitors_lost: u32,
    /// Given up just before the cleanup command starts, which must find the monitor gone.
    alive: Option<Liveness>,
}

impl Monitor<'_> {
    fn run(&mut self) -> Result<(), MonitorError> {
        self.serve_until_over()?;
        // Only now: if the monitor fails before, its keeper goes on.
        self.keeper.dismiss_and_wait();
        self.alive = None;
        if let cleanup::Cleanup::Command = self.cleanup {
            cleanup::start(&self.container.request().cleanup)?;
        }
        Ok(())
    }

    fn serve_until_over(&mut self) -> Result<(), MonitorError> {
        while !self.is_over() {
            for token in self.wait()? {
                self.serve_token(token)?;
            }
            if self.listener.timeout() == Some(Duration::ZERO) {
                self.accept();
            }
            self.streams.write_stdin();
            if self.exit.is_none() {
                self.container.check_time();
                self.log.check_patience();
                self.see_to_sessions()?;
                self.see_to_keeper();
            }
            if self.clients.write(self.patience()) == Departed::Some {
                self.listener.client_left();
            }
            self.see_to_lost_creator()?;
        }
        Ok(())
    }

    fn serve_token(&mut self, token: Token) -> Result<(), MonitorError> {
        match token {
            Token::Signals => self.take_signals()?,
            Token::Init if self.exit.is_none() => self.end()?,
            Token::Log if self.exit.is_none() => self.log.flush(),
            Token::Streams if self.exit.is_none() => self.copy_output(),
            Token::Init | Token::Log | Token::Streams => {}
            Token::Listener => self.accept(),
            Token::Client(index) => self.take_requests(index),
            Token::Session(key) => self.serve_session(key),
            Token::Leftovers => self.sessions.leftovers.drain(),
        }
        Ok(())
    }

    fn accept(&mut self) {
        while self.clients.are_welcome()
            && let Some(connection) = self.listener.accept()
        {
            self.clients.accept(connection);
        }
    }

    fn patience(&self) -> Patience {
        match (&self.exit, self.cleanup) {
            (None, _) => Patience::Running,
            (Some(_), cleanup::Cleanup::Command) => Patience::Ending,
            (Some(_), cleanup::Cleanup::Nobody) => Patience::Cleaned,
        }
    }

    /// After the exit: nobody is left who must still be told something or has promised to clean up.
    fn is_over(&self) -> bool {
        self.exit.is_some() && self.clients.are_done(self.patience())
    }

    /// Waits for anything to happen; whose it is.
    fn wait(&self) -> Result<Vec<Token>, MonitorError> {
        let mut set = PollSet::default();
        set.add_readable(Token::Signals, self.signals.as_fd());
        if self.clients.are_welcome() {
            set.add(Token::Listener, |fds| fds.push(self.listener.interest()));
        }
        if self.exit.is_none() {
            // Before the first process: a session ends with the container, and its last output comes first.
            self.sessions
                .add_to(&mut set, |subject| self.clients.have_room(subject));
            set.add_readable(Token::Init, self.container.as_fd());
            set.add(Token::Log, |fds| fds.extend(self.log.interest()));
            let room = self.have_room();
            set.add(Token::Streams, |fds| self.streams.add_to(fds, room));
        }
        self.clients
            .add_to(&mut set, |subject| self.input_of(subject));
        Ok(set.wait(self.deadline())?)
    }

    /// When there is something to do although nothing happened.
    fn deadline(&self) -> Deadline {
        let timeouts = [
            self.clients.timeout(self.patience()),
            self.container.timeout().filter(|_| self.exit.is_none()),
            self.log.timeout(),
            self.streams.timeout(),
            self.sessions.timeout().filter(|_| self.exit.is_none()),
            self.listener.timeout(),
            self.keeper.timeout().filter(|_| self.exit.is_none()),
        ];
        let next = timeouts.into_iter().flatten().min();
        next.map_or(Deadline::never(), Deadline::after)
    }

    /// Whether output may be read from the container.
    fn have_room(&self) -> ReadOutput {
        match (
            self.clients.have_room(Subject::Container),
            self.log.has_room(),
        ) {
            (ReadOutput::Yes, ReadOutput::Yes) => ReadOutput::Yes,
            (ReadOutput::No, _) | (_, ReadOutput::No) => ReadOutput::No,
        }
    }

    fn take_signals(&mut self) -> Result<(), MonitorError> {
        while let Some(info) = self.signals.read()? {
            match info.signal {
                Signal::CHLD => {
                    self.sessions.child_ended();
                    self.log.check_writer();
                    self.keeper.check();
                }
                // Somebody asks the monitor to end: the container is meant, and the monitor ends with it.
                Signal::TERM | Signal::INT | Signal::QUIT => {
                    self.container.signal(info.signal)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn copy_output(&mut self) {
        if self.have_room() == ReadOutput::No {
            return;
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(bytes) = self.streams.read(stream) {
                self.log.write(stream, &bytes);
                self.replay.push(stream, &bytes);
                self.clients.send_output(Subject::Container, stream, &bytes);
            }
        }
    }
}
