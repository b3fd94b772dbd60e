//! Reaping what the library leaves behind.
//!
//! Between the helper and the container's first process the library makes an intermediate process, which joins the namespaces and ends.
//! When the first process is to be a child of the helper's parent, so is this one, and nobody tells its pid; after a failure the same
//! holds for the first process. Both are known by the names that the library gives them, among the children that the calling thread
//! did not have before: nothing else is touched.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use ctr_sys::{Deadline, PidRef, Signal, SysError};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions};

use crate::error::Result;

/// What the library calls its intermediate process (`PR_SET_NAME`).
const INTERMEDIATE: &str = "youki:[1:INTER]\n";
/// What it calls the first process, until that executes its program.
const FIRST: &str = "youki:[2:INIT]\n";

/// A process that takes longer to end than this is left to the caller's reaper.
const PATIENCE: Duration = Duration::from_secs(10);

/// The children of the calling thread before a creation.
pub(crate) struct Earlier(BTreeSet<i32>);

impl Earlier {
    pub(crate) fn now() -> Result<Self> {
        own_children().map(Self)
    }

    /// After a creation: waits for the intermediate process, which is ending by itself.
    pub(crate) fn reap_intermediate(&self) -> Result<()> {
        for pid in self.added(&[INTERMEDIATE])? {
            reap(pid)?;
        }
        Ok(())
    }

    /// After a failure: ends and reaps whatever there is.
    pub(crate) fn end_all(&self) -> Result<()> {
        for pid in self.added(&[INTERMEDIATE, FIRST])? {
            if let Some(process) = PidRef::capture(pid)? {
                process.signal(Signal::KILL)?;
            }
            reap(pid)?;
        }
        Ok(())
    }

    fn added(&self, names: &[&str]) -> Result<Vec<i32>> {
        let is_named = |pid: &i32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| names.contains(&name.as_str()))
        };
        let children = own_children()?;
        Ok(children
            .difference(&self.0)
            .copied()
            .filter(is_named)
            .collect())
    }
}

/// `/proc/thread-self/children`, `proc_tid_children(5)`.
fn own_children() -> Result<BTreeSet<i32>> {
    let path = "/proc/thread-self/children";
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect()),
        // A kernel without the file: the caller's own reaper has to do.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(SysError::new("read", path, error).into()),
    }
}

fn reap(pid: i32) -> Result<()> {
    // None: it has ended already.
    if let Some(process) = PidRef::capture(pid)?
        && !process.wait(Deadline::after(PATIENCE))?
    {
        return Ok(());
    }
    let Some(pid) = Pid::from_raw(pid) else {
        return Ok(());
    };
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    match rustix::process::waitid(WaitId::Pid(pid), options) {
        // Somebody else has reaped it, which is as good.
        Ok(_) | Err(Errno::CHILD) => Ok(()),
        Err(errno) => Err(SysError::new("wait for", "a child", errno.into()).into()),
    }
}
