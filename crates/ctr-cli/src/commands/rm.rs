//! `rm`: removes containers.

use crate::commands::Context;
use crate::commands::targets::{Wanted, find, for_each};
use crate::error::{CommandError, ErrorKind, Outcome};
use crate::io::Io;
use crate::parse::number;
use ctr_core::{RemoveMode, RemoveRequest};

#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Args {
    /// Remove all containers
    #[arg(short, long)]
    all: bool,
    /// A container whose id this file holds
    #[arg(long, value_name = "FILE")]
    cidfile: Vec<String>,
    /// Only those that match KEY=VALUE, as in ps
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Stop running ones first, and skip names that do not exist
    #[arg(short, long)]
    force: bool,
    /// Skip names that do not exist
    #[arg(short, long)]
    ignore: bool,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// With --force: seconds before KILL; -1 waits forever [default: the container's own]
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    time: Option<String>,
    /// Remove anonymous volumes, too; no container has any yet
    #[arg(short, long)]
    volumes: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Removes the containers.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let timeout_s = number::seconds("--time", args.time.as_deref())?;
    if timeout_s.is_some() && !args.force {
        return Err(CommandError::failed(
            "--time needs --force: without it nothing is stopped",
        ));
    }
    let wanted = Wanted {
        cid_files: &args.cidfile,
        ignore: args.force || args.ignore,
        latest: args.latest,
        all: args.all,
        filters: &args.filter,
        ..Wanted::named(&args.names)
    };
    let selection = wanted.selection()?;
    let engine = context.open()?;
    let targets = find(&engine, &selection)?;
    let outcome = for_each(targets, io, |target, _| {
        let mode = if args.force {
            RemoveMode::Force
        } else {
            RemoveMode::Normal
        };
        let removed = target.container.remove(RemoveRequest { mode, timeout_s });
        match removed.map_err(CommandError::from) {
            Ok(_) => Ok(()),
            // Found a moment ago: somebody else has removed it, which is what was wanted.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    });
    engine.sweep()?;
    Ok(outcome)
}
