//! `run`: `create` and `start` in one; in the foreground it stays until the container ends and has its exit code.

use ctr_core::{
    Attach, Container, CreateRequest, Dependents, EngineError, ForegroundRequest, RemoveMode,
    RemoveRequest, StartRequest, Started,
};
use ctr_state::{AutoRemove, LogDriver, StartReason, StdinMode};

use crate::commands::Context;
use crate::commands::client::{Client, ClientOptions, Streams, Use};
use crate::commands::create_options::CreateOptions;
use crate::commands::create_request::request;
use crate::commands::foreground::{Program, follow};
use crate::error::{CommandError, ErrorKind, Outcome};
use crate::io::Io;
use crate::signals;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run in the background and print the id
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Attach only this stream: stdin, stdout or stderr [default: both outputs, and stdin with --interactive]
    #[arg(short, long, value_name = "STREAM")]
    pub(crate) attach: Vec<String>,
    /// How the streams get there: stream (through the monitor, which logs them) or pass (handed over, as with --log-driver passthrough) [default: stream]
    #[arg(long, value_name = "WAY")]
    pub(crate) stdio: Option<String>,
    #[command(flatten)]
    pub(crate) client: ClientOptions,
    #[command(flatten)]
    pub(crate) options: CreateOptions,
}

/// Creates the container and starts it.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let stdin = if args.options.interactive {
        Use::Yes
    } else {
        Use::No
    };
    let client = Client::new(&args.client, Streams::named(&args.attach, stdin)?, context)?;
    let mut request = request(&args.options, context)?;
    request.log.driver = driver(args.stdio.as_deref(), request.log.driver)?;
    if args.detach {
        if !args.attach.is_empty() {
            let why = "--detach and --attach exclude each other";
            return Err(CommandError::failed(why));
        }
        return in_background(request, context, io);
    }
    if client.streams.stdin == Use::Yes {
        request.stdin = StdinMode::Open;
    }
    if args.options.tty && client.streams.stdin == Use::Yes && !Client::has_terminal(io) {
        io.warning(
            "the standard input is no terminal: keys and line editing may not work as expected",
        );
    }
    in_foreground(request, &client, context, io)
}

/// What becomes of the log: streams that are handed over leave it nothing.
fn driver(
    stdio: Option<&str>,
    driver: Option<LogDriver>,
) -> Result<Option<LogDriver>, CommandError> {
    match (stdio, driver) {
        (None | Some("stream"), driver) => Ok(driver),
        (Some("pass"), None | Some(LogDriver::Passthrough | LogDriver::None)) => {
            Ok(Some(LogDriver::Passthrough))
        }
        (Some("pass"), Some(driver)) => {
            let name = driver.name();
            Err(CommandError::failed(format!(
                "--stdio pass and --log-driver {name} exclude each other: nothing passes through the monitor that it could log"
            )))
        }
        (Some(other), _) => {
            let why = "must be stream or pass";
            Err(CommandError::value("--stdio", other, why))
        }
    }
}

fn in_background(
    request: CreateRequest,
    context: &Context,
    io: &mut Io,
) -> Result<Outcome, CommandError> {
    let engine = context.open()?;
    let driver = request.log.driver.unwrap_or(engine.config().log.driver);
    let auto_remove = request.auto_remove;
    let start = StartRequest {
        attach: Attach::None,
        streams: Some(io.descriptors()),
        reason: StartReason::User,
    };
    let (container, _) = started(engine.run(request, start)?, auto_remove, io)?;
    print_id(&container, driver, io);
    Ok(Outcome::Done)
}

fn in_foreground(
    request: CreateRequest,
    client: &Client,
    context: &Context,
    io: &mut Io,
) -> Result<Outcome, CommandError> {
    // Before anything exists: one that asks to end has the making taken back, later ones are for the container.
    let signals = signals::block()?;
    let auto_remove = request.auto_remove;
    let engine = context.open()?;
    let driver = request.log.driver.unwrap_or(engine.config().log.driver);
    let foreground = ForegroundRequest {
        signals: &signals,
        window: Client::window(io),
        streams: Some(io.descriptors()),
    };
    let created = engine.run_foreground(request, foreground)?;
    let (container, started) = started(created, auto_remove, io)?;
    // Who hears nothing of it can only find it again by its id.
    if client.streams.is_silent() {
        print_id(&container, driver, io);
        io.flush();
    }
    match started {
        Started::Attached(session) => follow(
            session,
            Program::OfContainer(container.id().short()),
            client.io(io, &signals),
            io,
        ),
        Started::Already | Started::Detached => Ok(Outcome::Done),
    }
}

/// Prints the id, also of a container that is gone already. One that has this program's own output must find it empty.
fn print_id(container: &Container<'_>, driver: LogDriver, io: &mut Io) {
    if driver != LogDriver::Passthrough {
        io.line(container.id().as_str());
    }
}

/// A container that was to go away by itself goes away too when it could not be started.
fn started<'e>(
    created: (Container<'e>, Result<Started<'e>, EngineError>),
    auto_remove: AutoRemove,
    io: &mut Io,
) -> Result<(Container<'e>, Started<'e>), CommandError> {
    let (container, started) = created;
    match started {
        Ok(started) => Ok((container, started)),
        Err(error) => {
            match auto_remove {
                AutoRemove::No => {}
                AutoRemove::Yes => discard(&container, io),
            }
            Err(error.into())
        }
    }
}

/// Removes the container, if somebody has not done so already. That it could not be is told beside the error that led here.
fn discard(container: &Container<'_>, io: &mut Io) {
    let removed = container.remove(RemoveRequest {
        mode: RemoveMode::Force,
        timeout_s: None,
        dependents: Dependents::Refuse,
    });
    match removed.map_err(CommandError::from) {
        Err(failed) if failed.kind() != ErrorKind::NotFound => io.error(&failed),
        Ok(_) | Err(_) => {}
    }
}
