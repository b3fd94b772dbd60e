//! Making a container anew in the status it has: for one whose processes, mounts or control group somebody has meddled with.

use ctr_events::EventKind;
use ctr_state::{Operation, Status, StopReason};

use crate::container::{Container, LockedContainer};
use crate::error::EngineError;
use crate::reconcile::{Leave, take_back};
use crate::stop::StopRequest;

impl Container<'_> {
    /// Stops the container if it runs, gives back everything its run holds, and brings it back into the status it had: running, paused
    /// or only made. One that does not run is cleaned up after.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when it is stopping or being removed; otherwise those of a stop and of a start. Nothing of the old
    /// run is left when the new one cannot be begun.
    pub fn refresh(&self) -> Result<(), EngineError> {
        let mut locked = self.lock("refresh")?;
        let generation = locked.record().generation();
        let _span =
            tracing::info_span!("refresh", container = self.id().short(), generation).entered();
        locked.allow(Operation::Refresh)?;
        match locked.status() {
            Status::Configured | Status::Exited => {}
            Status::Stopped => locked.cleanup()?,
            Status::Created => {
                locked.check_dependencies()?;
                take_back(&mut locked, "it was made anew")?;
                locked.initialize()?;
            }
            Status::Running => {
                locked.check_dependencies()?;
                locked = self.run_anew(locked)?;
            }
            Status::Paused => {
                locked.check_dependencies()?;
                locked.unpause()?;
                locked = self.run_anew(locked)?;
                locked.pause()?;
            }
            Status::Stopping | Status::Removing => {
                return Err(locked.wrong_status(Operation::Refresh));
            }
        }
        let event = locked.event(EventKind::Refresh);
        locked.save(&[event])
    }

    fn run_anew<'e>(
        &self,
        locked: LockedContainer<'e>,
    ) -> Result<LockedContainer<'e>, EngineError> {
        let container = locked.handle();
        let stopping = locked.begin_stop(StopRequest {
            timeout_s: None,
            reason: StopReason::Restart,
        })?;
        let (locked, _) = stopping.finish()?;
        self.start_after_stop(locked)?;
        container.lock_with("refresh", Leave::Restart)
    }
}
