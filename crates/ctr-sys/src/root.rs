//! The in-root opener: every path inside a container is resolved here and nowhere else.
//!
//! `openat2(2)` with `RESOLVE_IN_ROOT` resolves absolute links and `..` below the root, and `RESOLVE_NO_MAGICLINKS` refuses the
//! links of `/proc` that lead anywhere. What comes back is a descriptor, and all further work is done on it: no name is
//! resolved twice, so a container that exchanges a directory for a link between two steps gains nothing.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::error::{Context, SysError, SysResult};

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A regular file.
    Regular,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// The part of `stat(2)` that the house needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits, with set-user-id, set-group-id and sticky (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// The device it lies on.
    pub dev: u64,
    /// Its inode number there.
    pub ino: u64,
}

impl Metadata {
    fn from_stat(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Symlink,
            FileType::Fifo => FileKind::Fifo,
            FileType::Socket => FileKind::Socket,
            FileType::CharacterDevice => FileKind::CharDevice,
            FileType::BlockDevice => FileKind::BlockDevice,
            FileType::RegularFile | FileType::Unknown => FileKind::Regular,
        };
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            dev: stat.st_dev,
            ino: stat.st_ino,
        }
    }
}

/// A directory as the root of path resolution. Paths given to its methods are absolute or relative, both below the root.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
}

