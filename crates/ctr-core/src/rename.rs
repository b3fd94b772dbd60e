//! Giving a container another name.

use ctr_events::EventKind;
use ctr_state::{ContainerName, Operation};

use crate::container::{Container, LockedContainer};
use crate::error::EngineError;

/// The attribute of the event with the name that the container had before.
const OLD_NAME: &str = "oldName";

impl Container<'_> {
    /// Gives the container another name. What a run has got of the old one (its host name, its log) it keeps until the next one.
    ///
    /// # Errors
    /// As [`LockedContainer::rename`].
    pub fn rename(&self, name: &ContainerName) -> Result<(), EngineError> {
        self.lock("rename")?.rename(name)
    }
}

impl LockedContainer<'_> {
    /// As [`Container::rename`]. The name that it has already is fine.
    ///
    /// # Errors
    /// [`NameInUse`](ctr_state::StateError::NameInUse) inside [`EngineError::State`]; [`EngineError::WrongStatus`] when it is being
    /// removed.
    pub fn rename(&mut self, name: &ContainerName) -> Result<(), EngineError> {
        let generation = self.record().generation();
        let _span =
            tracing::info_span!("rename", container = self.id().short(), generation).entered();
        self.allow(Operation::Rename)?;
        let old = self.name().clone();
        if old == *name {
            return Ok(());
        }
        let mut event = self.event(EventKind::Rename);
        event.subject.name = name.to_string();
        event
            .attributes
            .insert(OLD_NAME.to_owned(), old.to_string());
        Ok(self.locked_record().rename(name, event)?)
    }
}
