//! An attached foreground run: its streams, its signals, its end.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use ctr_exec::frames::{Frame, MAX_PAYLOAD, Stream};
use ctr_monitor::MonitorClient;
use ctr_monitor::MonitorError;
use ctr_monitor::protocol::Reply;
use ctr_state::{AutoRemove, ExitCause, ExitInfo, OomKilled, Status};
use ctr_sys::{Child, Deadline, PidRef, PidStamp, SignalFd, SysError};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::container::Container;
use crate::error::EngineError;
use crate::probe::exit_info;

/// How long a monitor may take to end once its container is cleaned up after.
const MONITOR_END: Duration = Duration::from_secs(10);

/// The caller's side of the streams. All descriptors stay the caller's.
#[derive(Clone, Copy, Debug)]
pub struct SessionIo<'a> {
    /// Where the container's input comes from; `None`: it gets none.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Where its output goes.
    pub stdout: BorrowedFd<'a>,
    /// Where its error output goes.
    pub stderr: BorrowedFd<'a>,
    /// Signals to pass on to the container's first process.
    pub signals: Option<&'a SignalFd>,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// The container ended.
    Exited(ExitInfo),
    /// The caller left; the container runs on.
    Detached,
}

/// A container that runs and whose streams are here.
///
/// Dropping it leaves the container running; its output goes on to the log, and the monitor sees to the cleanup.
#[derive(Debug)]
pub struct Session<'e> {
    container: Container<'e>,
    generation: u64,
    init: Option<PidStamp>,
    client: MonitorClient,
    monitor: Option<Child>,
}

impl<'e> Session<'e> {
    pub(crate) fn new(
        container: Container<'e>,
        generation: u64,
        init: Option<PidStamp>,
        client: MonitorClient,
        monitor: Option<Child>,
    ) -> Self {
        Self {
            container,
            generation,
            init,
            client,
            monitor,
        }
    }

