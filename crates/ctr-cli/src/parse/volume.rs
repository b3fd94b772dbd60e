//! `-v SOURCE:DESTINATION[:OPTIONS]`: a directory or file of the host, seen in the container.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ctr_rootfs::mount_destination;
use ctr_state::{Access, VolumeConfig};

use crate::error::CommandError;

const FLAG: &str = "--volume";

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
        _ => {
            return Err(refused(
                text,
                "must be SOURCE:DESTINATION or SOURCE:DESTINATION:OPTIONS",
            ));
        }
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
        return Err(refused(
            text,
            &format!(
                "the source \"{from}\" must be an absolute path; named volumes do not exist yet"
            ),
        ));
    }
    path.metadata()
        .map_err(|error| refused(text, &format!("the source {from} cannot be used: {error}")))?;
    Ok(path.components().collect())
}

fn destination(text: &str, to: &str) -> Result<PathBuf, CommandError> {
    mount_destination(Path::new(to)).map_err(|error| refused(text, &error.to_string()))
}

/// The options are a set: order and repetition do not matter, contradictions do.
fn access(text: &str, options: &str) -> Result<Access, CommandError> {
    let set: BTreeSet<&str> = options
        .split(',')
        .filter(|option| !option.is_empty())
        .collect();
    if let Some(unknown) = set.iter().find(|option| !["ro", "rw"].contains(option)) {
        return Err(refused(
            text,
            &format!("unknown option \"{unknown}\"; allowed are ro and rw"),
        ));
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
            Ok(volumes) => volumes.iter().map(line).collect(),
            Err(error) => vec![error.message().to_owned()],
        };
        expected.assert_eq(&shown.join("\n"));
    }

    fn line(volume: &VolumeConfig) -> String {
        let (from, to) = (volume.source.display(), volume.destination.display());
        format!("{from} {to} {:?}", volume.access)
    }

    #[test]
    fn volumes_that_work() {
        check(
            &[
                "/usr:/a",
                "/etc/:/b//c/:ro",
                "/etc/passwd:/d:rw,rw",
                "/:/e:",
            ],
            &expect![[r#"
                /usr /a ReadWrite
                /etc /b/c ReadOnly
                /etc/passwd /d ReadWrite
                / /e ReadWrite"#]],
        );
    }

    #[test]
    fn volumes_that_are_refused() {
        check(
            &["/usr"],
            &expect![[
                r#"--volume "/usr": must be SOURCE:DESTINATION or SOURCE:DESTINATION:OPTIONS"#
            ]],
        );
        check(
            &["/usr:/a:ro:x"],
            &expect![[
                r#"--volume "/usr:/a:ro:x": must be SOURCE:DESTINATION or SOURCE:DESTINATION:OPTIONS"#
            ]],
        );
        check(
            &["data:/a"],
            &expect![[
                r#"--volume "data:/a": the source "data" must be an absolute path; named volumes do not exist yet"#
            ]],
        );
        check(
            &["./data:/a"],
            &expect![[
                r#"--volume "./data:/a": the source "./data" must be an absolute path; named volumes do not exist yet"#
            ]],
        );
        check(
            &["/does/not/exist:/a"],
            &expect![[
                r#"--volume "/does/not/exist:/a": the source /does/not/exist cannot be used: No such file or directory (os error 2)"#
            ]],
        );
        check(
            &["/usr:a"],
            &expect![[
                r#"--volume "/usr:a": refused path a in the container: a mount destination must be absolute"#
            ]],
        );
        check(
            &["/usr:/a/../proc"],
            &expect![[
                r#"--volume "/usr:/a/../proc": refused path /a/../proc in the container: nothing can be mounted at or below /proc and /sys, where the kernel's own settings are"#
            ]],
        );
        check(
            &["/usr:/"],
            &expect![[
                r#"--volume "/usr:/": refused path / in the container: nothing can be mounted over the container's root"#
            ]],
        );
        check(
            &["/usr:/proc"],
            &expect![[
                r#"--volume "/usr:/proc": refused path /proc in the container: nothing can be mounted at or below /proc and /sys, where the kernel's own settings are"#
            ]],
        );
        check(
            &["/usr://sys/./kernel"],
            &expect![[
                r#"--volume "/usr://sys/./kernel": refused path //sys/./kernel in the container: nothing can be mounted at or below /proc and /sys, where the kernel's own settings are"#
            ]],
        );
        check(
            &["/usr:/a:Z"],
            &expect![[r#"--volume "/usr:/a:Z": unknown option "Z"; allowed are ro and rw"#]],
        );
        check(
            &["/usr:/a:ro,rw"],
            &expect![[r#"--volume "/usr:/a:ro,rw": ro and rw contradict each other"#]],
        );
        check(
            &["/usr:/a", "/etc:/a/"],
            &expect![[r#"--volume "/etc:/a/": another volume has the same destination"#]],
        );
    }

    #[test]
    fn a_name_that_only_begins_like_a_kernel_tree_is_fine() {
        check(
            &["/usr:/process", "/usr:/system"],
            &expect![[r#"
            /usr /process ReadWrite
            /usr /system ReadWrite"#]],
        );
    }
}
