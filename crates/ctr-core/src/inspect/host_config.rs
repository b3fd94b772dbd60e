//! The part of [`Inspect`](super::Inspect) about the host.
#![expect(
    missing_docs,
    clippy::struct_excessive_bools,
    reason = "the form and the names are podman's, and their documentation is what they say"
)]

use std::collections::BTreeMap;
use std::path::Path;

use ctr_oci::SHM_SIZE;
use ctr_state::{Access, AutoRemove, Config, NamespaceMode, NetworkMode, RestartPolicy};
use serde::Serialize;

use super::applied::Applied;

/// What of the host is involved.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectHostConfig {
    pub binds: Vec<String>,
    pub cgroup_manager: String,
    pub cgroup_mode: String,
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    pub log_config: InspectLog,
    pub network_mode: String,
    pub port_bindings: BTreeMap<String, String>,
    pub restart_policy: InspectRestartPolicy,
    pub auto_remove: bool,
    pub volume_driver: String,
    pub volumes_from: Option<Vec<String>>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub dns: Vec<String>,
    pub dns_options: Vec<String>,
    pub dns_search: Vec<String>,
    pub extra_hosts: Vec<String>,
    pub group_add: Vec<String>,
    pub ipc_mode: String,
    pub cgroup: String,
    pub cgroups: String,
    pub links: Option<Vec<String>>,
    pub oom_score_adj: i32,
    pub pid_mode: String,
    pub privileged: bool,
    pub publish_all_ports: bool,
    pub readonly_rootfs: bool,
    pub security_opt: Vec<String>,
    pub tmpfs: BTreeMap<String, String>,
    #[serde(rename = "UTSMode")]
    pub uts_mode: String,
    pub userns_mode: String,
    /// Bytes.
    pub shm_size: u64,
    pub runtime: String,
    pub console_size: [u16; 2],
    pub cgroup_parent: String,
    #[serde(flatten)]
    pub limits: InspectLimits,
}

/// The log.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectLog {
    #[serde(rename = "Type")]
    pub kind: String,
    pub path: String,
    pub tag: String,
    pub size: String,
    /// How many files there are at most; podman does not have it.
    pub max_files: u32,
}

/// What happens when the container has ended.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectRestartPolicy {
    pub name: String,
    pub maximum_retry_count: u32,
}

impl Default for InspectRestartPolicy {
    /// Nothing happens.
    fn default() -> Self {
        Self {
            name: "no".to_owned(),
            maximum_retry_count: 0,
        }
    }
}

/// Limits of the container's use of the host. None can be set yet but those of `setrlimit(2)`; 0 is no limit.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectLimits {
    pub cpu_shares: u64,
    pub memory: i64,
    pub nano_cpus: i64,
    pub blkio_weight: u16,
    pub cpu_period: u64,
    pub cpu_quota: i64,
    pub cpu_realtime_period: u64,
    pub cpu_realtime_runtime: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    pub devices: Vec<String>,
    pub disk_quota: u64,
    pub memory_reservation: i64,
    pub memory_swap: i64,
    pub memory_swappiness: i64,
    pub oom_kill_disable: bool,
    pub pids_limit: i64,
    /// Of the present run; before it, they depend on what the engine's process may have itself.
    pub ulimits: Vec<InspectUlimit>,
}

/// One limit of `setrlimit(2)`; -1 is none.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectUlimit {
    pub name: String,
    pub soft: i64,
    pub hard: i64,
}

pub(super) fn host_config(
    config: &Config,
    applied: &Applied,
    cgroup_mode: &str,
) -> InspectHostConfig {
    let binds = config.volumes.iter().map(|volume| {
        let access = match volume.access {
            Access::ReadWrite => "rw",
            Access::ReadOnly => "ro",
        };
        format!(
            "{}:{}:{access}",
            volume.source.display(),
            volume.destination.display()
        )
    });
    InspectHostConfig {
        binds: binds.collect(),
        cgroup_manager: "cgroupfs".to_owned(),
        cgroup_mode: cgroup_mode.to_owned(),
        container_id_file: config
            .cid_file
            .as_ref()
            .map_or_else(String::new, |path| path.display().to_string()),
        log_config: InspectLog {
            kind: config.log.driver.name().to_owned(),
            path: config.log.path.display().to_string(),
            tag: config.log.tag.clone().unwrap_or_default(),
            size: human_size(config.log.max_size.unwrap_or(0)),
            max_files: config.log.max_files,
        },
        network_mode: match &config.network {
            NetworkMode::None => "none".to_owned(),
            NetworkMode::Host => "host".to_owned(),
            NetworkMode::Container(id) => format!("container:{id}"),
        },
        restart_policy: InspectRestartPolicy {
            name: config.restart.name().to_owned(),
            maximum_retry_count: match config.restart {
                RestartPolicy::OnFailure { retries } => retries.unwrap_or(0),
                RestartPolicy::No | RestartPolicy::Always | RestartPolicy::UnlessStopped => 0,
            },
        },
        oom_score_adj: config.oom_score_adj.unwrap_or(0),
        auto_remove: config.auto_remove == AutoRemove::Yes,
        ipc_mode: namespace(&config.ipc),
        cgroups: "default".to_owned(),
        pid_mode: namespace(&config.pid),
        uts_mode: namespace(&config.uts),
        shm_size: SHM_SIZE,
        cgroup_parent: parent(&config.cgroup_path),
        limits: InspectLimits {
            ulimits: applied.ulimits(),
            ..InspectLimits::default()
        },
        runtime: config.runtime.path.as_ref().map_or_else(
            || config.runtime.name.clone(),
            |path| path.display().to_string(),
        ),
        ..InspectHostConfig::default()
    }
}

fn namespace(mode: &NamespaceMode) -> String {
    match mode {
        NamespaceMode::Private => "private".to_owned(),
        NamespaceMode::Host => "host".to_owned(),
        NamespaceMode::Container(id) => format!("container:{id}"),
    }
}

fn parent(cgroup_path: &str) -> String {
    let parent = Path::new(cgroup_path).parent().unwrap_or(Path::new("/"));
    parent.display().to_string()
}

/// A size as podman writes it: four digits and a unit, each a thousand of the one before.
fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut unit = 0;
    let mut divisor = 1;
    while bytes / divisor >= 1000 && unit + 1 < UNITS.len() {
        unit += 1;
        divisor *= 1000;
    }
    let whole = bytes / divisor;
    let digits = 3 - whole.checked_ilog10().unwrap_or(0).min(3);
    let fraction = u128::from(bytes % divisor) * 10_u128.pow(digits) / u128::from(divisor);
    let number = format!("{whole}.{fraction:0width$}", width = digits as usize);
    let number = number.trim_end_matches('0').trim_end_matches('.');
    let number = if whole == 0 { "0" } else { number };
    format!("{number}{}", UNITS[unit])
}
