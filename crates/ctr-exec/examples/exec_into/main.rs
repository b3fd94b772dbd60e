//! Runs a command in a container that somebody else has started with runc, and nothing of this house but `ctr-exec` (with `ctr-oci`
//! and `ctr-sys` below it): no engine, no monitor, no store.
//!
//! ```text
//! cargo run -p ctr-exec --example exec_into                              # makes a container with plain `runc run -d`, looks around in it
//! cargo run -p ctr-exec --example exec_into -- /run/runc web ps aux      # the container `web` of that runc
//! cargo run -p ctr-exec --example exec_into -- /run/runc web sh | tee x  # a terminal is in front of us: the shell gets one too
//! ```
//!
//! The command gets a terminal if our own standard input is one, else pipes. Ctrl-P Ctrl-Q leaves it; nobody keeps its terminal then, so the
//! kernel hangs it up. Its rights are the usual ones of [`ProcessBuilder`], not those of the container's first process. Our exit code
//! is the command's. Needs root and a runc in one of the usual directories; says so when there is none.

mod talk;

use std::error::Error;
use std::fs::File;
use std::io::Stdin;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use ctr_exec::session::{
    Input, SessionConfig, SessionExit, SessionId, SessionPaths, SessionRecord, SessionState, Tty,
};
use ctr_exec::{
    Console, ConsoleSocket, Departure, DetachKeys, ExitReport, PidFile, RawMode, TimedOut,
    WindowSize, is_terminal,
};
use ctr_oci::{
    Access, BindMount, Bundle, CliRuntime, CliRuntimeConfig, DeleteMode, ExecCall, HostFacts,
    OciError, OciRuntime, ProcessBuilder, SpecBuilder, StdioFds, Target, Terminal, find_runtime,
};
use ctr_sys::{
    BootId, Deadline, ExitStatus, Launch, PidRef, Signal, SignalFd, Stdio, Subreaper, Sync, now_ns,
    replace_file, set_subreaper,
};
use rustix::pipe::{PipeFlags, pipe_with};

use talk::End;

/// Any call of the runtime that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where programs are in most containers.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What ends us goes to the command instead, and its end is ours.
const SIGNALS: [Signal; 5] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::WINCH,
];

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let mut next: Option<&dyn Error> = Some(&*error);
            while let Some(cause) = next {
                eprintln!("exec_into: {cause}");
                next = cause.source();
            }
            ExitCode::from(125)
        }
    }
}

fn run() -> Outcome<u8> {
    let program = match find_runtime("runc", &[]) {
        Ok(program) => program,
        Err(error @ OciError::RuntimeNotFound { .. }) => {
            eprintln!("exec_into: {error}; install runc to run this example");
            return Ok(125);
        }
        Err(error) => return Err(error.into()),
    };
    let scratch = tempfile::tempdir()?;
    let runtime = CliRuntime::new(CliRuntimeConfig::new("runc", program, scratch.path()));
    let args: Vec<String> = std::env::args().skip(1).collect();
    let code = match args.as_slice() {
        [] => in_a_container_of_our_own(&runtime, scratch.path())?,
        [root, id, command @ ..] if !command.is_empty() => {
            let root = Path::new(root);
            Session::begin(&runtime, Container { root, id }, scratch.path(), command)?.finish()?
        }
        [..] => return Err("it takes no arguments, or ROOT ID COMMAND...".into()),
    };
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

/// A container of a runc: where that keeps what it knows, and the name there.
#[derive(Clone, Copy)]
struct Container<'a> {
    root: &'a Path,
    id: &'a str,
}

impl<'a> Container<'a> {
    fn target(self) -> Target<'a> {
        Target {
            root: self.root,
            id: self.id,
            deadline: Deadline::after(PATIENCE),
        }
    }
}

/// Makes a container as anybody would, executes a command in it, and removes it, also when something has failed.
fn in_a_container_of_our_own(runtime: &CliRuntime, scratch: &Path) -> Outcome<i32> {
    let state = scratch.join("state");
    let id = format!("exec-into-{}", std::process::id());
    let container = Container {
        root: &state,
        id: &id,
    };
    let look_around = ["sh", "-c", "tty; exec id"].map(str::to_owned);
    let code = run_detached(&runtime.config().program, scratch, container).and_then(|pid| {
        println!("runc started a container, pid {pid}");
        let session = Session::begin(runtime, container, scratch, &look_around)?;
        let (run_dir, id) = (session.run_dir, session.record.id.clone());
        let code = session.finish()?;
        let record = SessionRecord::read(run_dir, &id)?.ok_or("the record is gone")?;
        println!("session {} has {}", id.short(), record.state.word());
        Ok(code)
    });
    let deleted = runtime.delete(container.target(), DeleteMode::Force);
    let code = code?;
    deleted?;
    println!("exit code: {code}");
    Ok(code)
}

