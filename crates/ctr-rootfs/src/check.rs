//! Forms of a root file system, and of mounts into it, that are refused before any runtime sees them.
//!
//! Runtimes write security settings below `/proc` and `/sys` of the container while they set it up. If those lead elsewhere, the
//! writes land in files of the attacker's choice, or the settings are silently not applied.

use std::path::{Component, Path, PathBuf};

use ctr_sys::{FileKind, Root};

use crate::error::RootfsError;
use crate::resolve::resolve;

const KERNEL_DIRECTORIES: [&str; 2] = ["/proc", "/sys"];
/// Where a runtime makes links and device nodes before the container's own view of it is complete: some follow a link there.
const DEVICES: &str = "/dev";

/// Checks that `/proc`, `/sys` and `/dev` are real directories or absent.
///
/// # Errors
/// [`RootfsError::Layout`] names the one that is a link or another kind of file. [`RootfsError::Sys`]: it cannot be looked at.
pub fn check_layout(root: &Root) -> Result<(), RootfsError> {
    for directory in KERNEL_DIRECTORIES.into_iter().chain([DEVICES]) {
        let path = Path::new(directory);
        let metadata = root
            .metadata_nofollow(path)
            .map_err(RootfsError::sys("look at the container's", path))?;
        let why = match metadata.map(|found| found.kind) {
            None | Some(FileKind::Directory) => continue,
            Some(FileKind::Symlink) => "it is a symbolic link; it must be a directory or absent",
            Some(
                FileKind::Regular
                | FileKind::Fifo
                | FileKind::Socket
                | FileKind::CharDevice
                | FileKind::BlockDevice,
            ) => "it is not a directory; it must be one or absent",
        };
        return Err(refused(path, why));
    }
    Ok(())
}

/// Cleans the destination of a mount that a user or a configuration asks for: absolute, without `.`, `..` and repeated slashes.
///
/// # Errors
/// [`RootfsError::Layout`]: it is relative, holds a NUL byte, or is `/`, `/proc`, `/sys` or something below the last two.
pub fn mount_destination(path: &Path) -> Result<PathBuf, RootfsError> {
    if !path.is_absolute() {
        return Err(refused(path, "a mount destination must be absolute"));
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(refused(path, "a path cannot contain a NUL byte"));
    }
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    match objection(&clean) {
        Some(why) => Err(refused(path, why)),
        None => Ok(clean),
    }
}

/// Checks the same of destinations as the container's own links resolve them: `/data` may be a link to `/proc`.
///
/// # Errors
/// [`RootfsError::Layout`] names the first destination that leads to a refused place. [`RootfsError::Sys`]: one cannot be resolved.
pub fn check_destinations(root: &Root, destinations: &[PathBuf]) -> Result<(), RootfsError> {
    for destination in destinations {
        let resolved = resolve(root, destination)?;
        if let Some(why) = objection(&resolved.path) {
            return Err(refused(destination, why));
        }
    }
    Ok(())
}

/// What speaks against a mount at this clean path.
fn objection(clean: &Path) -> Option<&'static str> {
    if clean == Path::new("/") {
        return Some("nothing can be mounted over the container's root");
    }
    let kernels = KERNEL_DIRECTORIES
        .iter()
        .any(|directory| clean.starts_with(directory));
    kernels.then_some(
        "nothing can be mounted at or below /proc and /sys, where the kernel's own settings are",
    )
}

fn refused(path: &Path, why: &'static str) -> RootfsError {
    RootfsError::Layout {
        path: path.to_owned(),
        why,
    }
}
