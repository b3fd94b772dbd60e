//! What has become of a container: everything about it that changes.

pub(crate) mod v1;

use std::path::PathBuf;

use ctr_events::Actor;
use ctr_sys::{BootId, PidStamp};
use serde::{Deserialize, Serialize};

use crate::{ExitInfo, IllegalTransition, Intent, Status, Trigger};

/// Why a stop was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopReason {
    /// A user did.
    User,
    /// The machine is being shut down.
    Shutdown,
    /// It had run for as long as it was allowed to.
    Timeout,
}

/// The facts of a record that a lock holder may set freely: all but status, generation and intent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The first process of the container.
    pub init: Option<PidStamp>,
    /// The process that looks after it.
    pub monitor: Option<PidStamp>,
    /// In which boot of the machine the two stamps were taken.
    pub boot_id: Option<BootId>,
    /// When its program was started: nanoseconds since 1970-01-01 UTC.
    pub started_ns: Option<i64>,
    /// When it ended: nanoseconds since 1970-01-01 UTC.
    pub finished_ns: Option<i64>,
    /// How it ended.
    pub exit: Option<ExitInfo>,
    /// That, and why, it was asked to stop.
    pub stop_requested: Option<StopReason>,
    /// How often the restart policy has started it again.
    pub restart_count: u32,
    /// The last failure, for people.
    pub error: Option<String>,
    /// Mount points that the engine has made in a root that is not its own, in the order of their making.
    pub created_paths: Vec<PathBuf>,
    /// Who started this run.
    pub started_by: Option<Actor>,
    /// Who ended it, if it did not end by itself.
    pub ended_by: Option<Actor>,
}

/// What has become of a container.
///
/// The status can only be changed through the table, by [`LockedRecord::advance`](crate::LockedRecord::advance).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    status: Status,
    generation: u64,
    generation_ns: Option<i64>,
    facts: Facts,
    intent: Option<Intent>,
}

impl Record {
    /// The record of a container that was just created.
    pub(crate) fn configured(intent: Option<Intent>) -> Self {
        Self {
            status: Status::Configured,
            generation: 0,
            generation_ns: None,
            facts: Facts::default(),
            intent,
        }
    }

    /// The status that the record tells. Whether it still holds must be asked of the kernel.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The number of the run; 0 before the first one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When this run was begun, which is before its program was started: nanoseconds since 1970-01-01 UTC.
    pub fn generation_ns(&self) -> Option<i64> {
        self.generation_ns
    }

    /// In which boot of the machine the process stamps were taken.
    pub fn boot_id(&self) -> Option<&BootId> {
        self.facts.boot_id.as_ref()
    }

    /// The first process of the container.
    pub fn init(&self) -> Option<PidStamp> {
        self.facts.init
    }

    /// The process that looks after it.
    pub fn monitor(&self) -> Option<PidStamp> {
        self.facts.monitor
    }

    /// When its program was started: nanoseconds since 1970-01-01 UTC.
    pub fn started_ns(&self) -> Option<i64> {
        self.facts.started_ns
    }

    /// When it ended: nanoseconds since 1970-01-01 UTC.
    pub fn finished_ns(&self) -> Option<i64> {
        self.facts.finished_ns
    }

    /// How it ended.
    pub fn exit(&self) -> Option<&ExitInfo> {
        self.facts.exit.as_ref()
    }

    /// That, and why, it was asked to stop.
    pub fn stop_requested(&self) -> Option<StopReason> {
        self.facts.stop_requested
    }

    /// How often the restart policy has started it again.
    pub fn restart_count(&self) -> u32 {
        self.facts.restart_count
    }

    /// The last failure, for people.
    pub fn error(&self) -> Option<&str> {
        self.facts.error.as_deref()
    }

    /// Mount points that the engine has made in a root that is not its own, in the order of their making.
    pub fn created_paths(&self) -> &[PathBuf] {
        &self.facts.created_paths
    }

    /// Everything else, as a lock holder may set it.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What somebody is about to do to the container.
    pub fn intent(&self) -> Option<&Intent> {
        self.intent.as_ref()
    }

    pub(crate) fn facts_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }

    pub(crate) fn set_intent(&mut self, intent: Option<Intent>) {
        self.intent = intent;
    }

    pub(crate) fn advance(&mut self, trigger: Trigger) -> Result<(), IllegalTransition> {
        self.status = self.status.after(trigger)?;
        Ok(())
    }

    /// Begins the next run: what belongs to the last one is forgotten here and kept in the ledger.
    pub(crate) fn begin_generation(&mut self, now_ns: i64) -> u64 {
        let last = std::mem::take(&mut self.facts);
        self.facts = Facts {
            restart_count: last.restart_count,
            created_paths: last.created_paths,
            ..Facts::default()
        };
        self.generation += 1;
        self.generation_ns = Some(now_ns);
        self.generation
    }
}
