//! The mounts of a container: the kernel file systems that every container has, and the caller's directories and files.

use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;

use super::process::absolute;
use crate::error::OciError;

/// What a container may do with something that is mounted into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read and write.
    ReadWrite,
    /// Read only, including everything mounted below it on the host.
    ReadOnly,
}

/// A directory or file of the host that appears in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindMount {
    /// Absolute path on the host, as the runtime sees it.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub destination: PathBuf,
    /// What the container may do with it.
    pub access: Access,
}

/// The mount type by which a specification asks for the container's own view of the cgroups, whatever their version.
pub(super) const CGROUP_MOUNT_TYPE: &str = "cgroup";

/// The size of every container's own `/dev/shm`, bytes.
pub const SHM_SIZE: u64 = 65_536_000;

struct DefaultMount {
    destination: &'static str,
    kind: &'static str,
    source: &'static str,
    options: &'static [&'static str],
}

/// Mounted in every container, `mount(8)` options. The sysfs is a fresh, read-only one even with the host's network: a recursive bind of
/// the host's `/sys` would bring its debug, trace and BPF file systems along, writable.
#[rustfmt::skip]
const DEFAULTS: [DefaultMount; 7] = [
    DefaultMount { destination: "/proc", kind: "proc", source: "proc", options: &["nosuid", "noexec", "nodev"] },
    DefaultMount { destination: "/dev", kind: "tmpfs", source: "tmpfs", options: &["nosuid", "strictatime", "mode=755", "size=65536k"] },
    DefaultMount { destination: "/sys", kind: "sysfs", source: "sysfs", options: &["nosuid", "noexec", "nodev", "ro"] },
    DefaultMount { destination: "/dev/pts", kind: "devpts", source: "devpts", options: &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
    DefaultMount { destination: "/dev/mqueue", kind: "mqueue", source: "mqueue", options: &["nosuid", "noexec", "nodev"] },
    DefaultMount { destination: "/dev/shm", kind: "tmpfs", source: "shm", options: &["nosuid", "noexec", "nodev", "mode=1777", "size=65536000"] },
    DefaultMount { destination: "/sys/fs/cgroup", kind: CGROUP_MOUNT_TYPE, source: "cgroup", options: &["nosuid", "noexec", "nodev", "relatime", "ro"] },
];

/// All mounts in the order in which they are made: parents before children, ours before the caller's. A mount of the caller
/// takes the place of ours at the same destination.
pub(super) fn mounts(binds: &[BindMount]) -> Result<Vec<Mount>, OciError> {
    let mut asked: Vec<Mount> = Vec::with_capacity(binds.len());
    for bind in binds {
        let mount = bind_mount(bind)?;
        if asked
            .iter()
            .any(|other| other.destination() == mount.destination())
        {
            let destination = mount.destination().to_string_lossy();
            return Err(OciError::invalid(
                "mount destination",
                destination,
                "two mounts have it",
            ));
        }
        asked.push(mount);
    }
    let taken = |path: &str| asked.iter().any(|m| m.destination() == Path::new(path));
    let mut all: Vec<Mount> = DEFAULTS
        .iter()
        .filter(|default| !taken(default.destination))
        .map(|default| {
            mount(
                default.destination.into(),
                default.kind,
                default.source.into(),
                default.options,
            )
        })
        .collect();
    all.extend(asked);
    all.sort_by_key(|mount| mount.destination().components().count());
    Ok(all)
}

fn bind_mount(bind: &BindMount) -> Result<Mount, OciError> {
    let source = absolute("mount source", &bind.source)?;
    let destination = absolute("mount destination", &bind.destination)?;
    if destination == Path::new("/") {
        let why = "nothing can be mounted over the root of a container";
        return Err(OciError::invalid("mount destination", "/", why));
    }
    // `ro` is for runtimes that do not know `rro`; alone it would leave the mounts below the source writable.
    let options: &[&str] = match bind.access {
        Access::ReadWrite => &["rbind", "rprivate", "rw"],
        Access::ReadOnly => &["rbind", "rprivate", "ro", "rro"],
    };
    Ok(mount(destination, "bind", source, options))
}

fn mount(destination: PathBuf, kind: &str, source: PathBuf, options: &[&str]) -> Mount {
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    let mut mount = Mount::default();
    mount
        .set_destination(destination)
        .set_typ(Some(kind.to_owned()))
        .set_source(Some(source))
        .set_options(Some(options));
    mount
}
