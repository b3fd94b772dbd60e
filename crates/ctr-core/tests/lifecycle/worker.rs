//! A process that does with the engine what it reads, and says when it did and what it got: the hands of `cargo xtask race`.
//!
//! A line of the input is `VERB NAME [NEW-NAME]`, a line of the output is a JSON object: `from` and `to` on the monotonic clock that
//! all processes share, `answer`, and what else there is to say. Nothing here judges: that is for whoever has started the processes,
//! and knows the engine only from outside.

mod recovery;

use std::io::{BufRead, Write};
use std::path::Path;

use ctr_core::{
    CleanupRequest, CleanupScope, Container, Engine, EngineError, RemoveMode, Started, WaitFor,
};
use ctr_state::{ContainerName, Durability, StateError};
use ctr_sys::{Cgroups, Deadline, Signal};
use serde_json::{Map, Value, json};

use crate::fixture::{GUARD, config, detached, lay_out, remove, request, stop_after};

/// What a call has led to.
type Done = Result<Map<String, Value>, EngineError>;

/// Makes the directory that the workers of one test share; the engine's own are made by the first worker.
pub(crate) fn prepare(base: &Path) -> u8 {
    lay_out(base);
    0
}

/// Removes the control group of the containers, which is empty when nothing was left.
pub(crate) fn conclude(base: &Path) -> u8 {
    let parent = config(base).cgroup_parent;
    let cgroups = Cgroups::detect().unwrap();
    cgroups.remove(&parent).unwrap();
    u8::from(cgroups.exists(&parent))
}

/// Answers lines until there are no more. The engine is opened when the first one comes.
pub(crate) fn work(base: &Path) -> u8 {
    let mut opened = None;
    answer_lines(|line| {
        let engine = opened.get_or_insert_with(|| Engine::open(config(base)).unwrap());
        let words: Vec<&str> = line.split(' ').collect();
        let from = now();
        let (id, done) = carry_out(engine, base, &words);
        let to = now();
        let mut said = told(done);
        said.insert("from".to_owned(), from.into());
        said.insert("to".to_owned(), to.into());
        if let Some(id) = id {
            said.insert("id".to_owned(), id.into());
        }
        said
    })
}

/// Answers each line, which is a base directory, with what an engine finds there.
pub(crate) fn recover() -> u8 {
    answer_lines(|line| recovery::look(Path::new(line)))
}

fn answer_lines(mut answer: impl FnMut(&str) -> Map<String, Value>) -> u8 {
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let said = Value::Object(answer(&line.unwrap()));
        // In one piece: whoever looks on from outside takes it for the moment of the answer.
        output.write_all(format!("{said}\n").as_bytes()).unwrap();
        output.flush().unwrap();
    }
    0
}

fn now() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

fn told(done: Done) -> Map<String, Value> {
    let error = match done {
        Ok(said) => return said,
        Err(error) => error,
    };
    object(if let EngineError::WrongStatus { status, .. } = error {
        json!({ "answer": "refused", "status": status.to_string() })
    } else if let EngineError::State(StateError::NameInUse { by, .. }) = error {
        json!({ "answer": "in-use", "by": by.as_str() })
    } else if error.is_not_found() {
        json!({ "answer": "gone" })
    } else {
        json!({ "answer": "other", "text": format!("{error}: {error:?}") })
    })
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else {
        unreachable!("objects are given")
    };
    object
}

/// The id of the container that was meant, as soon as there is one, and what became of the call.
fn carry_out(engine: &Engine, base: &Path, words: &[&str]) -> (Option<String>, Done) {
    match words {
        ["list"] => (None, list(engine)),
        ["create", name] => {
            let mut request = request(base, &[]);
            request.name = Some(name.parse().unwrap());
            match engine.create(request) {
                Ok(container) => (Some(container.id().to_string()), Ok(done())),
                Err(error) => (None, Err(error)),
            }
        }
        [verb, name, new @ ..] => match engine.find(name) {
            Ok(container) => {
                let id = container.id().to_string();
                (Some(id), act(&container, verb, new.first().copied()))
            }
            Err(error) => (None, Err(error)),
        },
        _ => unreachable!("VERB NAME [NEW-NAME]"),
    }
}

fn done() -> Map<String, Value> {
    object(json!({ "answer": "done" }))
}

fn act(container: &Container<'_>, verb: &str, new: Option<&str>) -> Done {
    match verb {
        "init" => container.init()?,
        "start" => {
            let started = match container.start(detached())? {
                Started::Already => false,
                Started::Detached | Started::Attached(_) => true,
            };
            return Ok(object(json!({ "answer": "done", "started": started })));
        }
        "stop" => container.stop(stop_after(60)).map(drop)?,
        "kill" => container.kill(Signal::KILL)?,
        "end" => container.kill(Signal::USR1)?,
        "signal" => container.kill(Signal::WINCH)?,
        "pause" => container.pause()?,
        "unpause" => container.unpause()?,
        "cleanup" => container.cleanup(CleanupRequest {
            scope: CleanupScope::All,
            ..CleanupRequest::ENDED
        })?,
        "rename" => {
            let name: ContainerName = new.unwrap().parse().unwrap();
            container.rename(&name)?;
        }
        "rm" => container.remove(remove(RemoveMode::Normal)).map(drop)?,
        "rm-f" => container.remove(remove(RemoveMode::Force)).map(drop)?,
        "read" => return read(container),
        "count" => return count(container),
        "wait" => {
            let code = container.wait(WaitFor::Exit)?.code();
            return Ok(object(json!({ "answer": "done", "code": code })));
        }
        other => unreachable!("{other} is no verb"),
    }
    Ok(done())
}

fn list(engine: &Engine) -> Done {
    let mut rows = Vec::new();
    for summary in engine.list()? {
        let status = summary.status().map(|status| status.to_string());
        let snapshot = summary.snapshot();
        rows.push(json!({
            "name": snapshot.name().as_str(), "id": snapshot.id().as_str(), "status": status
        }));
    }
    Ok(object(json!({ "answer": "done", "rows": rows })))
}

fn read(container: &Container<'_>) -> Done {
    let summary = container.summary()?;
    let record = summary.snapshot().record()?;
    Ok(object(json!({
        "answer": "done",
        "name": summary.snapshot().name().as_str(),
        "status": summary.status().map(|status| status.to_string()),
        "generation": record.generation(),
        "count": record.restart_count(),
    })))
}

/// Adds one to a number of the record: what is read under the lock is what is changed.
fn count(container: &Container<'_>) -> Done {
    let store = container.engine().store();
    let mut record = store.lock(container.id(), "count", Deadline::after(GUARD))?;
    record.edit().restart_count += 1;
    record.save(&[], Durability::Fact)?;
    let count = record.record().restart_count();
    Ok(object(json!({ "answer": "done", "count": count })))
}
