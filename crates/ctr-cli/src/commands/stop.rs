//! `stop`: the stop signal, then KILL.

use std::collections::BTreeMap;

use ctr_core::{EngineError, StopOutcome, StopRequest, Stopping};
use ctr_state::{ContainerId, Status, StopReason};

use crate::commands::Context;
use crate::commands::targets::{Target, Wanted, find, for_each};
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::number;

/// What `--all` stops.
const RUNNING: [Status; 4] = [
    Status::Created,
    Status::Running,
    Status::Paused,
    Status::Stopping,
];

#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Args {
    /// Stop all that run
    #[arg(short, long)]
    all: bool,
    /// A container whose id this file holds
    #[arg(long, value_name = "FILE")]
    cidfile: Vec<String>,
    /// Only those that match KEY=VALUE, as in ps
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// Skip names that do not exist
    #[arg(short, long)]
    ignore: bool,
    /// For the machine's shutdown: a container that starts on boot still does
    #[arg(long)]
    service: bool,
    /// Seconds before KILL; -1 waits forever [default: the container's own]
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    time: Option<String>,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Stops the containers.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let timeout_s = number::seconds("--time", args.time.as_deref())?;
    let wanted = Wanted {
        cid_files: &args.cidfile,
        ignore: args.ignore,
        latest: args.latest,
        all: args.all,
        filters: &args.filter,
        statuses: &RUNNING,
        ..Wanted::named(&args.names)
    };
    let reason = if args.service {
        StopReason::Shutdown
    } else {
        StopReason::User
    };
    let selection = wanted.selection()?;
    let engine = context.open()?;
    let targets = find(&engine, &selection)?;
    // The newest first, because others may need the older ones.
    let mut begun = begin(targets.iter().rev(), StopRequest { timeout_s, reason });
    Ok(for_each(targets, io, |target, io| {
        let begun = begun.remove(target.container.id()).unwrap_or(Ok(None));
        if let Some(stopping) = begun? {
            say_if_killed(&target.label, stopping.complete()?, io);
        }
        Ok(())
    }))
}

/// What became of asking one container to stop; `None` when there is nothing to wait for.
type Begun<'e> = Result<Option<Stopping<'e>>, EngineError>;

/// Asks all to stop, in this order, before the first one is waited for: several take no longer than the slowest.
pub(super) fn begin<'t, 'e: 't>(
    targets: impl Iterator<Item = &'t Target<'e>>,
    request: StopRequest,
) -> BTreeMap<ContainerId, Begun<'e>> {
    let mut begun = BTreeMap::new();
    for target in targets {
        let container = &target.container;
        begun
            .entry(container.id().clone())
            .or_insert_with(|| container.begin_stop(request));
    }
    begun
}

/// Says on the standard error that a container had to be killed.
pub(super) fn say_if_killed(label: &str, outcome: StopOutcome, io: &mut Io) {
    match outcome {
        StopOutcome::Stopped | StopOutcome::AlreadyStopped => {}
        StopOutcome::Killed { signal, waited_s } => {
            io.warning(&format!(
                "{label}: did not end within {waited_s} s of {signal} and was killed"
            ));
        }
    }
}
