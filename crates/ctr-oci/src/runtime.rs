//! The one trait through which every OCI runtime is spoken to, and the data of its calls.
//!
//! The verbs and the status words are those of the OCI runtime specification ("Runtime and Lifecycle"); the shape of a call
//! follows the command line that runc, crun and youki share. Absent on purpose: anything about images, networks or
//! logs; those belong to other layers. An implementation keeps no state of its own between calls: the runtime's state lives
//! below [`Target::root`].

use std::os::fd::{BorrowedFd, RawFd};
use std::path::Path;

use ctr_sys::{Deadline, Signal};
use serde::{Deserialize, Serialize};

use crate::error::OciError;
use crate::failure::{FailureKind, RuntimeFailure};
use crate::features::RuntimeFeatures;

/// The container that a call is about.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The runtime's state directory (`--root`); each container of ours has its own.
    pub root: &'a Path,
    /// The container's id as the runtime knows it.
    pub id: &'a str,
    /// When the call is given up and the runtime's process killed.
    pub deadline: Deadline,
}

/// The three standard streams that the container's first process receives.
#[derive(Clone, Copy, Debug)]
pub struct StdioFds<'a> {
    /// Becomes descriptor 0.
    pub stdin: BorrowedFd<'a>,
    /// Becomes descriptor 1.
    pub stdout: BorrowedFd<'a>,
    /// Becomes descriptor 2.
    pub stderr: BorrowedFd<'a>,
}

/// What `create` needs beside its [`Target`].
#[derive(Clone, Copy, Debug)]
pub struct CreateCall<'a> {
    /// The bundle: a directory that holds `config.json`.
    pub bundle: &'a Path,
    /// Where the runtime writes the pid of the container's first process, in decimal.
    pub pid_file: &'a Path,
    /// The streams of the container's first process; with a console the runtime's own, which receive its words alone.
    pub stdio: StdioFds<'a>,
    /// For a process with a terminal: the path of a listening stream socket (`unix(7)`, of any length) to which the runtime sends
    /// the master of the pseudo-terminal that the process gets. Needed exactly when the specification asks for a terminal.
    pub console: Option<&'a Path>,
}

/// What `exec` needs beside its [`Target`].
#[derive(Clone, Copy, Debug)]
pub struct ExecCall<'a> {
    /// A file with the process to execute, in the form of `process` in the runtime specification.
    pub process: &'a Path,
    /// Where the runtime writes the pid of the process, in decimal.
    pub pid_file: &'a Path,
    /// The streams of the process; with a console the runtime's own, which receive its words alone.
    pub stdio: StdioFds<'a>,
    /// As [`CreateCall::console`].
    pub console: Option<&'a Path>,
    /// The name (one path component) of an existing group directly below the container's, in which the process is to be made: in the version 2 tree of the
    /// control groups where that is the only one, else in the hierarchy of the freezer. A runtime that cannot do so makes it in the
    /// container's own group: callers look, and move it.
    pub cgroup: Option<&'a str>,
    /// Descriptors that the process gets beside its streams, in ascending order of their numbers, each number once.
    pub preserved: &'a [PreservedFd<'a>],
}

/// A descriptor that a process gets beside its standard streams.
#[derive(Clone, Copy, Debug)]
pub struct PreservedFd<'a> {
    /// Its number in the process, 3 to [`PreservedFd::MAX`].
    pub number: RawFd,
    /// What is handed over; its own number does not matter.
    pub fd: BorrowedFd<'a>,
}

impl PreservedFd<'_> {
    /// The highest number: most systems give a process no more than 1024 descriptors unless it asks for more, and all numbers below must
    /// be open for a runtime to hand over one.
    pub const MAX: RawFd = 1023;

    /// Checks the numbers and returns the highest one, 2 where there are none.
    ///
    /// # Errors
    /// [`OciError::Invalid`] when a number is out of its range, or they do not ascend.
    pub fn highest(all: &[Self]) -> Result<RawFd, OciError> {
        let mut last = 2;
        for kept in all {
            if !(last + 1..=Self::MAX).contains(&kept.number) {
                return Err(OciError::invalid(
                    "number of a preserved descriptor",
                    kept.number.to_string(),
                    "the numbers must ascend, from 3 to 1023",
                ));
            }
            last = kept.number;
        }
        Ok(last)
    }
}

/// The answer of a successful `exec`: the process executes its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Its pid, as seen by the caller.
    pub pid: i32,
}

/// The answer of a successful `create`: the first process exists and waits for `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its pid, as seen by the caller.
    pub pid: i32,
}

