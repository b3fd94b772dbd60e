//! One invocation of a runtime's program as data: which verb, with which arguments, in which order.
//!
//! The command line is the one that runc, crun and youki share. No shell is involved and no value can turn into an option: ids
//! are checked here, paths must be absolute, signals are numbers.

use std::ffi::OsString;
use std::path::Path;

use ctr_sys::Signal;

use crate::error::OciError;
use crate::runtime::{DeleteMode, KillScope};

/// What runtimes accept at most for an id that is also the name of a directory.
const MAX_ID: usize = 255;

/// The id of a container, checked for what every runtime takes as one and no command line takes as an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeId<'a>(&'a str);

impl<'a> RuntimeId<'a> {
    /// Checks an id: 1 to 255 of letters, digits, `_`, `+`, `-` and `.`, not beginning with `-` or `.`.
    ///
    /// # Errors
    /// [`OciError::Invalid`].
    pub fn new(id: &'a str) -> Result<Self, OciError> {
        let refuse = |why| Err(OciError::invalid("container id", id, why));
        if id.is_empty() || id.len() > MAX_ID {
            return refuse("it must have 1 to 255 characters");
        }
        if id.starts_with(['-', '.']) {
            return refuse("it must not begin with - or .");
        }
        if !id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_+-.".contains(&b))
        {
            return refuse("only letters, digits and _ + - . are allowed");
        }
        Ok(Self(id))
    }
}

/// The flags before the verb that say where the runtime keeps its state and writes its log.
#[derive(Clone, Copy, Debug)]
pub struct GlobalFlags<'a> {
    /// The state directory, an absolute path.
    pub root: &'a Path,
    /// The log file, an absolute path.
    pub log: &'a Path,
}

/// One verb of a runtime, about a container, with its arguments.
#[derive(Clone, Copy, Debug)]
pub enum RuntimeCall<'a> {
    /// Makes a container.
    Create {
        /// Which one.
        id: RuntimeId<'a>,
        /// The directory with `config.json`.
        bundle: &'a Path,
        /// Where the pid of the first process is written.
        pid_file: &'a Path,
        /// The socket that receives the terminal's master.
        console_socket: Option<&'a Path>,
    },
    /// Lets the first process execute its program.
    Start {
        /// Which one.
        id: RuntimeId<'a>,
    },
    /// Asks for the status.
    State {
        /// Which one.
        id: RuntimeId<'a>,
    },
    /// Sends a signal.
    Kill {
        /// Which one.
        id: RuntimeId<'a>,
        /// Which signal.
        signal: Signal,
        /// To whom.
        scope: KillScope,
    },
    /// Executes another process, and does not wait for it.
    Exec {
        /// In which container.
        id: RuntimeId<'a>,
        /// A file with the process.
        process: &'a Path,
        /// Where its pid is written.
        pid_file: &'a Path,
        /// The socket that receives the terminal's master.
        console_socket: Option<&'a Path>,
    },
    /// Freezes the processes.
    Pause {
        /// Of which container.
        id: RuntimeId<'a>,
    },
    /// Lets them go on.
    Resume {
        /// Of which container.
        id: RuntimeId<'a>,
    },
    /// Asks for the pids.
    Processes {
        /// Of which container.
        id: RuntimeId<'a>,
    },
    /// Removes the runtime's state of a container.
    Delete {
        /// Which one.
        id: RuntimeId<'a>,
        /// Whether it may still run.
        mode: DeleteMode,
    },
}

impl RuntimeCall<'_> {
    /// The verb, as it stands in messages.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Start { .. } => "start",
            Self::State { .. } => "state",
            Self::Kill { .. } => "kill",
            Self::Exec { .. } => "exec",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Processes { .. } => "ps",
            Self::Delete { .. } => "delete",
        }
    }

    /// The arguments after the program's name.
    ///
    /// # Errors
    /// [`OciError::Invalid`] when a path is not absolute: it would depend on the working directory, or read as an option.
    pub fn argv(&self, flags: GlobalFlags<'_>) -> Result<Vec<OsString>, OciError> {
        let mut argv = Argv(Vec::new());
        match *self {
            Self::Create {
                id,
                bundle,
                pid_file,
                console_socket,
            } => {
                argv.verb("create", flags)?;
                argv.path("--bundle", "bundle", bundle)?;
                argv.path("--pid-file", "pid file", pid_file)?;
                if let Some(socket) = console_socket {
                    argv.path("--console-socket", "console socket", socket)?;
                }
                argv.word(id.0);
            }
            Self::Start { id } => argv.verb("start", flags)?.word(id.0),
            Self::State { id } => argv.verb("state", flags)?.word(id.0),
            Self::Kill { id, signal, scope } => {
                argv.verb("kill", flags)?;
                match scope {
                    KillScope::Init => {}
                    KillScope::All => argv.word("--all"),
                }
                argv.word(id.0);
                argv.word(&signal.number().to_string());
            }
            Self::Exec {
                id,
                process,
                pid_file,
                console_socket,
            } => {
                argv.verb("exec", flags)?.word("--detach");
                argv.path("--process", "process file", process)?;
                argv.path("--pid-file", "pid file", pid_file)?;
                if let Some(socket) = console_socket {
                    argv.path("--console-socket", "console socket", socket)?;
                }
                argv.word(id.0);
            }
            Self::Pause { id } => argv.verb("pause", flags)?.word(id.0),
            Self::Resume { id } => argv.verb("resume", flags)?.word(id.0),
            Self::Processes { id } => {
                argv.verb("ps", flags)?.word("--format");
                argv.word("json");
                argv.word(id.0);
            }
            Self::Delete { id, mode } => {
                argv.verb("delete", flags)?;
                match mode {
                    DeleteMode::Stopped => {}
                    DeleteMode::Force => argv.word("--force"),
                }
                argv.word(id.0);
            }
        }
        Ok(argv.0)
    }
}

