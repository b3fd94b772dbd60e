//! System calls that have no safe wrapper elsewhere. One function a call; everything above is safe code.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use crate::error::{SysError, SysResult};
use crate::pidref::Delivery;
use crate::signal::{Signal, SignalInfo};

/// A set of signals as the C library stores it.
pub(crate) struct SignalSet(libc::sigset_t);

pub(crate) fn signal_set(signals: &[Signal]) -> SignalSet {
    // SAFETY: sigset_t is plain data that sigemptyset initialises; sigaddset gets numbers from 1 to 64 only.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            // 32 and 33 are refused by the C library; nobody can ask for them to be read either.
            libc::sigaddset(&raw mut set, signal.number());
        }
        SignalSet(set)
    }
}

pub(crate) fn block_signals(set: &SignalSet) -> SysResult<()> {
    // SAFETY: the set is initialised, a null third argument is allowed.
    let error =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set.0, ptr::null_mut()) };
    if error == 0 {
        return Ok(());
    }
    Err(SysError::new(
        "block",
        "signals",
        io::Error::from_raw_os_error(error),
    ))
}

pub(crate) fn signalfd(set: &SignalSet) -> SysResult<OwnedFd> {
    // SAFETY: the set is initialised; -1 asks for a new descriptor.
    let fd =
        unsafe { libc::signalfd(-1, &raw const set.0, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    owned(fd).map_err(|error| SysError::new("open", "a signal descriptor", error))
}

pub(crate) fn read_signalfd(fd: BorrowedFd<'_>) -> SysResult<Option<SignalInfo>> {
    let size = size_of::<libc::signalfd_siginfo>();
    loop {
        // SAFETY: signalfd_siginfo is plain data for which zero is valid, and the kernel writes at most its size.
        let (count, info) = unsafe {
            let mut info: libc::signalfd_siginfo = std::mem::zeroed();
            let count = libc::read(fd.as_raw_fd(), (&raw mut info).cast(), size);
            (count, info)
        };
        if usize::try_from(count) == Ok(size) {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            let Some(signal) = Signal::new(number) else {
                continue;
            };
            // The sender's pid is only defined for signals that a process sent.
            let pid = if info.ssi_code <= 0 {
                i32::try_from(info.ssi_pid).unwrap_or(0)
            } else {
                0
            };
            return Ok(Some(SignalInfo { signal, pid }));
        }
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::WouldBlock {
            return Ok(None);
        }
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(SysError::new("read", "a signal descriptor", error));
        }
    }
}

pub(crate) fn pidfd_send_signal(
    fd: BorrowedFd<'_>,
    signal: Signal,
    pid: i32,
) -> SysResult<Delivery> {
    // SAFETY: the call takes no pointers but an optional siginfo, which is null.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd.as_raw_fd(),
            signal.number(),
            ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == 0 {
        return Ok(Delivery::Delivered);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ESRCH) {
        return Ok(Delivery::Gone);
    }
    Err(SysError::new("signal", format!("process {pid}"), error))
}

/// The wait status of a process that has ended and was reaped by anybody, as the kernel keeps it for those who held a pidfd then:
/// `PIDFD_GET_INFO`, `ioctl_pidfd(2)`, since Linux 6.15. `None`: it is not known, or the kernel is an older one.
pub(crate) fn pidfd_wait_status(fd: BorrowedFd<'_>) -> Option<i32> {
    // SAFETY: pidfd_info is plain data for which zero is valid, and the kernel writes at most its size, which the number tells it.
    let (result, info) = unsafe {
        let mut info: libc::pidfd_info = std::mem::zeroed();
        info.mask = u64::from(libc::PIDFD_INFO_EXIT);
        let result = libc::ioctl(fd.as_raw_fd(), libc::PIDFD_GET_INFO, &raw mut info);
        (result, info)
    };
    let known = result == 0 && info.mask & u64::from(libc::PIDFD_INFO_EXIT) != 0;
    known.then_some(info.exit_code)
}

fn owned(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this descriptor to us, nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Which side of a fork the caller is on.
pub(crate) enum Forked {
    /// In the parent: the child's pid and pidfd.
    Parent(i32, OwnedFd),
    /// In the child.
    Child,
}

/// `clone3(2)` without shared memory, with a pidfd and, where given, straight into a cgroup v2 directory.
///
/// # Safety
/// In the child of a process with several threads only async-signal-safe calls are allowed until `exec` or `_exit`.
pub(crate) unsafe fn fork(cgroup: Option<BorrowedFd<'_>>) -> SysResult<Forked> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: clone_args is plain data for which zero means "not used".
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::try_from(libc::CLONE_PIDFD).unwrap_or(0);
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = u64::try_from(libc::SIGCHLD).unwrap_or(17);
    if let Some(fd) = cgroup {
        // The constant of the C library's crate has too narrow a type for this bit.
        const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::try_from(fd.as_raw_fd()).unwrap_or(0);
    }
    // SAFETY: the arguments live until the call returns; without CLONE_VM the child has its own copy of the stack.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut args,
            size_of::<libc::clone_args>(),
        )
    };
    match pid {
        0 => Ok(Forked::Child),
        pid if pid > 0 => {
            let fd = owned(pidfd).map_err(|error| SysError::new("fork", "a child", error))?;
            Ok(Forked::Parent(i32::try_from(pid).unwrap_or(i32::MAX), fd))
        }
        _ => Err(SysError::new("fork", "a child", io::Error::last_os_error())),
    }
}

