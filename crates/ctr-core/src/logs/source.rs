//! One container's log, with the run whose end is the end of following it.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use ctr_state::{LogDriver, Snapshot};
use ctr_sys::{Deadline, SysError};

use super::file::{Extent, FileReader};
use super::journal::JournalReader;
use super::record::Period;
use super::segments::Location;
use super::watch::LogWatch;
use super::{LogItem, LogRequest};
use crate::container::Container;
use crate::error::EngineError;
use crate::wait::exit_of;
use crate::watch::Watch;

/// Where a container's records come from.
#[derive(Debug)]
enum Reader {
    File(Box<FileReader>),
    Journal(Box<JournalReader>),
}

#[derive(Debug)]
pub(super) struct Source<'e> {
    container: Container<'e>,
    path: PathBuf,
    reader: Reader,
    follow: Option<Follow>,
}

/// Following a log.
#[derive(Debug)]
struct Follow {
    generation: u64,
    log: Option<LogWatch>,
    run: Option<Watch>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More may come.
    Open,
    /// The run is over: what is there is all.
    Over,
}

impl<'e> Source<'e> {
    pub(super) fn open(
        container: &Container<'e>,
        request: &LogRequest<'_>,
    ) -> Result<Self, EngineError> {
        let snapshot = container.snapshot()?;
        let record = snapshot.record();
        let generation = record.map_or(0, ctr_state::Record::generation);
        let log = &snapshot.config()?.log;
        let extent = match request.follow {
            super::FollowLog::No => Extent::Present,
            super::FollowLog::Yes { .. } => Extent::Growing,
        };
        let reader = reader(&snapshot, extent, request)?;
        Ok(Self {
            path: log.path.clone(),
            reader,
            follow: (extent == Extent::Growing).then_some(Follow {
                generation,
                log: None,
                run: None,
                state: State::Open,
            }),
            container: container.clone(),
        })
    }

    /// The next record; `None` when there is none (yet).
    pub(super) fn next(&mut self) -> Result<Option<LogItem>, EngineError> {
        match &mut self.reader {
            Reader::File(reader) => reader.next().map_err(|source| {
                SysError::new("read the log", self.path.display().to_string(), source).into()
            }),
            Reader::Journal(reader) => reader.next(),
        }
    }

    /// Whether nothing will come that is not there yet.
    pub(super) fn is_over(&self) -> bool {
        let follow = self.follow.as_ref();
        follow.is_none_or(|follow| follow.state == State::Over)
    }

    /// Nothing more is waited for.
    pub(super) fn end(&mut self) -> Result<(), EngineError> {
        if let Some(follow) = &mut self.follow {
            follow.state = State::Over;
        }
        match &mut self.reader {
            Reader::File(_) => Ok(()),
            Reader::Journal(reader) => reader.end(),
        }
    }

    /// Sets the watches up, or sees what those say that are `ready`. Only afterwards the log is to be looked at again, and then what
    /// [`Source::is_over`] said before holds for it.
    pub(super) fn look(&mut self, ready: Ready) -> Result<(), EngineError> {
        let Some(follow) = self.follow.as_mut().filter(|f| f.state == State::Open) else {
            return Ok(());
        };
        match (&mut follow.log, &self.reader) {
            (Some(watch), _) if ready.log => watch.rearm()?,
            (None, Reader::File(_)) => follow.log = Some(LogWatch::new(&self.path)?),
            (_, Reader::File(_) | Reader::Journal(_)) => {}
        }
        let due = follow.run.as_ref().is_none_or(|_| ready.run);
        if due {
            follow.run = Some(Watch::new(&self.container, follow.generation)?);
            let over = match exit_of(&self.container, follow.generation) {
                Ok(exit) => exit.is_some(),
                // Removed, and long enough ago for its run to be forgotten.
                Err(error) if error.is_not_found() => true,
                Err(error) => return Err(error),
            };
            if over {
                self.end()?;
            }
        }
        Ok(())
    }

    /// What announces more of the log.
    pub(super) fn log_descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.reader {
            Reader::File(_) => self.follow.as_ref()?.log.as_ref()?.descriptor(),
            Reader::Journal(reader) => reader.descriptor(),
        }
    }

    /// What announces the end of the run.
    pub(super) fn run_descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let watch = self.follow.as_ref().and_then(|follow| follow.run.as_ref());
        watch.into_iter().flat_map(Watch::descriptors)
    }

    /// When to look again although nothing was announced: at the log, and at the run.
    pub(super) fn deadlines(&self) -> [Deadline; 2] {
        let Some(follow) = &self.follow else {
            return [Deadline::never(); 2];
        };
        let log = follow.log.as_ref().map(LogWatch::deadline);
        let run = follow.run.as_ref().map(Watch::deadline);
        [log, run].map(|deadline| deadline.unwrap_or(Deadline::never()))
    }
}

/// What has happened at a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) log: bool,
    pub(super) run: bool,
}

fn reader(
    snapshot: &Snapshot,
    extent: Extent,
    request: &LogRequest<'_>,
) -> Result<Reader, EngineError> {
    let period = Period {
        since_ns: request.since_ns,
        until_ns: request.until_ns,
    };
    let log = &snapshot.config()?.log;
    match log.driver {
        LogDriver::None | LogDriver::Passthrough => Err(EngineError::NoLogs {
            name: snapshot.name().to_string(),
            driver: log.driver.name(),
        }),
        LogDriver::K8sFile => {
            let location = Location {
                path: log.path.clone(),
                max_files: log.max_files,
            };
            let reader = FileReader::open(location, extent, period, request.tail);
            let reader = reader.map_err(|source| {
                SysError::new("read the log", log.path.display().to_string(), source)
            })?;
            Ok(Reader::File(Box::new(reader)))
        }
        LogDriver::Journald => {
            let reader = JournalReader::open(snapshot.id(), extent, period, request.tail)?;
            Ok(Reader::Journal(Box::new(reader)))
        }
    }
}
