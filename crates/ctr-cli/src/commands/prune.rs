//! `container prune`: removes all containers that do not run.

use std::io::BufRead;

use ctr_core::{Dependents, EngineError, RemoveMode, RemoveRequest};
use ctr_state::Status;

use crate::commands::Context;
use crate::commands::targets::{Wanted, find};
use crate::error::{CommandError, Outcome};
use crate::io::Io;

/// What is removed.
const UNUSED: [Status; 5] = [
    Status::Configured,
    Status::Created,
    Status::Stopped,
    Status::Exited,
    // Its removal was cut off, and is finished.
    Status::Removing,
];

/// The filters that make sense for what is about to be removed.
const KEYS: [&str; 3] = ["label", "label!", "until"];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that match KEY=VALUE: label, label! or until
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
}

/// Prints the ids of those that were removed. Containers that others need, which run, stay.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    for filter in &args.filter {
        let key = filter.split('=').next().unwrap_or_default();
        if !KEYS.contains(&key) {
            let why = "prune takes the filters label, label! and until";
            return Err(CommandError::value("--filter", filter, why));
        }
    }
    let wanted = Wanted {
        all: true,
        filters: &args.filter,
        statuses: &UNUSED,
        ..Wanted::named(&[])
    };
    let selection = wanted.selection()?;
    if !args.force && !is_agreed(io)? {
        return Ok(Outcome::Done);
    }
    let engine = context.open()?;
    let mut failed = Vec::new();
    // What needs others was created after them, and goes first.
    for target in find(&engine, &selection)?.into_iter().rev() {
        let request = RemoveRequest {
            mode: RemoveMode::Normal,
            timeout_s: None,
            dependents: Dependents::Refuse,
        };
        match target.container.remove(request) {
            Ok(_) => io.line(&target.label),
            // Whoever needs it runs, or does not match.
            Err(EngineError::Needed { .. }) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => {
                let error = CommandError::from(error);
                io.error(&error);
                failed.push(error.kind());
            }
        }
    }
    engine.sweep()?;
    Ok(Outcome::of(failed))
}

/// Asks on the terminal, or wherever the answer comes from; no answer is no.
fn is_agreed(io: &mut Io) -> Result<bool, CommandError> {
    io.block("This removes all containers that do not run. Go on? [y/N] ");
    io.flush();
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| CommandError::failed(format!("the answer cannot be read: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
