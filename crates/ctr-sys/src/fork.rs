//! Helper processes: a fork that runs a closure and ends.
//!
//! Some work changes the process that does it for good: joining namespaces, or calling a library that leaves traces. Such work is
//! done in a short-lived child. A fork copies only the calling thread, so locks that other threads hold would stay locked for
//! ever in the child: the call is refused unless the process is single-threaded.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::child::Child;
use crate::error::{Context, SysError, SysResult};
use crate::raw::{self, Forked};

/// The exit code of a helper whose closure panicked.
pub const HELPER_PANICKED: i32 = 70;

/// Forks; the child closes every descriptor from 3 on that is not in `keep`, runs `work` and ends with its result as exit code
/// ([`HELPER_PANICKED`] after a panic), without running destructors of the parent's values. The kernel kills it when the parent ends.
///
/// # Errors
/// When the process has several threads, or the kernel refuses.
pub fn fork_helper(keep: &[BorrowedFd<'_>], work: impl FnOnce() -> i32) -> SysResult<Child> {
    fork_with(keep, ParentDeath::Kills, work)
}

/// As [`fork_helper`], but the end of the parent does not kill the child: it must notice by itself, as by the end of a socket, that
/// nobody needs it any more.
///
/// # Errors
/// As [`fork_helper`].
pub fn fork_companion(keep: &[BorrowedFd<'_>], work: impl FnOnce() -> i32) -> SysResult<Child> {
    fork_with(keep, ParentDeath::Unnoticed, work)
}

/// As [`fork_companion`], but the child has all descriptors of the parent: it is the parent's twin from that moment on.
///
/// # Errors
/// As [`fork_helper`].
pub fn fork_twin(work: impl FnOnce() -> i32) -> SysResult<Child> {
    check_single_threaded()?;
    // SAFETY: the process has one thread (checked above, and no other can start one meanwhile), so the child may do anything. It has its
    // own copy of every descriptor that the values own which `work` has captured.
    match unsafe { raw::fork(None)? } {
        Forked::Parent(pid, pidfd) => Ok(Child::new(pid, pidfd)),
        Forked::Child => {
            let ended = catch_unwind(AssertUnwindSafe(work));
            raw::exit_now(ended.unwrap_or(HELPER_PANICKED))
        }
    }
}

/// What the end of the parent does to the child.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ParentDeath {
    Kills,
    Unnoticed,
}

fn fork_with(
    keep: &[BorrowedFd<'_>],
    death: ParentDeath,
    work: impl FnOnce() -> i32,
) -> SysResult<Child> {
    check_single_threaded()?;
    let parent = rustix::process::getpid().as_raw_nonzero().get();
    let keep: Vec<RawFd> = keep.iter().map(AsRawFd::as_raw_fd).collect();
    // SAFETY: the process has one thread (checked above, and no other can start one meanwhile), so the child may do anything.
    match unsafe { raw::fork(None)? } {
        Forked::Parent(pid, pidfd) => Ok(Child::new(pid, pidfd)),
        Forked::Child => {
            if death == ParentDeath::Kills {
                raw::die_with_parent(parent);
            }
            raw::exit_now(in_child(keep, work))
        }
    }
}

fn check_single_threaded() -> SysResult<()> {
    if is_single_threaded()? {
        return Ok(());
    }
    Err(SysError::invalid(
        "fork",
        "a helper",
        "the process has several threads, and a fork would copy locks that nobody opens again",
    ))
}

fn in_child(keep: Vec<RawFd>, work: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the parent's values are never dropped here (the child leaves through _exit), and `work` has only what it captured,
    // whose descriptors the caller listed.
    if unsafe { close_all_but(keep) }.is_err() {
        return HELPER_PANICKED;
    }
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(HELPER_PANICKED)
}

unsafe fn close_all_but(mut keep: Vec<RawFd>) -> Result<(), i32> {
    keep.retain(|fd| *fd > 2);
    keep.sort_unstable();
    keep.dedup();
    let mut first = 3;
    for fd in keep {
        if fd > first {
            // SAFETY: as promised by the caller.
            unsafe { raw::close_all(first, fd - 1)? };
        }
        first = fd + 1;
    }
    // SAFETY: as promised by the caller.
    unsafe { raw::close_all(first, RawFd::MAX) }
}

/// Whether the calling process has one thread only.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn is_single_threaded() -> SysResult<bool> {
    let tasks =
        std::fs::read_dir("/proc/self/task").context("read", || "/proc/self/task".into())?;
    Ok(tasks.take(2).count() == 1)
}
