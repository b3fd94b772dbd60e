//! Reading the logs of containers.
//!
//! The files are those fixed at the creation; a link, or anything else that is no file of ours, in the place of one is an error. Lines that
//! are not of the log's form are passed over: whoever damaged one must not hide the others.
//!
//! Following ends when the run that was current at its beginning has ended and all of its output was given out.

mod export;
mod file;
mod journal;
mod record;
mod scan;
mod segments;
mod source;
mod tail;
#[cfg(test)]
mod tests;
mod watch;

use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags};

use self::source::{Ready, Source};
use crate::container::Container;
use crate::engine::Engine;
use crate::error::EngineError;

/// Which part of the logs is wanted.
#[derive(Clone, Copy, Debug)]
pub struct LogRequest<'a> {
    /// Only what was written at this moment or later, nanoseconds since 1970 UTC.
    pub since_ns: Option<i64>,
    /// Only what was written before this moment.
    pub until_ns: Option<i64>,
    /// Of each container, of what is there when it is asked for, only the last so many lines; `None` for all.
    pub tail: Option<usize>,
    /// Whether to wait for more.
    pub follow: FollowLog<'a>,
}

impl LogRequest<'_> {
    /// Everything that is there.
    pub const ALL: Self = Self {
        since_ns: None,
        until_ns: None,
        tail: None,
        follow: FollowLog::No,
    };
}

/// Whether a log is followed.
#[derive(Clone, Copy, Debug)]
pub enum FollowLog<'a> {
    /// What is there is all.
    No,
    /// Until the container's run ends.
    Yes {
        /// Where the caller writes to: when nobody reads that any more, following ends.
        output: Option<BorrowedFd<'a>>,
    },
}

/// Which stream a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Whether the record ends its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partial {
    /// It does.
    Full,
    /// The line goes on in the next record of the stream.
    Partial,
}

/// A record of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The stream.
    pub stream: LogStream,
    /// When it was read, RFC 3339.
    pub time_text: String,
    /// Whether it ends its line.
    pub partial: Partial,
    /// What the container wrote, without the newline.
    pub bytes: Vec<u8>,
}

/// A record of output that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogGap {
    /// When logging went on, RFC 3339.
    pub time_text: String,
    /// How many bytes of output were lost.
    pub bytes: u64,
    /// Why.
    pub reason: String,
}

/// A follower was slower than the files of the log were put aside and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogMissed {
    /// How many files were dropped before they were read; `None` where the file system keeps no attributes that would tell, and
    /// then perhaps none.
    pub files: Option<u64>,
}

/// What a log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogItem {
    /// Output.
    Line(LogLine),
    /// Output that is missing.
    Gap(LogGap),
    /// Output that was logged, and dropped before it was read.
    Missed(LogMissed),
}

/// What comes of reading logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// A record.
    Item {
        /// Which container it is of, counted from 0 as they were given.
        container: usize,
        /// The record.
        item: LogItem,
    },
    /// All that is there has been given out, and the next call waits.
    Waiting,
}

/// The records of several logs: one container after the other, or, followed, as they come.
#[derive(Debug)]
pub struct Logs<'e, 'a> {
    engine: &'e Engine,
    sources: Vec<Source<'e>>,
    request: LogRequest<'a>,
    /// The source that is read, and how many records it has given in a row.
    at: usize,
    turn: usize,
    progress: Progress,
}

/// Records that a followed container may give before it is another one's turn: one that writes without end must not hide the others.
const TURN: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There may be records.
    Reading,
    /// There were none, and the caller knows.
    Waiting,
    /// There will be no more.
    Done,
}

