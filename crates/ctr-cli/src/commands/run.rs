//! `run`: `create` and `start` in one; in the foreground it stays until the container ends and has its exit code.

use ctr_core::{Attach, Container, RemoveMode, RemoveRequest, StartRequest};
use ctr_state::AutoRemove;

use crate::commands::Context;
use crate::commands::create_options::CreateOptions;
use crate::commands::create_request::request;
use crate::commands::foreground::Foreground;
use crate::error::{CommandError, ErrorKind, Outcome};
use crate::io::Io;
use crate::signals;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run in the background and print the id
    #[arg(short, long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) options: CreateOptions,
}

/// Creates the container and starts it.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let request = request(&args.options, context)?;
    let (auto_remove, stdin) = (request.auto_remove, request.stdin);
    if args.detach {
        let engine = context.open()?;
        let container = engine.create(request)?;
        let started = container.start(StartRequest {
            attach: Attach::None,
        });
        started.map_err(|error| discard(&container, auto_remove, io, error.into()))?;
        io.line(container.id().as_str());
        return Ok(Outcome::Done);
    }
    // Before anything exists: a signal that comes while the container is made is for the container.
    let signals = signals::block()?;
    let engine = context.open()?;
    let container = engine.create(request)?;
    let started = container.start(StartRequest {
        attach: Attach::Streams,
    });
    let started = started.map_err(|error| discard(&container, auto_remove, io, error.into()))?;
    let foreground = Foreground {
        name: container.id().short(),
        stdin,
        signals: &signals,
    };
    foreground.follow(started, io)
}

/// A container that was to go away by itself goes away too when it could not be started.
fn discard(
    container: &Container<'_>,
    auto_remove: AutoRemove,
    io: &mut Io,
    error: CommandError,
) -> CommandError {
    match auto_remove {
        AutoRemove::No => {}
        AutoRemove::Yes => {
            let removed = container.remove(RemoveRequest {
                mode: RemoveMode::Force,
                timeout_s: None,
            });
            match removed.map_err(CommandError::from) {
                Err(failed) if failed.kind() != ErrorKind::NotFound => io.error(&failed),
                Ok(_) | Err(_) => {}
            }
        }
    }
    error
}
