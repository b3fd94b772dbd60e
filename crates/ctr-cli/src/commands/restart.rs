//! `restart`: stops containers that run, and starts them.

use ctr_core::{RestartRequest, Restarted};
use ctr_state::Status;

use crate::commands::Context;
use crate::commands::stop::say_if_killed;
use crate::commands::targets::{Wanted, find, for_each};
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::number;

/// What `--running` restarts.
const RUNNING: [Status; 1] = [Status::Running];
/// What `--all` restarts: whatever can be.
const ANY: [Status; 5] = [
    Status::Configured,
    Status::Created,
    Status::Running,
    Status::Stopped,
    Status::Exited,
];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Restart all, and start those that do not run
    #[arg(short, long)]
    all: bool,
    /// Restart all that run
    #[arg(long)]
    running: bool,
    /// A container whose id this file holds
    #[arg(long, value_name = "FILE")]
    cidfile: Vec<String>,
    /// Only those that match KEY=VALUE, as in ps
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// Seconds before KILL; -1 waits forever [default: the container's own]
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    time: Option<String>,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Restarts each.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let timeout_s = number::seconds("--time", args.time.as_deref())?;
    if args.all && args.running {
        return Err(CommandError::failed(
            "--all and --running exclude each other",
        ));
    }
    let wanted = Wanted {
        cid_files: &args.cidfile,
        latest: args.latest,
        all: args.all || args.running,
        filters: &args.filter,
        statuses: if args.running { &RUNNING } else { &ANY },
        ..Wanted::named(&args.names)
    };
    let selection = wanted.selection()?;
    let engine = context.open()?;
    let targets = find(&engine, &selection)?;
    Ok(for_each(targets, io, |target, io| {
        match target.container.restart(RestartRequest { timeout_s })? {
            Restarted::Started => {}
            Restarted::Stopped(outcome) => say_if_killed(&target.label, outcome, io),
        }
        Ok(())
    }))
}