/// The status words of the OCI runtime specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeStatus {
    /// `create` is under way.
    Creating,
    /// `create` is done, the program has not been started.
    Created,
    /// The program runs.
    Running,
    /// The first process has ended.
    Stopped,
    /// All processes are frozen (an extension that all runtimes share).
    Paused,
}

/// The answer of `state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeState {
    /// What the runtime says of the container.
    pub status: RuntimeStatus,
    /// Pid of the first process; `None` when the runtime gives none (a stopped container).
    pub pid: Option<i32>,
}

/// Whom a signal goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillScope {
    /// The container's first process.
    Init,
    /// Every process of the container.
    All,
}

/// How `delete` treats a container that still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteMode {
    /// Refuse it.
    Stopped,
    /// Kill it first; a container that does not exist is success.
    Force,
}

/// An OCI runtime: a program that is run for each verb, or a library behind the same verbs.
///
/// `exec`, `pause`, `resume` and `processes` are not verbs of the specification: a runtime need not have them, and says so then with the kind
/// `Unsupported`.
///
/// Every method returns [`RuntimeFailure`] with its kind when the runtime refuses, dies, answers nonsense, or passes the
/// deadline of its target.
pub trait OciRuntime {
    /// The name under which the runtime was configured, for messages.
    fn name(&self) -> &str;

    /// Creates the container; afterwards its first process waits for [`OciRuntime::start`].
    ///
    /// # Errors
    /// [`RuntimeFailure`]; nothing of the container is promised to be gone then: the caller deletes it with [`DeleteMode::Force`].
    fn create(&self, target: Target<'_>, call: CreateCall<'_>) -> Result<Created, RuntimeFailure>;

    /// Lets the first process execute the program.
    ///
    /// # Errors
    /// [`RuntimeFailure`], also when the container is not in status `created`.
    fn start(&self, target: Target<'_>) -> Result<(), RuntimeFailure>;

    /// Asks for the container's status.
    ///
    /// # Errors
    /// [`RuntimeFailure`] of kind `NoSuchContainer` when the runtime does not know the container.
    fn state(&self, target: Target<'_>) -> Result<RuntimeState, RuntimeFailure>;

    /// Sends a signal.
    ///
    /// # Errors
    /// [`RuntimeFailure`], also when the container does not run.
    fn kill(
        &self,
        target: Target<'_>,
        signal: Signal,
        scope: KillScope,
    ) -> Result<(), RuntimeFailure>;

    /// Removes what the runtime keeps of the container. Success proves little: callers check the cgroup and the state directory.
    ///
    /// # Errors
    /// [`RuntimeFailure`].
    fn delete(&self, target: Target<'_>, mode: DeleteMode) -> Result<(), RuntimeFailure>;

    /// Executes another process in a container that is created or runs. It is not waited for: it becomes a child of the calling
    /// process or of its subreaper, as the first process does.
    ///
    /// # Errors
    /// [`RuntimeFailure`]; of kind `CommandNotFound` or `CommandNotExecutable` when the command is to blame.
    fn exec(&self, _: Target<'_>, _: ExecCall<'_>) -> Result<Executed, RuntimeFailure> {
        Err(self.without_verb("exec"))
    }

    /// Freezes every process of the container, and returns when all stand still.
    ///
    /// # Errors
    /// [`RuntimeFailure`], also when the container is not in status `running`.
    fn pause(&self, _: Target<'_>) -> Result<(), RuntimeFailure> {
        Err(self.without_verb("pause"))
    }

    /// Lets the processes of a paused container go on.
    ///
    /// # Errors
    /// [`RuntimeFailure`], also when the container is not in status `paused`.
    fn resume(&self, _: Target<'_>) -> Result<(), RuntimeFailure> {
        Err(self.without_verb("resume"))
    }

    /// The pids of the container's processes as the caller sees them, in ascending order.
    ///
    /// # Errors
    /// [`RuntimeFailure`].
    fn processes(&self, _: Target<'_>) -> Result<Vec<i32>, RuntimeFailure> {
        Err(self.without_verb("ps"))
    }

    /// The failure of a verb that the runtime does not have.
    fn without_verb(&self, verb: &str) -> RuntimeFailure {
        let message = "the runtime does not have this verb";
        RuntimeFailure::new(FailureKind::Unsupported, self.name(), verb, message)
    }

    /// What the runtime is and can do.
    ///
    /// # Errors
    /// [`RuntimeFailure`] when it cannot be asked.
    fn features(&self, deadline: Deadline) -> Result<RuntimeFeatures, RuntimeFailure>;
}
