//! Starting what is traced, and timers: `waitpid` knows no time, so a child that ends is one.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use rustix::process::WaitOptions;

use crate::harness::collect::{Stream, collect};
use crate::harness::output::Output;
use crate::harness::process::Process;

/// How long the output of a command that has ended may stay open: the monitor or a helper has it, too, if it was killed in between.
const PIPES_CLOSE: Duration = Duration::from_secs(5);

/// Stops itself, and once it goes on becomes the program that its arguments name.
const STAND_STILL: &str = "kill -STOP $$; exec \"$0\" \"$@\"";

/// A command that stands still until it is traced.
pub(super) struct Started {
    child: Child,
    pid: i32,
    shown: String,
    stdout: Arc<Stream>,
    stderr: Arc<Stream>,
}

impl Started {
    #[expect(
        clippy::disallowed_methods,
        reason = "who traces a process has to be the one that waits for it, so it starts it itself"
    )]
    pub(super) fn start(words: &[String]) -> Result<Started> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", STAND_STILL])
            .args(words)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start a command to be traced")?;
        let pid = i32::try_from(child.id()).context("a pid fits")?;
        let stdout = collect(child.stdout.take().context("a pipe was asked for")?);
        let stderr = collect(child.stderr.take().context("a pipe was asked for")?);
        let status = rustix::process::waitpid(Some(self::pid(pid)?), WaitOptions::UNTRACED)
            .context("wait for a command to be traced")?;
        ensure!(
            status.is_some_and(|(_, status)| status.stopped()),
            "a command to be traced does not stop"
        );
        Ok(Started {
            child,
            pid,
            shown: words.join(" "),
            stdout,
            stderr,
        })
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// What it said; it has ended with this code and was waited for.
    pub(super) fn output(self, code: i32) -> Output {
        // Its number is nobody's by now: dropped without a signal.
        drop(self.child);
        for stream in [&self.stdout, &self.stderr] {
            stream.wait(PIPES_CLOSE, |state| state.ended);
        }
        Output {
            shown: self.shown,
            code,
            stdout: self.stdout.bytes(),
            stderr: self.stderr.bytes(),
        }
    }
}

/// Whether a process is there and no zombie.
pub(crate) fn is_alive(pid: i32) -> Result<bool> {
    match Process::open(pid)? {
        None => Ok(false),
        Some(process) => Ok(!process.ends_within(Duration::ZERO)?),
    }
}

/// Traces a thread, with all that it starts. All of it dies with the tracer.
pub(super) fn seize(tid: i32) -> Result<()> {
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(Pid::from_raw(tid), options).with_context(|| format!("trace process {tid}"))
}

/// The threads of a process.
pub(super) fn threads(pid: i32) -> Result<Vec<i32>> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"));
    let entries = entries.with_context(|| format!("list the threads of process {pid}"))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
        .collect())
}

/// The number as others take it.
pub(super) fn pid(number: i32) -> Result<rustix::process::Pid> {
    rustix::process::Pid::from_raw(number).context("a pid is not zero")
}

/// A child that ends after some time.
pub(super) struct Timer {
    child: Option<Child>,
    pid: i32,
    count: u64,
}

impl Timer {
    #[expect(
        clippy::disallowed_methods,
        reason = "it has to be a child of the thread that waits"
    )]
    pub(super) fn start(time: Duration) -> Result<Timer> {
        let child = Command::new("/bin/sleep")
            .arg(format!("{:.3}", time.as_secs_f64()))
            .env_clear()
            .stdin(Stdio::null())
            .spawn()
            .context("start a timer")?;
        Ok(Timer {
            pid: i32::try_from(child.id()).context("a pid fits")?,
            child: Some(child),
            count: 0,
        })
    }

    /// Notes how many calls there had been when it was started.
    pub(super) fn after(mut self, count: u64) -> Timer {
        self.count = count;
        self
    }

    pub(super) fn began_after(&self, count: u64) -> bool {
        self.count == count
    }

    pub(super) fn is(&self, pid: i32) -> bool {
        self.pid == pid && self.child.is_some()
    }

    /// It has ended and was waited for.
    pub(super) fn rang(&mut self) {
        self.child = None;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Both fail only for one that was waited for, and then it is not here any more.
            child.kill().ok();
            child.wait().ok();
        }
    }
}
