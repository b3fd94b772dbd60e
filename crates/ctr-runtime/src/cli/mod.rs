//! The standard command line of OCI runtimes around [`Builtin`].

mod arguments;
mod log;
mod processes;
mod tell;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;

use ctr_oci::{OciRuntime, RuntimeFailure, Target};
use ctr_sys::Deadline;
use oci_spec::runtime::LinuxResources;

use self::arguments::{Global, Limits, Verb};
use crate::builtin::{BUILTIN, Builtin};
use crate::error::{Result, RuntimeError};
use crate::features;

const HELP: &str = "\
Usage: oci-runtime [GLOBAL OPTIONS] VERB

Global options:
  --root DIR                where the state is kept (/run/ctr-oci-runtime)
  --log FILE                where errors are appended
  --log-format text|json    in which form
  --cgroup-manager cgroupfs, --systemd-cgroup=false, --rootless auto|false, --debug
                            accepted; other values are refused
  --version, -v; --help, -h

Verbs:
  create [--bundle DIR] [--pid-file FILE] [--console-socket SOCKET] ID
  run [--detach] [--bundle DIR] [--pid-file FILE] [--console-socket SOCKET] ID
  exec [--detach] [--pid-file FILE] [--console-socket SOCKET] [--preserve-fds N]
       --process FILE ID
  exec [...] [--tty] [--cwd DIR] [--env NAME=VALUE] [--user UID[:GID]]
       [--additional-gids GID] [--cap CAP] [--no-new-privs] ID COMMAND...
  start ID
  state ID
  kill [--all] ID [SIGNAL]
  pause ID
  resume ID
  ps [--format table|json] ID
  list [--format table|json] [--quiet]
  update --resources FILE|- ID
  update [--memory N] [--memory-reservation N] [--memory-swap N] [--cpu-share N]
         [--cpu-quota N] [--cpu-period N] [--cpuset-cpus LIST] [--cpuset-mems LIST]
         [--pids-limit N] [--blkio-weight N] ID
  delete [--force] ID
  features
";

/// The exit code of most errors.
const FAILED: i32 = 1;
/// That of a process that could not be executed: no process would end so.
const EXEC_FAILED: i32 = 255;

/// What a verb comes to.
#[derive(Debug)]
enum Answer {
    /// Nothing but success.
    Done,
    /// A text for standard output.
    Text(String),
    /// The exit code of a process that was waited for.
    Code(i32),
}

/// Runs one command of an OCI runtime and returns its exit code: 0, or 1 after an error; `run` and `exec` in the foreground return that of
/// their process (128 plus the number of the signal that killed it), and `exec` 255 after an error.
///
/// `program` is the command line by which the calling program comes here again, up to `args`, the arguments of the runtime: for verbs that enter
/// a container, the process executes itself anew from a file that no container can write to. The process must have one thread only; its standard streams are those of the
/// container that `create` makes, whose first process becomes a child of this process and, when it ends, of its subreaper. Answers
/// go to standard output; an error goes to standard error as a line, and to the file given by `--log`.
pub fn oci_runtime_main(program: &[OsString], args: Vec<OsString>) -> i32 {
    let command_line = [program, &args].concat();
    let (global, verb) = arguments::parse(args);
    let failed = match &verb {
        Ok(Verb::Exec(_)) => EXEC_FAILED,
        Ok(_) | Err(_) => FAILED,
    };
    let outcome = verb.and_then(|verb| {
        let ran = protect(&global, &verb, &command_line).and_then(|()| run(&global, &verb));
        ran.map_err(|failure| failure.message)
    });
    let outcome = outcome.and_then(|answer| match answer {
        Answer::Done => Ok(0),
        Answer::Text(text) => print(&text).map(|()| 0),
        Answer::Code(code) => Ok(code),
    });
    outcome.unwrap_or_else(|message| {
        // A log that cannot be written does not make the error any other.
        drop(log::append(&global, &message));
        drop(writeln!(std::io::stderr(), "Error: {message}"));
        failed
    })
}

