//! Reaping the process that the library leaves behind.
//!
//! Between the helper and the container's first process the library makes an intermediate process, which joins the namespaces and ends.
//! When the first process is to be a child of the helper's parent, so is this one, and nobody tells its pid. It is known by the name
//! that the library gives it, among the children of the calling thread: only a child that calls itself so is touched.

use std::io;

use ctr_sys::SysError;
use rustix::process::{Pid, WaitId, WaitIdOptions};

use crate::error::Result;

/// What the library calls its intermediate process (`PR_SET_NAME`).
const INTERMEDIATE: &str = "youki:[1:INTER]\n";

/// Waits for the intermediate processes among the children of the calling thread. They are ending by themselves.
pub(crate) fn reap_intermediates() -> Result<()> {
    for pid in own_children()? {
        if std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|it| it == INTERMEDIATE) {
            reap(pid);
        }
    }
    Ok(())
}

/// `/proc/thread-self/children`, `proc_tid_children(5)`.
fn own_children() -> Result<Vec<i32>> {
    let path = "/proc/thread-self/children";
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()),
        // A kernel without the file: the caller's own reaper has to do.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(SysError::new("read", path, error).into()),
    }
}

fn reap(pid: i32) {
    let Some(pid) = Pid::from_raw(pid) else {
        return;
    };
    // The only failure is that somebody else has reaped it, which is as good.
    loop {
        match rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) | Err(_) => return,
        }
    }
}
