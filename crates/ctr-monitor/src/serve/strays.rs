//! Processes that a runtime has made for an exec session and then did not name.
//!
//! A runtime that fails after it has made the process leaves one that no record knows, and, where it could not make it in the session's own
//! control group, that nothing else leads to. Like every process that is executed in the container it is a child of the monitor. In a
//! container with a pid namespace of its own no other children of the monitor are inside: what loses its parent there belongs to the
//! container's first process. Elsewhere nothing tells such a process from others, and it ends with the container.

use std::path::PathBuf;

use ctr_sys::{PidStamp, Signal, SysResult, children};

/// Kills them. `known` are the first process and those of sessions; no helper may be at work.
///
/// # Errors
/// When `/proc` cannot be read, or a process not be signalled.
pub(super) fn kill(init: PidStamp, known: &[PidStamp]) -> SysResult<()> {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let inside: Option<PathBuf> = namespace(&init.pid.to_string());
    if inside.is_none() || inside == namespace("self") {
        return Ok(());
    }
    for child in children()? {
        let stamp = child.stamp();
        let is_stray = stamp != init && !known.contains(&stamp);
        if is_stray && namespace(&stamp.pid.to_string()) == inside {
            child.signal(Signal::KILL)?;
        }
    }
    Ok(())
}
