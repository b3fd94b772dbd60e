//! The command line that runc, crun and youki share, as data.

mod exec;
mod update;
mod words;

use std::ffi::OsString;
use std::path::PathBuf;

use ctr_oci::{DeleteMode, KillScope};
use ctr_sys::Signal;

pub(super) use self::exec::{Changes, Executable, Execution};
pub(super) use self::update::{Limits, Update};
use self::words::{Words, plain, required, set_once, split, unknown};

/// Where state is kept when `--root` is not given.
const DEFAULT_ROOT: &str = "/run/ctr-oci-runtime";

/// How lines of the log file look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// What comes before the verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Global {
    pub(crate) root: PathBuf,
    pub(crate) log: Option<PathBuf>,
    pub(crate) log_format: LogFormat,
}

/// Whether a verb waits for the process that it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attachment {
    /// Its exit code is that of the command; signals are passed on.
    Foreground,
    /// The command ends when the process runs.
    Detached,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListFormat {
    Table,
    Json,
    /// The ids alone.
    Ids,
}

/// A container that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Creation {
    pub(crate) id: String,
    pub(crate) bundle: PathBuf,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) console: Option<PathBuf>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verb {
    Create(Creation),
    Run {
        creation: Creation,
        attachment: Attachment,
    },
    Exec(Execution),
    Pause {
        id: String,
    },
    Resume {
        id: String,
    },
    Update(Update),
    Ps {
        id: String,
        format: ListFormat,
    },
    List {
        format: ListFormat,
    },
    Start {
        id: String,
    },
    State {
        id: String,
    },
    Kill {
        id: String,
        signal: Signal,
        scope: KillScope,
    },
    Delete {
        id: String,
        mode: DeleteMode,
    },
    Features,
    Version,
    Help,
}

impl Verb {
    /// The word on the command line.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Run { .. } => "run",
            Self::Exec(_) => "exec",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Update(_) => "update",
            Self::Ps { .. } => "ps",
            Self::List { .. } => "list",
            Self::Start { .. } => "start",
            Self::State { .. } => "state",
            Self::Kill { .. } => "kill",
            Self::Delete { .. } => "delete",
            Self::Features => "features",
            Self::Version => "--version",
            Self::Help => "--help",
        }
    }
}

/// Splits the arguments (without the program's name) into what comes before the verb, and the verb. The global part is returned even
/// when the verb is wrong: it says where the error is logged.
pub(crate) fn parse(arguments: Vec<OsString>) -> (Global, Result<Verb, String>) {
    let mut global = Global {
        root: DEFAULT_ROOT.into(),
        log: None,
        log_format: LogFormat::Text,
    };
    let mut words = Words(arguments.into());
    let verb = parse_global(&mut words, &mut global).and_then(|verb| match verb {
        BeforeVerb::Verb(word) => parse_verb(&word, words),
        BeforeVerb::Version => Ok(Verb::Version),
        BeforeVerb::Help => Ok(Verb::Help),
    });
    (global, verb)
}

enum BeforeVerb {
    Verb(String),
    Version,
    Help,
}

fn parse_global(words: &mut Words, global: &mut Global) -> Result<BeforeVerb, String> {
    while let Some(word) = words.next_text()? {
        if !word.starts_with('-') {
            return Ok(BeforeVerb::Verb(word));
        }
        let (name, value) = split(&word);
        match name {
            "--root" => global.root = words.value(name, value)?.into(),
            "--log" => global.log = Some(words.value(name, value)?.into()),
            "--log-format" => {
                global.log_format = match words.text(name, value)?.as_str() {
                    "json" => LogFormat::Json,
                    "text" => LogFormat::Text,
                    other => return Err(format!("--log-format {other:?}: must be text or json")),
                }
            }
            // There is nothing that only debugging would log.
            "--debug" => plain(name, value)?,
            "--systemd-cgroup" if value == Some("false") => {}
            "--systemd-cgroup" => return Err(format!("{name}: only cgroupfs is supported")),
            "--cgroup-manager" => {
                let manager = words.text(name, value)?;
                if manager != "cgroupfs" {
                    return Err(format!("{name} {manager:?}: only cgroupfs is supported"));
                }
            }
            "--rootless" => {
                let rootless = words.text(name, value)?;
                if !["auto", "false"].contains(&rootless.as_str()) {
                    return Err(format!("{name} {rootless:?}: must be auto or false"));
                }
            }
            "--version" | "-v" => return Ok(BeforeVerb::Version),
            "--help" | "-h" => return Ok(BeforeVerb::Help),
            other => return Err(unknown(other)),
        }
    }
    Err("a verb is missing; see --help".to_owned())
}

