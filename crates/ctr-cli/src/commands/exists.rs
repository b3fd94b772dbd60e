//! `container exists`: a question whose answer is the exit code.

use crate::commands::Context;
use crate::error::{CommandError, ErrorKind, Outcome};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// 0 if it exists, 1 if it does not, 125 if that cannot be told.
pub(crate) fn run(args: &Args, context: &Context) -> Result<Outcome, CommandError> {
    let [name] = &args.names[..] else {
        return Err(CommandError::failed(
            "container exists takes one name or id",
        ));
    };
    let engine = context.open()?;
    let found = engine.find(name);
    match found.map_err(CommandError::from) {
        Ok(_) => Ok(Outcome::Done),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Outcome::No),
        Err(error) => Err(error),
    }
}
