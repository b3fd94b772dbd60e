//! The mounts of this process, to be compared: what an operation leaves behind on the host is a leak.

use std::path::Path;

use ctr_sys::{MountEntry, mounts_below};

use crate::error::RootfsError;

/// A copy of the mount table at one moment (`proc_pid_mountinfo(5)`).
#[derive(Clone, Debug)]
pub struct MountTable {
    entries: Vec<MountEntry>,
}

impl MountTable {
    /// Reads the mount table of this process' mount namespace.
    ///
    /// # Errors
    /// [`RootfsError::Sys`]: `/proc/self/mountinfo` cannot be read.
    pub fn read() -> Result<Self, RootfsError> {
        let path = Path::new("/");
        let entries =
            mounts_below(path).map_err(RootfsError::sys("list the mounts below", path))?;
        Ok(Self { entries })
    }

    /// All entries, in the kernel's order.
    pub fn entries(&self) -> &[MountEntry] {
        &self.entries
    }

    /// The entries mounted at `path` or below it, compared by whole components.
    pub fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a MountEntry> {
        self.entries
            .iter()
            .filter(move |entry| entry.mount_point.starts_with(path))
    }

    /// The mounts that are here and were not in `before`: told apart by mount id and place.
    pub fn added_since(&self, before: &Self) -> Vec<&MountEntry> {
        let known = |entry: &MountEntry| {
            before
                .entries
                .iter()
                .any(|old| old.id == entry.id && old.mount_point == entry.mount_point)
        };
        self.entries.iter().filter(|entry| !known(entry)).collect()
    }
}
