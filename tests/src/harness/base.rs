//! What the cases of a round share: a temporary directory and one small root directory that nobody may change.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::statfs;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::case::{Runtime, Scale};
use super::env::Env;
use super::manifest::{compare, manifest};
use super::tree::{MountPoints, directory, make_root, remove};
use super::variable;

/// Where temporary directories go: on disk, so that overlays of a real file system are tested.
const PARENT: &str = "/var/tmp";

/// `OVERLAYFS_SUPER_MAGIC` of statfs(2): no writable overlay can lie on an overlay.
const OVERLAY: i64 = 0x794c_7630;

/// Where programs of a runtime are looked for.
const PROGRAMS: &[&str] = &[
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// The round's directory. It is removed at the end of the round.
pub(crate) struct Base {
    directory: PathBuf,
    ctr: PathBuf,
    /// What the shared root directory held when it was made.
    shared: Vec<String>,
    on_tmpfs: OnTmpfs,
    scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnTmpfs {
    Yes,
    No,
}

impl Base {
    /// Makes the directory and the shared root. Takes the program from `CTR_BIN` and the place from `CTR_TEST_DIR`.
    pub(crate) fn make(scale: Scale) -> Result<Base> {
        let ctr = variable("CTR_BIN").context("CTR_BIN does not name the ctr to test")?;
        let ctr = fs::canonicalize(&ctr).with_context(|| format!("CTR_BIN is {ctr}"))?;
        let parent = variable("CTR_TEST_DIR").unwrap_or_else(|| PARENT.to_owned());
        let made = tempfile::Builder::new()
            .prefix("ctr-tests.")
            .tempdir_in(&parent)
            .with_context(|| format!("make a directory in {parent}"))?
            .keep();
        // Other users have to reach the program's copy and see that they reach nothing else.
        directory(&made, 0o755)?;
        let on_tmpfs = avoid_overlay(&made)?;
        let root = made.join("root");
        make_root(&root, MountPoints::Present)?;
        let shared = manifest(&root)?;
        Ok(Base {
            directory: made,
            ctr,
            shared,
            on_tmpfs,
            scale,
        })
    }

    /// The directory.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The program under test.
    pub(crate) fn program(&self) -> &Path {
        &self.ctr
    }

    /// The environment of the case with this number.
    pub(crate) fn env(&self, number: usize, runtime: Runtime) -> Result<Env> {
        let directory = self.directory.join(format!("case-{number:04}"));
        let shared = self.directory.join("root");
        Env::make(directory, &shared, &self.ctr, runtime, self.scale)
    }

    /// Fails when a case changed the shared root directory.
    pub(crate) fn check_shared_root(&self) -> Result<()> {
        let after = manifest(&self.directory.join("root"))?;
        compare("the shared root directory", &self.shared, &after)
    }

    /// Removes the directory.
    pub(crate) fn remove(self) -> Result<()> {
        if self.on_tmpfs == OnTmpfs::Yes {
            unmount(&self.directory, UnmountFlags::empty()).context("unmount the tmpfs")?;
        }
        remove(&self.directory)
    }
}

/// Where the temporary directory lies on an overlay, as in a CI container, a tmpfs is put upon it, in our mount namespace only.
fn avoid_overlay(path: &Path) -> Result<OnTmpfs> {
    let found = statfs(path).with_context(|| format!("look at {}", path.display()))?;
    if found.f_type != OVERLAY {
        return Ok(OnTmpfs::No);
    }
    mount(
        "tmpfs",
        path,
        "tmpfs",
        MountFlags::empty(),
        Some(c"mode=755"),
    )
    .with_context(|| format!("mount a tmpfs on {}", path.display()))?;
    Ok(OnTmpfs::Yes)
}

/// Why containers of this runtime cannot be made here; `None` when they can.
pub(crate) fn missing(runtime: Runtime) -> Option<String> {
    if runtime == Runtime::Builtin || find(runtime.name()).is_ok() {
        return None;
    }
    Some(format!("{} is not installed", runtime.name()))
}

/// The program of this name in the usual directories.
pub(crate) fn find(name: &str) -> Result<PathBuf> {
    for directory in PROGRAMS {
        let path = Path::new(directory).join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    bail!("{name} is not installed")
}
