//! Mounts that exist only as descriptors until somebody attaches them.
//!
//! `open_tree(2)`, `fsmount(2)` and `mount_setattr(2)` make a mount that is in no mount table. It is attached with `move_mount(2)`,
//! in our house only inside the private mount namespace of a helper: the host's mount table never changes, and a mount
//! that was never attached is gone when its descriptor is closed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, StatFs};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
};
use rustix::thread::UnshareFlags;

use crate::error::{Context, SysError, SysResult};
use crate::kernel_file;
use crate::raw_mount;
use crate::root::Root;

/// How far an operation on a mount goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recursion {
    /// This mount only.
    Single,
    /// It and all mounts below.
    Recursive,
}

/// Flags of a mount, `mount_setattr(2)`. False leaves a flag as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent flags of one system call, each named where it is set"
)]
pub struct MountAttributes {
    /// Nothing can be written through it.
    pub read_only: bool,
    /// Set-user-id bits have no effect.
    pub no_suid: bool,
    /// Device nodes cannot be opened.
    pub no_dev: bool,
    /// Nothing can be executed.
    pub no_exec: bool,
}

/// The layers of an overlay, `overlayfs` in the kernel's documentation.
#[derive(Clone, Debug)]
pub struct OverlayLayers {
    /// Lower directories, uppermost first.
    pub lower: Vec<PathBuf>,
    /// The writable layer and its work directory, on one filesystem; `None` makes a read-only overlay of two lower ones or more.
    pub upper: Option<(PathBuf, PathBuf)>,
    /// Whether what is written there is synced.
    pub sync: LayerSync,
}

/// Whether the writable layer of an overlay is synced to disk, `volatile` in the kernel's documentation of `overlayfs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerSync {
    /// As programs ask, and when it is unmounted.
    WhenAsked,
    /// Never. The kernel marks the work directory (`work/incompat/volatile`) and refuses the layer as long as that is there.
    Never,
}

/// A mount (or a tree of mounts) that is in no mount table.
#[derive(Debug)]
pub struct DetachedMount {
    fd: OwnedFd,
}

impl DetachedMount {
    /// A copy of what is mounted at `path`, from that directory or file on: a bind mount, detached.
    ///
    /// # Errors
    /// When the path is missing or the caller may not mount.
    pub fn clone_tree(path: &Path, recursion: Recursion) -> SysResult<Self> {
        Self::clone_at(CWD, path, recursion)
    }

    /// As [`DetachedMount::clone_tree`], from an open directory on; an empty path means what is open itself.
    pub(crate) fn clone_at(
        dir: BorrowedFd<'_>,
        path: &Path,
        recursion: Recursion,
    ) -> SysResult<Self> {
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        if recursion == Recursion::Recursive {
            flags |= OpenTreeFlags::AT_RECURSIVE;
        }
        if path.as_os_str().is_empty() {
            flags |= OpenTreeFlags::AT_EMPTY_PATH;
        }
        let fd = rustix::mount::open_tree(dir, path, flags)
            .context("clone the mount of", || path.display().to_string())?;
        Ok(Self { fd })
    }

