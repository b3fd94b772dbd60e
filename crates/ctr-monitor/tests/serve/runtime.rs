//! A runtime whose containers are shells without any isolation. They run the file `script` of the run directory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_monitor::RuntimeResolver;
use ctr_monitor::protocol::{RuntimeKind, RuntimeSpec};
use ctr_oci::{
    CliRuntime, CliRuntimeConfig, CreateCall, Created, DeleteMode, ExecCall, Executed, FailureKind,
    KillScope, OciRuntime, Process, RuntimeFailure, RuntimeFeatures, RuntimeState, Target,
};
use ctr_sys::{Deadline, Launch, Signal, Stdio, Sync, replace_file};
use rustix::pty::OpenptFlags;

pub(crate) struct Resolver;

impl RuntimeResolver for Resolver {
    fn resolve(
        &self,
        spec: &RuntimeSpec,
        run_dir: &Path,
    ) -> Result<Box<dyn OciRuntime>, RuntimeFailure> {
        Ok(match &spec.kind {
            RuntimeKind::Builtin => Box::new(Shell(run_dir.to_owned())),
            RuntimeKind::Program { path } => Box::new(CliRuntime::new(CliRuntimeConfig::new(
                &spec.name, path, run_dir,
            ))),
        })
    }
}

struct Shell(PathBuf);

/// Lets the script of a container go on.
pub(crate) fn open_gate(run_dir: &Path) {
    open_pipe(&run_dir.join("gate"));
}

/// Waits for somebody to open the other end of the named pipe, and writes a line to it.
pub(crate) fn open_pipe(gate: &Path) {
    let mut gate = std::fs::File::options().write(true).open(gate).unwrap();
    std::io::Write::write_all(&mut gate, b"\n").unwrap();
}

/// Sends the master of a new terminal to the console socket; the slave.
fn new_terminal(console: &Path) -> OwnedFd {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let socket = std::os::unix::net::UnixStream::connect(console).unwrap();
    ctr_sys::send_packet(socket.as_fd(), b"terminal", &[master.as_fd()]).unwrap();
    rustix::pty::ioctl_tiocgptpeer(&master, flags).unwrap()
}

fn copy(fd: BorrowedFd<'_>) -> Stdio {
    Stdio::Fd(fd.try_clone_to_owned().unwrap())
}

fn absent<T>(operation: &str) -> Result<T, RuntimeFailure> {
    let kind = FailureKind::Unsupported;
    Err(RuntimeFailure::new(kind, "shell", operation, "not here"))
}

impl OciRuntime for Shell {
    fn name(&self) -> &'static str {
        "shell"
    }

    fn create(&self, _: Target<'_>, call: CreateCall<'_>) -> Result<Created, RuntimeFailure> {
        // Unless the test wants a runtime that forgets it.
        let forgets = self.0.join("no-terminal").exists();
        let slave = call.console.filter(|_| !forgets).map(new_terminal);
        let stream = |given| copy(slave.as_ref().map_or(given, AsFd::as_fd));
        let child = Launch::program("/bin/sh")
            .args(["-c", "read line <gate; . ./script"])
            .env("PATH", "/usr/bin:/bin")
            .cwd(&self.0)
            .stdin(stream(call.stdio.stdin))
            .stdout(stream(call.stdio.stdout))
            .stderr(stream(call.stdio.stderr))
            .spawn()
            .unwrap();
        Ok(Created {
            pid: child.detach(),
        })
    }

    fn start(&self, _: Target<'_>) -> Result<(), RuntimeFailure> {
        open_gate(&self.0);
        Ok(())
    }

    /// The arguments are a program and its own, but for words that ask for a fault.
    fn exec(&self, _: Target<'_>, call: ExecCall<'_>) -> Result<Executed, RuntimeFailure> {
        let bytes = std::fs::read(call.process).unwrap();
        let process: Process = serde_json::from_slice(&bytes).unwrap();
        let args = process.args().clone().unwrap();
        match args[0].as_str() {
            "!fails" => {
                rustix::io::write(call.stdio.stderr, b"words of the runtime\n").unwrap();
                let kind = FailureKind::CommandNotFound;
                return Err(RuntimeFailure::new(kind, "shell", "exec", "it failed"));
            }
            "!dies" => std::process::abort(),
            "!names-nobody" => return Ok(Executed { pid: i32::MAX }),
            // A sleep of the test's own.
            "!names-another" => {
                let pid = args[1].parse().unwrap();
                return Ok(Executed { pid });
            }
            _ => {}
        }
        let slave = call.console.map(new_terminal);
        let stream = |given| copy(slave.as_ref().map_or(given, AsFd::as_fd));
        let mut launch = Launch::program(&args[0])
            .args(&args[1..])
            .env("PATH", "/usr/bin:/bin")
            .cwd(&self.0)
            .stdin(stream(call.stdio.stdin))
            .stdout(stream(call.stdio.stdout))
            .stderr(stream(call.stdio.stderr));
        for kept in call.preserved {
            launch = launch.fd(kept.number, kept.fd.try_clone_to_owned().unwrap());
        }
        let pid = launch.spawn().unwrap().detach();
        if args.iter().any(|arg| arg.contains("# and dies")) {
            let text = pid.to_string();
            replace_file(call.pid_file, text.as_bytes(), 0o600, Sync::No).unwrap();
            std::process::abort();
        }
        Ok(Executed { pid })
    }

    fn state(&self, _: Target<'_>) -> Result<RuntimeState, RuntimeFailure> {
        absent("state")
    }

    fn kill(&self, _: Target<'_>, _: Signal, _: KillScope) -> Result<(), RuntimeFailure> {
        absent("kill")
    }

    fn delete(&self, _: Target<'_>, _: DeleteMode) -> Result<(), RuntimeFailure> {
        Ok(())
    }

    fn features(&self, _: Deadline) -> Result<RuntimeFeatures, RuntimeFailure> {
        absent("features")
    }
}
