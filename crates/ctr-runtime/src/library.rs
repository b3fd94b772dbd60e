//! Calling the library, in a process that is given up for it.
//!
//! Calling the library changes the calling process: it becomes undumpable, takes over the container's `oom_score_adj`, changes its working
//! directory, leaks descriptors, and it clones processes that go on to allocate memory, which only a single-threaded process may do.
//! [`call`] prepares that process further: a new session keyring, no supplementary groups, an empty environment (the library would
//! hand descriptors on to the container if `LISTEN_FDS` were set).

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;

use ctr_sys::{HELPER_PANICKED, PidRef, SysError, is_single_threaded};
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Uid;

use crate::error::{RAW_LIMIT, Result, RuntimeError, chain};
use crate::executor::{Placed, Program};
use crate::report::{self, Reported, Reporter, cut};
use crate::terminal::{Keeper, Terminal};
use crate::{library_log, sys};

/// Whose child the container's first process becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parentage {
    /// A child of the calling process' parent. So does the library's intermediate process, which has ended by then and is to be
    /// reaped by that parent.
    Sibling,
    /// A child of the calling process, and of its nearest subreaper afterwards.
    Child,
}

/// The streams that the container gets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Streams<'a> {
    /// Those of the calling process.
    Inherited,
    /// In the order of their numbers.
    Given([BorrowedFd<'a>; 3]),
}

/// What a process gets, be it the first of a container or another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endowment<'a> {
    /// With a console: those of the process until the library has made the terminal.
    pub(crate) streams: Streams<'a>,
    /// Where the master of the terminal goes.
    pub(crate) console: Option<&'a Path>,
    pub(crate) parentage: Parentage,
}

/// Fails in a process that has several threads.
pub(crate) fn require_single_thread(what: &str) -> Result<()> {
    if is_single_threaded()? {
        return Ok(());
    }
    Err(RuntimeError::invalid(
        what,
        "the process has several threads",
    ))
}

/// Gives pipes among the streams to the container's user: opening `/dev/stdout` opens the pipe anew, which its owner alone may.
fn give_pipes(streams: Streams<'_>, user: u32) -> Result<()> {
    use rustix::stdio;
    let streams = match streams {
        Streams::Given(streams) => streams,
        Streams::Inherited => [stdio::stdin(), stdio::stdout(), stdio::stderr()],
    };
    for stream in streams {
        let fail = |errno: Errno| SysError::new("give away", "a standard stream", errno.into());
        let stat = rustix::fs::fstat(stream).map_err(fail)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo && stat.st_uid != user {
            rustix::fs::fchown(stream, Some(Uid::from_raw(user)), None).map_err(fail)?;
        }
    }
    Ok(())
}

/// Descriptors above the standard ones that are open now, before anything of ours is.
pub(crate) fn open_descriptors() -> Result<Vec<RawFd>> {
    let path = Path::new("/proc/self/fd");
    let entries = std::fs::read_dir(path).map_err(RuntimeError::at("read", path))?;
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let open: Vec<RawFd> = numbers.filter(|number| *number > 2).collect();
    // The descriptor of the listing itself is closed by now, and its number may be taken again by one that is needed.
    let is_open = |fd: &RawFd| {
        Path::new(&format!("/proc/self/fd/{fd}"))
            .symlink_metadata()
            .is_ok()
    };
    Ok(open.into_iter().filter(is_open).collect())
}

/// A process that is to be made.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    /// The container.
    pub(crate) id: &'a str,
    /// Where the library finds it, or makes it.
    pub(crate) root: &'a Path,
    pub(crate) endowment: Endowment<'a>,
    pub(crate) terminal: Terminal,
    /// The user that the process has in the end.
    pub(crate) user: u32,
    /// How much sooner or later the process is killed when memory is short; `None` leaves what the calling process has.
    pub(crate) oom_score_adj: Option<i32>,
    /// The container's first process, if it exists already.
    pub(crate) joined: Option<PidRef>,
    /// Descriptors that the process inherits from the caller: closed before it waits for its start, or executes its command.
    pub(crate) strays: Vec<RawFd>,
    /// See [`Program::tasks`].
    pub(crate) tasks: Option<OwnedFd>,
    /// See [`Program::placed`].
    pub(crate) placed: Vec<Placed>,
}

/// Has the library make a process by `build`, and returns its pid.
pub(crate) fn call(
    work: Work<'_>,
    build: impl FnOnce(ContainerBuilder) -> std::result::Result<i32, BuildError>,
) -> Result<i32> {
    if let Some(value) = work.oom_score_adj {
        adjust_oom_score(value)?;
    }
    if work.terminal == Terminal::None {
        give_pipes(work.endowment.streams, work.user)?;
    }
    let keeper = Keeper::start(work.terminal, work.user)?;
    let (reporter, reports) =
        report::pipe().map_err(|source| SysError::new("make", "a pipe", source))?;
    prepare_process(&reporter)?;
    let program = Program {
        reporter: reporter.clone(),
        strays: work.strays,
        keeper: keeper.as_ref().map(Keeper::client),
        joined: work.joined.map(Arc::new),
        tasks: work.tasks.map(Arc::new),
        placed: work.placed,
    };
    let outcome = library_log::capture(&reporter, || {
        let builder = ContainerBuilder::new(work.id.to_owned(), SyscallType::Linux)
            .with_root_path(work.root)?
            .with_executor(program);
        build(endow(builder, work.endowment)?)
    });
    if let Some(keeper) = keeper {
        keeper.end()?;
    }
    match outcome {
        Ok(pid) => Ok(pid),
        Err(BuildError::Own(error)) => Err(error),
        Err(BuildError::Library(text)) => Err(explain(&text, reports.drain())),
    }
}

