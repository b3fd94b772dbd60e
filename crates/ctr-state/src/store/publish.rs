//! Events about a container that change nothing of what is recorded of it.

use ctr_events::NewEvent;

use super::{Room, Store};
use crate::{Durability, StateError};

impl Store {
    /// Appends events to the journal, in one transaction and without any lock of a container: for what happens beside its record, such as
    /// the start and the end of exec sessions. Not synced to disk.
    ///
    /// # Errors
    /// Those of the database; nothing was appended then.
    pub fn publish(&self, events: &[NewEvent]) -> Result<(), StateError> {
        self.write(
            "append an event",
            Durability::Fact,
            Room::Reserve,
            events,
            |_| Ok(()),
        )
    }
}
