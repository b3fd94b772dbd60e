//! The command line as a tree of plain strings, and its errors as one line.

mod lazy;
mod switches;

use std::ffi::OsString;

use clap::error::{ContextKind, ErrorKind};
use clap::{Args, Parser, Subcommand};

use crate::commands::exec::sessions;
use crate::commands::{
    Context, attach, boot, cleanup, create, doctor, events, exec, exists, export_records, history,
    info, init, inspect, kill, logs, pause, prune, ps, refresh, rename, restart, rm, run, start,
    stop, unpause, version, wait,
};
use crate::error::{CommandError, Outcome, Rule};
use crate::io::Io;
use lazy::Lazy;

/// A daemonless container engine
#[derive(Debug, Parser)]
#[command(
    name = "ctr",
    version = concat!("version ", env!("CARGO_PKG_VERSION")),
    args_override_self = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Flags that every command has, before or after its name. In lists of all flags they stand behind its own.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Directory of the durable state [default: /var/lib/ctr]
    #[arg(long, global = true, display_order = 1001, value_name = "DIR")]
    pub(crate) root: Option<String>,
    /// Directory of the volatile state [default: /run/ctr]
    #[arg(long, global = true, display_order = 1002, value_name = "DIR")]
    pub(crate) runroot: Option<String>,
    /// OCI runtime: builtin, a name such as runc or crun, or an absolute path [default: builtin]
    #[arg(long, global = true, display_order = 1003, value_name = "NAME|PATH")]
    pub(crate) runtime: Option<String>,
    /// Trace the engine on the standard error: trace, debug, info, warn or error
    #[arg(long, global = true, display_order = 1004, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Configuration file [default: /etc/ctr/ctr.toml]
    #[arg(long, global = true, display_order = 1005, value_name = "FILE")]
    pub(crate) config: Option<String>,
}

/// The commands of the first level.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    #[command(flatten)]
    Shared(Shared),
    /// Manage containers: the commands above, and a few of their own
    #[command(subcommand)]
    Container(ContainerVerb),
    /// Show what happened to containers, and what happens
    Events(Lazy<events::Args>),
    /// Start what starts on boot, and bring all records up to date
    Boot(Lazy<boot::Args>),
    /// Compare what is recorded with what is, and put right what does not fit
    #[command(after_help = doctor::CODES)]
    Doctor(Lazy<doctor::Args>),
    /// Show the engine, its runtimes and the host
    Info(Lazy<info::Args>),
    /// Look after the engine's own records
    #[command(subcommand)]
    System(SystemVerb),
    /// Show the version of this program
    Version(Lazy<version::Args>),
}

/// Commands that exist by themselves and below `container`.
#[derive(Debug, Subcommand)]
pub(crate) enum Shared {
    /// Create a container without starting it
    #[command(disable_help_flag = true)]
    Create(Lazy<create::Args>),
    /// Create a container and run a command in it
    #[command(disable_help_flag = true)]
    Run(Lazy<run::Args>),
    /// Start containers that do not run
    Start(Lazy<start::Args>),
    /// Attach to the streams of a running container
    Attach(Lazy<attach::Args>),
    /// Run a command in a running container
    Exec(Lazy<exec::Args>),
    /// Stop containers: a signal, then KILL after a time
    Stop(Lazy<stop::Args>),
    /// Stop containers and start them
    Restart(Lazy<restart::Args>),
    /// Have the runtime make containers without starting their programs
    Init(Lazy<init::Args>),
    /// Send a signal to containers
    Kill(Lazy<kill::Args>),
    /// Freeze the processes of containers
    Pause(Lazy<pause::Args>),
    /// Let the processes of paused containers go on
    Unpause(Lazy<unpause::Args>),
    /// Give a container another name
    Rename(Lazy<rename::Args>),
    /// Remove containers
    Rm(Lazy<rm::Args>),
    /// List containers
    Ps(Lazy<ps::Args>),
    /// Show all that is known about containers, as JSON
    Inspect(Lazy<inspect::Args>),
    /// Show what a container wrote
    Logs(Lazy<logs::Args>),
    /// Wait until containers end and print their exit codes
    Wait(Lazy<wait::Args>),
}

