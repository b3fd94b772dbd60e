//! Finding the program of a runtime, and refusing one that somebody else could exchange.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};

use crate::error::OciError;

/// Where named runtimes are looked for. Fixed on purpose: a search path of the environment would let it choose what we execute.
pub const RUNTIME_DIRECTORIES: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

const MAX_NAME: usize = 64;

/// The program of the runtime `name_or_path`.
///
/// A name (`[a-z0-9][a-z0-9._-]*`) is looked up in `search`, or in [`RUNTIME_DIRECTORIES`] when that is empty; an absolute path is taken as it is. Either way the
/// file must be a regular one, executable, owned by root or by us, and not writable by others, and so must be the directories that lead to it.
///
/// # Errors
/// [`OciError::Invalid`] for anything that is neither a name nor an absolute path, [`OciError::RuntimeNotFound`],
/// [`OciError::RuntimeUnreadable`], [`OciError::RuntimeUnusable`] and [`OciError::RuntimeExchangeable`]. The first file of that name decides; a bad one is not passed over.
pub fn find_runtime(name_or_path: &str, search: &[PathBuf]) -> Result<PathBuf, OciError> {
    if name_or_path.starts_with('/') {
        let path = PathBuf::from(name_or_path);
        return check_runtime(&path).map(|()| path);
    }
    check_name(name_or_path)?;
    let searched = if search.is_empty() {
        RUNTIME_DIRECTORIES.map(PathBuf::from).into()
    } else {
        search.to_vec()
    };
    for directory in &searched {
        let path = directory.join(name_or_path);
        if let Some(metadata) = look(&path)? {
            return check_program(&path, &metadata).map(|()| path);
        }
    }
    Err(OciError::RuntimeNotFound {
        name: name_or_path.to_owned(),
        searched,
    })
}

/// Looks at the program of a runtime at a path: as [`find_runtime`] does for an absolute path. [`crate::CliRuntime`] does so before each call.
///
/// # Errors
/// As [`find_runtime`].
pub fn check_runtime(path: &Path) -> Result<(), OciError> {
    match look(path)? {
        Some(metadata) => check_program(path, &metadata),
        None => Err(OciError::RuntimeNotFound {
            name: path.display().to_string(),
            searched: path.parent().map(Path::to_owned).into_iter().collect(),
        }),
    }
}

fn check_name(name: &str) -> Result<(), OciError> {
    let refuse = |why| Err(OciError::invalid("runtime name", name, why));
    if name.is_empty() || name.len() > MAX_NAME {
        return refuse("a name has 1 to 64 characters");
    }
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut bytes = name.bytes();
    if !bytes.next().is_some_and(plain) || !bytes.all(|b| plain(b) || b"._-".contains(&b)) {
        return refuse(
            "a name is of lower-case letters, digits, dots, underscores and hyphens; a path must be absolute",
        );
    }
    Ok(())
}

fn look(path: &Path) -> Result<Option<Metadata>, OciError> {
    match path.metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(OciError::RuntimeUnreadable {
            path: path.to_owned(),
            source,
        }),
    }
}

fn check_program(path: &Path, metadata: &Metadata) -> Result<(), OciError> {
    let refuse = |why| {
        Err(OciError::RuntimeUnusable {
            path: path.to_owned(),
            why,
        })
    };
    let mode = metadata.mode();
    if !metadata.is_file() {
        return refuse("it is not a regular file");
    }
    if mode & 0o111 == 0 {
        return refuse("it is not executable");
    }
    if is_strangers(metadata) {
        return refuse("it belongs to another user");
    }
    if mode & 0o002 != 0 {
        return refuse("everybody may write to it");
    }
    let trusted_group = metadata.gid() == 0 || metadata.gid() == getegid().as_raw();
    if mode & 0o020 != 0 && !trusted_group {
        return refuse("another group may write to it");
    }
    check_directories(path)
}

fn is_strangers(metadata: &Metadata) -> bool {
    metadata.uid() != 0 && metadata.uid() != geteuid().as_raw()
}

/// Whoever may rename in a directory above a file can put another in its place. Groups are not asked about: that of `/usr/local` is the
/// system's own matter.
fn check_directories(path: &Path) -> Result<(), OciError> {
    let unreadable = |source| OciError::RuntimeUnreadable {
        path: path.to_owned(),
        source,
    };
    // By its real name too: links lead elsewhere.
    let real = path.canonicalize().map_err(unreadable)?;
    for directory in path.ancestors().chain(real.ancestors()) {
        if directory == path || directory == real {
            continue;
        }
        let metadata = directory.metadata().map_err(unreadable)?;
        let (everybody, only_own) = (metadata.mode() & 0o002 != 0, metadata.mode() & 0o1000 != 0);
        if is_strangers(&metadata) || (everybody && !only_own) {
            return Err(OciError::RuntimeExchangeable {
                path: path.to_owned(),
                directory: directory.to_owned(),
            });
        }
    }
    Ok(())
}
