//! Attaching to a container that runs: one more client beside those that are there.

use ctr_events::EventKind;
use ctr_exec::WindowSize;
use ctr_monitor::protocol::{AttachRequest as MonitorAttach, CleanupPromise, ClientInput};
use ctr_monitor::{MonitorClient, MonitorError};
use ctr_state::{LogDriver, Operation, Status};
use ctr_sys::Deadline;

use crate::container::{Container, LockedContainer};
use crate::error::EngineError;
use crate::init::REPLY_WAIT;
use crate::session::{Attached, Role, Session};

/// How a client attaches to a container that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttachRequest {
    /// The size of the caller's terminal, which a container's terminal takes over.
    pub window: Option<WindowSize>,
    /// Whether the caller's input counts.
    pub input: ClientInput,
    /// So many bytes of what was written before come first, as far as they are still known: 64 KiB are kept.
    pub replay: u64,
}

impl AttachRequest {
    /// One more client with this terminal, from now on.
    pub fn now(window: Option<WindowSize>) -> Self {
        Self {
            window,
            input: ClientInput::Taken,
            replay: 0,
        }
    }
}

impl<'e> Container<'e> {
    /// Attaches to the streams of a running container: what it writes from now on comes to the session, and what the session reads
    /// goes to its program, if it was made with an open input. Several clients can be attached at once.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when it does not run.
    pub fn attach(&self, request: AttachRequest) -> Result<Session<'e>, EngineError> {
        self.lock("attach")?.attach(request)
    }
}

impl<'e> LockedContainer<'e> {
    /// As [`Container::attach`], on a container whose lock is held; the lock is given up afterwards.
    ///
    /// # Errors
    /// As [`Container::attach`].
    pub fn attach(mut self, request: AttachRequest) -> Result<Session<'e>, EngineError> {
        let generation = self.record().generation();
        let _span =
            tracing::info_span!("attach", container = self.id().short(), generation).entered();
        self.allow(Operation::Attach)?;
        if self.config().log.driver == LogDriver::Passthrough {
            let why = "its streams are those of whoever started it: there is nothing to attach to";
            return Err(EngineError::invalid("log driver", &"passthrough", why));
        }
        let client = match self.join(request) {
            Err(MonitorError::Gone { .. }) => return Err(self.ended_meanwhile()),
            joined => joined?,
        };
        let event = self.event(EventKind::Attach);
        self.save(&[event])?;
        let run = Attached::to_run(&self, Role::Observer).with_input(request.input);
        Ok(Session::new(self.unlock(), run, client, None))
    }

    /// A connection to the monitor of the present run, for `request`.
    pub(crate) fn monitor(&self, request: &'static str) -> Result<MonitorClient, MonitorError> {
        let client = MonitorClient::connect(&self.engine().run_dir(self.id()))?;
        client.ok_or(MonitorError::Gone { request })
    }

    fn join(&self, request: AttachRequest) -> Result<MonitorClient, MonitorError> {
        let mut client = self.monitor("attach")?;
        let attach = MonitorAttach {
            cleanup: CleanupPromise::None,
            window: request.window,
            session: None,
            input: request.input,
            replay: request.replay,
        };
        client.attach(attach, Deadline::after(REPLY_WAIT))?;
        Ok(client)
    }

    /// The monitor has ended under our hands: mostly because the container has, which the record says when it is looked at again.
    fn ended_meanwhile(self) -> EngineError {
        match self.unlock().lock("attach") {
            Ok(locked) if locked.status() != Status::Running => {
                locked.wrong_status(Operation::Attach)
            }
            Ok(locked) => EngineError::MonitorLost {
                name: locked.name().to_string(),
            },
            Err(error) => error,
        }
    }
}
