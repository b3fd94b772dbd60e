//! `exec`: runs a command in a container that runs; in the foreground it stays until the command ends and has its exit code.

mod options;
pub(crate) mod sessions;
mod streams;

use ctr_core::{Container, ExecAttach, ExecStart, ExecStarted};

use crate::commands::Context;
use crate::commands::client::{Client, ClientOptions, Streams, Use};
use crate::commands::foreground::{Program, follow};
use crate::commands::targets::One;
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::signals;
use options::{ProcessOptions, StartOptions};
use streams::Inherited;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run in the background and print the id of the session
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    process: ProcessOptions,
    #[command(flatten)]
    start: StartOptions,
    #[command(flatten)]
    client: ExecClientOptions,
    #[command(flatten)]
    what: What,
}

/// The flags of a client of exec.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ExecClientOptions {
    /// Keys that leave the command running: single characters or ctrl-X, separated by commas [default: none]
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Pass signals on to the command [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sig_proxy: Option<String>,
}

/// Where something is run, and what.
#[derive(Clone, Debug, Default, clap::Args)]
struct What {
    /// The container that was created last; all words are the command then
    #[arg(short, long)]
    latest: bool,
    /// Name or id of the container, then the program and its arguments
    #[arg(trailing_var_arg = true, value_name = "CONTAINER COMMAND")]
    words: Vec<String>,
}

impl What {
    /// The container, and the command.
    fn split(&self) -> Result<(One<'_>, &[String]), CommandError> {
        let (selected, command) = match (self.latest, &self.words[..]) {
            (true, command) => (One::Latest, command),
            (false, [name, command @ ..]) => (One::Named(name), command),
            (false, []) => {
                let why = "the name or id of a container is missing";
                return Err(CommandError::failed(why));
            }
        };
        if command.is_empty() {
            return Err(CommandError::failed("the command to run is missing"));
        }
        Ok((selected, command))
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    // Before anything of ours is open: what the caller has not opened would be a descriptor of ours later.
    let inherited = Inherited::take(&args.start)?;
    let (selected, command) = args.what.split()?;
    let client = client(&args.client, args.process.stdin(), context)?;
    let request = args.process.request(command, &client, context)?;
    let plan = args.start.plan()?;
    let signals = signals::block()?;
    let engine = context.open()?;
    let target = selected.find(&engine)?;
    let attach = if args.detach {
        ExecAttach::None
    } else {
        attached(&client, plan, io)
    };
    let start = plan.start(attach, inherited.preserved());
    let started = target.container.exec(&request, &start)?;
    foreground(started, &target.container, &client, &signals, io)
}

/// A client without keys to leave by, unless some are asked for: programs in a terminal want all of them.
fn client(
    options: &ExecClientOptions,
    stdin: Use,
    context: &Context,
) -> Result<Client, CommandError> {
    let options = ClientOptions {
        detach_keys: Some(options.detach_keys.clone().unwrap_or_default()),
        sig_proxy: options.sig_proxy.clone(),
    };
    Client::new(&options, Streams::all(stdin), context)
}

/// The streams of this process, for a session in its foreground.
fn attached<'a>(client: &Client, plan: options::Plan, io: &mut Io) -> ExecAttach<'a> {
    ExecAttach::Streams {
        window: Client::window(io),
        streams: client.descriptors(io),
        stdio: plan.stdio,
    }
}

/// Stays with a session until it ends, or the client leaves it.
fn foreground(
    started: ExecStarted<'_>,
    container: &Container<'_>,
    client: &Client,
    signals: &ctr_sys::SignalFd,
    io: &mut Io,
) -> Result<Outcome, CommandError> {
    match started {
        ExecStarted::Detached(id) => {
            io.line(id.as_str());
            Ok(Outcome::Done)
        }
        ExecStarted::Attached(session) => {
            let program = Program::Exec(container.id().short());
            follow(session, program, client.io(io, signals), io)
        }
    }
}

impl options::Plan {
    fn start<'a>(
        self,
        attach: ExecAttach<'a>,
        preserved: Vec<(i32, std::os::fd::BorrowedFd<'a>)>,
    ) -> ExecStart<'a> {
        ExecStart {
            attach,
            preserved,
            timeout_ms: self.timeout_ms,
            wait_io: self.wait_io,
            on_disconnect: self.on_disconnect,
        }
    }
}
