//! A directory tree as a list that can be compared: what is in it, of which kind, whose, and with which content.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The tree, one line for each entry but the root, sorted by path. Times of directories are left out: adding and removing an
/// entry changes them, and both leave nothing.
pub(crate) fn manifest(root: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    walk(root, root, &mut lines)?;
    lines.sort();
    Ok(lines)
}

/// Fails with what differs between two manifests.
pub(crate) fn compare(what: &str, before: &[String], after: &[String]) -> Result<()> {
    let lost: Vec<&String> = before.iter().filter(|line| !after.contains(line)).collect();
    let new: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
    if lost.is_empty() && new.is_empty() {
        return Ok(());
    }
    bail!("{what} changed: lost {lost:?}, new {new:?}")
}

fn walk(root: &Path, directory: &Path, lines: &mut Vec<String>) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("list {}", directory.display()))?
            .path();
        lines.push(line(root, &path)?);
        if path.is_dir() && !path.is_symlink() {
            walk(root, &path, lines)?;
        }
    }
    Ok(())
}

fn line(root: &Path, path: &Path) -> Result<String> {
    let metadata = path
        .symlink_metadata()
        .with_context(|| format!("look at {}", path.display()))?;
    let kind = metadata.file_type();
    let rest = if kind.is_dir() {
        String::new()
    } else if kind.is_symlink() {
        let target = fs::read_link(path).with_context(|| format!("read {}", path.display()))?;
        format!(" -> {}", target.display())
    } else if kind.is_file() {
        let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let (seconds, parts) = (metadata.mtime(), metadata.mtime_nsec());
        format!(" {} {:016x} {seconds}.{parts:09}", bytes.len(), sum(&bytes))
    } else {
        format!(" device {:x}", metadata.rdev())
    };
    let name = path.strip_prefix(root).unwrap_or(path).display();
    let (mode, uid, gid) = (metadata.mode(), metadata.uid(), metadata.gid());
    Ok(format!("{name} {mode:o} {uid}:{gid}{rest}"))
}

/// FNV-1a: enough to tell that a file has changed.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::tree::write;
    use super::*;

    #[test]
    fn each_kind_of_change_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(&root.join("a"), "1").unwrap();
        symlink("a", root.join("l")).unwrap();
        let before = manifest(root).unwrap();
        compare("it", &before, &manifest(root).unwrap()).unwrap();
        write(&root.join("a"), "2").unwrap();
        assert!(compare("it", &before, &manifest(root).unwrap()).is_err());
        let before = manifest(root).unwrap();
        fs::set_permissions(root.join("a"), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(compare("it", &before, &manifest(root).unwrap()).is_err());
        let before = manifest(root).unwrap();
        fs::create_dir(root.join("d")).unwrap();
        assert!(compare("it", &before, &manifest(root).unwrap()).is_err());
        fs::remove_dir(root.join("d")).unwrap();
        compare("it", &before, &manifest(root).unwrap()).unwrap();
    }
}
