//! Files that appear whole: written under another name, then renamed.

use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Context, SysError, SysResult};

/// Whether data must be on disk when a call returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// It may be lost in a power cut, as on tmpfs.
    No,
    /// File and directory are synced, `fsync(2)`.
    Yes,
}

/// Distinguishes temporary names of one process; the pid distinguishes processes.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Puts a file with `bytes` and exactly `mode` at `path`: readers see the old file or the new one, never a part.
///
/// # Errors
/// When the directory cannot be written; then nothing is left and an old file is untouched.
pub fn replace_file(path: &Path, bytes: &[u8], mode: u32, sync: Sync) -> SysResult<()> {
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let Some(name) = path.file_name() else {
        return Err(SysError::invalid(
            "write",
            path.display().to_string(),
            "not a file name",
        ));
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.{number}.tmp", std::process::id()));
    let temporary = path.with_file_name(temporary);
    let result = write_whole(&temporary, bytes, mode, sync)
        .and_then(|()| std::fs::rename(&temporary, path))
        .context("write", || path.display().to_string());
    if result.is_err() {
        // The write failed already; what cannot be removed now is named .tmp and belongs to a directory that its owner removes.
        drop(std::fs::remove_file(&temporary));
        return result;
    }
    match (sync, path.parent()) {
        (Sync::Yes, Some(parent)) => sync_directory(parent),
        (Sync::Yes | Sync::No, _) => Ok(()),
    }
}

fn write_whole(path: &Path, bytes: &[u8], mode: u32, sync: Sync) -> std::io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    file.write_all(bytes)?;
    // The umask may have taken bits away.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    match sync {
        Sync::Yes => file.sync_all(),
        Sync::No => Ok(()),
    }
}

/// Makes a directory's entries durable.
///
/// # Errors
/// When it cannot be opened or synced.
pub fn sync_directory(path: &Path) -> SysResult<()> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .context("sync", || path.display().to_string())
}

/// What is free on the file system of `path`, in bytes, also for something that is yet to be made: then where it would lie. `None` when
/// that cannot be asked. What only the superuser may use is counted, and quotas are not known.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let found = path
        .ancestors()
        .map(|path| {
            if path == Path::new("") {
                Path::new(".")
            } else {
                path
            }
        })
        .find_map(|path| rustix::fs::statvfs(path).ok())?;
    Some(found.f_bfree.saturating_mul(found.f_frsize))
}

/// Makes `path` a directory of mode 0700, with its parents (0755, less the umask), whatever the umask is; fine when it is there.
///
/// # Errors
/// When it exists and is not a directory of the calling user, or others may write to it: whatever we put there could be exchanged.
pub fn create_private_dir(path: &Path) -> SysResult<()> {
    let name = || path.display().to_string();
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {
            let mode = std::fs::Permissions::from_mode(0o700);
            return std::fs::set_permissions(path, mode).context("create", name);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                create_parents(parent)?;
                return create_private_dir(path);
            }
            return Err(error).context("create", name);
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).context("create", name),
    }
    let found = std::fs::metadata(path).context("stat", name)?;
    let own = rustix::process::geteuid().as_raw();
    if !found.is_dir() {
        return Err(SysError::invalid("use", name(), "it is not a directory"));
    }
    if found.uid() != own {
        let why = format!("it belongs to user {}, not to {own}", found.uid());
        return Err(SysError::invalid("use", name(), &why));
    }
    if found.mode() & 0o022 != 0 {
        return Err(SysError::invalid(
            "use",
            name(),
            "others may write to it (chmod go-w)",
        ));
    }
    if found.mode() & 0o077 != 0 {
        let mode = std::fs::Permissions::from_mode(0o700);
        return std::fs::set_permissions(path, mode).context("change the mode of", name);
    }
    Ok(())
}

fn create_parents(path: &Path) -> SysResult<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .context("create", || path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_the_mode_asked_for_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        replace_file(&path, b"one", 0o600, Sync::Yes).unwrap();
        replace_file(&path, b"two", 0o666, Sync::No).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o666);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_in_the_way_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::create_dir(&path).unwrap();
        assert!(replace_file(&path, b"x", 0o600, Sync::No).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        create_private_dir(&path).unwrap();
        create_private_dir(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        create_private_dir(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(create_private_dir(&path).is_err());
    }
}
