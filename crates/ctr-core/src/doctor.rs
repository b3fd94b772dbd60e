//! Comparing what is recorded with what is: records, monitors, control groups, mounts, the state of runtimes, processes, files.
//!
//! An examination takes no lock and changes nothing. What it looks at may hang (a pipe where a file should be, a file system whose server
//! is gone), so a helper looks, and the caller only listens: a step that does not come to an end is given up with its helper, said to be a
//! finding of its own, and left out by the next helper. So the answer comes in [`LIMIT`], whatever is stuck.
//!
//! Commands go on meanwhile, and between two of their steps much looks wrong. A finding counts only if
//! * no living command holds the lock of the container or is in the middle of an operation on it, before and after the look, and
//! * it is found again, with the record unchanged, in looks that lie [`SETTLE`] apart.
//!
//! A repair takes the container's lock like every other command, and whatever was cut off is finished or taken back by the steps that
//! every other command takes, too: there is no second way to put things right.

mod containers;
mod cure;
mod finding;
mod helper;
mod look;
mod monitors;
mod owned;
mod places;
mod repair;
mod run_dir;
mod sessions;
mod store;
mod strangers;

pub use finding::{Checked, Finding, FindingKind, Report, Severity, Subject};
pub use repair::{Repair, Repaired};

use std::time::Duration;

use crate::engine::{Engine, EngineConfig};
use crate::error::EngineError;

/// How long an examination may take.
const LIMIT: Duration = Duration::from_secs(3);
/// How long one step of it may take.
const STEP: Duration = Duration::from_millis(700);
/// How long is waited between two looks.
const SETTLE: Duration = Duration::from_millis(250);
/// How often something must be seen before it counts.
const LOOKS: u32 = 3;

impl Engine {
    /// Compares what is recorded with what is. It needs no open engine, because one may be beyond opening; it takes no lock, changes
    /// nothing, and answers within three seconds.
    ///
    /// # Errors
    /// When no helper can be made: the calling process has several threads, or the kernel refuses.
    pub fn examine(config: &EngineConfig) -> Result<Report, EngineError> {
        let _span = tracing::info_span!("doctor").entered();
        helper::examine(config)
    }

    /// Does what can be done about the findings of an examination, each as it stands then, and tells what came of each.
    pub fn repair(config: &EngineConfig, report: &Report) -> Vec<Repaired> {
        let _span = tracing::info_span!("repair").entered();
        repair::repair(config, report)
    }
}
