//! Commands on several containers: find all of them first, then work on each, whatever becomes of the others.

use ctr_core::{Container, Engine, Summary};
use ctr_state::Status;

use crate::error::{CommandError, ErrorKind, Outcome};
use crate::io::Io;

/// What the names of a command line select.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Selection<'a> {
    /// Exactly these, and an unknown one ends the command before anything is done.
    Named(&'a [String]),
    /// Those of these that exist.
    Known(&'a [String]),
    /// All whose status is one of these.
    Every(&'a [Status]),
}

/// A container of the command line.
pub(crate) struct Target<'e> {
    /// What is printed when it is done: the words of the user, or the full id.
    pub(crate) label: String,
    pub(crate) container: Container<'e>,
    named: Named,
}

/// Whether the user named the container; one that `--all` found may vanish without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Yes,
    No,
}

/// Makes the selection of `--all` and names.
///
/// # Errors
/// Names beside `--all`, or neither.
pub(crate) fn selection<'a>(
    names: Selection<'a>,
    all: Option<&'a [Status]>,
) -> Result<Selection<'a>, CommandError> {
    let (Selection::Named(list) | Selection::Known(list)) = names else {
        return Ok(names);
    };
    match (list.is_empty(), all) {
        (false, None) => Ok(names),
        (true, Some(statuses)) => Ok(Selection::Every(statuses)),
        (false, Some(_)) => Err(CommandError::failed(
            "--all and names of containers exclude each other",
        )),
        (true, None) => Err(CommandError::failed(
            "the name or id of a container is missing",
        )),
    }
}

/// Finds the selected containers.
///
/// # Errors
/// An unknown name (unless it may be unknown) or an ambiguous prefix.
pub(crate) fn find<'e>(
    engine: &'e Engine,
    selection: Selection<'_>,
) -> Result<Vec<Target<'e>>, CommandError> {
    match selection {
        Selection::Named(names) => names.iter().map(|name| named(engine, name)).collect(),
        Selection::Known(names) => {
            let found = names.iter().map(|name| named(engine, name));
            found.filter(|target| !is_unknown(target)).collect()
        }
        Selection::Every(statuses) => {
            let all = engine
                .list()?
                .into_iter()
                .filter(|summary| is_one_of(summary, statuses));
            let found = all.map(|summary| {
                let label = summary.snapshot().id().to_string();
                let container = engine.find(&label)?;
                Ok(Target {
                    label,
                    container,
                    named: Named::No,
                })
            });
            found.filter(|target| !is_unknown(target)).collect()
        }
    }
}

/// A container with a damaged record may be in any status: it is one of all, and of nothing less.
fn is_one_of(summary: &Summary, statuses: &[Status]) -> bool {
    match summary.status() {
        Some(status) => statuses.contains(&status),
        None => statuses.len() == Status::COUNT,
    }
}

fn named<'e>(engine: &'e Engine, name: &str) -> Result<Target<'e>, CommandError> {
    Ok(Target {
        label: name.to_owned(),
        container: engine.find(name)?,
        named: Named::Yes,
    })
}

fn is_unknown<T>(result: &Result<T, CommandError>) -> bool {
    result
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Works on each target and prints its label when done; each failure is reported at once, and the others go on.
pub(crate) fn for_each<'e>(
    targets: Vec<Target<'e>>,
    io: &mut Io,
    mut work: impl FnMut(&Target<'e>, &mut Io) -> Result<(), CommandError>,
) -> Outcome {
    let mut failed = Vec::new();
    for target in targets {
        let result = work(&target, io);
        if target.named == Named::No && is_unknown(&result) {
            continue;
        }
        match result {
            Ok(()) => io.line(&target.label),
            Err(error) => {
                io.error(&error);
                failed.push(error.kind());
            }
        }
    }
    if failed.is_empty() {
        Outcome::Done
    } else {
        Outcome::Partly(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_names_but_not_both() {
        let names = ["a".to_owned()];
        let check = |names, all| selection(Selection::Named(names), all);
        assert!(matches!(check(&names, None), Ok(Selection::Named(_))));
        assert!(matches!(check(&[], Some(&[])), Ok(Selection::Every(_))));
        assert!(
            check(&names, Some(&[]))
                .unwrap_err()
                .message()
                .contains("exclude")
        );
        assert!(check(&[], None).unwrap_err().message().contains("missing"));
    }
}