/// The commands below `container`.
#[derive(Debug, Subcommand)]
#[expect(
    clippy::large_enum_variant,
    reason = "one value in the life of a process"
)]
pub(crate) enum ContainerVerb {
    #[command(flatten)]
    Shared(Shared),
    /// Release what containers that ended still hold
    Cleanup(Lazy<cleanup::Args>),
    /// Make an exec session, to be started later
    ExecCreate(Lazy<sessions::CreateArgs>),
    /// Start an exec session
    ExecStart(Lazy<sessions::StartArgs>),
    /// Show all that is known about exec sessions, as JSON
    ExecInspect(Lazy<sessions::InspectArgs>),
    /// List exec sessions
    ExecLs(Lazy<sessions::ListArgs>),
    /// Send a signal to all processes of exec sessions
    ExecKill(Lazy<sessions::KillArgs>),
    /// Wait until exec sessions end and print their exit codes
    ExecWait(Lazy<sessions::WaitArgs>),
    /// Give the terminal of an exec session another size
    ExecResize(Lazy<sessions::ResizeArgs>),
    /// Forget exec sessions
    ExecRm(Lazy<sessions::RemoveArgs>),
    /// Ask whether a container exists: exit code 0 or 1
    Exists(Lazy<exists::Args>),
    /// Show all runs of a container: who started each, and how it ended; also of a removed one
    History(Lazy<history::Args>),
    /// Remove all containers that do not run
    Prune(Lazy<prune::Args>),
    /// Make containers anew in the status they have
    Refresh(Lazy<refresh::Args>),
    /// List containers
    #[command(alias = "list")]
    Ls(Lazy<ps::Args>),
}

/// The commands below `system`.
#[derive(Debug, Subcommand)]
pub(crate) enum SystemVerb {
    /// Compare what is recorded with what is, and put right what does not fit: as ctr doctor
    #[command(after_help = doctor::CODES)]
    Check(Lazy<doctor::Args>),
    /// Print all records as JSON, also those that cannot be read
    Export(Lazy<export_records::Args>),
}

impl Verb {
    /// The exit codes of this command.
    pub(crate) fn rule(&self) -> Rule {
        match self {
            Self::Shared(shared) | Self::Container(ContainerVerb::Shared(shared)) => shared.rule(),
            Self::Container(ContainerVerb::ExecStart(_)) => Rule::Run,
            Self::Container(
                ContainerVerb::Cleanup(_)
                | ContainerVerb::ExecCreate(_)
                | ContainerVerb::ExecInspect(_)
                | ContainerVerb::ExecLs(_)
                | ContainerVerb::ExecKill(_)
                | ContainerVerb::ExecWait(_)
                | ContainerVerb::ExecResize(_)
                | ContainerVerb::ExecRm(_)
                | ContainerVerb::Exists(_)
                | ContainerVerb::History(_)
                | ContainerVerb::Prune(_)
                | ContainerVerb::Refresh(_)
                | ContainerVerb::Ls(_),
            )
            | Self::Boot(_)
            | Self::Doctor(_)
            | Self::Events(_)
            | Self::Info(_)
            | Self::System(_)
            | Self::Version(_) => Rule::General,
        }
    }

    /// Runs the command.
    pub(crate) fn run(self, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
        match self {
            Self::Shared(shared) | Self::Container(ContainerVerb::Shared(shared)) => {
                shared.run(context, io)
            }
            Self::Container(ContainerVerb::Cleanup(args)) => cleanup::run(&args, context, io),
            Self::Container(ContainerVerb::ExecCreate(args)) => {
                sessions::create(&args, context, io)
            }
            Self::Container(ContainerVerb::ExecStart(args)) => sessions::start(&args, context, io),
            Self::Container(ContainerVerb::ExecInspect(args)) => {
                sessions::inspect(&args, context, io)
            }
            Self::Container(ContainerVerb::ExecLs(args)) => sessions::list(&args, context, io),
            Self::Container(ContainerVerb::ExecKill(args)) => sessions::kill(&args, context, io),
            Self::Container(ContainerVerb::ExecWait(args)) => sessions::wait(&args, context, io),
            Self::Container(ContainerVerb::ExecResize(args)) => sessions::resize(&args, context),
            Self::Container(ContainerVerb::ExecRm(args)) => sessions::remove(&args, context, io),
            Self::Container(ContainerVerb::Exists(args)) => exists::run(&args, context),
            Self::Container(ContainerVerb::History(args)) => history::run(&args, context, io),
            Self::Container(ContainerVerb::Prune(args)) => prune::run(&args, context, io),
            Self::Container(ContainerVerb::Refresh(args)) => refresh::run(&args, context, io),
            Self::Boot(args) => boot::run(&args, context, io),
            Self::Container(ContainerVerb::Ls(args)) => ps::run(&args, context, io),
            Self::Events(args) => events::run(&args, context, io),
            Self::Info(args) => info::run(&args, context, io),
            Self::Doctor(args) | Self::System(SystemVerb::Check(args)) => {
                doctor::run(&args, context, io)
            }
            Self::System(SystemVerb::Export(args)) => export_records::run(&args, context, io),
            Self::Version(args) => version::run(&args, io),
        }
    }
}

