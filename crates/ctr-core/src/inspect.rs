//! The public view of a container: the field names that users of podman know, for what exists here.
//!
//! This is deliberately not the record: records may change, this form may only grow.

use std::collections::BTreeMap;

use ctr_state::{
    Access, AutoRemove, Config, ExitInfo, NetworkMode, OomKilled, RootfsMode, Status, StdinMode,
    Terminal,
};
use ctr_sys::rfc3339;
use serde::Serialize;

use crate::container::Container;
use crate::engine::image_of;
use crate::error::EngineError;
use crate::layout::GENERATED;
use crate::prepare::hostname;
use crate::probe;
use crate::summary::{MonitorState, Summary};

/// How an absent moment is written.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// A container in full.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(
    missing_docs,
    reason = "the names are podman's, and their documentation is what they say"
)]
pub struct Inspect {
    pub id: String,
    pub created: String,
    pub path: String,
    pub args: Vec<String>,
    pub state: InspectState,
    pub image: String,
    pub image_name: String,
    pub rootfs: String,
    pub rootfs_overlay: bool,
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
    pub mounts: Vec<InspectMount>,
    pub dependencies: Vec<String>,
    pub namespace: String,
    pub is_infra: bool,
    pub is_service: bool,
    pub config: InspectConfig,
    pub host_config: InspectHostConfig,
}

/// How a container is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(
    missing_docs,
    reason = "the names are podman's, and their documentation is what they say"
)]
#[expect(clippy::struct_excessive_bools, reason = "the form is podman's")]
pub struct InspectState {
    pub oci_version: String,
    pub status: String,
    pub running: bool,
    pub paused: bool,
    pub restarting: bool,
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
    pub restored: bool,
    pub stopped_by_user: bool,
}

/// A volume.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(
    missing_docs,
    reason = "the names are podman's, and their documentation is what they say"
)]
pub struct InspectMount {
    #[serde(rename = "Type")]
    pub kind: String,
    pub source: String,
    pub destination: String,
    #[serde(rename = "RW")]
    pub rw: bool,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(
    missing_docs,
    reason = "the names are podman's, and their documentation is what they say"
)]
pub struct InspectConfig {
    pub hostname: String,
    pub user: String,
    pub tty: bool,
    pub open_stdin: bool,
    pub env: Vec<String>,
    pub cmd: Vec<String>,
    pub entrypoint: Vec<String>,
    pub image: String,
    pub working_dir: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub stop_signal: String,
    pub stop_timeout: u32,
    pub create_command: Vec<String>,
}

/// What of the host is involved.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(
    missing_docs,
    reason = "the names are podman's, and their documentation is what they say"
)]
pub struct InspectHostConfig {
    pub binds: Vec<String>,
    pub cgroup_manager: String,
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    pub log_config: InspectLog,
    pub network_mode: String,
    pub auto_remove: bool,
    pub privileged: bool,
    pub runtime: String,
}

/// The log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(
    missing_docs,
    reason = "the names are podman's, and their documentation is what they say"
)]
pub struct InspectLog {
    #[serde(rename = "Type")]
    pub kind: String,
    pub path: String,
}

impl Container<'_> {
    /// All that is known of the container. Takes no lock.
    ///
    /// # Errors
    /// When it is gone or its record is damaged.
    pub fn inspect(&self) -> Result<Inspect, EngineError> {
        let snapshot = self.snapshot()?;
        let generation = snapshot.record()?.generation();
        let _span =
            tracing::info_span!("inspect", container = self.id().short(), generation).entered();
        let summary = probe::summary(self.engine(), snapshot)?;
        let snapshot = summary.snapshot();
        let config = snapshot.config()?;
        let state = state(&summary, config)?;
        let run_dir = self.engine().run_dir(self.id());
        let generated = |name: &str| run_dir.join(GENERATED).join(name).display().to_string();
        let bundle = run_dir.join(ctr_monitor::files::BUNDLE);
        let mut command = config
            .process
            .entrypoint
            .iter()
            .chain(&config.process.command)
            .cloned();
        Ok(Inspect {
            id: self.id().to_string(),
            created: rfc3339(config.created_ns),
            path: command.next().unwrap_or_default(),
            args: command.collect(),
            state,
            image: String::new(),
            image_name: String::new(),
            rootfs: image_of(&config.rootfs.path),
            rootfs_overlay: config.rootfs.mode == RootfsMode::Overlay,
            resolv_conf_path: generated("resolv.conf"),
            hostname_path: generated("hostname"),
            hosts_path: generated("hosts"),
            static_dir: self
                .engine()
                .layout()
                .container(self.id())
                .display()
                .to_string(),
            oci_config_path: bundle.join("config.json").display().to_string(),
            oci_runtime: config.runtime.name.clone(),
            pid_file: run_dir.join(ctr_monitor::files::PID).display().to_string(),
            name: snapshot.name().to_string(),
            restart_count: snapshot.record()?.restart_count(),
            driver: match config.rootfs.mode {
                RootfsMode::Plain => String::new(),
                RootfsMode::Overlay => "overlay".to_owned(),
            },
            mounts: mounts(config),
            dependencies: snapshot
                .dependencies()
                .iter()
                .map(ToString::to_string)
                .collect(),
            namespace: String::new(),
            is_infra: false,
            is_service: false,
            config: config_view(config),
            host_config: host_config(config),
        })
    }
}

