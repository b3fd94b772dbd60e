//! `-v SOURCE:DESTINATION[:OPTIONS]`: a directory or file of the host, seen in the container.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ctr_state::{Access, VolumeConfig};

use crate::error::CommandError;
use crate::parse::path::inside;

const FLAG: &str = "--volume";

/// Trees of the kernel: what lies over them would hide what the container's protection rests on.
const RESERVED: [&str; 2] = ["/proc", "/sys"];

/// All volumes of the container; two on one destination are refused.
pub(crate) fn volumes(entries: &[String]) -> Result<Vec<VolumeConfig>, CommandError> {
    let mut destinations = BTreeSet::new();
    let mut volumes = Vec::new();
    for text in entries {
        let volume = volume(text)?;
        if !destinations.insert(volume.destination.clone()) {
            return Err(refused(text, "another volume has the same destination"));
        }
        volumes.push(volume);
    }
    Ok(volumes)
}

fn volume(text: &str) -> Result<VolumeConfig, CommandError> {
    let parts: Vec<&str> = text.split(':').collect();
    let (from, to, options) = match parts[..] {
        [from, to] => (from, to, ""),
        [from, to, options] => (from, to, options),
        _ => return Err(refused(text, "must be SOURCE:DESTINATION or SOURCE:DESTINATION:OPTIONS")),
    };
    Ok(VolumeConfig {
        source: source(text, from)?,
        destination: destination(text, to)?,
        access: access(text, options)?,
    })
}

fn source(text: &str, from: &str) -> Result<PathBuf, CommandError> {
    let path = Path::new(from);
    if !path.is_absolute() {
        return Err(refused(text, &format!("the source \"{from}\" must be an absolute path; named volumes do not exist yet")));
    }
    path.metadata()
        .map_err(|error| refused(text, &format!("the source {from} cannot be used: {error}")))?;
    Ok(path.components().collect())
}

fn destination(text: &str, to: &str) -> Result<PathBuf, CommandError> {
    let path = inside(FLAG, to).map_err(|_| refused(text, &format!("the destination \"{to}\" must be an absolute path, without ..")))?;
    if path == Path::new("/") {
        return Err(refused(text, "the destination must not be the root directory"));
    }
    if RESERVED.iter().any(|tree| path.starts_with(tree)) {
        return Err(refused(text, &format!("the destination {to} lies in a tree of the kernel (/proc and /sys)")));
    }
    Ok(path)
}

/// The options are a set: order and repetition do not matter, contradictions do.
fn access(text: &str, options: &str) -> Result<Access, CommandError> {
    let set: BTreeSet<&str> = options.split(',').filter(|option| !option.is_empty()).collect();
    if let Some(unknown) = set.iter().find(|option| !["ro", "rw"].contains(option)) {
        return Err(refused(text, &format!("unknown option \"{unknown}\"; allowed are ro and rw")));
    }
    match (set.contains("ro"), set.contains("rw")) {
        (true, true) => Err(refused(text, "ro and rw contradict each other")),
        (true, false) => Ok(Access::ReadOnly),
        (false, _) => Ok(Access::ReadWrite),
    }
}

fn refused(text: &str, why: &str) -> CommandError {
    CommandError::value(FLAG, text, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(entries: &[&str], expected: &Expect) {
        let entries: Vec<String> = entries.iter().map(|&text| text.to_owned()).collect();
        let shown = match volumes(&entries) {
            Ok(volumes) => volumes
                .iter()
                .map(|v| format!("{} {} {:?}\n", v.source.display(), v.destination.display(), v.access))
                .collect(),
            Err(error) => format!("{}\n", error.message()),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn volumes_that_work() {
        check(&["/usr:/a", "/etc/:/b//c/:ro", "/etc/passwd:/d:rw,rw", "/:/e:"], &expect![[""]]);
    }

    #[test]
    fn volumes_that_are_refused() {
        check(&["/usr"], &expect![[""]]);
        check(&["/usr:/a:ro:x"], &expect![[""]]);
        check(&["data:/a"], &expect![[""]]);
        check(&["./data:/a"], &expect![[""]]);
        check(&["/does/not/exist:/a"], &expect![[""]]);
        check(&["/usr:a"], &expect![[""]]);
        check(&["/usr:/a/../proc"], &expect![[""]]);
        check(&["/usr:/"], &expect![[""]]);
        check(&["/usr:/proc"], &expect![[""]]);
        check(&["/usr://sys/./kernel"], &expect![[""]]);
        check(&["/usr:/a:Z"], &expect![[""]]);
        check(&["/usr:/a:ro,rw"], &expect![[""]]);
        check(&["/usr:/a", "/etc:/a/"], &expect![[""]]);
    }

    #[test]
    fn a_name_that_only_begins_like_a_kernel_tree_is_fine() {
        check(&["/usr:/process", "/usr:/system"], &expect![[""]]);
    }
}
