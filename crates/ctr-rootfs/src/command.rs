//! Whether a program can be found and executed in a container, judged by looking at its files.
//!
//! Runtimes report a missing program and one without permission in words of their own. The engine asks here which of the two it was.
//! What is judged are the mode bits for the ids that the process will have; access control lists, `noexec` mounts and the
//! interpreter of a script are the kernel's to judge.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ctr_sys::{FileKind, Metadata, Root, SysError};

use crate::resolve::resolve;

const EXECUTE: u32 = 0o1;

/// What `execvp(3)` would find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandCheck {
    /// This file, by its path inside the container, links not resolved.
    Executable(PathBuf),
    /// Nothing (exit code 127).
    NotFound,
    /// Something that this user cannot execute (exit code 126).
    NotExecutable {
        /// What stands in the way, with the path.
        why: String,
    },
}

/// Looks for `argv0` as a process with these ids and the working directory `cwd` would: a name with a slash is a path, relative ones
/// starting at `cwd`; any other name is looked for in the directories of `path_env` (`PATH`, colons between; an empty entry is `cwd`), where
/// a file that cannot be executed does not end the search. Links are followed inside the container. For uid 0 any execute bit
/// will do and directories hide nothing.
///
/// `gids` are all groups of the process, the primary one included.
pub fn command_check(
    root: &Root,
    argv0: impl AsRef<OsStr>,
    path_env: &str,
    cwd: &Path,
    uid: u32,
    gids: &[u32],
) -> CommandCheck {
    let argv0 = argv0.as_ref();
    let user = Judge { root, uid, gids };
    if argv0.is_empty() {
        return CommandCheck::NotFound;
    }
    let cwd = Path::new("/").join(cwd);
    if argv0.as_encoded_bytes().contains(&b'/') {
        return user.judge(&cwd.join(argv0));
    }
    let mut refused = CommandCheck::NotFound;
    for directory in path_env.split(':') {
        let found = user.judge(&cwd.join(directory).join(argv0));
        match found {
            CommandCheck::Executable(_) => return found,
            CommandCheck::NotExecutable { .. } if refused == CommandCheck::NotFound => {
                refused = found;
            }
            CommandCheck::NotExecutable { .. } | CommandCheck::NotFound => {}
        }
    }
    refused
}

/// The process whose permissions count.
struct Judge<'a> {
    root: &'a Root,
    uid: u32,
    gids: &'a [u32],
}

impl Judge<'_> {
    fn judge(&self, path: &Path) -> CommandCheck {
        let refuse = |why: &str| CommandCheck::NotExecutable {
            why: format!("{}: {why}", path.display()),
        };
        let found = match self.root.metadata(path) {
            Ok(Some(found)) => found,
            Ok(None) => return CommandCheck::NotFound,
            Err(error) => return unreachable_file(path, &error),
        };
        match found.kind {
            FileKind::Directory => return refuse("is a directory"),
            FileKind::Regular => {}
            FileKind::Symlink
            | FileKind::Fifo
            | FileKind::Socket
            | FileKind::CharDevice
            | FileKind::BlockDevice => return refuse("is not a regular file"),
        }
        if !self.may_search(path) {
            return refuse("this user may not search a directory of the path");
        }
        if !self.may_execute(&found) {
            return refuse("permission denied (no execute bit for this user)");
        }
        CommandCheck::Executable(path.to_owned())
    }

    /// Whether every directory on the way may be searched: those of the path as written and those that its links lead through.
    fn may_search(&self, path: &Path) -> bool {
        if self.uid == 0 {
            return true;
        }
        let Ok(resolved) = resolve(self.root, path) else {
            return false;
        };
        let written = path.ancestors().skip(1);
        written
            .chain(resolved.path.ancestors().skip(1))
            .all(|directory| {
                let found = self.root.metadata(directory).ok().flatten();
                found.is_some_and(|found| self.may_execute(&found))
            })
    }

    /// The class of mode bits that counts is the first that fits, even if a later one would allow more (`path_resolution(7)`).
    fn may_execute(&self, file: &Metadata) -> bool {
        let shift = if self.uid == 0 {
            return file.kind == FileKind::Directory || file.mode & 0o111 != 0;
        } else if file.uid == self.uid {
            6
        } else if self.gids.contains(&file.gid) {
            3
        } else {
            0
        };
        (file.mode >> shift) & EXECUTE != 0
    }
}

fn unreachable_file(path: &Path, error: &SysError) -> CommandCheck {
    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
        return CommandCheck::NotFound;
    }
    CommandCheck::NotExecutable {
        why: format!("{}: {error}", path.display()),
    }
}
