//! Which containers are meant: the filters of lists and of verbs on many containers.

use std::path::{Path, PathBuf};

use ctr_state::{Config, NetworkMode, ParseError, Record, RestartPolicy, Snapshot, Status};
use regex::Regex;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::policy;
use crate::summary::Summary;

const KEYS: &str = "the keys are ancestor, before, command, exited, id, label, label!, name, network, restart-policy, \
     should-start-on-boot, since, status, until and volume";

/// The word for a container whose record is damaged, so that its status cannot be told.
const UNKNOWN: &str = "unknown";

/// A predicate over containers, made of `key=value` terms.
///
/// Values of one key are alternatives (but each `label` and `label!` must hold), different keys must all hold. The default matches
/// every container. Of a container whose record is damaged only `id`, `name`, `before`, `since` and `status=unknown` can hold.
///
/// | key | value |
/// |---|---|
/// | `id` | the beginning of an id; anything that is not hexadecimal is a regular expression |
/// | `name`, `command` | a regular expression that fits a part of the name, or of the first word of the command |
/// | `label`, `label!` | a label that must, or must not, be there: `KEY` or `KEY=VALUE` |
/// | `status` | the word that users see, or `unknown`; `stopped` and `exited` are taken for the same |
/// | `exited` | an exit code of a container that has ended |
/// | `before`, `since` | a container by name or id: created before it, or after it |
/// | `ancestor` | the directory that is the root, with or without `:O` |
/// | `volume` | source or destination of a volume |
/// | `network` | `none`, `host` or `container:ID` |
/// | `restart-policy` | a restart policy, without a number of retries |
/// | `should-start-on-boot` | `true` or `false`: whether [`Engine::boot`] starts it |
///
/// `until` has many forms: a program reads it in its own and calls [`ContainerFilter::created_before`].
///
/// ```
/// let filter = ctr_core::ContainerFilter::parse(["name=^web", "status=exited", "label=tier=front"])?;
/// assert!(filter.asks_for_status());
/// # Ok::<(), ctr_core::EngineError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ContainerFilter {
    groups: Vec<Group>,
}

/// Terms of which one must hold.
#[derive(Clone, Debug)]
struct Group {
    key: String,
    terms: Vec<Term>,
}

