//! The runs of a container, also of one that was removed.

use ctr_state::{IdOrName, Run};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::wait::exit_of;

impl Engine {
    /// The runs that the ledger has of the container `what` (a name, an id or the beginning of one), oldest first. If there is none (any
    /// more), those of the one that had this name, or such an id, and was removed last. Takes no lock.
    ///
    /// The end of the last run is there as soon as it is known, whether somebody has recorded it or not.
    ///
    /// # Errors
    /// [`NotFound`](ctr_state::StateError::NotFound) inside [`EngineError::State`] when neither the store nor the ledger knows it.
    pub fn history(&self, what: &str) -> Result<Vec<Run>, EngineError> {
        let _span = tracing::info_span!("history", container = what).entered();
        let id = match self.find(what) {
            Ok(container) => container.id().clone(),
            Err(error) if error.is_not_found() => {
                let parsed: IdOrName = what.parse().map_err(|_| EngineError::not_found(what))?;
                let removed = self.store().removed(&parsed)?;
                removed.into_iter().next().ok_or(error)?
            }
            Err(error) => return Err(error),
        };
        let mut runs = self.store().runs(&id)?;
        if let Some(last) = runs.last_mut()
            && last.ended.is_none()
        {
            match exit_of(&self.container(&id), last.generation) {
                Ok(exit) => last.ended = exit,
                // Removed just now: the ledger has what there is.
                Err(error) if error.is_not_found() => return Ok(self.store().runs(&id)?),
                Err(error) => return Err(error),
            }
        }
        Ok(runs)
    }
}
