//! The container's standard streams: three named pipes in the run directory.
//!
//! They have names so that a later monitor can open them again; never through `/proc/PID/fd`, which the container controls. The container
//! gets the write ends of two and the read end of one.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use ctr_exec::frames::{MAX_PAYLOAD, Stream};
use ctr_sys::{SysError, SysResult};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::files;
use crate::protocol::StdinMode;

/// Input that the container has not read yet; beyond it clients are not read.
const STDIN_LIMIT: usize = 1024 * 1024;

/// The container's ends. Closed in the monitor once the container has them.
pub(super) struct ContainerEnds {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl ContainerEnds {
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        [self.stdin.as_fd(), self.stdout.as_fd(), self.stderr.as_fd()]
    }
}

/// The monitor's ends.
pub(super) struct Streams {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    stdin: Option<OwnedFd>,
    queue: VecDeque<u8>,
    input: InputState,
}

/// Whether clients may send more input.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// They may.
    Wanted,
    /// The container must read first.
    Full,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum InputState {
    Open,
    /// Closed for clients; what is queued still goes to the container.
    Ending,
}

impl Streams {
    /// Makes the pipes and opens both ends of each.
    pub(super) fn open(run_dir: &Path, stdin: StdinMode) -> SysResult<(Self, ContainerEnds)> {
        let (stdout, stdout_end) = output_pipe(&run_dir.join(files::STDOUT))?;
        let (stderr, stderr_end) = output_pipe(&run_dir.join(files::STDERR))?;
        let (stdin, stdin_end) = match stdin {
            StdinMode::Null => (None, open(Path::new("/dev/null"), OFlags::RDONLY)?),
            StdinMode::Open => {
                let (write, read) = input_pipe(&run_dir.join(files::STDIN))?;
                (Some(write), read)
            }
        };
        let streams = Self {
            stdout: Some(stdout),
            stderr: Some(stderr),
            stdin,
            queue: VecDeque::new(),
            input: InputState::Open,
        };
        let ends = ContainerEnds {
            stdin: stdin_end,
            stdout: stdout_end,
            stderr: stderr_end,
        };
        Ok((streams, ends))
    }

    /// Adds what is to be waited for.
    pub(super) fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>, read_output: ReadOutput) {
        if read_output == ReadOutput::Yes {
            for fd in [&self.stdout, &self.stderr].into_iter().flatten() {
                fds.push(PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
            }
        }
        if let (Some(fd), false) = (&self.stdin, self.queue.is_empty()) {
            fds.push(PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::OUT));
        }
    }

    /// Bytes that are there now; `None` when there are none.
    pub(super) fn read(&mut self, stream: Stream) -> Option<Vec<u8>> {
        let slot = self.slot(stream)?;
        let fd = slot.as_ref()?;
        let mut buffer = vec![0; MAX_PAYLOAD];
        match rustix::io::read(fd, &mut buffer) {
            Ok(0) => {
                // Every writer has closed it: no more will come.
                *slot = None;
                None
            }
            Ok(count) => {
                buffer.truncate(count);
                Some(buffer)
            }
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(_) => {
                *slot = None;
                None
            }
        }
    }

    /// What the pipe holds at this moment, and not what a surviving writer adds meanwhile.
    pub(super) fn drain(&mut self, stream: Stream) -> Vec<Vec<u8>> {
        let mut left = self
            .slot(stream)
            .and_then(|slot| slot.as_ref())
            .and_then(|fd| rustix::io::ioctl_fionread(fd).ok())
            .unwrap_or(0);
        let mut result = Vec::new();
        while left > 0 {
            let Some(bytes) = self.read(stream) else {
                break;
            };
            left = left.saturating_sub(bytes.len() as u64);
            result.push(bytes);
        }
        result
    }

    fn slot(&mut self, stream: Stream) -> Option<&mut Option<OwnedFd>> {
        match stream {
            Stream::Stdout => Some(&mut self.stdout),
            Stream::Stderr => Some(&mut self.stderr),
            Stream::Stdin => None,
        }
    }

    /// Whether clients may send more input.
    pub(super) fn input(&self) -> Input {
        if self.queue.len() < STDIN_LIMIT {
            Input::Wanted
        } else {
            Input::Full
        }
    }

    /// Queues input; no bytes: it has ended.
    pub(super) fn queue_stdin(&mut self, bytes: &[u8]) {
        if self.stdin.is_none() || self.input == InputState::Ending {
            return;
        }
        if bytes.is_empty() {
            self.input = InputState::Ending;
        }
        self.queue.extend(bytes);
    }

    /// Writes what the pipe takes.
    pub(super) fn write_stdin(&mut self) {
        while let (Some(fd), false) = (&self.stdin, self.queue.is_empty()) {
            let (front, _) = self.queue.as_slices();
            match rustix::io::write(fd, front) {
                Ok(count) => {
                    self.queue.drain(..count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // Nobody reads any more: what is queued has no receiver.
                Err(_) => {
                    self.queue.clear();
                    self.stdin = None;
                }
            }
        }
        if self.input == InputState::Ending && self.queue.is_empty() {
            self.stdin = None;
        }
    }

    /// Closes all.
    pub(super) fn close(&mut self) {
        self.stdout = None;
        self.stderr = None;
        self.stdin = None;
        self.queue.clear();
    }
}

/// Whether output is read now, or left in the pipe until a client has caught up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadOutput {
    Yes,
    No,
}

/// The monitor's read end and the container's write end. A program in the container may open its own stdout again, whoever it runs as.
fn output_pipe(path: &Path) -> SysResult<(OwnedFd, OwnedFd)> {
    make_pipe(path, 0o622)?;
    let read = open(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    let write = open(path, OFlags::WRONLY)?;
    Ok((read, write))
}

/// The monitor's write end and the container's read end, which blocks as programs expect.
fn input_pipe(path: &Path) -> SysResult<(OwnedFd, OwnedFd)> {
    make_pipe(path, 0o644)?;
    let read = open(path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    let write = open(path, OFlags::WRONLY | OFlags::NONBLOCK)?;
    rustix::io::ioctl_fionbio(&read, false)
        .map_err(|errno| SysError::new("open", path.display().to_string(), errno.into()))?;
    Ok((write, read))
}

fn make_pipe(path: &Path, mode: u32) -> SysResult<()> {
    let error = |errno: Errno| SysError::new("create", path.display().to_string(), errno.into());
    let mode = Mode::from_raw_mode(mode);
    rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).map_err(error)?;
    // The umask took bits away.
    rustix::fs::chmod(path, mode).map_err(error)
}

fn open(path: &Path, flags: OFlags) -> SysResult<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| SysError::new("open", path.display().to_string(), errno.into()))
}
