//! The runtimes of a monitor.

use std::path::Path;

use ctr_monitor::RuntimeResolver;
use ctr_monitor::protocol::{RuntimeKind, RuntimeSpec};
use ctr_oci::{
    CliRuntime, CliRuntimeConfig, CreateCall, Created, DeleteMode, ExecCall, Executed, KillScope,
    OciRuntime, RuntimeFailure, RuntimeFeatures, RuntimeState, Target,
};
use ctr_runtime::Builtin;
use ctr_sys::{Deadline, Signal};

/// Turns the runtimes that requests describe into runtimes: the one in this file, and programs.
pub(super) struct Resolver;

impl RuntimeResolver for Resolver {
    fn resolve(
        &self,
        spec: &RuntimeSpec,
        run_dir: &Path,
    ) -> Result<Box<dyn OciRuntime>, RuntimeFailure> {
        match &spec.kind {
            RuntimeKind::Builtin => Ok(Box::new(InThisProcess(Builtin::new()))),
            RuntimeKind::Program { path } => {
                let config = CliRuntimeConfig::new(&spec.name, path, run_dir);
                Ok(Box::new(CliRuntime::new(config)))
            }
        }
    }
}

/// The built-in runtime without a fork of its own: monitors resolve runtimes in a helper process that lives for one call only.
struct InThisProcess(Builtin);

impl OciRuntime for InThisProcess {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn create(&self, target: Target<'_>, call: CreateCall<'_>) -> Result<Created, RuntimeFailure> {
        self.0.create_here(target, call)
    }

    fn exec(&self, target: Target<'_>, call: ExecCall<'_>) -> Result<Executed, RuntimeFailure> {
        self.0.exec_here(target, call)
    }

    fn pause(&self, target: Target<'_>) -> Result<(), RuntimeFailure> {
        self.0.pause(target)
    }

    fn resume(&self, target: Target<'_>) -> Result<(), RuntimeFailure> {
        self.0.resume(target)
    }

    fn processes(&self, target: Target<'_>) -> Result<Vec<i32>, RuntimeFailure> {
        self.0.processes(target)
    }

    fn start(&self, target: Target<'_>) -> Result<(), RuntimeFailure> {
        self.0.start(target)
    }

    fn state(&self, target: Target<'_>) -> Result<RuntimeState, RuntimeFailure> {
        self.0.state(target)
    }

    fn kill(
        &self,
        target: Target<'_>,
        signal: Signal,
        scope: KillScope,
    ) -> Result<(), RuntimeFailure> {
        self.0.kill(target, signal, scope)
    }

    fn delete(&self, target: Target<'_>, mode: DeleteMode) -> Result<(), RuntimeFailure> {
        self.0.delete(target, mode)
    }

    fn features(&self, deadline: Deadline) -> Result<RuntimeFeatures, RuntimeFailure> {
        self.0.features(deadline)
    }
}
