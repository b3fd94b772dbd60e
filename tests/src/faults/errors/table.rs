//! Which errors the kernel can answer a call with for reasons that lie outside the program, as data.
//!
//! Left out is what only a mistake of the program itself leads to, and what would be another fault than the one that is meant. The reasons
//! stand beside it.

use nix::libc;
use rustix::io::Errno;

use crate::faults::tracer::Syscall;

/// The errors that are tried.
pub(super) const ALL: [(&str, Errno); 6] = [
    ("ENOSPC", Errno::NOSPC),
    ("EIO", Errno::IO),
    ("ENOMEM", Errno::NOMEM),
    ("EMFILE", Errno::MFILE),
    ("EINTR", Errno::INTR),
    ("EACCES", Errno::ACCESS),
];

const SPACE: Errno = Errno::NOSPC;
const IO: Errno = Errno::IO;
const MEMORY: Errno = Errno::NOMEM;
const FILES: Errno = Errno::MFILE;
const INTERRUPTED: Errno = Errno::INTR;
const ACCESS: Errno = Errno::ACCESS;

/// The name of an error.
pub(super) fn error_name(error: Errno) -> &'static str {
    let found = ALL.iter().find(|(_, known)| *known == error);
    found.map_or("another", |(name, _)| name)
}

/// What calls do, and with which errors they can fail because of that.
#[rustfmt::skip]
const POSSIBLE: &[(&[i64], &[Errno])] = &[
    // Opening; room is taken where the file is made, see `errors`.
    (&[libc::SYS_open, libc::SYS_openat, libc::SYS_openat2, libc::SYS_creat],
     &[SPACE, IO, MEMORY, FILES, INTERRUPTED, ACCESS]),
    // Looking at files by their path, and taking them away.
    (&[libc::SYS_stat, libc::SYS_lstat, libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_access, libc::SYS_faccessat,
       libc::SYS_faccessat2, libc::SYS_readlink, libc::SYS_readlinkat, libc::SYS_statfs, libc::SYS_chdir, libc::SYS_fchdir,
       libc::SYS_chroot, libc::SYS_getxattr, libc::SYS_lgetxattr, libc::SYS_listxattr, libc::SYS_unlink, libc::SYS_unlinkat,
       libc::SYS_rmdir, libc::SYS_chmod, libc::SYS_fchmodat, libc::SYS_fchmodat2, libc::SYS_chown, libc::SYS_lchown,
       libc::SYS_fchownat, libc::SYS_utimensat, libc::SYS_removexattr, libc::SYS_lremovexattr, libc::SYS_truncate],
     &[IO, MEMORY, ACCESS]),
    // Making something in a directory.
    (&[libc::SYS_mkdir, libc::SYS_mkdirat, libc::SYS_mknod, libc::SYS_mknodat, libc::SYS_link, libc::SYS_linkat,
       libc::SYS_symlink, libc::SYS_symlinkat, libc::SYS_rename, libc::SYS_renameat, libc::SYS_renameat2,
       libc::SYS_setxattr, libc::SYS_lsetxattr],
     &[SPACE, IO, MEMORY, ACCESS]),
    // Open files.
    (&[libc::SYS_read, libc::SYS_pread64, libc::SYS_readv, libc::SYS_preadv], &[IO, MEMORY, INTERRUPTED]),
    (&[libc::SYS_write, libc::SYS_pwrite64, libc::SYS_writev, libc::SYS_pwritev, libc::SYS_sendfile, libc::SYS_splice,
       libc::SYS_copy_file_range, libc::SYS_tee],
     &[SPACE, IO, MEMORY, INTERRUPTED]),
    (&[libc::SYS_fstat, libc::SYS_fstatfs, libc::SYS_getdents64, libc::SYS_fgetxattr, libc::SYS_fchmod, libc::SYS_fchown,
       libc::SYS_fremovexattr],
     &[IO, MEMORY]),
    (&[libc::SYS_ftruncate, libc::SYS_fallocate, libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_syncfs,
       libc::SYS_sync_file_range],
     &[SPACE, IO, INTERRUPTED]),
    (&[libc::SYS_fsetxattr], &[SPACE, IO, MEMORY]),
    (&[libc::SYS_flock], &[MEMORY, INTERRUPTED]),
    // Terminals that were hung up, network interfaces.
    (&[libc::SYS_ioctl], &[IO, MEMORY]),
    // New descriptors.
    (&[libc::SYS_pipe, libc::SYS_pipe2, libc::SYS_socket, libc::SYS_socketpair, libc::SYS_dup, libc::SYS_eventfd2,
       libc::SYS_epoll_create1, libc::SYS_inotify_init1, libc::SYS_timerfd_create, libc::SYS_signalfd4,
       libc::SYS_pidfd_open, libc::SYS_memfd_create],
     &[MEMORY, FILES]),
    (&[libc::SYS_inotify_add_watch], &[SPACE, MEMORY, ACCESS]),
    (&[libc::SYS_epoll_ctl], &[SPACE, MEMORY]),
    // Mounts: `ENOSPC` is their limit.
    (&[libc::SYS_open_tree, libc::SYS_fsopen, libc::SYS_fsmount], &[SPACE, MEMORY, FILES, ACCESS]),
    (&[libc::SYS_mount, libc::SYS_move_mount, libc::SYS_fsconfig, libc::SYS_mount_setattr], &[SPACE, IO, MEMORY, ACCESS]),
    (&[libc::SYS_umount2], &[MEMORY]),
    (&[libc::SYS_unshare, libc::SYS_setns], &[SPACE, MEMORY]),
    // Waiting.
    (&[libc::SYS_poll, libc::SYS_ppoll, libc::SYS_epoll_wait, libc::SYS_epoll_pwait, libc::SYS_select, libc::SYS_pselect6],
     &[MEMORY, INTERRUPTED]),
    (&[libc::SYS_wait4, libc::SYS_waitid, libc::SYS_nanosleep, libc::SYS_clock_nanosleep, libc::SYS_getrandom],
     &[INTERRUPTED]),
    // Sockets.
    (&[libc::SYS_connect], &[MEMORY, INTERRUPTED, ACCESS]),
    (&[libc::SYS_bind], &[SPACE, IO, MEMORY, ACCESS]),
    (&[libc::SYS_accept, libc::SYS_accept4], &[MEMORY, FILES, INTERRUPTED]),
    (&[libc::SYS_sendto, libc::SYS_sendmsg, libc::SYS_sendmmsg, libc::SYS_recvfrom, libc::SYS_recvmsg, libc::SYS_recvmmsg],
     &[MEMORY, INTERRUPTED]),
    (&[libc::SYS_setsockopt], &[MEMORY]),
    // Processes.
    (&[libc::SYS_clone, libc::SYS_clone3, libc::SYS_fork, libc::SYS_vfork, libc::SYS_setgroups], &[MEMORY]),
    (&[libc::SYS_execve, libc::SYS_execveat], &[IO, MEMORY, FILES, ACCESS]),
    (&[libc::SYS_bpf, libc::SYS_add_key, libc::SYS_keyctl], &[MEMORY, ACCESS]),
    // Some of their requests, see `errors`.
    (&[libc::SYS_fcntl], &[IO, MEMORY, FILES, INTERRUPTED]),
    (&[libc::SYS_mmap], &[MEMORY]),
];

