//! The monitor's own side: one thread, one loop.
//!
//! Nothing in the loop waits for a client or for the disk of the log. The order at the exit is fixed: drain what is in the pipes, log
//! it (waiting for the log's writer, for a bounded time), write the exit record, tell the clients, see to the cleanup, end.

mod cleanup;
mod client;
mod clients;
mod container;
mod end;
mod helper;
mod input;
mod input_end;
mod intake;
mod listener;
mod log;
mod patience;
mod requests;
mod streams;
mod time_limit;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use ctr_exec::frames::{self, Frame, Stream};
use ctr_oci::{OciRuntime, RuntimeFailure};
use ctr_sys::{
    CgroupMode, Cgroups, Deadline, Liveness, PidStamp, Signal, SignalFd, Subreaper, SysError,
    bind_seqpacket, inherited_fd, set_not_dumpable, set_subreaper,
};
use rustix::event::{PollFd, PollFlags};

use crate::error::{MonitorError, WireFailure};
use crate::files;
use crate::protocol::{CreateRequest, Reply, RuntimeSpec};
use crate::record::ExitRecord;
use client::Client;
use clients::{Clients, Departed};
use container::Container;
use intake::{Intake, with_words};
use listener::Listener;
use log::Log;
use patience::{GRACE, Patience};
use requests::parse_create;
use streams::{ReadOutput, Streams};

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
    let mut client = Client::new(connection)?;
    let request = match parse_create(&bytes) {
        Ok(request) => request,
        Err(failure) => {
            client.reply(&Reply::Failed(failure));
            return client.flush(Deadline::after(GRACE));
        }
    };
    match Monitor::new(request, mounts, signals, &client, resolver) {
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
    log: Log,
    signals: SignalFd,
    listener: Listener,
    exit: Option<ExitRecord>,
    cleanup: cleanup::Cleanup,
    /// Given up just before the cleanup command starts, which must find the monitor gone.
    alive: Option<Liveness>,
}

impl<'a> Monitor<'a> {
    fn new(
        request: CreateRequest,
        mounts: Vec<OwnedFd>,
        signals: SignalFd,
        creator: &Client,
        resolver: &'a dyn RuntimeResolver,
    ) -> Result<Self, WireFailure> {
        let run_dir = request.run_dir.clone();
        let alive = Liveness::hold(&run_dir.join(files::ALIVE))?.ok_or_else(|| {
            WireFailure::own(
                "serve",
                &request.id,
                "another monitor holds its liveness lock",
            )
        })?;
        // Only now: whoever found the lock free before, because the engine had been killed, may be removing the run directory.
        if creator.is_gone() {
            return Err(WireFailure::own(
                "serve",
                &request.id,
                "the engine that asked for it is gone",
            ));
        }
        if let Some(group) = &request.monitor_cgroup {
            enter_group(group)?;
        }
        set_subreaper(Subreaper::On)?;
        let directory = std::fs::File::open(&run_dir)
            .map_err(|error| SysError::new("open", run_dir.display().to_string(), error))?;
        let listener = Listener::new(bind_seqpacket(directory.as_fd(), files::CONTROL)?);
        let mut log = Log::new(&request.log, &request.id)?;
        let (mut streams, ends, mounts) = Streams::of_request(&request, mounts)?;
        ExitRecord::reserve(&run_dir)?;
        let stdin = request.stdin;
        let mut intake = Intake::new(&mut streams, creator);
        let created = Container::create(request, mounts, &ends, &mut intake, resolver);
        let said = intake.said();
        let (container, console) = created.map_err(|failure| with_words(failure, &said))?;
        if let Some(console) = console {
            streams.use_console(console, stdin)?;
        }
        // A runtime that succeeds and says something all the same: a warning, for the container's log.
        log.write(Stream::Stderr, &said);
        Ok(Self {
            container,
            commitment: Commitment::Awaited,
            clients: Clients::default(),
            streams,
            log,
            signals,
            listener,
            exit: None,
            cleanup: cleanup::Cleanup::Command,
            alive: Some(alive),
        })
    }

    fn run(&mut self) -> Result<(), MonitorError> {
        let served = self.serve_until_over();
        self.alive = None;
        if let cleanup::Cleanup::Command = self.cleanup {
            cleanup::start(&self.container.request().cleanup)?;
        }
        served
    }

    fn serve_until_over(&mut self) -> Result<(), MonitorError> {
        while !self.is_over() {
            let [signals, listener, init, log] = self.wait()?;
            if signals {
                self.take_signals()?;
            }
            if init && self.exit.is_none() {
                self.end()?;
            }
            if listener || self.listener.timeout() == Some(Duration::ZERO) {
                self.accept();
            }
            self.take_requests();
            self.streams.write_stdin();
            if self.exit.is_none() {
                self.container.check_time();
                if log {
                    self.log.flush();
                }
                self.log.check_patience();
                self.copy_output();
            }
            if self.clients.write(self.patience()) == Departed::Some {
                self.listener.client_left();
            }
            self.see_to_lost_creator()?;
        }
        Ok(())
    }

    fn accept(&mut self) {
        if let Some(connection) = self.listener.accept()
            && let Ok(client) = Client::new(connection)
        {
            self.clients.add(client);
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

    /// Which of signals, listener, first process and log are ready.
    fn wait(&self) -> Result<[bool; 4], MonitorError> {
        let mut fds = vec![
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            self.listener.interest(),
        ];
        if self.exit.is_none() {
            fds.push(PollFd::from_borrowed_fd(
                self.container.as_fd(),
                PollFlags::IN,
            ));
        }
        let fixed_init = if self.exit.is_none() { Some(2) } else { None };
        let log = self.log.interest().filter(|_| self.exit.is_none());
        let fixed_log = log.is_some().then_some(fds.len());
        fds.extend(log);
        if self.exit.is_none() {
            self.streams.add_to(&mut fds, self.have_room());
        }
        self.clients.add_to(&mut fds, self.streams.input());
        ctr_sys::poll(&mut fds, self.deadline())?;
        let ready = |index: usize| !fds[index].revents().is_empty();
        Ok([
            ready(0),
            ready(1),
            fixed_init.is_some_and(ready),
            fixed_log.is_some_and(ready),
        ])
    }

    /// When there is something to do although nothing happened.
    fn deadline(&self) -> Deadline {
        let timeouts = [
            self.clients.timeout(self.patience()),
            self.container.timeout().filter(|_| self.exit.is_none()),
            self.log.timeout(),
            self.streams.timeout(),
            self.listener.timeout(),
        ];
        let next = timeouts.into_iter().flatten().min();
        next.map_or(Deadline::never(), Deadline::after)
    }

    /// Whether output may be read from the container.
    fn have_room(&self) -> ReadOutput {
        match (self.clients.have_room(), self.log.has_room()) {
            (ReadOutput::Yes, ReadOutput::Yes) => ReadOutput::Yes,
            (ReadOutput::No, _) | (_, ReadOutput::No) => ReadOutput::No,
        }
    }

    fn take_signals(&mut self) -> Result<(), MonitorError> {
        while let Some(info) = self.signals.read()? {
            match info.signal {
                Signal::CHLD => {
                    self.container.reap()?;
                    self.log.check_writer();
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
                self.clients.send_output(stream, &bytes);
            }
        }
    }
}

fn enter_group(group: &str) -> Result<(), WireFailure> {
    let cgroups = Cgroups::detect()?;
    if cgroups.mode() != CgroupMode::Unified {
        cgroups.enter(group)?;
    }
    Ok(())
}
