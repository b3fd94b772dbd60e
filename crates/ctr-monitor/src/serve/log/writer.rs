//! The process that writes the log.
//!
//! Disks and journals can stand still for as long as they like, so nothing that serves the container writes to them. This process does,
//! and ends when the monitor's end of the socket is closed: at the end of the run, or because the monitor was killed.

use std::os::fd::BorrowedFd;

use ctr_exec::frames::Stream;
use ctr_sys::{now_ns, rfc3339};
use rustix::io::Errno;

use super::feed::{self, Feed, Report, State, Wait};
use super::file::{FileLog, Loss};
use super::journald::Journal;
use crate::protocol::LogTarget;

/// Why output is missing that was never handed over.
const TOO_SLOW: &str = "the log could not be written fast enough";

/// Where the writer writes.
pub(super) enum Driver {
    File(FileLog),
    Journal(Journal),
}

impl Driver {
    /// `None` where nothing is to be written.
    pub(super) fn new(target: &LogTarget, id: &str) -> Option<Self> {
        match target {
            LogTarget::None => None,
            LogTarget::K8sFile {
                path,
                max_size,
                max_files,
            } => Some(Self::File(FileLog::new(path, *max_size, *max_files))),
            LogTarget::Journald { socket, name, tag } => Some(Self::Journal(Journal::new(
                socket,
                id,
                name,
                tag.as_deref(),
            ))),
        }
    }

    fn write(&mut self, time: &str, stream: Stream, bytes: &[u8]) -> Result<(), Loss> {
        match self {
            Self::File(file) => file.write(time, stream, bytes),
            Self::Journal(journal) => journal.write(stream, bytes),
        }
    }

    fn gap(&mut self, time: &str, missing: &Loss) -> std::io::Result<()> {
        match self {
            Self::File(file) => file.gap(time, missing.bytes, &missing.why),
            Self::Journal(journal) => journal.gap(missing.bytes, &missing.why),
        }
    }
}

/// Writes what comes until the other end is closed; the process's exit code.
pub(super) fn run(socket: BorrowedFd<'_>, driver: Driver) -> i32 {
    let mut writer = Writer {
        driver,
        missing: None,
        lost: 0,
    };
    let mut reported = 0;
    loop {
        match feed::receive(socket, Wait::Yes) {
            Ok(Feed::Output {
                time_ns,
                stream,
                bytes,
            }) => writer.write(&rfc3339(time_ns), stream, &bytes),
            Ok(Feed::Gap { bytes }) => writer.miss(Loss {
                bytes,
                why: TOO_SLOW.to_owned(),
            }),
            Ok(Feed::End) => break,
            // The monitor is gone and had reports to read; what is queued comes all the same.
            Err(Errno::CONNRESET) => {}
            Err(_) => return 1,
        }
        if writer.lost != reported && writer.report(State::Writing).send(socket).is_ok() {
            reported = writer.lost;
        }
    }
    writer.record_gap(&rfc3339(now_ns()));
    let told = writer.report(State::Done).send(socket);
    i32::from(told.is_err())
}

struct Writer {
    driver: Driver,
    /// What is missing in the log since its last record, and not yet recorded there.
    missing: Option<Loss>,
    /// What this process could not write.
    lost: u64,
}

impl Writer {
    fn write(&mut self, time: &str, stream: Stream, bytes: &[u8]) {
        if !self.record_gap(time) {
            self.lose(bytes.len() as u64);
            return;
        }
        if let Err(loss) = self.driver.write(time, stream, bytes) {
            self.lost += loss.bytes;
            self.miss(loss);
        }
    }

    /// Whether nothing is missing that is not recorded.
    fn record_gap(&mut self, time: &str) -> bool {
        let recorded = self
            .missing
            .as_ref()
            .is_none_or(|missing| self.driver.gap(time, missing).is_ok());
        if recorded {
            self.missing = None;
        }
        recorded
    }

    fn lose(&mut self, bytes: u64) {
        self.lost += bytes;
        if let Some(missing) = &mut self.missing {
            missing.bytes += bytes;
        }
    }

    fn miss(&mut self, loss: Loss) {
        match &mut self.missing {
            Some(missing) => missing.bytes += loss.bytes,
            None => self.missing = Some(loss),
        }
    }

    fn report(&self, state: State) -> Report {
        Report {
            lost: self.lost,
            state,
        }
    }
}
