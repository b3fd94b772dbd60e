//! `container cleanup`: releases what a container that ended still holds. Every monitor starts it when its container has ended, and
//! whoever comes second finds it done: a container that is gone, or runs again, is no failure.

use ctr_core::{AfterCleanup, CleanupRequest, CleanupScope, RestartDuty};
use ctr_state::Status;

use crate::commands::Context;
use crate::commands::targets::{Wanted, find, for_each};
use crate::error::{CommandError, ErrorKind, Outcome};
use crate::io::Io;
use crate::parse::number;
use crate::settings::Patience;

/// What `--all` cleans up after.
const ENDED: [Status; 2] = [Status::Stopped, Status::Exited];

/// What it means without `--stopped-only`.
const UNUSED: [Status; 3] = [Status::Created, Status::Stopped, Status::Exited];

#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Args {
    /// Clean up after all that have ended
    #[arg(short, long)]
    all: bool,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// Remove each that is not started again by its restart policy
    #[arg(long)]
    rm: bool,
    /// Only what has ended, not what was initialized and never started
    #[arg(long)]
    stopped_only: bool,
    /// Only after this run of the container; a later one is left alone. With --stopped-only: carry out its restart, if one is due
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
        statuses: if args.stopped_only { &ENDED } else { &UNUSED },
        ..Wanted::named(&args.names)
    };
    let selection = wanted.selection()?;
    let engine = context.open_patiently(Patience::Cleanup)?;
    let targets = find(&engine, &selection)?;
    let request = CleanupRequest {
        generation,
        scope: if args.stopped_only {
            CleanupScope::Ended
        } else {
            CleanupScope::All
        },
        removal: if args.rm {
            AfterCleanup::Remove
        } else {
            AfterCleanup::AsCreated
        },
        // A person does not wait for a container that fails again and again.
        restart: if args.stopped_only && generation.is_some() {
            RestartDuty::Here
        } else {
            RestartDuty::HandedOn
        },
    };
    Ok(for_each(targets, io, |target, _| {
        let cleaned = target.container.cleanup(request);
        match cleaned.map_err(CommandError::from) {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::WrongStatus) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }))
}
