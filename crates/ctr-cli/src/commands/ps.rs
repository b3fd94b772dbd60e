//! `ps` and `container ls`: lists containers.

use ctr_core::{ContainerFilter, Engine, ListRequest};
use ctr_state::Status;
use ctr_sys::now_ns;

use crate::commands::Context;
use crate::commands::ps_request::{check, list, sort_key};
use crate::commands::ps_row::row;
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::format::{Format, format};
use crate::render::json::pretty;
use crate::render::ps::{Heading, Row, Width, json, table};

#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Args {
    /// Show all containers, not only those that run
    #[arg(short, long)]
    pub(super) all: bool,
    /// Only those that match KEY=VALUE: id, name, label, status, exited, before, since, until, ancestor, command, volume, network, restart-policy or should-start-on-boot
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(super) filter: Vec<String>,
    /// Form of the output: table or json
    #[arg(long)]
    format: Option<String>,
    /// Show so many that were created last, running or not
    #[arg(
        short = 'n',
        long,
        value_name = "NUMBER",
        allow_negative_numbers = true
    )]
    pub(super) last: Option<String>,
    /// Show the container that was created last, running or not
    #[arg(short, long)]
    pub(super) latest: bool,
    /// Do not print the heading of the table
    #[arg(long)]
    noheading: bool,
    /// Do not shorten ids and commands
    #[arg(long)]
    no_trunc: bool,
    /// Print ids only
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// Order by command, created, id, image, names, runningfor or status [default: created]
    #[arg(long, value_name = "KEY")]
    sort: Option<String>,
    /// Ask the runtimes first how their containers are
    #[arg(long)]
    sync: bool,
    /// Sizes are not counted yet
    #[arg(short, long, hide = true)]
    pub(super) size: bool,
    /// Pods do not exist yet
    #[arg(short, long, hide = true)]
    pub(super) pod: bool,
    /// Namespaces are not shown yet
    #[arg(long = "ns", visible_alias = "namespace", hide = true)]
    pub(super) namespace: bool,
}

/// Prints the list.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let format = match args.format.as_deref() {
        Some("table") => Format::Text,
        Some(other) if other != "json" => {
            let why = "must be table or json: templates do not exist yet";
            return Err(CommandError::value("--format", other, why));
        }
        other => format(other)?,
    };
    check(args, format)?;
    let request = list(args)?;
    let sort = sort_key(args.sort.as_deref())?;
    let width = if args.no_trunc {
        Width::Full
    } else {
        Width::Short
    };
    let heading = if args.noheading {
        Heading::Hidden
    } else {
        Heading::Shown
    };
    let engine = context.open()?;
    if args.sync {
        ask_runtimes(&engine, io)?;
    }
    let summaries = engine.select(&request)?;
    let mut rows: Vec<Row> = summaries.iter().map(row).collect();
    sort.sort(&mut rows);
    match format {
        Format::Json => io.block(&pretty(&json(rows, now_ns()))?),
        Format::Text if args.quiet => rows.iter().for_each(|row| io.line(row.id(width))),
        Format::Text => io.block(&table(&rows, width, heading, now_ns())),
    }
    Ok(Outcome::Done)
}

/// Has every container that is active looked at by its runtime. One that cannot be asked is shown as it is recorded.
fn ask_runtimes(engine: &Engine, io: &mut Io) -> Result<(), CommandError> {
    let active = ListRequest {
        statuses: &[
            Status::Created,
            Status::Running,
            Status::Paused,
            Status::Stopping,
        ],
        filter: ContainerFilter::default(),
        newest: None,
    };
    for summary in engine.select(&active)? {
        let snapshot = summary.snapshot();
        match engine.container(snapshot.id()).sync() {
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                let error = CommandError::from(error).about(snapshot.name().as_str());
                io.warning(error.message());
            }
        }
    }
    Ok(())
}