/// The processes that enter a container execute this program until they execute the container's. A command that is a script of
/// `/proc/self/exe` starts it a second time, with a loader of the container, which could go on to write to the file.
fn protect(
    global: &Global,
    verb: &Verb,
    command_line: &[OsString],
) -> std::result::Result<(), RuntimeFailure> {
    let enters = match verb {
        Verb::Create(_) | Verb::Run { .. } | Verb::Exec(_) => true,
        Verb::Start { .. }
        | Verb::State { .. }
        | Verb::Kill { .. }
        | Verb::Pause { .. }
        | Verb::Resume { .. }
        | Verb::Ps { .. }
        | Verb::List { .. }
        | Verb::Update(_)
        | Verb::Delete { .. }
        | Verb::Features
        | Verb::Version
        | Verb::Help => false,
    };
    if !enters {
        return Ok(());
    }
    // Any directory will do, and this one is there for all but the first container.
    ctr_sys::go_on_protected(&global.root, command_line)
        .map_err(|error| RuntimeError::from(error).into_failure(BUILTIN, verb.word()))
}

fn print(answer: &str) -> std::result::Result<(), String> {
    let mut stdout = std::io::stdout();
    stdout
        .write_all(answer.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("cannot write to standard output: {error}"))
}

fn run(global: &Global, verb: &Verb) -> std::result::Result<Answer, RuntimeFailure> {
    let target = |id| target(&global.root, id);
    let done = |()| Answer::Done;
    let word = verb.word();
    let failed = |error: RuntimeError| error.into_failure(BUILTIN, word);
    match verb {
        Verb::Start { id } => Builtin.start(target(id)).map(done),
        Verb::Kill { id, signal, scope } => Builtin.kill(target(id), *signal, *scope).map(done),
        Verb::Pause { id } => Builtin.pause(target(id)).map(done),
        Verb::Resume { id } => Builtin.resume(target(id)).map(done),
        Verb::Delete { id, mode } => Builtin.delete(target(id), *mode).map(done),
        Verb::Create(creation) => processes::create(global, creation).map_err(failed),
        Verb::Run {
            creation,
            attachment,
        } => processes::run(global, creation, *attachment).map_err(failed),
        Verb::Exec(execution) => processes::exec(global, execution).map_err(failed),
        Verb::Update(update) => resources(&update.limits)
            .and_then(|limits| crate::update::update(target(&update.id), &limits))
            .map(done)
            .map_err(failed),
        Verb::State { id } => tell::state(target(id)).map(Answer::Text).map_err(failed),
        Verb::Ps { id, format } => tell::ps(target(id), *format)
            .map(Answer::Text)
            .map_err(failed),
        Verb::List { format } => tell::list(&global.root, *format)
            .map(Answer::Text)
            .map_err(failed),
        Verb::Features => Ok(Answer::Text(tell::pretty(&features::document()))),
        Verb::Version => Ok(Answer::Text(tell::version())),
        Verb::Help => Ok(Answer::Text(HELP.to_owned())),
    }
}

fn target<'a>(root: &'a Path, id: &'a str) -> Target<'a> {
    Target {
        root,
        id,
        deadline: Deadline::never(),
    }
}

/// No sensible list of limits is longer.
const RESOURCES_LIMIT: u64 = 1 << 20;

fn resources(limits: &Limits) -> Result<LinuxResources> {
    let (path, source): (&Path, Box<dyn Read>) = match limits {
        Limits::Given(resources) => return Ok(*resources.clone()),
        // Not opened by its name, which a socket does not allow.
        Limits::File(path) if path == Path::new("-") => {
            (Path::new("standard input"), Box::new(std::io::stdin()))
        }
        Limits::File(path) => {
            let file = std::fs::File::open(path).map_err(RuntimeError::at("open", path))?;
            (path, Box::new(file))
        }
    };
    let mut bytes = Vec::new();
    source
        .take(RESOURCES_LIMIT)
        .read_to_end(&mut bytes)
        .map_err(RuntimeError::at("read", path))?;
    serde_json::from_slice(&bytes).map_err(|source| RuntimeError::Corrupt {
        path: path.to_owned(),
        form: "resources of an OCI runtime specification",
        source,
    })
}
