//! Freezing a container's processes and letting them go on.

use std::time::Duration;

use ctr_events::EventKind;
use ctr_monitor::files;
use ctr_oci::{OciRuntime, RuntimeFailure, Target};
use ctr_state::{IntentKind, Operation, Status, Trigger};
use ctr_sys::{Cgroups, Deadline};

use crate::container::{Container, LockedContainer};
use crate::error::EngineError;

/// How long a runtime may take.
const RUNTIME_WAIT: Duration = Duration::from_secs(60);

/// What a runtime did to the processes.
#[derive(Clone, Copy)]
enum Change {
    Pause,
    Unpause,
}

impl Change {
    fn trigger(self) -> Trigger {
        match self {
            Self::Pause => Trigger::Pause,
            Self::Unpause => Trigger::Unpause,
        }
    }

    fn event(self) -> EventKind {
        match self {
            Self::Pause => EventKind::Pause,
            Self::Unpause => EventKind::Unpause,
        }
    }
}

impl Container<'_> {
    /// Freezes all processes of a running container; it returns when they stand still.
    ///
    /// # Errors
    /// As [`LockedContainer::pause`].
    pub fn pause(&self) -> Result<(), EngineError> {
        self.lock("pause")?.pause()
    }

    /// Lets the processes of a paused container go on.
    ///
    /// # Errors
    /// As [`LockedContainer::unpause`].
    pub fn unpause(&self) -> Result<(), EngineError> {
        self.lock("unpause")?.unpause()
    }
}

impl LockedContainer<'_> {
    /// As [`Container::pause`].
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when it does not run or is paused already; [`EngineError::Runtime`] when there is no freezer for it.
    /// It runs on then.
    pub fn pause(&mut self) -> Result<(), EngineError> {
        let generation = self.record().generation();
        let _span =
            tracing::info_span!("pause", container = self.id().short(), generation).entered();
        self.allow(Operation::Pause)?;
        self.announce(IntentKind::Pause);
        self.save(&[])?;
        let paused = self.in_runtime(|runtime, target| runtime.pause(target));
        self.settle(paused, Change::Pause)
    }

    /// As [`Container::unpause`].
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when it is not paused; [`EngineError::Runtime`], and it stays paused.
    pub fn unpause(&mut self) -> Result<(), EngineError> {
        let generation = self.record().generation();
        let _span =
            tracing::info_span!("unpause", container = self.id().short(), generation).entered();
        self.allow(Operation::Unpause)?;
        self.announce(IntentKind::Unpause);
        self.save(&[])?;
        let resumed = self.in_runtime(|runtime, target| runtime.resume(target));
        self.settle(resumed, Change::Unpause)
    }

    /// Has the container's runtime do something to it.
    pub(crate) fn in_runtime<T>(
        &self,
        call: impl FnOnce(&dyn OciRuntime, Target<'_>) -> Result<T, RuntimeFailure>,
    ) -> Result<T, EngineError> {
        let engine = self.engine();
        let run_dir = engine.run_dir(self.id());
        let runtimes = &engine.config().runtimes;
        let runtime = runtimes.open(&self.config().runtime, &run_dir)?;
        let root = run_dir.join(files::RUNTIME);
        let target = Target {
            root: &root,
            id: self.id().as_str(),
            deadline: Deadline::after(RUNTIME_WAIT),
        };
        Ok(call(runtime.as_ref(), target)?)
    }

    /// Records what the runtime did, or that it did nothing.
    fn settle(&mut self, done: Result<(), EngineError>, change: Change) -> Result<(), EngineError> {
        self.locked_record().set_intent(None);
        if let Err(error) = done {
            self.save(&[])?;
            return Err(error);
        }
        let event = self.event(change.event());
        self.advance(change.trigger(), &[event])
    }

    /// Makes the record say what the freezer says.
    pub(crate) fn take_freezer(&mut self) -> Result<(), EngineError> {
        let frozen = Cgroups::detect()?.is_frozen(&self.config().cgroup_path)?;
        match (self.status(), frozen) {
            (Status::Running, true) => self.settle(Ok(()), Change::Pause),
            (Status::Paused, false) => self.settle(Ok(()), Change::Unpause),
            _ => Ok(()),
        }
    }
}

/// After a command that was killed between the runtime and the record: the kernel knows what has become of it.
pub(crate) fn recover(
    mut container: LockedContainer<'_>,
) -> Result<LockedContainer<'_>, EngineError> {
    container.locked_record().set_intent(None);
    container.save(&[])?;
    container.take_freezer()?;
    Ok(container)
}
