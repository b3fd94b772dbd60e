//! `stop`: the stop signal, then KILL.

use ctr_core::{StopOutcome, StopRequest};
use ctr_state::{Status, StopReason};

use crate::commands::Context;
use crate::commands::targets::{Wanted, find, for_each};
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::number;

/// What `--all` stops.
const RUNNING: [Status; 4] = [
    Status::Created,
    Status::Running,
    Status::Paused,
    Status::Stopping,
];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Stop all that run
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
    /// Skip names that do not exist
    #[arg(short, long)]
    ignore: bool,
    /// Seconds before KILL; -1 waits forever [default: the container's own]
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    time: Option<String>,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Stops the containers, one after the other.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let timeout_s = number::seconds("--time", args.time.as_deref())?;
    let wanted = Wanted {
        cid_files: &args.cidfile,
        ignore: args.ignore,
        latest: args.latest,
        all: args.all,
        filters: &args.filter,
        statuses: &RUNNING,
        ..Wanted::named(&args.names)
    };
    let selection = wanted.selection()?;
    let engine = context.open()?;
    let targets = find(&engine, &selection)?;
    Ok(for_each(targets, io, |target, io| {
        let outcome = target.container.stop(StopRequest {
            timeout_s,
            reason: StopReason::User,
        })?;
        match outcome {
            StopOutcome::Stopped | StopOutcome::AlreadyStopped => {}
            StopOutcome::Killed { signal, waited_s } => {
                io.warning(&format!(
                    "{}: did not end within {waited_s} s of {signal} and was killed",
                    target.label
                ));
            }
        }
        Ok(())
    }))
}
