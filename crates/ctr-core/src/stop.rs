//! Stopping: ask, wait without the lock, insist.
//!
//! The reason is saved first, even when there is nothing to stop: whoever decides about a restart sees it. The lock is given up
//! while signals are out, so readers and other commands go on; afterwards the container may have moved on, and the outcome says so.

use std::time::Duration;

use ctr_events::EventKind;
use ctr_state::{IntentKind, Operation, Status, StopReason, Trigger};
use ctr_sys::{Cgroups, Deadline, Delivery, PidRef, Signal};

use crate::container::{Container, LockedContainer};
use crate::error::EngineError;
use crate::kill::await_death;
use crate::reconcile::{Leave, reconcile};
use crate::release::end_monitor;
use crate::wait::wait_for_record;

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
#[must_use = "it is neither waited for nor killed before `finish` or `complete`"]
pub struct Stopping<'e> {
    container: Container<'e>,
    generation: u64,
    init: Option<PidRef>,
    signal: Signal,
    grace: Option<Duration>,
    asked: Asked,
    cgroup_path: String,
    role: Role,
}

/// Whether the stop signal was sent.
#[derive(Debug)]
enum Asked {
    NotYet,
    /// To this process, which has until then.
    Waits(PidRef, Deadline),
    /// It was no more.
    Gone,
}

/// Who began the stop says so in the journal; who joined one does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    First,
    Joined,
    /// Not running: nothing to signal.
    Idle,
}

impl<'e> Container<'e> {
    /// Stops the container and cleans up after it (or removes it, when it is to go by itself).
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when it is paused or being removed, [`EngineError::Unkillable`].
    pub fn stop(&self, request: StopRequest) -> Result<StopOutcome, EngineError> {
        match self.begin_stop(request)? {
            Some(stopping) => stopping.complete(),
            None => Ok(StopOutcome::AlreadyStopped),
        }
    }

    /// The first half of [`Container::stop`]: the container is asked to stop and not waited for, so that several can be asked before the
    /// first one is waited for. `None`: it was to go by itself once its run was over, and has gone now.
    ///
    /// # Errors
    /// As [`Container::stop`].
    pub fn begin_stop(&self, request: StopRequest) -> Result<Option<Stopping<'e>>, EngineError> {
        let locked = match self.lock_with("stop", Leave::Restart) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let mut stopping = locked.begin_stop(request)?;
        stopping.ask()?;
        Ok(Some(stopping))
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
        let waits_for_start = self.status() == Status::Created;
        let facts = self.locked_record().edit();
        facts.stop_requested = Some(request.reason);
        // Whatever was to come is called off.
        facts.restart = None;
        let role = match self.status() {
            Status::Running | Status::Created => Role::First,
            // A stop that was killed has left no intent of a living process.
            Status::Stopping if self.record().intent().is_none() => Role::First,
            Status::Stopping => Role::Joined,
            Status::Configured | Status::Stopped | Status::Exited => Role::Idle,
            Status::Paused | Status::Removing => {
                self.save(&[])?;
                return Err(self.wrong_status(Operation::Stop));
            }
        };
        // Before anything is announced: who cannot reach the process must not leave it Stopping.
        let init = match role {
            Role::Idle => None,
            Role::First | Role::Joined => self.record().init().map(PidRef::open).transpose()?,
        };
        let seconds = request
            .timeout_s
            .unwrap_or_else(|| i64::from(self.config().stop_timeout_s));
        // There is no program yet that could obey.
        let seconds = if waits_for_start { 0 } else { seconds };
        let grace = u64::try_from(seconds).ok().map(Duration::from_secs);
        match role {
            Role::Idle => self.save(&[])?,
            Role::First | Role::Joined => self.announce_stop(request.reason, grace)?,
        }
        let config = self.config();
        Ok(Stopping {
            generation,
            init: init.flatten(),
            signal: config.stop_signal,
            grace,
            asked: Asked::NotYet,
            cgroup_path: config.cgroup_path.clone(),
            role,
            container: self.unlock(),
        })
    }

    fn announce_stop(
        &mut self,
        reason: StopReason,
        grace: Option<Duration>,
    ) -> Result<(), EngineError> {
        let actor = self.engine().config().actor.clone();
        let grace_ns = grace.and_then(|grace| i64::try_from(grace.as_nanos()).ok());
        let until_ns = grace_ns.map(|grace_ns| self.engine().now_ns().saturating_add(grace_ns));
        let facts = self.locked_record().edit();
        facts.ended_by = Some(actor);
        facts.stop_until_ns = until_ns;
        let events = match reason {
            StopReason::User | StopReason::Kill | StopReason::Shutdown => Vec::new(),
            StopReason::Restart => {
                self.plan_restart_now();
                vec![self.restart_event()]
            }
        };
        self.announce(IntentKind::Stop);
        self.advance(Trigger::BeginStop, &events)
    }
}

