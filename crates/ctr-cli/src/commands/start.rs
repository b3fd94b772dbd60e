//! `start`: starts containers; with `--attach` one of them stays in the foreground.

use ctr_core::{Attach, ForegroundRequest, StartRequest, Started};
use ctr_state::{StartReason, Status};

use crate::commands::Context;
use crate::commands::client::{Client, ClientOptions, Streams, Use};
use crate::commands::foreground::{Program, follow};
use crate::commands::targets::{One, Wanted, find, for_each};
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::signals;

/// What `--all` starts.
const STOPPED: [Status; 4] = [
    Status::Configured,
    Status::Created,
    Status::Stopped,
    Status::Exited,
];

#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Args {
    /// Start all that do not run
    #[arg(long)]
    all: bool,
    /// Only those that match KEY=VALUE, as in ps
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// Stay in the foreground until the container ends, and end with its exit code
    #[arg(short, long)]
    attach: bool,
    /// Pass the standard input on to a container made with -i; implies --attach
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
    let wanted = Wanted {
        latest: args.latest,
        all: args.all,
        filters: &args.filter,
        statuses: &STOPPED,
        ..Wanted::named(&args.names)
    };
    let selection = wanted.selection()?;
    if args.attach || args.interactive {
        return attached(
            args,
            selection.one(if args.attach {
                "--attach"
            } else {
                "--interactive"
            })?,
            context,
            io,
        );
    }
    if args.client.passes_signals_on()? {
        let why = "--sig-proxy needs --attach: without it no signals come here";
        return Err(CommandError::failed(why));
    }
    let engine = context.open()?;
    let targets = find(&engine, &selection)?;
    Ok(for_each(targets, io, |target, io| {
        target.container.start(StartRequest {
            attach: Attach::None,
            streams: Some(io.descriptors()),
            reason: StartReason::User,
        })?;
        Ok(())
    }))
}

fn attached(
    args: &Args,
    selected: One<'_>,
    context: &Context,
    io: &mut Io,
) -> Result<Outcome, CommandError> {
    let stdin = if args.interactive { Use::Yes } else { Use::No };
    let client = Client::new(&args.client, Streams::all(stdin), context)?;
    let signals = signals::block()?;
    let engine = context.open()?;
    let target = selected.find(&engine)?;
    let foreground = ForegroundRequest {
        signals: &signals,
        window: Client::window(io),
        streams: Some(io.descriptors()),
    };
    match target.container.start_foreground(foreground)? {
        Started::Attached(session) => follow(
            session,
            Program::OfContainer(&target.label),
            client.io(io, &signals),
            io,
        ),
        Started::Already | Started::Detached => Ok(Outcome::Done),
    }
}
