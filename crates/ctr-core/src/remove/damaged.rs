//! Removing a container whose record cannot be read, by what bears its id: run directory, control group, directory, lock, rows.
//!
//! What only its record names stays: mount points that a runtime has made in a plain root, and the files of `--pidfile` and `--cidfile`.

use std::collections::BTreeMap;
use std::time::Duration;

use ctr_events::{EventKind, NewEvent, Subject, SubjectKind};
use ctr_state::{ContainerId, StateError};
use ctr_sys::{Cgroups, Deadline, remove_tree};

use super::RemoveMode;
use crate::container::Container;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::release::end_monitor;

/// How long processes that were killed may take to end.
const END_WAIT: Duration = Duration::from_secs(10);

impl Container<'_> {
    /// After a removal has failed with `error`: removes the container all the same, where that was because it cannot be read and it is to
    /// be removed by force.
    pub(super) fn remove_unreadable(
        &self,
        mode: RemoveMode,
        error: EngineError,
    ) -> Result<(), EngineError> {
        let unreadable =
            matches!(&error, EngineError::State(StateError::Corrupt { id, .. }) if id == self.id());
        match mode {
            RemoveMode::Force if unreadable => {}
            RemoveMode::Force | RemoveMode::Normal => return Err(error),
        }
        let (engine, id) = (self.engine(), self.id());
        let _span = tracing::info_span!("remove unreadable", container = id.short()).entered();
        let event = engine.event_by_id(EventKind::Remove, self.name()?, id);
        let removed =
            engine
                .store()
                .remove_corrupt(id, "rm", engine.lock_deadline(), event, || {
                    release_by_id(engine, id)
                });
        match removed {
            // Its monitor may have had it removed, or somebody else.
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }
}

/// Ends what runs and removes all that lies under the id. The lock is held.
fn release_by_id(engine: &Engine, id: &ContainerId) -> Result<(), EngineError> {
    let run_dir = engine.run_dir(id);
    end_monitor(&run_dir)?;
    Cgroups::detect()?.clear(&engine.cgroup_path(id), Deadline::after(END_WAIT))?;
    remove_tree(&run_dir)?;
    remove_tree(&engine.layout().container(id))?;
    Ok(())
}

impl Engine {
    /// An event about a container of which nothing more is known.
    fn event_by_id(&self, kind: EventKind, name: String, id: &ContainerId) -> NewEvent {
        NewEvent {
            time_ns: self.now_ns(),
            kind,
            subject: Subject {
                kind: SubjectKind::Container,
                id: id.to_string(),
                name,
                image: String::new(),
            },
            generation: 0,
            actor: self.config().actor.clone(),
            attributes: BTreeMap::new(),
        }
    }
}
