//! Commands on several containers: find all of them first, then work on each, whatever becomes of the others.

use std::collections::BTreeSet;

use ctr_core::{Container, ContainerFilter, Engine, ListRequest};
use ctr_state::Status;
use ctr_sys::now_ns;

use crate::error::{CommandError, ErrorKind, Outcome};
use crate::io::Io;
use crate::parse::cid_file;
use crate::parse::filter::filter;

/// What a command line says about which containers are meant. A verb gives what it has flags for; the rest is as in
/// [`Wanted::named`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) names: &'a [String],
    /// Files that hold the id of one container each.
    pub(crate) cid_files: &'a [String],
    /// Whether names that do not exist are skipped.
    pub(crate) ignore: bool,
    pub(crate) latest: bool,
    pub(crate) all: bool,
    pub(crate) filters: &'a [String],
    /// What the verb is for: `--all` means the containers in one of these statuses, and `--filter` those of them that match.
    pub(crate) statuses: &'a [Status],
}

/// What a name of nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// An error that ends the command before anything is done.
    Refused,
    /// Nothing to do.
    Skipped,
}

impl<'a> Wanted<'a> {
    /// These containers, and all of them must exist.
    pub(crate) fn named(names: &'a [String]) -> Self {
        Self {
            names,
            cid_files: &[],
            ignore: false,
            latest: false,
            all: false,
            filters: &[],
            statuses: &Status::ALL,
        }
    }

    /// Makes the selection. It looks at words only, so that a wrong command line is refused before anything is opened.
    ///
    /// # Errors
    /// No container is selected, or in two ways that exclude each other, or a filter is none.
    pub(crate) fn selection(self) -> Result<Selection<'a>, CommandError> {
        let ways = [
            (self.all, Way::All),
            (!self.all && !self.filters.is_empty(), Way::Filter),
            (self.latest, Way::Latest),
            (!self.cid_files.is_empty(), Way::CidFile),
            (!self.names.is_empty(), Way::Names),
        ];
        let mut used = ways
            .into_iter()
            .filter_map(|(used, way)| used.then_some(way));
        let missing = || CommandError::failed("the name or id of a container is missing");
        let first = used.next().ok_or_else(missing)?;
        if let Some(second) = used.find(|second| !(first.is_a_name() && second.is_a_name())) {
            let (first, second) = (first.words(), second.words());
            return Err(CommandError::failed(format!(
                "{first} and {second} exclude each other"
            )));
        }
        Ok(match first {
            Way::Latest => Selection::Latest,
            Way::Names | Way::CidFile => Selection::Named {
                names: self.names,
                cid_files: self.cid_files,
                unknown: if self.ignore {
                    Unknown::Skipped
                } else {
                    Unknown::Refused
                },
            },
            Way::All | Way::Filter => Selection::Every(ListRequest {
                statuses: self.statuses,
                filter: filter(self.filters, now_ns())?,
                newest: None,
            }),
        })
    }
}

/// How containers are selected.
#[derive(Clone, Copy, Debug)]
enum Way {
    All,
    Filter,
    Latest,
    CidFile,
    Names,
}

impl Way {
    /// Names and files with ids may stand beside each other, and nothing else.
    fn is_a_name(self) -> bool {
        match self {
            Self::CidFile | Self::Names => true,
            Self::All | Self::Filter | Self::Latest => false,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::All => "--all",
            Self::Filter => "--filter",
            Self::Latest => "--latest",
            Self::CidFile => "--cidfile",
            Self::Names => "names of containers",
        }
    }
}

/// What a command line selects.
#[derive(Clone, Debug)]
pub(crate) enum Selection<'a> {
    /// These.
    Named {
        names: &'a [String],
        cid_files: &'a [String],
        unknown: Unknown,
    },
    /// All of a kind, which may be none.
    Every(ListRequest<'a>),
    /// The one that was created last.
    Latest,
}

/// What a command selects that takes one container only.
#[derive(Clone, Copy, Debug)]
pub(crate) enum One<'a> {
    /// This one.
    Named(&'a str),
    /// The one that was created last.
    Latest,
}

impl<'a> Selection<'a> {
    /// The one container of `what`, a command or flag that takes no more.
    ///
    /// # Errors
    /// Anything else is selected.
    pub(crate) fn one(&self, what: &str) -> Result<One<'a>, CommandError> {
        match self {
            Self::Latest => Ok(One::Latest),
            Self::Named {
                names: [name],
                cid_files: [],
                ..
            } => Ok(One::Named(name)),
            Self::Named { .. } | Self::Every(_) => {
                Err(CommandError::failed(format!("{what} takes one container")))
            }
        }
    }
}

