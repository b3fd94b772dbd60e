//! `inspect`: all that is known about containers, as one JSON array.

use ctr_core::Inspect;

use crate::commands::Context;
use crate::commands::targets::{Selection, selection};
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::format::format;
use crate::render::json::pretty;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Form of the output: json
    #[arg(short, long)]
    format: Option<String>,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Prints an array of those that could be read; the others are errors.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    format(args.format.as_deref())?;
    selection(Selection::Named(&args.names), None)?;
    let engine = context.open()?;
    let mut views: Vec<Inspect> = Vec::new();
    let mut failed = Vec::new();
    for name in &args.names {
        match engine.find(name).and_then(|container| container.inspect()) {
            Ok(view) => views.push(view),
            Err(error) => failed.push(CommandError::from(error)),
        }
    }
    io.block(&pretty(&views)?);
    for error in &failed {
        io.error(error);
    }
    if failed.is_empty() {
        return Ok(Outcome::Done);
    }
    Ok(Outcome::Partly(
        failed.iter().map(CommandError::kind).collect(),
    ))
}
