//! `logs`: what a container wrote, stream by stream, byte by byte.

use ctr_core::{LogLine, LogRequest, LogStream, Partial};

use crate::commands::Context;
use crate::error::{CommandError, Outcome};
use crate::io::{Io, Stream};
use crate::parse::number;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show this many lines from the end
    #[arg(long, value_name = "LINES", allow_negative_numbers = true)]
    tail: Option<String>,
    /// Put the time before each line
    #[arg(short, long)]
    timestamps: bool,
    /// Name or id
    #[arg(value_name = "CONTAINER")]
    names: Vec<String>,
}

/// Copies the log to the two output streams.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let [name] = &args.names[..] else {
        return Err(CommandError::failed("logs takes one container"));
    };
    let tail = tail(args.tail.as_deref())?;
    let engine = context.open()?;
    let mut begins = [true; 2];
    for line in engine.find(name)?.logs(LogRequest { tail })? {
        let line = line?;
        let (stream, begin) = match line.stream {
            LogStream::Stdout => (Stream::Stdout, &mut begins[0]),
            LogStream::Stderr => (Stream::Stderr, &mut begins[1]),
        };
        let time = (args.timestamps && *begin).then_some(&*line.time_text);
        *begin = matches!(line.partial, Partial::Full);
        io.bytes(stream, &text(&line, time));
        if io.is_closed() {
            break;
        }
    }
    Ok(Outcome::Done)
}

/// The bytes of a record; the pieces of a long line follow each other without a line end.
fn text(line: &LogLine, time: Option<&str>) -> Vec<u8> {
    let mut bytes = time
        .map(|time| format!("{time} ").into_bytes())
        .unwrap_or_default();
    bytes.extend_from_slice(&line.bytes);
    match line.partial {
        Partial::Full => bytes.push(b'\n'),
        Partial::Partial => {}
    }
    bytes
}

/// All lines without the flag, and with a negative number, as podman has it.
fn tail(text: Option<&str>) -> Result<Option<usize>, CommandError> {
    let lines: Option<i64> = text
        .map(|text| number::number("--tail", text, "a number of lines"))
        .transpose()?;
    Ok(lines.and_then(|lines| usize::try_from(lines).ok()))
}
