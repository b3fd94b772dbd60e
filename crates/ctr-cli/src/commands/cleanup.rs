//! `container cleanup`: releases what a container that ended still holds. Every monitor starts it when its container has ended, and
//! whoever comes second finds it done: a container that is gone, or runs again, is no failure.

use ctr_core::CleanupRequest;
use ctr_state::Status;

use crate::commands::Context;
use crate::commands::targets::{Wanted, find, for_each};
use crate::error::{CommandError, ErrorKind, Outcome};
use crate::io::Io;
use crate::parse::number;
use crate::settings::Patience;

/// What `--all` cleans up after.
const ENDED: [Status; 2] = [Status::Stopped, Status::Exited];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Clean up after all that have ended
    #[arg(short, long)]
    all: bool,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// Only after this run of the container; a later one is left alone
    #[arg(long, value_name = "NUMBER")]
    generation: Option<String>,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Cleans up after each and prints the names of those that hold nothing any more, or run.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let generation: Option<u64> = args
        .generation
        .as_deref()
        .map(|text| number::number("--generation", text, "the number of a run"))
        .transpose()?;
    let wanted = Wanted {
        ignore: true,
        latest: args.latest,
        all: args.all,
        statuses: &ENDED,
        ..Wanted::named(&args.names)
    };
    let selection = wanted.selection()?;
    let engine = context.open_patiently(Patience::Cleanup)?;
    let targets = find(&engine, &selection)?;
    Ok(for_each(targets, io, |target, _| {
        let cleaned = target.container.cleanup(CleanupRequest { generation });
        match cleaned.map_err(CommandError::from) {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::WrongStatus) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }))
}
