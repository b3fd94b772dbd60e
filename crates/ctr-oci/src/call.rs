//! One invocation of a runtime's program as data: which verb, with which arguments, in which order.
//!
//! The command line is the one that runc, crun and youki share. No shell is involved and no value can turn into an option: ids
//! are checked here, paths must be absolute, signals are numbers.

use std::ffi::OsString;
use std::os::fd::RawFd;
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
        check_name("container id", id)?;
        Ok(Self(id))
    }
}

/// Checks the name of a control group below that of a container, for what is one path component and no option: the rules of [`RuntimeId`].
///
/// # Errors
/// [`OciError::Invalid`].
pub fn check_group_name(name: &str) -> Result<(), OciError> {
    check_name("control group name", name)
}

fn check_name(what: &'static str, id: &str) -> Result<(), OciError> {
    let refuse = |why| Err(OciError::invalid(what, id, why));
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
    Ok(())
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
        /// The group below that of the container that it is made in.
        cgroup: Option<&'a str>,
        /// The highest number of a descriptor that it gets: it gets all from 3 to this one. 2 for none beside its streams.
        last_fd: RawFd,
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
                cgroup,
                last_fd,
            } => {
                argv.verb("exec", flags)?.word("--detach");
                argv.path("--process", "process file", process)?;
                argv.path("--pid-file", "pid file", pid_file)?;
                if let Some(socket) = console_socket {
                    argv.path("--console-socket", "console socket", socket)?;
                }
                if let Some(group) = cgroup {
                    check_group_name(group)?;
                    argv.word("--cgroup");
                    argv.word(group);
                }
                if last_fd > 2 {
                    argv.word("--preserve-fds");
                    argv.word(&(last_fd - 2).to_string());
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
mod tests;
