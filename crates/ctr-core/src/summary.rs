//! A container as lists show it, and which of them a list has.

use ctr_state::{ExitInfo, PendingRestart, Record, Snapshot, Status};
use ctr_sys::{BootId, LockHolder};

use crate::filter::ContainerFilter;

/// Which containers a list has.
#[derive(Clone, Debug)]
pub struct ListRequest<'a> {
    /// Those in one of these statuses. One whose record is damaged may be in any: it is one of all, and of nothing less.
    pub statuses: &'a [Status],
    /// Of these, those that match.
    pub filter: ContainerFilter,
    /// Of these, so many that were created last; all when `None`.
    pub newest: Option<usize>,
}

impl ListRequest<'_> {
    pub(crate) fn is_in_status(&self, summary: &Summary) -> bool {
        match summary.status() {
            Some(status) => self.statuses.contains(&status),
            None => self.statuses.len() == Status::COUNT,
        }
    }
}

/// How it stands with the monitor of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorState {
    /// It is there.
    Present {
        /// As which process.
        pid: i32,
    },
    /// It was killed, and the container runs on without it.
    Lost,
    /// There is no run, or it is over.
    None,
}

/// What is recorded of a container, corrected by what the kernel says.
#[derive(Clone, Debug)]
pub struct Summary {
    snapshot: Snapshot,
    status: Option<Status>,
    exit: Option<ExitInfo>,
    monitor: MonitorState,
    restart: Option<PendingRestart>,
    holder: Option<LockHolder>,
}

impl Summary {
    pub(crate) fn new(
        snapshot: Snapshot,
        status: Status,
        exit: Option<ExitInfo>,
        monitor: MonitorState,
    ) -> Self {
        Self {
            snapshot,
            status: Some(status),
            exit,
            monitor,
            restart: None,
            holder: None,
        }
    }

    pub(crate) fn corrupt(snapshot: Snapshot) -> Self {
        Self {
            snapshot,
            status: None,
            exit: None,
            monitor: MonitorState::None,
            restart: None,
            holder: None,
        }
    }

    /// What is recorded.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The status, as the kernel sees it; `None` when the record is damaged.
    pub fn status(&self) -> Option<Status> {
        self.status
    }

    /// How the last run ended, when it has.
    pub fn exit(&self) -> Option<&ExitInfo> {
        self.exit.as_ref()
    }

    /// Since when it has that status: nanoseconds since 1970-01-01 UTC. Of one that has ended, and of which nobody has taken note, that is the
    /// moment of its end; `None` when that is unknown, or when it was just created.
    pub fn since_ns(&self) -> Option<i64> {
        let record = self.snapshot.record().ok();
        let recorded = record.filter(|record| Some(record.status()) == self.status);
        match recorded {
            Some(record) => record.since_ns(),
            None => self.exit.as_ref().map(|exit| exit.finished_ns),
        }
    }

    pub(crate) fn with_holder(self, holder: Option<LockHolder>) -> Self {
        Self { holder, ..self }
    }

    /// Who holds the container's lock, when it was looked at: a command that works on it, or hangs.
    pub fn holder(&self) -> Option<&LockHolder> {
        self.holder.as_ref()
    }

    /// A start that is to come, unless somebody calls it off.
    pub fn restart(&self) -> Option<&PendingRestart> {
        self.restart.as_ref()
    }

    /// A start that was planned in another boot of the machine is none.
    pub(crate) fn in_boot(mut self, boot: &BootId) -> Self {
        let record = self.snapshot.record().ok();
        let planned = record.filter(|_| self.status == Some(Status::Exited));
        let planned = planned.and_then(Record::restart);
        self.restart = planned.filter(|pending| pending.boot_id == *boot).cloned();
        self
    }

    /// How it stands with the monitor.
    pub fn monitor(&self) -> MonitorState {
        self.monitor
    }
}
