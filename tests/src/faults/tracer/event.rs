//! A call into the kernel, as the one who decides sees it.

use std::fs;
use std::io::IoSliceMut;
use std::os::unix::fs::FileTypeExt;

use nix::libc::{self, user_regs_struct};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::names;
use super::roles::Role;

/// On which side of the kernel's work the process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing has been done yet.
    Entry,
    /// The kernel has answered with this number; a negative one is an errno.
    Exit(i64),
}

/// One call of one thread, stopped before or after the kernel's work.
#[derive(Debug)]
pub(crate) struct Syscall {
    pub(crate) role: Role,
    /// The process.
    pub(crate) pid: i32,
    /// Its thread.
    pub(crate) tid: i32,
    pub(crate) number: u64,
    pub(crate) args: [u64; 6],
    pub(crate) phase: Phase,
    /// Which call of this role it is, over all processes of the role, from 1 on.
    pub(crate) nth: u64,
    /// Which one of those that change something; `None` for others.
    pub(crate) nth_change: Option<u64>,
    pub(super) registers: user_regs_struct,
}

/// No path and no name is longer.
const LONGEST: usize = 4096;

impl Syscall {
    /// The call's name.
    pub(crate) fn name(&self) -> String {
        names::name(self.number)
    }

    /// Whether it is this call, as in `libc::SYS_write`.
    pub(crate) fn is(&self, number: i64) -> bool {
        u64::try_from(number).is_ok_and(|number| number == self.number)
    }

    /// So many bytes of the process's memory; fewer where it ends before.
    pub(crate) fn bytes(&self, address: u64, length: usize) -> Vec<u8> {
        read(self.tid, address, length)
    }

    /// The text at this address, up to its zero byte.
    pub(crate) fn text(&self, address: u64) -> String {
        let mut bytes = Vec::new();
        let mut from = address;
        while bytes.len() < LONGEST {
            // Not over the end of a page: the next one may not be there.
            let page = usize::try_from(4096 - from % 4096).unwrap_or(1).min(256);
            let more = read(self.tid, from, page);
            let end = more.iter().position(|byte| *byte == 0);
            bytes.extend_from_slice(&more[..end.unwrap_or(more.len())]);
            if end.is_some() || more.is_empty() {
                break;
            }
            from += u64::try_from(more.len()).unwrap_or(0);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What the descriptor refers to.
    pub(crate) fn descriptor(&self, number: u64) -> String {
        // Negative: the working directory, or none.
        let number = u32::try_from(number & 0xffff_ffff)
            .unwrap_or(0)
            .cast_signed();
        let link = if number == libc::AT_FDCWD {
            format!("/proc/{}/cwd", self.tid)
        } else {
            format!("/proc/{}/fd/{number}", self.tid)
        };
        fs::read_link(link).map_or_else(
            |_| format!("fd {number}"),
            |path| path.to_string_lossy().into_owned(),
        )
    }

    /// Whether the descriptor is a pipe, a socket, or something else that is no file.
    pub(crate) fn is_without_device(&self, number: u64) -> bool {
        let link = format!("/proc/{}/fd/{number}", self.tid);
        let kind = fs::metadata(link).map(|found| found.file_type());
        kind.is_ok_and(|kind| {
            let device = kind.is_char_device() || kind.is_block_device();
            !kind.is_file() && !kind.is_dir() && !device
        })
    }

    /// What the call is about, as far as its arguments tell: paths, and what descriptors refer to. Before the kernel's work, for people.
    pub(crate) fn subject(&self) -> String {
        let args = &self.args;
        let number = i64::try_from(self.number).unwrap_or(-1);
        match number {
            libc::SYS_open
            | libc::SYS_creat
            | libc::SYS_truncate
            | libc::SYS_unlink
            | libc::SYS_rmdir
            | libc::SYS_mkdir
            | libc::SYS_mknod
            | libc::SYS_chmod
            | libc::SYS_chown
            | libc::SYS_lchown
            | libc::SYS_chroot
            | libc::SYS_umount2
            | libc::SYS_setxattr
            | libc::SYS_lsetxattr
            | libc::SYS_removexattr
            | libc::SYS_stat
            | libc::SYS_lstat
            | libc::SYS_access
            | libc::SYS_readlink
            | libc::SYS_statfs
            | libc::SYS_chdir
            | libc::SYS_getxattr
            | libc::SYS_lgetxattr
            | libc::SYS_execve => self.text(args[0]),
            libc::SYS_rename | libc::SYS_link | libc::SYS_symlink | libc::SYS_mount => {
                format!("{} {}", self.text(args[0]), self.text(args[1]))
            }
            libc::SYS_openat
            | libc::SYS_openat2
            | libc::SYS_unlinkat
            | libc::SYS_mkdirat
            | libc::SYS_mknodat
            | libc::SYS_fchmodat
            | libc::SYS_fchmodat2
            | libc::SYS_fchownat
            | libc::SYS_utimensat
            | libc::SYS_newfstatat
            | libc::SYS_statx
            | libc::SYS_faccessat
            | libc::SYS_faccessat2
            | libc::SYS_readlinkat
            | libc::SYS_open_tree
            | libc::SYS_mount_setattr
            | libc::SYS_execveat => self.at(args[0], args[1]),
            libc::SYS_renameat | libc::SYS_renameat2 | libc::SYS_linkat | libc::SYS_move_mount => {
                format!(
                    "{} {}",
                    self.at(args[0], args[1]),
                    self.at(args[2], args[3])
                )
            }
            libc::SYS_symlinkat => {
                format!("{} {}", self.text(args[0]), self.at(args[1], args[2]))
            }
            libc::SYS_inotify_add_watch => self.text(args[1]),
            libc::SYS_kill | libc::SYS_tkill | libc::SYS_exit_group => {
                format!("{}", args[0].cast_signed())
            }
            libc::SYS_clone
            | libc::SYS_clone3
            | libc::SYS_fork
            | libc::SYS_vfork
            | libc::SYS_unshare
            | libc::SYS_setsid
            | libc::SYS_socketpair
            | libc::SYS_pivot_root
            | libc::SYS_memfd_create => String::new(),
            _ => self.descriptor(args[0]),
        }
    }

    /// A path, with the directory that it begins at unless that is `/` or the working directory.
    fn at(&self, directory: u64, path: u64) -> String {
        let path = self.text(path);
        let number = u32::try_from(directory & 0xffff_ffff)
            .unwrap_or(0)
            .cast_signed();
        if path.starts_with('/') || number == libc::AT_FDCWD {
            return path;
        }
        let directory = self.descriptor(directory);
        if path.is_empty() {
            directory
        } else {
            format!("{directory}/{path}")
        }
    }

    /// Where the thread's stack ends, and its next instruction.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.registers.rsp, self.registers.rip)
    }
}

/// Memory of another process; what cannot be read is not there.
pub(super) fn read(tid: i32, address: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let Ok(base) = usize::try_from(address) else {
        return Vec::new();
    };
    let there = [RemoteIoVec { base, len: length }];
    let mut here = [IoSliceMut::new(&mut bytes)];
    let count = process_vm_readv(Pid::from_raw(tid), &mut here, &there).unwrap_or(0);
    bytes.truncate(count);
    bytes
}

/// A word of another process's memory.
pub(super) fn word(tid: i32, address: u64) -> Option<u64> {
    let bytes = read(tid, address, 8);
    bytes.try_into().ok().map(u64::from_le_bytes)
}
