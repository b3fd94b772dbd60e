//! Start: from a container that is only described, or created and waiting, to one that runs.

use std::os::fd::BorrowedFd;

use ctr_events::EventKind;
use ctr_exec::WindowSize;
use ctr_monitor::protocol::{AttachRequest as MonitorAttach, CleanupPromise};
use ctr_monitor::{MonitorClient, MonitorError};
use ctr_state::{Effect, IntentKind, Operation, StartReason, Status, Trigger};
use ctr_sys::{Child, Deadline, SignalFd};

use crate::attach::AttachRequest;
use crate::container::{Container, LockedContainer};
use crate::dependencies::Needs;
use crate::engine::Engine;
use crate::error::{EngineError, chain};
use crate::init::{Init, MONITOR_WAIT, REPLY_WAIT, reap, with_leftovers, with_name};
use crate::reconcile::{Leave, take_back};
use crate::session::{Attached, Role, Session};

/// How a container is started.
#[derive(Clone, Copy, Debug)]
pub struct StartRequest<'a> {
    /// Whether the caller attaches.
    pub attach: Attach,
    /// The caller's standard streams. A container whose log driver is `passthrough` takes them over, others have no use for them.
    pub streams: Option<[BorrowedFd<'a>; 3]>,
    /// Why it is started, for the ledger; the restart policy goes on counting only when it says so itself.
    pub reason: StartReason,
}