fn parse_verb(verb: &str, mut words: Words) -> Result<Verb, String> {
    let parsed = match verb {
        "create" => parse_create(&mut words)?,
        "run" => parse_run(&mut words)?,
        "exec" => Verb::Exec(exec::parse(&mut words)?),
        "start" => Verb::Start {
            id: words.only_id(verb)?,
        },
        "state" => Verb::State {
            id: words.only_id(verb)?,
        },
        "pause" => Verb::Pause {
            id: words.only_id(verb)?,
        },
        "resume" => Verb::Resume {
            id: words.only_id(verb)?,
        },
        "update" => Verb::Update(update::parse(&mut words)?),
        "ps" => parse_ps(&mut words)?,
        "list" => parse_list(&mut words)?,
        "kill" => parse_kill(&mut words)?,
        "delete" => parse_delete(&mut words)?,
        "features" => Verb::Features,
        other => return Err(format!("unknown verb {other:?}; see --help")),
    };
    match words.next_text()? {
        None => Ok(parsed),
        Some(extra) => Err(format!("{verb}: one argument too many: {extra:?}")),
    }
}

/// The options of `create`, and whether `--detach` was among them, which only `run` has.
fn parse_creation(words: &mut Words) -> Result<(Creation, Attachment), String> {
    let mut bundle = PathBuf::from(".");
    let (mut pid_file, mut console, mut id) = (None, None, None);
    let mut attachment = Attachment::Foreground;
    while let Some(word) = words.next_text()? {
        let (name, value) = split(&word);
        match name {
            "--bundle" | "-b" => bundle = words.value(name, value)?.into(),
            "--pid-file" => pid_file = Some(words.value(name, value)?.into()),
            "--console-socket" => console = Some(words.value(name, value)?.into()),
            "--detach" | "-d" => {
                plain(name, value)?;
                attachment = Attachment::Detached;
            }
            name if name.starts_with('-') => return Err(unknown(name)),
            _ => set_once(&mut id, word)?,
        }
    }
    let creation = Creation {
        id: required(id)?,
        bundle,
        pid_file,
        console,
    };
    Ok((creation, attachment))
}

fn parse_create(words: &mut Words) -> Result<Verb, String> {
    match parse_creation(words)? {
        (creation, Attachment::Foreground) => Ok(Verb::Create(creation)),
        (_, Attachment::Detached) => Err(unknown("--detach")),
    }
}

fn parse_run(words: &mut Words) -> Result<Verb, String> {
    let (creation, attachment) = parse_creation(words)?;
    Ok(Verb::Run {
        creation,
        attachment,
    })
}

fn parse_ps(words: &mut Words) -> Result<Verb, String> {
    let (mut format, mut id) = (ListFormat::Table, None);
    while let Some(word) = words.next_text()? {
        let (name, value) = split(&word);
        match name {
            "--format" | "-f" => format = list_format(words, name, value)?,
            name if name.starts_with('-') => return Err(unknown(name)),
            _ => set_once(&mut id, word)?,
        }
    }
    Ok(Verb::Ps {
        id: required(id)?,
        format,
    })
}

fn parse_list(words: &mut Words) -> Result<Verb, String> {
    let (mut format, mut ids) = (ListFormat::Table, false);
    while let Some(word) = words.next_text()? {
        let (name, value) = split(&word);
        match name {
            "--format" | "-f" => format = list_format(words, name, value)?,
            "--quiet" | "-q" => {
                plain(name, value)?;
                ids = true;
            }
            name if name.starts_with('-') => return Err(unknown(name)),
            _ => return Err(format!("list: one argument too many: {word:?}")),
        }
    }
    if ids {
        format = ListFormat::Ids;
    }
    Ok(Verb::List { format })
}

fn list_format(words: &mut Words, name: &str, value: Option<&str>) -> Result<ListFormat, String> {
    match words.text(name, value)?.as_str() {
        "table" => Ok(ListFormat::Table),
        "json" => Ok(ListFormat::Json),
        other => Err(format!("{name} {other:?}: must be table or json")),
    }
}

fn parse_kill(words: &mut Words) -> Result<Verb, String> {
    let (mut scope, mut id, mut signal) = (KillScope::Init, None, None);
    while let Some(word) = words.next_text()? {
        match word.as_str() {
            "--all" | "-a" => scope = KillScope::All,
            name if name.starts_with('-') => return Err(unknown(name)),
            _ if id.is_none() => id = Some(word),
            _ => set_once(&mut signal, word)?,
        }
    }
    let signal = signal.as_deref().unwrap_or("TERM");
    Ok(Verb::Kill {
        id: required(id)?,
        signal: signal
            .parse()
            .map_err(|_| format!("unknown signal {signal:?}"))?,
        scope,
    })
}

fn parse_delete(words: &mut Words) -> Result<Verb, String> {
    let (mut mode, mut id) = (DeleteMode::Stopped, None);
    while let Some(word) = words.next_text()? {
        match word.as_str() {
            "--force" | "-f" => mode = DeleteMode::Force,
            name if name.starts_with('-') => return Err(unknown(name)),
            _ => set_once(&mut id, word)?,
        }
    }
    Ok(Verb::Delete {
        id: required(id)?,
        mode,
    })
}

#[cfg(test)]
mod tests;