impl<'e> Stopping<'e> {
    /// Signals, waits, kills after the grace time, and takes the lock again.
    ///
    /// # Errors
    /// [`EngineError::Unkillable`]; the status stays Stopping, and a later stop, kill or removal goes on. Not found, when somebody
    /// has removed the container meanwhile.
    pub fn finish(mut self) -> Result<(LockedContainer<'e>, StopOutcome), EngineError> {
        if self.role == Role::Idle {
            return Ok((self.container.lock("stop")?, StopOutcome::AlreadyStopped));
        }
        let outcome = self.signal_then_kill()?;
        let mut locked = self.container.lock_with("stop", Leave::Removal)?;
        if locked.status() == Status::Stopping && locked.record().generation() == self.generation {
            // Its process has ended, and the monitor, which should have said so, does not: it is ended too, and then the record is
            // what there is.
            end_monitor(&locked.engine().run_dir(locked.id()))?;
            locked = reconcile(locked, Leave::Removal)?;
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

    /// The second half of [`Container::stop`].
    ///
    /// # Errors
    /// As [`Container::stop`].
    pub fn complete(self) -> Result<StopOutcome, EngineError> {
        let (locked, outcome) = match self.finish() {
            // Removed meanwhile: it does not run.
            Err(error) if error.is_not_found() => return Ok(StopOutcome::Stopped),
            other => other?,
        };
        locked.conclude()?;
        Ok(outcome)
    }

    /// Sends the stop signal, unless that was done or there is nothing to signal. The time that the container has begins now.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn ask(&mut self) -> Result<(), EngineError> {
        if self.role == Role::Idle || !matches!(self.asked, Asked::NotYet) {
            return Ok(());
        }
        let patience = self.grace.map_or_else(Deadline::never, Deadline::after);
        self.asked = match self.init.take() {
            None => Asked::Gone,
            // Killed at once: there is nothing to ask.
            Some(init) if self.grace == Some(Duration::ZERO) => Asked::Waits(init, patience),
            Some(init) => match init.signal(self.signal)? {
                Delivery::Gone => Asked::Gone,
                Delivery::Delivered => Asked::Waits(init, patience),
            },
        };
        Ok(())
    }

    fn signal_then_kill(&mut self) -> Result<StopOutcome, EngineError> {
        self.ask()?;
        let Asked::Waits(init, patience) = &self.asked else {
            // It has just ended by itself, and its monitor may still be about to say so.
            wait_for_record(&self.container, self.generation)?;
            return Ok(StopOutcome::Stopped);
        };
        let mut outcome = StopOutcome::Stopped;
        let asked = self.grace != Some(Duration::ZERO);
        if !asked || !init.wait(*patience)? {
            if asked {
                outcome = StopOutcome::Killed {
                    signal: self.signal,
                    waited_s: self.grace.unwrap_or_default().as_secs(),
                };
            }
            kill(&self.container, &self.cgroup_path, init)?;
        }
        wait_for_record(&self.container, self.generation)?;
        Ok(outcome)
    }
}

/// Sends the stop signal of a stop that was killed, perhaps before it had. What remains of its time is the container's; see [`is_overdue`].
pub(crate) fn ask_again(container: &LockedContainer<'_>) -> Result<(), EngineError> {
    let record = container.record();
    let waits = record.status() == Status::Stopping && record.facts().started_ns.is_some();
    let init = record.init().filter(|_| waits);
    if let Some(init) = init.map(PidRef::open).transpose()?.flatten() {
        init.signal(container.config().stop_signal)?;
    }
    Ok(())
}

/// Whether the time of a stop is over that nobody sees to any more: whoever began it was killed.
pub(crate) fn is_overdue(container: &LockedContainer<'_>) -> Result<bool, EngineError> {
    let record = container.record();
    let until_ns = record.facts().stop_until_ns;
    let over = until_ns.is_some_and(|until_ns| container.engine().now_ns() >= until_ns);
    if record.status() != Status::Stopping || !over {
        return Ok(false);
    }
    let owner = record.intent().map(ctr_state::Intent::owner_alive);
    Ok(!owner.transpose()?.unwrap_or(false))
}

/// Carries such a stop out to its end.
pub(crate) fn kill_overdue(container: &LockedContainer<'_>) -> Result<(), EngineError> {
    let init = container.record().init();
    if let Some(init) = init.map(PidRef::open).transpose()?.flatten() {
        let path = &container.config().cgroup_path;
        kill(&container.handle(), path, &init)?;
    }
    wait_for_record(&container.handle(), container.record().generation())
}

fn kill(container: &Container<'_>, cgroup_path: &str, init: &PidRef) -> Result<(), EngineError> {
    init.signal(Signal::KILL)?;
    // Somebody may have frozen it behind the engine's back, and version 1 of the control groups lets it die only when it goes on.
    let thawed = Cgroups::detect().and_then(|groups| groups.thaw_for_death(cgroup_path));
    // Where it dies all the same, nothing is wrong.
    match (await_death(container, init), thawed) {
        (Err(_), Err(error)) => Err(error.into()),
        (died, _) => died,
    }
}
