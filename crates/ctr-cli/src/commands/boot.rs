//! `boot`: what is to be done once after the machine was started.

use crate::commands::Context;
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::settings::Patience;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// Brings all records up to date and starts the containers whose restart policy is always, or unless-stopped if no user has stopped them.
/// Prints the names of those that were started; it can be run again at any time.
pub(crate) fn run(_: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let engine = context.open_patiently(Patience::Cleanup)?;
    let mut failed = Vec::new();
    for booted in engine.boot()? {
        match booted.started {
            Ok(()) => io.line(&booted.name),
            Err(error) => {
                let error = CommandError::from(error);
                failed.push(error.kind());
                io.error(&error.about(&booted.name));
            }
        }
    }
    engine.sweep()?;
    Ok(Outcome::of(failed))
}
