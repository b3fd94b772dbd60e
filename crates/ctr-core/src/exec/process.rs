//! The process of a session: who it is, what it may, where it begins. Computed by what computes the container's own program.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_exec::WindowSize;
use ctr_exec::session::Tty;
use ctr_oci::{FailureKind, HostFacts, ProcessBuilder, RuntimeFailure};
use ctr_rootfs::{CommandCheck, ResolvedUser, UserSpec, command_check, resolve_user};
use ctr_state::{Config, Terminal};
use ctr_sys::{FileKind, PidRef, PidStamp, Root, SysError};
use rustix::fs::MemfdFlags;

use super::{ExecRequest, Target};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::explain::judge;
use crate::prepare::{environment, hostname, search_path_of, user_ids};

/// A process that a runtime can be asked for.
pub(super) struct Prepared {
    file: OwnedFd,
    cwd: PathBuf,
    program: String,
    search_path: String,
    user: ResolvedUser,
    root: Root,
}

impl Prepared {
    /// A file with the process, in the form of the runtime specification.
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    pub(super) fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// What a look at the container's files says of the command, for a process with these ids.
    fn look(&self, uid: u32, gids: &[u32]) -> CommandCheck {
        let (program, path) = (&self.program, &self.search_path);
        command_check(&self.root, program, path, &self.cwd, uid, gids)
    }

    /// A runtime's failure with what such a look adds to it.
    pub(super) fn judge(&self, failure: RuntimeFailure) -> RuntimeFailure {
        let found = self.look(self.user.uid, &self.user.additional_gids);
        judge(failure, &self.program, found)
    }
}

/// Looks everything up that the process needs, in the container as its programs see it now.
pub(super) fn prepare(
    engine: &Engine,
    target: &Target,
    request: &ExecRequest,
    window: Option<WindowSize>,
) -> Result<Prepared, EngineError> {
    let config = target.config()?;
    let root = root_of(target.init)?;
    let user = request.user.as_deref().unwrap_or(&config.process.user);
    let user = resolve_user(&root, &UserSpec::parse(user)?)?;
    let cwd = request.cwd.clone();
    let cwd = cwd.unwrap_or_else(|| config.process.cwd.clone());
    check_cwd(&root, &cwd)?;
    let terminal = match request.tty {
        Tty::No => Terminal::No,
        Tty::Yes => Terminal::Yes,
    };
    let hostname = hostname(engine, config)?;
    let env = environment(config, terminal, &user, &hostname, &request.env);
    let builder = builder(config, request, &user, &cwd, terminal);
    let builder = env
        .iter()
        .fold(builder, |builder, (key, value)| builder.env(key, value));
    let builder = match window {
        Some(size) => builder.window(size.rows, size.columns),
        None => builder,
    };
    let process = builder.build(&HostFacts::read()?)?;
    let program = request.command.first().cloned().unwrap_or_default();
    let prepared = Prepared {
        file: in_memory(&serde_json::to_vec(&process).unwrap_or_default())?,
        cwd,
        search_path: search_path_of(&env).to_owned(),
        program,
        user,
        root,
    };
    refuse_hopeless(config, &prepared)?;
    Ok(prepared)
}

fn builder(
    config: &Config,
    request: &ExecRequest,
    user: &ResolvedUser,
    cwd: &Path,
    terminal: Terminal,
) -> ProcessBuilder {
    let builder = ProcessBuilder::new()
        .args(&request.command)
        .cwd(cwd)
        .user(user_ids(user))
        .rights(request.rights.clone())
        .terminal(match terminal {
            Terminal::No => ctr_oci::Terminal::No,
            Terminal::Yes => ctr_oci::Terminal::Yes,
        });
    match config.oom_score_adj {
        Some(value) => builder.oom_score_adj(value),
        None => builder,
    }
}

/// A command that nobody could execute costs no call of a runtime: what root may not, nobody may. Whatever else could be wrong is left to it.
fn refuse_hopeless(config: &Config, prepared: &Prepared) -> Result<(), EngineError> {
    let found = prepared.look(0, &[]);
    if matches!(found, CommandCheck::Executable(_)) {
        return Ok(());
    }
    let kind = FailureKind::CommandNotFound;
    let failure = RuntimeFailure::new(kind, &config.runtime.name, "exec", "");
    Err(judge(failure, &prepared.program, found).into())
}

/// The container's files as its first process sees them.
fn root_of(init: PidStamp) -> Result<Root, EngineError> {
    let gone = || {
        let source = std::io::Error::from(rustix::io::Errno::SRCH);
        SysError::new("look into", "the container", source)
    };
    let process = PidRef::open(init)?.ok_or_else(gone)?;
    let root = Root::open(Path::new(&format!("/proc/{}/root", init.pid)))?;
    // The pid may have become somebody else's by then.
    if process.is_alive() {
        Ok(root)
    } else {
        Err(gone().into())
    }
}

/// Runtimes differ: some make a missing working directory, some fail with a text of their own. What lies below `/proc` may lead out of
/// the container.
fn check_cwd(root: &Root, cwd: &Path) -> Result<(), EngineError> {
    let refuse = |why: &str| {
        Err(EngineError::invalid(
            "working directory",
            &cwd.display(),
            why,
        ))
    };
    if !cwd.is_absolute() {
        return refuse("the path is not absolute");
    }
    if cwd.starts_with("/proc") {
        return refuse("a process cannot begin below /proc");
    }
    match root.metadata(cwd)? {
        Some(found) if found.kind == FileKind::Directory => Ok(()),
        Some(_) => refuse("it is not a directory in the container"),
        None => refuse("it does not exist in the container"),
    }
}

fn in_memory(bytes: &[u8]) -> Result<OwnedFd, SysError> {
    let fail = |errno: rustix::io::Errno| SysError::new("write", "a file in memory", errno.into());
    let file = rustix::fs::memfd_create("process", MemfdFlags::CLOEXEC).map_err(fail)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let count = rustix::io::write(&file, rest).map_err(fail)?;
        rest = rest.get(count..).unwrap_or_default();
    }
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).map_err(fail)?;
    Ok(file)
}
