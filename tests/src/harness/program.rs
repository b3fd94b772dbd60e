//! Starting a program and reading all that it says, with a watchdog.
//!
//! The environment of a program is exactly what the call lists. The watchdog never decides about right or wrong: it only turns a
//! hang into a failure with a name.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::Signal;

use super::collect::{Stream, StreamState, collect};
use super::output::Output;
use super::process::Process;

/// A program that takes longer hangs.
const WATCHDOG: Duration = Duration::from_secs(180);

/// How long the pipes of a program that has ended may stay open: another process holds them.
const PIPES_CLOSE: Duration = Duration::from_secs(20);

/// What the program reads.
enum Input {
    Null,
    Open,
    Bytes(Vec<u8>),
    Given(Stdio),
}

/// A program to be started.
pub(crate) struct Call {
    command: Command,
    shown: String,
    input: Input,
    stdout: Stdio,
    stderr: Stdio,
}

impl Call {
    /// A call of this program with a minimal environment.
    #[expect(
        clippy::disallowed_methods,
        reason = "the cases stand outside the engine, so they start processes themselves, here and nowhere else"
    )]
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Call {
        let mut command = Command::new(&program);
        command.env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.current_dir("/");
        Call {
            command,
            shown: program.as_ref().to_string_lossy().into_owned(),
            input: Input::Null,
            stdout: Stdio::piped(),
            stderr: Stdio::piped(),
        }
    }

    /// Adds arguments.
    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Call {
        for argument in arguments {
            self.shown.push(' ');
            self.shown.push_str(&argument.as_ref().to_string_lossy());
            self.command.arg(argument);
        }
        self
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Call {
        self.command.env(name, value);
        self
    }

    /// Takes over a variable of our own environment, when it is set.
    pub(crate) fn env_from_ours(self, name: &str) -> Call {
        match super::variable(name) {
            Some(value) => self.env(name, &value),
            None => self,
        }
    }

    /// The directory that the program starts in.
    pub(crate) fn directory(mut self, path: &std::path::Path) -> Call {
        self.command.current_dir(path);
        self
    }

    /// Gives the program these bytes, then the end of its input.
    pub(crate) fn stdin(mut self, bytes: &[u8]) -> Call {
        self.input = Input::Bytes(bytes.to_vec());
        self
    }

    /// Leaves the program's input open until [`Running::close_stdin`].
    pub(crate) fn open_stdin(mut self) -> Call {
        self.input = Input::Open;
        self
    }

    /// Gives the program this to read from.
    pub(crate) fn stdin_from(mut self, input: impl Into<Stdio>) -> Call {
        self.input = Input::Given(input.into());
        self
    }

    /// Sends standard output there, so that none is collected.
    pub(crate) fn stdout_to(mut self, output: impl Into<Stdio>) -> Call {
        self.stdout = output.into();
        self
    }

    /// Sends standard error there, so that none is collected.
    pub(crate) fn stderr_to(mut self, output: impl Into<Stdio>) -> Call {
        self.stderr = output.into();
        self
    }

    /// Starts the program and waits for its end.
    pub(crate) fn output(self) -> Result<Output> {
        self.spawn()?.finish()
    }

    /// Starts the program.
    pub(crate) fn spawn(mut self) -> Result<Running> {
        let (stdin, bytes) = match self.input {
            Input::Null => (Stdio::null(), None),
            Input::Open => (Stdio::piped(), None),
            Input::Bytes(bytes) => (Stdio::piped(), Some(bytes)),
            Input::Given(input) => (input, None),
        };
        self.command
            .stdin(stdin)
            .stdout(self.stdout)
            .stderr(self.stderr);
        let mut child = self
            .command
            .spawn()
            .with_context(|| format!("start `{}`", self.shown))?;
        let pid = i32::try_from(child.id()).context("a pid fits")?;
        let process = Process::open(pid)?.context("a child that nobody waited for is there")?;
        let stdout = child.stdout.take().map_or_else(nothing, collect);
        let stderr = child.stderr.take().map_or_else(nothing, collect);
        let mut stdin = child.stdin.take();
        if let Some(bytes) = bytes {
            feed(stdin.take().context("a pipe was asked for")?, bytes);
        }
        Ok(Running {
            child,
            process,
            stdin,
            stdout,
            stderr,
            shown: self.shown,
        })
    }
}

/// The stream of an output that goes elsewhere.
fn nothing() -> Arc<Stream> {
    let stream = Arc::new(Stream::default());
    stream.end();
    stream
}

/// Writes the bytes from a thread of their own. A program that does not read them all is no error of ours.
fn feed(mut stdin: ChildStdin, bytes: Vec<u8>) {
    std::thread::spawn(move || stdin.write_all(&bytes).ok());
}

