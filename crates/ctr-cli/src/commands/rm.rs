//! `rm`: removes containers.

use ctr_core::{RemoveMode, RemoveRequest};
use ctr_state::Status;

use crate::commands::Context;
use crate::commands::targets::{Selection, find, for_each, selection};
use crate::error::{CommandError, ErrorKind, Outcome};
use crate::io::Io;
use crate::parse::number;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Remove all containers
    #[arg(short, long)]
    all: bool,
    /// Stop running ones first, and skip names that do not exist
    #[arg(short, long)]
    force: bool,
    /// Skip names that do not exist
    #[arg(short, long)]
    ignore: bool,
    /// With --force: seconds before KILL; -1 waits forever [default: the container's own]
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    time: Option<String>,
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
    let names = if args.force || args.ignore {
        Selection::Known(&args.names)
    } else {
        Selection::Named(&args.names)
    };
    let selection = selection(names, args.all.then_some(&Status::ALL))?;
    let engine = context.open()?;
    let targets = find(&engine, selection)?;
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
