//! The built-in runtime behind the trait.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use ctr_oci::{
    CreateCall, Created, DeleteMode, ExecCall, Executed, KillScope, OciRuntime, PreservedFd,
    RuntimeFailure, RuntimeFeatures, RuntimeState, StdioFds, Target,
};
use ctr_sys::{Child, Deadline, Signal, SysError, fork_helper};
use rustix::pipe::PipeFlags;
use serde::{Deserialize, Serialize};

use crate::children::Earlier;
use crate::create::{self, Order};
use crate::error::{Result, RuntimeError};
use crate::library::{Endowment, Parentage, Streams};
use crate::{exec, features, spec, verbs};

/// The name that the runtime is known by.
pub const BUILTIN: &str = "builtin";

/// The runtime that needs no installed program: libcontainer, called in a forked helper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Builtin;

/// What the helper sends back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Made { pid: i32 },
    Failed(RuntimeFailure),
}

impl Builtin {
    /// The runtime.
    pub const fn new() -> Self {
        Self
    }

    /// `create` without a fork: the library is called in the calling process, which must have one thread and must end soon after.
    ///
    /// The container's first process and the library's intermediate process (`youki:[1:INTER]`, which ends at once) become children of
    /// the calling process' *parent*: it must reap both. The calling process is left without environment and supplementary
    /// groups, undumpable, with another session keyring, panic hook and `oom_score_adj`, and in the container's network namespace.
    /// All that it has open is closed in the first process; `call.stdio` becomes that process' 0, 1 and 2. The deadline of `target` is
    /// not watched: who waits for the calling process can kill it.
    ///
    /// # Errors
    /// As [`OciRuntime::create`].
    pub fn create_here(
        &self,
        target: Target<'_>,
        call: CreateCall<'_>,
    ) -> std::result::Result<Created, RuntimeFailure> {
        create::in_this_process(order(target, call)).map_err(|error| failure(error, "create"))
    }

    /// `exec` without a fork, on the terms of [`Builtin::create_here`]. The network namespace stays the calling process' own.
    ///
    /// # Errors
    /// As [`OciRuntime::exec`].
    pub fn exec_here(
        &self,
        target: Target<'_>,
        call: ExecCall<'_>,
    ) -> std::result::Result<Executed, RuntimeFailure> {
        let execute = || {
            exec::in_this_process(exec::Order {
                target,
                process: spec::read_process(call.process)?,
                pid_file: Some(call.pid_file),
                endowment: endowment(call.stdio, call.console),
                preserved: exec::Preserved::NONE,
                placed: call.preserved,
                cgroup: call.cgroup,
            })
        };
        execute().map_err(|error| failure(error, "exec"))
    }
}

/// Has a helper make a process, which becomes a child of this one, and reaps everything else that is left of it.
fn in_helper(
    deadline: Deadline,
    what: &str,
    stdio: StdioFds<'_>,
    preserved: &[PreservedFd<'_>],
    make: impl FnOnce() -> std::result::Result<i32, RuntimeFailure>,
) -> Result<Answer> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        .map_err(|errno| SysError::new("make", "a pipe", errno.into()))?;
    let earlier = Earlier::now()?;
    let mut keep = vec![stdio.stdin, stdio.stdout, stdio.stderr, writer.as_fd()];
    keep.extend(preserved.iter().map(|kept| kept.fd));
    let helper = fork_helper(&keep, || {
        send(
            &writer,
            &match make() {
                Ok(pid) => Answer::Made { pid },
                Err(failure) => Answer::Failed(failure),
            },
        )
    })?;
    let answer = wait(&helper, deadline, what).and_then(|end| {
        receive(&reader).ok_or_else(|| RuntimeError::Helper {
            end,
            raw: String::new(),
        })
    });
    match answer {
        Ok(Answer::Made { .. }) => earlier.reap_intermediate()?,
        Ok(Answer::Failed(_)) | Err(_) => earlier.end_all()?,
    }
    answer
}

fn endowment<'a>(stdio: StdioFds<'a>, console: Option<&'a Path>) -> Endowment<'a> {
    Endowment {
        streams: Streams::Given([stdio.stdin, stdio.stdout, stdio.stderr]),
        console,
        parentage: Parentage::Sibling,
    }
}

fn order<'a>(target: Target<'a>, call: CreateCall<'a>) -> Order<'a> {
    Order {
        root: target.root,
        id: target.id,
        bundle: call.bundle,
        pid_file: Some(call.pid_file),
        endowment: endowment(call.stdio, call.console),
    }
}

