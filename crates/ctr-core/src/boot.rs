//! What is to be done when the machine was started: take in that it was, and start what starts then.

use ctr_events::EventKind;
use ctr_state::{ContainerId, Record, StartReason, Status};

use crate::container::Container;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::policy;
use crate::probe::is_active;
use crate::start::StartRequest;

/// What became of a container when the machine was started.
#[derive(Debug)]
pub struct Booted {
    /// Which.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// That it runs now, or why it does not.
    pub started: Result<(), EngineError>,
}

impl Engine {
    /// Brings every record up to date (no container is believed to have survived a reboot), and starts the containers whose restart
    /// policy wants that, in the order of their creation, each after those that it needs. Returns those that were to be started;
    /// containers that run already are not among them, so it can be called again at any time.
    ///
    /// # Errors
    /// When the store cannot be read. That one container fails keeps no other from being started.
    pub fn boot(&self) -> Result<Vec<Booted>, EngineError> {
        let _span = tracing::info_span!("boot").entered();
        let (mut due, mut booted) = (Vec::new(), Vec::new());
        for snapshot in self.store().list()? {
            let name = snapshot.name().to_string();
            let container = self.container(snapshot.id());
            match container.take_in_boot() {
                Ok(false) => {}
                Ok(true) => due.push((container, name)),
                Err(error) if error.is_not_found() => {}
                Err(error) => booted.push(Booted {
                    id: snapshot.id().clone(),
                    name,
                    started: Err(error),
                }),
            }
        }
        for (container, name) in due {
            let started = container.start(StartRequest::in_background(StartReason::Boot));
            booted.push(Booted {
                id: container.id().clone(),
                name,
                started: started.map(drop),
            });
        }
        Ok(booted)
    }
}

impl Container<'_> {
    /// Takes in a reboot; whether the container is to be started now.
    fn take_in_boot(&self) -> Result<bool, EngineError> {
        let before = self.snapshot()?;
        let of_another_boot = |record: &&Record| record.boot_id() != Some(self.engine().boot_id());
        let cut_off = before.record().ok().filter(of_another_boot);
        let stale = cut_off.is_some_and(|record| is_active(record.status()));
        let mut locked = self.lock("boot")?;
        if stale {
            let event = locked.event(EventKind::Refresh);
            locked.save(&[event])?;
        }
        if locked.status() == Status::Stopped {
            locked.cleanup()?;
        }
        // What the policy was about when the machine went down is the boot's business now.
        let called_off = cut_off.is_some() || locked.record().restart().is_none();
        let idle = locked.status() == Status::Exited && called_off;
        let (policy, facts) = (locked.config().restart, locked.record().facts());
        Ok(idle && policy::starts_on_boot(policy, locked.status(), facts))
    }
}