impl StartRequest<'_> {
    /// A start of a container that runs by itself and takes over nobody's streams.
    pub fn in_background(reason: StartReason) -> Self {
        Self {
            attach: Attach::None,
            streams: None,
            reason,
        }
    }
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
    /// As [`StartRequest::streams`].
    pub streams: Option<[BorrowedFd<'a>; 3]>,
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
    /// Starts the container, after the containers that it needs and that do not run. One that has stopped and was not cleaned up after
    /// is cleaned up after first; to one that runs the caller is attached, if that was asked for.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when it is paused, stopping or being removed; [`EngineError::Runtime`] when its program cannot be
    /// run; [`EngineError::Dependency`] when a container that it needs cannot be started or has not ended as it should. Nothing of the
    /// run is left then, and the container can be started again; containers that it needs and that were started go on.
    pub fn start(&self, request: StartRequest<'_>) -> Result<Started<'e>, EngineError> {
        self.start_what_it_needs(request.reason, None)?;
        self.lock_with("start", Leave::Restart)?.start(request)
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
        self.start_what_it_needs(StartReason::User, Some(request.signals))?;
        self.lock_with("start", Leave::Restart)?
            .start_in_foreground(request)
    }

    /// Nothing, where a start of the container itself would do nothing, or is refused.
    fn start_what_it_needs(
        &self,
        reason: StartReason,
        interrupt: Option<&SignalFd>,
    ) -> Result<(), EngineError> {
        let summary = self.summary()?;
        let status = summary.status();
        let begins =
            status.is_some_and(|status| matches!(Operation::Start.on(status), Effect::Moves(_)));
        if begins {
            Needs::of(self)?.start(reason, interrupt)?;
        }
        Ok(())
    }
}

impl Engine {
    /// Starts the containers that a new one needs, then creates it and starts it under one lock.
    ///
    /// # Errors
    /// Those of [`Engine::create`], as the outer result; those of [`Container::start`] inside, when the container exists.
    pub fn run(
        &self,
        create: crate::CreateRequest,
        start: StartRequest<'_>,
    ) -> Result<(Container<'_>, Result<Started<'_>, EngineError>), EngineError> {
        let planned = self.plan(create)?;
        Needs::of_planned(self, &planned)?.start(start.reason, None)?;
        let locked = self.create_locked(planned)?;
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
        let planned = self.plan(create)?;
        Needs::of_planned(self, &planned)?.start(StartReason::User, Some(foreground.signals))?;
        let locked = self.create_locked(planned)?;
        let container = locked.handle();
        Ok((container, locked.start_in_foreground(foreground)))
    }
}

impl<'e> LockedContainer<'e> {
    /// As [`Container::start`], on a container whose lock is held; the lock is given up afterwards, because a run follows that takes
    /// as long as it likes. Containers that it needs must be there: starting them takes their locks.
    ///
    /// # Errors
    /// As [`Container::start`].
    pub fn start(self, request: StartRequest<'_>) -> Result<Started<'e>, EngineError> {
        self.start_interruptible(request, None)
    }

    fn start_in_foreground(
        self,
        request: ForegroundRequest<'_>,
    ) -> Result<Started<'e>, EngineError> {
        let attach = Attach::Streams {
            window: request.window,
        };
        let streams = request.streams;
        let reason = StartReason::User;
        let request_again = StartRequest {
            attach,
            streams,
            reason,
        };
        self.start_interruptible(request_again, Some(request.signals))
    }

    fn start_interruptible(
        mut self,
        request: StartRequest<'_>,
        interrupt: Option<&SignalFd>,
    ) -> Result<Started<'e>, EngineError> {
        let generation = self.next_generation();
        let _span =
            tracing::info_span!("start", container = self.id().short(), generation).entered();
        match self.status() {
            Status::Running => return self.already(request),
            Status::Configured | Status::Exited | Status::Created => self.check_dependencies()?,
            Status::Stopped => {
                self.check_dependencies()?;
                self.clean_for_start()?;
            }
            Status::Paused | Status::Stopping | Status::Removing => {
                return Err(self.wrong_status(Operation::Start));
            }
        }
        let (client, monitor) = if let Some(client) = self.made_before()? {
            (client, None)
        } else {
            let (client, monitor) = self.init(Init {
                next: IntentKind::Start,
                interrupt,
                streams: request.streams,
                reason: request.reason,
            })?;
            (client, Some(monitor))
        };
        match self.start_created(client, request) {
            Ok(client) => Ok(self.started(client, monitor, request)),
            Err(error) => {
                let error = with_name(&self, error);
                let taken_back = take_back(&mut self, &chain(&error));
                reap(monitor);
                Err(with_leftovers(error, taken_back))
            }
        }
    }

    /// The monitor of a container that was made before and waits, with the start announced; `None` when it is still to be made. One
    /// whose monitor was lost, and for which no other could be found, is made anew.
    fn made_before(&mut self) -> Result<Option<MonitorClient>, EngineError> {
        if self.status() != Status::Created {
            return Ok(None);
        }
        match self.monitor("start") {
            Ok(client) => {
                self.announce(IntentKind::Start);
                self.save(&[])?;
                Ok(Some(client))
            }
            Err(MonitorError::Gone { .. }) => {
                take_back(self, "its monitor was lost before it was started")?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn already(self, request: StartRequest<'_>) -> Result<Started<'e>, EngineError> {
        match request.attach {
            Attach::None => Ok(Started::Already),
            Attach::Streams { window } => {
                let session = self.attach(AttachRequest::now(window))?;
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
        request: StartRequest<'_>,
    ) -> Started<'e> {
        match request.attach {
            Attach::None => {
                if let Some(monitor) = monitor {
                    monitor.detach();
                }
                Started::Detached
            }
            Attach::Streams { .. } => {
                let run = Attached::to_run(&self, Role::Owner);
                Started::Attached(Session::new(self.unlock(), run, client, monitor))
            }
        }
    }

    /// Whether the start of a container that was only made is asked for as a restart: then no event has said so yet.
    fn is_restart_of_created(&self, reason: StartReason) -> bool {
        reason == StartReason::Restart && self.record().facts().start_reason != reason
    }

    /// From Created to Running; the connection, attached where asked.
    fn start_created(
        &mut self,
        mut client: MonitorClient,
        request: StartRequest<'_>,
    ) -> Result<MonitorClient, EngineError> {
        let mut events = Vec::new();
        if self.is_restart_of_created(request.reason) {
            events.push(self.restart_event());
        }
        if let Attach::Streams { window } = request.attach {
            let attach = MonitorAttach {
                cleanup: CleanupPromise::Made,
                window,
                ..MonitorAttach::observer()
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
}
