//! The sessions of exec as objects: `container exec-create`, `-start`, `-ls`, `-inspect`, `-kill`, `-wait`, `-resize`, `-rm`.

use ctr_core::{Container, Engine, ExecAttach, ExecInspect, ExecSignal, RemoveMode, SignalScope};
use ctr_exec::WindowSize;
use ctr_exec::session::SessionId;

use super::options::{ProcessOptions, StartOptions};
use super::streams::Inherited;
use super::{ExecClientOptions, What, attached, client, foreground};
use crate::commands::client::Use;
use crate::commands::foreground::why;
use crate::commands::{Context, targets};
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::format::{Format, format};
use crate::parse::number;
use crate::render::json::pretty;
use crate::render::table::Table;
use crate::signals;

#[derive(Debug, clap::Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    process: ProcessOptions,
    /// Keys by which a client leaves: single characters or ctrl-X, separated by commas [default: none]
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    #[command(flatten)]
    what: What,
}

/// Makes a session and prints its id.
pub(crate) fn create(
    args: &CreateArgs,
    context: &Context,
    io: &mut Io,
) -> Result<Outcome, CommandError> {
    let (selected, command) = args.what.split()?;
    let options = ExecClientOptions {
        detach_keys: args.detach_keys.clone(),
        sig_proxy: None,
    };
    let client = client(&options, args.process.stdin(), context)?;
    let request = args.process.request(command, &client, context)?;
    let engine = context.open()?;
    let id = selected.find(&engine)?.container.create_exec(&request)?;
    io.line(id.as_str());
    Ok(Outcome::Done)
}

#[derive(Debug, clap::Args)]
pub(crate) struct StartArgs {
    /// Start it in the background
    #[arg(short, long)]
    detach: bool,
    /// Do not pass the standard input on
    #[arg(long)]
    no_stdin: bool,
    #[command(flatten)]
    start: StartOptions,
    #[command(flatten)]
    client: ExecClientOptions,
    /// Id of the session, or its beginning
    #[arg(value_name = "SESSION")]
    sessions: Vec<String>,
}

/// Starts a session; in the foreground the exit code is that of its command.
pub(crate) fn start(
    args: &StartArgs,
    context: &Context,
    io: &mut Io,
) -> Result<Outcome, CommandError> {
    let inherited = Inherited::take(&args.start)?;
    let plan = args.start.plan()?;
    let id = one(&args.sessions, "exec-start")?;
    let signals = signals::block()?;
    let engine = context.open()?;
    let (container, id) = engine.find_exec(id)?;
    let made = container.inspect_exec(&id)?;
    let options = ExecClientOptions {
        detach_keys: args.client.detach_keys.clone().or(Some(made.detach_keys)),
        ..args.client.clone()
    };
    let stdin = if made.open_stdin && !args.no_stdin {
        Use::Yes
    } else {
        Use::No
    };
    let client = client(&options, stdin, context)?;
    let attach = if args.detach {
        ExecAttach::None
    } else {
        attached(&client, plan, io)
    };
    let start = plan.start(attach, inherited.preserved());
    let started = container.start_exec(&id, &start)?;
    foreground(started, &container, &client, &signals, io)
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Form of the output: json
    #[arg(short, long)]
    format: Option<String>,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
    /// Names or ids of containers [default: all]
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Lists sessions, oldest first.
pub(crate) fn list(
    args: &ListArgs,
    context: &Context,
    io: &mut Io,
) -> Result<Outcome, CommandError> {
    let format = format(args.format.as_deref())?;
    let engine = context.open()?;
    let mut sessions = Vec::new();
    for container in containers(&args.names, &engine)? {
        sessions.extend(container.exec_sessions()?);
    }
    sessions.sort_by_key(|session| session.created_ns);
    match (args.quiet, format) {
        (true, _) => sessions.iter().for_each(|session| io.line(&session.id)),
        (false, Format::Json) => io.block(&pretty(&sessions)?),
        (false, Format::Text) => io.block(&table(&sessions)),
    }
    Ok(Outcome::Done)
}

fn containers<'e>(
    names: &[String],
    engine: &'e Engine,
) -> Result<Vec<Container<'e>>, CommandError> {
    if names.is_empty() {
        let all = engine.list()?;
        return Ok(all
            .iter()
            .map(|one| engine.container(one.snapshot().id()))
            .collect());
    }
    let selection = targets::Wanted::named(names).selection()?;
    let found = targets::find(engine, &selection)?;
    Ok(found.into_iter().map(|target| target.container).collect())
}

fn table(sessions: &[ExecInspect]) -> String {
    let mut table = Table::new(&["SESSION ID", "CONTAINER ID", "STATE", "PID", "COMMAND"]);
    let short = |id: &str| id.chars().take(12).collect::<String>();
    for session in sessions {
        let process = &session.process_config;
        let mut command = vec![process.entrypoint.as_str()];
        command.extend(process.arguments.iter().map(String::as_str));
        let state = match session.state.as_str() {
            "ended" => format!("ended ({})", session.exit_code),
            other => other.to_owned(),
        };
        table.row(&[
            &short(&session.id),
            &short(&session.container_id),
            &state,
            &session.pid.to_string(),
            &command.join(" "),
        ]);
    }
    table.render()
}

#[derive(Debug, clap::Args)]
pub(crate) struct InspectArgs {
    /// Form of the output: json
    #[arg(short, long)]
    format: Option<String>,
    /// Ids of sessions, or their beginnings
    #[arg(value_name = "SESSION")]
    sessions: Vec<String>,
}

