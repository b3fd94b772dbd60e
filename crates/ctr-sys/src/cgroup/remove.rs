//! Removing control groups.

use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use super::{Cgroups, children};
use crate::deadline::Deadline;
use crate::error::{SysError, SysResult};

/// Between two attempts to remove a group whose last processes are being reaped.
const REMOVE_ATTEMPTS: u32 = 50;

impl Cgroups {
    /// Kills what is in the group and removes it, again and again until nothing joins it any more or the deadline passes.
    /// One in which nothing is goes without a look into it.
    ///
    /// # Errors
    /// `EBUSY` when processes are left in it; as [`Cgroups::kill_all`].
    pub fn clear(&self, path: &str, deadline: Deadline) -> SysResult<()> {
        if self.remove_unused(path) {
            return Ok(());
        }
        loop {
            self.kill_all(path, deadline)?;
            match self.remove(path) {
                Err(error)
                    if error.raw_os_error() == Some(Errno::BUSY.raw_os_error())
                        && !deadline.expired() => {}
                result => return result,
            }
        }
    }

    /// Removes the group and those below it in every hierarchy; missing ones are fine.
    ///
    /// # Errors
    /// `EBUSY` when processes are left in it.
    pub fn remove(&self, path: &str) -> SysResult<()> {
        for (_, directory) in self.directories(path) {
            remove(&directory)?;
        }
        Ok(())
    }

    /// Removes the group in every hierarchy where nothing is in it, which the kernel sees to. False when it is still
    /// there in one of them, for whatever reason.
    pub fn remove_unused(&self, path: &str) -> bool {
        // All of them, also after the first that refuses.
        self.directories(path).fold(true, |all, (_, directory)| {
            matches!(rustix::fs::rmdir(directory), Ok(()) | Err(Errno::NOENT)) && all
        })
    }
}

fn remove(directory: &Path) -> SysResult<()> {
    let name = || directory.display().to_string();
    for attempt in 0.. {
        match rustix::fs::rmdir(directory) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // Groups below, or processes that are dead but not yet taken off the list.
            Err(Errno::BUSY | Errno::NOTEMPTY) if attempt < REMOVE_ATTEMPTS => {
                for child in children(directory)? {
                    remove(&child)?;
                }
                if attempt > 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            Err(errno) => return Err(SysError::new("remove", name(), errno.into())),
        }
    }
    Ok(())
}