fn state(summary: &Summary, config: &Config) -> Result<InspectState, EngineError> {
    let record = summary.snapshot().record()?;
    let status = summary.status().unwrap_or(record.status());
    let exit = summary.exit();
    let active = probe::is_active(status);
    let pid =
        |stamp: Option<ctr_sys::PidStamp>| stamp.filter(|_| active).map_or(0, |stamp| stamp.pid);
    let time = |ns: Option<i64>| ns.map_or_else(|| ZERO_TIME.to_owned(), rfc3339);
    Ok(InspectState {
        oci_version: "1.0.2".to_owned(),
        status: status.to_string(),
        running: matches!(status, Status::Running | Status::Stopping),
        paused: status == Status::Paused,
        restarting: false,
        oom_killed: exit.is_some_and(|exit| exit.oom == OomKilled::Yes),
        dead: false,
        pid: pid(record.init()),
        conmon_pid: pid(record.monitor()),
        monitor: match summary.monitor() {
            MonitorState::Present => "present".to_owned(),
            MonitorState::Lost => "lost".to_owned(),
            MonitorState::None => String::new(),
        },
        generation: record.generation(),
        exit_code: exit.filter(|_| !active).map_or(0, ExitInfo::code),
        exit_reason: exit
            .and_then(|exit| exit.reason.clone())
            .unwrap_or_default(),
        error: record.error().unwrap_or_default().to_owned(),
        started_at: time(record.started_ns()),
        finished_at: time(
            exit.filter(|_| record.started_ns().is_some())
                .map(|exit| exit.finished_ns),
        ),
        cgroup_path: if active {
            config.cgroup_path.clone()
        } else {
            String::new()
        },
        checkpointed: false,
        restored: false,
        stopped_by_user: record.stop_requested() == Some(ctr_state::StopReason::User),
    })
}

fn mounts(config: &Config) -> Vec<InspectMount> {
    let volumes = config.volumes.iter();
    volumes
        .map(|volume| InspectMount {
            kind: "bind".to_owned(),
            source: volume.source.display().to_string(),
            destination: volume.destination.display().to_string(),
            rw: volume.access == Access::ReadWrite,
        })
        .collect()
}

fn config_view(config: &Config) -> InspectConfig {
    let process = &config.process;
    InspectConfig {
        hostname: hostname(config),
        user: process.user.clone(),
        tty: config.process.terminal == Terminal::Yes,
        open_stdin: process.stdin == StdinMode::Open,
        env: process
            .env
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect(),
        cmd: process.command.clone(),
        entrypoint: process.entrypoint.clone(),
        image: String::new(),
        working_dir: process.cwd.display().to_string(),
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        stop_signal: config.stop_signal.to_string(),
        stop_timeout: config.stop_timeout_s,
        create_command: config.create_command.clone(),
    }
}

fn host_config(config: &Config) -> InspectHostConfig {
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
        container_id_file: config
            .cid_file
            .as_ref()
            .map_or_else(String::new, |path| path.display().to_string()),
        log_config: InspectLog {
            kind: config.log.driver.clone(),
            path: config.log.path.display().to_string(),
        },
        network_mode: match config.network {
            NetworkMode::None => "none".to_owned(),
            NetworkMode::Host => "host".to_owned(),
        },
        auto_remove: config.auto_remove == AutoRemove::Yes,
        privileged: false,
        runtime: config.runtime.path.as_ref().map_or_else(
            || config.runtime.name.clone(),
            |path| path.display().to_string(),
        ),
    }
}
