//! `inspect`: all that is known about containers, as one JSON array.

use ctr_core::Inspect;

use crate::commands::Context;
use crate::commands::targets::{One, Selection, Wanted};
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::format::format;
use crate::render::json::pretty;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Form of the output: json
    #[arg(short, long)]
    format: Option<String>,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// Kind of the things that are named: container or all
    #[arg(short = 't', long = "type", value_name = "KIND", default_value = "all")]
    kind: String,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Prints an array of those that could be read; the others are errors.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    format(args.format.as_deref())?;
    if !matches!(args.kind.as_str(), "container" | "all") {
        let why = "only containers can be inspected yet: container or all";
        return Err(CommandError::value("--type", &args.kind, why));
    }
    let wanted = Wanted {
        latest: args.latest,
        ..Wanted::named(&args.names)
    };
    let selection = wanted.selection()?;
    let engine = context.open()?;
    let mut views: Vec<Inspect> = Vec::new();
    let mut failed = Vec::new();
    if matches!(selection, Selection::Latest) {
        views.push(One::Latest.find(&engine)?.container.inspect()?);
    }
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
    let kinds = failed.iter().map(CommandError::kind);
    Ok(Outcome::of(kinds.collect()))
}
