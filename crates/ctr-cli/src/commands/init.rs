//! `init`: has the runtime make containers, without starting their programs.

use ctr_state::Status;

use crate::commands::Context;
use crate::commands::targets::{Wanted, find, for_each};
use crate::error::{CommandError, Outcome};
use crate::io::Io;

/// What `--all` makes.
const NOT_MADE: [Status; 3] = [Status::Configured, Status::Stopped, Status::Exited];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Initialize all that are neither initialized nor running
    #[arg(short, long)]
    all: bool,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Initializes each.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let wanted = Wanted {
        latest: args.latest,
        all: args.all,
        statuses: &NOT_MADE,
        ..Wanted::named(&args.names)
    };
    let selection = wanted.selection()?;
    let engine = context.open()?;
    let targets = find(&engine, &selection)?;
    Ok(for_each(targets, io, |target, _| {
        Ok(target.container.init()?)
    }))
}