/// A question about the runtime itself. It has no flags: some runtimes answer these only without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeQuery {
    /// What can it do?
    Features,
    /// Who is it?
    Version,
}

impl RuntimeQuery {
    /// The question, as it stands in messages.
    pub fn operation(self) -> &'static str {
        match self {
            Self::Features => "features",
            Self::Version => "version",
        }
    }

    /// The arguments after the program's name.
    pub fn argv(self) -> Vec<OsString> {
        match self {
            Self::Features => vec!["features".into()],
            Self::Version => vec!["--version".into()],
        }
    }
}

struct Argv(Vec<OsString>);

impl Argv {
    fn word(&mut self, word: &str) {
        self.0.push(word.into());
    }

    fn verb(&mut self, verb: &str, flags: GlobalFlags<'_>) -> Result<&mut Self, OciError> {
        self.path("--root", "runtime state directory", flags.root)?;
        self.path("--log", "runtime log file", flags.log)?;
        self.word("--log-format");
        self.word("json");
        self.word(verb);
        Ok(self)
    }

    fn path(&mut self, flag: &str, what: &'static str, path: &Path) -> Result<(), OciError> {
        if !path.is_absolute() {
            return Err(OciError::invalid(
                what,
                path.to_string_lossy(),
                "the path is not absolute",
            ));
        }
        self.word(flag);
        self.0.push(path.as_os_str().to_owned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(call: RuntimeCall<'_>, expected: &str) {
        let flags = GlobalFlags {
            root: Path::new("/run/ctr/run/c1/runtime"),
            log: Path::new("/run/ctr/l"),
        };
        let argv = call.argv(flags).unwrap();
        let words: Vec<_> = argv.iter().map(|word| word.to_str().unwrap()).collect();
        let common = "--root /run/ctr/run/c1/runtime --log /run/ctr/l --log-format json ";
        assert_eq!(words.join(" "), expected.replace("GLOBAL ", common));
    }

    #[test]
    fn command_lines() {
        let id = RuntimeId::new("c1").unwrap();
        let (bundle, pid_file) = (Path::new("/b"), Path::new("/p"));
        let create = RuntimeCall::Create {
            id,
            bundle,
            pid_file,
            console_socket: None,
        };
        check(create, "GLOBAL create --bundle /b --pid-file /p c1");
        let create = RuntimeCall::Create {
            id,
            bundle,
            pid_file,
            console_socket: Some(Path::new("/s")),
        };
        check(
            create,
            "GLOBAL create --bundle /b --pid-file /p --console-socket /s c1",
        );
        check(RuntimeCall::Start { id }, "GLOBAL start c1");
        check(RuntimeCall::State { id }, "GLOBAL state c1");
        let kill = |signal, scope| RuntimeCall::Kill { id, signal, scope };
        check(kill(Signal::TERM, KillScope::Init), "GLOBAL kill c1 15");
        check(kill(Signal::KILL, KillScope::All), "GLOBAL kill --all c1 9");
        let delete = |mode| RuntimeCall::Delete { id, mode };
        check(delete(DeleteMode::Stopped), "GLOBAL delete c1");
        check(delete(DeleteMode::Force), "GLOBAL delete --force c1");
        let exec = |console_socket| RuntimeCall::Exec {
            id,
            process: Path::new("/j"),
            pid_file,
            console_socket,
        };
        let plain = "GLOBAL exec --detach --process /j --pid-file /p c1";
        check(exec(None), plain);
        let console = "GLOBAL exec --detach --process /j --pid-file /p --console-socket /s c1";
        check(exec(Some(Path::new("/s"))), console);
        check(RuntimeCall::Pause { id }, "GLOBAL pause c1");
        check(RuntimeCall::Resume { id }, "GLOBAL resume c1");
        check(RuntimeCall::Processes { id }, "GLOBAL ps --format json c1");
        assert_eq!(RuntimeQuery::Features.argv(), ["features"]);
        assert_eq!(RuntimeQuery::Version.argv(), ["--version"]);
    }

    #[test]
    fn ids_cannot_be_options_or_paths() {
        for good in ["c1", "a_b+c-d.e", &"a".repeat(255)] {
            assert!(RuntimeId::new(good).is_ok(), "{good}");
        }
        let bad = [
            "",
            "-x",
            "--root=/",
            ".",
            "..",
            "../x",
            "a/b",
            "a b",
            "a\nb",
            "a\0b",
            "$(x)",
            "ü",
            &"a".repeat(256),
        ];
        for id in bad {
            assert!(RuntimeId::new(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn relative_paths_are_refused() {
        let id = RuntimeId::new("c1").unwrap();
        let absolute = Path::new("/x");
        let relative = Path::new("-o");
        let flags = |root, log| GlobalFlags { root, log };
        for flags in [flags(relative, absolute), flags(absolute, relative)] {
            RuntimeCall::Start { id }.argv(flags).unwrap_err();
        }
        for (bundle, pid_file, socket) in [
            (relative, absolute, absolute),
            (absolute, relative, absolute),
            (absolute, absolute, relative),
        ] {
            let create = RuntimeCall::Create {
                id,
                bundle,
                pid_file,
                console_socket: Some(socket),
            };
            create.argv(flags(absolute, absolute)).unwrap_err();
        }
    }
}