    /// A new overlay. With a writable layer it gets `index=on`, so that mounting the same upper directory twice fails with `EBUSY`
    /// instead of corrupting it.
    ///
    /// # Errors
    /// `EBUSY` as said; `EINVAL` when a layer's filesystem cannot be one (an overlay as the upper one).
    pub fn overlay(layers: &OverlayLayers) -> SysResult<Self> {
        let name = || "an overlay".to_owned();
        let fs =
            rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).context("open", name)?;
        for lower in &layers.lower {
            raw_mount::set_string(fs.as_fd(), c"lowerdir+", lower)
                .context("use the lower directory", || lower.display().to_string())?;
        }
        if let Some((upper, work)) = &layers.upper {
            for (key, path) in [(c"upperdir", upper), (c"workdir", work)] {
                raw_mount::set_string(fs.as_fd(), key, &escaped(path))
                    .context("use the directory", || path.display().to_string())?;
            }
            raw_mount::set_string(fs.as_fd(), c"index", Path::new("on")).context("set up", name)?;
            if layers.sync == LayerSync::Never {
                rustix::mount::fsconfig_set_flag(fs.as_fd(), "volatile").context("set up", name)?;
            }
        }
        raw_mount::set_string(fs.as_fd(), c"source", Path::new("overlay"))
            .context("set up", name)?;
        rustix::mount::fsconfig_create(fs.as_fd()).context("create", name)?;
        let fd = rustix::mount::fsmount(
            fs.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::empty(),
        )
        .context("mount", name)?;
        Ok(Self { fd })
    }

    /// Takes over a descriptor that came from another process.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Sets flags, on a whole tree at once where asked.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_attributes(
        &self,
        attributes: MountAttributes,
        recursion: Recursion,
    ) -> SysResult<()> {
        raw_mount::set_attributes(self.fd.as_fd(), attributes, recursion)
            .context("change the flags of", || "a detached mount".to_owned())
    }

    /// Cuts it off from mount events elsewhere.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn make_private(&self, recursion: Recursion) -> SysResult<()> {
        raw_mount::make_private(self.fd.as_fd(), recursion)
            .context("make private", || "a detached mount".to_owned())
    }

    /// The root directory of the mount, for looking into it while it is detached.
    ///
    /// # Errors
    /// When descriptors are short.
    pub fn root(&self) -> SysResult<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, ".", flags, rustix::fs::Mode::empty())
            .context("open", || "a detached mount".to_owned())?;
        Ok(Root::from_fd(fd))
    }

    /// Attaches it at an open directory or file of the calling process' mount namespace.
    ///
    /// # Errors
    /// When it is attached already, or kinds differ (a directory on a file).
    pub fn attach(&self, target: BorrowedFd<'_>) -> SysResult<()> {
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(self.fd.as_fd(), "", target, "", flags)
            .context("attach", || "a detached mount".to_owned())
    }

    /// The descriptor itself.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl AsFd for DetachedMount {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The kernel takes backslashes out of these two options (not out of `lowerdir+`).
fn escaped(path: &Path) -> PathBuf {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = path.as_os_str().as_bytes().iter();
    let doubled = bytes.flat_map(|byte| {
        let count = if *byte == b'\\' { 2 } else { 1 };
        std::iter::repeat_n(*byte, count)
    });
    PathBuf::from(std::ffi::OsString::from_vec(doubled.collect()))
}

/// Gives the calling (single-threaded) process a mount namespace of its own whose changes nobody else sees.
///
/// # Errors
/// When the caller may not, `unshare(2)`.
pub fn enter_private_mount_namespace() -> SysResult<()> {
    raw_mount::unshare(UnshareFlags::NEWNS)
        .context("leave", || "the mount namespace".to_owned())?;
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).context("make private", || "/".to_owned())
}

/// What kind of filesystem lies at a path, as far as it matters to the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilesystemKind {
    /// An overlay: it cannot carry the writable layer of another one.
    Overlay,
    /// Shared by machines: file locks and SQLite's shared memory cannot be trusted there. Its name is given.
    Network(&'static str),
    /// Any other.
    Other,
}

/// The kind of filesystem at `path`, `statfs(2)`.
///
/// # Errors
/// When the path is missing.
pub fn filesystem_kind(path: &Path) -> SysResult<FilesystemKind> {
    let found: StatFs = rustix::fs::statfs(path).context("stat", || path.display().to_string())?;
    let kind = match u32::try_from(found.f_type & 0xffff_ffff).unwrap_or(0) {
        0x794c_7630 => FilesystemKind::Overlay,
        0x6969 => FilesystemKind::Network("NFS"),
        0xff53_4d42 => FilesystemKind::Network("CIFS"),
        0xfe53_4d42 => FilesystemKind::Network("SMB2"),
        0x517b => FilesystemKind::Network("SMB"),
        0x5346_414f => FilesystemKind::Network("AFS"),
        0x00c3_6400 => FilesystemKind::Network("Ceph"),
        0x0102_1997 => FilesystemKind::Network("9P"),
        0x0bd0_0bd0 => FilesystemKind::Network("Lustre"),
        0x0116_1970 => FilesystemKind::Network("GFS2"),
        _ => FilesystemKind::Other,
    };
    Ok(kind)
}