impl Root {
    /// Opens a directory of the host as a root; links in `path` itself are the host's and are followed.
    ///
    /// # Errors
    /// When it is missing or not a directory.
    pub fn open(path: &Path) -> SysResult<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .context("open", || path.display().to_string())?;
        Ok(Self { fd })
    }

    /// Uses an open directory as a root.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Resolves a path to an `O_PATH` descriptor, which opens nothing: devices and pipes are not touched.
    ///
    /// # Errors
    /// When it does not exist, or resolution would leave the root through a magic link.
    pub fn open_path(&self, path: &Path) -> SysResult<OwnedFd> {
        self.openat2(path, OFlags::PATH)
            .context("open", || inside(path))
    }

    /// Opens a regular file for reading. Never blocks: anything else (a FIFO, a device) is refused.
    ///
    /// # Errors
    /// When it is missing (`NotFound`) or not a regular file (`InvalidInput`).
    pub fn open_read(&self, path: &Path) -> SysResult<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        // Asked on an O_PATH descriptor first: opening a device may do something.
        let found = self.open_path(path)?;
        regular(&found, path)?;
        let fd = self.openat2(path, flags).context("open", || inside(path))?;
        regular(&fd, path)?;
        Ok(File::from(fd))
    }

    /// The content of a regular file; `None` when it is missing.
    ///
    /// # Errors
    /// `FileTooLarge` when it has more than `max_bytes`, `InvalidInput` when it is not a regular file.
    pub fn read(&self, path: &Path, max_bytes: u64) -> SysResult<Option<Vec<u8>>> {
        let file = match self.open_read(path) {
            Ok(file) => file,
            Err(error) if missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(max_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .context("read", || inside(path))?;
        if bytes.len() as u64 > max_bytes {
            let why = format!("it is larger than {max_bytes} bytes");
            return Err(SysError::new(
                "read",
                inside(path),
                std::io::Error::new(std::io::ErrorKind::FileTooLarge, why),
            ));
        }
        Ok(Some(bytes))
    }

    /// What a path leads to, links followed inside the root; `None` when it leads nowhere.
    ///
    /// # Errors
    /// When resolution fails otherwise (a loop of links).
    pub fn metadata(&self, path: &Path) -> SysResult<Option<Metadata>> {
        self.stat(path, OFlags::PATH)
    }

    /// As [`Root::metadata`], but a link as the last component is described itself.
    ///
    /// # Errors
    /// As [`Root::metadata`].
    pub fn metadata_nofollow(&self, path: &Path) -> SysResult<Option<Metadata>> {
        self.stat(path, OFlags::PATH | OFlags::NOFOLLOW)
    }

    fn stat(&self, path: &Path, flags: OFlags) -> SysResult<Option<Metadata>> {
        let fd = match self.openat2(path, flags) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(errno).context("stat", || inside(path)),
        };
        let stat = rustix::fs::fstat(&fd).context("stat", || inside(path))?;
        Ok(Some(Metadata::from_stat(&stat)))
    }

    /// Makes a directory and its parents with `mode` (less the umask), following links that exist inside the root.
    ///
    /// # Errors
    /// When a component is something else than a directory.
    pub fn create_dir_all(&self, path: &Path, mode: u32) -> SysResult<()> {
        let mut current = self.open_path(Path::new("/"))?;
        let mut reached = PathBuf::from("/");
        for component in path.components() {
            let Component::Normal(name) = component else {
                if component == Component::ParentDir {
                    return Err(SysError::invalid(
                        "create",
                        inside(path),
                        "`..` in a path to create",
                    ));
                }
                continue;
            };
            reached.push(name);
            match rustix::fs::mkdirat(&current, name, Mode::from_raw_mode(mode)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno).context("create", || inside(&reached)),
            }
            current = self
                .openat2(&reached, OFlags::PATH | OFlags::DIRECTORY)
                .context("create", || inside(&reached))?;
        }
        Ok(())
    }

    /// Removes an empty directory or an empty regular file; the last component is not followed. False when it is something else, not
    /// empty, or missing.
    ///
    /// # Errors
    /// When the kernel refuses for another reason.
    pub fn remove_empty(&self, path: &Path) -> SysResult<bool> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(false);
        };
        let parent = match self.openat2(parent, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(parent) => parent,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(false),
            Err(errno) => return Err(errno).context("open", || inside(path)),
        };
        let stat = match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Metadata::from_stat(&stat),
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(errno).context("stat", || inside(path)),
        };
        let flags = match stat.kind {
            FileKind::Directory => AtFlags::REMOVEDIR,
            FileKind::Regular if stat.size == 0 => AtFlags::empty(),
            FileKind::Regular
            | FileKind::Symlink
            | FileKind::Fifo
            | FileKind::Socket
            | FileKind::CharDevice
            | FileKind::BlockDevice => return Ok(false),
        };
        match rustix::fs::unlinkat(&parent, name, flags) {
            Ok(()) => Ok(true),
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno).context("remove", || inside(path)),
        }
    }

    fn openat2(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = if path.as_os_str().is_empty() {
            Path::new("/")
        } else {
            path
        };
        loop {
            let flags = flags | OFlags::CLOEXEC;
            match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve) {
                // A rename elsewhere raced with a `..`: the kernel asks to try again.
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn inside(path: &Path) -> String {
    format!("{} in the container's root", path.display())
}

fn missing(error: &SysError) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
        || error.raw_os_error() == Some(Errno::NOTDIR.raw_os_error())
}

fn regular(fd: &OwnedFd, path: &Path) -> SysResult<()> {
    let stat = rustix::fs::fstat(fd).context("stat", || inside(path))?;
    if Metadata::from_stat(&stat).kind == FileKind::Regular
        && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
    {
        return Ok(());
    }
    Err(SysError::invalid(
        "read",
        inside(path),
        "it is not a regular file",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replace::{Sync, replace_file};
    use std::os::unix::fs::symlink;

    fn tree() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        replace_file(&root.join("etc/passwd"), b"inside", 0o644, Sync::No).unwrap();
        replace_file(&dir.path().join("secret"), b"outside", 0o644, Sync::No).unwrap();
        symlink(dir.path().join("secret"), root.join("absolute")).unwrap();
        symlink("../../../../../secret", root.join("relative")).unwrap();
        symlink("/etc/passwd", root.join("good")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        let root = Root::open(&root).unwrap();
        (dir, root)
    }

    #[test]
    fn links_are_resolved_below_the_root() {
        let (_dir, root) = tree();
        let read = |path: &str| root.read(Path::new(path), 100).unwrap();
        assert_eq!(read("/etc/passwd").as_deref(), Some(b"inside".as_slice()));
        assert_eq!(read("good").as_deref(), Some(b"inside".as_slice()));
        assert_eq!(
            read("../../etc/passwd").as_deref(),
            Some(b"inside".as_slice())
        );
        assert_eq!(read("absolute"), None);
        assert_eq!(read("relative"), None);
        assert_eq!(read("magic/etc/passwd"), None);
        assert_eq!(read("etc/passwd/x"), None);
    }

    #[test]
    fn only_regular_files_up_to_a_size_are_read() {
        let (dir, root) = tree();
        let fifo = dir.path().join("root/fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::RWXU).unwrap();
        let kind = |path: &str, cap| root.read(Path::new(path), cap).unwrap_err().kind();
        assert_eq!(kind("fifo", 9), std::io::ErrorKind::InvalidInput);
        assert_eq!(kind("etc", 9), std::io::ErrorKind::InvalidInput);
        assert_eq!(kind("etc/passwd", 5), std::io::ErrorKind::FileTooLarge);
        assert!(root.read(Path::new("etc/passwd"), 6).unwrap().is_some());
    }

    #[test]
    fn made_directories_stay_inside_and_only_empty_ones_go() {
        let (dir, root) = tree();
        symlink("/made", dir.path().join("root/lnk")).unwrap();
        assert!(root.create_dir_all(Path::new("/lnk/x"), 0o755).is_err());
        root.create_dir_all(Path::new("/a/b"), 0o755).unwrap();
        assert!(dir.path().join("root/a/b").is_dir());
        assert!(!root.remove_empty(Path::new("/a")).unwrap());
        assert!(root.remove_empty(Path::new("/a/b")).unwrap());
        assert!(root.remove_empty(Path::new("/a")).unwrap());
        assert!(!root.remove_empty(Path::new("/etc/passwd")).unwrap());
        assert!(!root.remove_empty(Path::new("/good")).unwrap());
        assert!(!root.remove_empty(Path::new("/nothing")).unwrap());
    }
}
