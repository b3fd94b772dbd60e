//! The files of a log: the present one and those that were put aside.
//!
//! They are found newest first, `PATH`, `PATH.1`, `PATH.2`, …, while the writer may be renaming them. A file moves to higher numbers
//! only, so one that was not met yet is never missed by going up; what can happen is that a file newer than the first one is met behind
//! it. Then the first one is met again further on, and what lies between is not older than it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ctr_monitor::{log_number, older_log};
use rustix::fs::OFlags;

use super::LogMissed;

/// How often the files are looked for again because the writer outran the search.
const ATTEMPTS: u32 = 100;

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

/// An open file of a log.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: File,
    pub(super) id: FileId,
    /// Its size when it was found.
    pub(super) size: u64,
}

/// Where the files of a log lie.
#[derive(Clone, Debug)]
pub(super) struct Location {
    pub(super) path: PathBuf,
    pub(super) max_files: u32,
}

impl Location {
    /// Opens all files that are newer than `known`, oldest first.
    pub(super) fn newer_than(&self, known: Option<FileId>) -> io::Result<Vec<Segment>> {
        for _ in 0..ATTEMPTS {
            if let Some(mut found) = self.search(known)? {
                found.reverse();
                return Ok(found);
            }
        }
        // Files come and go faster than they can be opened: the newest one at least.
        Ok(Segment::open(&self.path)?
            .filter(|segment| Some(segment.id) != known)
            .into_iter()
            .collect())
    }

    /// Newest first; `None` when the newest one was gone before all were found.
    fn search(&self, known: Option<FileId>) -> io::Result<Option<Vec<Segment>>> {
        let mut found: Vec<Segment> = Vec::new();
        for number in 0..self.max_files {
            let Some(segment) = Segment::open(&self.numbered(number))? else {
                continue;
            };
            if Some(segment.id) == known {
                return Ok(Some(found));
            }
            match found.iter().position(|other| other.id == segment.id) {
                // Met again: what was met since is newer, or will be met again, too.
                Some(0) => found.truncate(1),
                Some(_) => {}
                None => found.push(segment),
            }
        }
        let outrun = match found.first() {
            Some(newest) => self.max_files > 1 && newest.file.metadata()?.nlink() == 0,
            None => false,
        };
        Ok((!outrun).then_some(found))
    }

    /// What is missing between a file and the one that was found next.
    pub(super) fn missed(&self, file: &Segment, next: &Segment) -> io::Result<Option<LogMissed>> {
        let before = log_number(&file.file).unwrap_or(0);
        let files = match log_number(&next.file) {
            Some(number) if number > before => Some(number - before - 1),
            Some(_) | None => None,
        };
        let missed = match files {
            Some(files) => files > 0,
            // With one file alone, each next one finds its predecessor gone.
            None => self.max_files > 1 && file.file.metadata()?.nlink() == 0,
        };
        Ok(missed.then_some(LogMissed { files }))
    }

    fn numbered(&self, number: u32) -> PathBuf {
        match number {
            0 => self.path.clone(),
            older => older_log(&self.path, older),
        }
    }
}

impl Segment {
    /// Opens a file; `None` when there is none.
    ///
    /// # Errors
    /// When something else lies there than a regular file of this user that has no second name: whoever put it there wants somebody
    /// else's file read.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::options()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path);
        let file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Err(refused("it is a symbolic link"));
            }
            Err(error) => return Err(error),
        };
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(refused("it is not a regular file"));
        }
        if found.uid() != rustix::process::geteuid().as_raw() {
            return Err(refused("it belongs to another user"));
        }
        if found.nlink() > 1 {
            return Err(refused("it has a second name"));
        }
        Ok(Some(Self {
            id: FileId {
                device: found.dev(),
                inode: found.ino(),
            },
            size: found.len(),
            file,
        }))
    }
}

/// What is missing before the first file that was found of a log that was not there before.
pub(super) fn missed_from_the_beginning(first: &Segment) -> Option<LogMissed> {
    let files = log_number(&first.file).filter(|number| *number > 0)?;
    Some(LogMissed { files: Some(files) })
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctr_sys::{Sync, replace_file};

    fn log(files: &[(&str, &str)]) -> (tempfile::TempDir, Location) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            replace_file(&dir.path().join(name), text.as_bytes(), 0o600, Sync::No).unwrap();
        }
        let location = Location {
            path: dir.path().join("log"),
            max_files: 4,
        };
        (dir, location)
    }

    fn sizes(location: &Location, known: Option<FileId>) -> Vec<u64> {
        let found = location.newer_than(known).unwrap();
        found.iter().map(|segment| segment.size).collect()
    }

    #[test]
    fn oldest_first_whatever_number_is_missing() {
        let (_dir, location) = log(&[
            ("log", "1"),
            ("log.1", "22"),
            ("log.3", "4444"),
            ("log.4", ""),
        ]);
        assert_eq!(sizes(&location, None), [4, 2, 1]);
        let (_dir, location) = log(&[("log.1", "22")]);
        assert_eq!(sizes(&location, None), [2]);
        let (_dir, location) = log(&[]);
        assert_eq!(sizes(&location, None), [0_u64; 0]);
    }

    #[test]
    fn only_what_is_newer_than_what_is_known() {
        let (dir, location) = log(&[("log", "1"), ("log.1", "22")]);
        let known = location.newer_than(None).unwrap().pop().unwrap().id;
        assert_eq!(sizes(&location, Some(known)), [0_u64; 0]);
        let path = |name: &str| dir.path().join(name);
        std::fs::rename(path("log.1"), path("log.2")).unwrap();
        std::fs::rename(path("log"), path("log.1")).unwrap();
        assert_eq!(sizes(&location, Some(known)), [0_u64; 0]);
        replace_file(&path("log"), b"new", 0o600, Sync::No).unwrap();
        assert_eq!(sizes(&location, Some(known)), [3]);
    }

    #[test]
    fn what_is_no_file_of_ours_is_refused() {
        let (dir, location) = log(&[("secret", "secret")]);
        let refused = |words: &str| {
            let error = location.newer_than(None).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        std::os::unix::fs::symlink(dir.path().join("secret"), &location.path).unwrap();
        refused("symbolic link");
        std::fs::remove_file(&location.path).unwrap();
        std::fs::hard_link(dir.path().join("secret"), &location.path).unwrap();
        refused("second name");
        std::fs::remove_file(&location.path).unwrap();
        std::fs::create_dir(&location.path).unwrap();
        refused("regular file");
        std::fs::remove_dir(&location.path).unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &location.path, mode).unwrap();
        refused("regular file");
    }
}
