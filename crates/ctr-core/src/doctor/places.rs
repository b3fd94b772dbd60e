//! The engine's directories: whose they are, who else gets at them, and how much room is left.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ctr_sys::SysError;

use super::finding::{Finding, FindingKind, Subject};
use super::look::Examiner;
use crate::error::EngineError;

/// With less room than this, records of what happens cannot be relied on to be written.
const ROOM_BYTES: u64 = 16 * 1024 * 1024;
/// One part of so many is the least that should be free where that is less.
const PARTS: u64 = 100;

/// What should be at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Directory,
    File,
}

impl Examiner<'_> {
    pub(super) fn places(&mut self) {
        let layout = &self.layout;
        let directories = [
            layout.root().to_owned(),
            layout.containers(),
            layout.runroot().to_owned(),
            layout.runs(),
            layout.locks(),
            layout.empty(),
        ];
        for path in directories {
            self.place(&path, Expected::Directory);
        }
        let database = self.layout.database();
        let files = ["", "-wal", "-shm"].map(|end| {
            let mut name = database.clone().into_os_string();
            name.push(end);
            PathBuf::from(name)
        });
        for path in files.into_iter().chain([self.layout.wake()]) {
            self.place(&path, Expected::File);
        }
        for path in [
            self.layout.root().to_owned(),
            self.layout.runroot().to_owned(),
        ] {
            let name = format!("room in {}", path.display());
            let stuck = Finding::new(FindingKind::NotExamined, Subject::path(&path), "");
            self.step(&name, stuck, |examiner| examiner.room(&path));
        }
    }

    fn place(&mut self, path: &Path, expected: Expected) {
        let name = format!("look at {}", path.display());
        let stuck = Finding::new(FindingKind::NotExamined, Subject::path(path), "");
        self.step(&name, stuck, |examiner| {
            examiner.look_at(Subject::path(path), path, expected)
        });
    }

    /// Whose it is, and who else gets at it.
    pub(super) fn look_at(
        &mut self,
        subject: Subject,
        path: &Path,
        expected: Expected,
    ) -> Result<(), EngineError> {
        let found = match std::fs::metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(SysError::new("stat", path.display().to_string(), error).into());
            }
        };
        self.checked.files += 1;
        let own = rustix::process::geteuid().as_raw();
        if expected == Expected::Directory && !found.is_dir() {
            let why = "a directory of the engine should be there, and something else is";
            self.found(FindingKind::NotADirectory, subject, why);
        } else if found.uid() != own {
            let why = format!(
                "it belongs to user {}, who can change everything in it, and not to user {own}",
                found.uid()
            );
            self.found(FindingKind::ForeignOwner, subject, why);
        } else if found.mode() & 0o077 != 0 {
            let can = if found.mode() & 0o022 == 0 {
                "look into it"
            } else {
                "change it, and every command refuses to use it or what is in it"
            };
            let mode = found.mode() & 0o7777;
            let why = format!("its mode is {mode:04o}, so other users may {can}");
            self.found(FindingKind::OpenToOthers, subject, why);
        }
        Ok(())
    }

    fn room(&mut self, path: &Path) -> Result<(), EngineError> {
        let found = match rustix::fs::statvfs(path) {
            Ok(found) => found,
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(errno) => {
                let path = path.display().to_string();
                return Err(SysError::new("look at the room in", path, errno.into()).into());
            }
        };
        let (left, all) = (
            found.f_bavail.saturating_mul(found.f_frsize),
            found.f_blocks.saturating_mul(found.f_frsize),
        );
        if left < ROOM_BYTES.min(all / PARTS) {
            let why = format!("the file system has {left} bytes left of {all}");
            self.found(FindingKind::DiskNearlyFull, Subject::path(path), why);
        } else if found.f_files > 0 && found.f_favail < found.f_files / PARTS {
            let why = format!(
                "the file system has room for {} more files, of {}",
                found.f_favail, found.f_files
            );
            self.found(FindingKind::DiskNearlyFull, Subject::path(path), why);
        }
        Ok(())
    }
}
