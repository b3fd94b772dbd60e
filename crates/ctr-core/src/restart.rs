//! Starting a container again: because somebody asks for it, or because its policy says so.
//!
//! Both leave in the record that a start is to come, and which process sees to it, before anything else happens. If that process is
//! killed, whoever takes the container's lock next hands the start on to a process of its own
//! ([`Container::cleanup`] with [`RestartDuty::Here`](crate::RestartDuty::Here)). A stop, a removal or another start calls it off.

use ctr_events::EventKind;
use ctr_monitor::files;
use ctr_monitor::protocol::CleanupCommand;
use ctr_state::{AutoRemove, Operation, PendingRestart, StartReason, Status, StopReason};
use ctr_sys::{Cgroups, Liveness, PidStamp};

use crate::container::{Container, LockedContainer};
use crate::engine::{Engine, MONITOR_CGROUP};
use crate::error::EngineError;
use crate::policy;
use crate::reconcile::Leave;
use crate::start::StartRequest;
use crate::stop::{StopOutcome, StopRequest};
use crate::watch::LockWatch;

/// How a container is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartRequest {
    /// Seconds to stop it in, see [`StopRequest::timeout_s`].
    pub timeout_s: Option<i64>,
}

/// What a restart led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarted {
    /// It ran, and obeyed or was killed.
    Stopped(StopOutcome),
    /// It did not run.
    Started,
}

/// Whose the start is that a cleanup finds to be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartDuty {
    /// The caller's: it waits for the moment and starts the container. For a process of its own: it moves into the control group of the
    /// monitors, because it stays beside the container as they do.
    Here,
    /// That of a process which the engine starts for it.
    HandedOn,
}

