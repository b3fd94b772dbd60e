//! A session whose process exists, until its end.

use std::time::Duration;

use ctr_exec::ExitReport;
use ctr_exec::frames::Stream;
use ctr_exec::session::{SessionExit, SessionState, WaitIo};
use ctr_sys::{Deadline, ExitStatus, PidRef, Signal};

use super::group::END_WAIT;
use super::{Change, Output, Session, Stage, Terms, read_all};
use crate::serve::streams::Streams;
use crate::serve::time_limit::TimeLimit;

/// How long output of processes that a session has left behind is waited for ([`WaitIo::Grace`]).
const GRACE: Duration = Duration::from_millis(500);

/// What is known of a process that runs, or of which the last output is awaited.
pub(super) struct Running {
    pub(super) process: PidRef,
    pub(super) reaped: Option<ExitStatus>,
    pub(super) time: TimeLimit,
    pub(super) terms: Terms,
    pub(super) ended: Option<Ended>,
}

/// The process has ended, and output of others is waited for.
#[derive(Clone, Copy)]
pub(super) struct Ended {
    exit: ExitReport,
    input_read: u64,
    pub(super) until: Deadline,
}

impl Session {
    pub(super) fn step_run(&mut self) -> (Output, Option<Change>) {
        let mut output = Vec::new();
        let Stage::Running(running) = &mut self.stage else {
            return (output, None);
        };
        if running.ended.is_none() {
            if running.time.is_up() {
                running.time.tried(&running.process.signal(Signal::KILL));
                // What this does not reach is reached with the next attempt, or ends with the container.
                drop(self.group.signal(&running.process, Signal::KILL));
            }
            let Some(exit) = running.exit() else {
                return (output, None);
            };
            let input_read = self.streams.input_read();
            output = drain(&mut self.streams);
            self.streams.release_terminal();
            let until = match running.terms.wait_io {
                WaitIo::Exit => Deadline::after(Duration::ZERO),
                WaitIo::Grace => Deadline::after(GRACE),
                WaitIo::Eof => Deadline::never(),
            };
            running.ended = Some(Ended {
                exit,
                input_read,
                until,
            });
            output.extend(read_all(&mut self.streams));
            self.remember(&output);
        }
        (output, self.conclude())
    }

    /// The end, when nothing more is waited for.
    fn conclude(&mut self) -> Option<Change> {
        let Stage::Running(running) = &self.stage else {
            return None;
        };
        let ended = running.ended?;
        if !self.streams.are_over() && !ended.until.expired() {
            return None;
        }
        let end = SessionExit {
            exit: ended.exit,
            timed_out: running.time.ended_by(ended.exit),
            finished_ns: ctr_sys::now_ns(),
            dropped: self.streams.untaken(),
            input_read: ended.input_read,
        };
        self.stage = Stage::Over;
        self.record.state = SessionState::Ended(end);
        // When even this small file cannot be written, the client is still told; later readers find that the process has ended.
        drop(self.write_record());
        Some(Change::Ended(end))
    }

    /// The container has ended, and so does this, at once.
    pub(super) fn end_now(&mut self) -> (Output, Option<Change>) {
        if let Stage::Running(running) = &mut self.stage {
            running.terms.wait_io = WaitIo::Exit;
            if running.ended.is_none() {
                drop(self.group.signal(&running.process, Signal::KILL));
                drop(running.process.wait(Deadline::after(END_WAIT)));
            }
            if running.ended.is_none() && running.process.is_alive() {
                // Nothing more can be known of it.
                running.ended = Some(Ended {
                    exit: ExitReport::Unknown,
                    input_read: self.streams.input_read(),
                    until: Deadline::after(Duration::ZERO),
                });
            }
            if let Some(ended) = &mut running.ended {
                ended.until = Deadline::after(Duration::ZERO);
            }
        }
        self.step_run()
    }
}

impl Running {
    /// How the process has ended; `None`: it lives.
    fn exit(&mut self) -> Option<ExitReport> {
        if self.process.is_alive() {
            return None;
        }
        if self.reaped.is_none() {
            self.reaped = self.process.reap().ok().flatten();
        }
        if self.reaped.is_none() {
            // Made for a monitor that was killed, it is somebody else's child.
            self.reaped = self.process.end_as_seen_by_others().ok().flatten();
        }
        Some(ExitReport::from(self.reaped))
    }
}

/// What is there at this moment, and not what a surviving writer adds meanwhile.
fn drain(streams: &mut Streams) -> Output {
    let both = [Stream::Stdout, Stream::Stderr].into_iter();
    both.flat_map(|stream| {
        streams
            .drain(stream)
            .into_iter()
            .map(move |bytes| (stream, bytes))
    })
    .collect()
}
