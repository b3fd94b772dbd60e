//! Start: from a container that is only described, or created and waiting, to one that runs.

use std::os::fd::BorrowedFd;

use ctr_events::EventKind;
use ctr_exec::WindowSize;
use ctr_monitor::MonitorClient;
use ctr_monitor::protocol::{AttachRequest as MonitorAttach, CleanupPromise};
use ctr_state::{IntentKind, Status, Trigger};
use ctr_sys::{Child, Deadline, SignalFd};

use crate::attach::AttachRequest;
use crate::container::{Container, LockedContainer};
use crate::engine::Engine;
use crate::error::{EngineError, chain};
use crate::init::{Init, MONITOR_WAIT, REPLY_WAIT, reap, with_leftovers};
use crate::reconcile::take_back;
use crate::session::{AttachedRun, Role, Session};

/// How a container is started.
#[derive(Clone, Copy, Debug)]
pub struct StartRequest<'a> {
    /// Whether the caller attaches.
    pub attach: Attach,
    /// The caller's standard streams. A container whose log driver is `passthrough` takes them over, others have no use for them.
    pub streams: Option<[BorrowedFd<'a>; 3]>,
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
    /// Starts the container. One that has stopped and was not cleaned up after is cleaned up after first; to one that runs the caller
    /// is attached, if that was asked for.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when it is paused, stopping or being removed; [`EngineError::Runtime`] when its program cannot be
    /// run. Nothing of the run is left then, and the container can be started again.
    pub fn start(&self, request: StartRequest<'_>) -> Result<Started<'e>, EngineError> {
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
        start: StartRequest<'_>,
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
        self.start_interruptible(StartRequest { attach, streams }, Some(request.signals))
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
            Status::Configured | Status::Exited | Status::Created => {}
            Status::Stopped => self.cleanup()?,
            Status::Paused | Status::Stopping | Status::Removing => {
                return Err(self.wrong_status("start"));
            }
        }
        let (client, monitor) = if self.status() == Status::Created {
            (self.monitor("start")?, None)
        } else {
            let (client, monitor) = self.init(Init {
                next: IntentKind::Start,
                interrupt,
                streams: request.streams,
            })?;
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

    fn already(self, request: StartRequest<'_>) -> Result<Started<'e>, EngineError> {
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
                let run = AttachedRun::of(&self, Role::Owner);
                Started::Attached(Session::new(self.unlock(), run, client, monitor))
            }
        }
    }

    /// From Created to Running; the connection, attached where asked.
    fn start_created(
        &mut self,
        mut client: MonitorClient,
        request: StartRequest<'_>,
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
}
