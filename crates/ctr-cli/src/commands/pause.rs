//! `pause`: freezes the processes of containers.

use ctr_state::Status;

use crate::commands::Context;
use crate::commands::selection_args::SelectionArgs;
use crate::error::{CommandError, Outcome};
use crate::io::Io;

/// What `--all` freezes.
const RUNNING: [Status; 1] = [Status::Running];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
}

/// Freezes each.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    args.selection
        .each(&RUNNING, context, io, |target| target.container.pause())
}
