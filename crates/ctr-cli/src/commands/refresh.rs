//! `container refresh`: makes containers anew in the status they have.

use ctr_state::Status;

use crate::commands::Context;
use crate::commands::targets::{Wanted, find, for_each};
use crate::error::{CommandError, Outcome};
use crate::io::Io;

/// What `--all` makes anew.
const REFRESHABLE: [Status; 4] = [
    Status::Created,
    Status::Running,
    Status::Paused,
    Status::Stopped,
];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// All that hold anything of a run
    #[arg(short, long)]
    all: bool,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Stops each that runs, gives back what it holds, and brings it back into the status it had.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let wanted = Wanted {
        latest: args.latest,
        all: args.all,
        statuses: &REFRESHABLE,
        ..Wanted::named(&args.names)
    };
    let selection = wanted.selection()?;
    let engine = context.open()?;
    let targets = find(&engine, &selection)?;
    Ok(for_each(targets, io, |target, _| {
        Ok(target.container.refresh()?)
    }))
}