/// Ends the calling process at once, without destructors or `atexit` handlers.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// The handler of one signal to its default. Async-signal-safe.
pub(crate) fn reset_signal(number: i32) {
    // The kernel's own structure (handler, flags, restorer, mask), zero: SIG_DFL. The C library's call refuses 32 and 33, which
    // may be ignored all the same when our own parent ignored them.
    let action = [0_u64; 4];
    // SAFETY: the structure is larger than the kernel reads, the size of the mask is 8; the call is async-signal-safe and
    // failures for the numbers that cannot be changed are of no interest.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            number,
            action.as_ptr(),
            ptr::null_mut::<u64>(),
            8,
        );
    }
}

/// All handlers to their default and nothing blocked. Async-signal-safe.
pub(crate) fn reset_signals() {
    (1..=64).for_each(reset_signal);
    // SAFETY: the set lives on the stack; the calls are async-signal-safe.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut());
    }
}

/// Asks the kernel to kill the caller when its parent's thread ends, `PR_SET_PDEATHSIG`; ends it at once when the parent is no
/// longer `parent`. Async-signal-safe.
pub(crate) fn die_with_parent(parent: i32) {
    // SAFETY: prctl with plain numbers, getppid without arguments.
    let now = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
        libc::getppid()
    };
    if now != parent {
        exit_now(127);
    }
}

/// A mount namespace of its own for the caller, `unshare(2)`, cut off from the one it leaves. Async-signal-safe.
pub(crate) fn private_mounts() -> Result<(), i32> {
    // SAFETY: plain numbers, and pointers that are null or to static text.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS))?;
        check(libc::mount(
            ptr::null(),
            c"/".as_ptr(),
            ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            ptr::null(),
        ))
    }
}

/// The `errno` of the calling thread. Async-signal-safe.
pub(crate) fn errno() -> i32 {
    // SAFETY: the C library gives every thread its own errno.
    unsafe { *libc::__errno_location() }
}

/// `setsid(2)`. Async-signal-safe.
pub(crate) fn new_session() -> Result<(), i32> {
    // SAFETY: no arguments.
    check(unsafe { libc::setsid() })
}

/// No supplementary groups, as far as it is allowed. Async-signal-safe.
pub(crate) fn leave_groups() {
    // SAFETY: no group is read. Only this thread changes, and it is the only one of the child that calls it.
    unsafe {
        libc::syscall(libc::SYS_setgroups, 0, ptr::null::<libc::gid_t>());
    }
}

/// `umask(2)`. Async-signal-safe.
pub(crate) fn set_umask(mask: u32) {
    // SAFETY: takes a number, cannot fail.
    unsafe {
        libc::umask(mask);
    }
}

/// `chdir(2)`. Async-signal-safe.
pub(crate) fn change_directory(path: &CStr) -> Result<(), i32> {
    // SAFETY: the path is NUL-terminated.
    check(unsafe { libc::chdir(path.as_ptr()) })
}

/// A copy of `fd` with a number of at least `minimum`, close-on-exec. Async-signal-safe.
pub(crate) fn duplicate_above(fd: RawFd, minimum: RawFd) -> Result<RawFd, i32> {
    // SAFETY: plain numbers; a bad descriptor is an error.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, minimum) };
    check(copy)?;
    Ok(copy)
}

