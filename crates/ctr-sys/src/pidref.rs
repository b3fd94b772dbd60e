//! Processes that cannot be mistaken for others: a pid together with its start time, or a pidfd.
//!
//! A pid alone is reused. Everything the house records is a [`PidStamp`]; everything it acts on is a [`PidRef`], which is made
//! from a stamp by opening a pidfd first and comparing the start time afterwards, so that the answer holds for as long as the
//! descriptor is open. A zombie counts as dead.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};
use serde::{Deserialize, Serialize};

use crate::child::ExitStatus;
use crate::deadline::Deadline;
use crate::error::{Context, SysError, SysResult};
use crate::kernel_file;
use crate::poll::wait_readable;
use crate::raw;
use crate::signal::Signal;

/// A pid and the moment its process started: the part of an identity that can be written down. The boot it belongs to is
/// recorded beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PidStamp {
    /// The pid in the initial pid namespace of the reader.
    pub pid: i32,
    /// Clock ticks between boot and the start of the process (field 22 of `/proc/PID/stat`, `proc_pid_stat(5)`).
    pub start_time: u64,
}

impl PidStamp {
    /// The stamp of the calling process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn own() -> SysResult<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        match read_stat(pid)? {
            Some(stat) => Ok(Self {
                pid,
                start_time: stat.start_time,
            }),
            None => Err(SysError::invalid(
                "read",
                format!("/proc/{pid}/stat"),
                "the calling process is not in /proc",
            )),
        }
    }
}

/// What became of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The process has it.
    Delivered,
    /// The process had already ended.
    Gone,
}

/// A process that existed when this was opened and is held by a pidfd, `pidfd_open(2)`.
#[derive(Debug)]
pub struct PidRef {
    stamp: PidStamp,
    fd: OwnedFd,
}

impl PidRef {
    /// Opens the process that `stamp` names. `None`: it is gone, a zombie, or the pid belongs to another process now.
    ///
    /// # Errors
    /// When `/proc` cannot be read or descriptors are short.
    pub fn open(stamp: PidStamp) -> SysResult<Option<Self>> {
        Ok(Self::capture(stamp.pid)?.filter(|found| found.stamp == stamp))
    }

    /// Opens whatever process has that pid now. `None`: there is none, or it is a zombie.
    ///
    /// Only right where the pid cannot have been reused yet, for example for a child that was not reaped.
    ///
    /// # Errors
    /// When `/proc` cannot be read or descriptors are short.
    pub fn capture(pid: i32) -> SysResult<Option<Self>> {
        Ok(Self::capture_child(pid)?.filter(Self::is_alive))
    }

    /// As [`PidRef::capture`], but a process that has ended and that nobody has reaped yet (a zombie) is returned as well: it is not alive
    /// then, and [`PidRef::reap`] gives its status. `None`: there is no such process.
    ///
    /// Only right for a child of the calling process that was not reaped: nothing else keeps the pid from having been reused.
    ///
    /// # Errors
    /// When `/proc` cannot be read or descriptors are short.
    pub fn capture_child(pid: i32) -> SysResult<Option<Self>> {
        let Some(fd) = open_pidfd(pid)? else {
            return Ok(None);
        };
        // The pidfd came first: if the process with that pid still exists now, it is the one behind the descriptor.
        let stat = read_stat(pid)?;
        Ok(stat.map(|stat| Self {
            stamp: PidStamp {
                pid,
                start_time: stat.start_time,
            },
            fd,
        }))
    }

    /// The identity to write down.
    pub fn stamp(&self) -> PidStamp {
        self.stamp
    }

    /// Sends a signal, `pidfd_send_signal(2)`.
    ///
    /// # Errors
    /// When the kernel refuses (no permission).
    pub fn signal(&self, signal: Signal) -> SysResult<Delivery> {
        raw::pidfd_send_signal(self.fd.as_fd(), signal, self.stamp.pid)
    }

    /// Waits for the end of the process (a zombie has ended); false when the deadline passed first.
    ///
    /// # Errors
    /// When `poll(2)` fails.
    pub fn wait(&self, deadline: Deadline) -> SysResult<bool> {
        wait_readable(self.fd.as_fd(), deadline)
    }