/// Prints an array of those that could be read; the others are errors.
pub(crate) fn inspect(
    args: &InspectArgs,
    context: &Context,
    io: &mut Io,
) -> Result<Outcome, CommandError> {
    format(args.format.as_deref())?;
    some(&args.sessions)?;
    let engine = context.open()?;
    let mut views = Vec::new();
    let mut failed = Vec::new();
    for what in &args.sessions {
        let found = engine.find_exec(what);
        match found.and_then(|(container, id)| container.inspect_exec(&id)) {
            Ok(view) => views.push(view),
            Err(error) => failed.push(CommandError::from(error)),
        }
    }
    io.block(&pretty(&views)?);
    for error in &failed {
        io.error(error);
    }
    Ok(Outcome::of(failed.iter().map(CommandError::kind).collect()))
}

#[derive(Debug, clap::Args)]
pub(crate) struct KillArgs {
    /// Signal, by name or number
    #[arg(short, long, default_value = "KILL")]
    signal: String,
    /// Send it to the session's own process only, not to all that it has started
    #[arg(long)]
    process: bool,
    /// Ids of sessions, or their beginnings
    #[arg(value_name = "SESSION")]
    sessions: Vec<String>,
}

/// Sends a signal to each.
pub(crate) fn kill(
    args: &KillArgs,
    context: &Context,
    io: &mut Io,
) -> Result<Outcome, CommandError> {
    let order = ExecSignal {
        signal: number::signal("--signal", &args.signal)?,
        scope: if args.process {
            SignalScope::Process
        } else {
            SignalScope::All
        },
    };
    for_each(&args.sessions, context, io, |container, id, io| {
        container.signal_exec(id, order)?;
        io.line(id.as_str());
        Ok(())
    })
}

#[derive(Debug, clap::Args)]
pub(crate) struct WaitArgs {
    /// Ids of sessions, or their beginnings
    #[arg(value_name = "SESSION")]
    sessions: Vec<String>,
}

/// Prints one code a line; -1 for one that nobody knows, with the reason on the standard error.
pub(crate) fn wait(
    args: &WaitArgs,
    context: &Context,
    io: &mut Io,
) -> Result<Outcome, CommandError> {
    for_each(&args.sessions, context, io, |container, id, io| {
        let info = container.wait_exec(id)?;
        let code = info.code();
        if code < 0 {
            let short = id.short();
            io.warning(&format!(
                "{short}: the exit code is unknown: {}",
                why(&info)
            ));
        }
        io.line(&code.to_string());
        Ok(())
    })
}

#[derive(Debug, clap::Args)]
pub(crate) struct ResizeArgs {
    /// Lines
    #[arg(long, value_name = "NUMBER")]
    height: String,
    /// Characters in a line
    #[arg(long, value_name = "NUMBER")]
    width: String,
    /// Id of the session, or its beginning
    #[arg(value_name = "SESSION")]
    sessions: Vec<String>,
}

/// Gives the terminal of a session another size.
pub(crate) fn resize(args: &ResizeArgs, context: &Context) -> Result<Outcome, CommandError> {
    let allowed = "a number from 0 to 65535";
    let size = WindowSize {
        rows: number::number("--height", &args.height, allowed)?,
        columns: number::number("--width", &args.width, allowed)?,
    };
    let id = one(&args.sessions, "exec-resize")?;
    let engine = context.open()?;
    let (container, id) = engine.find_exec(id)?;
    container.resize_exec(&id, size)?;
    Ok(Outcome::Done)
}

#[derive(Debug, clap::Args)]
pub(crate) struct RemoveArgs {
    /// Kill those that run, with all processes that they have started
    #[arg(short, long)]
    force: bool,
    /// Ids of sessions, or their beginnings
    #[arg(value_name = "SESSION")]
    sessions: Vec<String>,
}

/// Forgets sessions that have ended or were never started.
pub(crate) fn remove(
    args: &RemoveArgs,
    context: &Context,
    io: &mut Io,
) -> Result<Outcome, CommandError> {
    let mode = if args.force {
        RemoveMode::Force
    } else {
        RemoveMode::Normal
    };
    for_each(&args.sessions, context, io, |container, id, io| {
        container.remove_exec(id, mode)?;
        io.line(id.as_str());
        Ok(())
    })
}

/// Finds all first, then works on each, whatever becomes of the others.
fn for_each(
    sessions: &[String],
    context: &Context,
    io: &mut Io,
    mut work: impl FnMut(&Container<'_>, &SessionId, &mut Io) -> Result<(), CommandError>,
) -> Result<Outcome, CommandError> {
    some(sessions)?;
    let engine = context.open()?;
    let found = sessions.iter().map(|what| engine.find_exec(what));
    let found = found.collect::<Result<Vec<_>, _>>()?;
    let mut failed = Vec::new();
    for (container, id) in found {
        if let Err(error) = work(&container, &id, io) {
            failed.push(error.kind());
            io.error(&error);
        }
    }
    Ok(Outcome::of(failed))
}

fn some(sessions: &[String]) -> Result<(), CommandError> {
    if sessions.is_empty() {
        return Err(CommandError::failed("the id of an exec session is missing"));
    }
    Ok(())
}

fn one<'a>(sessions: &'a [String], what: &str) -> Result<&'a str, CommandError> {
    some(sessions)?;
    match sessions {
        [one] => Ok(one),
        _ => Err(CommandError::failed(format!("{what} takes one session"))),
    }
}
