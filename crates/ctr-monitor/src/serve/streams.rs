//! The container's standard streams: named pipes in the run directory, or a terminal.
//!
//! The pipes have names so that a later monitor can open them again; never through `/proc/PID/fd`, which the container controls. The
//! container gets the write ends of two and the read end of one. A container with a terminal gets none of them: they are for the words
//! of its runtime, and when that has delivered the terminal's master, it takes their place. All output of a terminal is standard output.
//! A container that was given somebody else's descriptors has no streams here.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use ctr_exec::frames::{MAX_PAYLOAD, Stream};
use ctr_exec::{Console, ExecError, WindowSize};
use ctr_sys::{SysError, SysResult};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::OFlags;
use rustix::io::{Errno, retry_on_intr};

use super::input::InputQueue;
use super::input_end::InputEnd;
use super::pipes::{input_pipe, open, output_pipe, reopen_pipe};
use crate::error::WireFailure;
use crate::files;
use crate::protocol::{CreateRequest, StdinMode, Streams as Kind};

/// More than the kernel keeps of a terminal's output, so that a surviving writer cannot go on for ever.
const TERMINAL_REST: u64 = 1024 * 1024;

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
#[derive(Default)]
pub(super) struct Streams {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    input: InputQueue,
    console: Option<Console>,
    /// The end of a terminal's input, while it is being told.
    input_end: Option<InputEnd>,
}

/// Whether clients may send more input.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// They may.
    Wanted,
    /// The container must read first.
    Full,
}

impl Streams {
    /// The streams that a request asks for, and what is left of its descriptors: the mounts.
    pub(super) fn of_request(
        request: &CreateRequest,
        mut descriptors: Vec<OwnedFd>,
    ) -> Result<(Self, ContainerEnds, Vec<OwnedFd>), WireFailure> {
        let (streams, ends) = match request.streams {
            Kind::Pipes => Self::make(&request.run_dir, request.stdin, [None, None, None])?,
            // The program reads from its terminal; what the runtime has for itself is empty.
            Kind::Terminal => Self::make(&request.run_dir, StdinMode::Null, [None, None, None])?,
            Kind::Given => {
                let mounts = descriptors.len().min(request.mounts.len());
                let given = <[OwnedFd; 3]>::try_from(descriptors.split_off(mounts));
                Self::given(given.map_err(|_| {
                    let why = "three descriptors must follow those of the mounts";
                    WireFailure::own("create", &request.id, why)
                })?)
            }
        };
        Ok((streams, ends, descriptors))
    }

    /// None: the container has descriptors of somebody else's.
    fn given(descriptors: [OwnedFd; 3]) -> (Self, ContainerEnds) {
        let [stdin, stdout, stderr] = descriptors;
        let ends = ContainerEnds {
            stdin,
            stdout,
            stderr,
        };
        (Self::default(), ends)
    }

    /// Pipes in a directory, both ends of each, for those streams that a client has not handed over.
    pub(super) fn make(
        directory: &Path,
        input: StdinMode,
        given: [Option<OwnedFd>; 3],
    ) -> SysResult<(Self, ContainerEnds)> {
        let [stdin, stdout, stderr] = given;
        let (queue, stdin) = match (stdin, input) {
            (Some(stdin), _) => (InputQueue::default(), stdin),
            (None, StdinMode::Null) => (InputQueue::default(), null()?),
            (None, StdinMode::Open) => {
                let (write, read) = input_pipe(&directory.join(files::STDIN))?;
                (InputQueue::pipe(write), read)
            }
        };
        let output = |given: Option<OwnedFd>, name: &str| match given {
            Some(fd) => Ok((None, fd)),
            None => output_pipe(&directory.join(name)).map(|(ours, theirs)| (Some(ours), theirs)),
        };
        let (our_stdout, stdout) = output(stdout, files::STDOUT)?;
        let (our_stderr, stderr) = output(stderr, files::STDERR)?;
        let streams = Self {
            stdout: our_stdout,
            stderr: our_stderr,
            input: queue,
            console: None,
            input_end: None,
        };
        let ends = ContainerEnds {
            stdin,
            stdout,
            stderr,
        };
        Ok((streams, ends))
    }

    /// Our ends of the pipes of a container that another monitor has made. A terminal, or what somebody else gave it, cannot be had again.
    pub(super) fn reopened(request: &CreateRequest) -> SysResult<Self> {
        match request.streams {
            Kind::Pipes => Self::reopen(&request.run_dir),
            Kind::Terminal | Kind::Given => Ok(Self::default()),
        }
    }

    /// Our ends of those pipes that there are in a directory. What nobody reads any more is not written to.
    pub(super) fn reopen(directory: &Path) -> SysResult<Self> {
        Ok(Self {
            stdout: reopen_pipe(&directory.join(files::STDOUT), OFlags::RDONLY)?,
            stderr: reopen_pipe(&directory.join(files::STDERR), OFlags::RDONLY)?,
            input: reopen_pipe(&directory.join(files::STDIN), OFlags::WRONLY)?
                .map_or_else(InputQueue::default, InputQueue::pipe),
            console: None,
            input_end: None,
        })
    }

    /// Forgets input that was queued: whoever had it before has gone on with it.
    pub(super) fn forget_input(&mut self) {
        self.input_end = None;
        self.input.forget();
    }

