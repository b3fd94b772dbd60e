//! The command line that runc, crun and youki share, as data.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::PathBuf;

use ctr_oci::{DeleteMode, KillScope};
use ctr_sys::Signal;

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

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Create {
        id: String,
        bundle: PathBuf,
        pid_file: Option<PathBuf>,
        console: Option<PathBuf>,
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
            Self::Create { .. } => "create",
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
            "--debug" => {}
            "--systemd-cgroup" => {
                return Err("--systemd-cgroup: only cgroupfs is supported".to_owned());
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
        "start" => Verb::Start {
            id: words.only_id(verb)?,
        },
        "state" => Verb::State {
            id: words.only_id(verb)?,
        },
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

fn parse_create(words: &mut Words) -> Result<Verb, String> {
    let mut bundle = PathBuf::from(".");
    let (mut pid_file, mut console, mut id) = (None, None, None);
    while let Some(word) = words.next_text()? {
        let (name, value) = split(&word);
        match name {
            "--bundle" | "-b" => bundle = words.value(name, value)?.into(),
            "--pid-file" => pid_file = Some(words.value(name, value)?.into()),
            "--console-socket" => console = Some(words.value(name, value)?.into()),
            name if name.starts_with('-') => return Err(unknown(name)),
            _ => set_once(&mut id, word)?,
        }
    }
    Ok(Verb::Create {
        id: required(id)?,
        bundle,
        pid_file,
        console,
    })
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

fn set_once(slot: &mut Option<String>, word: String) -> Result<(), String> {
    if slot.is_some() {
        return Err(format!("one argument too many: {word:?}"));
    }
    *slot = Some(word);
    Ok(())
}

fn required(id: Option<String>) -> Result<String, String> {
    id.ok_or_else(|| "the container's id is missing".to_owned())
}

fn unknown(name: &str) -> String {
    format!("unknown option {name:?}; see --help")
}

/// `--name=value` into its two parts.
fn split(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((name, value)) if name.starts_with("--") => (name, Some(value)),
        Some(_) | None => (word, None),
    }
}

/// The words that have not been looked at.
struct Words(VecDeque<OsString>);

impl Words {
    fn next_text(&mut self) -> Result<Option<String>, String> {
        let Some(word) = self.0.pop_front() else {
            return Ok(None);
        };
        match word.into_string() {
            Ok(text) => Ok(Some(text)),
            Err(word) => Err(format!("{} is not UTF-8", word.display())),
        }
    }

    /// The value of an option: what follows its `=`, or the next word. May be any bytes in the second form.
    fn value(&mut self, name: &str, inline: Option<&str>) -> Result<OsString, String> {
        let given = inline.map(OsString::from).or_else(|| self.0.pop_front());
        match given {
            Some(value) if !value.is_empty() => Ok(value),
            Some(_) | None => Err(format!("{name} needs a value")),
        }
    }

    fn text(&mut self, name: &str, inline: Option<&str>) -> Result<String, String> {
        let value = self.value(name, inline)?;
        value
            .into_string()
            .map_err(|_| format!("{name}: the value is not UTF-8"))
    }

    fn only_id(&mut self, verb: &str) -> Result<String, String> {
        match self.next_text()? {
            Some(option) if option.starts_with('-') => Err(unknown(&option)),
            Some(id) => Ok(id),
            None => Err(format!("{verb}: the container's id is missing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: &Result<Verb, &str>) -> Global {
        let words = line.split_whitespace().map(OsString::from).collect();
        let (global, verb) = parse(words);
        match (verb, expected) {
            (Ok(verb), Ok(expected)) => assert_eq!(&verb, expected, "{line}"),
            (Err(error), Err(part)) => assert!(error.contains(part), "{line}: {error}"),
            (verb, _) => panic!("{line}: {verb:?} instead of {expected:?}"),
        }
        global
    }

    #[test]
    fn global_options_come_first() {
        let id = "x".to_owned();
        let global = check(
            "--root /r --log=/l --log-format json --debug state x",
            &Ok(Verb::State { id }),
        );
        let expected = Global {
            root: "/r".into(),
            log: Some("/l".into()),
            log_format: LogFormat::Json,
        };
        assert_eq!(global, expected);
        // A wrong verb is still logged where the options say.
        assert_eq!(
            check("--log /l nonsense", &Err("nonsense")).log,
            Some("/l".into())
        );
        check("--version", &Ok(Verb::Version));
        check("--systemd-cgroup state x", &Err("cgroupfs"));
        check("--log-format xml state x", &Err("must be text or json"));
        check("--root", &Err("needs a value"));
        check("--root= state x", &Err("needs a value"));
        check("", &Err("a verb is missing"));
    }

    #[test]
    fn verbs_are_read() {
        let id = || "x".to_owned();
        let create = |bundle: &str, pid_file: Option<&str>| Verb::Create {
            id: id(),
            bundle: bundle.into(),
            pid_file: pid_file.map(PathBuf::from),
            console: None,
        };
        let kill = |signal, scope| Verb::Kill {
            id: id(),
            signal,
            scope,
        };
        let delete = |mode| Verb::Delete { id: id(), mode };
        check("create x", &Ok(create(".", None)));
        check(
            "create --bundle /b --pid-file=/p x",
            &Ok(create("/b", Some("/p"))),
        );
        check("create x -b /b", &Ok(create("/b", None)));
        check(
            "create --console-socket /s x",
            &Ok(Verb::Create {
                id: id(),
                bundle: ".".into(),
                pid_file: None,
                console: Some("/s".into()),
            }),
        );
        check("start x", &Ok(Verb::Start { id: id() }));
        check("kill x", &Ok(kill(Signal::TERM, KillScope::Init)));
        check("kill --all x KILL", &Ok(kill(Signal::KILL, KillScope::All)));
        check("kill x 9", &Ok(kill(Signal::KILL, KillScope::Init)));
        check("delete x", &Ok(delete(DeleteMode::Stopped)));
        check("delete --force x", &Ok(delete(DeleteMode::Force)));
        check("features", &Ok(Verb::Features));
    }

    #[test]
    fn wrong_lines_are_refused() {
        check("create", &Err("id is missing"));
        check("create x y", &Err("too many"));
        check(
            "create --console-socket",
            &Err("--console-socket needs a value"),
        );
        check("create --no-pivot x", &Err("--no-pivot"));
        check("start", &Err("id is missing"));
        check("start x y", &Err("too many"));
        check("kill x NONSENSE", &Err("unknown signal"));
        check("kill x TERM y", &Err("too many"));
        check("delete --all x", &Err("--all"));
        check("exec x true", &Err("unknown verb"));
    }
}
