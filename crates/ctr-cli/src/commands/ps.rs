//! `ps` and `container ls`: lists containers.

use ctr_core::{MonitorState, Summary};
use ctr_state::{AutoRemove, Config, NetworkMode, RootfsMode, Status};
use ctr_sys::now_ns;

use crate::commands::Context;
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::format::{Format, format};
use crate::render::json::pretty;
use crate::render::ps::{Ended, Row, Width, json, table};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show all containers, not only those that run
    #[arg(short, long)]
    all: bool,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Do not shorten ids and commands
    #[arg(long)]
    no_trunc: bool,
    /// Form of the output: json
    #[arg(long)]
    format: Option<String>,
}

/// Prints the list.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let format = format(args.format.as_deref())?;
    if args.quiet && format == Format::Json {
        return Err(CommandError::failed(
            "--quiet and --format exclude each other",
        ));
    }
    let width = if args.no_trunc {
        Width::Full
    } else {
        Width::Short
    };
    let summaries = context.open()?.list()?;
    let shown = summaries
        .iter()
        .filter(|summary| args.all || summary.status == Status::Running);
    let rows: Vec<Row> = shown.map(row).collect();
    match format {
        Format::Json => io.block(&pretty(&json(rows, now_ns()))?),
        Format::Text if args.quiet => rows.iter().for_each(|row| io.line(row.id(width))),
        Format::Text => io.block(&table(&rows, width, now_ns())),
    }
    Ok(Outcome::Done)
}

fn row(summary: &Summary) -> Row {
    let snapshot = &summary.snapshot;
    let (id, name) = (snapshot.id().to_string(), snapshot.name().to_string());
    let mut row = Row::new(id, name, snapshot.created_ns(), summary.status);
    row.remark = remark(summary);
    if let Ok(config) = snapshot.config() {
        describe(&mut row, config);
    }
    if let Ok(record) = snapshot.record() {
        row.started_ns = record.started_ns();
        row.ended = record.exit().map(|exit| Ended {
            code: exit.code(),
            at_ns: exit.finished_ns,
        });
        row.pid = record
            .init()
            .filter(|_| is_alive(summary.status))
            .map(|init| init.pid);
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
    row.networks = match config.network {
        NetworkMode::None => Vec::new(),
        NetworkMode::Host => vec!["host".to_owned()],
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

fn remark(summary: &Summary) -> Option<String> {
    if let Some(reason) = summary.snapshot.corrupt() {
        return Some(format!("unreadable: {reason}"));
    }
    match summary.monitor {
        MonitorState::Lost => Some("monitor lost".to_owned()),
        MonitorState::Present | MonitorState::None => None,
    }
}
