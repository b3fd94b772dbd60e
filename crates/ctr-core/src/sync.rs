//! Asking the runtime how a container is, beside the kernel, which every operation asks anyway.

use ctr_events::EventKind;
use ctr_oci::{RuntimeState, RuntimeStatus};
use ctr_state::{Status, Trigger};

use crate::container::{Container, LockedContainer};
use crate::error::EngineError;
use crate::probe::is_active;

impl Container<'_> {
    /// Takes in what has happened, and what the container's runtime says of it, and returns the status.
    ///
    /// # Errors
    /// When it is gone; otherwise as [`LockedContainer::sync`].
    pub fn sync(&self) -> Result<Status, EngineError> {
        self.lock("sync")?.sync()
    }
}

impl LockedContainer<'_> {
    /// As [`Container::sync`]. A runtime may know that somebody has frozen the container without the engine, or let it go on. That
    /// its program has ended is only believed when the kernel says so, too.
    ///
    /// # Errors
    /// [`EngineError::Runtime`] when the runtime cannot be asked.
    pub fn sync(&mut self) -> Result<Status, EngineError> {
        let generation = self.record().generation();
        let _span =
            tracing::info_span!("sync", container = self.id().short(), generation).entered();
        if !is_active(self.status()) {
            return Ok(self.status());
        }
        let state = self.in_runtime(|runtime, target| runtime.state(target))?;
        let triggers = moves(self.status(), &state);
        if triggers.is_empty() {
            return Ok(self.status());
        }
        let event = self.event(EventKind::Sync);
        if triggers.contains(&Trigger::Start) {
            let now = self.engine().now_ns();
            self.locked_record().edit().started_ns = Some(now);
        }
        for trigger in triggers {
            self.locked_record().advance(*trigger)?;
        }
        self.save(&[event])?;
        Ok(self.status())
    }
}

/// The moves from what is recorded to what the runtime says.
fn moves(status: Status, state: &RuntimeState) -> &'static [Trigger] {
    match (status, state.status) {
        (Status::Running, RuntimeStatus::Paused) => &[Trigger::Pause],
        (Status::Paused, RuntimeStatus::Running) => &[Trigger::Unpause],
        (Status::Created, RuntimeStatus::Running) => &[Trigger::Start],
        (Status::Created, RuntimeStatus::Paused) => &[Trigger::Start, Trigger::Pause],
        (
            Status::Configured
            | Status::Created
            | Status::Running
            | Status::Paused
            | Status::Stopping
            | Status::Stopped
            | Status::Exited
            | Status::Removing,
            RuntimeStatus::Creating
            | RuntimeStatus::Created
            | RuntimeStatus::Running
            | RuntimeStatus::Stopped
            | RuntimeStatus::Paused,
        ) => &[],
    }
}
