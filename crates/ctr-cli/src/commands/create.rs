//! `create`: makes a container and prints its id.

use crate::commands::Context;
use crate::commands::create_options::CreateOptions;
use crate::commands::create_request::request;
use crate::error::{CommandError, Outcome};
use crate::io::Io;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: CreateOptions,
}

/// Creates the container.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let request = request(&args.options, context)?;
    let engine = context.open()?;
    let container = engine.create(request)?;
    io.line(container.id().as_str());
    Ok(Outcome::Done)
}
