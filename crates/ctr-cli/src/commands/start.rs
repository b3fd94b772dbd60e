//! `start`: starts containers; with `--attach` one of them stays in the foreground.

use ctr_core::{Attach, ForegroundRequest, StartRequest, Started};

use crate::commands::Context;
use crate::commands::client::{Client, ClientOptions, Streams, Use};
use crate::commands::foreground::follow;
use crate::commands::targets::{Selection, find, for_each, selection};
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::signals;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Stay in the foreground until the container ends, and end with its exit code
    #[arg(short, long)]
    attach: bool,
    /// Pass the standard input on (with --attach, to a container made with -i)
    #[arg(short, long)]
    interactive: bool,
    #[command(flatten)]
    client: ClientOptions,
    /// Names or ids
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Starts the containers.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let selection = selection(Selection::Named(&args.names), None)?;
    if args.attach || args.interactive {
        return attached(args, context, io);
    }
    let engine = context.open()?;
    let targets = find(&engine, selection)?;
    Ok(for_each(targets, io, |target, _| {
        target.container.start(StartRequest {
            attach: Attach::None,
        })?;
        Ok(())
    }))
}

fn attached(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let [name] = &args.names[..] else {
        return Err(CommandError::failed("--attach takes one container"));
    };
    let stdin = if args.interactive { Use::Yes } else { Use::No };
    let client = Client::new(&args.client, Streams::all(stdin))?;
    let signals = signals::block()?;
    let engine = context.open()?;
    let foreground = ForegroundRequest {
        signals: &signals,
        window: Client::window(io),
    };
    match engine.find(name)?.start_foreground(foreground)? {
        Started::Attached(session) => follow(session, name, client.io(io, &signals), io),
        Started::Already | Started::Detached => Ok(Outcome::Done),
    }
}