#[derive(Clone, Debug)]
enum Term {
    IdPrefix(String),
    IdPattern(Regex),
    Name(Regex),
    Command(Regex),
    Label(Label),
    NoLabel(Label),
    /// `None`: it cannot be told.
    Status(Option<Status>),
    Exited(i32),
    Before(String),
    Since(String),
    /// Nanoseconds since 1970, exclusive.
    CreatedBefore(i64),
    CreatedAfter(i64),
    Ancestor(PathBuf),
    Volume(PathBuf),
    Network(NetworkMode),
    RestartPolicy(RestartPolicy),
    StartsOnBoot(Answer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

#[derive(Clone, Debug)]
struct Label {
    key: String,
    value: Option<String>,
}

impl ContainerFilter {
    /// A filter of all `terms`.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for the first term that is not `key=value`, has an unknown key, or a value that its key cannot have.
    pub fn parse<T: AsRef<str>>(terms: impl IntoIterator<Item = T>) -> Result<Self, EngineError> {
        let mut filter = Self::default();
        for term in terms {
            filter.add(term.as_ref())?;
        }
        Ok(filter)
    }

    /// Adds one `key=value` term.
    ///
    /// # Errors
    /// [`EngineError::Invalid`], see [`ContainerFilter::parse`].
    pub fn add(&mut self, term: &str) -> Result<(), EngineError> {
        let invalid = |why: &str| EngineError::invalid("filter", &term, why);
        let (key, value) = term
            .split_once('=')
            .ok_or_else(|| invalid("it must be KEY=VALUE"))?;
        if value.is_empty() {
            return Err(invalid("the value is empty"));
        }
        let parsed = parse_term(key, value).map_err(|why| invalid(&why))?;
        self.push(key, parsed);
        Ok(())
    }

    /// Only containers that were created before this time (nanoseconds since 1970-01-01 UTC).
    #[must_use]
    pub fn created_before(mut self, time_ns: i64) -> Self {
        self.push("until", Term::CreatedBefore(time_ns));
        self
    }

    /// Whether a term asks for a status: a list that shows only what runs shows, with such a term, what was asked for.
    pub fn asks_for_status(&self) -> bool {
        let mut terms = self.groups.iter().flat_map(|group| &group.terms);
        terms.any(|term| matches!(term, Term::Status(_)))
    }

    fn push(&mut self, key: &str, term: Term) {
        let all_must_hold = matches!(key, "label" | "label!" | "until");
        let group = self.groups.iter_mut().find(|group| group.key == key);
        match group.filter(|_| !all_must_hold) {
            Some(group) => group.terms.push(term),
            None => self.groups.push(Group {
                key: key.to_owned(),
                terms: vec![term],
            }),
        }
    }

    /// The same filter with moments in place of the containers that `before` and `since` name.
    pub(crate) fn resolved(
        &self,
        engine: &Engine,
        snapshots: &[Snapshot],
    ) -> Result<Self, EngineError> {
        let created_ns = |what: &str| {
            let container = engine.find(what)?;
            let found = snapshots
                .iter()
                .find(|snapshot| snapshot.id() == container.id());
            found
                .map(Snapshot::created_ns)
                .ok_or_else(|| EngineError::not_found(what))
        };
        let mut filter = self.clone();
        for term in filter.groups.iter_mut().flat_map(|group| &mut group.terms) {
            if let Term::Before(what) = term {
                *term = Term::CreatedBefore(created_ns(what)?);
            } else if let Term::Since(what) = term {
                *term = Term::CreatedAfter(created_ns(what)?);
            }
        }
        Ok(filter)
    }

    /// Whether the container is meant.
    pub(crate) fn matches(&self, summary: &Summary) -> bool {
        let holds = |group: &Group| group.terms.iter().any(|term| term.holds(summary));
        self.groups.iter().all(holds)
    }
}

fn parse_term(key: &str, value: &str) -> Result<Term, String> {
    Ok(match key {
        "id" if value.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Term::IdPrefix(value.to_ascii_lowercase())
        }
        "id" => Term::IdPattern(pattern(value)?),
        "name" => Term::Name(pattern(value)?),
        "command" => Term::Command(pattern(value)?),
        "label" => Term::Label(label(value)?),
        "label!" => Term::NoLabel(label(value)?),
        "status" => Term::Status(status(value)?),
        "exited" => Term::Exited(
            value
                .parse()
                .map_err(|_| "the value must be an exit code".to_owned())?,
        ),
        "before" => Term::Before(value.to_owned()),
        "since" => Term::Since(value.to_owned()),
        "ancestor" => Term::Ancestor(PathBuf::from(value.strip_suffix(":O").unwrap_or(value))),
        "volume" => Term::Volume(PathBuf::from(value)),
        "network" => Term::Network(network(value)?),
        "until" => {
            return Err("the program that asks must read the moment itself".to_owned());
        }
        "pod" => return Err("pods do not exist yet".to_owned()),
        "health" => return Err("health checks do not exist yet".to_owned()),
        "restart-policy" => Term::RestartPolicy(restart_policy(value)?),
        "should-start-on-boot" => Term::StartsOnBoot(match value {
            "true" | "1" => Answer::Yes,
            "false" | "0" => Answer::No,
            _ => return Err("the value must be true or false".to_owned()),
        }),
        _ => return Err(KEYS.to_owned()),
    })
}

fn pattern(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| {
        let text = error.to_string();
        // The lines before are a picture of the place.
        let why = text.lines().last().unwrap_or_default();
        let why = why.strip_prefix("error: ").unwrap_or(why);
        format!("the value is no regular expression: {why}")
    })
}

