//! Driving a runtime's program: one process for each call.
//!
//! The program gets the arguments of a [`RuntimeCall`], an environment of one or two variables that are given here, no descriptors but
//! its standard streams, and a session of its own, so that a key pressed by a user never interrupts it half-way. It dies with the
//! caller: a runtime left over from a dead owner would work against whoever takes the container up next. Every call has a
//! deadline, after which the program is killed. Nothing is kept between calls.

mod verbs;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use ctr_sys::{CgroupMode, Deadline, ExitStatus, Launch, OutputLimits, Stdio, SysError, SysResult};

use crate::call::{GlobalFlags, RuntimeCall, RuntimeId, RuntimeQuery, check_group_name};
use crate::call_log::CallLog;
use crate::console::ConsoleSocket;
use crate::error::OciError;
use crate::failure::{FailureKind, RuntimeFailure};
use crate::find::check_runtime;
use crate::reply::RuntimeReply;
use crate::runtime::{PreservedFd, StdioFds, Target};

/// Where a runtime finds its own helpers when the caller names no other path.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Bytes kept of each stream of a call: more than any runtime's `features` or `state` answer.
const OUTPUT_BYTES: usize = 1024 * 1024;

/// The first descriptor that is not a standard stream.
const FIRST_PRESERVED: RawFd = 3;

/// One configured runtime program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliRuntimeConfig {
    /// The configured name, for messages.
    pub name: String,
    /// The program, an absolute path; see [`crate::find_runtime`].
    pub program: PathBuf,
    /// Arguments before the global flags, for a program that is a runtime only under a verb of its own.
    pub prefix: Vec<String>,
    /// An existing private directory for the log files of calls under way.
    pub log_dir: PathBuf,
    /// `PATH` of the program; `None` means the standard directories.
    pub path: Option<OsString>,
    /// `XDG_RUNTIME_DIR` of the program; `None` means that it has none.
    pub xdg_runtime_dir: Option<OsString>,
}

impl CliRuntimeConfig {
    /// A program that is a runtime by itself, with the standard `PATH` as its whole environment.
    pub fn new(
        name: impl Into<String>,
        program: impl Into<PathBuf>,
        log_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            prefix: Vec::new(),
            log_dir: log_dir.into(),
            path: None,
            xdg_runtime_dir: None,
        }
    }
}

/// An OCI runtime that is a program: runc, crun, youki, or any other with their command line.
#[derive(Debug)]
pub struct CliRuntime {
    config: CliRuntimeConfig,
    logs: AtomicU64,
}

/// Where the standard streams of a call go.
#[derive(Clone, Copy)]
enum Streams<'a> {
    /// Into this process.
    Collected,
    /// To a process of the container; only the log tells what went wrong.
    HandedOver(Handed<'a>),
}

/// What is handed over by a call that makes a process.
#[derive(Clone, Copy)]
struct Handed<'a> {
    pid_file: &'a Path,
    stdio: StdioFds<'a>,
    console: Option<&'a ConsoleSocket>,
    preserved: &'a [PreservedFd<'a>],
}

struct Ended {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl CliRuntime {
    /// The runtime with this configuration. The program is looked at before each call, so it may be missing here.
    pub fn new(config: CliRuntimeConfig) -> Self {
        Self {
            config,
            logs: AtomicU64::new(0),
        }
    }

    /// The configuration.
    pub fn config(&self) -> &CliRuntimeConfig {
        &self.config
    }

