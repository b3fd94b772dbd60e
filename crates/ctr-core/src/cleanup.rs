//! Cleaning up after a run: whatever the command that a monitor starts does, any other command can do.

use ctr_events::EventKind;
use ctr_state::{AutoRemove, IntentKind, Status, Trigger};

use crate::container::{Container, LockedContainer};
use crate::error::EngineError;
use crate::release::{Leftovers, release};

/// Which cleanup is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupRequest {
    /// Only after this run: one that somebody has started meanwhile is left alone. `None`: after whichever has ended.
    pub generation: Option<u64>,
}

impl Container<'_> {
    /// Records the exit of a run that has ended, gives back everything it held, and removes the container when it is to go by itself.
    /// Nothing to do is success.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when the container runs.
    pub fn cleanup(&self, request: CleanupRequest) -> Result<(), EngineError> {
        let mut locked = match self.lock("cleanup") {
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
        match locked.status() {
            Status::Configured => Ok(()),
            Status::Stopped | Status::Exited => match locked.config().auto_remove {
                AutoRemove::Yes => locked.remove_stopped().map(drop),
                AutoRemove::No if locked.status() == Status::Stopped => locked.cleanup(),
                AutoRemove::No => Ok(()),
            },
            Status::Created | Status::Running | Status::Paused | Status::Stopping => {
                Err(locked.wrong_status("clean up after"))
            }
            Status::Removing => locked.remove_stopped().map(drop),
        }
    }
}

impl LockedContainer<'_> {
    /// From Stopped to Exited.
    ///
    /// # Errors
    /// When something of the run cannot be given back; the status stays, and the next cleanup tries again.
    pub fn cleanup(&mut self) -> Result<(), EngineError> {
        let generation = self.record().generation();
        let _span =
            tracing::info_span!("cleanup", container = self.id().short(), generation).entered();
        self.release_run(IntentKind::Cleanup)?;
        self.locked_record().set_intent(None);
        let event = self.event(EventKind::Cleanup);
        self.advance(Trigger::Cleaned, &[event])
    }

    /// Gives back what the run holds; the record says so with its next save. No intent is saved for it: the status (Stopped) already
    /// says that it is to be done, and the steps go by what is there.
    pub(crate) fn release_run(&mut self, next: IntentKind) -> Result<(), EngineError> {
        let engine = self.engine();
        self.announce(next);
        release(engine, &Leftovers::of(self.locked_record()))?;
        let facts = self.locked_record().edit();
        facts.created_paths.clear();
        Ok(())
    }
}
