//! The other programs that this file is.

use std::path::Path;

use ctr_core::{
    CleanupRequest, Container, Engine, EngineError, RemoveMode, RemoveRequest, RestartDuty,
    RestartRequest, StopRequest, WaitFor, Waited,
};
use ctr_monitor::RuntimeResolver;
use ctr_monitor::protocol::{RuntimeKind, RuntimeSpec};
use ctr_oci::{CliRuntime, CliRuntimeConfig, FailureKind, OciRuntime, RuntimeFailure};
use ctr_state::{Status, StopReason};
use ctr_sys::{Sync, replace_file};

use crate::{crowd, fake, fixture, worker};

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
            "--stopped-only",
            "--generation",
            generation,
            id,
        ] => {
            let request = CleanupRequest {
                generation: Some(generation.parse().unwrap()),
                restart: RestartDuty::Here,
                ..CleanupRequest::ENDED
            };
            let engine = Engine::open(fixture::config(Path::new(base))).unwrap();
            let found = engine.find(id);
            let result = found.and_then(|container| container.cleanup(request));
            Some(cleanup_code(Path::new(base), result))
        }
        ["command", base, verb, id] => Some(code(&command(Path::new(base), verb, id))),
        ["crowd", base, seed] => Some(crowd::member(Path::new(base), seed.parse().unwrap())),
        ["worker", "prepare", base] => Some(worker::prepare(Path::new(base))),
        ["worker", "conclude", base] => Some(worker::conclude(Path::new(base))),
        ["worker", "recover"] => Some(worker::recover()),
        ["worker", "work", base] => Some(worker::work(Path::new(base))),
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
        "start" => container.start(fixture::detached()).map(drop),
        "stop" => container.stop(patient_stop()).map(drop),
        "remove" => {
            let request = RemoveRequest {
                timeout_s: Some(-1),
                ..fixture::remove(RemoveMode::Force)
            };
            container.remove(request).map(drop)
        }
        "restart" => container
            .restart(RestartRequest {
                timeout_s: Some(-1),
            })
            .map(drop),
        "pause" => container.pause(),
        "unpause" => container.unpause(),
        "wait" => {
            let exit = container.wait(WaitFor::Exit)?;
            println!("{:?} {}", exit.cause, exit.code());
            Ok(())
        }
        _ => wait_for(&container, verb.strip_prefix("wait-for ").unwrap()),
    }
}

/// Waits for one of these statuses, words as users see them, and prints which it was, or the code.
fn wait_for(container: &Container<'_>, statuses: &str) -> Result<(), EngineError> {
    let statuses: Vec<Status> = statuses
        .split(' ')
        .map(|word| word.parse().unwrap())
        .collect();
    match container.wait_for(&statuses)? {
        Waited::Reached(status) => println!("{status}"),
        Waited::Ended(exit) => println!("ended {}", exit.code()),
    }
    Ok(())
}

/// A stop that never kills.
pub(crate) fn patient_stop() -> StopRequest {
    StopRequest {
        timeout_s: Some(-1),
        reason: StopReason::User,
    }
}
