//! Cleaning up after a run: whatever the command that a monitor starts does, any other command can do.

use ctr_events::EventKind;
use ctr_state::{IntentKind, Operation, Status, Trigger};
use ctr_sys::PidStamp;

use crate::container::{Container, LockedContainer};
use crate::error::EngineError;
use crate::exec::TakeIn;
use crate::reconcile::{Leave, take_back};
use crate::release::{Leftovers, end_monitor, release};
use crate::restart::RestartDuty;

/// Which cleanup is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupRequest {
    /// Only after this run: one that somebody has started meanwhile is left alone. `None`: after whichever has ended.
    pub generation: Option<u64>,
    /// What of a container that has not run is cleaned up.
    pub scope: CleanupScope,
    /// What becomes of the container itself afterwards.
    pub removal: AfterCleanup,
    /// Who starts it again, if its policy says so.
    pub restart: RestartDuty,
}

/// What is cleaned up after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanupScope {
    /// Runs that have ended.
    Ended,
    /// Those, and what [`Container::init`] has made and nobody has started.
    All,
}

/// What becomes of a container that was cleaned up after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterCleanup {
    /// It goes if it was made to go by itself.
    AsCreated,
    /// It goes, unless its policy starts it again.
    Remove,
}

impl CleanupRequest {
    /// After whatever has ended, with nothing more than what the container was made for.
    pub const ENDED: Self = Self {
        generation: None,
        scope: CleanupScope::Ended,
        removal: AfterCleanup::AsCreated,
        restart: RestartDuty::HandedOn,
    };
}

impl Container<'_> {
    /// Records the exit of a run that has ended, decides whether the container is started again, gives back everything the run held,
    /// and removes the container when it is to go by itself. Nothing to do is success.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when the container runs; those of a start, with [`RestartDuty::Here`].
    pub fn cleanup(&self, request: CleanupRequest) -> Result<(), EngineError> {
        let locked = match self.lock_with("cleanup", Leave::Restart) {
            Ok(locked) => locked,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        let generation = locked.record().generation();
        if request
            .generation
            .is_some_and(|wanted| wanted != generation)
        {
            return Ok(());
        }
        match locked.clean_as(request)? {
            Then::Nothing => Ok(()),
            Then::Restart => self.carry_out_restart(),
        }
    }
}

/// What a cleanup leaves to be done without the lock.
enum Then {
    Nothing,
    Restart,
}

impl LockedContainer<'_> {
    fn clean_as(mut self, request: CleanupRequest) -> Result<Then, EngineError> {
        let owner = match request.restart {
            RestartDuty::Here => Some(self.engine().owner()),
            RestartDuty::HandedOn => None,
        };
        match (self.status(), request.scope) {
            (Status::Removing, _) => return self.remove_stopped().map(|_| Then::Nothing),
            (Status::Stopped, _) => self.clean_up(owner)?,
            (Status::Created, CleanupScope::All) => {
                take_back(&mut self, "it was cleaned up before it was started")?;
            }
            (Status::Exited | Status::Configured, _) => {}
            (Status::Created, CleanupScope::Ended)
            | (Status::Running | Status::Paused | Status::Stopping, _) => {
                return Err(self.wrong_status(Operation::Cleanup));
            }
        }
        if self.will_restart() {
            return self.see_to_restart(owner);
        }
        let over = self.status() == Status::Exited;
        if self.is_to_go()? || (over && request.removal == AfterCleanup::Remove) {
            self.remove_stopped()?;
        }
        Ok(Then::Nothing)
    }

    /// Takes a start that is to come over from a process that is gone, if it is this one's to see to.
    fn see_to_restart(mut self, owner: Option<PidStamp>) -> Result<Then, EngineError> {
        let Some(pending) = self.record().restart().cloned() else {
            return Ok(Then::Nothing);
        };
        if owner.is_none() {
            self.hand_restart_on()?;
            return Ok(Then::Nothing);
        }
        if pending.owner != owner {
            if pending.owner_alive()? {
                return Ok(Then::Nothing);
            }
            let facts = self.locked_record().edit();
            facts.restart = Some(ctr_state::PendingRestart { owner, ..pending });
            self.save(&[])?;
        }
        Ok(Then::Restart)
    }

    /// From Stopped to Exited. If the policy starts the container again, that is planned in the same transaction and handed on to a
    /// process of its own.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when there is no run that has ended; it is unchanged then. When something of the run cannot be given
    /// back, the status stays, and the next cleanup tries again.
    pub fn cleanup(&mut self) -> Result<(), EngineError> {
        // First: what runs must not be torn down only to find that there was nothing to clean up.
        if self.status() != Status::Stopped {
            return Err(self.wrong_status(Operation::Cleanup));
        }
        self.clean_up(None)?;
        self.hand_restart_on()
    }

    /// What follows a run that is over: the container goes, if it is to go by itself, or is cleaned up after. Nothing, if it is not over.
    pub(crate) fn conclude(mut self) -> Result<(), EngineError> {
        if self.is_to_go()? {
            self.remove_stopped().map(drop)
        } else if self.status() == Status::Stopped {
            self.cleanup()
        } else {
            Ok(())
        }
    }

    /// As [`LockedContainer::cleanup`], for a start that follows at once: nothing is planned.
    pub(crate) fn clean_for_start(&mut self) -> Result<(), EngineError> {
        self.finish_run(|_| {})
    }

    fn clean_up(&mut self, owner: Option<PidStamp>) -> Result<(), EngineError> {
        self.finish_run(|container| {
            if container.record().restart().is_none() {
                container.plan_restart(owner);
            }
        })
    }

    fn finish_run(&mut self, plan: impl FnOnce(&mut Self)) -> Result<(), EngineError> {
        let generation = self.record().generation();
        let _span =
            tracing::info_span!("cleanup", container = self.id().short(), generation).entered();
        self.release_run(IntentKind::Cleanup)?;
        self.locked_record().set_intent(None);
        plan(self);
        let event = self.event(EventKind::Cleanup);
        self.advance(Trigger::Cleaned, &[event])
    }

    /// Gives back what the run holds; the record says so with its next save. That it is about to be given back is saved before, unless
    /// the status (Stopped) already says so; the steps go by what is there.
    pub(crate) fn release_run(&mut self, next: IntentKind) -> Result<(), EngineError> {
        let engine = self.engine();
        self.announce(next);
        if self.status() == Status::Created {
            self.save(&[])?;
        }
        // Once the monitor has ended, it writes nothing more about exec sessions.
        end_monitor(&engine.run_dir(self.id()))?;
        self.take_in_sessions(TakeIn::All);
        let left = release(engine, &Leftovers::of(self.locked_record()))?;
        let facts = self.locked_record().edit();
        facts.created_paths = left;
        Ok(())
    }
}
