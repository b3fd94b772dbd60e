//! `wait`: waits for the end of containers and prints their exit codes.

use ctr_core::WaitFor;

use crate::commands::targets::{Target, Wanted, find_each};
use crate::commands::{Context, foreground};
use crate::error::{CommandError, Outcome};
use crate::io::Io;

/// The code of a container that does not exist, when that is no error.
const UNKNOWN: i32 = -1;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print -1 for names that do not exist
    #[arg(long)]
    ignore: bool,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// Only the end can be waited for
    #[arg(long, value_delimiter = ',', hide = true)]
    condition: Vec<String>,
    /// The end is seen at once: no time between two looks is needed
    #[arg(short, long, value_name = "TIME", hide = true)]
    interval: Option<String>,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Prints one code a line, in the order of the names; -1 for one that nobody knows, with the reason on the standard error.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    for condition in &args.condition {
        if !matches!(condition.as_str(), "stopped" | "exited") {
            let why = "only the end can be waited for: stopped or exited";
            return Err(CommandError::value("--condition", condition, why));
        }
    }
    let wanted = Wanted {
        ignore: args.ignore,
        latest: args.latest,
        ..Wanted::named(&args.names)
    };
    let selection = wanted.selection()?;
    let engine = context.open()?;
    let mut failed = Vec::new();
    for target in find_each(&engine, &selection)? {
        let code = target.map_or(Ok(UNKNOWN), |target| code(&target, io));
        match code {
            Ok(code) => io.line(&code.to_string()),
            Err(error) => {
                io.error(&error);
                failed.push(error.kind());
            }
        }
    }
    Ok(Outcome::of(failed))
}

fn code(target: &Target<'_>, io: &mut Io) -> Result<i32, CommandError> {
    let info = target.container.wait(WaitFor::Exit)?;
    let code = info.code();
    if code < 0 {
        let (label, why) = (&target.label, foreground::why(&info));
        io.warning(&format!("{label}: the exit code is unknown: {why}"));
    }
    Ok(code)
}