    /// Reaps it when it is a child of the calling process and has ended; `None`: it is nobody's child here, or still runs.
    ///
    /// # Errors
    /// When `waitid(2)` fails for another reason.
    pub fn reap(&self) -> SysResult<Option<ExitStatus>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        loop {
            match rustix::process::waitid(WaitId::PidFd(self.fd.as_fd()), options) {
                Ok(status) => return Ok(status.as_ref().and_then(ExitStatus::from_wait)),
                Err(Errno::CHILD) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(errno) => {
                    let subject = format!("process {}", self.stamp.pid);
                    return Err(SysError::new("wait for", subject, errno.into()));
                }
            }
        }
    }

    /// Whether it stands still, because somebody has stopped it with a signal or traces it. Nothing that it should do is done then.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn is_stopped(&self) -> SysResult<bool> {
        let own =
            read_stat(self.stamp.pid)?.filter(|stat| stat.start_time == self.stamp.start_time);
        Ok(own.is_some_and(|stat| matches!(stat.state, b'T' | b't')))
    }

    /// How it ended, where it is nobody's child here: the kernel tells it of a zombie (field 52 of `/proc/PID/stat`, for those who may
    /// trace it), and of one that was reaped to those who hold a pidfd (`PIDFD_GET_INFO`, since Linux 6.15). `None`: it lives, or nobody
    /// can say any more.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn end_as_seen_by_others(&self) -> SysResult<Option<ExitStatus>> {
        if self.is_alive() {
            return Ok(None);
        }
        let kept = || raw::pidfd_wait_status(self.fd.as_fd());
        // Kept from the moment of its reaping on, until which it is a zombie.
        let zombie = read_stat(self.stamp.pid)?.filter(|stat| stat.is_zombie_of(self.stamp));
        let status = zombie.and_then(|stat| stat.wait_status).or_else(kept);
        Ok(status.and_then(ExitStatus::from_raw))
    }

    /// Whether it is a child of this process now, or was when it ended.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn is_child_of(&self, parent: i32) -> SysResult<bool> {
        let stat = read_stat(self.stamp.pid)?;
        let own = stat.filter(|stat| stat.start_time == self.stamp.start_time);
        Ok(own.is_some_and(|stat| stat.parent == parent))
    }

    /// Whether it still runs. A failing `poll(2)` counts as alive: nobody may act on a wrong "dead".
    pub fn is_alive(&self) -> bool {
        !matches!(
            wait_readable(self.fd.as_fd(), Deadline::after(std::time::Duration::ZERO)),
            Ok(true)
        )
    }
}

impl AsFd for PidRef {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How a process ended that nobody has reaped yet, whoever its parent is. `None`: it lives, it was reaped, or the kernel does not say.
///
/// # Errors
/// When `/proc` cannot be read or descriptors are short.
pub fn end_of_zombie(stamp: PidStamp) -> SysResult<Option<ExitStatus>> {
    match PidRef::capture_child(stamp.pid)? {
        Some(process) if process.stamp == stamp => process.end_as_seen_by_others(),
        Some(_) | None => Ok(None),
    }
}

/// The living children of the calling process, which must have one thread, as `/proc` shows them now.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn children() -> SysResult<Vec<PidRef>> {
    let path = "/proc/thread-self/children";
    let text = kernel_file::read_text(path).context("read", || path.to_owned())?;
    let pids = text
        .split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok());
    let held = pids.map(PidRef::capture);
    held.filter_map(Result::transpose).collect()
}

/// The processes that descend from `process`, but not the calling one, children before grandchildren, as `/proc` shows them now. None, when
/// it ends meanwhile.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn descendants(process: &PidRef) -> SysResult<Vec<PidRef>> {
    let mut found = children_of(process)?;
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        let children = children_of(parent)?;
        found.extend(children);
        next += 1;
    }
    Ok(found)
}

