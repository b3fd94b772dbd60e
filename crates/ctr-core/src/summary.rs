//! A container as lists show it.

use ctr_state::{ExitInfo, Snapshot, Status};

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
