//! A runtime whose containers are shells without any isolation. They run the file `script` of the run directory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_monitor::RuntimeResolver;
use ctr_monitor::protocol::{RuntimeKind, RuntimeSpec};
use ctr_oci::{
    CliRuntime, CliRuntimeConfig, CreateCall, Created, DeleteMode, FailureKind, KillScope,
    OciRuntime, RuntimeFailure, RuntimeFeatures, RuntimeState, Target,
};
use ctr_sys::{Deadline, Launch, Signal, Stdio};
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

/// Waits for the script to open the other end of the named pipe, and writes a line to it.
pub(crate) fn open_gate(run_dir: &Path) {
    let gate = run_dir.join("gate");
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
