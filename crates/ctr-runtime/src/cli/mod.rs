//! The standard command line of OCI runtimes around [`Builtin`].

mod arguments;
mod log;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

use ctr_oci::{OciRuntime, RuntimeFailure, RuntimeStatus, Target};
use ctr_sys::Deadline;
use serde_json::{Value, json};

use self::arguments::{Global, Verb};
use crate::builtin::{BUILTIN, Builtin};
use crate::create::{self, Order, Parentage, Streams};
use crate::features;
use crate::verbs::{self, Found};

const HELP: &str = "\
Usage: oci-runtime [--root DIR] [--log FILE] [--log-format text|json] [--debug] VERB

Verbs:
  create [--bundle DIR] [--pid-file FILE] [--console-socket SOCKET] ID
  start ID
  state ID
  kill [--all] ID [SIGNAL]
  delete [--force] ID
  features
";

/// Runs one command of an OCI runtime and returns its exit code: 0, or 1 after an error.
///
/// `args` are the arguments without the program's name. The process must have one thread only; its standard streams are those of the
/// container that `create` makes, whose first process becomes a child of this process and, when it ends, of its subreaper. Answers
/// go to standard output; an error goes to standard error as a line, and to the file given by `--log`.
pub fn oci_runtime_main(args: Vec<OsString>) -> i32 {
    let (global, verb) = arguments::parse(args);
    let outcome = verb.and_then(|verb| run(&global, &verb).map_err(|failure| failure.message));
    let outcome = outcome.and_then(|answer| print(&answer));
    match outcome {
        Ok(()) => 0,
        Err(message) => {
            // A log that cannot be written does not make the error any other.
            drop(log::append(&global, &message));
            drop(writeln!(std::io::stderr(), "Error: {message}"));
            1
        }
    }
}

fn print(answer: &str) -> Result<(), String> {
    let mut stdout = std::io::stdout();
    stdout
        .write_all(answer.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("cannot write to standard output: {error}"))
}

fn run(global: &Global, verb: &Verb) -> Result<String, RuntimeFailure> {
    let target = |id| Target {
        root: &global.root,
        id,
        deadline: Deadline::never(),
    };
    let silent = |()| String::new();
    match verb {
        Verb::Create {
            id,
            bundle,
            pid_file,
            console,
        } => {
            let files = Files {
                bundle,
                pid_file: pid_file.as_deref(),
                console: console.as_deref(),
            };
            create(global, id, files).map(silent)
        }
        Verb::Start { id } => Builtin.start(target(id)).map(silent),
        Verb::State { id } => describe(target(id)).map(|state| pretty(&state)),
        Verb::Kill { id, signal, scope } => Builtin.kill(target(id), *signal, *scope).map(silent),
        Verb::Delete { id, mode } => Builtin.delete(target(id), *mode).map(silent),
        Verb::Features => Ok(pretty(&features::document())),
        Verb::Version => Ok(version()),
        Verb::Help => Ok(HELP.to_owned()),
    }
    .map_err(|failure: RuntimeFailure| RuntimeFailure {
        operation: verb.word().to_owned(),
        ..failure
    })
}

/// The paths of a `create`, as they were given.
#[derive(Clone, Copy)]
struct Files<'a> {
    bundle: &'a Path,
    pid_file: Option<&'a Path>,
    console: Option<&'a Path>,
}

fn create(global: &Global, id: &str, files: Files<'_>) -> Result<(), RuntimeFailure> {
    let failed = |error: crate::error::RuntimeError| error.into_failure(BUILTIN, "create");
    // The library, and what is recorded, need names that do not depend on the working directory.
    let absolute = |path: &Path| {
        let at = crate::error::RuntimeError::at("resolve", path);
        std::path::absolute(path).map_err(|error| failed(at(error)))
    };
    let (root, bundle) = (absolute(&global.root)?, absolute(files.bundle)?);
    let pid_file = files.pid_file.map(absolute).transpose()?;
    let console = files.console.map(absolute).transpose()?;
    create::in_this_process(Order {
        root: &root,
        id,
        bundle: &bundle,
        pid_file: pid_file.as_deref(),
        streams: Streams::Inherited,
        console: console.as_deref(),
        parentage: Parentage::Child,
    })
    .map(drop)
    .map_err(failed)
}

/// The document that the specification wants `state` to print.
fn describe(target: Target<'_>) -> Result<Value, RuntimeFailure> {
    let found = Found::new(target).map_err(|error| error.into_failure(BUILTIN, "state"))?;
    let state = found.state();
    let (bundle, annotations) = match &found.record {
        Some(record) => (json!(record.bundle), json!(record.annotations)),
        None => (json!(""), json!({})),
    };
    let mut document = json!({
        "ociVersion": features::OCI_VERSION_MAX,
        "id": target.id,
        "status": verbs::status_word(state.status),
        "bundle": bundle,
        "annotations": annotations,
    });
    // As runc has it: a number in every status.
    let is_stopped = state.status == RuntimeStatus::Stopped;
    if let Some(pid) = state.pid.or(is_stopped.then_some(0)) {
        document["pid"] = json!(pid);
    }
    Ok(document)
}

fn pretty(document: &Value) -> String {
    format!("{document:#}\n")
}

fn version() -> String {
    format!(
        "ctr oci-runtime version {}\nspec: {}\n",
        env!("CARGO_PKG_VERSION"),
        features::OCI_VERSION_MAX
    )
}
