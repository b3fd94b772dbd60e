//! `attach`: the streams of a container that runs.

use ctr_core::{AttachRequest, ClientInput};
use ctr_state::StdinMode;

use crate::commands::Context;
use crate::commands::client::{Client, ClientOptions, Streams, Use};
use crate::commands::foreground::{Program, follow};
use crate::commands::targets::Wanted;
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::number;
use crate::signals;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not pass the standard input on
    #[arg(long)]
    no_stdin: bool,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// Attach to this exec session instead of the container's own program
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Look on only: no input, no keys, no signals, no size of this terminal reach the program
    #[arg(long)]
    read_only: bool,
    /// Begin with the last so many KiB of what was written before, up to 64
    #[arg(long, value_name = "KIB")]
    replay: Option<String>,
    #[command(flatten)]
    client: ClientOptions,
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// The most KiB of earlier output that are kept.
const REPLAY: u64 = 64;

/// Stays with the container, or the session, until it ends or the user leaves; the exit code is that of the program.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let request = request(args, io)?;
    if let Some(session) = &args.session {
        return to_session(session, args, request, context, io);
    }
    let wanted = Wanted {
        latest: args.latest,
        ..Wanted::named(&args.names)
    };
    let selected = wanted.selection()?.one("attach")?;
    let mut client = client(args, None, context)?;
    let signals = signals::block()?;
    let engine = context.open()?;
    let target = selected.find(&engine)?;
    let locked = target.container.lock("attach")?;
    client.streams.stdin = stdin(args, locked.config().process.stdin, io);
    let session = locked.attach(request)?;
    follow(
        session,
        Program::OfContainer(&target.label),
        client.io(io, &signals),
        io,
    )
}

fn to_session(
    session: &str,
    args: &Args,
    request: AttachRequest,
    context: &Context,
    io: &mut Io,
) -> Result<Outcome, CommandError> {
    if args.latest || !args.names.is_empty() {
        let why = "--session names the session alone: its container is known";
        return Err(CommandError::failed(why));
    }
    let signals = signals::block()?;
    let engine = context.open()?;
    let (container, id) = engine.find_exec(session)?;
    let view = container.inspect_exec(&id)?;
    let mut client = client(args, Some(view.detach_keys), context)?;
    let mode = if view.open_stdin {
        StdinMode::Open
    } else {
        StdinMode::Null
    };
    client.streams.stdin = stdin(args, mode, io);
    let session = container.attach_exec(&id, request)?;
    follow(
        session,
        Program::Exec(container.id().short()),
        client.io(io, &signals),
        io,
    )
}

/// The client of these flags; `keys` are those of what it attaches to, if that has its own.
fn client(args: &Args, keys: Option<String>, context: &Context) -> Result<Client, CommandError> {
    let mut options = args.client.clone();
    options.detach_keys = options.detach_keys.or(keys.filter(|keys| !keys.is_empty()));
    if args.read_only {
        if args.client.passes_signals_on()? {
            let why = "--read-only and --sig-proxy exclude each other";
            return Err(CommandError::failed(why));
        }
        options.sig_proxy = Some("false".to_owned());
    }
    Client::new(&options, Streams::all(Use::Yes), context)
}

fn request(args: &Args, io: &mut Io) -> Result<AttachRequest, CommandError> {
    let replay = args.replay.as_deref().map(|text| {
        let allowed = format!("a number of KiB from 0 to {REPLAY}");
        let kib: u64 = number::number("--replay", text, &allowed)?;
        if kib > REPLAY {
            return Err(CommandError::value(
                "--replay",
                text,
                format!("must be {allowed}"),
            ));
        }
        Ok(kib * 1024)
    });
    Ok(AttachRequest {
        window: Client::window(io).filter(|_| !args.read_only),
        input: if args.read_only {
            ClientInput::Ignored
        } else {
            ClientInput::Taken
        },
        replay: replay.transpose()?.unwrap_or(0),
    })
}

/// Input that the program has no use for is left to whoever else reads it; a person's keys may be those to leave.
fn stdin(args: &Args, mode: StdinMode, io: &mut Io) -> Use {
    let has_use = (mode == StdinMode::Open && !args.read_only) || Client::has_terminal(io);
    if has_use && !args.no_stdin {
        Use::Yes
    } else {
        Use::No
    }
}
