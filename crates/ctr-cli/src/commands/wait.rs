//! `wait`: waits for the end of containers and prints their exit codes.

use ctr_core::WaitFor;

use crate::commands::targets::{Selection, find, selection};
use crate::commands::{Context, foreground};
use crate::error::{CommandError, Outcome};
use crate::io::Io;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Prints one code a line, in the order of the names; -1 for one that nobody knows, with the reason on the standard error.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let selection = selection(Selection::Named(&args.names), None)?;
    let engine = context.open()?;
    let mut failed = Vec::new();
    for target in find(&engine, selection)? {
        match target
            .container
            .wait(WaitFor::Exit)
            .map_err(CommandError::from)
        {
            Ok(info) => {
                let code = info.code();
                if code < 0 {
                    io.warning(&format!(
                        "{}: the exit code is unknown: {}",
                        target.label,
                        foreground::why(&info)
                    ));
                }
                io.line(&code.to_string());
            }
            Err(error) => {
                io.error(&error);
                failed.push(error.kind());
            }
        }
    }
    Ok(if failed.is_empty() {
        Outcome::Done
    } else {
        Outcome::Partly(failed)
    })
}