impl Container<'_> {
    /// Stops the container if it runs, and starts it. Containers that it needs must be there; they are not started.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when it is paused, stopping or being removed; otherwise those of [`Container::stop`] and
    /// [`Container::start`].
    pub fn restart(&self, request: RestartRequest) -> Result<Restarted, EngineError> {
        let locked = self.lock_with("restart", Leave::Restart)?;
        let _span = tracing::info_span!("restart", container = self.id().short()).entered();
        locked.allow(Operation::Restart)?;
        // What it needs is looked at before it is stopped, so that a restart that cannot work leaves it running.
        locked.check_dependencies()?;
        if locked.status() != Status::Running {
            locked.start_again(StartReason::Restart)?;
            return Ok(Restarted::Started);
        }
        let stopping = locked.begin_stop(StopRequest {
            timeout_s: request.timeout_s,
            reason: StopReason::Restart,
        })?;
        let (locked, outcome) = match stopping.finish() {
            Ok(stopped) => stopped,
            Err(error) => {
                self.call_own_restart_off()?;
                return Err(error);
            }
        };
        self.start_after_stop(locked)?;
        Ok(Restarted::Stopped(outcome))
    }

    /// Forgets the start that this process has announced: it has said that it failed.
    fn call_own_restart_off(&self) -> Result<(), EngineError> {
        let mut locked = match self.lock_with("restart", Leave::Restart) {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        };
        let own = Some(locked.engine().owner());
        let planned = locked.record().restart();
        if planned.is_some_and(|planned| planned.owner == own) {
            locked.locked_record().edit().restart = None;
            locked.save(&[])?;
        }
        Ok(())
    }

    /// The second half of a restart, unless somebody has called it off, or done it, meanwhile.
    pub(crate) fn start_after_stop(&self, locked: LockedContainer<'_>) -> Result<(), EngineError> {
        if locked.status() == Status::Running {
            return Ok(());
        }
        let own = Some(locked.engine().owner());
        let planned = locked.record().restart().cloned();
        let Some(planned) = planned.filter(|planned| planned.owner == own) else {
            return Err(EngineError::CalledOff {
                name: locked.name().to_string(),
                operation: Operation::Restart,
            });
        };
        let started = locked.start_again(planned.reason);
        if started.is_err() {
            // Nobody else is to try it later: this command says that it failed.
            self.plan_another_attempt(&planned)?;
        }
        started
    }

    /// Waits for the moment of a start that this process sees to, and starts the container; again and again, as long as that fails
    /// and the policy wants another attempt. Returns when the container runs or the start was called off.
    pub(crate) fn carry_out_restart(&self) -> Result<(), EngineError> {
        // Where there is no such group it stays where it is: that is no reason not to start anything.
        if let Ok(cgroups) = Cgroups::detect() {
            cgroups.enter(MONITOR_CGROUP).ok();
        }
        loop {
            let Some(pending) = self.await_restart()? else {
                return Ok(());
            };
            let locked = match self.lock_with("restart", Leave::Restart) {
                Err(error) if error.is_not_found() => return Ok(()),
                other => other?,
            };
            if locked.record().restart() != Some(&pending) {
                return Ok(());
            }
            let Err(error) = locked.start_again(pending.reason) else {
                return Ok(());
            };
            tracing::warn!(container = %self.id(), %error, "a restart failed");
            if !self.plan_another_attempt(&pending)? {
                return Err(error);
            }
        }
    }

    /// After an attempt that failed: whether there is another one, by this process or by one that somebody has started for it.
    fn plan_another_attempt(&self, last: &PendingRestart) -> Result<bool, EngineError> {
        let mut locked = match self.lock_with("restart", Leave::Restart) {
            Err(error) if error.is_not_found() => return Ok(false),
            other => other?,
        };
        let Some(pending) = locked.record().restart().cloned() else {
            return Ok(false);
        };
        let owner = Some(locked.engine().owner());
        if pending == *last {
            // An attempt that failed before it became a run has left the record as it was.
            locked.locked_record().edit().restart = None;
            let again = last.reason == StartReason::Policy && locked.status() == Status::Exited;
            let planned = again && locked.plan_restart(owner);
            locked.save(&[])?;
            return Ok(planned);
        }
        if pending.owner.is_none() {
            // Planned when the run that failed was taken back.
            let facts = locked.locked_record().edit();
            facts.restart = Some(PendingRestart { owner, ..pending });
            locked.save(&[])?;
        }
        Ok(true)
    }

    /// The start that this process sees to, once its moment has come; `None` when it is this process's no more.
    fn await_restart(&self) -> Result<Option<PendingRestart>, EngineError> {
        let engine = self.engine();
        loop {
            let watch = LockWatch::new(engine, self.id())?;
            let snapshot = match self.snapshot() {
                Err(error) if error.is_not_found() => return Ok(None),
                other => other?,
            };
            let pending = snapshot.record()?.restart().cloned();
            let ours = pending.filter(|pending| pending.owner == Some(engine.owner()));
            let Some(pending) = ours else {
                return Ok(None);
            };
            let due = engine.deadline_at(Some(pending.at_ns));
            if due.expired() {
                return Ok(Some(pending));
            }
            watch.wait(due)?;
        }
    }
}

