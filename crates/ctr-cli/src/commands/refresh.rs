//! `container refresh`: makes containers anew in the status they have.

use ctr_state::Status;

use crate::commands::Context;
use crate::commands::selection_args::SelectionArgs;
use crate::error::{CommandError, Outcome};
use crate::io::Io;

/// What `--all` makes anew.
const REFRESHABLE: [Status; 4] = [
    Status::Created,
    Status::Running,
    Status::Paused,
    Status::Stopped,
];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: SelectionArgs,
}

/// Stops each that runs, gives back what it holds, and brings it back into the status it had.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    args.selection.each(&REFRESHABLE, context, io, |target| {
        target.container.refresh()
    })
}
