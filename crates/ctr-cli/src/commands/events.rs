//! `events`: what happened to containers, and what happens.

use ctr_core::{EventsFollow, EventsFrom, EventsNext, EventsRequest};
use ctr_events::{Cursor, Filter};
use ctr_sys::now_ns;

use crate::commands::Context;
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::boolean::optional;
use crate::parse::format::{Format, format};
use crate::parse::time::{moment, moment_ahead};
use crate::render::events::{json, line};
use crate::render::ps::Width;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Begin with the events since this time (2026-11-25T17:04:05Z), or since so long ago (10m)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// End with the events until this time, or in so long (10m)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// Begin after the event of this number, the cursor of a reader that has seen it
    #[arg(long, value_name = "NUMBER", conflicts_with = "since")]
    after: Option<String>,
    /// Only events that fit: container=NAME, event=KIND, image=DIR, label=KEY[=VALUE], type=container
    #[arg(short, long, value_name = "KEY=VALUE", action = clap::ArgAction::Append)]
    filter: Vec<String>,
    /// Form of the output: json, one object a line
    #[arg(long)]
    format: Option<String>,
    /// Do not shorten ids (true unless it is set to false)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    no_trunc: Option<String>,
    /// Wait for more events after those that are there (true unless it is set to false)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    stream: Option<String>,
    /// The same as --stream=false
    #[arg(long, conflicts_with = "stream")]
    no_stream: bool,
}

/// Prints events until the end that was asked for, or until nobody reads them any more.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let request = request(args, now_ns())?;
    let format = format(args.format.as_deref())?;
    let width = if optional("--no-trunc", args.no_trunc.as_deref())?.unwrap_or(true) {
        Width::Full
    } else {
        Width::Short
    };
    let engine = context.open()?;
    let mut events = engine.events(request)?;
    while !io.is_closed() {
        let [_, output, _] = io.descriptors();
        let event = match events.next(Some(output))? {
            EventsNext::Event(event) => event,
            EventsNext::End | EventsNext::ReaderGone => break,
        };
        match format {
            Format::Json => io.block(&json(&event)?),
            Format::Text => io.line(&line(&event, width)),
        }
    }
    Ok(Outcome::Done)
}

/// Whatever asks for the past begins with the oldest event; without any of it, a stream begins now.
fn request(args: &Args, now_ns: i64) -> Result<EventsRequest, CommandError> {
    let since_ns = args.since.as_deref();
    let since_ns = since_ns.map(|text| moment("--since", text, now_ns));
    let until_ns = args.until.as_deref();
    let until_ns = until_ns.map(|text| moment_ahead("--until", text, now_ns));
    let follow = if optional("--stream", args.stream.as_deref())?.unwrap_or(true) && !args.no_stream
    {
        EventsFollow::Yes
    } else {
        EventsFollow::No
    };
    let past = since_ns.is_some() || until_ns.is_some() || follow == EventsFollow::No;
    let from = match args.after.as_deref() {
        Some(text) => EventsFrom::After(cursor(text)?),
        None if past => EventsFrom::Oldest,
        None => EventsFrom::Now,
    };
    let filter = Filter::parse(&args.filter);
    Ok(EventsRequest {
        from,
        since_ns: since_ns.transpose()?,
        until_ns: until_ns.transpose()?,
        filter: filter.map_err(|refused| CommandError::flag("--filter", refused))?,
        follow,
    })
}

fn cursor(text: &str) -> Result<Cursor, CommandError> {
    let why = "must be the number of an event; 0 begins with the oldest that is kept";
    text.parse()
        .map_err(|_| CommandError::value("--after", text, why))
}
