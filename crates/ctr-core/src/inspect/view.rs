//! The form of [`Inspect`], but for the part about the host.
#![expect(
    missing_docs,
    clippy::struct_excessive_bools,
    reason = "the form and the names are podman's, and their documentation is what they say"
)]

use std::collections::BTreeMap;

use serde::Serialize;

use super::host_config::InspectHostConfig;

/// A container in full.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspect {
    pub id: String,
    pub created: String,
    pub path: String,
    pub args: Vec<String>,
    pub state: InspectState,
    pub image: String,
    pub image_digest: String,
    pub image_name: String,
    pub rootfs: String,
    pub rootfs_overlay: bool,
    pub pod: String,
    pub resolv_conf_path: String,
    pub hostname_path: String,
    pub hosts_path: String,
    pub static_dir: String,
    #[serde(rename = "OCIConfigPath")]
    pub oci_config_path: String,
    #[serde(rename = "OCIRuntime")]
    pub oci_runtime: String,
    pub pid_file: String,
    pub name: String,
    pub restart_count: u32,
    pub driver: String,
    pub mount_label: String,
    pub process_label: String,
    pub app_armor_profile: String,
    /// `None` for a named user before the first run: only the container's files say which one it is.
    pub effective_caps: Option<Vec<String>>,
    pub bounding_caps: Vec<String>,
    #[serde(rename = "ExecIDs")]
    pub exec_ids: Vec<String>,
    pub graph_driver: InspectGraphDriver,
    pub mounts: Vec<InspectMount>,
    pub dependencies: Vec<String>,
    pub network_settings: InspectNetworkSettings,
    pub namespace: String,
    pub is_infra: bool,
    pub is_service: bool,
    pub config: InspectConfig,
    pub host_config: InspectHostConfig,
}

/// How a container is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectState {
    pub oci_version: String,
    pub status: String,
    pub running: bool,
    pub paused: bool,
    /// Whether a start is to come; podman never says so.
    pub restarting: bool,
    /// When that is; podman does not have it.
    pub restart_at: String,
    /// Since when it has this status; podman does not have it.
    pub since: String,
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    pub dead: bool,
    pub pid: i32,
    /// The monitor's pid under podman's name for it.
    pub conmon_pid: i32,
    /// `present`, `lost` or empty.
    pub monitor: String,
    /// Which run this is, from 1; 0 before the first.
    pub generation: u64,
    pub exit_code: i32,
    /// Why the exit code is what it is when the program itself did not say: lost, reboot, never started.
    pub exit_reason: String,
    pub error: String,
    pub started_at: String,
    pub finished_at: String,
    pub cgroup_path: String,
    pub checkpointed: bool,
    pub checkpointed_at: String,
    pub restored_at: String,
    pub restored: bool,
    pub stopped_by_user: bool,
}

/// A volume.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectMount {
    #[serde(rename = "Type")]
    pub kind: String,
    pub source: String,
    pub destination: String,
    pub driver: String,
    pub mode: String,
    pub options: Vec<String>,
    #[serde(rename = "RW")]
    pub rw: bool,
    pub propagation: String,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectConfig {
    pub hostname: String,
    pub domainname: String,
    pub user: String,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    pub env: Vec<String>,
    pub cmd: Vec<String>,
    pub entrypoint: Vec<String>,
    pub image: String,
    pub volumes: Option<()>,
    pub working_dir: String,
    pub on_build: Option<()>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub stop_signal: String,
    pub stop_timeout: u32,
    pub create_command: Vec<String>,
    pub umask: String,
    /// Seconds that a run may take; 0 without a limit.
    pub timeout: u32,
}

/// Where the layers of the root lie; without a name and data when it is a plain directory.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectGraphDriver {
    pub name: String,
    pub data: BTreeMap<String, String>,
}

/// The container's place in networks: there is none yet but the loopback device, or the host's.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectNetworkSettings {
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    pub gateway: String,
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    pub ip_prefix_len: u32,
    #[serde(rename = "IPv6Gateway")]
    pub ipv6_gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    pub global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub global_ipv6_prefix_len: u32,
    pub mac_address: String,
    pub bridge: String,
    #[serde(rename = "SandboxID")]
    pub sandbox_id: String,
    pub hairpin_mode: bool,
    #[serde(rename = "LinkLocalIPv6Address")]
    pub link_local_ipv6_address: String,
    #[serde(rename = "LinkLocalIPv6PrefixLen")]
    pub link_local_ipv6_prefix_len: u32,
    pub ports: BTreeMap<String, String>,
    pub sandbox_key: String,
}
