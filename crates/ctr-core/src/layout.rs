//! Where things lie. Everything durable is below the root, everything volatile below the run root.

use std::path::{Path, PathBuf};

use ctr_monitor::files;
use ctr_state::ContainerId;
use ctr_sys::{SysError, create_private_dir};

/// The directories of an engine.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    runroot: PathBuf,
}

impl Layout {
    /// Makes the two directories where they are missing, and refuses ones that others may write to.
    pub(crate) fn open(root: &Path, runroot: &Path) -> Result<Self, SysError> {
        create_private_dir(root)?;
        create_private_dir(runroot)?;
        Ok(Self::at(root, runroot))
    }

    /// The two directories as they are, or are not.
    pub(crate) fn at(root: &Path, runroot: &Path) -> Self {
        Self {
            root: root.to_owned(),
            runroot: runroot.to_owned(),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn runroot(&self) -> &Path {
        &self.runroot
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("state.db")
    }

    /// Touched after each commit: what followers of events watch.
    pub(crate) fn wake(&self) -> PathBuf {
        self.runroot.join("journal")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.runroot.join("locks")
    }

    /// An empty directory, for the overlay that the monitor's program is executed from.
    pub(crate) fn empty(&self) -> PathBuf {
        self.runroot.join("empty")
    }

    /// The durable directories of all containers.
    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// The directories of all present runs.
    pub(crate) fn runs(&self) -> PathBuf {
        self.runroot.join("run")
    }

    /// The container's durable directory: writable layer, log.
    pub(crate) fn container(&self, id: &ContainerId) -> PathBuf {
        self.containers().join(id.as_str())
    }

    /// Makes the container's durable directory.
    pub(crate) fn create_container(&self, id: &ContainerId) -> Result<(), SysError> {
        create_private_dir(&self.containers())?;
        create_private_dir(&self.container(id))
    }

    pub(crate) fn log(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("ctr.log")
    }

    /// The directory of the container's present run.
    pub(crate) fn run(&self, id: &ContainerId) -> PathBuf {
        self.runs().join(id.as_str())
    }

    /// Makes an empty run directory with its parts.
    pub(crate) fn create_run(&self, id: &ContainerId) -> Result<PathBuf, SysError> {
        create_private_dir(&self.runs())?;
        let run = self.run(id);
        for part in ["", files::ROOTFS, files::MOUNTS, files::RUNTIME, GENERATED] {
            create_private_dir(&run.join(part))?;
        }
        Ok(run)
    }
}

/// Below the run directory: hosts, hostname and the like.
pub(crate) const GENERATED: &str = "files";