    fn id<'a>(&self, operation: &str, target: Target<'a>) -> Result<RuntimeId<'a>, RuntimeFailure> {
        RuntimeId::new(target.id).map_err(|error| self.refused(operation, &error))
    }

    /// One call about a container, to its end.
    fn call(
        &self,
        target: Target<'_>,
        call: RuntimeCall<'_>,
        streams: Streams<'_>,
    ) -> Result<RuntimeReply, RuntimeFailure> {
        let operation = call.operation();
        let log_error = |error: io::Error| {
            let path = self.config.log_dir.display().to_string();
            self.failed(operation, &SysError::new("keep a log in", path, error))
        };
        let mut log = CallLog::create(&self.config.log_dir, &self.logs).map_err(log_error)?;
        let flags = GlobalFlags {
            root: target.root,
            log: log.path(),
        };
        let argv = call
            .argv(flags)
            .map_err(|error| self.refused(operation, &error))?;
        let launch = self.launch(&argv);
        let ended = self.run(operation, launch, target.deadline, streams)?;
        Ok(RuntimeReply {
            status: ended.status,
            log: log.read().map_err(log_error)?,
            stdout: ended.stdout,
            stderr: ended.stderr,
        })
    }

    fn ask(&self, query: RuntimeQuery, deadline: Deadline) -> Result<RuntimeReply, RuntimeFailure> {
        let launch = self.launch(&query.argv());
        let ended = self.run(query.operation(), launch, deadline, Streams::Collected)?;
        Ok(RuntimeReply {
            status: ended.status,
            log: String::new(),
            stdout: ended.stdout,
            stderr: ended.stderr,
        })
    }

    fn launch(&self, argv: &[OsString]) -> Launch {
        let path = self
            .config
            .path
            .as_deref()
            .unwrap_or(OsStr::new(DEFAULT_PATH));
        let launch = Launch::program(&self.config.program)
            .args(&self.config.prefix)
            .args(argv)
            .env("PATH", path)
            .new_session()
            // crun mounts a copy of itself for a moment, whatever it is asked: not in the host's table.
            .private_mounts()
            .die_with_parent();
        match &self.config.xdg_runtime_dir {
            Some(directory) => launch.env("XDG_RUNTIME_DIR", directory),
            None => launch,
        }
    }

    fn run(
        &self,
        operation: &str,
        launch: Launch,
        deadline: Deadline,
        streams: Streams<'_>,
    ) -> Result<Ended, RuntimeFailure> {
        check_runtime(&self.config.program).map_err(|error| self.refused(operation, &error))?;
        if deadline.expired() {
            let message = "its deadline had passed before it was called";
            return Err(RuntimeFailure::new(
                FailureKind::Timeout,
                &self.config.name,
                operation,
                message,
            ));
        }
        let ended = match streams {
            Streams::Collected => collected(launch, deadline),
            Streams::HandedOver(handed) => handed_over(launch, deadline, handed),
        };
        ended
            .map_err(|error| self.failed(operation, &error))?
            .ok_or_else(|| {
                let message = "it did not answer within its deadline and was killed";
                RuntimeFailure::new(FailureKind::Timeout, &self.config.name, operation, message)
            })
    }

    /// A call that was not made.
    fn refused(&self, operation: &str, error: &OciError) -> RuntimeFailure {
        let kind = match error {
            OciError::RuntimeNotFound { .. }
            | OciError::RuntimeUnreadable { .. }
            | OciError::RuntimeUnusable { .. }
            | OciError::RuntimeExchangeable { .. } => FailureKind::RuntimeMissing,
            OciError::Invalid { .. }
            | OciError::Host { .. }
            | OciError::Encode { .. }
            | OciError::Bundle { .. } => FailureKind::Other,
        };
        let message = match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        RuntimeFailure::new(kind, &self.config.name, operation, &message)
    }

    /// A call that the kernel did not let us make.
    fn failed(&self, operation: &str, error: &SysError) -> RuntimeFailure {
        // The program went away or lost a permission between our look and the kernel's, or its interpreter is missing.
        let unusable = [io::ErrorKind::NotFound, io::ErrorKind::PermissionDenied];
        let kind = if error.operation() == "start" && unusable.contains(&error.kind()) {
            FailureKind::RuntimeMissing
        } else {
            FailureKind::Other
        };
        RuntimeFailure::new(kind, &self.config.name, operation, &error.to_string())
    }

    fn console(
        &self,
        operation: &str,
        path: Option<&Path>,
        last_fd: RawFd,
    ) -> Result<Option<ConsoleSocket>, RuntimeFailure> {
        let socket = path.map(|path| ConsoleSocket::open(path, last_fd));
        socket
            .transpose()
            .map_err(|error| self.failed(operation, &error))
    }

    /// The group that the runtime is told of. With version 1 of the control groups runtimes differ in how they are told, and one of them puts
    /// the process into the root of every hierarchy that lacks the group: there none is.
    fn sub_group<'a>(&self, group: Option<&'a str>) -> Result<Option<&'a str>, RuntimeFailure> {
        let Some(group) = group else {
            return Ok(None);
        };
        check_group_name(group).map_err(|error| self.refused("exec", &error))?;
        let unified = CgroupMode::is_unified().map_err(|error| self.failed("exec", &error))?;
        Ok(unified.then_some(group))
    }

    /// A call that has no answer but its success.
    fn order(&self, target: Target<'_>, call: RuntimeCall<'_>) -> Result<(), RuntimeFailure> {
        let operation = call.operation();
        let reply = self.call(target, call, Streams::Collected)?;
        reply.success(&self.config.name, operation).map(drop)
    }

    /// A call that makes a process, and its pid.
    fn hand_over(
        &self,
        target: Target<'_>,
        call: RuntimeCall<'_>,
        handed: Handed<'_>,
    ) -> Result<i32, RuntimeFailure> {
        let operation = call.operation();
        // The pid of an earlier process must never be read as the answer.
        match std::fs::remove_file(handed.pid_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = handed.pid_file.display().to_string();
                return Err(self.failed(operation, &SysError::new("remove", path, error)));
            }
            Ok(()) | Err(_) => {}
        }
        let reply = self.call(target, call, Streams::HandedOver(handed))?;
        reply.success(&self.config.name, operation)?;
        self.pid(operation, handed.pid_file)
    }

    fn pid(&self, operation: &str, pid_file: &Path) -> Result<i32, RuntimeFailure> {
        let bad = |message: String| {
            let kind = FailureKind::BadAnswer;
            RuntimeFailure::new(kind, &self.config.name, operation, &message)
        };
        let shown = pid_file.display();
        let mut text = String::new();
        File::open(pid_file)
            .and_then(|file| file.take(32).read_to_string(&mut text))
            .map_err(|error| bad(format!("it left no readable pid file {shown}: {error}")))?;
        match text.trim().parse() {
            Ok(pid) if pid > 0 => Ok(pid),
            Ok(_) | Err(_) => Err(bad(format!("it wrote no pid into {shown} but {text:?}"))),
        }
    }
}

