//! Removing directory trees that a container may have filled.
//!
//! The walk goes from descriptor to descriptor: no name is resolved twice, links are removed and never followed, and a mount point
//! below the tree stops it with an error instead of emptying what is mounted there.

use std::cell::Cell;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Context, SysError, SysResult};

/// Removes `path` and all below it; a missing path is success.
///
/// # Errors
/// When something below is a mount point (`EXDEV`) or the kernel refuses; what was removed until then is gone.
pub fn remove_tree(path: &Path) -> SysResult<()> {
    let name = || path.display().to_string();
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let Some(last) = path.file_name() else {
        return Err(SysError::invalid(
            "remove",
            name(),
            "not a name below a directory",
        ));
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = match rustix::fs::open(parent, flags, Mode::empty()) {
        Ok(parent) => parent,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno).context("open", name),
    };
    let last = CString::new(last.as_encoded_bytes())
        .map_err(|_| SysError::invalid("remove", name(), "the name holds a NUL byte"))?;
    remove_entry(parent.as_fd(), &last).context("remove", name)
}

/// Directories deeper than this are first moved up: each level of the walk holds a descriptor, and a container may nest as deep as it
/// likes.
const MAX_DEPTH: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Directory,
    Other,
}

/// The tree's uppermost directory: where directories that lie too deep are moved.
struct Top<'a> {
    directory: BorrowedFd<'a>,
    moved: Cell<u64>,
}

fn remove_entry(parent: BorrowedFd<'_>, name: &CString) -> Result<(), Errno> {
    if unlink(parent, name)? {
        return Ok(());
    }
    let Some(directory) = open_below(parent, name)? else {
        return Ok(());
    };
    let top = Top {
        directory: directory.as_fd(),
        moved: Cell::new(0),
    };
    // What was moved up while the directory was emptied is there in the next round.
    while empty(directory.as_fd(), &top, 0)? {}
    remove_directory(parent, name)
}

/// Removes what is no directory; false: it is one.
fn unlink(parent: BorrowedFd<'_>, name: &CString) -> Result<bool, Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR | Errno::PERM) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn remove_directory(parent: BorrowedFd<'_>, name: &CString) -> Result<(), Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn open_below(parent: BorrowedFd<'_>, name: &CString) -> Result<Option<OwnedFd>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
    match rustix::fs::openat2(parent, name, flags, Mode::empty(), resolve) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Empties a directory; true when something was moved to the top meanwhile.
fn empty(directory: BorrowedFd<'_>, top: &Top<'_>, depth: usize) -> Result<bool, Errno> {
    let before = top.moved.get();
    for (name, known) in entries(directory)? {
        if known == Known::Other && unlink(directory, &name)? {
            continue;
        }
        let Some(child) = open_below(directory, &name)? else {
            continue;
        };
        if depth >= MAX_DEPTH {
            top.moved.set(top.moved.get() + 1);
            let moved = format!(".deep.{}.{}", std::process::id(), top.moved.get());
            rustix::fs::renameat(directory, &name, top.directory, moved)?;
            continue;
        }
        empty(child.as_fd(), top, depth + 1)?;
        remove_directory(directory, &name)?;
    }
    Ok(top.moved.get() != before)
}

/// Names first: removing while reading may skip entries on some filesystems.
fn entries(directory: BorrowedFd<'_>) -> Result<Vec<(CString, Known)>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let known = match entry.file_type() {
            FileType::Directory => Known::Directory,
            // One of unknown kind shows when it is unlinked.
            FileType::Unknown
            | FileType::RegularFile
            | FileType::Symlink
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice => Known::Other,
        };
        entries.push((name.to_owned(), known));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_removed_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let canary = dir.path().join("canary");
        std::fs::create_dir(&canary).unwrap();
        crate::replace_file(&canary.join("f"), b"x", 0o600, crate::Sync::No).unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        std::os::unix::fs::symlink(&canary, tree.join("a/link")).unwrap();
        crate::replace_file(&tree.join("a/b/f"), b"x", 0o600, crate::Sync::No).unwrap();
        remove_tree(&tree).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(canary.join("f").exists());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&canary, &link).unwrap();
        remove_tree(&link).unwrap();
        assert!(canary.join("f").exists() && !link.exists());
    }

    #[test]
    fn a_tree_deeper_than_descriptors_reach() {
        let dir = tempfile::tempdir().unwrap();
        let mut current = rustix::fs::open(dir.path(), OFlags::RDONLY, Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&current, "d", Mode::RWXU).unwrap();
            current = rustix::fs::openat(&current, "d", OFlags::RDONLY, Mode::empty()).unwrap();
        }
        drop(current);
        remove_tree(&dir.path().join("d")).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
