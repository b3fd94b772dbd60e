//! The pid file that a runtime writes: read, and waited for.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use ctr_sys::Deadline;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::error::ExecError;

/// A pid file: a decimal number, perhaps with white space around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// The file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The pid in it; `None` when the file is missing or still empty.
    ///
    /// # Errors
    /// [`ExecError::BadPidFile`] when it holds something else.
    pub fn read(&self) -> Result<Option<i32>, ExecError> {
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(ctr_sys::SysError::new(
                    "read",
                    self.path.display().to_string(),
                    source,
                )
                .into());
            }
        };
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse() {
            Ok(pid) if pid > 0 => Ok(Some(pid)),
            Ok(_) | Err(_) => Err(ExecError::BadPidFile {
                path: self.path.clone(),
                content: text.chars().take(32).collect(),
            }),
        }
    }

    /// Waits until the file holds a pid, or the process behind `writer` (a pidfd) has ended without writing one.
    ///
    /// The directory is watched before the file is looked at, so nothing is missed and nothing is polled.
    ///
    /// # Errors
    /// [`ExecError::NoPidFile`] when the writer ended or the deadline passed; as [`PidFile::read`].
    pub fn wait(&self, writer: BorrowedFd<'_>, deadline: Deadline) -> Result<i32, ExecError> {
        let stream = |operation, errno: Errno| ExecError::Stream {
            operation,
            source: errno.into(),
        };
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(|errno| stream("watch the pid file", errno))?;
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let events = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO;
        inotify::add_watch(&watch, directory, events)
            .map_err(|errno| stream("watch the pid file", errno))?;
        loop {
            if let Some(pid) = self.read()? {
                return Ok(pid);
            }
            let mut fds = [
                PollFd::from_borrowed_fd(writer, PollFlags::IN),
                PollFd::from_borrowed_fd(watch.as_fd(), PollFlags::IN),
            ];
            ctr_sys::poll(&mut fds, deadline)?;
            let ended = !fds[0].revents().is_empty();
            let mut drained = [0; 4096];
            while rustix::io::read(&watch, &mut drained).is_ok_and(|count| count > 0) {}
            if !ended && !deadline.expired() {
                continue;
            }
            // It may have been written just before the end.
            let why = if ended {
                "the runtime ended"
            } else {
                "the deadline passed"
            };
            return self.read()?.ok_or_else(|| ExecError::NoPidFile {
                path: self.path.clone(),
                why,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctr_sys::{Launch, Sync, replace_file};
    use std::time::Duration;

    fn check(content: &str, expected: Option<i32>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        replace_file(&path, content.as_bytes(), 0o600, Sync::No).unwrap();
        assert_eq!(
            PidFile::new(path).read().ok().flatten(),
            expected,
            "{content:?}"
        );
    }

    #[test]
    fn contents() {
        check("42", Some(42));
        check("42\n", Some(42));
        for bad in ["", "0", "-1", "x", "4294967296", "1 2"] {
            check(bad, None);
        }
        assert_eq!(PidFile::new("/nonexistent/pid").read().unwrap(), None);
    }

    #[test]
    fn written_by_a_process_that_lives_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let script = format!("echo 77 > {}; exec sleep 1000", path.display());
        let child = Launch::program("/bin/sh")
            .args(["-c", &script])
            .env("PATH", "/usr/bin:/bin")
            .spawn()
            .unwrap();
        assert_eq!(
            PidFile::new(path)
                .wait(child.as_fd(), Deadline::never())
                .unwrap(),
            77
        );
        child.kill_and_wait().unwrap();
    }

    #[test]
    fn never_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = PidFile::new(dir.path().join("pid"));
        let child = Launch::program("/bin/true").spawn().unwrap();
        let error = file.wait(child.as_fd(), Deadline::never()).unwrap_err();
        assert!(error.to_string().ends_with("the runtime ended"), "{error}");
        child.wait().unwrap();
        let child = Launch::program("/bin/sleep").arg("1000").spawn().unwrap();
        let error = file
            .wait(child.as_fd(), Deadline::after(Duration::ZERO))
            .unwrap_err();
        assert!(
            error.to_string().ends_with("the deadline passed"),
            "{error}"
        );
        child.kill_and_wait().unwrap();
    }
}
