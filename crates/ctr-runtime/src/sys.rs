//! The system calls of this crate that have no safe wrapper: `bpf(2)`, `keyctl(2)`, network interface flags, `execve(2)`, and the
//! closing and placing of descriptors by number. One function a call, no decisions.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use crate::bpf::Instruction;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
/// The kernel has this many signals, and a set of them has this size.
const SIGNALS: libc::c_int = 64;
const SIGNAL_SET_BYTES: usize = 8;
const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;

/// The start of `union bpf_attr` for `BPF_PROG_LOAD`, `bpf(2)`. The kernel takes the fields that follow as zero.
#[repr(C)]
#[derive(Default)]
struct ProgramAttributes {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

/// The start of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
#[derive(Default)]
struct AttachAttributes {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

/// Loads a device program.
pub(crate) fn load_device_program(instructions: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let attributes = ProgramAttributes {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: u32::try_from(instructions.len()).map_err(|_| too_big())?,
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..ProgramAttributes::default()
    };
    // SAFETY: the attributes are laid out as the kernel wants them and their size is given; the pointers in them are to the slice
    // and to the constant, both longer-lived than the call, which copies them.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_LOAD,
            &raw const attributes,
            size_of::<ProgramAttributes>(),
        )
    };
    let fd = RawFd::try_from(fd).map_err(|_| too_big())?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a device program to a cgroup v2 directory, beside what is attached there already. It stays until the cgroup goes.
pub(crate) fn attach_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
) -> io::Result<()> {
    let attributes = AttachAttributes {
        target: number(cgroup)?,
        program: number(program)?,
        attach_type: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: the attributes are laid out as the kernel wants them, hold no pointers, and their size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_ATTACH,
            &raw const attributes,
            size_of::<AttachAttributes>(),
        )
    };
    check(result)
}

/// Gives the calling process an empty session keyring of its own, `keyctl_join_session_keyring(3)`.
pub(crate) fn join_new_session_keyring() -> io::Result<()> {
    let no_name = ptr::null::<libc::c_char>();
    // SAFETY: a null name is allowed and asks for an anonymous keyring.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, no_name) })
}

/// Sets the interface `lo` of the calling thread's network namespace up, `netdevice(7)`.
pub(crate) fn set_loopback_up(socket: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: ifreq is plain data for which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::try_from(*from).map_err(|_| too_big())?;
    }
    // SAFETY: the request is initialised, its name NUL-terminated; the kernel reads the name and writes the flags.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) }.into())?;
    // SAFETY: SIOCGIFFLAGS has just filled this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let up = libc::c_short::try_from(libc::IFF_UP).map_err(|_| too_big())?;
    request.ifr_ifru.ifru_flags = flags | up;
    // SAFETY: as above; the kernel only reads.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) }.into())
}

/// Empties the environment of a process that has one thread only.
pub(crate) fn clear_environment() {
    // SAFETY: clearenv is unsafe only while another thread reads the environment; the callers have checked that there is none.
    unsafe {
        libc::clearenv();
    }
}

/// Closes descriptors by number. To be called only in a process that is going to execute a program or to end without running
/// destructors, for descriptors that no code in it uses any more.
pub(crate) fn close_forgotten(fds: &[RawFd]) {
    for fd in fds {
        // SAFETY: plain number. No owner of it is ever dropped or used in this process, as the caller promises; a number that is
        // not open is an error that changes nothing.
        unsafe {
            libc::close(*fd);
        }
    }
}

/// Makes `target` the same as `source`, open across `execve(2)`; what `target` was before is closed. To be called as
/// [`close_forgotten`].
pub(crate) fn duplicate_to(source: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    // SAFETY: plain numbers. What `target` was is not used any more in this process, as the caller promises.
    check(unsafe { libc::dup2(source.as_raw_fd(), target) }.into())
}

/// All signal handlers to their default and nothing blocked.
pub(crate) fn reset_signals() {
    // The kernel's `struct sigaction` (handler, flags, restorer, mask, each at most 8 bytes); zero means SIG_DFL. The system call
    // itself, because the C library keeps 32 and 33 for itself and refuses them, while they are inherited like all others.
    let default_action = [0_u64; 4];
    let no_old_action = ptr::null_mut::<u64>();
    for number in 1..=SIGNALS {
        // SAFETY: the structure is as large as the kernel reads; the numbers that cannot be changed are refused, which is fine.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                number,
                &raw const default_action,
                no_old_action,
                SIGNAL_SET_BYTES,
            );
        }
    }
    let empty_mask = 0_u64;
    // SAFETY: the mask has the size that is named.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const empty_mask,
            no_old_action,
            SIGNAL_SET_BYTES,
        );
    }
}

/// `execve(2)`. Returns only its failure.
pub(crate) fn execute(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let argv = pointers(arguments);
    let envp = pointers(environment);
    // SAFETY: both arrays are NULL-terminated and point to NUL-terminated strings that outlive the call.
    unsafe {
        libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr());
    }
    io::Error::last_os_error()
}

/// Ends the calling process at once: no destructors, no `atexit` handlers.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: takes a number, does not return.
    unsafe { libc::_exit(code) }
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
    pointers.push(ptr::null());
    pointers
}

fn number(fd: BorrowedFd<'_>) -> io::Result<u32> {
    u32::try_from(fd.as_raw_fd()).map_err(|_| too_big())
}

fn too_big() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidInput)
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
