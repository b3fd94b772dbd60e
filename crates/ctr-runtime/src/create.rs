//! `create`: the one verb that needs the library, in the process that is given up for it.
//!
//! Calling the library changes the calling process: it becomes undumpable, takes over the container's `oom_score_adj`, changes its working
//! directory, leaks descriptors, and it clones processes that go on to allocate memory, which only a single-threaded process may do.
//! So [`in_this_process`] belongs into a short-lived process. It prepares that process further: a new session keyring, no
//! supplementary groups, an empty environment (the library would hand descriptors on to the container if `LISTEN_FDS` were set).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use ctr_oci::Created;
use ctr_sys::{
    Cgroups, Deadline, HELPER_PANICKED, PidRef, Sync, SysError, is_single_threaded, replace_file,
};
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::Uid;
use rustix::thread::ThreadNameSpaceType;

use crate::error::{RAW_LIMIT, Result, RuntimeError, chain};
use crate::executor::Program;
use crate::record::{Place, Record};
use crate::report::{self, Reported, Reporter, cut};
use crate::spec::{self, Checked, Loopback};
use crate::{devices, library_log, sys, verbs};

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

/// What to create.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) root: &'a Path,
    pub(crate) id: &'a str,
    pub(crate) bundle: &'a Path,
    pub(crate) pid_file: Option<&'a Path>,
    /// With a console: those of the processes until the library has made the terminal.
    pub(crate) streams: Streams<'a>,
    /// Where the master of the terminal goes.
    pub(crate) console: Option<&'a Path>,
    pub(crate) parentage: Parentage,
}

/// Creates the container from the calling process. After a failure nothing of it is left, unless the error says so.
pub(crate) fn in_this_process(order: Order<'_>) -> Result<Created> {
    if !is_single_threaded()? {
        let why = "the process has several threads";
        return Err(RuntimeError::invalid("creating a container", why));
    }
    let strays = open_descriptors()?;
    let place = Place::new(order.root, order.id)?;
    let cgroups = Cgroups::detect()?;
    let checked = spec::load(order.bundle, cgroups.mode())?;
    checked.terminal.require_match(order.console)?;
    place.require_free()?;
    require_fresh_cgroup(&cgroups, &checked.cgroup)?;
    place.claim(&checked.spec)?;
    let created = create_claimed(order, &place, &cgroups, &checked, strays);
    created.map_err(
        |cause| match verbs::discard(&place, &cgroups, Deadline::never()) {
            Ok(()) => cause,
            Err(cleanup) => RuntimeError::Unwound {
                cause: Box::new(cause),
                cleanup: Box::new(cleanup),
            },
        },
    )
}

/// What is left of an earlier container goes; a group that somebody lives in is refused: its limits would be changed, and its
/// processes killed with the container.
fn require_fresh_cgroup(cgroups: &Cgroups, path: &str) -> Result<()> {
    if !cgroups.exists(path) {
        return Ok(());
    }
    if !cgroups.processes(path)?.is_empty() {
        return Err(RuntimeError::invalid(
            format!("cgroup {path}"),
            "has processes already",
        ));
    }
    Ok(cgroups.remove(path)?)
}

fn create_claimed(
    order: Order<'_>,
    place: &Place,
    cgroups: &Cgroups,
    checked: &Checked,
    strays: Vec<RawFd>,
) -> Result<Created> {
    let user = checked
        .spec
        .process()
        .as_ref()
        .map_or(0, |process| process.user().uid());
    if order.console.is_none() {
        give_pipes(order.streams, user)?;
    }
    let pid = call_library(order, place, strays)?;
    // Its parent has not reaped it yet or, if it has, the pid is not in use yet: it is the first process, or none.
    let init = PidRef::capture(pid)?.ok_or_else(|| RuntimeError::Library {
        message: "the first process ended while it was being created".to_owned(),
        raw: String::new(),
    })?;
    checked.terminal.complete(&init, user)?;
    devices::enforce(cgroups, &checked.cgroup, &checked.devices)?;
    let mut record = Record::new(order.bundle, &checked.cgroup, init.stamp())?;
    record.annotations.extend(checked.annotations.clone());
    if checked.loopback == Loopback::Up {
        bring_loopback_up(&init)?;
    }
    place.save(&record)?;
    if let Some(path) = order.pid_file {
        replace_file(path, pid.to_string().as_bytes(), 0o644, Sync::No)?;
    }
    Ok(Created { pid })
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
fn open_descriptors() -> Result<Vec<RawFd>> {
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

fn call_library(order: Order<'_>, place: &Place, strays: Vec<RawFd>) -> Result<i32> {
    let (reporter, reports) =
        report::pipe().map_err(|source| SysError::new("make", "a pipe", source))?;
    prepare_process(&reporter)?;
    let program = Program {
        reporter: reporter.clone(),
        strays,
    };
    let outcome = library_log::capture(&reporter, || build(order, place, program));
    match outcome {
        Ok(pid) => Ok(pid),
        Err(BuildError::Own(error)) => Err(error),
        Err(BuildError::Library(text)) => Err(explain(&text, reports.drain())),
    }
}

enum BuildError {
    Own(RuntimeError),
    Library(String),
}

impl From<libcontainer::error::LibcontainerError> for BuildError {
    fn from(error: libcontainer::error::LibcontainerError) -> Self {
        Self::Library(chain(&error))
    }
}

fn build(
    order: Order<'_>,
    place: &Place,
    program: Program,
) -> std::result::Result<i32, BuildError> {
    let mut builder = ContainerBuilder::new(place.id().to_owned(), SyscallType::Linux)
        .with_root_path(order.root)?
        .with_executor(program);
    if let Some(console) = order.console {
        builder = builder.with_console_socket(Some(console));
    } else if let Streams::Given(streams) = order.streams {
        let [stdin, stdout, stderr] = streams.map(above_the_standard_ones);
        builder = builder
            .with_stdin(stdin.map_err(BuildError::Own)?)
            .with_stdout(stdout.map_err(BuildError::Own)?)
            .with_stderr(stderr.map_err(BuildError::Own)?);
    }
    let container = builder
        .as_init(place.own_directory())
        .with_systemd(false)
        .with_detach(true)
        .as_sibling(order.parentage == Parentage::Sibling)
        .build()?;
    let pid = container.state.pid;
    pid.ok_or_else(|| BuildError::Library("the library names no process".to_owned()))
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

/// The library's last words, with the first thing that it logged, which is nearest to the cause.
fn explain(text: &str, reported: Reported) -> RuntimeError {
    if let Some(refusal) = reported.refusal {
        return RuntimeError::Refused(refusal);
    }
    let mut message = text
        .trim_start_matches("failed to create container: ")
        .to_owned();
    if let Some(first) = reported.log.first() {
        message = format!("{message}: {first}");
    }
    RuntimeError::Library {
        message: cut(&message, RAW_LIMIT / 4).to_owned(),
        raw: reported.log.join("\n"),
    }
}

/// The calling process stays in the container's network namespace.
fn bring_loopback_up(init: &PidRef) -> Result<()> {
    let fail = |operation| {
        move |source: io::Error| {
            RuntimeError::from(SysError::new(operation, "the container's network", source))
        }
    };
    rustix::thread::move_into_thread_name_spaces(init.as_fd(), ThreadNameSpaceType::NETWORK)
        .map_err(|errno| fail("enter")(errno.into()))?;
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None)
        .map_err(|errno| fail("open a socket in")(errno.into()))?;
    sys::set_loopback_up(socket.as_fd()).map_err(fail("set lo up in"))
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
