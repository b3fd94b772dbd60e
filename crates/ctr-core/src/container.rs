//! The handle of a container, and the guard that holds its lock.
//!
//! Three tiers, to be read from the receiver: `&self` on [`Container`] takes no lock or takes and releases it inside; `&mut self` on
//! [`LockedContainer`] is short and under the lock; `self` on the guard gives the lock up.

use ctr_events::{EventKind, NewEvent};
use ctr_state::{
    Config, ContainerId, ContainerName, Durability, IntentKind, LockedRecord, Operation, Record,
    Snapshot, Status, Trigger,
};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::probe;
use crate::reconcile::{self, Leave};
use crate::summary::Summary;

/// A container by its id. It holds no state that could be out of date.
#[derive(Clone, Debug)]
pub struct Container<'e> {
    engine: &'e Engine,
    id: ContainerId,
}

impl<'e> Container<'e> {
    pub(crate) fn new(engine: &'e Engine, id: ContainerId) -> Self {
        Self { engine, id }
    }

    /// Its id.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The engine that it belongs to.
    pub fn engine(&self) -> &'e Engine {
        self.engine
    }

    /// What is recorded of it. Takes no lock.
    ///
    /// # Errors
    /// When it is gone.
    pub fn snapshot(&self) -> Result<Snapshot, EngineError> {
        Ok(self.engine.store().snapshot(&self.id)?)
    }

    /// How it is: what is recorded, corrected by what the kernel says. Takes no lock.
    ///
    /// # Errors
    /// When it is gone.
    pub fn summary(&self) -> Result<Summary, EngineError> {
        probe::summary(self.engine, self.snapshot()?)
    }

    /// Its name.
    ///
    /// # Errors
    /// When it is gone.
    pub fn name(&self) -> Result<String, EngineError> {
        Ok(self.snapshot()?.name().to_string())
    }

    /// Takes the lock for `verb` and takes in what has happened meanwhile: an exit, a reboot, a command that was killed.
    ///
    /// # Errors
    /// When it is gone (also because a removal that was cut off has now been finished), or somebody else holds the lock for longer
    /// than the engine was told to wait.
    pub fn lock(&self, verb: &str) -> Result<LockedContainer<'e>, EngineError> {
        self.lock_with(verb, Leave::Nothing)
    }

    pub(crate) fn lock_with(
        &self,
        verb: &str,
        leave: Leave,
    ) -> Result<LockedContainer<'e>, EngineError> {
        let deadline = self.engine.lock_deadline();
        let record = self.engine.store().lock(&self.id, verb, deadline)?;
        reconcile::reconcile(LockedContainer::new(self.engine, record), leave)
    }
}

/// A container whose lock is held: nobody else changes it, and what [`LockedContainer::record`] says is up to date.
///
/// Calling several operations in a row on one guard is how operations are batched: nobody comes between them, and what each of them
/// takes for granted the one before has just made true.
///
/// ```no_run
/// # use ctr_core::{Container, EngineError};
/// # use ctr_sys::Signal;
/// /// A look at a process that stands still: nobody can let it go on, or end it, meanwhile.
/// fn look(container: &Container<'_>, look: impl FnOnce(i32)) -> Result<(), EngineError> {
///     let mut locked = container.lock("look")?;
///     locked.pause()?;
///     if let Some(init) = locked.record().init() {
///         look(init.pid);
///     }
///     locked.unpause()?;
///     locked.signal(Signal::USR1)
/// }
/// ```
#[derive(Debug)]
#[must_use = "dropping the guard releases the lock"]
pub struct LockedContainer<'e> {
    engine: &'e Engine,
    record: LockedRecord<'e>,
}

impl<'e> LockedContainer<'e> {
    pub(crate) fn new(engine: &'e Engine, record: LockedRecord<'e>) -> Self {
        Self { engine, record }
    }

    /// The id.
    pub fn id(&self) -> &ContainerId {
        self.record.id()
    }

    /// What it was asked to be.
    pub fn config(&self) -> &Config {
        self.record.config()
    }

    /// What has become of it.
    pub fn record(&self) -> &Record {
        self.record.record()
    }

    /// Gives the lock up.
    pub fn unlock(self) -> Container<'e> {
        let container = self.handle();
        self.record.unlock();
        container
    }

    pub(crate) fn handle(&self) -> Container<'e> {
        Container::new(self.engine, self.id().clone())
    }

    pub(crate) fn engine(&self) -> &'e Engine {
        self.engine
    }

    pub(crate) fn locked_record(&mut self) -> &mut LockedRecord<'e> {
        &mut self.record
    }

    pub(crate) fn into_record(self) -> LockedRecord<'e> {
        self.record
    }

    pub(crate) fn status(&self) -> Status {
        self.record.record().status()
    }

    /// The name.
    pub fn name(&self) -> &ContainerName {
        self.record.name()
    }

    /// The error of an operation that the status does not allow.
    pub(crate) fn wrong_status(&self, operation: Operation) -> EngineError {
        self.wrong_status_of(self.status(), operation)
    }

    /// The same for a status that the container has, and that is not recorded yet.
    pub(crate) fn wrong_status_of(&self, status: Status, operation: Operation) -> EngineError {
        let recorded_ns = self.record().since_ns();
        EngineError::WrongStatus {
            id: self.id().clone(),
            name: self.name().to_string(),
            status,
            since_ns: if status == self.status() {
                recorded_ns.unwrap_or(self.config().created_ns)
            } else {
                self.engine().now_ns()
            },
            operation,
        }
    }

    /// Whether the status allows the operation.
    pub(crate) fn allow(&self, operation: Operation) -> Result<(), EngineError> {
        if operation.is_legal(self.status()) {
            return Ok(());
        }
        Err(self.wrong_status(operation))
    }

    /// An event about this container, now.
    pub(crate) fn event(&self, kind: EventKind) -> NewEvent {
        self.engine.event(kind, &self.record)
    }

    /// How durable facts of a run are: not at all, a power cut ends the run anyway.
    pub(crate) fn save(&mut self, events: &[NewEvent]) -> Result<(), EngineError> {
        Ok(self.record.save(events, Durability::Fact)?)
    }

    /// Table check, then one transaction with the events.
    pub(crate) fn advance(
        &mut self,
        trigger: Trigger,
        events: &[NewEvent],
    ) -> Result<(), EngineError> {
        self.record.advance(trigger)?;
        self.save(events)
    }

    /// Records what is about to be done; not saved yet.
    pub(crate) fn announce(&mut self, kind: IntentKind) {
        let intent = self.engine.intent(kind, self.record.record().generation());
        self.record.set_intent(Some(intent));
    }
}
