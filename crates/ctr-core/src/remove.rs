//! Removing a container.
//!
//! Stop and cleanup come first; then the status Removing is saved, which is the point of no return; then the files go, and the row last.
//! Whoever finds the status Removing goes on from there.

use ctr_events::EventKind;
use ctr_state::{ContainerId, IntentKind, Status, StopReason, Trigger};
use ctr_sys::{Signal, remove_tree};

use crate::container::{Container, LockedContainer};
use crate::create::{remove_cid_file, remove_pid_file};
use crate::error::EngineError;
use crate::reconcile::note_exit;
use crate::stop::StopRequest;

/// How often a container is stopped again for its removal while somebody else keeps starting it.
const STOP_ATTEMPTS: u32 = 100;

/// How a container is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveRequest {
    /// What happens to one that runs.
    pub mode: RemoveMode,
    /// Seconds to stop it in, see [`StopRequest::timeout_s`].
    pub timeout_s: Option<i64>,
}

/// What a removal does to a container that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveMode {
    /// Refuses it.
    Normal,
    /// Stops it; kills it when it is paused.
    Force,
}

/// A container that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its id.
    pub id: ContainerId,
}

impl Container<'_> {
    /// Removes the container.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] for one that runs, without [`RemoveMode::Force`].
    pub fn remove(&self, request: RemoveRequest) -> Result<Removed, EngineError> {
        let mut locked = self.lock("rm")?;
        for _ in 0..STOP_ATTEMPTS {
            match (locked.status(), request.mode) {
                (Status::Running | Status::Paused | Status::Stopping, RemoveMode::Normal) => {
                    return Err(locked.wrong_status("remove"));
                }
                // Whoever starts it again meanwhile has it stopped again.
                (Status::Running | Status::Paused | Status::Stopping, RemoveMode::Force) => {
                    locked = match stop_for_removal(locked, request) {
                        Err(error) if error.is_not_found() => {
                            return Ok(Removed {
                                id: self.id().clone(),
                            });
                        }
                        other => other?,
                    };
                }
                (
                    Status::Configured
                    | Status::Created
                    | Status::Stopped
                    | Status::Exited
                    | Status::Removing,
                    _,
                ) => return locked.remove_stopped(),
            }
        }
        Err(locked.wrong_status("remove"))
    }
}

/// Stops a container on the way to its removal. Somebody else may remove it while its lock is given up.
fn stop_for_removal(
    locked: LockedContainer<'_>,
    request: RemoveRequest,
) -> Result<LockedContainer<'_>, EngineError> {
    if locked.status() == Status::Paused {
        return locked.kill_and_wait(Signal::KILL);
    }
    let stopping = locked.begin_stop(StopRequest {
        timeout_s: request.timeout_s,
        reason: StopReason::User,
    })?;
    stopping.finish().map(|(locked, _)| locked)
}

impl LockedContainer<'_> {
    /// Removes a container that does not run.
    ///
    /// # Errors
    /// When something of it cannot be removed: then it stays, as `removing` once that was saved, and a removal goes on from there.
    pub fn remove_stopped(mut self) -> Result<Removed, EngineError> {
        let generation = self.record().generation();
        let _span =
            tracing::info_span!("remove", container = self.id().short(), generation).entered();
        let id = self.id().clone();
        if self.status() != Status::Removing {
            // The table first: what runs must not be torn down only to find that it may not be removed.
            if self.status().after(Trigger::BeginRemove).is_err() {
                return Err(self.wrong_status("remove"));
            }
            self.release_run(IntentKind::Remove)?;
            self.announce(IntentKind::Remove);
            let record = self.locked_record();
            record.advance(Trigger::BeginRemove)?;
            let durability = record.config().auto_remove.into();
            record.save(&[], durability)?;
        }
        finish(self)?;
        Ok(Removed { id })
    }
}

/// What is left to do once a removal may no longer be taken back: also how a creation is.
pub(crate) fn finish(mut container: LockedContainer<'_>) -> Result<(), EngineError> {
    let engine = container.engine();
    // A reboot or a kill may have come between.
    container.release_run(IntentKind::Remove)?;
    remove_tree(&engine.layout().container(container.id()))?;
    let config = container.config();
    if let Some(path) = &config.cid_file {
        remove_cid_file(path, &config.id)?;
    }
    if let Some(path) = &config.pid_file {
        remove_pid_file(path)?;
    }
    let mut event = container.event(EventKind::Remove);
    note_exit(&mut event, container.record().exit());
    Ok(container.into_record().remove(event)?)
}
