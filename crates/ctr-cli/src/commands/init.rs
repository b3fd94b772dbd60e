//! `init`: has the runtime make containers, without starting their programs.

use ctr_state::Status;

use crate::commands::Context;
use crate::commands::selection_args::SelectionArgs;
use crate::error::{CommandError, Outcome};
use crate::io::Io;

/// What `--all` makes.
const NOT_MADE: [Status; 3] = [Status::Configured, Status::Stopped, Status::Exited];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
}

/// Initializes each.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    args.selection
        .each(&NOT_MADE, context, io, |target| target.container.init())
}