    /// The container.
    pub fn container(&self) -> &Container<'e> {
        &self.container
    }

    /// Copies the streams and passes signals on until the container ends; then cleans up after it, or removes it when it is to
    /// go by itself.
    ///
    /// # Errors
    /// When the monitor is lost, or the cleanup fails; the exit is recorded all the same.
    pub fn run(mut self, io: SessionIo<'_>) -> Result<SessionEnd, EngineError> {
        let span = tracing::info_span!(
            "session",
            container = self.container.id().short(),
            generation = self.generation
        );
        let _span = span.entered();
        let exit = self.copy(io)?;
        let finished = self.finish();
        if let Some(monitor) = self.monitor.take() {
            // Our child: it ends now, and its zombie with it.
            monitor.wait_deadline(Deadline::after(MONITOR_END))?;
        }
        finished.map(|()| SessionEnd::Exited(exit))
    }

    fn copy(&mut self, io: SessionIo<'_>) -> Result<ExitInfo, EngineError> {
        let init = self.init.map(PidRef::open).transpose()?.flatten();
        self.client.set_nonblocking()?;
        let mut input = Input::new(io.stdin);
        let mut output = Output {
            stdout: Some(io.stdout),
            stderr: Some(io.stderr),
        };
        loop {
            let ready = self.wait(&input, io.signals)?;
            if let (true, Some(signals)) = (ready.signals, io.signals) {
                while let Some(info) = signals.read()? {
                    if let Some(init) = &init {
                        init.signal(info.signal)?;
                    }
                }
            }
            if ready.stdin {
                input.read();
            }
            input.send(&self.client)?;
            while let Some(frame) = self.client.try_next_frame()? {
                match frame {
                    Frame::Data(stream, bytes) => output.write(stream, &bytes),
                    Frame::Message(bytes, _) => {
                        if let Reply::Exit(record) = Reply::parse(&bytes)? {
                            return Ok(exit_info(&record));
                        }
                    }
                    Frame::End => return self.without_monitor(init.as_ref()),
                }
            }
        }
    }

    /// The monitor is gone. Its record tells the exit if it wrote one; else the container is waited for without it.
    fn without_monitor(&self, init: Option<&PidRef>) -> Result<ExitInfo, EngineError> {
        let run_dir = self.container.engine().run_dir(self.container.id());
        if let Some(exit) = crate::probe::recorded_exit(&run_dir, self.generation)? {
            return Ok(exit);
        }
        if let Some(init) = init {
            init.wait(Deadline::never())?;
        }
        Ok(ExitInfo {
            cause: ExitCause::Lost,
            oom: OomKilled::No,
            finished_ns: self.container.engine().now_ns(),
            reason: Some("the monitor ended without telling how the container did".to_owned()),
        })
    }

    fn wait(&self, input: &Input<'_>, signals: Option<&SignalFd>) -> Result<Ready, EngineError> {
        if self.client.has_early_frames() {
            return Ok(Ready::default());
        }
        let mut flags = PollFlags::IN;
        if input.has_pending() {
            flags |= PollFlags::OUT;
        }
        let mut fds = vec![PollFd::from_borrowed_fd(self.client.as_fd(), flags)];
        let mut positions = [None; 2];
        let wanted = [signals.map(AsFd::as_fd), input.readable()];
        for (position, fd) in positions.iter_mut().zip(wanted) {
            if let Some(fd) = fd {
                *position = Some(fds.len());
                fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
            }
        }
        let [signals, stdin] = positions;
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(SysError::new("poll", "the streams", errno.into()).into()),
        }
        let ready =
            |index: Option<usize>| index.is_some_and(|index| !fds[index].revents().is_empty());
        Ok(Ready {
            signals: ready(signals),
            stdin: ready(stdin),
        })
    }

    /// Records the exit and gives the run's resources back. Somebody else may have done so, or removed the container.
    fn finish(&self) -> Result<(), EngineError> {
        let result = self.container.lock("cleanup").and_then(|mut locked| {
            if locked.record().generation() != self.generation {
                return Ok(());
            }
            match (locked.config().auto_remove, locked.status()) {
                (AutoRemove::Yes, Status::Stopped | Status::Exited) => {
                    locked.remove_stopped().map(drop)
                }
                (AutoRemove::No, Status::Stopped) => locked.cleanup(),
                _ => Ok(()),
            }
        });
        match result {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    signals: bool,
    stdin: bool,
}

/// The container's input on its way: at most one packet is held.
struct Input<'a> {
    source: Option<BorrowedFd<'a>>,
    pending: Option<Vec<u8>>,
}

impl<'a> Input<'a> {
    fn new(source: Option<BorrowedFd<'a>>) -> Self {
        Self {
            source,
            pending: None,
        }
    }

    fn has_pending(&self) -> bool {
        self.pending.is_some()
    }

    fn readable(&self) -> Option<BorrowedFd<'a>> {
        self.source.filter(|_| self.pending.is_none())
    }

    fn read(&mut self) {
        let Some(source) = self.readable() else {
            return;
        };
        let mut buffer = vec![0; MAX_PAYLOAD];
        match rustix::io::read(source, &mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // A closed or unreadable input is an empty one.
            Ok(0) | Err(_) => {
                self.source = None;
                self.pending = Some(Vec::new());
            }
            Ok(count) => {
                buffer.truncate(count);
                self.pending = Some(buffer);
            }
        }
    }

    fn send(&mut self, client: &MonitorClient) -> Result<(), EngineError> {
        let Some(bytes) = &self.pending else {
            return Ok(());
        };
        match client.try_send_stdin(bytes) {
            Ok(true) => self.pending = None,
            Ok(false) => {}
            // The monitor is gone: reading from it says so next.
            Err(MonitorError::Connection { .. }) => {
                self.pending = None;
                self.source = None;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Where output goes. A stream whose reader is gone is given up; the container and the other stream go on.
struct Output<'a> {
    stdout: Option<BorrowedFd<'a>>,
    stderr: Option<BorrowedFd<'a>>,
}

impl Output<'_> {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let slot = match stream {
            Stream::Stderr => &mut self.stderr,
            Stream::Stdout | Stream::Stdin => &mut self.stdout,
        };
        if let Some(fd) = slot
            && write_all(*fd, bytes).is_err()
        {
            *slot = None;
        }
    }
}

fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
                rustix::event::poll(&mut fds, None)?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
