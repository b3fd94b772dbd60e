//! What containers wrote, byte by byte, with what was asked for before each line.

use ctr_core::{LogEvent, LogItem, LogLine, LogStream, Partial};

use crate::io::{Io, Stream};

/// Bytes that are collected before they are written.
const COLLECTED: usize = 32 * 1024;

/// Whether each line begins with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Times {
    Hidden,
    Shown,
}

/// Writes records to the two output streams.
pub(crate) struct LogWriter {
    /// What the lines of each container begin with.
    labels: Vec<Option<String>>,
    times: Times,
    /// For each container, whether its standard output and error are at the beginning of a line.
    begins: Vec<[Begin; 2]>,
    /// On standard output and error, the container whose line was begun last and has not ended.
    unfinished: [Option<usize>; 2],
    collected: Vec<u8>,
    stream: Stream,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    Yes,
    No,
}

impl LogWriter {
    pub(crate) fn new(labels: Vec<Option<String>>, times: Times) -> Self {
        Self {
            begins: vec![[Begin::Yes; 2]; labels.len()],
            unfinished: [None; 2],
            labels,
            times,
            collected: Vec::new(),
            stream: Stream::Stdout,
        }
    }

    /// Takes what comes of reading logs.
    pub(crate) fn take(&mut self, event: LogEvent, io: &mut Io) {
        match event {
            LogEvent::Waiting => {
                self.write(io);
                io.flush();
            }
            LogEvent::Item {
                container,
                item: LogItem::Line(line),
            } => self.line(container, &line, io),
            LogEvent::Item {
                container,
                item: LogItem::Gap(gap),
            } => {
                let what = match gap.bytes {
                    0 => format!("output may have been lost here ({})", gap.reason),
                    bytes => format!("{bytes} bytes of output were lost here ({})", gap.reason),
                };
                self.warning(container, &what, io);
            }
            LogEvent::Item {
                container,
                item: LogItem::Missed(missed),
            } => {
                let what = match missed.files {
                    Some(1) => "a file of the log is missing here: it was".to_owned(),
                    Some(files) => format!("{files} files of the log are missing here: they were"),
                    None => "files of the log may be missing here: some were".to_owned(),
                };
                let what = format!("{what} dropped before being read; see max-size and max-file");
                self.warning(container, &what, io);
            }
        }
    }

    /// A warning in its place between the lines.
    fn warning(&mut self, container: usize, what: &str, io: &mut Io) {
        self.write(io);
        let of = self.labels[container].as_ref();
        let of = of.map_or_else(String::new, |label| format!("{label}: "));
        io.warning(&format!("{of}{what}"));
    }

    fn line(&mut self, container: usize, line: &LogLine, io: &mut Io) {
        let (stream, slot) = match line.stream {
            LogStream::Stdout => (Stream::Stdout, 0),
            LogStream::Stderr => (Stream::Stderr, 1),
        };
        if stream != self.stream || self.collected.len() > COLLECTED {
            self.write(io);
        }
        self.stream = stream;
        // A line of another container begins on a line of its own, or its label could not be told from the text before.
        if let Some(other) = self.unfinished[slot].filter(|other| *other != container) {
            self.collected.push(b'\n');
            self.begins[other][slot] = Begin::Yes;
        }
        if self.begins[container][slot] == Begin::Yes {
            if let Some(label) = &self.labels[container] {
                self.collected.extend_from_slice(label.as_bytes());
                self.collected.push(b' ');
            }
            if self.times == Times::Shown {
                self.time(&line.time_text);
            }
        }
        self.collected.extend_from_slice(&line.bytes);
        (self.begins[container][slot], self.unfinished[slot]) = match line.partial {
            Partial::Partial => (Begin::No, Some(container)),
            Partial::Full => {
                self.collected.push(b'\n');
                (Begin::Yes, None)
            }
        };
    }

    /// The time as it stands in the log, with the short word for UTC, as other engines write it.
    fn time(&mut self, text: &str) {
        let (time, zone) = text
            .strip_suffix("+00:00")
            .map_or((text, " "), |time| (time, "Z "));
        self.collected.extend_from_slice(time.as_bytes());
        self.collected.extend_from_slice(zone.as_bytes());
    }

    /// Writes what is collected.
    pub(crate) fn write(&mut self, io: &mut Io) {
        if !self.collected.is_empty() {
            io.bytes(self.stream, &self.collected);
            self.collected.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Captured;
    use ctr_core::LogGap;

    fn line(container: usize, stream: LogStream, partial: Partial, text: &str) -> LogEvent {
        LogEvent::Item {
            container,
            item: LogItem::Line(LogLine {
                stream,
                time_text: "T+00:00".to_owned(),
                partial,
                bytes: text.into(),
            }),
        }
    }

    #[test]
    fn lines_of_several_containers_are_not_mixed() {
        let (mut io, captured) = Captured::io();
        let labels = vec![Some("web".to_owned()), Some("db".to_owned())];
        let mut writer = LogWriter::new(labels, Times::Hidden);
        for event in [
            line(0, LogStream::Stdout, Partial::Partial, "a"),
            line(1, LogStream::Stderr, Partial::Partial, "e"),
            line(0, LogStream::Stdout, Partial::Partial, "a"),
            line(1, LogStream::Stdout, Partial::Partial, "b"),
            line(0, LogStream::Stdout, Partial::Full, "c"),
            line(1, LogStream::Stdout, Partial::Partial, "d"),
            LogEvent::Waiting,
        ] {
            writer.take(event, &mut io);
        }
        assert_eq!(captured.out(), "web aa\ndb b\nweb c\ndb d");
        assert_eq!(captured.err(), "db e");
    }

    #[test]
    fn labels_and_times_stand_before_lines_and_not_within_them() {
        let (mut io, captured) = Captured::io();
        let labels = vec![Some("web".to_owned()), Some("db".to_owned())];
        let mut writer = LogWriter::new(labels, Times::Shown);
        let gap = LogGap {
            time_text: "T".to_owned(),
            bytes: 7,
            reason: "no room".to_owned(),
        };
        for event in [
            line(0, LogStream::Stdout, Partial::Partial, "a"),
            line(0, LogStream::Stdout, Partial::Full, "b"),
            line(1, LogStream::Stderr, Partial::Full, "c"),
            LogEvent::Item {
                container: 1,
                item: LogItem::Gap(gap),
            },
            LogEvent::Waiting,
        ] {
            writer.take(event, &mut io);
        }
        assert_eq!(captured.out(), "web TZ ab\n");
        assert_eq!(
            captured.err(),
            "db TZ c\nWarning: db: 7 bytes of output were lost here (no room)\n"
        );
    }
}
