//! `unpause`: lets the processes of paused containers go on.

use ctr_state::Status;

use crate::commands::Context;
use crate::commands::selection_args::SelectionArgs;
use crate::error::{CommandError, Outcome};
use crate::io::Io;

/// What `--all` thaws.
const PAUSED: [Status; 1] = [Status::Paused];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
}

/// Thaws each.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    args.selection
        .each(&PAUSED, context, io, |target| target.container.unpause())
}
