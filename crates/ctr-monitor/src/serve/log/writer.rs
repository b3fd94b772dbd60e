//! The process that writes the log.
//!
//! Disks and journals can stand still for as long as they like, so nothing that serves the container writes to them. This process does,
//! and ends when the monitor's end of the socket is closed: at the end of the run, or because the monitor was killed.

use std::os::fd::BorrowedFd;
use std::path::Path;

use ctr_exec::frames::Stream;
use ctr_sys::{Deadline, FileLock, now_ns, rfc3339};
use rustix::io::Errno;

use super::feed::{self, Feed, Report, State, Wait};
use super::file::{FileLog, Loss};
use super::journald::Journal;
use crate::protocol::LogTarget;

/// Why output is missing that was never handed over.
const TOO_SLOW: &str = "the log could not be written fast enough";

/// Why output may be missing that nobody has counted.
const LOST_MONITOR: &str = "the monitor was killed, and what it had in its hands is not known";

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

    /// Logs what is missing, together with what comes after it: a gap that could be recorded alone, while output cannot, would be
    /// followed by one more each time.
    fn write(
        &mut self,
        time: &str,
        stream: Stream,
        bytes: &[u8],
        missing: &mut Option<Loss>,
    ) -> Result<(), Loss> {
        match self {
            Self::File(file) => file.write(time, stream, bytes, missing),
            Self::Journal(journal) => journal.write(stream, bytes, missing),
        }
    }
}

/// Writes what comes until the other end is closed; the process's exit code. The writer of a monitor that was killed comes to its end before.
pub(super) fn run(socket: BorrowedFd<'_>, driver: Driver, lock: &Path) -> i32 {
    // Without it two may write for a moment. That is better than nobody.
    let _lock = FileLock::acquire(lock, "log", Deadline::never()).ok();
    let mut writer = Writer {
        driver,
        missing: None,
        lost: 0,
    };
    let mut reported = 0;
    let mut buffer = vec![0; feed::MAX_PACKET];
    loop {
        match feed::receive(socket, &mut buffer, Wait::Yes) {
            Ok(Feed::Output {
                time_ns,
                stream,
                bytes,
            }) => writer.write(&rfc3339(time_ns), stream, bytes),
            Ok(Feed::Gap { bytes }) => writer.miss(Loss {
                bytes,
                why: TOO_SLOW.to_owned(),
            }),
            Ok(Feed::LostMonitor) => writer.miss(Loss {
                bytes: 0,
                why: LOST_MONITOR.to_owned(),
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
    writer.write(&rfc3339(now_ns()), Stream::Stdout, &[]);
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
    /// Without bytes, only what is missing is recorded.
    fn write(&mut self, time: &str, stream: Stream, bytes: &[u8]) {
        let written = self.driver.write(time, stream, bytes, &mut self.missing);
        if let Err(loss) = written {
            self.lost += loss.bytes;
            self.miss(loss);
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