/// Sets what the process inherits. The library does it too, but its error does not say what of the specification is refused.
fn adjust_oom_score(value: i32) -> Result<()> {
    let path = "/proc/self/oom_score_adj";
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
    let written = file.and_then(|file| rustix::io::write(file, value.to_string().as_bytes()));
    let cause = match written {
        Ok(_) => return Ok(()),
        Err(Errno::ACCESS | Errno::PERM) => {
            let why = "less than before needs CAP_SYS_RESOURCE";
            io::Error::new(io::ErrorKind::PermissionDenied, why)
        }
        Err(errno) => errno.into(),
    };
    Err(SysError::new("set", format!("process.oomScoreAdj {value}"), cause).into())
}

/// Why there is no process.
pub(crate) enum BuildError {
    Own(RuntimeError),
    Library(String),
}

impl From<libcontainer::error::LibcontainerError> for BuildError {
    fn from(error: libcontainer::error::LibcontainerError) -> Self {
        Self::Library(chain(&error))
    }
}

fn endow(
    builder: ContainerBuilder,
    endowment: Endowment<'_>,
) -> std::result::Result<ContainerBuilder, BuildError> {
    match (endowment.console, endowment.streams) {
        (Some(console), _) => Ok(builder.with_console_socket(Some(console))),
        (None, Streams::Inherited) => Ok(builder),
        (None, Streams::Given(streams)) => {
            let [stdin, stdout, stderr] = streams.map(above_the_standard_ones);
            Ok(builder
                .with_stdin(stdin.map_err(BuildError::Own)?)
                .with_stdout(stdout.map_err(BuildError::Own)?)
                .with_stderr(stderr.map_err(BuildError::Own)?))
        }
    }
}

/// The library copies the descriptor to its place and closes it, which would be fatal if it were there already.
fn above_the_standard_ones(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(fd, 3)
        .map_err(|errno| SysError::new("copy", "a standard stream", errno.into()).into())
}

fn prepare_process(reporter: &Reporter) -> Result<()> {
    let own_reporter = reporter.clone();
    // The processes that the library clones share this program's stack: after a panic they must not go on as if they were it.
    std::panic::set_hook(Box::new(move |panic| {
        own_reporter.log(&panic.to_string());
        sys::exit_now(HELPER_PANICKED);
    }));
    sys::clear_environment();
    let context =
        |what: &'static str| move |errno: Errno| SysError::new("drop", what, errno.into());
    rustix::thread::set_thread_groups(&[]).map_err(context("the supplementary groups"))?;
    match sys::join_new_session_keyring() {
        Ok(()) => Ok(()),
        // Where keyrings are missing or forbidden, they are so for the container too.
        Err(error) if is_without_keyrings(&error) => Ok(()),
        Err(source) => Err(SysError::new("join", "a new session keyring", source).into()),
    }
}

fn is_without_keyrings(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || error.kind() == io::ErrorKind::PermissionDenied
}

/// What the library puts before an error on its way from process to process.
const NOISE: [&str; 3] = [
    "failed to create container: ",
    "exec process failed with error error in executing process : ",
    "failed to unix syscall: ",
];

/// The library's last words, with the first thing that it logged, which is nearest to the cause.
fn explain(text: &str, reported: Reported) -> RuntimeError {
    if let Some(refusal) = reported.refusal {
        return RuntimeError::Refused(refusal);
    }
    let mut message = NOISE
        .iter()
        .fold(text.to_owned(), |text, noise| text.replace(noise, ""));
    if let Some(first) = reported.log.first() {
        message = format!("{message}: {first}");
    }
    RuntimeError::Library {
        message: cut(&message, RAW_LIMIT / 4).to_owned(),
        raw: reported.log.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use ctr_oci::FailureKind;

    use super::*;
    use crate::report::Refusal;

    #[test]
    fn a_refused_command_outranks_what_the_library_says() {
        let refusal = Refusal {
            kind: FailureKind::CommandNotFound,
            message: "no x".to_owned(),
        };
        let reported = Reported {
            refusal: Some(refusal),
            log: vec!["noise".to_owned()],
        };
        let failure = explain("text", reported).into_failure("builtin", "create");
        assert_eq!(failure.kind, FailureKind::CommandNotFound);
        assert_eq!(failure.message, "no x");
    }

    #[test]
    fn the_first_log_line_explains_the_error() {
        let reported = Reported {
            refusal: None,
            log: vec!["ENOENT on /x".to_owned(), "later".to_owned()],
        };
        let failure = explain(
            "failed to create container: failed to prepare rootfs",
            reported,
        )
        .into_failure("builtin", "create");
        assert_eq!(failure.message, "failed to prepare rootfs: ENOENT on /x");
        assert_eq!(failure.raw, "ENOENT on /x\nlater");
    }
}
