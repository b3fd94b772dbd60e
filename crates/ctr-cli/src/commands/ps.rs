//! `ps` and `container ls`: lists containers.

use ctr_state::Status;
use ctr_sys::now_ns;

use crate::commands::Context;
use crate::commands::ps_row::row;
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::format::{Format, format};
use crate::render::json::pretty;
use crate::render::ps::{Row, Width, json, table};

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
        .filter(|summary| args.all || summary.status() == Some(Status::Running));
    let rows: Vec<Row> = shown.map(row).collect();
    match format {
        Format::Json => io.block(&pretty(&json(rows, now_ns()))?),
        Format::Text if args.quiet => rows.iter().for_each(|row| io.line(row.id(width))),
        Format::Text => io.block(&table(&rows, width, now_ns())),
    }
    Ok(Outcome::Done)
}