/// `runc run -d`: a sleeping container on the host's programs, which is not our child. Gives the pid that runc has written.
fn run_detached(runc: &Path, scratch: &Path, container: Container<'_>) -> Outcome<i32> {
    let root = scratch.join("rootfs");
    std::fs::create_dir(&root)?;
    let mut builder = SpecBuilder::new(&root)
        .args(["sleep", "600"])
        .env("PATH", PATH)
        .cgroup_path(format!("/{}", container.id));
    for directory in ["/bin", "/lib", "/lib64", "/usr"] {
        if Path::new(directory).is_dir() {
            builder = builder.mount(BindMount {
                source: directory.into(),
                destination: directory.into(),
                access: Access::ReadOnly,
            });
        }
    }
    let bundle = Bundle::write(&scratch.join("bundle"), &builder.build()?)?;
    let pid_file = PidFile::new(scratch.join("pid"));
    let child = Launch::program(runc)
        .arg("--root")
        .arg(container.root)
        .args(["run", "--detach", "--bundle"])
        .arg(bundle.path())
        .arg("--pid-file")
        .arg(pid_file.path())
        .arg(container.id)
        .env("PATH", PATH)
        .stderr(Stdio::Inherit)
        .spawn()?;
    let pid = pid_file.wait(child.as_fd(), Deadline::after(PATIENCE));
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("runc run: exit code {}", status.code()).into());
    }
    Ok(pid?)
}

/// A command in a container, and what is known of it: on disk at each moment, for whoever comes when we were killed.
struct Session<'a> {
    run_dir: &'a Path,
    record: SessionRecord,
    signals: SignalFd,
    stdin: Stdin,
    process: PidRef,
    streams: Streams,
}

/// Our ends of the command's streams. None of them blocks.
enum Streams {
    Terminal(Console),
    Pipes {
        stdin: OwnedFd,
        outputs: [OwnedFd; 2],
    },
}

impl<'a> Session<'a> {
    /// Asks the runtime for the process, and records what becomes of that.
    fn begin(
        runtime: &CliRuntime,
        container: Container<'_>,
        run_dir: &'a Path,
        command: &[String],
    ) -> Outcome<Self> {
        // Before the process exists, so that no signal is lost; what is launched has an empty mask again.
        let signals = SignalFd::block(&SIGNALS)?;
        // The process becomes our child when runc has gone, so that we are told its exit code.
        set_subreaper(Subreaper::On)?;
        let stdin = std::io::stdin();
        let mut record = new_record(container, command, &stdin)?;
        let paths = SessionPaths::new(run_dir, &record.id);
        std::fs::create_dir_all(paths.directory())?;
        write_process(&paths, &record.config, &stdin)?;
        record.state = SessionState::Starting;
        record.write(run_dir)?;
        let started = match record.config.tty {
            Tty::Yes => with_terminal(runtime, container, &paths),
            Tty::No => with_pipes(runtime, container, &paths),
        };
        record.state = match &started {
            Ok((process, _)) => SessionState::Running {
                process: process.stamp(),
                started_ns: now_ns(),
            },
            Err(error) => SessionState::Failed {
                why: error.to_string(),
            },
        };
        record.write(run_dir)?;
        let (process, streams) = started?;
        Ok(Self {
            run_dir,
            record,
            signals,
            stdin,
            process,
            streams,
        })
    }

