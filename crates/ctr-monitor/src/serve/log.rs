//! The container's log.
//!
//! A log that cannot be written, or not now, never stops the container for long. What is read from the container goes to a process of
//! its own ([`writer`]), which is started with the first output and fed through a bounded queue in the kernel. While the queue is full,
//! output is left in the container's pipes; when the writer has taken nothing for [`PATIENCE`], what comes is dropped and counted until
//! it works again, and the gap is recorded in the log. A writer that was killed is replaced, and its successor goes on with the queue.

mod feed;
mod file;
mod journald;
mod record;
mod writer;

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ctr_exec::frames::Stream;
use ctr_sys::{
    Child, Deadline, Signal, SysError, SysResult, fork_companion, now_ns, seqpacket_pair,
    wait_readable,
};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use self::feed::{Feed, Report, State, Wait};
use self::writer::Driver;
use super::streams::ReadOutput;
use crate::files;
use crate::protocol::LogTarget;

/// How long a full queue may hold the container's output back.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the writer may take for the rest, when the container has ended.
const FINISH: Duration = Duration::from_secs(3);
/// And when it stood still already.
const FINISH_STUCK: Duration = Duration::from_millis(300);
/// A writer that dies is replaced at most so often.
const REPLACE: Duration = Duration::from_secs(1);
/// And at the end so many times.
const LAST_REPLACEMENTS: u32 = 3;

pub(super) struct Log {
    target: LogTarget,
    id: String,
    /// Held by the writer.
    lock: PathBuf,
    queue: Option<Queue>,
    writer: Option<Child>,
    kinship: Kinship,
    started: Option<Instant>,
    /// Read from the container and not yet in the queue.
    waiting: VecDeque<Vec<u8>>,
    flow: Flow,
    /// Bytes that were dropped here, and how many of them the writer has not been told of.
    dropped: u64,
    untold: u64,
    /// Bytes that writers could not write: those that are gone, and the present one.
    lost_before: u64,
    lost: u64,
}

/// Both ends are kept, so that what is queued outlives the writer.
struct Queue {
    ours: OwnedFd,
    theirs: OwnedFd,
}

impl Queue {
    fn new() -> SysResult<Self> {
        let (ours, theirs) = seqpacket_pair()?;
        Ok(Self { ours, theirs })
    }
}

/// Whose child the writer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kinship {
    /// This process's: its end is announced.
    Child,
    /// That of a monitor that was killed: it is asked for before each use.
    Stranger,
}

/// How the queue takes output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// At once.
    Free,
    /// It is full since then.
    Held(Instant),
    /// It has been full for too long: what comes is dropped.
    Dropping,
}

impl Log {
    /// Makes ready to log; nothing is started or opened before there is output.
    pub(super) fn new(target: &LogTarget, id: &str, run_dir: &Path) -> SysResult<Self> {
        if let LogTarget::K8sFile { path, .. } = target
            && let Ok(found) = std::fs::symlink_metadata(path)
            && !found.is_file()
        {
            let path = path.display().to_string();
            let why = "something else than a regular file lies in the place of the log";
            return Err(SysError::invalid("log to", path, why));
        }
        Ok(Self {
            target: target.clone(),
            id: id.to_owned(),
            lock: run_dir.join(files::LOG_LOCK),
            queue: None,
            writer: None,
            kinship: Kinship::Child,
            started: None,
            waiting: VecDeque::new(),
            flow: Flow::Free,
            dropped: 0,
            untold: 0,
            lost_before: 0,
            lost: 0,
        })
    }