/// Makes `target` a copy of `source` that survives `exec`. Async-signal-safe.
pub(crate) fn duplicate_onto(source: RawFd, target: RawFd) -> Result<(), i32> {
    // SAFETY: plain numbers; only called in a child that is about to exec, where no owner of `target` runs any more.
    check(unsafe { libc::dup2(source, target) })
}

/// Marks every descriptor from `first` on close-on-exec, `close_range(2)`. Async-signal-safe.
pub(crate) fn close_on_exec_from(first: RawFd) -> Result<(), i32> {
    close_range(first, RawFd::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes the descriptors from `first` to `last`.
///
/// # Safety
/// No `OwnedFd` in that range may be used or dropped afterwards.
pub(crate) unsafe fn close_all(first: RawFd, last: RawFd) -> Result<(), i32> {
    close_range(first, last, 0)
}

fn close_range(first: RawFd, last: RawFd, flags: libc::c_uint) -> Result<(), i32> {
    let first = libc::c_uint::try_from(first).unwrap_or(3);
    let last = libc::c_uint::try_from(last).unwrap_or(libc::c_uint::MAX);
    // SAFETY: plain numbers. Closing is only asked for through `close_all`, whose caller promises that no owner is left.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    check(i32::try_from(result).unwrap_or(-1))
}

/// `execve(2)`, or `execveat(2)` of an open file. Returns only the errno of its failure. Async-signal-safe.
pub(crate) fn execute(program: Executable<'_>, argv: &PointerArray, envp: &PointerArray) -> i32 {
    // SAFETY: both arrays are NULL-terminated and point to NUL-terminated strings that the arrays own.
    unsafe {
        match program {
            Executable::Path(path) => {
                libc::execve(
                    path.as_ptr(),
                    argv.pointers.as_ptr(),
                    envp.pointers.as_ptr(),
                );
            }
            Executable::Descriptor(fd) => {
                libc::syscall(
                    libc::SYS_execveat,
                    fd,
                    c"".as_ptr(),
                    argv.pointers.as_ptr(),
                    envp.pointers.as_ptr(),
                    libc::AT_EMPTY_PATH,
                );
            }
        }
    }
    errno()
}

/// Writes to a descriptor and ignores the outcome. Async-signal-safe.
pub(crate) fn write_best_effort(fd: RawFd, bytes: &[u8]) {
    // SAFETY: pointer and length are of the slice.
    unsafe {
        libc::write(fd, bytes.as_ptr().cast(), bytes.len());
    }
}

/// What to execute.
#[derive(Clone, Copy)]
pub(crate) enum Executable<'a> {
    /// By path.
    Path(&'a CStr),
    /// An open file.
    Descriptor(RawFd),
}

/// A NULL-terminated array of C strings, as `execve(2)` takes it, that owns its strings.
pub(crate) struct PointerArray {
    pointers: Vec<*const libc::c_char>,
    _strings: Vec<std::ffi::CString>,
}

impl PointerArray {
    pub(crate) fn new(strings: Vec<std::ffi::CString>) -> Self {
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(ptr::null());
        Self {
            pointers,
            _strings: strings,
        }
    }
}

/// Takes over a descriptor that the program was started with: a close-on-exec copy is returned and the number closed.
pub(crate) fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    let copy = duplicate_above(number, 3).map_err(io::Error::from_raw_os_error)?;
    // SAFETY: the caller vouches that nothing of this process owns the number: it was there when the program began.
    unsafe { close_all(number, number) }.map_err(io::Error::from_raw_os_error)?;
    owned(copy)
}

/// A sealed, executable memory file, `memfd_create(2)`.
pub(crate) fn executable_memfd(name: &CStr) -> io::Result<OwnedFd> {
    // MFD_EXEC (Linux 6.3): without it a sysctl may forbid executing; older kernels answer EINVAL.
    const MFD_EXEC: libc::c_uint = 0x10;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is NUL-terminated.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), flags | MFD_EXEC) };
    if fd >= 0 || errno() != libc::EINVAL {
        return owned(fd);
    }
    // SAFETY: as above.
    owned(unsafe { libc::memfd_create(name.as_ptr(), flags) })
}

fn check(result: libc::c_int) -> Result<(), i32> {
    if result < 0 { Err(errno()) } else { Ok(()) }
}
