//! Stopping: ask, wait without the lock, insist.
//!
//! The reason is saved first, even when there is nothing to stop: whoever decides about a restart sees it. The lock is given up
//! while signals are out, so readers and other commands go on; afterwards the container may have moved on, and the outcome says so.

use std::time::Duration;

use ctr_events::EventKind;
use ctr_state::{AutoRemove, IntentKind, Status, StopReason, Trigger};
use ctr_sys::{Deadline, Delivery, PidRef, PidStamp, Signal};

use crate::container::{Container, LockedContainer};
use crate::error::EngineError;
use crate::reconcile::{AutoRemoval, reconcile};
use crate::release::end_monitor;
use crate::wait::wait_for_record;

/// How long a process may take to vanish after SIGKILL.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// How a container is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopRequest {
    /// Seconds between the stop signal and SIGKILL: `None` is the container's own setting, 0 kills at once, less waits for ever.
    pub timeout_s: Option<i64>,
    /// Why.
    pub reason: StopReason,
}

/// What a stop led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// It obeyed.
    Stopped,
    /// It did not run.
    AlreadyStopped,
    /// It did not obey and was killed.
    Killed {
        /// What it was asked with.
        signal: Signal,
        /// How long it was waited for, in seconds.
        waited_s: u64,
    },
}

/// A container that was asked to stop and whose lock is free meanwhile.
#[derive(Debug)]
#[must_use = "nothing is signalled before `finish`"]
pub struct Stopping<'e> {
    container: Container<'e>,
    generation: u64,
    init: Option<PidStamp>,
    signal: Signal,
    grace: Option<Duration>,
    role: Role,
}

/// Who began the stop says so in the journal; who joined one does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    First,
    Joined,
    /// Not running: nothing to signal.
    Idle,
}

impl Container<'_> {
    /// Stops the container and cleans up after it (or removes it, when it is to go by itself).
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when it is paused or being removed, [`EngineError::Unkillable`].
    pub fn stop(&self, request: StopRequest) -> Result<StopOutcome, EngineError> {
        let locked = match self.lock("stop") {
            // It was to go by itself once its run was over, and has gone now.
            Err(error) if error.is_not_found() => return Ok(StopOutcome::AlreadyStopped),
            other => other?,
        };
        let stopping = locked.begin_stop(request)?;
        let (mut locked, outcome) = match stopping.finish() {
            // Removed meanwhile: it does not run.
            Err(error) if error.is_not_found() => return Ok(StopOutcome::Stopped),
            other => other?,
        };
        match (locked.status(), locked.config().auto_remove) {
            (Status::Stopped | Status::Exited, AutoRemove::Yes)
                if outcome != StopOutcome::AlreadyStopped =>
            {
                locked.remove_stopped()?;
            }
            (Status::Stopped, _) => locked.cleanup()?,
            _ => {}
        }
        Ok(outcome)
    }
}

impl<'e> LockedContainer<'e> {
    /// Saves the reason and, for a container that runs, the status Stopping; then gives the lock up.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when it is paused or being removed; the reason is saved all the same.
    pub fn begin_stop(mut self, request: StopRequest) -> Result<Stopping<'e>, EngineError> {
        let generation = self.record().generation();
        let _span =
            tracing::info_span!("stop", container = self.id().short(), generation).entered();
        self.locked_record().edit().stop_requested = Some(request.reason);
        let role = match self.status() {
            Status::Running | Status::Created => Role::First,
            // A stop that was killed has left no intent of a living process.
            Status::Stopping if self.record().intent().is_none() => Role::First,
            Status::Stopping => Role::Joined,
            Status::Configured | Status::Stopped | Status::Exited => Role::Idle,
            Status::Paused | Status::Removing => {
                self.save(&[])?;
                return Err(self.wrong_status("stop"));
            }
        };
        match role {
            Role::Idle => self.save(&[])?,
            Role::First | Role::Joined => {
                let actor = self.engine().config().actor.clone();
                self.locked_record().edit().ended_by = Some(actor);
                self.announce(IntentKind::Stop);
                self.advance(Trigger::BeginStop, &[])?;
            }
        }
        let config = self.config();
        let seconds = request
            .timeout_s
            .unwrap_or_else(|| i64::from(config.stop_timeout_s));
        Ok(Stopping {
            generation,
            init: self.record().init(),
            signal: config.stop_signal,
            grace: u64::try_from(seconds).ok().map(Duration::from_secs),
            role,
            container: self.unlock(),
        })
    }
}

impl<'e> Stopping<'e> {
    /// Signals, waits, kills after the grace time, and takes the lock again.
    ///
    /// # Errors
    /// [`EngineError::Unkillable`]; the status stays Stopping, and a later stop, kill or removal goes on. Not found, when somebody
    /// has removed the container meanwhile.
    pub fn finish(self) -> Result<(LockedContainer<'e>, StopOutcome), EngineError> {
        if self.role == Role::Idle {
            return Ok((self.container.lock("stop")?, StopOutcome::AlreadyStopped));
        }
        let outcome = self.signal_then_kill()?;
        let mut locked = self.container.lock_with("stop", AutoRemoval::ByCaller)?;
        if locked.status() == Status::Stopping && locked.record().generation() == self.generation {
            // Its process has ended, and the monitor, which should have said so, does not: it is ended too, and then the record is
            // what there is.
            end_monitor(&locked.engine().run_dir(locked.id()))?;
            locked = reconcile(locked, AutoRemoval::ByCaller)?;
        }
        let same_run = locked.record().generation() == self.generation;
        if same_run && locked.status() != Status::Stopping {
            locked.locked_record().set_intent(None);
            let events: Vec<_> = match self.role {
                Role::First => vec![locked.event(EventKind::Stop)],
                Role::Joined | Role::Idle => Vec::new(),
            };
            locked.save(&events)?;
        }
        Ok((locked, outcome))
    }

    fn signal_then_kill(&self) -> Result<StopOutcome, EngineError> {
        let Some(init) = self.init.map(PidRef::open).transpose()?.flatten() else {
            // It has just ended by itself, and its monitor may still be about to say so.
            wait_for_record(&self.container, self.generation)?;
            return Ok(StopOutcome::Stopped);
        };
        let mut outcome = StopOutcome::Stopped;
        let patience = self.grace.map_or_else(Deadline::never, Deadline::after);
        let asked = self.grace != Some(Duration::ZERO);
        let ended =
            asked && (init.signal(self.signal)? == Delivery::Gone || init.wait(patience)?);
        if !ended {
            if asked {
                outcome = StopOutcome::Killed {
                    signal: self.signal,
                    waited_s: self.grace.unwrap_or_default().as_secs(),
                };
            }
            kill(&self.container, &init)?;
        }
        wait_for_record(&self.container, self.generation)?;
        Ok(outcome)
    }
}

fn kill(container: &Container<'_>, init: &PidRef) -> Result<(), EngineError> {
    init.signal(Signal::KILL)?;
    if init.wait(Deadline::after(KILL_WAIT))? {
        return Ok(());
    }
    Err(EngineError::Unkillable {
        name: container.id().short().to_owned(),
        pid: init.stamp().pid,
        waited_s: KILL_WAIT.as_secs(),
    })
}
