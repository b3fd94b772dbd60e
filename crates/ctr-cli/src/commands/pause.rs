//! `pause`: freezes the processes of containers.

use ctr_state::Status;

use crate::commands::Context;
use crate::commands::targets::{Wanted, find, for_each};
use crate::error::{CommandError, Outcome};
use crate::io::Io;

/// What `--all` means.
const PAUSABLE: [Status; 1] = [Status::Running];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Pause all that run
    #[arg(short, long)]
    all: bool,
    /// A container whose id this file holds
    #[arg(long, value_name = "FILE")]
    cidfile: Vec<String>,
    /// Only those that match KEY=VALUE, as in ps
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Freezes each.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let wanted = Wanted {
        cid_files: &args.cidfile,
        latest: args.latest,
        all: args.all,
        filters: &args.filter,
        statuses: &PAUSABLE,
        ..Wanted::named(&args.names)
    };
    let selection = wanted.selection()?;
    let engine = context.open()?;
    let targets = find(&engine, &selection)?;
    Ok(for_each(targets, io, |target, _| {
        Ok(target.container.pause()?)
    }))
}
