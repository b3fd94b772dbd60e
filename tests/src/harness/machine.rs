//! What the kernel says of the machine: mounts, cgroups.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The cgroups that the engine keeps for all its containers: parents that may stay.
pub(crate) const PARENT: &str = "ctr";

/// One line of `/proc/self/mountinfo`, see proc(5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mount {
    pub(crate) point: PathBuf,
    pub(crate) kind: String,
    pub(crate) super_options: String,
    /// The line without the propagation fields, which other namespaces change.
    pub(crate) line: String,
}

/// The mount table of this process.
pub(crate) fn mounts() -> Result<Vec<Mount>> {
    let text = fs::read_to_string("/proc/self/mountinfo").context("read the mount table")?;
    Ok(parse_mounts(&text))
}

/// Reads a mount table; lines that are none are left out.
pub(crate) fn parse_mounts(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_mount).collect()
}

fn parse_mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let mut right_words = right.split(' ');
    let kind = right_words.next()?;
    let options = right_words.nth(1)?;
    Some(Mount {
        point: PathBuf::from(unescape(left.get(4)?)),
        kind: kind.to_owned(),
        super_options: options.to_owned(),
        line: format!("{} - {right}", left.get(..6)?.join(" ")),
    })
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescape(field: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = field.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = (*first == b'\\')
            .then(|| tail.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(byte) = code {
            bytes.push(byte);
            rest = &tail[3..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The roots of all cgroup trees.
pub(crate) fn cgroup_roots() -> Result<Vec<PathBuf>> {
    Ok(mounts()?
        .into_iter()
        .filter(|mount| mount.kind == "cgroup" || mount.kind == "cgroup2")
        .map(|mount| mount.point)
        .collect())
}

/// The cgroups of containers: name to its directories, one for each tree. Those outside our parent count when their name holds
/// the id of a container.
pub(crate) fn container_cgroups() -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for root in cgroup_roots()? {
        for path in directories(&root.join(PARENT)) {
            found.entry(name_of(&path)).or_default().push(path);
        }
        for path in directories(&root) {
            let name = name_of(&path);
            if holds_an_id(&name) {
                found.entry(name).or_default().push(path);
            }
        }
    }
    Ok(found)
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Whether 64 hexadecimal digits stand somewhere in the name.
pub(crate) fn holds_an_id(name: &str) -> bool {
    name.split(|letter: char| !letter.is_ascii_hexdigit())
        .any(|run| run.len() == 64)
}

/// The directories in a directory; none when it is not there.
pub(crate) fn directories(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// The processes in a cgroup and below it. A cgroup that went away has none.
pub(crate) fn processes_in(cgroup: &Path) -> BTreeSet<i32> {
    let own = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let mut pids: BTreeSet<i32> = own.lines().filter_map(|line| line.parse().ok()).collect();
    for child in directories(cgroup) {
        pids.extend(processes_in(&child));
    }
    pids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_table_is_read() {
        let text = "36 35 98:0 / /mnt\\040x rw,noatime shared:1 master:2 - cgroup cgroup rw,devices\nnonsense\n";
        let mounts = parse_mounts(text);
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].point, Path::new("/mnt x"));
        assert_eq!(mounts[0].kind, "cgroup");
        assert_eq!(mounts[0].super_options, "rw,devices");
        assert_eq!(
            mounts[0].line,
            "36 35 98:0 / /mnt\\040x rw,noatime - cgroup cgroup rw,devices"
        );
    }

    #[test]
    fn this_machine_has_a_root() {
        assert!(
            mounts()
                .unwrap()
                .iter()
                .any(|mount| mount.point == Path::new("/"))
        );
    }

    #[test]
    fn an_id_is_found_in_a_name() {
        let id = "0123456789abcdef".repeat(4);
        assert!(holds_an_id(&id));
        assert!(holds_an_id(&format!(":youki:{id}.scope")));
        assert!(!holds_an_id(&id[1..]));
        assert!(!holds_an_id("ctr-monitors"));
    }
}