/// A program that was started. One that nobody waited for is killed.
pub(crate) struct Running {
    child: Child,
    process: Process,
    stdin: Option<ChildStdin>,
    stdout: Arc<Stream>,
    /// What it says on standard error so far.
    pub(crate) stderr: Arc<Stream>,
    shown: String,
}

impl Running {
    /// The program's process.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid
    }

    /// Waits until standard output contains the text.
    pub(crate) fn wait_for_stdout(&self, text: &str) -> Result<()> {
        let has = |state: &StreamState| String::from_utf8_lossy(&state.bytes).contains(text);
        self.stdout
            .wait(WATCHDOG, |state| state.ended || has(state));
        let bytes = self.stdout.bytes();
        let printed = String::from_utf8_lossy(&bytes);
        if printed.contains(text) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&self.stderr.bytes()).into_owned();
        bail!(
            "`{}` did not print {text:?}, only {printed:?} and, on standard error, {said:?}",
            self.shown
        )
    }

    /// Waits until there are so many bytes of standard output.
    pub(crate) fn wait_for_bytes(&self, least: usize) -> Result<()> {
        let has = |state: &StreamState| state.bytes.len() >= least;
        if self
            .stdout
            .wait(WATCHDOG, |state| state.ended || has(state))
        {
            let count = self.stdout.bytes().len();
            anyhow::ensure!(count >= least, "only {count} bytes of `{}`", self.shown);
            return Ok(());
        }
        bail!("`{}` did not print {least} bytes", self.shown)
    }

    /// Standard output so far.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&self.stdout.bytes()).into_owned()
    }

    /// Sends a signal to the program.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// Whether the program ends within the time; it runs on when not.
    pub(crate) fn ends_within(&self, time: Duration) -> Result<bool> {
        self.process.ends_within(time)
    }

    /// Gives the program these bytes; its input stays open.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the input is not open")?;
        stdin
            .write_all(bytes)
            .with_context(|| format!("write to `{}`", self.shown))
    }

    /// Ends the program's input.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for the end of the program and of its output.
    pub(crate) fn finish(mut self) -> Result<Output> {
        if !self.process.ends_within(WATCHDOG)? {
            self.child.kill().context("kill a program that hangs")?;
            self.child.wait().context("wait for a killed program")?;
            bail!(
                "`{}` hung for {} s and was killed; it had said {:?} and {:?}",
                self.shown,
                WATCHDOG.as_secs(),
                String::from_utf8_lossy(&self.stdout.bytes()),
                String::from_utf8_lossy(&self.stderr.bytes())
            );
        }
        let status = self.child.wait().context("wait for a program that ended")?;
        for stream in [&self.stdout, &self.stderr] {
            if !stream.wait(PIPES_CLOSE, |state| state.ended) {
                bail!(
                    "`{}` ended, and another process holds its output open",
                    self.shown
                );
            }
        }
        let code = status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal))
            .ok_or_else(|| anyhow!("`{}` ended as {status}", self.shown))?;
        Ok(Output {
            shown: self.shown.clone(),
            code,
            stdout: self.stdout.bytes(),
            stderr: self.stderr.bytes(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the program has ended and was waited for.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Call {
        Call::new("/bin/sh").args(["-c", script])
    }

    #[test]
    fn both_streams_and_the_code_are_taken() {
        let output = sh("echo a; echo b >&2; exit 3").output().unwrap();
        assert_eq!(
            (output.code, output.out().as_str(), output.err().as_str()),
            (3, "a\n", "b\n")
        );
        assert_eq!(sh("kill -TERM $$").output().unwrap().code, 143);
    }

    #[test]
    fn more_than_a_pipe_holds_goes_through_in_both_directions() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let output = Call::new("/bin/cat").stdin(&bytes).output().unwrap();
        assert!(output.stdout == bytes);
        assert_eq!(sh("exit 0").stdin(&bytes).output().unwrap().code, 0);
    }

    #[test]
    fn the_environment_is_what_was_listed() {
        let output = Call::new("/usr/bin/env").env("A", "b").output().unwrap();
        let mut lines: Vec<String> = output.out().lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["A=b", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
    }

    #[test]
    fn a_running_program_can_be_spoken_to() {
        let mut child =
            sh("trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
                .open_stdin()
                .spawn()
                .unwrap();
        child.wait_for_stdout("ready").unwrap();
        child.signal(Signal::TERM).unwrap();
        child.close_stdin();
        let output = child.finish().unwrap();
        assert_eq!((output.code, output.out().as_str()), (7, "ready\ngot\n"));
    }

    #[test]
    fn a_program_that_ends_without_the_word_is_an_error() {
        let child = sh("echo no; echo why >&2").spawn().unwrap();
        let error = child.wait_for_stdout("ready").unwrap_err().to_string();
        assert!(error.contains("\"no\\n\""), "{error}");
    }
}
