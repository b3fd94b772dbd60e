//! Detached mounts that are taken from another process: its namespaces, and what is mounted in its root.
//!
//! A namespace lives as long as somebody uses it, and a file of `/proc/PID/ns` is only as sure as the pid. A mount of that file holds
//! the namespace itself. What is mounted in another mount namespace can only be copied from inside it, so a helper goes there.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::thread::ThreadNameSpaceType;

use crate::deadline::Deadline;
use crate::error::{Context, SysError, SysResult};
use crate::fork::fork_helper;
use crate::mount::{DetachedMount, Recursion};
use crate::pidref::PidRef;
use crate::poll::wait_readable;
use crate::root::Root;
use crate::socket::{Packet, recv_packet, send_packet, seqpacket_pair};

/// The kinds of namespaces that one process can take from another without changing its root, `namespaces(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NamespaceKind {
    /// System V objects and message queues.
    Ipc,
    /// Network interfaces, addresses and ports.
    Network,
    /// Processes.
    Pid,
    /// The host name.
    Uts,
}

impl NamespaceKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Ipc, Self::Network, Self::Pid, Self::Uts];

    /// The name of its file below `/proc/PID/ns`.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Ipc => "ipc",
            Self::Network => "net",
            Self::Pid => "pid",
            Self::Uts => "uts",
        }
    }
}

/// An answer of a helper is no longer.
const ANSWER_LIMIT: usize = 64;

impl DetachedMount {
    /// The namespace of a process, as a file that can be attached on an empty file. The path where that is then names the namespace, for
    /// `setns(2)` and for runtimes, and the namespace lives at least as long as the mount.
    ///
    /// # Errors
    /// `NotFound` when the process has ended: what was found under its pid is never returned then.
    pub fn namespace(pid: &PidRef, kind: NamespaceKind) -> SysResult<Self> {
        let path = format!("/proc/{}/ns/{}", pid.stamp().pid, kind.file_name());
        let cloned = Self::clone_tree(Path::new(&path), Recursion::Single);
        // Asked afterwards: if it still lives, the pid was its own all the time.
        require_alive(pid, "take a namespace of")?;
        cloned
    }

    /// A copy of what is mounted at `path` in the root of another process, from that directory or file on: a bind mount, detached.
    /// Links on the way are resolved inside that root. It keeps the flags that the mount has there, and its propagation.
    ///
    /// A helper is forked that enters the mount namespace of the process.
    ///
    /// # Errors
    /// When the calling process has several threads, see [`fork_helper`]; when `path` is missing there (`NotFound`), when the process has
    /// ended (`NotFound`), and when the deadline passes (`TimedOut`), as it may when a file system of the other process does not answer.
    pub fn clone_of(
        pid: &PidRef,
        path: &Path,
        recursion: Recursion,
        deadline: Deadline,
    ) -> SysResult<Self> {
        let root = root_of(pid)?;
        let (ours, theirs) = seqpacket_pair()?;
        let keep = [theirs.as_fd(), pid.as_fd(), root.as_fd()];
        let helper = fork_helper(&keep, || {
            send(theirs.as_fd(), clone_inside(pid, &root, path, recursion))
        })?;
        drop(theirs);
        let answer = receive(ours.as_fd(), deadline);
        if answer.is_err() {
            helper.kill_and_wait()?;
        } else {
            helper.wait()?;
        }
        cloned(answer?, pid, path)
    }
}

fn require_alive(pid: &PidRef, operation: &'static str) -> SysResult<()> {
    if pid.is_alive() {
        return Ok(());
    }
    let gone = io::Error::new(io::ErrorKind::NotFound, "the process has ended");
    let subject = format!("process {}", pid.stamp().pid);
    Err(SysError::new(operation, subject, gone))
}

/// The root directory of a process, as it has it itself.
fn root_of(pid: &PidRef) -> SysResult<Root> {
    let path = PathBuf::from(format!("/proc/{}/root", pid.stamp().pid));
    let root = Root::open(&path);
    require_alive(pid, "open the root of")?;
    root
}

/// In the helper, which stays in the mount namespace of the process: only there its mounts can be copied.
fn clone_inside(
    pid: &PidRef,
    root: &Root,
    path: &Path,
    recursion: Recursion,
) -> SysResult<DetachedMount> {
    rustix::thread::move_into_thread_name_spaces(pid.as_fd(), ThreadNameSpaceType::MOUNT)
        .context(ENTER, String::new)?;
    let found = root.open_path(path)?;
    DetachedMount::clone_at(found.as_fd(), Path::new(""), recursion)
}

const ENTER: &str = "enter the mount namespace for";
const CLONE: &str = "clone the mount of";
/// What can fail in the helper, as its errors name it.
const OPERATIONS: [&str; 3] = [ENTER, "open", CLONE];

/// Sends the mount, or the number of an error and the operation that had it. The result is the helper's exit code.
fn send(socket: BorrowedFd<'_>, made: SysResult<DetachedMount>) -> i32 {
    let sent = match made {
        Ok(mount) => send_packet(socket, b"mount", &[mount.as_fd()]),
        Err(error) => {
            let number = error.raw_os_error().unwrap_or(libc::EIO);
            let text = format!("{number} {}", error.operation());
            send_packet(socket, text.as_bytes(), &[])
        }
    };
    i32::from(sent.is_err())
}

fn receive(socket: BorrowedFd<'_>, deadline: Deadline) -> SysResult<Packet> {
    let subject = || "a mount from a helper".to_owned();
    if !wait_readable(socket, deadline)? {
        let late = io::Error::from(io::ErrorKind::TimedOut);
        return Err(SysError::new("receive", subject(), late));
    }
    recv_packet(socket, ANSWER_LIMIT).context("receive", subject)
}

fn cloned(answer: Packet, pid: &PidRef, path: &Path) -> SysResult<DetachedMount> {
    let Packet { bytes, fds, .. } = answer;
    if let Some(fd) = fds.into_iter().next() {
        return Ok(DetachedMount::from_fd(fd));
    }
    require_alive(pid, CLONE)?;
    let pid = pid.stamp().pid;
    let subject = format!("{} in the root of process {pid}", path.display());
    let (operation, cause) = failure(&String::from_utf8_lossy(&bytes))
        .unwrap_or_else(|| (CLONE, io::Error::other("the helper gave no answer")));
    Err(SysError::new(operation, subject, cause))
}

/// What [`send`] tells of an error.
fn failure(text: &str) -> Option<(&'static str, io::Error)> {
    let (number, operation) = text.split_once(' ')?;
    let operation = OPERATIONS.into_iter().find(|known| *known == operation)?;
    let cause = io::Error::from_raw_os_error(number.parse().ok()?);
    Some((operation, cause))
}
