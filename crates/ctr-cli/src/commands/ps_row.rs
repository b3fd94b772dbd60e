//! What `ps` shows of a container, taken from the engine's summary of it.

use ctr_core::{MonitorState, Summary};
use ctr_state::{AutoRemove, Config, NetworkMode, RootfsMode, Status};
use ctr_sys::now_ns;

use crate::render::duration::between;
use crate::render::ps::{Ended, Row};

/// The row of a container. What cannot be read of it stays empty, and the remark says why.
pub(crate) fn row(summary: &Summary) -> Row {
    let snapshot = summary.snapshot();
    let (id, name) = (snapshot.id().to_string(), snapshot.name().to_string());
    let mut row = Row::new(id, name, snapshot.created_ns(), summary.status());
    row.remark = remark(summary);
    row.ended = summary.exit().map(|exit| Ended {
        code: exit.code(),
        at_ns: exit.finished_ns,
    });
    if let Ok(config) = snapshot.config() {
        describe(&mut row, config);
    }
    if let Ok(record) = snapshot.record() {
        row.started_ns = record.started_ns();
        let init = record
            .init()
            .filter(|_| summary.status().is_some_and(is_alive));
        row.pid = init.map(|init| init.pid);
        row.restarts = record.restart_count();
    }
    row
}

fn describe(row: &mut Row, config: &Config) {
    let path = config.rootfs.path.display();
    row.image = match config.rootfs.mode {
        RootfsMode::Plain => path.to_string(),
        RootfsMode::Overlay => format!("{path}:O"),
    };
    let words = config
        .process
        .entrypoint
        .iter()
        .chain(&config.process.command);
    row.command = words.cloned().collect();
    row.labels.clone_from(&config.labels);
    row.mounts = config
        .volumes
        .iter()
        .map(|volume| volume.destination.display().to_string())
        .collect();
    row.networks = match &config.network {
        NetworkMode::None => Vec::new(),
        NetworkMode::Host => vec!["host".to_owned()],
        NetworkMode::Container(id) => vec![format!("container:{}", id.short())],
    };
    row.auto_remove = config.auto_remove == AutoRemove::Yes;
    let cid_file = config.cid_file.as_ref();
    row.cid_file = cid_file
        .map(|path| path.display().to_string())
        .unwrap_or_default();
}

/// Whether the container has a first process.
fn is_alive(status: Status) -> bool {
    match status {
        Status::Created | Status::Running | Status::Paused | Status::Stopping => true,
        Status::Configured | Status::Stopped | Status::Exited | Status::Removing => false,
    }
}

/// What is unusual: several things, if need be.
fn remark(summary: &Summary) -> Option<String> {
    let mut remarks = Vec::new();
    if let Some(reason) = summary.snapshot().corrupt() {
        remarks.push(format!("unreadable: {reason}"));
    }
    match summary.monitor() {
        MonitorState::Lost => remarks.push("monitor lost".to_owned()),
        MonitorState::Present { .. } | MonitorState::None => {}
    }
    if let Some(pending) = summary.restart() {
        remarks.push(restart(pending.at_ns, now_ns()));
    }
    if let Some(holder) = summary.holder() {
        remarks.push(format!(
            "locked by {}, pid {}, for {} s",
            holder.verb,
            holder.pid,
            holder.age().as_secs()
        ));
    }
    (!remarks.is_empty()).then(|| remarks.join(", "))
}

fn restart(at_ns: i64, now_ns: i64) -> String {
    if at_ns <= now_ns {
        return "restart is due".to_owned();
    }
    format!("restart in {}", between(now_ns, at_ns).to_lowercase())
}
