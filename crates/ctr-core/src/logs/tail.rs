//! Where the last lines of a log begin.
//!
//! A line is what lies between two line ends of one stream, in however many records; what a stream has not ended yet is a line, too. The
//! log is read from its end, so that a long one costs nothing.

use std::io;

use super::record::{Kind, Period, Record};
use super::scan::Backward;
use super::segments::Segment;
use super::{LogStream, Partial};

/// How far, in bytes of the log, the beginning of a line is looked for while its stream says nothing.
const QUIET: u64 = 4 << 20;

/// A place in the log: which file, counted from the oldest, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) segment: usize,
    pub(super) offset: u64,
}

/// From where on each of the streams is wanted, in the order of [`LogStream`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Starts(pub(super) [Position; 2]);

impl Starts {
    /// Everything.
    pub(super) const BEGINNING: Self = Self(
        [Position {
            segment: 0,
            offset: 0,
        }; 2],
    );

    pub(super) fn of(self, stream: LogStream) -> Position {
        self.0[stream as usize]
    }

    pub(super) fn first(self) -> Position {
        self.0[0].min(self.0[1])
    }
}

/// What is known of a stream, coming from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Nothing,
    /// The end of a line that is wanted; its beginning may lie further back.
    Line,
    /// All that is wanted.
    Enough,
}

struct Search {
    wanted: usize,
    counted: usize,
    seen: [Seen; 2],
    starts: Starts,
}

/// The beginnings of the last `lines` lines of what lies in the period.
pub(super) fn start_of_last(
    segments: &[Segment],
    lines: usize,
    period: Period,
) -> io::Result<Starts> {
    let end = Position {
        segment: segments.len().saturating_sub(1),
        offset: segments.last().map_or(0, |segment| segment.size),
    };
    let mut search = Search {
        wanted: lines,
        counted: 0,
        seen: [Seen::Nothing; 2],
        starts: Starts([end; 2]),
    };
    let mut quiet = 0;
    for (number, segment) in segments.iter().enumerate().rev() {
        let mut records = Backward::new(segment.size);
        while quiet < QUIET && !search.is_over() {
            let Some(line) = records.previous(&segment.file)? else {
                break;
            };
            quiet += line.bytes.len() as u64;
            let position = Position {
                segment: number,
                offset: line.offset,
            };
            let record = Record::parse(line.bytes).filter(|record| period.has(record.time_ns));
            if record.is_some_and(|record| search.take(record, position)) || !search.is_complete() {
                quiet = 0;
            }
        }
    }
    Ok(search.starts)
}

impl Search {
    /// All lines are found, and perhaps not yet their beginnings.
    fn is_complete(&self) -> bool {
        self.counted >= self.wanted
    }

    fn is_over(&self) -> bool {
        self.is_complete() && !self.seen.contains(&Seen::Line)
    }

    /// Takes the record before those taken so far; whether it is wanted.
    fn take(&mut self, record: Record<'_>, position: Position) -> bool {
        let Kind::Output(stream) = record.kind else {
            return false;
        };
        let complete = self.is_complete();
        let seen = &mut self.seen[stream as usize];
        let ends_line = *seen == Seen::Nothing || record.partial == Partial::Full;
        match (*seen, ends_line) {
            (Seen::Enough, _) => return false,
            (Seen::Nothing | Seen::Line, true) if complete => {
                *seen = Seen::Enough;
                return false;
            }
            (Seen::Nothing | Seen::Line, true) => {
                *seen = Seen::Line;
                self.counted += 1;
            }
            (Seen::Nothing | Seen::Line, false) => {}
        }
        self.starts.0[stream as usize] = position;
        true
    }
}
