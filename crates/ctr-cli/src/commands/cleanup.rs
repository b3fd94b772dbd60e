//! `container cleanup`: releases what a container that ended still holds. Every monitor starts it when its container has ended, and
//! whoever comes second finds it done: a container that is gone, or runs again, is no failure.

use ctr_core::CleanupRequest;

use crate::commands::Context;
use crate::commands::targets::{Selection, find, for_each, selection};
use crate::error::{CommandError, ErrorKind, Outcome};
use crate::io::Io;
use crate::parse::number;
use crate::settings::Patience;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
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
    selection(Selection::Named(&args.names), None)?;
    let engine = context.open_patiently(Patience::Cleanup)?;
    let targets = find(&engine, Selection::Known(&args.names))?;
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
