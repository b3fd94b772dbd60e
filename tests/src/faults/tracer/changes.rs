//! Which of the kernel's calls change something that other processes, or the next command, can see.

use nix::libc;

/// When a call is one that changes something.
#[derive(Clone, Copy, Debug)]
enum When {
    Always,
    /// When one of these bits is in the argument with this place.
    Bits(usize, u64),
    /// When the argument with this place is one of these.
    OneOf(usize, &'static [u64]),
    /// `openat2`: as [`When::Bits`], in the structure that the third argument points to.
    Open2,
    /// `clone3`: unless it makes a thread.
    Clone3,
}

/// Opening that makes, empties, or may write.
const OPEN: u64 = (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) as u64;

/// Locks, and what changes a file.
const FCNTL: &[u64] = &[
    libc::F_SETLK as u64,
    libc::F_SETLKW as u64,
    libc::F_OFD_SETLK as u64,
    libc::F_OFD_SETLKW as u64,
    libc::F_ADD_SEALS as u64,
];

/// Requests that change a file, a terminal or a name space.
const IOCTL: &[u64] = &[
    libc::FICLONE,
    libc::FICLONERANGE,
    libc::FS_IOC_SETFLAGS,
    libc::TIOCSCTTY,
    libc::TIOCNOTTY,
    libc::TIOCSWINSZ,
    libc::TIOCSPTLCK,
    libc::TCSETS,
    libc::TCSETSW,
    libc::TCSETSF,
    // SIOCSIFFLAGS: a network interface is brought up.
    0x8914,
];

/// The table.
const CHANGES: &[(i64, When)] = &[
    (libc::SYS_open, When::Bits(1, OPEN)),
    (libc::SYS_openat, When::Bits(2, OPEN)),
    (libc::SYS_openat2, When::Open2),
    (libc::SYS_creat, When::Always),
    (libc::SYS_write, When::Always),
    (libc::SYS_writev, When::Always),
    (libc::SYS_pwrite64, When::Always),
    (libc::SYS_pwritev, When::Always),
    (libc::SYS_pwritev2, When::Always),
    (libc::SYS_sendfile, When::Always),
    (libc::SYS_splice, When::Always),
    (libc::SYS_copy_file_range, When::Always),
    (libc::SYS_truncate, When::Always),
    (libc::SYS_ftruncate, When::Always),
    (libc::SYS_fallocate, When::Always),
    (libc::SYS_fsync, When::Always),
    (libc::SYS_fdatasync, When::Always),
    (libc::SYS_sync_file_range, When::Always),
    (libc::SYS_syncfs, When::Always),
    (libc::SYS_rename, When::Always),
    (libc::SYS_renameat, When::Always),
    (libc::SYS_renameat2, When::Always),
    (libc::SYS_link, When::Always),
    (libc::SYS_linkat, When::Always),
    (libc::SYS_symlink, When::Always),
    (libc::SYS_symlinkat, When::Always),
    (libc::SYS_unlink, When::Always),
    (libc::SYS_unlinkat, When::Always),
    (libc::SYS_mkdir, When::Always),
    (libc::SYS_mkdirat, When::Always),
    (libc::SYS_rmdir, When::Always),
    (libc::SYS_mknod, When::Always),
    (libc::SYS_mknodat, When::Always),
    (libc::SYS_chmod, When::Always),
    (libc::SYS_fchmod, When::Always),
    (libc::SYS_fchmodat, When::Always),
    (libc::SYS_fchmodat2, When::Always),
    (libc::SYS_chown, When::Always),
    (libc::SYS_fchown, When::Always),
    (libc::SYS_lchown, When::Always),
    (libc::SYS_fchownat, When::Always),
    (libc::SYS_utimensat, When::Always),
    (libc::SYS_setxattr, When::Always),
    (libc::SYS_lsetxattr, When::Always),
    (libc::SYS_fsetxattr, When::Always),
    (libc::SYS_removexattr, When::Always),
    (libc::SYS_lremovexattr, When::Always),
    (libc::SYS_fremovexattr, When::Always),
    (libc::SYS_flock, When::Always),
    (libc::SYS_fcntl, When::OneOf(1, FCNTL)),
    (libc::SYS_ioctl, When::OneOf(1, IOCTL)),
    (libc::SYS_mount, When::Always),
    (libc::SYS_umount2, When::Always),
    (libc::SYS_open_tree, When::Always),
    (libc::SYS_move_mount, When::Always),
    (libc::SYS_fsopen, When::Always),
    (libc::SYS_fsconfig, When::Always),
    (libc::SYS_fsmount, When::Always),
    (libc::SYS_mount_setattr, When::Always),
    (libc::SYS_pivot_root, When::Always),
    (libc::SYS_chroot, When::Always),
    (libc::SYS_setns, When::Always),
    (libc::SYS_unshare, When::Always),
    (libc::SYS_sethostname, When::Always),
    (libc::SYS_memfd_create, When::Always),
    (libc::SYS_fork, When::Always),
    (libc::SYS_vfork, When::Always),
    (libc::SYS_clone3, When::Clone3),
    (libc::SYS_execve, When::Always),
    (libc::SYS_execveat, When::Always),
    (libc::SYS_exit_group, When::Always),
    (libc::SYS_kill, When::Always),
    (libc::SYS_tkill, When::Always),
    (libc::SYS_tgkill, When::Always),
    (libc::SYS_pidfd_send_signal, When::Always),
    (libc::SYS_setsid, When::Always),
    (libc::SYS_socketpair, When::Always),
    (libc::SYS_bind, When::Always),
    (libc::SYS_listen, When::Always),
    (libc::SYS_connect, When::Always),
    (libc::SYS_shutdown, When::Always),
    (libc::SYS_sendto, When::Always),
    (libc::SYS_sendmsg, When::Always),
    (libc::SYS_sendmmsg, When::Always),
    (libc::SYS_bpf, When::Always),
    (libc::SYS_add_key, When::Always),
    (libc::SYS_keyctl, When::Always),
];

const THREAD: u64 = libc::CLONE_THREAD as u64;

/// Whether the call changes something. `peek` reads a word of the caller's memory.
pub(super) fn changes(number: u64, args: &[u64; 6], peek: impl Fn(u64) -> Option<u64>) -> bool {
    // `clone` makes a thread, or else a process.
    if number == libc::SYS_clone.cast_unsigned() {
        return args[0] & THREAD == 0;
    }
    let Some((_, when)) = CHANGES
        .iter()
        .find(|(known, _)| known.cast_unsigned() == number)
    else {
        return false;
    };
    match when {
        When::Always => true,
        When::Bits(place, bits) => args[*place] & bits != 0,
        When::OneOf(place, values) => values.contains(&(args[*place] & 0xffff_ffff)),
        When::Open2 => peek(args[2]).is_none_or(|flags| flags & OPEN != 0),
        When::Clone3 => peek(args[0]).is_none_or(|flags| flags & THREAD == 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(number: i64, args: [u64; 6]) -> bool {
        changes(number.unsigned_abs(), &args, |_| Some(THREAD))
    }

    #[test]
    fn reading_is_no_change_and_writing_is() {
        assert!(!asked(libc::SYS_read, [0; 6]));
        assert!(asked(libc::SYS_write, [0; 6]));
        assert!(!asked(libc::SYS_openat, [0; 6]));
        assert!(asked(libc::SYS_openat, [0, 0, OPEN, 0, 0, 0]));
        assert!(!asked(libc::SYS_openat2, [0; 6]));
        assert!(!asked(libc::SYS_clone, [THREAD, 0, 0, 0, 0, 0]));
        assert!(asked(libc::SYS_clone, [0; 6]));
        assert!(!asked(libc::SYS_clone3, [0; 6]));
        assert!(asked(libc::SYS_fcntl, [3, FCNTL[0], 0, 0, 0, 0]));
        assert!(!asked(libc::SYS_fcntl, [3, 1, 0, 0, 0, 0]));
    }
}