/// What nothing is injected into, and why.
#[rustfmt::skip]
pub(super) const EXCLUDED: &[(&[i64], &str)] = &[
    (&[libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_mprotect, libc::SYS_madvise],
     "the allocator's own: a Rust program without memory aborts, as it is meant to; mmap only where it maps a file"),
    (&[libc::SYS_close, libc::SYS_close_range],
     "the kernel closes whatever it answers, so a call that was not carried out would be another fault: a lock that is held on"),
    (&[libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn, libc::SYS_restart_syscall], "do not answer"),
    (&[libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_sigaltstack, libc::SYS_lseek, libc::SYS_prctl,
       libc::SYS_arch_prctl, libc::SYS_set_robust_list, libc::SYS_set_tid_address, libc::SYS_rseq, libc::SYS_umask,
       libc::SYS_uname, libc::SYS_sysinfo, libc::SYS_prlimit64, libc::SYS_getrlimit, libc::SYS_sched_getaffinity,
       libc::SYS_sched_yield, libc::SYS_clock_gettime, libc::SYS_timerfd_settime, libc::SYS_getsockopt,
       libc::SYS_getsockname, libc::SYS_getpeername, libc::SYS_shutdown, libc::SYS_listen, libc::SYS_capget,
       libc::SYS_getcwd, libc::SYS_dup2, libc::SYS_dup3, libc::SYS_setsid, libc::SYS_setpgid, libc::SYS_sethostname,
       libc::SYS_setpriority, libc::SYS_getpriority, libc::SYS_personality, libc::SYS_fadvise64, libc::SYS_getrusage],
     "of these errors none, but for wrong arguments"),
    (&[libc::SYS_getpid, libc::SYS_getppid, libc::SYS_gettid, libc::SYS_getuid, libc::SYS_geteuid, libc::SYS_getgid,
       libc::SYS_getegid, libc::SYS_getresuid, libc::SYS_getresgid, libc::SYS_getpgid, libc::SYS_getpgrp, libc::SYS_getsid,
       libc::SYS_getgroups],
     "cannot fail"),
    (&[libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill, libc::SYS_pidfd_send_signal, libc::SYS_setresuid,
       libc::SYS_setresgid, libc::SYS_setuid, libc::SYS_setgid, libc::SYS_capset, libc::SYS_pivot_root],
     "fail for a process that is gone or a right that is missing, ESRCH and EPERM, which are none of these"),
    (&[libc::SYS_futex], "waiting and waking of threads: the library repeats it"),
];

/// What is known of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// These errors are possible.
    Errors(Vec<Errno>),
    /// It is left out on purpose.
    Excluded,
    /// Neither list knows it.
    Unknown,
}

