//! The few facts of this host that a specification's defaults depend on.

use std::fs;

use rustix::process::{Resource, getrlimit};

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
}

impl HostFacts {
    /// Asks the kernel: `getrlimit(2)`, and sysfs for the paths. A sysfs that cannot be read has nothing to hide.
    pub fn read() -> Self {
        Self {
            open_files: hard_limit(Resource::Nofile),
            processes: hard_limit(Resource::Nproc),
            thermal_paths: thermal_paths(),
        }
    }
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
