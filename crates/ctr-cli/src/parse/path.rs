//! Paths of flags.

use std::path::{Component, Path, PathBuf};

use ctr_rootfs::RootfsSource;

use crate::error::CommandError;
use crate::host::Host;

/// The root directory of the container, as seen from everywhere.
pub(crate) fn rootfs(text: &str, host: &Host) -> Result<RootfsSource, CommandError> {
    let mut source =
        RootfsSource::parse(text).map_err(|error| CommandError::flag("--rootfs", error))?;
    source.path = host.absolute(&source.path)?;
    Ok(source)
}

/// A path inside the container: absolute, without `..`, in its plain form.
pub(crate) fn inside(flag: &str, text: &str) -> Result<PathBuf, CommandError> {
    let path = Path::new(text);
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(CommandError::value(
            flag,
            text,
            "must be an absolute path in the container, without ..",
        ));
    }
    Ok(path.components().collect())
}

/// A file that the command makes and that must not be there yet.
pub(crate) fn new_file(flag: &str, text: &str, host: &Host) -> Result<PathBuf, CommandError> {
    let path = host.absolute(text)?;
    if text.is_empty() || path.file_name().is_none() {
        return Err(CommandError::value(flag, text, "must be a file"));
    }
    if path.symlink_metadata().is_ok() {
        return Err(CommandError::value(flag, text, "the file exists already")
            .hint("remove it, if no container of that file is in use, or choose another one"));
    }
    Ok(path)
}

/// A file that the engine writes, replacing an old one.
pub(crate) fn file(flag: &str, text: &str, host: &Host) -> Result<PathBuf, CommandError> {
    let path = host.absolute(text)?;
    if text.is_empty() || path.file_name().is_none() || path.is_dir() {
        return Err(CommandError::value(flag, text, "must be a file"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::host;

    #[test]
    fn paths_in_the_container_are_absolute() {
        assert_eq!(inside("-w", "/a//b/./c/").unwrap(), Path::new("/a/b/c"));
        for bad in ["", "a", "./a", "/a/../b"] {
            assert!(inside("-w", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_new_file_must_not_exist() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id");
        let text = path.to_str().unwrap();
        assert_eq!(new_file("--cidfile", text, &host()).unwrap(), path);
        std::os::unix::fs::symlink("/nowhere", &path).unwrap();
        assert!(
            new_file("--cidfile", text, &host())
                .unwrap_err()
                .message()
                .contains("exists already")
        );
        assert!(new_file("--cidfile", "", &host()).is_err());
    }

    #[test]
    fn a_relative_root_starts_in_the_working_directory() {
        assert_eq!(
            rootfs("tree:O", &host()).unwrap().path,
            Path::new("/home/user/tree")
        );
        assert!(
            rootfs("tree:idmap", &host())
                .unwrap_err()
                .message()
                .starts_with("--rootfs: ")
        );
    }
}
