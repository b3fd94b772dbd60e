//! The verbs of a runtime's program.

use ctr_sys::{Deadline, Signal};
use serde_json::Value;

use super::{CliRuntime, Handed, Streams};
use crate::call::{RuntimeCall, RuntimeQuery};
use crate::console::ConsoleSocket;
use crate::failure::{FailureKind, RuntimeFailure};
use crate::features::{RuntimeFeatures, VersionText};
use crate::runtime::{
    CreateCall, Created, DeleteMode, ExecCall, Executed, KillScope, OciRuntime, PreservedFd,
    RuntimeState, Target,
};

/// The first process of a container gets its standard streams alone.
const NO_MORE_FDS: i32 = 2;

impl OciRuntime for CliRuntime {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn create(&self, target: Target<'_>, call: CreateCall<'_>) -> Result<Created, RuntimeFailure> {
        let id = self.id("create", target)?;
        let console = self.console("create", call.console, NO_MORE_FDS)?;
        let create = RuntimeCall::Create {
            id,
            bundle: call.bundle,
            pid_file: call.pid_file,
            console_socket: console.as_ref().map(ConsoleSocket::path),
        };
        let handed = Handed {
            pid_file: call.pid_file,
            stdio: call.stdio,
            console: console.as_ref(),
            preserved: &[],
        };
        let pid = self.hand_over(target, create, handed)?;
        Ok(Created { pid })
    }

    fn exec(&self, target: Target<'_>, call: ExecCall<'_>) -> Result<Executed, RuntimeFailure> {
        let id = self.id("exec", target)?;
        let last_fd = PreservedFd::highest(call.preserved);
        let last_fd = last_fd.map_err(|error| self.refused("exec", &error))?;
        let console = self.console("exec", call.console, last_fd)?;
        let exec = RuntimeCall::Exec {
            id,
            process: call.process,
            pid_file: call.pid_file,
            console_socket: console.as_ref().map(ConsoleSocket::path),
            cgroup: self.sub_group(call.cgroup)?,
            last_fd,
        };
        let handed = Handed {
            pid_file: call.pid_file,
            stdio: call.stdio,
            console: console.as_ref(),
            preserved: call.preserved,
        };
        let pid = self.hand_over(target, exec, handed)?;
        Ok(Executed { pid })
    }

    fn pause(&self, target: Target<'_>) -> Result<(), RuntimeFailure> {
        let id = self.id("pause", target)?;
        self.order(target, RuntimeCall::Pause { id })
    }

    fn resume(&self, target: Target<'_>) -> Result<(), RuntimeFailure> {
        let id = self.id("resume", target)?;
        self.order(target, RuntimeCall::Resume { id })
    }

    fn processes(&self, target: Target<'_>) -> Result<Vec<i32>, RuntimeFailure> {
        let id = self.id("ps", target)?;
        let reply = self.call(target, RuntimeCall::Processes { id }, Streams::Collected)?;
        reply.processes(&self.config.name)
    }

    fn start(&self, target: Target<'_>) -> Result<(), RuntimeFailure> {
        let id = self.id("start", target)?;
        self.order(target, RuntimeCall::Start { id })
    }

    fn state(&self, target: Target<'_>) -> Result<RuntimeState, RuntimeFailure> {
        let id = self.id("state", target)?;
        let reply = self.call(target, RuntimeCall::State { id }, Streams::Collected)?;
        reply.state(&self.config.name)
    }

    fn kill(
        &self,
        target: Target<'_>,
        signal: Signal,
        scope: KillScope,
    ) -> Result<(), RuntimeFailure> {
        let id = self.id("kill", target)?;
        self.order(target, RuntimeCall::Kill { id, signal, scope })
    }

    fn delete(&self, target: Target<'_>, mode: DeleteMode) -> Result<(), RuntimeFailure> {
        let id = self.id("delete", target)?;
        let reply = self.call(target, RuntimeCall::Delete { id, mode }, Streams::Collected)?;
        match (reply.success(&self.config.name, "delete"), mode) {
            // runc and crun say success here, others do not.
            (Err(failure), DeleteMode::Force) if failure.kind == FailureKind::NoSuchContainer => {
                Ok(())
            }
            (result, DeleteMode::Force | DeleteMode::Stopped) => result.map(drop),
        }
    }

    fn features(&self, deadline: Deadline) -> Result<RuntimeFeatures, RuntimeFailure> {
        let name = &self.config.name;
        let version = self.ask(RuntimeQuery::Version, deadline)?;
        let version = version.success(name, "version").map(VersionText::parse);
        let raw = self.ask(RuntimeQuery::Features, deadline)?;
        // A runtime without the verb says so by its exit code, or prints its usage.
        let raw = raw.success(name, "features").ok();
        let raw = raw.and_then(|text| serde_json::from_slice(text).ok());
        let raw = raw.filter(Value::is_object);
        match (version, raw) {
            (Err(failure), None) => Err(failure),
            (version, raw) => Ok(RuntimeFeatures::gathered(
                name,
                version.unwrap_or_default(),
                raw,
            )),
        }
    }
}
