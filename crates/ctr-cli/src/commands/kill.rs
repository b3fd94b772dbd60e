//! `kill`: sends a signal.

use ctr_state::Status;

use crate::commands::Context;
use crate::commands::targets::{Wanted, find, for_each};
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::number;

/// What `--all` sends the signal to.
const RUNNING: [Status; 3] = [Status::Running, Status::Paused, Status::Stopping];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Send it to all that run
    #[arg(short, long)]
    all: bool,
    /// A container whose id this file holds
    #[arg(long, value_name = "FILE")]
    cidfile: Vec<String>,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// Signal, by name or number
    #[arg(short, long, default_value = "KILL")]
    signal: String,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Sends the signal to each.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let signal = number::signal("--signal", &args.signal)?;
    let wanted = Wanted {
        cid_files: &args.cidfile,
        latest: args.latest,
        all: args.all,
        statuses: &RUNNING,
        ..Wanted::named(&args.names)
    };
    let selection = wanted.selection()?;
    let engine = context.open()?;
    let targets = find(&engine, &selection)?;
    Ok(for_each(targets, io, |target, _| {
        Ok(target.container.kill(signal)?)
    }))
}
