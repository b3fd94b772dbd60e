//! Other processes of this machine, as `/proc` shows them: which of them belong to a case, and waiting for their end.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process, held so that its number cannot become another's.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    fd: OwnedFd,
}

impl Process {
    /// `None` when there is none.
    pub(crate) fn open(pid: i32) -> Result<Option<Process>> {
        let Some(number) = Pid::from_raw(pid) else {
            return Ok(None);
        };
        match pidfd_open(number, PidfdFlags::empty()) {
            Ok(fd) => Ok(Some(Process { pid, fd })),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("open process {pid}")),
        }
    }

    /// Sends a signal; a process that is gone is none to complain about.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("signal process {}", self.pid)),
        }
    }

    /// Whether the process ends within the time.
    pub(crate) fn ends_within(&self, time: Duration) -> Result<bool> {
        let begin = Instant::now();
        loop {
            let left = time.saturating_sub(begin.elapsed());
            let timeout = Timespec::try_from(left).context("the time fits")?;
            let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("wait for a process"),
            }
        }
    }

    /// What the process is, for messages: its words, or its name when it has none.
    pub(crate) fn describe(&self) -> String {
        describe(self.pid)
    }
}

/// The words of a process, or its name when it has none.
pub(crate) fn describe(pid: i32) -> String {
    let directory = directory(pid);
    let read = |file: &str| fs::read(directory.join(file)).unwrap_or_default();
    let mut words = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
    if words.trim().is_empty() {
        words = String::from_utf8_lossy(&read("comm")).into_owned();
    }
    format!("process {pid} ({})", words.trim())
}

/// `/proc/PID`.
pub(crate) fn directory(pid: i32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// The environment of a process, or what of it can be read.
pub(crate) fn environment(pid: i32) -> String {
    let bytes = fs::read(directory(pid).join("environ")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', "\n")
}

/// What each descriptor of a process points to.
pub(crate) fn descriptors(pid: i32) -> Vec<(i32, PathBuf)> {
    let Ok(entries) = fs::read_dir(directory(pid).join("fd")) else {
        return Vec::new();
    };
    let mut found: Vec<(i32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_string_lossy().parse().ok()?;
            Some((number, fs::read_link(entry.path()).ok()?))
        })
        .collect();
    found.sort();
    found
}

/// The processes, but for this one, that have one of the marks in their words, environment, working directory, open files or,
/// when they live in a mount namespace of their own, in its mount table.
pub(crate) fn marked(marks: &[String]) -> Result<Vec<Process>> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("list /proc")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<i32>() else {
            continue;
        };
        if name == own || !bears(pid, marks) {
            continue;
        }
        // Looked at again while held: the number may have changed hands.
        if let Some(process) = Process::open(pid)?
            && bears(pid, marks)
        {
            found.push(process);
        }
    }
    Ok(found)
}

fn bears(pid: i32, marks: &[String]) -> bool {
    let directory = directory(pid);
    let has = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        marks.iter().any(|mark| text.contains(mark))
    };
    let file = |name: &str| fs::read(directory.join(name)).is_ok_and(|bytes| has(&bytes));
    let link = |name: &str| {
        fs::read_link(directory.join(name))
            .is_ok_and(|target| has(target.as_os_str().as_encoded_bytes()))
    };
    let elsewhere =
        fs::read_link(directory.join("ns/mnt")).ok() != fs::read_link("/proc/self/ns/mnt").ok();
    file("cmdline")
        || file("environ")
        || link("cwd")
        || descriptors(pid)
            .iter()
            .any(|(_, target)| has(target.as_os_str().as_encoded_bytes()))
        || (elsewhere && file("mountinfo"))
}

#[cfg(test)]
mod tests {
    use super::super::program::Call;
    use super::*;

    #[test]
    fn a_process_is_found_by_its_words_its_environment_and_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap().to_owned();
        let script = "echo ready; read -r line";
        for call in [
            Call::new("/bin/sh").args(["-c", script, &path]),
            Call::new("/bin/sh").args(["-c", script]).env("MARK", &path),
            Call::new("/bin/sh").args(["-c", &format!("cd {path}; {script}")]),
        ] {
            let mut child = call.open_stdin().spawn().unwrap();
            child.wait_for_stdout("ready").unwrap();
            let found = marked(std::slice::from_ref(&path)).unwrap();
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].pid, child.pid());
            assert!(!found[0].ends_within(Duration::ZERO).unwrap());
            child.close_stdin();
            assert!(found[0].ends_within(Duration::from_secs(60)).unwrap());
            child.finish().unwrap();
        }
        assert_eq!(marked(&[path]).unwrap().len(), 0);
    }

    #[test]
    fn a_process_that_is_gone_is_none() {
        let child = Call::new("/bin/true").spawn().unwrap();
        let pid = child.pid();
        child.finish().unwrap();
        assert!(Process::open(pid).unwrap().is_none());
    }
}
