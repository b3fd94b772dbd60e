//! Signals to all that is in a control group.
//!
//! A pid that a group lists may be another process' by the time it is used. So each is held by a pidfd first, and the group is read
//! once more then.

use std::path::Path;
use std::time::Duration;

use super::{Cgroups, write_existing};
use crate::deadline::Deadline;
use crate::error::SysResult;
use crate::pidref::{Delivery, PidRef};
use crate::signal::Signal;

/// How long processes that are about to be killed may take to stand still. What does not is killed as it is.
const STANDSTILL: Duration = Duration::from_millis(100);

impl Cgroups {
    /// Kills every process of the group and of groups below it, frozen or not, and waits for them; true when none is left at the deadline. A
    /// group that only one hierarchy has is as good, and a missing one has no processes.
    ///
    /// # Errors
    /// When a group cannot be read or a process not be signalled.
    pub fn kill_all(&self, path: &str, deadline: Deadline) -> SysResult<bool> {
        for round in 0_u32.. {
            if self.is_empty(path)? {
                break;
            }
            if round > 0 {
                // Made while the others were being killed, by processes that may do so for ever: from now on they stand still first.
                if deadline.expired() {
                    return Ok(false);
                }
                self.forestall_forks(path, deadline.min(Deadline::after(STANDSTILL)));
            }
            let held = self.members(path);
            // They may be standing still by now.
            let held = held.inspect_err(|_| drop(self.thaw_for_death(path)))?;
            self.kill_held(path, &held)?;
            for process in &held {
                if !process.wait(deadline)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// What is listed decides, not what can be held: of processes that live for a moment only, each may be gone before it is held, and have left
    /// another one behind. One of another pid namespace is listed as 0, and can neither be held nor killed.
    fn is_empty(&self, path: &str) -> SysResult<bool> {
        Ok(self.processes(path)?.iter().all(|pid| *pid <= 0))
    }

    /// Sends a signal to every process of the group and of groups below it, and says how many have it. A missing group has none. One that is
    /// made meanwhile may miss the signal, and one that is frozen acts on it when it goes on.
    ///
    /// # Errors
    /// When a group cannot be read or a process not be signalled.
    pub fn signal_all(&self, path: &str, signal: Signal) -> SysResult<usize> {
        let mut count = 0;
        for process in self.members(path)? {
            match process.signal(signal)? {
                Delivery::Delivered => count += 1,
                Delivery::Gone => {}
            }
        }
        Ok(count)
    }

    /// The living processes of the group and of groups below it, each held by a pidfd.
    fn members(&self, path: &str) -> SysResult<Vec<PidRef>> {
        let mut held = Vec::new();
        for pid in self.processes(path)? {
            held.extend(PidRef::capture(pid)?);
        }
        if !held.is_empty() {
            // Read again now that they are held: a pid that was reused in between belongs to somebody outside.
            let members = self.processes(path)?;
            held.retain(|process| members.contains(&process.stamp().pid));
        }
        Ok(held)
    }

    fn kill_held(&self, path: &str, held: &[PidRef]) -> SysResult<()> {
        for process in held {
            process.signal(Signal::KILL)?;
        }
        self.thaw_for_death(path)?;
        // Of version 1, and a group above this one is frozen: that is not ours to thaw, but who leaves it goes on, which means dies.
        if let Some(refuge) = self.thawed_above(path)? {
            for process in held {
                move_to(&refuge, process)?;
            }
        }
        Ok(())
    }
}

/// Moves a process into the group of this directory. One that ends meanwhile is fine.
pub(super) fn move_to(directory: &Path, process: &PidRef) -> SysResult<()> {
    let file = directory.join("cgroup.procs");
    match write_existing(&file, &process.stamp().pid.to_string()) {
        Err(_) if !process.is_alive() => Ok(()),
        result => result,
    }
}
