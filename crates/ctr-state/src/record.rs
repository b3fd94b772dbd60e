//! What has become of a container: everything about it that changes.

pub(crate) mod v1;

use std::path::PathBuf;

use ctr_events::Actor;
use ctr_sys::{BootId, PidRef, PidStamp, SysResult};
use serde::{Deserialize, Serialize};

use crate::{ExitInfo, IllegalTransition, Intent, Status, Trigger};

/// Why a stop was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopReason {
    /// A user asked it to stop.
    User,
    /// A user sent it a signal that ends programs.
    Kill,
    /// The machine is being shut down.
    Shutdown,
    /// To be started again at once by whoever stops it.
    Restart,
}

/// Why a run was begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartReason {
    /// Somebody asked for it.
    #[default]
    User,
    /// Somebody asked for a restart.
    Restart,
    /// The restart policy.
    Policy,
    /// The machine was started.
    Boot,
    /// Another container needs it.
    Dependency,
}

/// A start that is to come, and who sees to it. If that process is gone, whoever notices hands it on to another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRestart {
    /// When: nanoseconds since 1970-01-01 UTC.
    pub at_ns: i64,
    /// Why.
    pub reason: StartReason,
    /// The process that waits for that moment; `None` until there is one.
    pub owner: Option<PidStamp>,
    /// In which boot of the machine that was decided: in another one it means nothing.
    pub boot_id: BootId,
}

impl PendingRestart {
    /// Whether the process that sees to it lives.
    ///
    /// # Errors
    /// The boot id or the process cannot be looked at.
    pub fn owner_alive(&self) -> SysResult<bool> {
        let Some(owner) = self.owner else {
            return Ok(false);
        };
        Ok(self.boot_id == BootId::current()? && PidRef::open(owner)?.is_some())
    }
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
    /// Until when it may end by itself after it was asked to stop: nanoseconds since 1970-01-01 UTC. `None`: for as long as it likes, or nobody
    /// has asked.
    pub stop_until_ns: Option<i64>,
    /// How often the restart policy has started it again since somebody else did.
    pub restart_count: u32,
    /// How long the last restart by the policy was put off, in ms; 0 when there was none.
    pub backoff_ms: u64,
    /// A start that is to come.
    pub restart: Option<PendingRestart>,
    /// Whether its program was ever started, in this run or an earlier one.
    pub history: Ran,
    /// The last failure, for people.
    pub error: Option<String>,
    /// Mount points that the engine has made in a root that is not its own, in the order of their making.
    pub created_paths: Vec<PathBuf>,
    /// Who started this run.
    pub started_by: Option<Actor>,
    /// Why this run was begun.
    pub start_reason: StartReason,
    /// Who ended it, if it did not end by itself.
    pub ended_by: Option<Actor>,
}

/// Whether a program was ever started in a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ran {
    /// It was not.
    #[default]
    Never,
    /// It was.
    Before,
}

/// What has become of a container.
///
/// The status can only be changed through the table, by [`LockedRecord::advance`](crate::LockedRecord::advance).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    status: Status,
    since_ns: Option<i64>,
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
            since_ns: None,
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

    /// Since when it has that status: nanoseconds since 1970-01-01 UTC; `None`: since its creation.
    pub fn since_ns(&self) -> Option<i64> {
        self.since_ns
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

    /// How often the restart policy has started it again since somebody else did.
    pub fn restart_count(&self) -> u32 {
        self.facts.restart_count
    }

    /// A start that is to come.
    pub fn restart(&self) -> Option<&PendingRestart> {
        self.facts.restart.as_ref()
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

    pub(crate) fn advance(
        &mut self,
        trigger: Trigger,
        now_ns: i64,
    ) -> Result<(), IllegalTransition> {
        let after = self.status.after(trigger)?;
        if after != self.status {
            self.since_ns = Some(now_ns);
        }
        self.status = after;
        if trigger == Trigger::Start {
            self.facts.history = Ran::Before;
        }
        Ok(())
    }

    /// Begins the next run: what belongs to the last one is forgotten here and kept in the ledger. Only the restart policy goes on
    /// counting.
    pub(crate) fn begin_generation(&mut self, reason: StartReason, now_ns: i64) -> u64 {
        let last = std::mem::take(&mut self.facts);
        let (restart_count, backoff_ms) = match reason {
            StartReason::Policy => (last.restart_count.saturating_add(1), last.backoff_ms),
            StartReason::User
            | StartReason::Restart
            | StartReason::Boot
            | StartReason::Dependency => (0, 0),
        };
        self.facts = Facts {
            restart_count,
            backoff_ms,
            history: last.history,
            created_paths: last.created_paths,
            start_reason: reason,
            ..Facts::default()
        };
        self.generation += 1;
        self.generation_ns = Some(now_ns);
        self.generation
    }
}
