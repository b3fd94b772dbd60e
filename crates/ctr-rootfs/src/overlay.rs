//! The writable layer of a container over a directory that it must not change.
//!
//! The two directories `upper` and `work` lie in the container's private directory, so nobody but their owner reaches `upper` and the
//! files with set-user-id bits in it. The kernel is asked for an index, which makes a second mount of the same layer fail (two would
//! corrupt each other silently) and ties the layer to the directory that it was first mounted over.
//! The kernel allows the layer to lie *below* the lower directory, `/` for one; looking up the layer through the container's root then
//! fails there.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_sys::{
    Deadline, DetachedMount, FilesystemKind, LayerSync, OverlayLayers, SysError,
    create_private_dir, filesystem_kind, is_in_use, remove_tree,
};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Uid};
use rustix::io::Errno;

use crate::error::RootfsError;

const UPPER: &str = "upper";
/// The upper directory until its owner and mode are right; the rename makes it whole at once, whenever we are killed.
const UPPER_NEW: &str = "upper.new";
const WORK: &str = "work";
/// Below the work directory: how the kernel marks a layer that was mounted without syncing.
const VOLATILE: &str = "work/incompat/volatile";

/// How long the kernel may take: a few ms, and as long as the disk needs for what the layer's files still have to be written.
const LETTING_GO: Duration = Duration::from_secs(5);
const STEP: Duration = Duration::from_millis(2);

/// Makes what is missing in `dir` and mounts the overlay, detached. `lower` is known to be a directory.
pub(crate) fn mount(
    lower: &Path,
    dir: &Path,
    sync: LayerSync,
) -> Result<DetachedMount, RootfsError> {
    let (upper, work) = prepare(lower, dir)?;
    forget_volatile(&work)?;
    let layers = OverlayLayers {
        lower: vec![lower.to_owned()],
        upper: Some((upper, work)),
        sync,
    };
    mount_when_free(&layers).map_err(|source| explain(lower, dir, source))
}

/// A layer whose last mount has just ended stays taken until the kernel, in its own time, has let go of it; nothing tells when.
fn mount_when_free(layers: &OverlayLayers) -> Result<DetachedMount, SysError> {
    let deadline = Deadline::after(LETTING_GO);
    loop {
        match DetachedMount::overlay(layers) {
            Err(error) if is_in_use(&error) && !deadline.expired() => std::thread::sleep(STEP),
            other => return other,
        }
    }
}

/// A layer that was mounted without syncing is marked, and the kernel refuses it from then on, because it may have lost writes with the machine.
/// It has not: such a layer is of a container that does not outlive its run, and is mounted again only after a start that failed.
fn forget_volatile(work: &Path) -> Result<(), RootfsError> {
    remove_tree(&work.join(VOLATILE)).map_err(RootfsError::sys("use the writable layer", work))
}

fn explain(lower: &Path, dir: &Path, source: SysError) -> RootfsError {
    if is_in_use(&source) {
        RootfsError::InUse { path: dir.into() }
    } else if source.raw_os_error() == Some(Errno::STALE.raw_os_error()) {
        RootfsError::LowerReplaced {
            path: dir.into(),
            lower: lower.into(),
        }
    } else {
        RootfsError::sys("mount a writable layer over", lower)(source)
    }
}

/// The upper and work directories, made if they are missing.
fn prepare(lower: &Path, dir: &Path) -> Result<(PathBuf, PathBuf), RootfsError> {
    create_private_dir(dir).map_err(RootfsError::sys("make the container's directory", dir))?;
    let kind = filesystem_kind(dir).map_err(RootfsError::sys("find the file system of", dir))?;
    match kind {
        FilesystemKind::Overlay => return Err(RootfsError::OverlayOnOverlay { path: dir.into() }),
        // The kernel itself refuses those network file systems that cannot hold a writable layer.
        FilesystemKind::Network(_) | FilesystemKind::Other => {}
    }
    make_layer(lower, dir).map_err(|(name, error)| {
        let path = dir.join(name);
        let source = SysError::new("make directory", path.display().to_string(), error);
        RootfsError::sys("make the writable layer", path)(source)
    })?;
    Ok(layer(dir))
}

/// Where the upper and the work directory of a container lie.
pub(crate) fn layer(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join(UPPER), dir.join(WORK))
}

fn make_layer(lower: &Path, dir: &Path) -> Result<(), (&'static str, io::Error)> {
    let fd = open_directory(rustix::fs::CWD, dir).map_err(|errno| (".", errno.into()))?;
    make_upper(&fd, lower).map_err(|error| (UPPER, error))?;
    make_directory(&fd, WORK).map_err(|errno| (WORK, errno.into()))
}

/// The upper directory *is* the container's `/`: it begins with the owner and mode of the directory below. Extended attributes are
/// left out: those of the engine's host mean nothing in the layer, and overlay's own must not be forged.
fn make_upper(dir: &OwnedFd, lower: &Path) -> io::Result<()> {
    match is_directory(dir, UPPER) {
        Err(Errno::NOENT) => {}
        Ok(()) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    }
    let model = std::fs::metadata(lower)?;
    make_directory(dir, UPPER_NEW)?;
    let new = open_directory(dir, UPPER_NEW)?;
    rustix::fs::fchown(
        &new,
        Some(Uid::from_raw(model.uid())),
        Some(Gid::from_raw(model.gid())),
    )?;
    rustix::fs::fchmod(&new, Mode::from_raw_mode(model.mode() & 0o7777))?;
    rustix::fs::renameat_with(dir, UPPER_NEW, dir, UPPER, RenameFlags::NOREPLACE)?;
    Ok(())
}

fn make_directory(dir: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    match rustix::fs::mkdirat(dir, name, Mode::RWXU) {
        Err(Errno::EXIST) => is_directory(dir, name),
        other => other,
    }
}

/// A link or a file where a directory of the layer belongs is an error.
fn is_directory(dir: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(Errno::NOTDIR);
    }
    Ok(())
}

fn open_directory(dir: impl AsFd, path: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(dir, path, flags, Mode::empty())
}
