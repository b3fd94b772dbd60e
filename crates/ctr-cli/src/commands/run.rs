//! `run`: `create` and `start` in one; in the foreground it stays until the container ends and has its exit code.

use ctr_core::{Attach, Container, EngineError, RemoveMode, RemoveRequest, StartRequest, Started};
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
    if args.detach {
        let engine = context.open()?;
        let auto_remove = request.auto_remove;
        let created = engine.run(
            request,
            StartRequest {
                attach: Attach::None,
            },
        )?;
        let (container, _) = started(created, auto_remove, io)?;
        io.line(container.id().as_str());
        return Ok(Outcome::Done);
    }
    // Before anything exists: one that asks to end has the making taken back, later ones are for the container.
    let signals = signals::block()?;
    let (stdin, auto_remove) = (request.stdin, request.auto_remove);
    let engine = context.open()?;
    let created = engine.run_foreground(request, &signals)?;
    let (container, started) = started(created, auto_remove, io)?;
    let foreground = Foreground {
        name: container.id().short(),
        stdin,
        signals: &signals,
    };
    foreground.follow(started, io)
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
    });
    match removed.map_err(CommandError::from) {
        Err(failed) if failed.kind() != ErrorKind::NotFound => io.error(&failed),
        Ok(_) | Err(_) => {}
    }
}
