//! `rename`: gives a container another name.

use ctr_state::ContainerName;

use crate::commands::Context;
use crate::error::{CommandError, Outcome};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// The name that it gets
    #[arg(value_name = "NAME")]
    name: String,
}

/// Renames it, and prints nothing.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Outcome, CommandError> {
    let text = args.name.strip_prefix('/').unwrap_or(&args.name);
    let name: ContainerName = text
        .parse()
        .map_err(|refused| CommandError::failed(format!("{refused}")))?;
    let engine = context.open()?;
    engine.find(&args.container)?.rename(&name)?;
    Ok(Outcome::Done)
}
