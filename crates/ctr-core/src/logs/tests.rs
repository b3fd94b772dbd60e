//! The reader against a naive one that has the whole log in a list.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use ctr_sys::rfc3339;
use proptest::prelude::*;

use super::file::{Extent, FileReader};
use super::record::Period;
use super::segments::Location;
use super::{LogItem, LogMissed, LogStream, Partial};

const MAX_FILES: u32 = 12;

/// What happens to a log.
#[derive(Clone, Debug)]
enum Step {
    Record(LogStream, Partial, String),
    Gap(u64),
    /// A line that is no record.
    Damage,
    Rotate,
    /// A rotation that was cut off: a number stays free.
    HalfRotate,
    /// The follower reads all that is there.
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    let stream = prop_oneof![Just(LogStream::Stdout), Just(LogStream::Stderr)];
    let partial = prop_oneof![3 => Just(Partial::Full), 2 => Just(Partial::Partial)];
    let record =
        (stream, partial, "[a-z \\r]{0,12}").prop_map(|(s, p, text)| Step::Record(s, p, text));
    prop_oneof![
        20 => record,
        1 => (1..100_u64).prop_map(Step::Gap),
        1 => Just(Step::Damage),
        1 => Just(Step::Rotate),
        1 => Just(Step::HalfRotate),
        2 => Just(Step::Read),
    ]
}

/// A record as the naive reader has it, with its time.
type Known = (i64, LogItem);

struct Log {
    dir: tempfile::TempDir,
    known: Vec<Known>,
    rotations: u32,
}

impl Log {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            known: Vec::new(),
            rotations: 0,
        }
    }

    fn location(&self) -> Location {
        Location {
            path: self.dir.path().join("log"),
            max_files: MAX_FILES,
        }
    }

    fn append(&self, text: &str) {
        let path = self.dir.path().join("log");
        let mut options = std::fs::File::options();
        let mut file = options.append(true).create(true).open(path).unwrap();
        // In two parts, as a reader may see it.
        let (head, rest) = text.split_at(text.len() / 2);
        file.write_all(head.as_bytes()).unwrap();
        file.write_all(rest.as_bytes()).unwrap();
    }

    fn apply(&mut self, step: &Step) {
        // The times are as many seconds as there are records.
        let time_ns = i64::try_from(self.known.len()).unwrap() * 1_000_000_000;
        let time_text = rfc3339(time_ns);
        match step {
            Step::Record(stream, partial, text) => {
                let (name, tag) = match (stream, partial) {
                    (LogStream::Stdout, Partial::Full) => ("stdout", 'F'),
                    (LogStream::Stdout, Partial::Partial) => ("stdout", 'P'),
                    (LogStream::Stderr, Partial::Full) => ("stderr", 'F'),
                    (LogStream::Stderr, Partial::Partial) => ("stderr", 'P'),
                };
                self.append(&format!("{time_text} {name} {tag} {text}\n"));
                let item = LogItem::Line(super::LogLine {
                    stream: *stream,
                    time_text,
                    partial: *partial,
                    bytes: text.clone().into_bytes(),
                });
                self.known.push((time_ns, item));
            }
            Step::Gap(bytes) => {
                self.append(&format!("{time_text} gap F {bytes} no room\n"));
                let item = LogItem::Gap(super::LogGap {
                    time_text,
                    bytes: *bytes,
                    reason: "no room".to_owned(),
                });
                self.known.push((time_ns, item));
            }
            Step::Damage => self.append("stdout F damage\n"),
            Step::Rotate | Step::HalfRotate => self.rotate(step),
            Step::Read => {}
        }
    }

    fn rotate(&mut self, step: &Step) {
        let from = if matches!(step, Step::HalfRotate) {
            2
        } else {
            1
        };
        let name = |number: u32| self.dir.path().join(format!("log.{number}"));
        if self.rotations + 3 > MAX_FILES || !self.dir.path().join("log").exists() {
            return;
        }
        for number in (1..MAX_FILES - from).rev().filter(|n| name(*n).exists()) {
            std::fs::rename(name(number), name(number + from)).unwrap();
        }
        std::fs::rename(self.dir.path().join("log"), name(1)).unwrap();
        self.rotations += from;
    }
}

/// The records of the last lines among some, as anybody would count them.
fn last_lines(known: &[Known], count: usize) -> Vec<LogItem> {
    let mut lines: Vec<Vec<usize>> = Vec::new();
    let mut open: [Option<usize>; 2] = [None, None];
    for (at, (_, item)) in known.iter().enumerate() {
        let LogItem::Line(line) = item else {
            continue;
        };
        let slot = &mut open[line.stream as usize];
        let number = *slot.get_or_insert_with(|| {
            lines.push(Vec::new());
            lines.len() - 1
        });
        lines[number].push(at);
        if line.partial == Partial::Full {
            *slot = None;
        }
    }
    lines.sort_by_key(|line| line.last().copied());
    let wanted: BTreeSet<usize> = lines
        .split_off(lines.len().saturating_sub(count))
        .concat()
        .into_iter()
        .collect();
    let first = wanted.first().copied().unwrap_or(usize::MAX);
    let records = known.iter().enumerate();
    records
        .filter(|(at, (_, item))| {
            wanted.contains(at) || matches!(item, LogItem::Gap(_)) && *at > first
        })
        .map(|(_, (_, item))| item.clone())
        .collect()
}

