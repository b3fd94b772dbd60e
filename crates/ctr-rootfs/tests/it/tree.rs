//! A directory to build a root file system in.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use ctr_sys::Root;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use tempfile::TempDir;

/// A temporary directory with short ways to fill it. Paths are relative to it; parents are made.
pub(crate) struct Tree {
    dir: TempDir,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn root(&self) -> Root {
        Root::open(self.path()).unwrap()
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "nobody reads a test's tree while it is made"
    )]
    pub(crate) fn file(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        fs::write(self.at(path), text).unwrap();
        self
    }

    pub(crate) fn executable(&self, path: &str, mode: u32) -> &Self {
        self.file(path, "#!/bin/sh\n").mode(path, mode)
    }

    pub(crate) fn mode(&self, path: &str, mode: u32) -> &Self {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    pub(crate) fn owner(&self, path: &str, uid: u32, gid: u32) -> &Self {
        std::os::unix::fs::chown(self.at(path), Some(uid), Some(gid)).unwrap();
        self
    }

    pub(crate) fn dir(&self, path: &str) -> &Self {
        fs::create_dir_all(self.at(path)).unwrap();
        self
    }

    pub(crate) fn link(&self, path: &str, target: impl AsRef<Path>) -> &Self {
        symlink(target, self.at(path)).unwrap();
        self
    }

    pub(crate) fn fifo(&self, path: &str) -> &Self {
        mknodat(CWD, self.at(path), FileType::Fifo, Mode::RUSR, 0).unwrap();
        self
    }

    /// `/dev/null` by another name; needs root.
    pub(crate) fn device(&self, path: &str) -> &Self {
        let null = makedev(1, 3);
        mknodat(
            CWD,
            self.at(path),
            FileType::CharacterDevice,
            Mode::RUSR,
            null,
        )
        .unwrap();
        self
    }

    pub(crate) fn sparse(&self, path: &str, bytes: u64) -> &Self {
        self.file(path, "");
        let file = fs::OpenOptions::new()
            .write(true)
            .open(self.at(path))
            .unwrap();
        file.set_len(bytes).unwrap();
        self
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.path().join(path).symlink_metadata().is_ok()
    }
}

/// Whether this process may mount; prints the reason when a case is passed over.
pub(crate) fn is_root(case: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("{case}: passed over, it needs root");
    }
    root
}
