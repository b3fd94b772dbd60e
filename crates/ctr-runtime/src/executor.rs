//! What the container's first process does last: check the command, wait for the start, execute it.
//!
//! The check runs when the process is already the one that will execute the program: in the container's root, as its user, with its
//! groups and capabilities. So the kernel itself is asked whether the file may be executed (`faccessat2(2)` with `AT_EACCESS`), which
//! covers owner, group and other bits, access lists and mounts without execution alike.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ctr_oci::FailureKind;
use ctr_sys::PidRef;
use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use oci_spec::runtime::{Process, Spec};
use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::report::{Refusal, Reporter};
use crate::sys;
use crate::terminal::KeeperClient;

/// Where commands are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Exit code of a first process whose command does not exist.
const NOT_FOUND: i32 = 127;
/// Exit code of a first process whose command cannot be executed.
const NOT_EXECUTABLE: i32 = 126;

/// Executes the command of the specification.
#[derive(Clone)]
pub(crate) struct Program {
    /// Takes what the check finds wrong.
    pub(crate) reporter: Reporter,
    /// Descriptors that the process inherited from the caller of `create`: closed before it waits for its start, because it may wait
    /// for long, and what they refer to (locks, sockets, mounts) must not depend on it.
    pub(crate) strays: Vec<RawFd>,
    /// Completes the terminal, if there is one.
    pub(crate) keeper: Option<KeeperClient>,
    /// The container's first process, for one that joins it.
    pub(crate) joined: Option<Arc<PidRef>>,
    /// The `tasks` file of a control group of version 1 that the process joins: a thread that moves itself alone does not wait for the kernel's
    /// grace period.
    pub(crate) tasks: Option<Arc<OwnedFd>>,
    /// Descriptors that the program gets at certain numbers.
    pub(crate) placed: Vec<Placed>,
}

/// A descriptor for the program.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// It is open at a number above all those that are given to the program.
    pub(crate) source: Arc<OwnedFd>,
    /// Its number in the program.
    pub(crate) number: RawFd,
}

impl Program {
    /// The library has found the namespaces by a pid alone. If the process still lives that had it before, they are those of the container;
    /// otherwise they may be a stranger's, or the host's.
    fn check_joined(&self) -> Result<(), Refusal> {
        match &self.joined {
            Some(init) if !init.is_alive() => Err(refusal(
                FailureKind::Other,
                "the container has ended meanwhile",
            )),
            Some(_) | None => Ok(()),
        }
    }

    fn join_group(&self) -> Result<(), Refusal> {
        let Some(tasks) = &self.tasks else {
            return Ok(());
        };
        // The process has one thread, so all of it moves.
        let joined = rustix::io::write(tasks, b"0");
        joined.map(drop).map_err(|errno| {
            let why = format!("cannot join its control group: {}", io::Error::from(errno));
            refusal(FailureKind::Other, &why)
        })
    }

    /// Whether its limits allow the process the descriptors that it is to have: once the program is executed, nobody is told any more.
    fn check_limit(&self) -> Result<(), Refusal> {
        let highest = self.placed.iter().map(|placed| placed.number).max();
        let limit = getrlimit(Resource::Nofile).current;
        match (highest.and_then(|number| u64::try_from(number).ok()), limit) {
            (Some(number), Some(limit)) if number >= limit => {
                let why =
                    format!("cannot have descriptor {number}: its limit of open files is {limit}");
                Err(refusal(FailureKind::Other, &why))
            }
            (_, _) => Ok(()),
        }
    }

    /// The last thing before the program: what this process has open at these numbers is closed.
    fn place(&self) -> Result<(), Refusal> {
        for placed in &self.placed {
            sys::duplicate_to(placed.source.as_fd(), placed.number).map_err(|error| {
                let why = format!("cannot have descriptor {}: {error}", placed.number);
                refusal(FailureKind::Other, &why)
            })?;
        }
        Ok(())
    }
}