/// The helper's last act. Its result is the helper's exit code.
fn send(writer: &OwnedFd, answer: &Answer) -> i32 {
    // An answer is far below the 64 KiB that a pipe holds, so it is written whole.
    let written = serde_json::to_vec(answer).map(|bytes| rustix::io::write(writer, &bytes));
    match written {
        Ok(Ok(_)) => 0,
        Ok(Err(_)) | Err(_) => 1,
    }
}

fn wait(helper: &Child, deadline: Deadline, what: &str) -> Result<String> {
    if let Some(end) = helper.wait_deadline(deadline)? {
        return Ok(format!("{end:?}"));
    }
    helper.kill_and_wait()?;
    Err(RuntimeError::Deadline {
        what: what.to_owned(),
    })
}

/// Never blocks: the container's first process may hold the other end for a moment longer.
fn receive(reader: &OwnedFd) -> Option<Answer> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = rustix::io::read(reader, &mut buffer) {
        bytes.extend_from_slice(buffer.get(..count)?);
    }
    serde_json::from_slice(&bytes).ok()
}

fn failure(error: RuntimeError, operation: &str) -> RuntimeFailure {
    error.into_failure(BUILTIN, operation)
}

/// What came out of the helper of `operation`.
fn pid_of(made: Result<Answer>, operation: &str) -> std::result::Result<i32, RuntimeFailure> {
    match made {
        Ok(Answer::Made { pid }) => Ok(pid),
        Ok(Answer::Failed(failure)) => Err(failure),
        Err(error) => Err(failure(error, operation)),
    }
}

impl OciRuntime for Builtin {
    fn name(&self) -> &str {
        BUILTIN
    }

    /// The library runs in a forked helper. The container's first process becomes a child of the calling process, subreaper or not; the
    /// helper and the library's intermediate process are reaped before this returns, as is the first process after a failure. The calling
    /// process must have one thread.
    fn create(
        &self,
        target: Target<'_>,
        call: CreateCall<'_>,
    ) -> std::result::Result<Created, RuntimeFailure> {
        let stdio = call.stdio;
        let made = in_helper(
            target.deadline,
            "creating the container",
            stdio,
            &[],
            || self.create_here(target, call).map(|Created { pid }| pid),
        );
        pid_of(made, "create").map(|pid| Created { pid })
    }

    /// As [`Builtin::create`], with the process in place of the first one.
    fn exec(
        &self,
        target: Target<'_>,
        call: ExecCall<'_>,
    ) -> std::result::Result<Executed, RuntimeFailure> {
        let stdio = call.stdio;
        let (what, preserved) = ("executing the process", call.preserved);
        let made = in_helper(target.deadline, what, stdio, preserved, || {
            self.exec_here(target, call).map(|Executed { pid }| pid)
        });
        pid_of(made, "exec").map(|pid| Executed { pid })
    }

    fn pause(&self, target: Target<'_>) -> std::result::Result<(), RuntimeFailure> {
        verbs::pause(target).map_err(|error| failure(error, "pause"))
    }

    fn resume(&self, target: Target<'_>) -> std::result::Result<(), RuntimeFailure> {
        verbs::resume(target).map_err(|error| failure(error, "resume"))
    }

    fn processes(&self, target: Target<'_>) -> std::result::Result<Vec<i32>, RuntimeFailure> {
        verbs::processes(target).map_err(|error| failure(error, "ps"))
    }

    fn start(&self, target: Target<'_>) -> std::result::Result<(), RuntimeFailure> {
        verbs::start(target).map_err(|error| failure(error, "start"))
    }

    fn state(&self, target: Target<'_>) -> std::result::Result<RuntimeState, RuntimeFailure> {
        verbs::state(target).map_err(|error| failure(error, "state"))
    }

    fn kill(
        &self,
        target: Target<'_>,
        signal: Signal,
        scope: KillScope,
    ) -> std::result::Result<(), RuntimeFailure> {
        verbs::kill(target, signal, scope).map_err(|error| failure(error, "kill"))
    }

    fn delete(
        &self,
        target: Target<'_>,
        mode: DeleteMode,
    ) -> std::result::Result<(), RuntimeFailure> {
        verbs::delete(target, mode).map_err(|error| failure(error, "delete"))
    }

    fn features(&self, _: Deadline) -> std::result::Result<RuntimeFeatures, RuntimeFailure> {
        Ok(RuntimeFeatures {
            name: BUILTIN.to_owned(),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            oci_version: Some(features::OCI_VERSION_MAX.to_owned()),
            raw: Some(features::document()),
        })
    }
}
