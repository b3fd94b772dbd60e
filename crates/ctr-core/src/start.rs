//! Init and start: from a container that is only described to one that runs.

use std::time::Duration;

use ctr_events::EventKind;
use ctr_exec::WindowSize;
use ctr_monitor::protocol::{
    AttachRequest as MonitorAttach, CleanupCommand, CleanupPromise,
    CreateRequest as MonitorRequest, LogTarget, StdinMode as MonitorStdin,
    Terminal as MonitorTerminal,
};
use ctr_monitor::{MonitorClient, MonitorError, MonitorLaunch};
use ctr_state::{IntentKind, LogConfig, LogDriver, Status, StdinMode, Terminal, Trigger};
use ctr_sys::{Cgroups, Child, Deadline, SignalFd, Sync, replace_file};

use crate::attach::AttachRequest;
use crate::container::{Container, LockedContainer};
use crate::engine::{Engine, MONITOR_CGROUP};
use crate::error::{EngineError, chain};
use crate::explain::explain;
use crate::log_options::JOURNAL;
use crate::prepare::{Prepared, prepare};
use crate::reconcile::take_back;
use crate::release::{Leftovers, end_monitor, release};
use crate::session::{AttachedRun, Role, Session};

/// How long one call of a runtime may take.
const RUNTIME_WAIT: Duration = Duration::from_secs(240);
/// Beyond it, for the monitor around the runtime.
const MONITOR_WAIT: Duration = Duration::from_secs(260);
/// How long a monitor may take for what it does alone.
const REPLY_WAIT: Duration = Duration::from_secs(30);

/// How a container is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartRequest {
    /// Whether the caller attaches.
    pub attach: Attach,
}

/// Whether a start attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// The container runs by itself.
    None,
    /// The caller gets its streams, from the first byte on, and sees to the cleanup.
    Streams {
        /// The size of the caller's terminal, for a container that has one; set before its program starts.
        window: Option<WindowSize>,
    },
}

/// How a container is started in the foreground.
#[derive(Clone, Copy, Debug)]
pub struct ForegroundRequest<'a> {
    /// Where signals arrive: one to end, before the container exists, takes everything back.
    pub signals: &'a SignalFd,
    /// The size of the caller's terminal, for a container that has one; set before its program starts.
    pub window: Option<WindowSize>,
}

/// What a start led to.
#[derive(Debug)]
pub enum Started<'e> {
    /// It ran already; nothing was done.
    Already,
    /// It runs by itself.
    Detached,
    /// It runs, and its streams are here.
    Attached(Session<'e>),
}

impl<'e> Container<'e> {
    /// Starts the container. One that has stopped and was not cleaned up after is cleaned up after first; to one that runs the caller
    /// is attached, if that was asked for.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when it is paused, stopping or being removed; [`EngineError::Runtime`] when its program cannot be
    /// run. Nothing of the run is left then, and the container can be started again.
    pub fn start(&self, request: StartRequest) -> Result<Started<'e>, EngineError> {
        self.lock("start")?.start(request)
    }

    /// As [`Container::start`] with the streams attached, but gives up when a signal to end arrives on `signals` before the
    /// container exists.
    ///
    /// # Errors
    /// As [`Container::start`]; [`EngineError::Interrupted`].
    pub fn start_foreground(
        &self,
        request: ForegroundRequest<'_>,
    ) -> Result<Started<'e>, EngineError> {
        self.lock("start")?.start_in_foreground(request)
    }
}

impl Engine {
    /// Creates a container and starts it under one lock.
    ///
    /// # Errors
    /// Those of [`Engine::create`], as the outer result; those of [`Container::start`] inside, when the container exists.
    pub fn run(
        &self,
        create: crate::CreateRequest,
        start: StartRequest,
    ) -> Result<(Container<'_>, Result<Started<'_>, EngineError>), EngineError> {
        let locked = self.create_locked(create)?;
        let container = locked.handle();
        Ok((container, locked.start(start)))
    }

    /// Creates a container and starts it as [`Container::start_foreground`] does, under one lock.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn run_foreground(
        &self,
        create: crate::CreateRequest,
        foreground: ForegroundRequest<'_>,
    ) -> Result<(Container<'_>, Result<Started<'_>, EngineError>), EngineError> {
        let locked = self.create_locked(create)?;
        let container = locked.handle();
        Ok((container, locked.start_in_foreground(foreground)))
    }
}