impl One<'_> {
    /// Finds it.
    ///
    /// # Errors
    /// As [`find`].
    pub(crate) fn find(self, engine: &Engine) -> Result<Target<'_>, CommandError> {
        match self {
            Self::Named(name) => named(engine, name),
            Self::Latest => latest(engine),
        }
    }
}

/// A container of the command line.
pub(crate) struct Target<'e> {
    /// What is printed when it is done: the words of the user, or the full id.
    pub(crate) label: String,
    pub(crate) container: Container<'e>,
    named: Named,
}

/// Whether the user named the container; one that was found may vanish without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Yes,
    No,
}

/// Finds the selected containers.
///
/// # Errors
/// An unknown name (unless it may be unknown), an ambiguous prefix, a file without an id, or `--latest` of none.
pub(crate) fn find<'e>(
    engine: &'e Engine,
    selection: &Selection<'_>,
) -> Result<Vec<Target<'e>>, CommandError> {
    let found = find_each(engine, selection)?;
    Ok(found.into_iter().flatten().collect())
}

/// The same with `None` in the place of a name that is unknown and may be.
///
/// # Errors
/// As [`find`].
pub(crate) fn find_each<'e>(
    engine: &'e Engine,
    selection: &Selection<'_>,
) -> Result<Vec<Option<Target<'e>>>, CommandError> {
    match selection {
        Selection::Named {
            names,
            cid_files,
            unknown,
        } => {
            let skip = |result: Result<Target<'e>, CommandError>| match result {
                Err(error)
                    if *unknown == Unknown::Skipped && error.kind() == ErrorKind::NotFound =>
                {
                    Ok(None)
                }
                result => result.map(Some),
            };
            let by_name = names.iter().map(|name| named(engine, name));
            let by_file = cid_files.iter().map(|file| {
                let id = cid_file::read("--cidfile", file)?;
                named(engine, id.as_str())
            });
            by_name.chain(by_file).map(skip).collect()
        }
        Selection::Every(request) => Ok(unnamed(engine, request)?.map(Some).collect()),
        Selection::Latest => latest(engine).map(|target| vec![Some(target)]),
    }
}

fn named<'e>(engine: &'e Engine, name: &str) -> Result<Target<'e>, CommandError> {
    Ok(Target {
        label: name.to_owned(),
        container: engine.find(name)?,
        named: Named::Yes,
    })
}

fn unnamed<'e>(
    engine: &'e Engine,
    request: &ListRequest<'_>,
) -> Result<impl Iterator<Item = Target<'e>>, CommandError> {
    let summaries = engine.select(request)?.into_iter();
    Ok(summaries.map(|summary| Target {
        label: summary.snapshot().id().to_string(),
        container: engine.container(summary.snapshot().id()),
        named: Named::No,
    }))
}

fn latest(engine: &Engine) -> Result<Target<'_>, CommandError> {
    let request = ListRequest {
        statuses: &Status::ALL,
        filter: ContainerFilter::default(),
        newest: Some(1),
    };
    let none = || CommandError::failed("--latest: there are no containers");
    unnamed(engine, &request)?.next().ok_or_else(none)
}

fn gone(label: &str) -> CommandError {
    let text = format!("no such container: {label} (it has just been removed)");
    CommandError::new(ErrorKind::NotFound, text)
}

/// Works on each target, once, and prints its label when done; each failure is reported at once, and the others go on.
pub(crate) fn for_each<'e>(
    targets: Vec<Target<'e>>,
    io: &mut Io,
    mut work: impl FnMut(&Target<'e>, &mut Io) -> Result<(), CommandError>,
) -> Outcome {
    let mut seen = BTreeSet::new();
    let mut failed = Vec::new();
    for target in targets {
        if !seen.insert(target.container.id().clone()) {
            continue;
        }
        match work(&target, io) {
            Ok(()) => io.line(&target.label),
            Err(error) if target.named == Named::No && error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                failed.push(error.kind());
                // It was there a moment ago, and the engine knows it by its id only.
                let error = if error.kind() == ErrorKind::NotFound {
                    gone(&target.label)
                } else {
                    error
                };
                io.error(&error);
            }
        }
    }
    Outcome::of(failed)
}

#[cfg(test)]
mod tests;