    /// Logs bytes of a stream under the present time; never waits.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() || self.target == LogTarget::None {
            return;
        }
        if self.flow == Flow::Dropping {
            self.drop_bytes(bytes.len() as u64);
            return;
        }
        let packet = feed::output(now_ns(), stream, bytes);
        self.waiting.push_back(packet);
        self.flush();
    }

    /// Whether a queue exists, which a keeper must have, too.
    pub(super) fn is_begun(&self) -> bool {
        self.queue.is_some()
    }

    /// In the place of a monitor that was killed: its queue and its writer are this one's now, what it had in its hands is lost.
    pub(super) fn take_over(&mut self) {
        self.kinship = Kinship::Stranger;
        self.waiting.clear();
        self.flow = Flow::Free;
        self.note_lost_monitor();
    }

    /// Says in the log that something may be missing.
    pub(super) fn note_lost_monitor(&mut self) {
        if self.target != LogTarget::None {
            self.waiting.push_back(feed::lost_monitor());
            self.flush();
        }
    }

    /// Whether output may be read from the container.
    pub(super) fn has_room(&self) -> ReadOutput {
        match self.flow {
            Flow::Free | Flow::Dropping => ReadOutput::Yes,
            Flow::Held(_) => ReadOutput::No,
        }
    }

    /// What to wait for before [`Log::flush`] can do something; `None`: there is nothing for it to do.
    pub(super) fn interest(&self) -> Option<PollFd<'_>> {
        let queue = self.queue.as_ref()?;
        (self.flow != Flow::Free)
            .then(|| PollFd::from_borrowed_fd(queue.ours.as_fd(), PollFlags::OUT))
    }

    /// When [`Log::check_patience`] is to be called although nothing happened.
    pub(super) fn timeout(&self) -> Option<Duration> {
        match self.flow {
            Flow::Held(since) => Some(PATIENCE.saturating_sub(since.elapsed())),
            Flow::Free | Flow::Dropping => None,
        }
    }

    /// Gives up on a queue that has been full for too long.
    pub(super) fn check_patience(&mut self) {
        if self.timeout() == Some(Duration::ZERO) {
            self.flow = Flow::Dropping;
            self.drop_waiting();
        }
    }

    /// The queue takes something again, or there is something to put into it.
    pub(super) fn flush(&mut self) {
        if self.kinship == Kinship::Stranger {
            self.check_writer();
        }
        match self.feed() {
            Ok(()) => self.flow = Flow::Free,
            Err(Errno::AGAIN) if self.flow == Flow::Free => self.flow = Flow::Held(Instant::now()),
            Err(Errno::AGAIN) => {}
            // Neither process nor socket can be had: as good as a full disk. The next output tries again.
            Err(_) => {
                self.drop_waiting();
                self.flow = Flow::Free;
            }
        }
    }

    /// A child has ended; perhaps it was the writer.
    pub(super) fn check_writer(&mut self) {
        let now = Deadline::after(Duration::ZERO);
        let ended = |writer: &Child| wait_readable(writer.as_fd(), now).unwrap_or(false);
        if !self.writer.as_ref().is_some_and(ended) {
            return;
        }
        self.writer = None;
        self.take_reports();
        self.lost_before += std::mem::take(&mut self.lost);
        // What is in the queue is still to be written. One that dies again at once waits for more output.
        if self.started.is_none_or(|at| at.elapsed() >= REPLACE) {
            self.start_writer().ok();
        }
    }

    /// Waits, for a bounded time, until all has been written, and returns how many bytes of output are not in the log.
    pub(super) fn finish(&mut self) -> u64 {
        let done = self.queue.is_some() && self.finish_writer().unwrap_or(false);
        if !done && let Some(queue) = self.queue.take() {
            if let Some(writer) = self.writer.take() {
                // Stuck where it is, it may die later than it is killed; it is not waited for.
                writer.kill(Signal::KILL).ok();
            }
            let mut buffer = vec![0; feed::MAX_PACKET];
            while let Ok(Feed::Output { bytes, .. }) =
                feed::receive(queue.theirs.as_fd(), &mut buffer, Wait::No)
            {
                self.dropped += bytes.len() as u64;
            }
        }
        self.drop_waiting();
        self.queue = None;
        self.flow = Flow::Free;
        self.dropped + self.lost_before + self.lost
    }

    /// Whether the writer said that it has written all.
    fn finish_writer(&mut self) -> SysResult<bool> {
        let time = match self.flow {
            Flow::Free | Flow::Held(_) => FINISH,
            Flow::Dropping => FINISH_STUCK,
        };
        let deadline = Deadline::after(time);
        let mut closed = Closed::No;
        let mut replacements = 0;
        loop {
            if closed == Closed::No && self.feed().is_ok() {
                self.close_queue();
                closed = Closed::Yes;
            }
            if self.take_reports() == State::Done {
                // It ends now, and is reaped with the other children.
                self.writer = None;
                return Ok(true);
            }
            if deadline.expired() {
                return Ok(false);
            }
            self.wait_for_writer(closed, deadline)?;
            self.check_writer();
            if self.writer.is_none() {
                replacements += 1;
                if replacements > LAST_REPLACEMENTS || self.start_writer().is_err() {
                    return Ok(false);
                }
            }
        }
    }

    fn wait_for_writer(&self, closed: Closed, deadline: Deadline) -> SysResult<()> {
        let (Some(queue), Some(writer)) = (&self.queue, &self.writer) else {
            return Ok(());
        };
        let interest = match closed {
            Closed::Yes => PollFlags::IN,
            Closed::No => PollFlags::IN | PollFlags::OUT,
        };
        let mut fds = [
            PollFd::from_borrowed_fd(queue.ours.as_fd(), interest),
            PollFd::from_borrowed_fd(writer.as_fd(), PollFlags::IN),
        ];
        ctr_sys::poll(&mut fds, deadline)
    }

    fn close_queue(&self) {
        if let Some(queue) = &self.queue {
            // The other end gets what is queued, and then the end. It cannot fail on a connected socket.
            rustix::net::shutdown(&queue.ours, rustix::net::Shutdown::Write).ok();
        }
    }

    /// Puts what there is into the queue.
    fn feed(&mut self) -> Result<(), Errno> {
        if self.writer.is_none() && (!self.waiting.is_empty() || self.untold > 0) {
            self.start_writer().map_err(|_| Errno::NOMEM)?;
        }
        let Some(queue) = &self.queue else {
            return Ok(());
        };
        let socket = queue.ours.as_fd();
        if self.untold > 0 {
            feed::send(socket, &feed::gap(self.untold))?;
            self.untold = 0;
        }
        while let Some(packet) = self.waiting.front() {
            feed::send(socket, packet)?;
            self.waiting.pop_front();
        }
        Ok(())
    }

    fn start_writer(&mut self) -> SysResult<()> {
        let Some(driver) = Driver::new(&self.target, &self.id) else {
            return Ok(());
        };
        let queue = match self.queue.take() {
            Some(queue) => queue,
            None => Queue::new()?,
        };
        let queue = self.queue.insert(queue);
        self.started = Some(Instant::now());
        let (theirs, lock) = (queue.theirs.as_fd(), &self.lock);
        let writer = fork_companion(&[theirs], || writer::run(theirs, driver, lock))?;
        self.writer = Some(writer);
        self.kinship = Kinship::Child;
        Ok(())
    }

    fn take_reports(&mut self) -> State {
        let mut state = State::Writing;
        if let Some(queue) = &self.queue {
            while let Some(report) = Report::receive(queue.ours.as_fd()) {
                self.lost = report.lost;
                state = report.state;
            }
        }
        state
    }

    fn drop_waiting(&mut self) {
        for packet in std::mem::take(&mut self.waiting) {
            self.drop_bytes(feed::output_bytes(&packet));
        }
    }

    fn drop_bytes(&mut self, bytes: u64) {
        self.dropped += bytes;
        self.untold += bytes;
    }
}

/// Whether the end of the queue has been announced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closed {
    No,
    Yes,
}
