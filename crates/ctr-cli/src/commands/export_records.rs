//! `system export`: everything that is recorded, as JSON.

use crate::commands::Context;
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::render::json::pretty;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Prints all records, those of the ledger included, also what this program cannot read.
pub(crate) fn run(_: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let export = context.open()?.export()?;
    io.block(&pretty(&export)?);
    Ok(Outcome::Done)
}
