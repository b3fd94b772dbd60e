//! `wait`: waits for the end of containers, or another status, and prints their exit codes.

use ctr_core::{WaitFor, Waited};
use ctr_state::Status;

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
    /// Wait for one of these statuses: created, initialized, running, paused, stopping, stopped, exited or removing [default: stopped, exited]
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    condition: Vec<String>,
    /// Accepted for scripts of other engines: nothing is polled, so there is no interval
    #[arg(short, long, value_name = "TIME")]
    interval: Option<String>,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Prints one code a line, in the order of the names; -1 for one that nobody knows, with the reason on the standard error, and for a
/// condition that is not the end.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let statuses = statuses(&args.condition)?;
    let wanted = Wanted {
        ignore: args.ignore,
        latest: args.latest,
        ..Wanted::named(&args.names)
    };
    let selection = wanted.selection()?;
    let engine = context.open()?;
    let mut failed = Vec::new();
    for target in find_each(&engine, &selection)? {
        let code = target.map_or(Ok(UNKNOWN), |target| code(&target, &statuses, io));
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

/// The statuses of the command line; none for the end.
fn statuses(words: &[String]) -> Result<Vec<Status>, CommandError> {
    let status = |word: &String| {
        word.parse().map_err(|_| {
            let words = Status::ALL.map(|status| status.to_string()).join(", ");
            let why = format!("must be one of {words}");
            CommandError::value("--condition", word, why)
        })
    };
    words.iter().map(status).collect()
}

fn code(target: &Target<'_>, statuses: &[Status], io: &mut Io) -> Result<i32, CommandError> {
    let info = if statuses.is_empty() {
        target.container.wait(WaitFor::Exit)?
    } else {
        match target.container.wait_for(statuses)? {
            Waited::Ended(info) => info,
            // There is no code of what has not ended.
            Waited::Reached(_) => return Ok(UNKNOWN),
        }
    };
    let code = info.code();
    if code < 0 {
        let (label, why) = (&target.label, foreground::why(&info));
        io.warning(&format!("{label}: the exit code is unknown: {why}"));
    }
    Ok(code)
}