impl Executor for Program {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        sys::close_forgotten(&self.strays);
        let checked = self
            .check_joined()
            .and_then(|()| self.check_limit())
            .and_then(|()| self.join_group())
            .and_then(|()| command(spec))
            .and_then(|command| command.locate())
            .and_then(|_| match &self.keeper {
                Some(keeper) => keeper
                    .complete()
                    .map_err(|why| refusal(FailureKind::Other, &why)),
                None => Ok(()),
            });
        checked.map_err(|refusal| {
            self.reporter.refuse(&refusal);
            ExecutorValidationError::ArgValidationError(refusal.message)
        })
    }

    fn setup_envs(&self, _: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        // The environment goes to execve as the specification has it, in its order; that of this process is already empty.
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let executed = command(spec).and_then(|command| {
            self.place()?;
            command.execute()
        });
        let refusal = match executed {
            Ok(never) => match never {},
            Err(refusal) => refusal,
        };
        // Nobody listens any more but the container's own standard error; the exit code is what counts.
        let line = format!("{}\n", refusal.message);
        let _ = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
        sys::exit_now(exit_code(refusal.kind));
    }
}

fn exit_code(kind: FailureKind) -> i32 {
    if kind == FailureKind::CommandNotFound {
        return NOT_FOUND;
    }
    NOT_EXECUTABLE
}

/// A command line and its environment.
struct Command<'a> {
    arguments: &'a [String],
    environment: &'a [String],
}

enum Never {}

fn command(spec: &Spec) -> Result<Command<'_>, Refusal> {
    let process: Option<&Process> = spec.process().as_ref();
    let arguments = process.and_then(|process| process.args().as_deref());
    let environment = process.and_then(|process| process.env().as_deref());
    match arguments {
        Some(arguments) if !arguments.is_empty() => Ok(Command {
            arguments,
            environment: environment.unwrap_or_default(),
        }),
        Some(_) | None => Err(refusal(FailureKind::CommandNotFound, "no command is given")),
    }
}

impl Command<'_> {
    fn name(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }

    /// The file that is going to be executed.
    fn locate(&self) -> Result<PathBuf, Refusal> {
        locate(self.name(), self.search_path())
    }

    fn search_path(&self) -> &str {
        self.environment
            .iter()
            .find_map(|entry| entry.strip_prefix("PATH="))
            .unwrap_or(DEFAULT_PATH)
    }

    /// Becomes the program, with all signals at their defaults: Rust programs ignore SIGPIPE, which would be inherited.
    fn execute(&self) -> Result<Never, Refusal> {
        let program = self.locate()?;
        let path = c_string(program.to_str().unwrap_or_default())?;
        let arguments = c_strings(self.arguments)?;
        let environment = c_strings(self.environment)?;
        sys::reset_signals();
        let error = sys::execute(&path, &arguments, &environment);
        Err(unexecutable(&program, &error))
    }
}

/// Looks `name` up as a shell would.
fn locate(name: &str, search_path: &str) -> Result<PathBuf, Refusal> {
    if name.is_empty() {
        return Err(refusal(
            FailureKind::CommandNotFound,
            "the command is empty",
        ));
    }
    if name.contains('/') {
        let path = PathBuf::from(name);
        return match check(&path) {
            Ok(()) => Ok(path),
            Err(error) => Err(unexecutable(&path, &error)),
        };
    }
    let mut found = None;
    for directory in search_path.split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let path = Path::new(directory).join(name);
        match check(&path) {
            Ok(()) => return Ok(path),
            Err(error) if is_missing(&error) => {}
            Err(error) => {
                found.get_or_insert((path, error));
            }
        }
    }
    match found {
        Some((path, error)) => Err(unexecutable(&path, &error)),
        None => Err(refusal(
            FailureKind::CommandNotFound,
            // Engines look for these words, which are runc's.
            &format!("{name:?}: executable file not found in {search_path:?}"),
        )),
    }
}

