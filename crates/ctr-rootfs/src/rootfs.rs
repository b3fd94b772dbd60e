//! A root file system as a detached mount.
//!
//! A detached mount is in no mount table: it lives as long as its descriptor, or until it is attached in some namespace. So there is
//! nothing to undo when a step after it fails, and nothing to find after a crash.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use ctr_sys::{DetachedMount, LayerSync, Recursion, Root, SysError};

use crate::error::RootfsError;
use crate::overlay;
use crate::source::{RootfsMode, RootfsSource};

/// What to mount as a container's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rootfs {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Plain {
        path: PathBuf,
    },
    Overlay {
        lower: PathBuf,
        dir: PathBuf,
        sync: LayerSync,
    },
}

impl Rootfs {
    /// The directory itself with the mounts below it: the container's writes change it.
    pub fn plain(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            kind: Kind::Plain { path },
        }
    }

    /// A writable layer over the directory `lower`, whose own mounts are not seen. The layer is kept in `dir`, the container's private
    /// directory, as `upper` and `work`; they are made when they are missing.
    pub fn overlay(lower: impl Into<PathBuf>, dir: impl Into<PathBuf>) -> Self {
        let (lower, dir) = (lower.into(), dir.into());
        let sync = LayerSync::WhenAsked;
        Self {
            kind: Kind::Overlay { lower, dir, sync },
        }
    }

    /// The layer is thrown away after its only run: nothing in it is synced to disk, neither when a program asks for that nor when it is
    /// unmounted, which would wait for all that the layer's filesystem has to write. A plain root is left as it is.
    #[must_use]
    pub fn thrown_away(mut self) -> Self {
        match &mut self.kind {
            Kind::Plain { .. } => {}
            Kind::Overlay { sync, .. } => *sync = LayerSync::Never,
        }
        self
    }

    /// The root that a parsed text asks for; `dir` is the container's private directory, used only in overlay mode.
    pub fn from_source(source: &RootfsSource, dir: &Path) -> Self {
        match source.mode {
            RootfsMode::Plain => Self::plain(&source.path),
            RootfsMode::Overlay => Self::overlay(&source.path, dir),
        }
    }

    /// The directory that the user named.
    pub fn path(&self) -> &Path {
        match &self.kind {
            Kind::Plain { path } => path,
            Kind::Overlay { lower, .. } => lower,
        }
    }

    /// The upper and the work directory of the writable layer, whether they are made already or not; `None` for a plain root.
    pub fn layer(&self) -> Option<(PathBuf, PathBuf)> {
        match &self.kind {
            Kind::Plain { .. } => None,
            Kind::Overlay { dir, .. } => Some(overlay::layer(dir)),
        }
    }

    /// Says early whether [`Rootfs::path`] can be a root file system, without mounting or changing anything.
    ///
    /// # Errors
    /// [`RootfsError::Directory`]: it is missing or no directory. [`RootfsError::Sys`]: it cannot be looked at.
    pub fn check(&self) -> Result<(), RootfsError> {
        let path = self.path();
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(refused(path, "it is not a directory")),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(refused(path, "there is no such directory"))
            }
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                Err(refused(path, "a component of the path is not a directory"))
            }
            Err(error) => {
                let source = SysError::new("stat", path.display().to_string(), error);
                Err(RootfsError::sys("look at the root file system", path)(
                    source,
                ))
            }
        }
    }

    /// Mounts it, detached. Nothing on the host sees the mount. Call [`crate::check_layout`] on it before a runtime does.
    ///
    /// # Errors
    /// Those of [`Rootfs::check`]. In overlay mode also [`RootfsError::OverlayOnOverlay`], [`RootfsError::InUse`] (the layer is
    /// mounted somewhere, attached or not) and [`RootfsError::LowerReplaced`]. [`RootfsError::Sys`]: any other refusal of the kernel.
    pub fn mount(&self) -> Result<MountedRootfs, RootfsError> {
        self.check()?;
        let mount = match &self.kind {
            Kind::Plain { path } => clone_directory(path)?,
            Kind::Overlay { lower, dir, sync } => overlay::mount(lower, dir, *sync)?,
        };
        let root = mount
            .root()
            .map_err(RootfsError::sys("open the mounted root of", self.path()))?;
        Ok(MountedRootfs { mount, root })
    }
}

fn refused(path: &Path, why: &'static str) -> RootfsError {
    RootfsError::Directory {
        path: path.to_owned(),
        why,
    }
}

/// A copy of the mounts at and below `path` which gets and sends no mount events: what happens in the container stays there.
fn clone_directory(path: &Path) -> Result<DetachedMount, RootfsError> {
    let mount = DetachedMount::clone_tree(path, Recursion::Recursive)
        .map_err(RootfsError::sys("clone the root file system", path))?;
    mount
        .make_private(Recursion::Recursive)
        .map_err(RootfsError::sys("make private the mounts of", path))?;
    Ok(mount)
}

/// A mounted root file system that is in nobody's mount table. Dropping it unmounts it, unless it was attached.
#[derive(Debug)]
#[must_use = "dropping it unmounts the root file system"]
pub struct MountedRootfs {
    mount: DetachedMount,
    root: Root,
}

impl MountedRootfs {
    /// The tree, for looking into it: every path is resolved inside.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Gives up the opener and keeps the mount.
    pub fn into_mount(self) -> DetachedMount {
        self.mount
    }
}

impl AsFd for MountedRootfs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }
}
