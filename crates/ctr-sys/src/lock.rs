//! File locks that die with their holder and say who it is.
//!
//! The lock is `flock(2)` on a file of its own, opened close-on-exec: it belongs to the open file, so a second acquisition in the
//! same process waits too, and the kernel releases it when the holder ends, however it ends. The holder writes its pid, verb
//! and the time into the file, for the eyes of those who wait; nothing is ever decided by that text. The file may be
//! unlinked only by its holder, so that whoever gets the lock checks that the path still leads to the file it locked.
//!
//! Waiting is a bounded back-off of 0.2 to 20 ms: `flock` has no timeout, and a signal to interrupt it would be a global of the
//! process. This is the only place of the house that waits by sleeping.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::error::{Context, SysError, SysResult};
use crate::pidref::{PidRef, PidStamp};

const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// More than a holder ever writes.
const HOLDER_BYTES: u64 = 4096;

/// Who holds a lock, by its own words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Its pid.
    pub pid: i32,
    /// Its start time, see [`PidStamp`].
    pub start_time: u64,
    /// What it does: "stop", "start", …
    pub verb: String,
    /// Since when, in ms after boot (`CLOCK_BOOTTIME`).
    pub since_ms: u64,
}

impl LockHolder {
    /// Its process.
    pub fn stamp(&self) -> PidStamp {
        PidStamp {
            pid: self.pid,
            start_time: self.start_time,
        }
    }

    /// How long it has held the lock.
    pub fn age(&self) -> Duration {
        Duration::from_millis(boot_millis().saturating_sub(self.since_ms))
    }
}

/// Why a lock was not acquired.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody held it for the whole time.
    #[error("{} is locked{}", path.display(), holder_text(holder.as_ref()))]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, when it has written so.
        holder: Option<LockHolder>,
        /// How long was waited.
        waited: Duration,
    },
    /// The file cannot be opened or locked.
    #[error(transparent)]
    Sys(#[from] SysError),
}

fn holder_text(holder: Option<&LockHolder>) -> String {
    holder.map_or_else(String::new, |holder| {
        format!(
            " by process {} ({}, for {} s)",
            holder.pid,
            holder.verb,
            holder.age().as_secs()
        )
    })
}

/// An acquired lock; dropping it releases it.
#[derive(Debug)]
#[must_use = "dropping the lock releases it"]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

impl FileLock {
    /// Acquires the lock at `path`, creating the file (0600) when it is missing, for `verb`.
    ///
    /// # Errors
    /// [`LockError::Busy`] when the deadline passes first.
    pub fn acquire(path: &Path, verb: &str, deadline: Deadline) -> Result<Self, LockError> {
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let file = open(path)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if leads_to(path, &file)? => {
                    let mut lock = Self {
                        file,
                        path: path.to_owned(),
                    };
                    lock.sign(verb)?;
                    return Ok(lock);
                }
                // Unlinked by its last holder: the path is free or has a new file.
                Ok(()) | Err(Errno::INTR) => continue,
                Err(Errno::WOULDBLOCK) => {}
                Err(errno) => {
                    return Err(
                        SysError::new("lock", path.display().to_string(), errno.into()).into(),
                    );
                }
            }
            if deadline.expired() {
                return Err(LockError::Busy {
                    path: path.to_owned(),
                    holder: Self::holder(path),
                    waited: began.elapsed(),
                });
            }
            let left = deadline.remaining().unwrap_or(LONGEST_PAUSE);
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Who holds the lock at `path`, or held it last; `None` when nobody can be named. For messages only.
    pub fn holder(path: &Path) -> Option<LockHolder> {
        let mut text = Vec::new();
        let file = File::open(path).ok()?;
        file.take(HOLDER_BYTES).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Whether somebody holds the lock at `path` now.
    ///
    /// # Errors
    /// When the file exists and cannot be opened.
    pub fn is_held(path: &Path) -> SysResult<bool> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).context("open", || path.display().to_string()),
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(SysError::new(
                "lock",
                path.display().to_string(),
                errno.into(),
            )),
        }
    }

    /// Removes the file and releases the lock: for the last holder of something that is gone.
    ///
    /// # Errors
    /// When the file cannot be unlinked; the lock is released all the same.
    pub fn unlink(self) -> SysResult<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context("remove", || self.path.display().to_string())
            }
            _ => Ok(()),
        }
    }

    fn sign(&mut self, verb: &str) -> SysResult<()> {
        let own = PidStamp::own()?;
        let holder = LockHolder {
            pid: own.pid,
            start_time: own.start_time,
            verb: verb.to_owned(),
            since_ms: boot_millis(),
        };
        let text = serde_json::to_vec(&holder).unwrap_or_default();
        let write = |file: &mut File| -> std::io::Result<()> {
            file.rewind()?;
            file.write_all(&text)?;
            file.set_len(text.len() as u64)
        };
        match write(&mut self.file) {
            // A full disk must not keep anybody from stopping or removing: the signature is only a courtesy.
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Ok(()),
            result => result.context("write", || self.path.display().to_string()),
        }
    }
}

/// Who holds which locks now, found out without taking any: for lists, which must not stand in anybody's way.
#[derive(Debug, Default)]
pub struct LockObserver {
    /// The files with a `flock(2)` lock, by device and inode; read when first needed.
    locked: OnceCell<BTreeSet<(u64, u64)>>,
}

