//! What `ps` asks the engine for, from the strings of its command line.

use ctr_core::ListRequest;
use ctr_state::Status;
use ctr_sys::now_ns;

use crate::commands::ps::Args;
use crate::error::CommandError;
use crate::parse::filter::filter;
use crate::parse::format::Format;
use crate::parse::number;
use crate::render::ps::SortKey;

/// Refuses what excludes each other, and what does not exist.
pub(super) fn check(args: &Args, format: Format) -> Result<(), CommandError> {
    let refused = [
        (
            args.quiet && format == Format::Json,
            "--quiet and --format exclude each other",
        ),
        (
            args.latest && args.last.is_some(),
            "--latest and --last exclude each other",
        ),
        (args.size, "--size: sizes are not counted yet"),
        (args.pod, "--pod: pods do not exist yet"),
        (
            args.namespace,
            "--ns: namespaces are not listed yet; State.Pid of inspect leads to them: ls -l /proc/PID/ns",
        ),
    ];
    let why = refused.into_iter().find_map(|(is, why)| is.then_some(why));
    why.map_or(Ok(()), |why| Err(CommandError::failed(why)))
}

/// Only what runs, unless a number or a status is asked for.
pub(super) fn list(args: &Args) -> Result<ListRequest<'static>, CommandError> {
    let filter = filter(&args.filter, now_ns())?;
    let newest = if args.latest { Some(1) } else { last(args)? };
    let everything = args.all || newest.is_some() || filter.asks_for_status();
    Ok(ListRequest {
        statuses: if everything {
            &Status::ALL
        } else {
            &[Status::Running]
        },
        filter,
        newest,
    })
}

/// `None` without a limit, which is also what a negative number and 0 mean.
fn last(args: &Args) -> Result<Option<usize>, CommandError> {
    let Some(text) = &args.last else {
        return Ok(None);
    };
    let last: i64 = number::number("--last", text, "a number of containers")?;
    Ok(usize::try_from(last).ok().filter(|last| *last > 0))
}

pub(super) fn sort_key(word: Option<&str>) -> Result<SortKey, CommandError> {
    let parse = |word: &str| {
        let key = word.parse();
        key.map_err(|why: &str| CommandError::value("--sort", word, why))
    };
    word.map_or(Ok(SortKey::default()), parse)
}