fn collected(launch: Launch, deadline: Deadline) -> SysResult<Option<Ended>> {
    let limits = OutputLimits {
        bytes: OUTPUT_BYTES,
        deadline,
    };
    let output = launch.output(limits)?;
    Ok(output.status.map(|status| Ended {
        status,
        stdout: output.stdout,
        stderr: output.stderr,
    }))
}

fn copy_of(fd: BorrowedFd<'_>) -> SysResult<OwnedFd> {
    let copy = fd.try_clone_to_owned();
    copy.map_err(|error| SysError::new("duplicate", "a descriptor for the container", error))
}

/// Runtimes want all descriptors up to the highest to be open: those in between have nothing to read.
fn preserve(mut launch: Launch, preserved: &[PreservedFd<'_>]) -> SysResult<Launch> {
    let Some(last) = preserved.last() else {
        return Ok(launch);
    };
    let null = File::open("/dev/null");
    let null = null.map_err(|error| SysError::new("open", "/dev/null", error))?;
    for number in FIRST_PRESERVED..=last.number {
        let kept = preserved.iter().find(|kept| kept.number == number);
        let fd = kept.map_or(null.as_fd(), |kept| kept.fd);
        launch = launch.fd(number, copy_of(fd)?);
    }
    Ok(launch)
}

fn handed_over(launch: Launch, deadline: Deadline, handed: Handed<'_>) -> SysResult<Option<Ended>> {
    let stdio = handed.stdio;
    let mut launch = preserve(launch, handed.preserved)?;
    if let Some(console) = handed.console {
        launch = launch.fd(console.number(), copy_of(console.as_fd())?);
    }
    let child = launch
        .stdin(Stdio::Fd(copy_of(stdio.stdin)?))
        .stdout(Stdio::Fd(copy_of(stdio.stdout)?))
        .stderr(Stdio::Fd(copy_of(stdio.stderr)?))
        .spawn()?;
    let Some(status) = child.wait_deadline(deadline)? else {
        child.kill_and_wait()?;
        return Ok(None);
    };
    Ok(Some(Ended {
        status,
        stdout: Vec::new(),
        stderr: Vec::new(),
    }))
}
