//! The mount points that a runtime makes in a tree that is not ours, so that they can be taken away again.
//!
//! A runtime makes the target of each mount that does not exist. In a writable layer that is nobody's business; a plain directory
//! belongs to the user, who wants to find it as it was.

use std::path::{Path, PathBuf};

use ctr_sys::Root;

use crate::error::RootfsError;
use crate::resolve::resolve;

/// Finding and removing the mount points that a runtime makes. It keeps nothing: the caller records the paths in between.
#[derive(Clone, Copy, Debug)]
pub struct MountPoints;

impl MountPoints {
    /// Every path that does not exist yet and that a runtime will make as it mounts at `destinations` in that order: parents before
    /// children, without duplicates and without links. What lies below an earlier destination is made inside that mount, not in the tree,
    /// and is left out.
    ///
    /// # Errors
    /// [`RootfsError::Sys`]: a destination cannot be resolved; a component of it is a file, for one.
    pub fn missing(root: &Root, destinations: &[PathBuf]) -> Result<Vec<PathBuf>, RootfsError> {
        let mut mounted: Vec<PathBuf> = Vec::new();
        let mut missing: Vec<PathBuf> = Vec::new();
        for destination in destinations {
            let resolved = resolve(root, destination)?;
            if mounted
                .iter()
                .any(|earlier| resolved.path.starts_with(earlier))
            {
                continue;
            }
            for path in resolved.missing_paths() {
                if !missing.contains(&path) {
                    missing.push(path);
                }
            }
            mounted.push(resolved.path);
        }
        Ok(missing)
    }

    /// Removes what [`MountPoints::missing`] had listed, deepest first: empty directories and empty regular files. Whatever is gone, has
    /// got content, or is now reached through a link is left alone. All paths are tried before the first error is returned.
    ///
    /// Removing a directory unmounts what other mount namespaces have mounted on it (`rmdir(2)` succeeds there since Linux 3.18). So
    /// the caller makes sure that no other container runs on the same tree.
    ///
    /// # Errors
    /// [`RootfsError::Sys`]: the kernel refused a removal, because the file system is read-only, for one.
    pub fn remove_created(root: &Root, paths: &[PathBuf]) -> Result<(), RootfsError> {
        let mut deepest_first: Vec<&PathBuf> = paths.iter().collect();
        deepest_first.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        let mut outcome = Ok(());
        for path in deepest_first {
            let removed = remove_one(root, path);
            outcome = outcome.and(removed);
        }
        outcome
    }
}

fn remove_one(root: &Root, path: &Path) -> Result<(), RootfsError> {
    let resolved = resolve(root, path)?;
    if resolved.path != path || resolved.missing > 0 {
        return Ok(());
    }
    root.remove_empty(path)
        .map(drop)
        .map_err(RootfsError::sys("remove the mount point", path))
}