/// A line of `/proc/PID/mountinfo`, `proc_pid_mountinfo(5)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountEntry {
    /// Unique id of the mount.
    pub id: u64,
    /// Id of the mount it is attached to.
    pub parent: u64,
    /// Which directory of the filesystem is mounted.
    pub root: PathBuf,
    /// Where, in the reader's root.
    pub mount_point: PathBuf,
    /// Flags of the mount, comma separated.
    pub options: String,
    /// Type of the filesystem.
    pub fs_type: String,
    /// What is mounted (a device, a name).
    pub source: String,
    /// Options of the filesystem, comma separated.
    pub super_options: String,
}

/// Parses a mount table; lines in another form are left out.
pub fn parse_mountinfo(text: &str) -> Vec<MountEntry> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<MountEntry> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ');
    let id = left.next()?.parse().ok()?;
    let parent = left.next()?.parse().ok()?;
    let root = unescape(left.nth(1)?);
    let mount_point = unescape(left.next()?);
    let options = left.next()?.to_owned();
    let mut right = right.split(' ');
    Some(MountEntry {
        id,
        parent,
        root,
        mount_point,
        options,
        fs_type: right.next()?.to_owned(),
        source: right.next()?.to_owned(),
        super_options: right.next().unwrap_or_default().to_owned(),
    })
}

/// Blank, tab, newline and backslash stand as three octal digits.
fn unescape(field: &str) -> PathBuf {
    let bytes = field.as_bytes();
    let mut result = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes
            .get(at + 1..at + 4)
            .filter(|_| bytes[at] == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(byte) = digits {
            result.push(byte);
            at += 4;
        } else {
            result.push(bytes[at]);
            at += 1;
        }
    }
    PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(result))
}

/// The mounts of the calling process at or below `path`.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn mounts_below(path: &Path) -> SysResult<Vec<MountEntry>> {
    let table = "/proc/self/mountinfo";
    let text = kernel_file::read(table).context("read", || table.to_owned())?;
    let mut entries = parse_mountinfo(&String::from_utf8_lossy(&text));
    entries.retain(|entry| entry.mount_point.starts_with(path));
    Ok(entries)
}

/// Whether an error says that a layer of an overlay is in use by another one.
pub fn is_in_use(error: &SysError) -> bool {
    error.raw_os_error() == Some(Errno::BUSY.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_with_escapes_and_optional_fields() {
        let text = "36 35 98:0 /a\\040b /mnt/\\134x rw,noatime shared:1 master:2 - ext3 /dev/root rw,errors=continue\nrubbish\n";
        let entries = parse_mountinfo(text);
        assert_eq!(entries.len(), 1);
        let entry = &entries[0];
        assert_eq!((entry.id, entry.parent), (36, 35));
        assert_eq!(entry.root, Path::new("/a b"));
        assert_eq!(entry.mount_point, Path::new("/mnt/\\x"));
        assert_eq!(
            (entry.fs_type.as_str(), entry.source.as_str()),
            ("ext3", "/dev/root")
        );
    }

    #[test]
    fn a_detached_overlay_is_in_no_table_and_its_upper_layer_has_one_user() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            path
        };
        let layers = OverlayLayers {
            lower: vec![path("lower:with,signs")],
            upper: Some((path("up\\per"), path("work"))),
            sync: LayerSync::WhenAsked,
        };
        let before = mounts_below(Path::new("/")).unwrap();
        let overlay = DetachedMount::overlay(&layers).unwrap();
        assert_eq!(mounts_below(Path::new("/")).unwrap(), before);
        overlay
            .root()
            .unwrap()
            .create_dir_all(Path::new("/made"), 0o755)
            .unwrap();
        assert!(dir.path().join("up\\per/made").is_dir());
        assert!(is_in_use(&DetachedMount::overlay(&layers).unwrap_err()));
        drop(overlay);
        // Another test may be between fork and exec, with a copy of the descriptor.
        while let Err(error) = DetachedMount::overlay(&layers) {
            assert!(is_in_use(&error), "{error}");
        }
    }
}
