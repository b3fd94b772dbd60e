//! The public view of a container: the field names that users of podman know, for what exists here.
//!
//! This is deliberately not the record: records may change, this form may only grow.

mod applied;
mod host_config;
mod view;

use ctr_monitor::files;
use ctr_state::{
    Access, Config, ExitInfo, OomKilled, RootfsMode, Status, StdinMode, StopReason, Terminal,
};
use ctr_sys::{CgroupMode, rfc3339};

use crate::container::Container;
use crate::engine::{Engine, image_of};
use crate::error::EngineError;
use crate::layout::GENERATED;
use crate::prepare::{hostname, rootfs_of};
use crate::probe;
use crate::summary::{MonitorState, Summary};
use applied::Applied;
use host_config::host_config;

pub use host_config::{
    InspectHostConfig, InspectLimits, InspectLog, InspectRestartPolicy, InspectUlimit,
};
pub use view::{
    Inspect, InspectConfig, InspectGraphDriver, InspectMount, InspectNetworkSettings, InspectState,
};

/// How an absent moment is written.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

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
        let config_json = run_dir.join(files::BUNDLE).join("config.json");
        let applied = Applied::read(&config_json);
        let mut command = config
            .process
            .entrypoint
            .iter()
            .chain(&config.process.command)
            .cloned();
        Ok(Inspect {
            id: self.id().to_string(),
            created: moment(config.created_ns),
            path: command.next().unwrap_or_default(),
            args: command.collect(),
            state,
            image: String::new(),
            image_digest: String::new(),
            image_name: String::new(),
            rootfs: image_of(&config.rootfs.path),
            rootfs_overlay: config.rootfs.mode == RootfsMode::Overlay,
            pod: String::new(),
            resolv_conf_path: generated("resolv.conf"),
            hostname_path: generated("hostname"),
            hosts_path: generated("hosts"),
            static_dir: self
                .engine()
                .layout()
                .container(self.id())
                .display()
                .to_string(),
            oci_config_path: config_json.display().to_string(),
            oci_runtime: config.runtime.name.clone(),
            pid_file: run_dir.join(files::PID).display().to_string(),
            name: snapshot.name().to_string(),
            restart_count: snapshot.record()?.restart_count(),
            driver: match config.rootfs.mode {
                RootfsMode::Plain => String::new(),
                RootfsMode::Overlay => "overlay".to_owned(),
            },
            mount_label: String::new(),
            process_label: String::new(),
            app_armor_profile: String::new(),
            effective_caps: applied.effective(config),
            bounding_caps: applied.bounding(),
            exec_ids: Vec::new(),
            graph_driver: self.graph_driver(config),
            mounts: mounts(config),
            dependencies: snapshot
                .dependencies()
                .iter()
                .map(ToString::to_string)
                .collect(),
            network_settings: InspectNetworkSettings::default(),
            namespace: String::new(),
            is_infra: false,
            is_service: false,
            config: config_view(self.engine(), config, &applied)?,
            host_config: host_config(config, &applied, cgroup_mode()?),
        })
    }

    fn graph_driver(&self, config: &Config) -> InspectGraphDriver {
        let rootfs = rootfs_of(self.engine(), config);
        let Some((upper, work)) = rootfs.layer() else {
            return InspectGraphDriver::default();
        };
        let data = [
            ("LowerDir", rootfs.path()),
            ("UpperDir", &upper),
            ("WorkDir", &work),
        ];
        InspectGraphDriver {
            name: "overlay".to_owned(),
            data: data
                .map(|(key, path)| (key.to_owned(), path.display().to_string()))
                .into(),
        }
    }
}

/// A time as other engines show it: with the short word for UTC, which the zero time has, too.
fn moment(ns: i64) -> String {
    rfc3339(ns).replace("+00:00", "Z")
}

fn state(summary: &Summary, config: &Config) -> Result<InspectState, EngineError> {
    let record = summary.snapshot().record()?;
    let status = summary.status().unwrap_or(record.status());
    let exit = summary.exit();
    let active = probe::is_active(status);
    let pid =
        |stamp: Option<ctr_sys::PidStamp>| stamp.filter(|_| active).map_or(0, |stamp| stamp.pid);
    let time = |ns: Option<i64>| ns.map_or_else(|| ZERO_TIME.to_owned(), moment);
    Ok(InspectState {
        oci_version: "1.0.2".to_owned(),
        status: status.to_string(),
        running: matches!(status, Status::Running | Status::Stopping),
        paused: status == Status::Paused,
        restarting: summary.restart().is_some(),
        restart_at: time(summary.restart().map(|pending| pending.at_ns)),
        since: time(summary.since_ns().or(Some(config.created_ns))),
        oom_killed: exit.is_some_and(|exit| exit.oom == OomKilled::Yes),
        dead: false,
        pid: pid(record.init()),
        // One that is gone has none any more: the number may be anybody's.
        conmon_pid: match summary.monitor() {
            MonitorState::Present { pid } if active => pid,
            MonitorState::Present { .. } | MonitorState::Lost | MonitorState::None => 0,
        },
        monitor: match summary.monitor() {
            MonitorState::Present { .. } => "present".to_owned(),
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
        checkpointed_at: ZERO_TIME.to_owned(),
        restored_at: ZERO_TIME.to_owned(),
        restored: false,
        stopped_by_user: matches!(
            record.stop_requested(),
            Some(StopReason::User | StopReason::Kill)
        ),
    })
}

fn mounts(config: &Config) -> Vec<InspectMount> {
    let volumes = config.volumes.iter();
    volumes
        .map(|volume| InspectMount {
            kind: "bind".to_owned(),
            source: volume.source.display().to_string(),
            destination: volume.destination.display().to_string(),
            driver: String::new(),
            mode: String::new(),
            options: vec!["rbind".to_owned()],
            rw: volume.access == Access::ReadWrite,
            propagation: "rprivate".to_owned(),
        })
        .collect()
}

fn config_view(
    engine: &Engine,
    config: &Config,
    applied: &Applied,
) -> Result<InspectConfig, EngineError> {
    let process = &config.process;
    Ok(InspectConfig {
        hostname: hostname(engine, config)?,
        domainname: String::new(),
        user: process.user.clone(),
        attach_stdin: false,
        attach_stdout: false,
        attach_stderr: false,
        tty: process.terminal == Terminal::Yes,
        open_stdin: process.stdin == StdinMode::Open,
        stdin_once: false,
        env: applied.env().unwrap_or_else(|| given_env(config)),
        cmd: process.command.clone(),
        entrypoint: process.entrypoint.clone(),
        image: String::new(),
        volumes: None,
        working_dir: process.cwd.display().to_string(),
        on_build: None,
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        stop_signal: config.stop_signal.to_string(),
        stop_timeout: config.stop_timeout_s,
        create_command: config.create_command.clone(),
        umask: applied.umask(),
        timeout: config.timeout_s.unwrap_or(0),
    })
}

/// Whether its own group is the root of the groups that a container sees.
fn cgroup_mode() -> Result<&'static str, EngineError> {
    Ok(if CgroupMode::is_unified()? {
        "private"
    } else {
        "host"
    })
}

/// Before a run only what was asked for is known; the usual variables depend on the container's files.
fn given_env(config: &Config) -> Vec<String> {
    let variables = config.process.env.iter();
    variables
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}
