//! Facts and settings of the calling process.

use std::os::fd::{OwnedFd, RawFd};

use rustix::fs::Mode;
use rustix::thread::CapabilitySet;

use crate::error::{Context, SysError, SysResult};
use crate::kernel_file;
use crate::raw;
use crate::signal::Signal;

/// Whether orphaned descendants become children of the calling process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subreaper {
    /// They do, `PR_SET_CHILD_SUBREAPER`.
    On,
    /// They go to the next subreaper above, or to init.
    Off,
}

/// Makes the calling process a subreaper, or no longer one.
///
/// # Errors
/// None on the kernels that the house runs on.
pub fn set_subreaper(setting: Subreaper) -> SysResult<()> {
    let pid = match setting {
        Subreaper::On => Some(rustix::process::getpid()),
        Subreaper::Off => None,
    };
    rustix::process::set_child_subreaper(pid).context("set", || "the subreaper flag".to_owned())
}

/// How willingly the kernel kills the calling process for want of memory, `proc_pid_oom_score_adj(5)`: -1000 to 1000.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn oom_score_adj() -> SysResult<i32> {
    let path = "/proc/self/oom_score_adj";
    let text = std::fs::read_to_string(path).context("read", || path.to_owned())?;
    text.trim().parse().map_err(|_| {
        let why = "it holds no number";
        SysError::invalid("read", path.to_owned(), why)
    })
}

/// Whether the calling process may lower that value, of itself or of a process that it starts: `CAP_SYS_RESOURCE`, `capabilities(7)`.
///
/// # Errors
/// None on the kernels that the house runs on.
pub fn may_lower_oom_score_adj() -> SysResult<bool> {
    let sets = rustix::thread::capabilities(None);
    let sets = sets.context("read", || "the own capabilities".to_owned())?;
    Ok(sets.effective.contains(CapabilitySet::SYS_RESOURCE))
}

/// The user who logged in, through whatever `su` and `sudo` came since; `None` when nobody did (a service).
pub fn login_uid() -> Option<u32> {
    let text = kernel_file::read_text("/proc/self/loginuid").ok()?;
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX)
}

/// Has the mask for new files, `umask(2)`, shut nobody out of a file that they make themselves. What it keeps from others stays.
pub fn unmask_owner() {
    let others = Mode::RWXG | Mode::RWXO;
    let mask = rustix::process::umask(others);
    rustix::process::umask(mask & others);
}

/// Has children stay until somebody waits for them. Whoever ignores `SIGCHLD` hands that on to the programs that they start, and the kernel
/// then forgets children as they end.
pub fn keep_children() {
    raw::reset_signal(Signal::CHLD.number());
}

/// Keeps other processes of the same user, and the container, from looking into this one, `PR_SET_DUMPABLE`.
///
/// # Errors
/// None on the kernels that the house runs on.
pub fn set_not_dumpable() -> SysResult<()> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("set", || "the dumpable flag".to_owned())
}

/// Takes over the descriptor `number` that this program was started with, once, before anything else may own that number.
///
/// # Errors
/// When there is no such descriptor.
pub fn inherited_fd(number: RawFd) -> SysResult<OwnedFd> {
    raw::take_inherited(number).context("use", || format!("descriptor {number}"))
}