fn label(text: &str) -> Result<Label, String> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (text, None),
    };
    if key.is_empty() {
        return Err("the label has no key".to_owned());
    }
    Ok(Label {
        key: key.to_owned(),
        value,
    })
}

fn status(word: &str) -> Result<Option<Status>, String> {
    if word == UNKNOWN {
        return Ok(None);
    }
    word.parse().map(Some).map_err(|_| {
        let words = Status::ALL.map(|status| status.to_string()).join(", ");
        format!("the statuses are {words} and {UNKNOWN}")
    })
}

fn network(word: &str) -> Result<NetworkMode, String> {
    let joined = word
        .strip_prefix("container:")
        .and_then(|id| id.parse().ok());
    match (word, joined) {
        ("none", _) => Ok(NetworkMode::None),
        ("host", _) => Ok(NetworkMode::Host),
        (_, Some(id)) => Ok(NetworkMode::Container(id)),
        (_, None) => Err("the networks are none, host and container:FULL-ID".to_owned()),
    }
}

fn restart_policy(word: &str) -> Result<RestartPolicy, String> {
    let policy: RestartPolicy = word
        .parse()
        .map_err(|error: ParseError| error.why.to_owned())?;
    if word.contains(':') {
        return Err("the policy is given without its number of retries".to_owned());
    }
    Ok(policy)
}

impl Term {
    fn holds(&self, summary: &Summary) -> bool {
        let snapshot = summary.snapshot();
        let with = |holds: &dyn Fn(&Config) -> bool| snapshot.config().is_ok_and(holds);
        match self {
            Self::IdPrefix(prefix) => snapshot.id().as_str().starts_with(prefix),
            Self::IdPattern(pattern) => pattern.is_match(snapshot.id().as_str()),
            Self::Name(pattern) => pattern.is_match(snapshot.name().as_str()),
            Self::Status(asked) => is_status(summary.status(), *asked),
            Self::Exited(code) => has_ended_with(summary, *code),
            Self::CreatedBefore(time_ns) => snapshot.created_ns() < *time_ns,
            Self::CreatedAfter(time_ns) => snapshot.created_ns() > *time_ns,
            // Resolved before the first container is looked at.
            Self::Before(_) | Self::Since(_) => false,
            Self::Command(pattern) => with(&|config| {
                let process = &config.process;
                let mut words = process.entrypoint.iter().chain(&process.command);
                words.next().is_some_and(|word| pattern.is_match(word))
            }),
            Self::Label(label) => with(&|config| label.is_on(config)),
            Self::NoLabel(label) => with(&|config| !label.is_on(config)),
            Self::Ancestor(path) => with(&|config| config.rootfs.path == *path),
            Self::Volume(path) => with(&|config| has_volume(config, path)),
            Self::Network(network) => with(&|config| config.network == *network),
            Self::RestartPolicy(policy) => with(&|config| config.restart.name() == policy.name()),
            Self::StartsOnBoot(answer) => with(&|config| {
                let starts = |record: &Record| {
                    policy::starts_on_boot(config.restart, record.status(), record.facts())
                };
                let starts = snapshot.record().is_ok_and(starts);
                starts == (*answer == Answer::Yes)
            }),
        }
    }
}

impl Label {
    fn is_on(&self, config: &Config) -> bool {
        let found = config.labels.get(&self.key);
        match &self.value {
            Some(value) => found == Some(value),
            None => found.is_some(),
        }
    }
}

fn has_volume(config: &Config, path: &Path) -> bool {
    let mut volumes = config.volumes.iter();
    volumes.any(|volume| volume.source == path || volume.destination == path)
}

fn is_status(status: Option<Status>, asked: Option<Status>) -> bool {
    let is_over = |status: Option<Status>| matches!(status, Some(Status::Stopped | Status::Exited));
    status == asked || (is_over(status) && is_over(asked))
}

fn has_ended_with(summary: &Summary, code: i32) -> bool {
    is_status(summary.status(), Some(Status::Exited))
        && summary.exit().is_some_and(|exit| exit.code() == code)
}

#[cfg(test)]
mod tests;
