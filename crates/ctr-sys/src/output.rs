//! Running a program to its end and keeping what it printed, within limits.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use crate::child::{Child, ExitStatus};
use crate::deadline::Deadline;
use crate::error::{Context, SysError, SysResult};
use crate::launch::{Launch, Stdio};

/// How much output is kept, and how long the program may take.
#[derive(Clone, Copy, Debug)]
pub struct OutputLimits {
    /// Bytes kept of each stream: the first of standard output, the last of standard error.
    pub bytes: usize,
    /// When the program is killed.
    pub deadline: Deadline,
}

/// A program that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended; `None` when it passed its deadline and was killed.
    pub status: Option<ExitStatus>,
    /// The first bytes of its standard output.
    pub stdout: Vec<u8>,
    /// The last bytes of its standard error.
    pub stderr: Vec<u8>,
}

impl Launch {
    /// Starts the program with pipes for standard output and error, reads both while it runs, and reaps it.
    ///
    /// What descendants print after the program's end is not waited for. Streams that were set before are replaced.
    ///
    /// # Errors
    /// As [`Launch::spawn`], or when a pipe cannot be read.
    pub fn output(self, limits: OutputLimits) -> SysResult<Output> {
        let (stdout, stdout_end) = pipe()?;
        let (stderr, stderr_end) = pipe()?;
        let child = self
            .stdout(Stdio::Fd(stdout_end))
            .stderr(Stdio::Fd(stderr_end))
            .spawn()?;
        let collected = collect(&child, stdout, stderr, limits);
        // Also when reading failed: no child is left behind.
        let (status, stdout, stderr) = match collected {
            Ok((End::Itself, stdout, stderr)) => (Some(child.wait()?), stdout, stderr),
            Ok((End::Deadline, stdout, stderr)) => {
                child.kill_and_wait()?;
                (None, stdout, stderr)
            }
            Err(error) => {
                child.kill_and_wait()?;
                return Err(error);
            }
        };
        Ok(Output {
            status,
            stdout,
            stderr,
        })
    }
}

fn pipe() -> SysResult<(OwnedFd, OwnedFd)> {
    let (read, write) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context("open", || "a pipe".to_owned())?;
    rustix::io::ioctl_fionbio(&read, true).context("open", || "a pipe".to_owned())?;
    Ok((read, write))
}

enum End {
    Itself,
    Deadline,
}

fn collect(
    child: &Child,
    stdout: OwnedFd,
    stderr: OwnedFd,
    limits: OutputLimits,
) -> SysResult<(End, Vec<u8>, Vec<u8>)> {
    let mut out = Kept::first(stdout, limits.bytes);
    let mut err = Kept::last(stderr, limits.bytes);
    loop {
        // Asked before reading: what a dead program printed is in the pipes by then.
        let ended = poll(child, &out, &err, limits.deadline)?;
        out.read()?;
        err.read()?;
        if ended {
            return Ok((End::Itself, out.bytes, err.bytes));
        }
        if limits.deadline.expired() {
            return Ok((End::Deadline, out.bytes, err.bytes));
        }
    }
}

/// Waits for output or the end; true when the program has ended.
fn poll(child: &Child, out: &Kept, err: &Kept, deadline: Deadline) -> SysResult<bool> {
    let mut fds = vec![PollFd::from_borrowed_fd(child.as_fd(), PollFlags::IN)];
    for stream in [out, err] {
        if let Some(fd) = stream.open() {
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
    }
    crate::poll::poll(&mut fds, deadline)?;
    Ok(!fds[0].revents().is_empty())
}

/// One stream and the part of it that is kept.
struct Kept {
    fd: Option<OwnedFd>,
    bytes: Vec<u8>,
    limit: usize,
    side: Side,
}

#[derive(Clone, Copy)]
enum Side {
    First,
    Last,
}

impl Kept {
    fn first(fd: OwnedFd, limit: usize) -> Self {
        Self {
            fd: Some(fd),
            bytes: Vec::new(),
            limit,
            side: Side::First,
        }
    }

    fn last(fd: OwnedFd, limit: usize) -> Self {
        Self {
            side: Side::Last,
            ..Self::first(fd, limit)
        }
    }

    fn open(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Reads what there is; never blocks.
    fn read(&mut self) -> SysResult<()> {
        let mut buffer = [0; 16 * 1024];
        while let Some(fd) = &self.fd {
            match rustix::io::read(fd, &mut buffer) {
                Ok(0) => self.fd = None,
                Ok(count) => self.keep(&buffer[..count]),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => {
                    return Err(SysError::new("read", "a child's output", errno.into()));
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, more: &[u8]) {
        match self.side {
            Side::First => {
                let room = self.limit.saturating_sub(self.bytes.len());
                self.bytes.extend_from_slice(&more[..more.len().min(room)]);
            }
            Side::Last => {
                self.bytes.extend_from_slice(more);
                let excess = self.bytes.len().saturating_sub(self.limit);
                self.bytes.drain(..excess);
            }
        }
    }
}
