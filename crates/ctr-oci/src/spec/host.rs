//! The few facts of this host that a specification's defaults depend on.

use std::fs;

use ctr_sys::{Cgroups, SysError, SysResult};
use oci_spec::runtime::Capability;
use rustix::process::{Resource, getrlimit};

use super::rights::of_mask;
use crate::error::OciError;

const CGROUPS_BELOW: &str = "/sys/fs/cgroup/";
const CPUS: &str = "/sys/devices/system/cpu";

/// What the defaults of a specification take from the host. A value of its own, so that the same facts give the same specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// Hard limit of open files of this process (`RLIMIT_NOFILE`); `u64::MAX` means unlimited.
    pub open_files: u64,
    /// Hard limit of processes of this process' user (`RLIMIT_NPROC`); `u64::MAX` means unlimited.
    pub processes: u64,
    /// Directories of sysfs, one a processor, whose counters tell a container about the load of its neighbours.
    pub thermal_paths: Vec<String>,
    /// Where the cgroup hierarchies of version 1 are mounted, empty where only version 2 is. Not every runtime mounts them
    /// read-only in a container because the specification says so, so each is protected by its path as well.
    pub cgroup_mounts: Vec<String>,
    /// What this process could give to others: its bounding set, in the order of the kernel's numbers (`capabilities(7)`).
    pub capabilities: Vec<Capability>,
}

impl HostFacts {
    /// Asks the kernel: `getrlimit(2)`, the mount table, the status of this process, and sysfs. A sysfs that cannot be read has nothing to hide.
    ///
    /// # Errors
    /// [`OciError::Host`] when the mount table cannot be read.
    pub fn read() -> Result<Self, OciError> {
        Ok(Self {
            open_files: hard_limit(Resource::Nofile),
            processes: hard_limit(Resource::Nproc),
            thermal_paths: thermal_paths(),
            cgroup_mounts: cgroup_mounts().map_err(|source| OciError::Host { source })?,
            capabilities: bounding_set().map_err(|source| OciError::Host { source })?,
        })
    }
}

fn cgroup_mounts() -> SysResult<Vec<String>> {
    let cgroups = Cgroups::detect()?;
    let mut paths: Vec<String> = cgroups
        .mount_points()
        .filter_map(|path| path.to_str())
        .filter(|path| path.starts_with(CGROUPS_BELOW))
        .map(str::to_owned)
        .collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn bounding_set() -> SysResult<Vec<Capability>> {
    let path = "/proc/self/status";
    let text = fs::read_to_string(path).map_err(|error| SysError::new("read", path, error))?;
    let line = text.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.map(of_mask)
        .ok_or_else(|| SysError::invalid("read", path, "it does not tell the bounding set"))
}

fn hard_limit(resource: Resource) -> u64 {
    getrlimit(resource).maximum.unwrap_or(u64::MAX)
}

fn thermal_paths() -> Vec<String> {
    let Ok(entries) = fs::read_dir(CPUS) else {
        return Vec::new();
    };
    let mut paths: Vec<(u32, String)> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let number = name.strip_prefix("cpu")?.parse().ok()?;
            let path = format!("{CPUS}/{name}/thermal_throttle");
            fs::exists(&path).ok()?.then_some((number, path))
        })
        .collect();
    paths.sort();
    paths.into_iter().map(|(_, path)| path).collect()
}
