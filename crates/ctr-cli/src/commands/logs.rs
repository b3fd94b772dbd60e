//! `logs`: what containers wrote, stream by stream, byte by byte.

use ctr_core::{Container, FollowLog, LogRequest};

use crate::commands::Context;
use crate::commands::targets::{Wanted, find};
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::{number, time};
use crate::render::logs::{LogWriter, Times};

#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of a command line: each is there or not"
)]
pub(crate) struct Args {
    /// Wait for more, until the containers end
    #[arg(short, long)]
    follow: bool,
    /// Show what was written from this time on (RFC 3339, seconds since 1970, or a duration before now)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Show what was written before this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Show this many lines from the end [default: all]
    #[arg(short = 'n', long, value_name = "LINES", allow_negative_numbers = true)]
    tail: Option<String>,
    /// Put the time before each line
    #[arg(short, long)]
    timestamps: bool,
    /// Put the container's name before each line
    #[arg(long)]
    names: bool,
    /// The container that was created last
    #[arg(short, long)]
    latest: bool,
    /// Names or ids; with several, each line begins with the id
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Copies the logs to the two output streams.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let now = ctr_sys::now_ns();
    let since = args.since.as_deref();
    let since_ns = since.map(|text| time::moment("--since", text, now));
    // Who follows means a duration from now on, who looks back one before now.
    let moment = if args.follow {
        time::moment_ahead
    } else {
        time::moment
    };
    let until = args.until.as_deref();
    let until = until.map(|text| moment("--until", text, now));
    let (since_ns, until_ns) = (since_ns.transpose()?, until.transpose()?);
    let tail = tail(args.tail.as_deref())?;
    let wanted = Wanted {
        latest: args.latest,
        ..Wanted::named(&args.containers)
    };
    let selection = wanted.selection()?;
    let engine = context.open()?;
    let targets = find(&engine, &selection)?.into_iter();
    let containers: Vec<Container<'_>> = targets.map(|target| target.container).collect();
    let mut writer = LogWriter::new(labels(args, &containers)?, times(args));
    let [_, output, _] = io.descriptors();
    let request = LogRequest {
        since_ns,
        until_ns,
        tail,
        follow: if args.follow {
            FollowLog::Yes {
                output: Some(output),
            }
        } else {
            FollowLog::No
        },
    };
    for event in engine.logs(&containers, request)? {
        match event {
            Ok(event) => writer.take(event, io),
            Err(error) => {
                writer.write(io);
                return Err(error.into());
            }
        }
        if io.is_closed() {
            break;
        }
    }
    writer.write(io);
    Ok(Outcome::Done)
}

/// What the lines of each container begin with.
fn labels(args: &Args, containers: &[Container<'_>]) -> Result<Vec<Option<String>>, CommandError> {
    let label = |container: &Container<'_>| match (args.names, containers.len()) {
        (true, _) => Ok(Some(container.name()?)),
        (false, 0 | 1) => Ok(None),
        (false, _) => Ok(Some(container.id().short().to_owned())),
    };
    containers.iter().map(label).collect()
}

fn times(args: &Args) -> Times {
    if args.timestamps {
        Times::Shown
    } else {
        Times::Hidden
    }
}

/// All lines without the flag, and with a negative number, as podman has it.
fn tail(text: Option<&str>) -> Result<Option<usize>, CommandError> {
    let lines: Option<i64> = text
        .filter(|text| *text != "all")
        .map(|text| {
            number::number(
                "--tail",
                text,
                "a number of lines, or all (--names has no short form)",
            )
        })
        .transpose()?;
    Ok(lines.and_then(|lines| usize::try_from(lines).ok()))
}