/// The errors with which this call can fail.
pub(super) fn possible(call: &Syscall) -> Known {
    // Giving a lock up does not fail, as closing does not: one that is held on would be another fault.
    let gives_up = if call.is(libc::SYS_fcntl) && LOCKS.contains(&call.args[1]) {
        call.bytes(call.args[2], 2) == libc::F_UNLCK.to_le_bytes()[..2]
    } else {
        call.is(libc::SYS_flock) && call.args[1] & LOCK_UN != 0
    };
    if gives_up {
        return Known::Excluded;
    }
    match errors(call.number, &call.args, call.nth_change) {
        Known::Errors(mut errors) => {
            if STREAMS.iter().any(|stream| call.is(*stream)) && call.is_without_device(call.args[0])
            {
                errors.retain(|error| ![IO, SPACE].contains(error));
                // What is read lies in memory already.
                if call.is(libc::SYS_read) {
                    errors.retain(|error| *error != MEMORY);
                }
            }
            Known::Errors(errors)
        }
        other @ (Known::Excluded | Known::Unknown) => other,
    }
}

/// Calls that reach a device only where their descriptor does: behind pipes, sockets and what the kernel makes up itself there is none
/// that could be full or broken.
const STREAMS: [i64; 6] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_fcntl,
    libc::SYS_ioctl,
];

/// Requests of `ioctl` that only set a flag of a descriptor.
const FLAGS: [u64; 3] = [libc::FIONBIO, libc::FIOCLEX, libc::FIONCLEX];

const LOCK_UN: u64 = libc::LOCK_UN as u64;

/// Requests of `fcntl` that take a lock or give it up.
const LOCKS: [u64; 4] = [
    libc::F_SETLK as u64,
    libc::F_SETLKW as u64,
    libc::F_OFD_SETLK as u64,
    libc::F_OFD_SETLKW as u64,
];

/// The errors with which a call can fail. One that changes something has a number as such.
fn errors(number: u64, args: &[u64; 6], nth_change: Option<u64>) -> Known {
    let is = |known: &i64| known.cast_unsigned() == number;
    if EXCLUDED.iter().any(|(calls, _)| calls.iter().any(is)) {
        return Known::Excluded;
    }
    let Some((_, errors)) = POSSIBLE.iter().find(|(calls, _)| calls.iter().any(is)) else {
        return Known::Unknown;
    };
    let possible = |error: &Errno| match i64::try_from(number).unwrap_or(-1) {
        libc::SYS_open | libc::SYS_openat | libc::SYS_openat2 => {
            *error != SPACE || nth_change.is_some()
        }
        libc::SYS_ioctl => !FLAGS.contains(&args[1]),
        libc::SYS_fcntl => of_fcntl(args[1]).contains(error),
        // Without a descriptor it is the allocator's.
        libc::SYS_mmap => args[4] & 0xffff_ffff != 0xffff_ffff,
        _ => true,
    };
    let errors: Vec<Errno> = errors.iter().copied().filter(possible).collect();
    if errors.is_empty() {
        Known::Excluded
    } else {
        Known::Errors(errors)
    }
}

/// By the request. That a lock is somebody else's, which `EACCES` can mean, is an answer and no fault.
fn of_fcntl(request: u64) -> &'static [Errno] {
    match i32::try_from(request & 0xffff_ffff).unwrap_or(-1) {
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => &[FILES],
        libc::F_SETLK | libc::F_OFD_SETLK | libc::F_GETLK | libc::F_OFD_GETLK => &[IO, MEMORY],
        libc::F_SETLKW | libc::F_OFD_SETLKW => &[IO, MEMORY, INTERRUPTED],
        libc::F_SETPIPE_SZ => &[MEMORY],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: i64, args: [u64; 6]) -> Known {
        errors(number.unsigned_abs(), &args, None)
    }

    #[test]
    fn errors_are_those_of_the_call() {
        assert_eq!(
            of(libc::SYS_wait4, [0; 6]),
            Known::Errors(vec![INTERRUPTED])
        );
        assert_eq!(of(libc::SYS_close, [0; 6]), Known::Excluded);
        assert_eq!(of(999, [0; 6]), Known::Unknown);
        let Known::Errors(reading) = of(libc::SYS_openat, [0; 6]) else {
            panic!("an open can fail");
        };
        assert!(!reading.contains(&SPACE) && reading.contains(&FILES));
        assert_eq!(of(libc::SYS_fcntl, [3, 1, 0, 0, 0, 0]), Known::Excluded);
        let anonymous = u64::from(u32::MAX);
        assert_eq!(
            of(libc::SYS_mmap, [0, 0, 0, 0, anonymous, 0]),
            Known::Excluded
        );
        assert_eq!(of(libc::SYS_mmap, [0; 6]), Known::Errors(vec![MEMORY]));
    }

    #[test]
    fn no_call_is_in_two_rows_and_every_reason_is_given() {
        let possible = POSSIBLE.iter().flat_map(|(calls, _)| *calls);
        let excluded = EXCLUDED.iter().flat_map(|(calls, _)| *calls);
        let mut calls: Vec<i64> = possible.chain(excluded).copied().collect();
        let count = calls.len();
        calls.sort_unstable();
        calls.dedup();
        assert_eq!(calls.len(), count);
        assert!(EXCLUDED.iter().all(|(_, reason)| reason.len() > 5));
    }
}
