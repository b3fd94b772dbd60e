//! `container history`: the runs of a container, also of one that was removed.

use ctr_sys::now_ns;

use crate::commands::Context;
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::format::{Format, format};
use crate::render::history::{json, table};
use crate::render::json::pretty;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Form of the output: json
    #[arg(short, long)]
    format: Option<String>,
    /// Name or id; the runs of a removed container are kept for a week
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Prints the runs, oldest first.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let format = format(args.format.as_deref())?;
    let [name] = &args.names[..] else {
        return Err(CommandError::failed(
            "container history takes one name or id",
        ));
    };
    let runs = context.open()?.history(name)?;
    match format {
        Format::Json => io.block(&pretty(&json(&runs))?),
        Format::Text => io.block(&table(&runs, now_ns())),
    }
    Ok(Outcome::Done)
}
