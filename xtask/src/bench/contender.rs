//! One way of doing a piece of work: a program that is run, its output read to the end and thrown away.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::options::Work;
use crate::process;

/// Where programs are looked for.
const PROGRAMS: &[&str] = &[
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// Bytes that are read at once: so many that the reader is not what is measured.
const CHUNK: usize = 1 << 20;

/// A program with its arguments and the variables that it gets beside `PATH`.
#[derive(Clone, Debug)]
pub(super) struct Call {
    program: PathBuf,
    words: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

impl Call {
    /// A call of this program.
    pub(super) fn new(program: impl Into<PathBuf>) -> Call {
        Call {
            program: program.into(),
            words: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Sets a variable.
    pub(super) fn env(mut self, name: &'static str, value: String) -> Call {
        self.environment.push((name, value));
        self
    }

    /// The same call with these arguments behind its own.
    pub(super) fn with<T: AsRef<str>>(&self, words: impl IntoIterator<Item = T>) -> Call {
        let mut call = self.clone();
        let words = words.into_iter();
        call.words
            .extend(words.map(|word| word.as_ref().to_owned()));
        call
    }

    fn command(&self) -> Command {
        let mut command = process::command(&self.program);
        command.env_clear().env("PATH", PROGRAMS.join(":"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(&self.words);
        command
    }

    /// Runs it and gives what it printed, without white space around.
    pub(super) fn output(&self) -> Result<String> {
        Ok(process::output(&mut self.command())?.trim().to_owned())
    }

    /// Runs it, which has to succeed and to print so many bytes, and says how long that took: from its start to its end, with its output read to the end.
    pub(super) fn time(&self, bytes: u64) -> Result<Duration> {
        let mut command = self.command();
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut chunk = vec![0; CHUNK];
        let begin = Instant::now();
        let mut child = command.spawn().with_context(|| self.shown())?;
        let mut stdout = child.stdout.take().context("a pipe was asked for")?;
        let mut read: u64 = 0;
        loop {
            let count = stdout.read(&mut chunk).with_context(|| self.shown())?;
            if count == 0 {
                break;
            }
            read += count as u64;
        }
        let output = child.wait_with_output().with_context(|| self.shown())?;
        let time = begin.elapsed();
        let words = String::from_utf8_lossy(&output.stderr);
        let (shown, status) = (self.shown(), output.status);
        ensure!(status.success(), "{shown}: {status}: {}", words.trim());
        ensure!(read == bytes, "{shown}: {read} bytes came, not {bytes}");
        Ok(time)
    }

    fn shown(&self) -> String {
        let name = self.program.file_name().unwrap_or_default();
        format!("{} {}", name.to_string_lossy(), self.words.join(" "))
    }
}

/// Who does which work how.
pub(super) struct Contender {
    /// The name in the result.
    pub(super) name: &'static str,
    pub(super) work: Work,
    pub(super) call: Call,
}

/// The program of this name in the usual directories.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let paths = PROGRAMS
        .iter()
        .map(|directory| Path::new(directory).join(name));
    paths.into_iter().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Call {
        Call::new("/bin/sh").with(["-c", script])
    }

    #[test]
    fn bytes_are_counted_and_failures_told() {
        assert!(shell("head -c 3000000 /dev/zero").time(3_000_000).is_ok());
        let message = |script: &str| shell(script).time(1).unwrap_err().to_string();
        assert!(message("printf ab").ends_with("2 bytes came, not 1"));
        assert!(message("echo bad >&2; exit 3").ends_with(": bad"));
    }

    #[test]
    fn the_environment_is_what_was_said() {
        let call = shell("echo $A$HOME").env("A", "x".to_owned());
        assert_eq!(call.output().unwrap(), "x");
    }
}
