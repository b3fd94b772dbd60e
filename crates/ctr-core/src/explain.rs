//! Why a container could not be created: runtimes tell a missing program from other troubles by prose only, so we look for ourselves.

use std::path::Path;

use ctr_monitor::MonitorError;
use ctr_oci::{FailureKind, RuntimeFailure};
use ctr_rootfs::{CommandCheck, command_check};
use ctr_state::Config;

use crate::error::EngineError;
use crate::prepare::{Prepared, search_path};

/// The monitor's error with what a look into the container's root adds to it.
pub(crate) fn explain(config: &Config, error: MonitorError, prepared: &Prepared) -> EngineError {
    if let MonitorError::Interrupted { signal } = error {
        return EngineError::Interrupted { signal };
    }
    let MonitorError::Runtime(failure) = error else {
        return error.into();
    };
    let process = &config.process;
    let mut command = process.entrypoint.iter().chain(&process.command);
    let program = command.next().map_or("", String::as_str);
    // Where a volume may hold the program, the look into the root says nothing.
    let path = Path::new(program);
    let mut volumes = config.volumes.iter();
    if volumes.any(|volume| !path.is_absolute() || path.starts_with(&volume.destination)) {
        return failure.into();
    }
    let user = &prepared.user;
    let found = command_check(
        &prepared.root,
        program,
        search_path(config),
        &process.cwd,
        user.uid,
        &user.additional_gids,
    );
    judge(failure, program, found).into()
}

/// Sets the kind by what we saw.
pub(crate) fn judge(failure: RuntimeFailure, program: &str, found: CommandCheck) -> RuntimeFailure {
    let (kind, message) = match found {
        CommandCheck::NotFound => (
            FailureKind::CommandNotFound,
            format!("{program:?}: executable file not found in the container"),
        ),
        CommandCheck::NotExecutable { why } => (
            FailureKind::CommandNotExecutable,
            format!("{program:?} cannot be executed: {why}"),
        ),
        CommandCheck::Executable(_) => return failure,
    };
    RuntimeFailure {
        message,
        kind,
        ..failure
    }
}