    /// Which ends are open: standard input, output, error, and the terminal.
    pub(super) fn held(&self) -> [bool; 4] {
        let (output, error) = (self.stdout.is_some(), self.stderr.is_some());
        [self.input.is_open(), output, error, self.console.is_some()]
    }

    /// The container's streams are this terminal from now on.
    pub(super) fn use_console(
        &mut self,
        console: Console,
        stdin: StdinMode,
    ) -> Result<(), ExecError> {
        self.stderr = None;
        self.stdout = Some(console.duplicate()?);
        self.input = match stdin {
            StdinMode::Null => InputQueue::default(),
            StdinMode::Open => InputQueue::terminal(console.duplicate()?),
        };
        self.console = Some(console);
        Ok(())
    }

    /// Gives the terminal, if there is one, another size.
    pub(super) fn resize(&self, size: WindowSize) -> Result<(), ExecError> {
        self.console
            .as_ref()
            .map_or(Ok(()), |console| console.resize(size))
    }

    /// Adds what is to be waited for.
    pub(super) fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>, read_output: ReadOutput) {
        if read_output == ReadOutput::Yes {
            for fd in [&self.stdout, &self.stderr].into_iter().flatten() {
                fds.push(PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN));
            }
        }
        self.input.add_to(fds);
    }

    /// Bytes that are there now; `None` when there are none.
    pub(super) fn read(&mut self, stream: Stream) -> Option<Vec<u8>> {
        let slot = self.slot(stream)?;
        let fd = slot.as_ref()?;
        let mut buffer = Vec::with_capacity(MAX_PAYLOAD);
        // Who drains a stream takes nothing for its end, so an interruption must not look like that.
        match retry_on_intr(|| rustix::io::read(fd, spare_capacity(&mut buffer))) {
            Ok(0) => {
                // Every writer has closed it: no more will come.
                *slot = None;
                None
            }
            Ok(_) => Some(buffer),
            Err(Errno::AGAIN) => None,
            // A terminal that was hung up says so by an error.
            Err(_) => {
                *slot = None;
                None
            }
        }
    }

    /// What is there at this moment, and not what a surviving writer adds meanwhile.
    pub(super) fn drain(&mut self, stream: Stream) -> Vec<Vec<u8>> {
        // What a terminal holds is in several places of the kernel, which does not count it.
        let mut left = match &self.console {
            Some(_) => TERMINAL_REST,
            None => self
                .slot(stream)
                .and_then(|slot| slot.as_ref())
                .and_then(|fd| rustix::io::ioctl_fionread(fd).ok())
                .unwrap_or(0),
        };
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
        self.input.state()
    }

    /// Queues input.
    pub(super) fn queue_stdin(&mut self, bytes: &[u8]) {
        // Somebody types on.
        self.input_end = None;
        self.input.push(bytes);
    }

    /// A client's input has ended. A pipe ends with it; a terminal gets the key that means it.
    pub(super) fn end_stdin(&mut self) {
        match &self.console {
            Some(_) => self.input_end = Some(InputEnd::new()),
            None => self.input.end(),
        }
    }

    /// The client whose input was the container's has gone. A terminal waits for the next one.
    pub(super) fn lose_stdin(&mut self) {
        self.input_end = None;
        if self.console.is_none() {
            self.input.end();
        }
    }

    /// Writes what the container's input takes.
    pub(super) fn write_stdin(&mut self) {
        self.input.write();
        if let (Some(end), Some(console), true) =
            (&mut self.input_end, &self.console, self.input.is_empty())
            && let Some(key) = end.key(console)
        {
            self.input.push(&[key]);
            self.input.write();
        }
    }

    /// When [`Streams::write_stdin`] is to be called although nothing happened.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let end = self.input_end.as_ref().filter(|_| self.input.is_empty());
        end.map(InputEnd::timeout)
    }

    /// Whether no output can come any more.
    pub(super) fn are_over(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// The program behind the terminal has ended: when nobody else has it open, there is no more output.
    pub(super) fn release_terminal(&mut self) {
        self.console = None;
        self.input_end = None;
    }

    /// Counts what the program reads from a pipe.
    pub(super) fn count_input(&mut self, ends: &ContainerEnds) -> SysResult<()> {
        let read_end = ends.stdin.try_clone();
        let read_end = read_end.map_err(|error| SysError::new("duplicate", "a pipe", error))?;
        self.input.count_by(read_end);
        Ok(())
    }

    /// Bytes of input that the program has read, if they are counted.
    pub(super) fn input_read(&self) -> u64 {
        self.input.read_by_program()
    }

    /// Bytes of output that have not been taken from the pipes.
    pub(super) fn untaken(&self) -> u64 {
        let pipes = [&self.stdout, &self.stderr].into_iter().flatten();
        pipes
            .filter_map(|fd| rustix::io::ioctl_fionread(fd).ok())
            .sum()
    }

    /// Closes all, but gives away the pipes that somebody still writes to.
    pub(super) fn into_leftovers(mut self) -> Vec<OwnedFd> {
        let pipes = [self.stdout.take(), self.stderr.take()];
        pipes.into_iter().flatten().collect()
    }

    /// Closes all.
    pub(super) fn close(&mut self) {
        self.stdout = None;
        self.stderr = None;
        self.input.close();
        self.console = None;
        self.input_end = None;
    }
}

/// Whether output is read now, or left in the pipe until a client has caught up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadOutput {
    Yes,
    No,
}

fn null() -> SysResult<OwnedFd> {
    open(Path::new("/dev/null"), OFlags::RDONLY)
}