impl Shared {
    fn rule(&self) -> Rule {
        match self {
            Self::Run(_) | Self::Exec(_) => Rule::Run,
            Self::Rm(_) => Rule::Remove,
            Self::Create(_)
            | Self::Start(_)
            | Self::Attach(_)
            | Self::Stop(_)
            | Self::Restart(_)
            | Self::Init(_)
            | Self::Kill(_)
            | Self::Pause(_)
            | Self::Unpause(_)
            | Self::Rename(_)
            | Self::Ps(_)
            | Self::Inspect(_)
            | Self::Logs(_)
            | Self::Wait(_) => Rule::General,
        }
    }

    fn run(self, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
        match self {
            Self::Create(args) => create::run(&args, context, io),
            Self::Run(args) => run::run(&args, context, io),
            Self::Start(args) => start::run(&args, context, io),
            Self::Attach(args) => attach::run(&args, context, io),
            Self::Exec(args) => exec::run(&args, context, io),
            Self::Stop(args) => stop::run(&args, context, io),
            Self::Restart(args) => restart::run(&args, context, io),
            Self::Init(args) => init::run(&args, context, io),
            Self::Kill(args) => kill::run(&args, context, io),
            Self::Pause(args) => pause::run(&args, context, io),
            Self::Unpause(args) => unpause::run(&args, context, io),
            Self::Rename(args) => rename::run(&args, context),
            Self::Rm(args) => rm::run(&args, context, io),
            Self::Ps(args) => ps::run(&args, context, io),
            Self::Inspect(args) => inspect::run(&args, context, io),
            Self::Logs(args) => logs::run(&args, context, io),
            Self::Wait(args) => wait::run(&args, context, io),
        }
    }
}

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// A command.
    Command(Box<Cli>),
    /// Text to print: help or the version.
    Text(String),
}

/// Parses the arguments of the process, the program's name first.
///
/// # Errors
/// A usage error on one line, with clap's tip or the way to the help as the hint.
pub(crate) fn parse(args: &[OsString]) -> Result<Parsed, CommandError> {
    match Cli::try_parse_from(args) {
        Ok(cli) => Ok(Parsed::Command(Box::new(cli))),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            ) =>
        {
            Ok(Parsed::Text(error.render().to_string()))
        }
        Err(error) => {
            let wrong = |line: &[OsString]| Cli::try_parse_from(line).err();
            match switches::without_values(args, &error, &wrong) {
                Some(line) => parse(&line),
                None => Err(usage(&error)),
            }
        }
    }
}

/// Clap's message without its layout: the first paragraph on one line.
fn usage(error: &clap::Error) -> CommandError {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
    ) {
        return CommandError::failed("a command is missing").hint("--help lists the commands");
    }
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or(&text);
    let line: Vec<&str> = first.split('\n').map(str::trim).collect();
    let line = line.join(" ");
    let message = CommandError::failed(line.strip_prefix("error: ").unwrap_or(&line));
    match suggestion(error) {
        Some(words) => message.hint(format!("did you mean {words}?")),
        None => message.hint("--help after a command shows its options"),
    }
}

fn suggestion(error: &clap::Error) -> Option<String> {
    let kinds = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ];
    kinds
        .into_iter()
        .find_map(|kind| error.get(kind))
        .map(ToString::to_string)
}

#[cfg(test)]
mod tests;
