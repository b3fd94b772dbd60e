//! What somebody is about to do, written before it is done.

use ctr_sys::{BootId, PidRef, PidStamp, SysResult};
use serde::{Deserialize, Serialize};

/// A multi-step operation in progress. If its owner is gone, whoever takes the lock next finishes it or rolls it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What is being done.
    pub kind: IntentKind,
    /// Who does it.
    pub owner: PidStamp,
    /// In which boot of the machine: the stamp of the owner means nothing in another one.
    pub boot_id: BootId,
    /// Since when: nanoseconds since 1970-01-01 UTC.
    pub since_ns: i64,
    /// To which run.
    pub generation: u64,
}

impl Intent {
    /// Whether the process that wrote this still lives.
    ///
    /// # Errors
    /// The boot id or the process cannot be looked at.
    pub fn owner_alive(&self) -> SysResult<bool> {
        if self.boot_id != BootId::current()? {
            return Ok(false);
        }
        Ok(PidRef::open(self.owner)?.is_some())
    }
}

/// The operations that take more than one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntentKind {
    /// Making the container.
    Create,
    /// Having the runtime make it.
    Init,
    /// Starting its program.
    Start,
    /// Stopping it.
    Stop,
    /// Giving back what a run has used.
    Cleanup,
    /// Removing it.
    Remove,
    /// Freezing it.
    Pause,
    /// Letting it go on.
    Unpause,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_alive_only_with_its_start_time_and_boot() {
        let mut intent = Intent {
            kind: IntentKind::Create,
            owner: PidStamp::own().unwrap(),
            boot_id: BootId::current().unwrap(),
            since_ns: 0,
            generation: 0,
        };
        assert!(intent.owner_alive().unwrap());
        intent.owner.start_time += 1;
        assert!(!intent.owner_alive().unwrap());
        intent.owner.start_time -= 1;
        intent.boot_id = serde_json::from_str("\"another\"").unwrap();
        assert!(!intent.owner_alive().unwrap());
    }
}