fn expected(known: &[Known], period: Period, tail: Option<usize>) -> Vec<LogItem> {
    let known: Vec<Known> = known
        .iter()
        .filter(|(time, _)| period.has(*time))
        .cloned()
        .collect();
    match tail {
        Some(count) => last_lines(&known, count),
        None => known.into_iter().map(|(_, item)| item).collect(),
    }
}

fn read(reader: &mut FileReader) -> Vec<LogItem> {
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

fn check(steps: &[Step], period: Period, tail: Option<usize>, follow_from: usize) {
    let mut log = Log::new();
    let mut follower = None;
    let mut seen = Vec::new();
    let mut before = (0, Vec::new());
    for (at, step) in steps.iter().enumerate() {
        if at == follow_from {
            let open = FileReader::open(log.location(), Extent::Growing, period, tail);
            follower = Some(open.unwrap());
            before = (log.known.len(), expected(&log.known, period, tail));
        }
        log.apply(step);
        if let (Step::Read, Some(reader)) = (step, &mut follower) {
            seen.extend(read(reader));
        }
    }
    let mut present = FileReader::open(log.location(), Extent::Present, period, tail).unwrap();
    assert_eq!(read(&mut present), expected(&log.known, period, tail));
    if let Some(reader) = &mut follower {
        seen.extend(read(reader));
        let (count, mut wanted) = before;
        wanted.extend(expected(&log.known[count..], period, None));
        assert_eq!(seen, wanted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_a_naive_reader_reads(
        steps in prop::collection::vec(step(), 0..60),
        since in prop::option::of(0..50_i64),
        until in prop::option::of(0..60_i64),
        tail in prop::option::of(0..12_usize),
        follow_from in 0..60_usize,
    ) {
        let period = Period {
            since_ns: since.map(|s| s * 1_000_000_000),
            until_ns: until.map(|s| s * 1_000_000_000),
        };
        check(&steps, period, tail, follow_from);
    }
}

#[test]
fn a_log_that_does_not_exist_is_empty_and_may_come() {
    let log = Log::new();
    let period = Period::default();
    let mut reader = FileReader::open(log.location(), Extent::Growing, period, Some(3)).unwrap();
    assert_eq!(read(&mut reader), []);
    log.append(&format!("{} stdout F late\n", rfc3339(0)));
    assert_eq!(read(&mut reader).len(), 1);
}

#[test]
fn a_follower_that_is_too_slow_is_told() {
    let log = Log::new();
    let location = Location {
        max_files: 2,
        ..log.location()
    };
    let line = |text: &str| format!("{} stdout F {text}\n", rfc3339(1));
    let put_aside = || {
        let name = |name: &str| log.dir.path().join(name);
        std::fs::rename(name("log"), name("log.1")).unwrap();
    };
    log.append(&line("one"));
    let mut reader = FileReader::open(location, Extent::Growing, Period::default(), None).unwrap();
    assert_eq!(read(&mut reader).len(), 1);
    put_aside();
    log.append(&line("two"));
    // In time: nothing is missing.
    assert!(matches!(&read(&mut reader)[..], [LogItem::Line(_)]));
    log.append(&line("rest"));
    for text in ["three", "four", "five"] {
        put_aside();
        log.append(&line(text));
    }
    let items = read(&mut reader);
    let [
        LogItem::Line(rest),
        missed,
        LogItem::Line(_),
        LogItem::Line(five),
    ] = &items[..]
    else {
        panic!("{items:?}")
    };
    assert_eq!(
        (&rest.bytes[..], &five.bytes[..]),
        (&b"rest"[..], &b"five"[..])
    );
    // These files have no numbers.
    assert_eq!(*missed, LogItem::Missed(LogMissed { files: None }));
}

#[test]
fn the_numbers_of_files_tell_how_many_were_missed() {
    let log = Log::new();
    let line = format!("{} stdout F x\n", rfc3339(1));
    let mut reader = FileReader::open(log.location(), Extent::Growing, Period::default(), None);
    for (number, missed) in [(3_u64, Some(3)), (4, None), (9, Some(4))] {
        std::fs::remove_file(log.dir.path().join("log")).ok();
        log.append(&line);
        let file = std::fs::File::open(log.dir.path().join("log")).unwrap();
        let flags = rustix::fs::XattrFlags::empty();
        let value = number.to_le_bytes();
        if rustix::fs::fsetxattr(&file, "user.ctr.log_number", &value, flags).is_err() {
            // Not here.
            return;
        }
        let items = read(reader.as_mut().unwrap());
        let told = items.iter().find_map(|item| match item {
            LogItem::Missed(missed) => missed.files,
            LogItem::Line(_) | LogItem::Gap(_) => None,
        });
        assert_eq!(told, missed, "{items:?}");
    }
}

#[test]
fn the_end_of_a_long_log_is_read_without_the_rest() {
    // A hole of a tebibyte takes no time only when nobody looks at it.
    let log = Log::new();
    let path: &Path = &log.dir.path().join("log");
    log.append("x\n");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(1 << 40).unwrap();
    log.append("\n");
    for number in 0..100 {
        log.append(&format!("{} stdout F {number}\n", rfc3339(number)));
    }
    let tail = Some(2);
    let mut reader =
        FileReader::open(log.location(), Extent::Present, Period::default(), tail).unwrap();
    assert_eq!(read(&mut reader).len(), 2);
}
