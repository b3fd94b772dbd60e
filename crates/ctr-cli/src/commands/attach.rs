//! `attach`: the streams of a container that runs.

use ctr_core::AttachRequest;
use ctr_state::StdinMode;

use crate::commands::Context;
use crate::commands::client::{Client, ClientOptions, Streams, Use};
use crate::commands::foreground::follow;
use crate::commands::targets::Wanted;
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::signals;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not pass the standard input on
    #[arg(long)]
    no_stdin: bool,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    #[command(flatten)]
    client: ClientOptions,
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Stays with the container until it ends or the user leaves; the exit code is the container's.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let wanted = Wanted {
        latest: args.latest,
        ..Wanted::named(&args.names)
    };
    let selected = wanted.selection()?.one("attach")?;
    let mut client = Client::new(&args.client, Streams::all(Use::Yes), context)?;
    let signals = signals::block()?;
    let engine = context.open()?;
    let target = selected.find(&engine)?;
    let locked = target.container.lock("attach")?;
    client.streams.stdin = stdin(args, locked.config().process.stdin, io);
    let session = locked.attach(AttachRequest {
        window: Client::window(io),
    })?;
    follow(session, &target.label, client.io(io, &signals), io)
}

/// Input that the container has no use for is left to whoever else reads it; a person's keys may be those to leave.
fn stdin(args: &Args, mode: StdinMode, io: &mut Io) -> Use {
    let has_use = mode == StdinMode::Open || Client::has_terminal(io);
    if has_use && !args.no_stdin {
        Use::Yes
    } else {
        Use::No
    }
}