/// Whether this process, as it is now, may execute the file.
fn check(path: &Path) -> io::Result<()> {
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::from(Errno::ACCESS));
    }
    match rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn unexecutable(path: &Path, error: &io::Error) -> Refusal {
    let (kind, why) = if is_missing(error) {
        (FailureKind::CommandNotFound, "cannot find")
    } else {
        (FailureKind::CommandNotExecutable, "cannot execute")
    };
    refusal(kind, &format!("{why} {}: {error}", path.display()))
}

fn refusal(kind: FailureKind, message: &str) -> Refusal {
    // Names come from the caller: the message stays one line.
    let message = message.replace(char::is_control, " ");
    Refusal { kind, message }
}

fn c_strings(strings: &[String]) -> Result<Vec<CString>, Refusal> {
    strings.iter().map(|text| c_string(text)).collect()
}

fn c_string(text: &str) -> Result<CString, Refusal> {
    CString::new(text).map_err(|_| {
        refusal(
            FailureKind::CommandNotExecutable,
            "the command or its environment has a NUL byte",
        )
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
    fn file(path: &Path, mode: u32) {
        std::fs::write(path, b"#!/bin/sh\n").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn check_kind(name: &str, search_path: &str, expected: Result<&Path, FailureKind>) {
        let found = locate(name, search_path);
        assert_eq!(
            found.as_deref().map_err(|refusal| refusal.kind),
            expected,
            "{name:?} in {search_path:?}: {found:?}"
        );
    }

    #[test]
    fn commands_are_found_or_told_apart() {
        let first = tempfile::tempdir().unwrap();
        let second = tempfile::tempdir().unwrap();
        let (a, b) = (first.path(), second.path());
        file(&a.join("plain"), 0o644);
        file(&b.join("plain"), 0o755);
        file(&b.join("owned"), 0o700);
        file(&a.join("text"), 0o644);
        std::fs::create_dir(a.join("dir")).unwrap();
        std::os::unix::fs::symlink("missing", a.join("dangling")).unwrap();
        let both = format!("{}:{}:/nowhere", a.display(), b.display());
        let path = |name: &str| a.join(name).to_str().unwrap().to_owned();

        // A file that cannot be executed does not hide one further on.
        check_kind("plain", &both, Ok(&b.join("plain")));
        check_kind("owned", &both, Ok(&b.join("owned")));
        check_kind("text", &both, Err(FailureKind::CommandNotExecutable));
        check_kind("dir", &both, Err(FailureKind::CommandNotExecutable));
        check_kind("dangling", &both, Err(FailureKind::CommandNotFound));
        check_kind("none", &both, Err(FailureKind::CommandNotFound));
        check_kind("", &both, Err(FailureKind::CommandNotFound));
        check_kind(&path("text"), &both, Err(FailureKind::CommandNotExecutable));
        check_kind(&path("dir"), "", Err(FailureKind::CommandNotExecutable));
        check_kind(&path("text/x"), "", Err(FailureKind::CommandNotFound));
        check_kind(&path("none"), "", Err(FailureKind::CommandNotFound));
    }

    #[test]
    fn what_is_joined_must_live() {
        let child = ctr_sys::Launch::program("/bin/sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let init = Arc::new(PidRef::capture(child.pid()).unwrap().unwrap());
        let program = Program {
            reporter: crate::report::pipe().unwrap().0,
            strays: Vec::new(),
            keeper: None,
            joined: Some(init),
            tasks: None,
            placed: Vec::new(),
        };
        assert!(program.check_joined().is_ok());
        child.kill_and_wait().unwrap();
        let refusal = program.check_joined().unwrap_err();
        assert_eq!(refusal.message, "the container has ended meanwhile");
    }

    #[test]
    fn the_search_path_is_that_of_the_container() {
        let arguments = ["x".to_owned()];
        let with = ["A=1".to_owned(), "PATH=/b".to_owned()];
        let command = |environment| Command {
            arguments: &arguments,
            environment,
        };
        assert_eq!(command(&with).search_path(), "/b");
        assert_eq!(command(&with[..1]).search_path(), DEFAULT_PATH);
    }
}
