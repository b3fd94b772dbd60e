//! A container as lists show it, and which of them a list has.

use ctr_state::{ExitInfo, Snapshot, Status};

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
    Present,
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
        }
    }

    pub(crate) fn corrupt(snapshot: Snapshot) -> Self {
        Self {
            snapshot,
            status: None,
            exit: None,
            monitor: MonitorState::None,
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

    /// How it stands with the monitor.
    pub fn monitor(&self) -> MonitorState {
        self.monitor
    }
}