impl LockObserver {
    /// The holder of the lock at `path`; `None` when nobody holds it, or cannot be named.
    pub fn holder(&self, path: &Path) -> Option<LockHolder> {
        // Most files name somebody who has long ended, and need no look into the kernel's table.
        let holder = FileLock::holder(path)?;
        PidRef::open(holder.stamp()).ok()??;
        let metadata = std::fs::symlink_metadata(path).ok()?;
        let locked = self.locked.get_or_init(|| {
            parse_locks(&std::fs::read_to_string("/proc/locks").unwrap_or_default())
        });
        locked
            .contains(&(metadata.dev(), metadata.ino()))
            .then_some(holder)
    }
}

/// The processes that have a record lock (`fcntl(2)`) on part of the file at `path` which keeps all others out, by the kernel's table.
///
/// # Errors
/// When the file exists and cannot be looked at, or the table cannot be read.
pub fn record_lock_holders(path: &Path) -> SysResult<Vec<i32>> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => (found.dev(), found.ino()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context("stat", || path.display().to_string()),
    };
    let table = std::fs::read_to_string("/proc/locks").context("read", || "/proc/locks".into())?;
    let holders = table.lines().filter_map(|line| {
        let (kind, pid, file) = parse_line(line)?;
        (kind == ["POSIX", "WRITE"] && file == found).then_some(pid)
    });
    Ok(holders.collect())
}

/// The files that `/proc/locks` (`proc_locks(5)`) shows with a `flock(2)` lock that somebody has: waiting is marked with an arrow.
fn parse_locks(text: &str) -> BTreeSet<(u64, u64)> {
    text.lines().filter_map(parse_lock).collect()
}

fn parse_lock(line: &str) -> Option<(u64, u64)> {
    let ([kind, _], _, file) = parse_line(line)?;
    (kind == "FLOCK").then_some(file)
}

/// What kind of lock it is and for what, whose, and on which device and inode. A line about somebody who waits is none.
fn parse_line(line: &str) -> Option<([&str; 2], i32, (u64, u64))> {
    let mut words = line.split_whitespace().skip(1);
    let kind = words.next().filter(|word| *word != "->")?;
    let access = words.nth(1)?;
    let pid = words.next()?.parse().ok()?;
    let mut parts = words.next()?.split(':');
    let major = u32::from_str_radix(parts.next()?, 16).ok()?;
    let minor = u32::from_str_radix(parts.next()?, 16).ok()?;
    let inode = parts.next()?.parse().ok()?;
    let device = rustix::fs::makedev(major, minor);
    Some(([kind, access], pid, (device, inode)))
}

fn open(path: &Path) -> SysResult<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
        .context("open", || path.display().to_string())
}

fn leads_to(path: &Path, file: &File) -> SysResult<bool> {
    let mine = file
        .metadata()
        .context("stat", || path.display().to_string())?;
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok(there.dev() == mine.dev() && there.ino() == mine.ino()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context("stat", || path.display().to_string()),
    }
}

fn boot_millis() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1000 + nanos / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Deadline {
        Deadline::after(Duration::ZERO)
    }

    #[test]
    fn a_second_acquisition_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = FileLock::acquire(&path, "stop", now()).unwrap();
        let Err(LockError::Busy { holder, .. }) = FileLock::acquire(&path, "start", now()) else {
            panic!("acquired twice");
        };
        let holder = holder.unwrap();
        assert_eq!(
            (holder.verb.as_str(), holder.pid),
            ("stop", PidStamp::own().unwrap().pid)
        );
        assert!(FileLock::is_held(&path).unwrap());
        drop(first);
        assert!(!FileLock::is_held(&path).unwrap());
        FileLock::acquire(&path, "x", now())
            .unwrap()
            .unlink()
            .unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn an_observer_names_who_holds_a_lock_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let holder = || LockObserver::default().holder(&path);
        assert_eq!(holder(), None);
        let lock = FileLock::acquire(&path, "stop", now()).unwrap();
        assert_eq!(holder().unwrap().verb, "stop");
        drop(lock);
        // Its signature is still there, and its process lives.
        assert!(FileLock::holder(&path).is_some());
        assert_eq!(holder(), None);
    }

    #[test]
    fn record_locks_name_their_holder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert_eq!(record_lock_holders(&path).unwrap(), [0; 0]);
        let file = open(&path).unwrap();
        rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockShared).unwrap();
        assert_eq!(record_lock_holders(&path).unwrap(), [0; 0]);
        rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        let own = PidStamp::own().unwrap().pid;
        assert_eq!(record_lock_holders(&path).unwrap(), [own]);
    }

    #[test]
    fn the_table_of_locks() {
        let text = "1: FLOCK  ADVISORY  WRITE 12 fe:01:345 0 EOF\n\
                    1: -> FLOCK  ADVISORY  WRITE 13 fe:01:346 0 EOF\n\
                    2: POSIX  ADVISORY  WRITE 14 00:1a:7 0 EOF\n";
        let expected = (rustix::fs::makedev(0xfe, 1), 345);
        assert_eq!(parse_locks(text), [expected].into());
    }

    #[test]
    fn a_lock_on_an_unlinked_file_is_not_taken_for_the_real_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let old = FileLock::acquire(&path, "remove", now()).unwrap();
        let waiter = {
            let path = path.clone();
            std::thread::spawn(move || FileLock::acquire(&path, "start", Deadline::never()))
        };
        old.unlink().unwrap();
        let new = waiter.join().unwrap().unwrap();
        assert!(leads_to(&path, &new.file).unwrap());
    }
}