impl<'e> LockedContainer<'e> {
    /// As [`Container::start`], on a container whose lock is held; the lock is given up afterwards, because a run follows that takes
    /// as long as it likes.
    ///
    /// # Errors
    /// As [`Container::start`].
    pub fn start(self, request: StartRequest) -> Result<Started<'e>, EngineError> {
        self.start_interruptible(request, None)
    }

    fn start_in_foreground(
        self,
        request: ForegroundRequest<'_>,
    ) -> Result<Started<'e>, EngineError> {
        let attach = Attach::Streams {
            window: request.window,
        };
        self.start_interruptible(StartRequest { attach }, Some(request.signals))
    }

    fn start_interruptible(
        mut self,
        request: StartRequest,
        interrupt: Option<&SignalFd>,
    ) -> Result<Started<'e>, EngineError> {
        let generation = self.next_generation();
        let _span =
            tracing::info_span!("start", container = self.id().short(), generation).entered();
        match self.status() {
            Status::Running => return self.already(request),
            Status::Configured | Status::Exited | Status::Created => {}
            Status::Stopped => self.cleanup()?,
            Status::Paused | Status::Stopping | Status::Removing => {
                return Err(self.wrong_status("start"));
            }
        }
        let (client, monitor) = if self.status() == Status::Created {
            let run_dir = self.engine().run_dir(self.id());
            let client = MonitorClient::connect(&run_dir)?;
            (client.ok_or(MonitorError::Gone { request: "start" })?, None)
        } else {
            let (client, monitor) = self.init(IntentKind::Start, interrupt)?;
            (client, Some(monitor))
        };
        match self.start_created(client, request) {
            Ok(client) => Ok(self.started(client, monitor, request)),
            Err(error) => {
                let taken_back = take_back(&mut self, &chain(&error));
                reap(monitor);
                Err(with_leftovers(error, taken_back))
            }
        }
    }

    fn already(self, request: StartRequest) -> Result<Started<'e>, EngineError> {
        match request.attach {
            Attach::None => Ok(Started::Already),
            Attach::Streams { window } => {
                let session = self.attach(AttachRequest { window })?;
                Ok(Started::Attached(session))
            }
        }
    }

    /// The run that a start makes: a new one, or the one that is created already.
    fn next_generation(&self) -> u64 {
        let current = self.record().generation();
        match self.status() {
            Status::Configured | Status::Stopped | Status::Exited => current + 1,
            Status::Created
            | Status::Running
            | Status::Paused
            | Status::Stopping
            | Status::Removing => current,
        }
    }

    fn started(
        self,
        client: MonitorClient,
        monitor: Option<Child>,
        request: StartRequest,
    ) -> Started<'e> {
        match request.attach {
            Attach::None => {
                if let Some(monitor) = monitor {
                    monitor.detach();
                }
                Started::Detached
            }
            Attach::Streams { .. } => {
                let run = AttachedRun::of(&self, Role::Owner);
                Started::Attached(Session::new(self.unlock(), run, client, monitor))
            }
        }
    }

    /// From Configured or Exited to Created. `next` is what the caller is about to do then: it is recorded in the same transaction.
    fn init(
        &mut self,
        next: IntentKind,
        interrupt: Option<&SignalFd>,
    ) -> Result<(MonitorClient, Child), EngineError> {
        let engine = self.engine();
        let actor = engine.config().actor.clone();
        let record = self.locked_record();
        record.begin_generation();
        let facts = record.edit();
        facts.boot_id = Some(engine.boot().clone());
        facts.started_by = Some(actor);
        facts.created_paths.clear();
        self.announce(IntentKind::Init);
        self.save(&[])?;
        let initialised = self.init_announced(next, interrupt);
        initialised.map_err(|error| {
            // The undo of everything done so far is what recovery does too.
            let taken_back = take_back(self, &chain(&error));
            with_leftovers(error, taken_back)
        })
    }

    fn init_announced(
        &mut self,
        next: IntentKind,
        interrupt: Option<&SignalFd>,
    ) -> Result<(MonitorClient, Child), EngineError> {
        let engine = self.engine();
        // Leftovers of a run whose end nobody could clean up after would be taken for this one's.
        release(engine, &Leftovers::of(self.locked_record()))?;
        let name = self.locked_record().name().to_string();
        let prepared = prepare(engine, self, &name)?;
        if !prepared.created_paths.is_empty() {
            self.locked_record()
                .edit()
                .created_paths
                .clone_from(&prepared.created_paths);
            self.save(&[])?;
        }
        let request = self.monitor_request(&prepared, &name)?;
        let launch = MonitorLaunch {
            program: engine.config().program.clone(),
            args: vec!["monitor".to_owned()],
            empty_dir: engine.empty_dir()?,
            cgroup: MONITOR_CGROUP.to_owned(),
        };
        let (mut client, monitor) = MonitorClient::spawn(&launch, &Cgroups::detect()?)?;
        let created = self.create_in(&mut client, request, &prepared, next, interrupt);
        match created {
            Ok(()) => Ok((client, monitor)),
            Err(error) => {
                // Closing the connection has the monitor take everything back and end; one that does not is ended.
                drop(client);
                let ended = end_monitor(&prepared.run_dir);
                reap(Some(monitor));
                if let Err(left) = ended {
                    return Err(EngineError::unwound("start", error, left));
                }
                Err(error)
            }
        }
    }

    fn create_in(
        &mut self,
        client: &mut MonitorClient,
        request: MonitorRequest,
        prepared: &Prepared,
        next: IntentKind,
        interrupt: Option<&SignalFd>,
    ) -> Result<(), EngineError> {
        let deadline = Deadline::after(MONITOR_WAIT);
        let mounts = prepared.descriptors();
        let created = client.create_interruptible(request, &mounts, deadline, interrupt);
        let (init, monitor) = created.map_err(|error| explain(self.config(), error, prepared))?;
        if let Some(path) = self.config().pid_file.clone() {
            replace_file(&path, init.pid.to_string().as_bytes(), 0o644, Sync::No)?;
        }
        let facts = self.locked_record().edit();
        facts.init = Some(init);
        facts.monitor = Some(monitor);
        facts.error = None;
        self.announce(next);
        let event = self.event(EventKind::Init);
        self.advance(Trigger::Init, &[event])
    }

    /// From Created to Running; the connection, attached where asked.
    fn start_created(
        &mut self,
        mut client: MonitorClient,
        request: StartRequest,
    ) -> Result<MonitorClient, EngineError> {
        let mut events = Vec::new();
        if let Attach::Streams { window } = request.attach {
            let attach = MonitorAttach {
                cleanup: CleanupPromise::Made,
                window,
            };
            client.attach(attach, Deadline::after(REPLY_WAIT))?;
        }
        let started_ns = self.engine().now_ns();
        client.start(Deadline::after(MONITOR_WAIT))?;
        self.locked_record().edit().started_ns = Some(started_ns);
        self.locked_record().set_intent(None);
        events.push(self.event(EventKind::Start));
        if let Attach::Streams { .. } = request.attach {
            events.push(self.event(EventKind::Attach));
        }
        self.advance(Trigger::Start, &events)?;
        Ok(client)
    }

    fn monitor_request(
        &self,
        prepared: &Prepared,
        name: &str,
    ) -> Result<MonitorRequest, EngineError> {
        let engine = self.engine();
        let config = self.config();
        let generation = self.record().generation();
        let mut args = engine.config().engine_args.clone();
        let command = ["container", "cleanup", "--generation"].map(str::to_owned);
        args.extend(command);
        args.extend([generation.to_string(), config.id.to_string()]);
        Ok(MonitorRequest {
            id: config.id.to_string(),
            generation,
            run_dir: prepared.run_dir.clone(),
            runtime: engine.config().runtimes.spec(&config.runtime)?,
            mounts: prepared.targets.clone(),
            stdin: match config.process.stdin {
                StdinMode::Null => MonitorStdin::Null,
                StdinMode::Open => MonitorStdin::Open,
            },
            terminal: match config.process.terminal {
                Terminal::No => MonitorTerminal::No,
                Terminal::Yes => MonitorTerminal::Yes,
            },
            cgroup_path: config.cgroup_path.clone(),
            monitor_cgroup: Some(MONITOR_CGROUP.to_owned()),
            log: log_target(&config.log, name),
            cleanup: CleanupCommand {
                program: engine.config().program.clone(),
                args,
            },
            runtime_deadline_ms: u64::try_from(RUNTIME_WAIT.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

fn log_target(log: &LogConfig, name: &str) -> LogTarget {
    match log.driver {
        LogDriver::None => LogTarget::None,
        LogDriver::K8sFile => LogTarget::K8sFile {
            path: log.path.clone(),
            max_size: log.max_size,
            max_files: log.max_files,
        },
        LogDriver::Journald => LogTarget::Journald {
            socket: JOURNAL.into(),
            name: name.to_owned(),
            tag: log.tag.clone(),
        },
    }
}

/// A failed start, and what could not be taken back of it.
fn with_leftovers(error: EngineError, taken_back: Result<(), EngineError>) -> EngineError {
    match taken_back {
        Ok(()) => error,
        Err(left) => EngineError::unwound("start", error, left),
    }
}

/// The monitor is our child: when it has ended, its zombie goes.
fn reap(monitor: Option<Child>) {
    if let Some(monitor) = monitor {
        // It has been told to end; when it does not, it is not waited for and becomes init's.
        drop(monitor.wait_deadline(Deadline::after(REPLY_WAIT)));
    }
}
