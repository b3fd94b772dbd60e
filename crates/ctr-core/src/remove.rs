//! Removing a container.
//!
//! Stop and cleanup come first; then the status Removing is saved, which is the point of no return; then the files go, and the row last.
//! Whoever finds the status Removing goes on from there.

mod damaged;

use ctr_events::EventKind;
use ctr_state::{
    AutoRemove, Config, ContainerId, IntentKind, Operation, StateError, Status, StopReason, Trigger,
};
use ctr_sys::{Signal, remove_tree};

use crate::container::{Container, LockedContainer};
use crate::create::{remove_cid_file, remove_pid_file};
use crate::dependencies::dependents;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::reconcile::{Leave, note_exit};
use crate::stop::StopRequest;
use crate::wait::wait_for_record;

/// How often a container is stopped again for its removal while somebody else keeps starting it.
const STOP_ATTEMPTS: u32 = 100;

/// How a container is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveRequest {
    /// What happens to one that runs.
    pub mode: RemoveMode,
    /// Seconds to stop it in, see [`StopRequest::timeout_s`].
    pub timeout_s: Option<i64>,
    /// What happens to containers that need it.
    pub dependents: Dependents,
}

/// What a removal does to containers that need the one that is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependents {
    /// They keep it from being removed.
    Refuse,
    /// They are removed in the same way, before it.
    RemoveToo,
}

/// What a removal does to a container that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoveMode {
    /// Refuses it.
    Normal,
    /// Stops it; kills it when it is paused. One whose record cannot be read is killed, and what lies under its id removed.
    Force,
}

/// A container that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its id.
    pub id: ContainerId,
}

impl Container<'_> {
    /// Removes the container; returns those that were removed, in that order, itself last.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] for one that runs, without [`RemoveMode::Force`]; [`EngineError::Needed`] when others need it, without
    /// [`Dependents::RemoveToo`]. It is unchanged then.
    pub fn remove(&self, request: RemoveRequest) -> Result<Vec<Removed>, EngineError> {
        let mut removed = Vec::new();
        // Somebody may create another one that needs it, meanwhile.
        for _ in 0..STOP_ATTEMPTS {
            let needing = dependents(self.engine(), self.id())?;
            match (needing.is_empty(), request.dependents) {
                (true, _) => {}
                (false, Dependents::Refuse) => return Err(self.needed(needing)),
                (false, Dependents::RemoveToo) => {
                    self.check_removable(&needing, request.mode)?;
                    for (id, _) in needing {
                        match self.engine().container(&id).remove_or_clear(request) {
                            Ok(()) => removed.push(Removed { id }),
                            Err(error) if error.is_not_found() => {}
                            Err(error) => return Err(error),
                        }
                    }
                }
            }
            match self.remove_or_clear(request) {
                Err(EngineError::State(StateError::InUse { .. })) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    let id = self.id().clone();
                    removed.push(Removed { id });
                    return Ok(removed);
                }
            }
        }
        Err(self.needed(dependents(self.engine(), self.id())?))
    }

    /// Refuses all before the first one is removed.
    fn check_removable(
        &self,
        needing: &[(ContainerId, String)],
        mode: RemoveMode,
    ) -> Result<(), EngineError> {
        let operation = match mode {
            RemoveMode::Normal => Operation::Remove,
            RemoveMode::Force => Operation::RemoveByForce,
        };
        let ids = needing.iter().map(|(id, _)| id).chain([self.id()]);
        for id in ids {
            match self.engine().container(id).lock_with("rm", Leave::Restart) {
                Ok(locked) => locked.allow(operation)?,
                Err(error) if error.is_not_found() => {}
                Err(EngineError::State(StateError::Corrupt { .. }))
                    if mode == RemoveMode::Force => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn needed(&self, by: Vec<(ContainerId, String)>) -> EngineError {
        let name = self.name();
        EngineError::Needed {
            name: name.unwrap_or_else(|_| self.id().short().to_owned()),
            // In the order of their creation.
            by: by.into_iter().rev().map(|(_, name)| name).collect(),
        }
    }

    fn remove_or_clear(&self, request: RemoveRequest) -> Result<(), EngineError> {
        self.remove_alone(request)
            .or_else(|error| self.remove_unreadable(request.mode, error))
    }

    fn remove_alone(&self, request: RemoveRequest) -> Result<(), EngineError> {
        let mut locked = self.lock_with("rm", Leave::Restart)?;
        for _ in 0..STOP_ATTEMPTS {
            match locked.status() {
                Status::Running | Status::Paused | Status::Stopping => match request.mode {
                    RemoveMode::Normal => return Err(locked.wrong_status(Operation::Remove)),
                    // Whoever starts it again meanwhile has it stopped again.
                    RemoveMode::Force => {
                        locked = match stop_for_removal(locked, request) {
                            Err(error) if error.is_not_found() => return Ok(()),
                            other => other?,
                        };
                    }
                },
                Status::Configured
                | Status::Created
                | Status::Stopped
                | Status::Exited
                | Status::Removing => return locked.remove_stopped().map(drop),
            }
        }
        Err(locked.wrong_status(Operation::Remove))
    }
}

/// Stops a container on the way to its removal. Somebody else may remove it while its lock is given up.
fn stop_for_removal(
    locked: LockedContainer<'_>,
    request: RemoveRequest,
) -> Result<LockedContainer<'_>, EngineError> {
    if locked.status() == Status::Paused {
        let container = locked.handle();
        let generation = locked.record().generation();
        return match locked.kill_and_wait(Signal::KILL) {
            // Somebody else's signal has ended it just now, and its monitor is about to say so.
            Err(EngineError::WrongStatus { .. }) => {
                wait_for_record(&container, generation)?;
                container.lock_with("rm", Leave::Removal)
            }
            other => other,
        };
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
                return Err(self.wrong_status(Operation::Remove));
            }
            // Nobody who needs it must lose it; asked again when the point of no return is saved.
            let needing = dependents(self.engine(), &id)?;
            if !needing.is_empty() {
                return Err(self.handle().needed(needing));
            }
            self.release_run(IntentKind::Remove)?;
            self.announce(IntentKind::Remove);
            let record = self.locked_record();
            record.advance(Trigger::BeginRemove)?;
            let durability = record.config().auto_remove.into();
            record.save(&[], durability)?;
        }
        let engine = self.engine();
        let needed = self.config().dependencies();
        finish(self)?;
        for needed in &needed {
            let_go(engine, needed);
        }
        Ok(Removed { id })
    }
}

/// Removes a container that was to go by itself and was kept only because the one that was just removed needed it. Taking its lock is
/// enough; what fails is tried again by the next command that does.
fn let_go(engine: &Engine, id: &ContainerId) {
    let Ok(snapshot) = engine.store().snapshot(id) else {
        return;
    };
    let to_go = |config: &Config| config.auto_remove == AutoRemove::Yes;
    if snapshot.config().is_ok_and(to_go)
        && let Err(error) = engine.container(id).lock("rm")
    {
        tracing::debug!(container = %id, %error, "nobody needs it any more");
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