/// The living children of a process, but not the calling one.
fn children_of(parent: &PidRef) -> SysResult<Vec<PidRef>> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let pid = parent.stamp.pid;
    let mut found = Vec::new();
    // A process that ends while it is looked at has handed its children on.
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Ok(found);
    };
    for task in entries.flatten() {
        let text = kernel_file::read_text(task.path().join("children")).unwrap_or_default();
        let children = text
            .split_ascii_whitespace()
            .filter_map(|child| child.parse().ok());
        for child in children.filter(|child| *child != own) {
            // Asked now that it is held: its number may have been another's since the list was read.
            if let Some(child) = PidRef::capture(child)?
                && child.is_child_of(pid)?
            {
                found.push(child);
            }
        }
    }
    // The same of the parent: as long as it lives, the number is its own.
    if !parent.is_alive() {
        found.clear();
    }
    Ok(found)
}

fn open_pidfd(pid: i32) -> SysResult<Option<OwnedFd>> {
    // Checked first: the conversion takes no negative number.
    let Some(raw_pid) = Some(pid).filter(|pid| *pid > 0).and_then(Pid::from_raw) else {
        return Ok(None);
    };
    match rustix::process::pidfd_open(raw_pid, PidfdFlags::empty()) {
        Ok(fd) => Ok(Some(fd)),
        // EINVAL: the number belongs to a thread, so the process that was meant is gone.
        Err(Errno::SRCH | Errno::INVAL) => Ok(None),
        Err(errno) => Err(SysError::new(
            "open a pidfd of",
            format!("process {pid}"),
            errno.into(),
        )),
    }
}

struct Stat {
    state: u8,
    parent: i32,
    start_time: u64,
    /// `None`: the kernel does not say.
    wait_status: Option<i32>,
}

impl Stat {
    fn is_zombie_of(&self, stamp: PidStamp) -> bool {
        self.state == b'Z' && self.start_time == stamp.start_time
    }
}

/// Fields 3, 4, 22 and 52 of `/proc/PID/stat`; `None` when there is no such process.
fn read_stat(pid: i32) -> SysResult<Option<Stat>> {
    let path = format!("/proc/{pid}/stat");
    let bytes = match kernel_file::read(&path) {
        Ok(bytes) => bytes,
        // ESRCH: the process ended between open and read.
        Err(error)
            if error.kind() == std::io::ErrorKind::NotFound
                || error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error).context("read", || path),
    };
    match parse_stat(&bytes) {
        Some(stat) => Ok(Some(stat)),
        None => Err(SysError::invalid(
            "read",
            path,
            "not in the form of proc_pid_stat(5)",
        )),
    }
}

/// The name in field 2 is chosen by the process and may hold blanks and parentheses: count from the last one.
fn parse_stat(stat: &[u8]) -> Option<Stat> {
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end_of_name + 1..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let start_time = fields.nth(17)?.parse().ok()?;
    let wait_status = fields.nth(29).and_then(|field| field.parse().ok());
    Some(Stat {
        state,
        parent,
        start_time,
        wait_status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = b"7 (a) R 9 (b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 1 2 3";
        let stat = parse_stat(line).map(|stat| (stat.parent, stat.start_time));
        assert_eq!(stat, Some((1, 4242)));
        let full = b"7 (a) Z 9 8 7 6 5 4 3 2 1 0 1 2 3 4 5 6 7 8 42 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 256";
        let stat = parse_stat(full).unwrap();
        assert_eq!((stat.state, stat.start_time), (b'Z', 42));
        assert_eq!(stat.wait_status, Some(256));
        assert!(parse_stat(b"7 (a").is_none());
        assert!(parse_stat(b"7 (a) R 1").is_none());
    }

    #[test]
    fn the_calling_process_is_itself_and_nobody_else() {
        let own = PidStamp::own().unwrap();
        let found = PidRef::open(own).unwrap().unwrap();
        assert!(found.is_alive());
        let other = PidStamp {
            start_time: own.start_time + 1,
            ..own
        };
        assert!(PidRef::open(other).unwrap().is_none());
        assert!(PidRef::capture(0).unwrap().is_none());
        assert!(PidRef::capture(-1).unwrap().is_none());
    }
}