impl Engine {
    /// Reads the logs of these containers. Takes no lock. A log that was never written is empty.
    ///
    /// # Errors
    /// [`EngineError::NoLogs`] when one has a driver that keeps none; when a log is something else than a regular file of ours, or
    /// cannot be read.
    pub fn logs<'e, 'a>(
        &'e self,
        containers: &[Container<'e>],
        request: LogRequest<'a>,
    ) -> Result<Logs<'e, 'a>, EngineError> {
        let sources = containers.iter().map(|container| {
            let _span = tracing::info_span!("logs", container = container.id().short()).entered();
            Source::open(container, &request)
        });
        Ok(Logs {
            engine: self,
            sources: sources.collect::<Result<_, _>>()?,
            request,
            at: 0,
            turn: 0,
            progress: Progress::Reading,
        })
    }
}

impl<'e> Container<'e> {
    /// Reads the log of this container, see [`Engine::logs`].
    ///
    /// # Errors
    /// As [`Engine::logs`].
    pub fn logs<'a>(&self, request: LogRequest<'a>) -> Result<Logs<'e, 'a>, EngineError> {
        self.engine().logs(std::slice::from_ref(self), request)
    }
}

impl Iterator for Logs<'_, '_> {
    type Item = Result<LogEvent, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(event) => event.map(Ok),
            Err(error) => {
                self.progress = Progress::Done;
                Some(Err(error))
            }
        }
    }
}

impl Logs<'_, '_> {
    fn advance(&mut self) -> Result<Option<LogEvent>, EngineError> {
        loop {
            if self.progress == Progress::Done {
                return Ok(None);
            }
            if let Some((container, item)) = self.read()? {
                self.progress = Progress::Reading;
                return Ok(Some(LogEvent::Item { container, item }));
            }
            if self.sources.iter().all(Source::is_over) {
                self.progress = Progress::Done;
                continue;
            }
            if self.progress == Progress::Reading {
                self.progress = Progress::Waiting;
                // Watches come before the last look, so that nothing is missed.
                for source in &mut self.sources {
                    source.look(Ready::default())?;
                }
                return Ok(Some(LogEvent::Waiting));
            }
            self.wait()?;
        }
    }

    /// The next record that is there, of whichever container.
    fn read(&mut self) -> Result<Option<(usize, LogItem)>, EngineError> {
        let follows = matches!(self.request.follow, FollowLog::Yes { .. });
        if follows && self.turn >= TURN {
            self.pass_on();
        }
        for _ in 0..self.sources.len() {
            if let Some(item) = self.sources[self.at].next()? {
                self.turn += 1;
                return Ok(Some((self.at, item)));
            }
            self.pass_on();
        }
        Ok(None)
    }

    fn pass_on(&mut self) {
        self.at = (self.at + 1) % self.sources.len();
        self.turn = 0;
    }

    /// Waits for something to happen.
    fn wait(&mut self) -> Result<(), EngineError> {
        let until = self.engine.deadline_at(self.request.until_ns);
        if until.expired() {
            return self.sources.iter_mut().try_for_each(Source::end);
        }
        let mut fds = Vec::new();
        let mut meaning = Vec::new();
        if let FollowLog::Yes {
            output: Some(output),
        } = self.request.follow
        {
            fds.push(PollFd::from_borrowed_fd(output, PollFlags::empty()));
        }
        let outputs = fds.len();
        let mut deadline = until;
        for (number, source) in self.sources.iter().enumerate() {
            if source.is_over() {
                continue;
            }
            let log = source.log_descriptor().map(|fd| (fd, Announced::Log));
            let run = source.run_descriptors().map(|fd| (fd, Announced::Run));
            for (fd, announced) in log.into_iter().chain(run) {
                fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
                meaning.push((number, announced));
            }
            let [log, run] = source.deadlines();
            deadline = deadline.min(log).min(run);
        }
        ctr_sys::poll(&mut fds, deadline)?;
        let happened = |fd: &PollFd<'_>| !fd.revents().is_empty();
        if fds[..outputs].iter().any(happened) {
            self.progress = Progress::Done;
            return Ok(());
        }
        let passed = deadline.expired();
        let mut ready = vec![
            Ready {
                log: passed,
                run: passed
            };
            self.sources.len()
        ];
        for (fd, (number, announced)) in fds[outputs..].iter().zip(meaning) {
            match announced {
                Announced::Log => ready[number].log |= happened(fd),
                Announced::Run => ready[number].run |= happened(fd),
            }
        }
        let looks = self.sources.iter_mut().zip(ready);
        looks
            .into_iter()
            .try_for_each(|(source, ready)| source.look(ready))
    }
}

/// What a descriptor announces.
#[derive(Clone, Copy)]
enum Announced {
    Log,
    Run,
}