impl LockedContainer<'_> {
    /// Plans the start that the policy wants after the run that is over, to be saved by the caller; whether it wants one.
    pub(crate) fn plan_restart(&mut self, owner: Option<PidStamp>) -> bool {
        let Some(delay) = policy::delay(self.config().restart, self.record().facts()) else {
            return false;
        };
        let engine = self.engine();
        let delay_ns = i64::try_from(delay.as_nanos()).unwrap_or(i64::MAX);
        let pending = PendingRestart {
            at_ns: engine.now_ns().saturating_add(delay_ns),
            reason: StartReason::Policy,
            owner,
            boot_id: engine.boot_id().clone(),
        };
        let facts = self.locked_record().edit();
        facts.backoff_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        facts.restart = Some(pending);
        true
    }

    /// That a restart was asked for, to be saved by the caller: if this process does not get to it, another one will.
    pub(crate) fn plan_restart_now(&mut self) {
        let engine = self.engine();
        let pending = PendingRestart {
            at_ns: engine.now_ns(),
            reason: StartReason::Restart,
            owner: Some(engine.owner()),
            boot_id: engine.boot_id().clone(),
        };
        self.locked_record().edit().restart = Some(pending);
    }

    /// Starts the container in the background.
    pub(crate) fn start_again(self, reason: StartReason) -> Result<(), EngineError> {
        self.start(StartRequest::in_background(reason)).map(drop)
    }

    /// The event that a restart begins with.
    pub(crate) fn restart_event(&self) -> ctr_events::NewEvent {
        self.event(EventKind::Restart)
    }

    /// Whether the container is to be started again: then it is not removed, even if it is to go by itself after its run.
    pub(crate) fn will_restart(&self) -> bool {
        let to_be_planned = self.status() == Status::Stopped;
        self.record().restart().is_some()
            || (to_be_planned
                && policy::delay(self.config().restart, self.record().facts()).is_some())
    }

    /// Whether the container is to go now that its run is over: by itself, and not while others need it.
    pub(crate) fn is_to_go(&self) -> Result<bool, EngineError> {
        let over = matches!(self.status(), Status::Stopped | Status::Exited);
        if !over || self.config().auto_remove == AutoRemove::No || self.will_restart() {
            return Ok(false);
        }
        let snapshot = self.engine().store().snapshot(self.id())?;
        Ok(snapshot.dependents().is_empty())
    }

    /// Drops a start that was planned before the machine was started anew: what starts then is decided by [`crate::Engine::boot`].
    pub(crate) fn drop_stale_restart(&mut self) -> Result<(), EngineError> {
        let boot = self.engine().boot_id();
        let stale = |pending: &PendingRestart| pending.boot_id != *boot;
        if !self.record().restart().is_some_and(stale) {
            return Ok(());
        }
        self.locked_record().edit().restart = None;
        self.save(&[])
    }

    /// Whether this process has announced a restart whose start is now to come.
    pub(crate) fn is_second_half_of_restart(&self) -> bool {
        let own = Some(self.engine().owner());
        self.record()
            .restart()
            .is_some_and(|pending| (pending.reason, pending.owner) == (StartReason::Restart, own))
    }

    /// Hands a start that is to come, and that nobody alive sees to, on to a process of its own.
    pub(crate) fn hand_restart_on(&mut self) -> Result<(), EngineError> {
        if !self.needs_somebody_to_restart_it()? {
            return Ok(());
        }
        let engine = self.engine();
        let command = engine.cleanup_command(self.id(), self.record().generation());
        if let Err(error) = command.launch(&command.program) {
            // The next command that takes the lock tries again.
            tracing::warn!(container = %self.id(), %error, "nobody sees to the restart");
        }
        Ok(())
    }

    fn needs_somebody_to_restart_it(&self) -> Result<bool, EngineError> {
        match (self.status(), self.record().restart()) {
            (Status::Exited, Some(pending)) => Ok(!pending.owner_alive()?),
            // Whoever cleans up is started by the monitor: one that is gone has done so, or was killed before.
            (Status::Stopped, _) if self.will_restart() => {
                let alive = self.engine().run_dir(self.id()).join(files::ALIVE);
                Ok(Liveness::probe(&alive)?.is_none())
            }
            (
                Status::Configured
                | Status::Created
                | Status::Running
                | Status::Paused
                | Status::Stopping
                | Status::Stopped
                | Status::Exited
                | Status::Removing,
                _,
            ) => Ok(false),
        }
    }
}

impl Engine {
    /// The command that cleans up after a run, and sees to the restart that follows.
    pub(crate) fn cleanup_command(
        &self,
        id: &ctr_state::ContainerId,
        generation: u64,
    ) -> CleanupCommand {
        let mut args = self.config().engine_args.clone();
        let words = ["container", "cleanup", "--stopped-only", "--generation"];
        args.extend(words.map(str::to_owned));
        args.extend([generation.to_string(), id.to_string()]);
        CleanupCommand {
            program: self.config().program.clone(),
            args,
        }
    }
}