    /// Carries bytes to and fro until the command ends or its user leaves; gives the exit code.
    fn finish(mut self) -> Outcome<i32> {
        let end = match self.streams {
            Streams::Terminal(console) => {
                if let Some(size) = WindowSize::of(&self.stdin) {
                    console.resize(size)?;
                }
                // From here on every key is the command's, until this is dropped.
                let _raw = RawMode::enter(self.stdin.as_fd())?;
                talk::through_terminal(&self.process, &self.signals, &self.stdin, &console)?
            }
            Streams::Pipes { stdin, outputs } => {
                talk::through_pipes(&self.process, &self.signals, &self.stdin, stdin, outputs)?
            }
        };
        let status = match end {
            End::Exited(status) => status,
            // The command goes on, or ends without its terminal: nobody will say.
            End::Left(Departure::Keys) => return Ok(0),
            End::Left(Departure::LostTerminal) => {
                return Ok(ExitStatus::Signaled(Signal::HUP).code());
            }
        };
        self.record.state = SessionState::Ended(SessionExit {
            exit: ExitReport::from(Some(status)),
            timed_out: TimedOut::No,
            finished_ns: now_ns(),
            dropped: 0,
            input_read: 0,
        });
        self.record.write(self.run_dir)?;
        Ok(status.code())
    }
}

fn new_record(
    container: Container<'_>,
    command: &[String],
    stdin: &Stdin,
) -> Outcome<SessionRecord> {
    let config = SessionConfig {
        command: command.to_vec(),
        user: String::new(),
        cwd: "/".to_owned(),
        tty: if is_terminal(stdin) {
            Tty::Yes
        } else {
            Tty::No
        },
        input: Input::Open,
        privileged: false,
        detach_keys: DetachKeys::usual().to_string(),
    };
    let (id, boot) = (SessionId::generate()?, BootId::current()?);
    // Runs are counted by an engine: here there is one, and nobody counts.
    Ok(SessionRecord::new(
        id,
        container.id,
        1,
        boot.as_str(),
        config,
    ))
}

/// Writes the file that tells the runtime what to execute.
fn write_process(paths: &SessionPaths, config: &SessionConfig, stdin: &Stdin) -> Outcome<()> {
    let mut builder = ProcessBuilder::new()
        .args(&config.command)
        .env("PATH", PATH);
    if config.tty == Tty::Yes {
        builder = builder.terminal(Terminal::Yes).env("TERM", "xterm");
        if let Some(size) = WindowSize::of(stdin) {
            builder = builder.window(size.rows, size.columns);
        }
    }
    let process = builder.build(&HostFacts::read()?)?;
    let bytes = serde_json::to_vec(&process)?;
    replace_file(&paths.process(), &bytes, 0o600, Sync::No)?;
    Ok(())
}

/// The runtime makes the terminal in the container and sends us its other end.
fn with_terminal(
    runtime: &CliRuntime,
    container: Container<'_>,
    paths: &SessionPaths,
) -> Outcome<(PidRef, Streams)> {
    let socket = ConsoleSocket::bind(paths.directory())?;
    let null = File::open("/dev/null")?;
    let words = std::io::stderr();
    let stdio = StdioFds {
        stdin: null.as_fd(),
        stdout: words.as_fd(),
        stderr: words.as_fd(),
    };
    let process = ask(runtime, container, paths, stdio, Some(socket.path()))?;
    let console = socket.receive(Deadline::after(PATIENCE))?;
    Ok((process, Streams::Terminal(console)))
}

fn with_pipes(
    runtime: &CliRuntime,
    container: Container<'_>,
    paths: &SessionPaths,
) -> Outcome<(PidRef, Streams)> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC);
    let ((input, near_in), (near_out, output), (near_err, words)) = (pipe()?, pipe()?, pipe()?);
    for near in [&near_in, &near_out, &near_err] {
        // Of our end alone: the two ends of a pipe are two open files.
        rustix::io::ioctl_fionbio(near, true)?;
    }
    let stdio = StdioFds {
        stdin: input.as_fd(),
        stdout: output.as_fd(),
        stderr: words.as_fd(),
    };
    let process = ask(runtime, container, paths, stdio, None)?;
    let streams = Streams::Pipes {
        stdin: near_in,
        outputs: [near_out, near_err],
    };
    Ok((process, streams))
}

fn ask(
    runtime: &CliRuntime,
    container: Container<'_>,
    paths: &SessionPaths,
    stdio: StdioFds<'_>,
    console: Option<&Path>,
) -> Outcome<PidRef> {
    let call = ExecCall {
        process: &paths.process(),
        pid_file: &paths.pid_file(),
        stdio,
        console,
        cgroup: None,
        preserved: &[],
    };
    let pid = runtime.exec(container.target(), call)?.pid;
    // It may have ended already. As our child it keeps its pid until we have asked for its exit code.
    let process = PidRef::capture_child(pid)?;
    Ok(process.ok_or("somebody else took the exit code of the command")?)
}
