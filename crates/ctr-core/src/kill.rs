//! Sending a signal to the container's first process.

use std::time::Duration;

use ctr_events::EventKind;
use ctr_state::{Operation, Status, StopReason};
use ctr_sys::{Cgroups, Deadline, Delivery, PidRef, Signal};

use crate::container::{Container, LockedContainer};
use crate::error::EngineError;
use crate::reconcile::Leave;
use crate::wait::wait_for_record;

/// How long SIGKILL may take.
const KILL_WAIT: Duration = Duration::from_secs(5);

impl Container<'_> {
    /// Sends a signal. SIGKILL is waited for: afterwards the container has ended.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when it does not run.
    pub fn kill(&self, signal: Signal) -> Result<(), EngineError> {
        let mut locked = self.lock("kill")?;
        if let Some(init) = locked.record().init()
            && PidRef::open(init)?.is_none()
        {
            // It has ended and its monitor has not said so yet: what it is then decides.
            let generation = locked.record().generation();
            let container = locked.unlock();
            wait_for_record(&container, generation)?;
            locked = container.lock("kill")?;
        }
        if signal == Signal::KILL {
            return match locked.kill_and_wait(signal) {
                Err(error) if error.is_not_found() => Ok(()),
                other => other.map(drop),
            };
        }
        locked.signal(signal)
    }
}

impl LockedContainer<'_> {
    /// Sends a signal and records it. One that asks a program to end counts as a stop by the user; others do not.
    ///
    /// # Errors
    /// [`EngineError::WrongStatus`] when the container does not run.
    pub fn signal(&mut self, signal: Signal) -> Result<(), EngineError> {
        let generation = self.record().generation();
        let _span = tracing::info_span!("kill", container = self.id().short(), generation, %signal)
            .entered();
        let operation = if signal == Signal::KILL {
            Operation::Kill
        } else {
            Operation::Signal
        };
        self.allow(operation)?;
        let init = self
            .record()
            .init()
            .map(PidRef::open)
            .transpose()?
            .flatten();
        let delivery = init.map(|init| init.signal(signal)).transpose()?;
        if delivery != Some(Delivery::Delivered) {
            // It has ended under our hands, and nobody has recorded that yet.
            return Err(self.wrong_status_of(Status::Stopped, operation));
        }
        if signal == Signal::KILL {
            // One that version 1 of the control groups has frozen dies only when it goes on.
            Cgroups::detect()?.thaw_for_death(&self.config().cgroup_path)?;
        }
        let ends = [Signal::KILL, Signal::TERM, Signal::INT, Signal::QUIT].contains(&signal);
        if ends || signal == self.config().stop_signal {
            let actor = self.engine().config().actor.clone();
            let facts = self.locked_record().edit();
            facts.stop_requested = Some(StopReason::Kill);
            facts.ended_by = Some(actor);
            facts.restart = None;
        }
        let mut event = self.event(EventKind::Kill);
        event
            .attributes
            .insert("signal".to_owned(), signal.number().to_string());
        self.save(&[event])
    }

    /// Sends a signal that ends the container and waits, without the lock, for the end.
    pub(crate) fn kill_and_wait(mut self, signal: Signal) -> Result<Self, EngineError> {
        self.signal(signal)?;
        let generation = self.record().generation();
        let init = self.record().init();
        let container = self.unlock();
        if let Some(init) = init.map(PidRef::open).transpose()?.flatten() {
            await_death(&container, &init)?;
        }
        wait_for_record(&container, generation)?;
        container.lock_with("kill", Leave::Removal)
    }
}

/// Waits for the end of a container's first process, which was sent SIGKILL.
pub(crate) fn await_death(container: &Container<'_>, init: &PidRef) -> Result<(), EngineError> {
    if init.wait(Deadline::after(KILL_WAIT))? {
        return Ok(());
    }
    Err(EngineError::Unkillable {
        name: container.id().short().to_owned(),
        pid: init.stamp().pid,
        waited_s: KILL_WAIT.as_secs(),
    })
}
