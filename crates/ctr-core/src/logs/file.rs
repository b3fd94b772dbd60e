//! The records of a log's files in order, also while they are written to and put aside.

use std::collections::VecDeque;
use std::io;

use super::LogItem;
use super::record::{Kind, Period, Record};
use super::scan::Forward;
use super::segments::{FileId, Location, Segment, missed_from_the_beginning};
use super::tail::{Position, Starts, start_of_last};

/// How much of a log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// What is there now.
    Present,
    /// What is there and what comes.
    Growing,
}

#[derive(Debug)]
pub(super) struct FileReader {
    location: Location,
    extent: Extent,
    period: Period,
    starts: Starts,
    /// The files still to be read, oldest first.
    files: VecDeque<Segment>,
    current: Option<Current>,
    /// How many files came before the current one.
    number: usize,
    previous: Previous,
    /// A record that comes after what is to be said about files that are missing before it.
    held: Option<LogItem>,
}

/// What came before the current file, until the first line of that is read: only then it has its number for sure.
#[derive(Debug)]
enum Previous {
    /// Nothing is to be found out any more.
    Known,
    /// There was no log yet.
    NoLog,
    File(Segment),
}

#[derive(Debug)]
struct Current {
    segment: Segment,
    lines: Forward,
}

impl FileReader {
    /// Opens the log; of what is there now only the last `tail` lines, where given.
    pub(super) fn open(
        location: Location,
        extent: Extent,
        period: Period,
        tail: Option<usize>,
    ) -> io::Result<Self> {
        let files = location.newer_than(None)?;
        let starts = match tail {
            Some(lines) => start_of_last(&files, lines, period)?,
            None => Starts::BEGINNING,
        };
        let first = starts.first();
        let mut reader = Self {
            location,
            extent,
            period,
            starts,
            files: files.into_iter().skip(first.segment).collect(),
            current: None,
            number: first.segment,
            previous: Previous::Known,
            held: None,
        };
        match reader.files.pop_front() {
            Some(segment) => reader.current = Some(reader.begin(segment, first.offset)),
            None => reader.previous = Previous::NoLog,
        }
        Ok(reader)
    }

    fn begin(&self, segment: Segment, offset: u64) -> Current {
        let limit = match self.extent {
            Extent::Present => Some(segment.size),
            Extent::Growing => None,
        };
        Current {
            segment,
            lines: Forward::new(offset, limit),
        }
    }

    /// The next record; `None` when there is none (yet).
    pub(super) fn next(&mut self) -> io::Result<Option<LogItem>> {
        if let Some(item) = self.held.take() {
            return Ok(Some(item));
        }
        loop {
            if let Some(item) = self.next_of_current()? {
                return Ok(Some(item));
            }
            if self.files.is_empty() && !self.find_newer()? {
                return Ok(None);
            }
        }
    }

    /// Whether files have been found that are newer than the current one. It may have been written to before it was put aside, so
    /// it is read to its end again before them.
    fn find_newer(&mut self) -> io::Result<bool> {
        if self.extent == Extent::Present {
            return Ok(false);
        }
        let known: Option<FileId> = self.current.as_ref().map(|current| current.segment.id);
        self.files = self.location.newer_than(known)?.into();
        Ok(!self.files.is_empty())
    }

    fn next_of_current(&mut self) -> io::Result<Option<LogItem>> {
        loop {
            if let Some(current) = &mut self.current {
                while let Some(line) = current.lines.next(&current.segment.file)? {
                    let position = Position {
                        segment: self.number,
                        offset: line.offset,
                    };
                    let record = Record::parse(line.bytes);
                    let wanted = record.filter(|record| {
                        self.period.has(record.time_ns) && is_wanted(self.starts, *record, position)
                    });
                    let item = wanted.and_then(Record::to_item);
                    let previous = std::mem::replace(&mut self.previous, Previous::Known);
                    let missed = match previous {
                        Previous::Known => None,
                        Previous::NoLog => missed_from_the_beginning(&current.segment),
                        Previous::File(file) => self.location.missed(&file, &current.segment)?,
                    };
                    if let Some(missed) = missed {
                        self.held = item;
                        return Ok(Some(LogItem::Missed(missed)));
                    }
                    if item.is_some() {
                        return Ok(item);
                    }
                }
            }
            let Some(next) = self.files.pop_front() else {
                return Ok(None);
            };
            self.number += usize::from(self.current.is_some());
            let next = self.begin(next, 0);
            if let Some(current) = self.current.replace(next) {
                self.previous = Previous::File(current.segment);
            }
        }
    }
}

fn is_wanted(starts: Starts, record: Record<'_>, position: Position) -> bool {
    match record.kind {
        Kind::Output(stream) => position >= starts.of(stream),
        Kind::Gap => position >= starts.first(),
    }
}
