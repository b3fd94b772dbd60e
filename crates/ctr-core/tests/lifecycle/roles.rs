//! The other programs that this file is.

use std::path::Path;

use ctr_core::{
    Attach, CleanupRequest, Engine, EngineError, RemoveMode, RemoveRequest, StartRequest,
    StopRequest, WaitFor,
};
use ctr_monitor::RuntimeResolver;
use ctr_monitor::protocol::{RuntimeKind, RuntimeSpec};
use ctr_oci::{CliRuntime, CliRuntimeConfig, FailureKind, OciRuntime, RuntimeFailure};
use ctr_state::StopReason;
use ctr_sys::{Sync, replace_file};

use crate::{fake, fixture};

/// Plays the role that the arguments name, if they do, and returns the exit code.
pub(crate) fn play(args: &[String]) -> Option<u8> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["monitor", number] if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(monitor(number.parse().unwrap()))
        }
        [
            "engine",
            base,
            "container",
            "cleanup",
            "--generation",
            generation,
            id,
        ] => {
            let request = CleanupRequest {
                generation: Some(generation.parse().unwrap()),
            };
            let engine = Engine::open(fixture::config(Path::new(base))).unwrap();
            let found = engine.find(id);
            let result = found.and_then(|container| container.cleanup(request));
            Some(cleanup_code(Path::new(base), result))
        }
        ["command", base, verb, id] => Some(code(&command(Path::new(base), verb, id))),
        ["fake-runtime", ..] => Some(fake::runtime(&args[1..])),
        ["fake-init", ..] => Some(fake::init(&args[1..])),
        _ => None,
    }
}

fn code(result: &Result<(), EngineError>) -> u8 {
    u8::from(result.is_err())
}

/// Nobody sees the standard error of a cleanup command: the fixture looks for this file.
fn cleanup_code(base: &Path, result: Result<(), EngineError>) -> u8 {
    match result {
        Ok(()) => 0,
        // Removed before it was looked for.
        Err(error) if error.is_not_found() => 0,
        Err(error) => {
            let text = format!("{error}: {error:?}");
            replace_file(
                &base.join(fixture::CLEANUP_ERROR),
                text.as_bytes(),
                0o600,
                Sync::No,
            )
            .unwrap();
            1
        }
    }
}

fn monitor(number: i32) -> u8 {
    u8::from(ctr_monitor::serve(number, &Resolver).is_err())
}

struct Resolver;

impl RuntimeResolver for Resolver {
    fn resolve(
        &self,
        spec: &RuntimeSpec,
        run_dir: &Path,
    ) -> Result<Box<dyn OciRuntime>, RuntimeFailure> {
        match &spec.kind {
            RuntimeKind::Program { path } => Ok(Box::new(CliRuntime::new(CliRuntimeConfig::new(
                &spec.name, path, run_dir,
            )))),
            RuntimeKind::Builtin => {
                let kind = FailureKind::RuntimeMissing;
                Err(RuntimeFailure::new(kind, &spec.name, "find", "none here"))
            }
        }
    }
}

/// A command of a process of its own, to be killed, or to run beside the test.
fn command(base: &Path, verb: &str, id: &str) -> Result<(), EngineError> {
    let engine = Engine::open(fixture::config(base))?;
    let container = engine.find(id)?;
    match verb {
        "start" => {
            let attach = Attach::None;
            container
                .start(StartRequest {
                    attach,
                    streams: None,
                })
                .map(drop)
        }
        "stop" => container.stop(patient_stop()).map(drop),
        "remove" => {
            let request = RemoveRequest {
                mode: RemoveMode::Force,
                timeout_s: Some(-1),
            };
            container.remove(request).map(drop)
        }
        "wait" => {
            let exit = container.wait(WaitFor::Exit)?;
            println!("{:?} {}", exit.cause, exit.code());
            Ok(())
        }
        _ => unreachable!("no such command: {verb}"),
    }
}

/// A stop that never kills.
pub(crate) fn patient_stop() -> StopRequest {
    StopRequest {
        timeout_s: Some(-1),
        reason: StopReason::User,
    }
}
