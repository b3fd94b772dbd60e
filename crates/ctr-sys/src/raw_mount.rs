//! Mount calls that rustix lacks or declares unsafe.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::thread::UnshareFlags;

use crate::mount::{MountAttributes, Recursion};

/// `fsconfig(2)` with `FSCONFIG_SET_STRING`.
pub(crate) fn set_string(fs: BorrowedFd<'_>, key: &CStr, value: &Path) -> io::Result<()> {
    let value = CString::new(value.as_os_str().as_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the path holds a NUL byte"))?;
    rustix::mount::fsconfig_set_string(fs, key, &value).map_err(io::Error::from)
}

pub(crate) fn set_attributes(
    mount: BorrowedFd<'_>,
    attributes: MountAttributes,
    recursion: Recursion,
) -> io::Result<()> {
    let flags = [
        (attributes.read_only, libc::MOUNT_ATTR_RDONLY),
        (attributes.no_suid, libc::MOUNT_ATTR_NOSUID),
        (attributes.no_dev, libc::MOUNT_ATTR_NODEV),
        (attributes.no_exec, libc::MOUNT_ATTR_NOEXEC),
    ];
    let set = flags
        .iter()
        .filter(|(wanted, _)| *wanted)
        .fold(0, |set, (_, flag)| set | *flag);
    mount_setattr(mount, set, 0, recursion)
}

pub(crate) fn make_private(mount: BorrowedFd<'_>, recursion: Recursion) -> io::Result<()> {
    mount_setattr(mount, 0, libc::MS_PRIVATE, recursion)
}

fn mount_setattr(
    mount: BorrowedFd<'_>,
    set: u64,
    propagation: u64,
    recursion: Recursion,
) -> io::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation,
        userns_fd: 0,
    };
    let recursive = match recursion {
        Recursion::Single => 0,
        Recursion::Recursive => libc::AT_RECURSIVE,
    };
    // SAFETY: the structure lives until the call returns and its size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// `unshare(2)`. The caller is single-threaded or accepts that only its own thread moves.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: rustix marks the call unsafe because unsharing the file table (CLONE_FILES) breaks I/O safety; it is not asked for.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}
