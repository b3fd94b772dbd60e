//! `rm`: removes containers.

use crate::commands::Context;
use crate::commands::stop::begin;
use crate::commands::targets::{Target, Wanted, find, for_each};
use crate::error::{CommandError, ErrorKind, Outcome};
use crate::io::Io;
use crate::parse::number;
use ctr_core::{
    ContainerFilter, Dependents, Engine, ListRequest, RemoveMode, RemoveRequest, StopRequest,
    Summary,
};
use ctr_state::{Status, StopReason};

#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Args {
    /// Remove all containers
    #[arg(short, long)]
    all: bool,
    /// A container whose id this file holds
    #[arg(long, value_name = "FILE")]
    cidfile: Vec<String>,
    /// Only those that match KEY=VALUE, as in ps
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Remove containers that need it, too, before it; --all does so anyway
    #[arg(long)]
    depend: bool,
    /// Stop running ones first, and skip names that do not exist
    #[arg(short, long)]
    force: bool,
    /// Skip names that do not exist
    #[arg(short, long)]
    ignore: bool,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// With --force: seconds before KILL; -1 waits forever [default: the container's own]
    #[arg(short, long, value_name = "SECONDS", allow_negative_numbers = true)]
    time: Option<String>,
    /// Remove anonymous volumes, too; no container has any yet
    #[arg(short, long)]
    volumes: bool,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Removes the containers.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let timeout_s = number::seconds("--time", args.time.as_deref())?;
    if timeout_s.is_some() && !args.force {
        return Err(CommandError::failed(
            "--time needs --force: without it nothing is stopped",
        ));
    }
    let wanted = Wanted {
        cid_files: &args.cidfile,
        ignore: args.force || args.ignore,
        latest: args.latest,
        all: args.all,
        filters: &args.filter,
        ..Wanted::named(&args.names)
    };
    let selection = wanted.selection()?;
    let engine = context.open()?;
    let mut targets = find(&engine, &selection)?;
    if args.all {
        // What needs others was created after them, and goes first.
        targets.reverse();
    }
    let request = RemoveRequest {
        mode: if args.force {
            RemoveMode::Force
        } else {
            RemoveMode::Normal
        },
        timeout_s,
        dependents: if args.depend || args.all {
            Dependents::RemoveToo
        } else {
            Dependents::Refuse
        },
    };
    stop_running(&engine, &targets, &request)?;
    let outcome = for_each(targets, io, |target, io| {
        let removed = target.container.remove(request);
        match removed.map_err(CommandError::from) {
            Ok(removed) => {
                // The target itself is the last one, and is named as the user did.
                let others = removed.split_last().map_or(&[][..], |(_, others)| others);
                for other in others {
                    io.line(other.id.as_str());
                }
                Ok(())
            }
            // Found a moment ago: somebody else has removed it, which is what was wanted.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    });
    engine.sweep()?;
    Ok(outcome)
}

/// With `--force`: stops those that run all at once, so that several take no longer than the slowest. What fails here fails again, and is
/// told, when the container is removed.
fn stop_running(
    engine: &Engine,
    targets: &[Target<'_>],
    request: &RemoveRequest,
) -> Result<(), CommandError> {
    if request.mode == RemoveMode::Normal || targets.len() < 2 {
        return Ok(());
    }
    let running = engine.select(&ListRequest {
        statuses: &[Status::Running],
        filter: ContainerFilter::default(),
        newest: None,
    })?;
    let targets = targets.iter().filter(|target| {
        let found = running
            .iter()
            .map(Summary::snapshot)
            .find(|found| found.id() == target.container.id());
        // One that will stay, because others need it, goes on.
        found.is_some_and(|found| {
            request.dependents == Dependents::RemoveToo || found.dependents().is_empty()
        })
    });
    let stop = StopRequest {
        timeout_s: request.timeout_s,
        reason: StopReason::User,
    };
    for stopping in begin(targets, stop).into_values().flatten().flatten() {
        stopping.complete().ok();
    }
    Ok(())
}
