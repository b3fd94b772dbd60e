//! The reading end of a client's output: compares what arrives with what should, as fast or as slowly as a case wants.
//!
//! Nothing of it is kept, so amounts do not matter. What arrives up to a marker is kept and not compared: by it a case learns that
//! a client is attached, and the container tells when the bytes begin.

use std::io::{PipeReader, Read, pipe};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::mpsc::Receiver as Gate;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::collect::Stream;
use super::pattern::Pattern;
use super::wait::PATIENCE;

/// How the bytes are taken.
#[derive(Debug)]
pub(crate) enum Pace {
    /// As they come.
    Fast,
    /// With pauses.
    Slow,
    /// After the first byte not at all, until something is sent through the gate or its other end is dropped.
    Stalled(Gate<()>),
}

/// How much a slow reader takes between two pauses.
const GULP: usize = 256 * 1024;

/// Its pause.
const PAUSE: Duration = Duration::from_millis(10);

/// What arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// Bytes up to the end of the marker.
    pub(crate) before: u64,
    /// Bytes after the marker.
    pub(crate) after: u64,
    /// Where they first differ from what should arrive.
    pub(crate) differs_at: Option<u64>,
}

impl Received {
    /// Fails unless all arrived, and nothing else.
    pub(crate) fn is_all_of(&self, expected: &Pattern) -> Result<()> {
        ensure!(
            self.differs_at.is_none() && self.after == expected.length(),
            "{self:?} instead of {} bytes",
            expected.length()
        );
        Ok(())
    }

    /// Fails unless what arrived is the beginning of it, and not all.
    pub(crate) fn is_a_beginning_of(&self, expected: &Pattern) -> Result<()> {
        ensure!(
            self.differs_at.is_none() && self.after < expected.length(),
            "{self:?} instead of the beginning of {} bytes",
            expected.length()
        );
        Ok(())
    }
}

/// A thread that reads.
pub(crate) struct Receiver {
    beginning: Arc<Stream>,
    /// Ends when as many bytes have arrived as should.
    complete: Arc<Stream>,
    thread: JoinHandle<Result<Received>>,
}

impl Receiver {
    /// A receiver of these bytes after the marker, which may be empty; and the other end of the pipe, for the program.
    pub(crate) fn start(marker: &str, expected: &Pattern, pace: Pace) -> Result<(Receiver, Stdio)> {
        let (reader, writer) = pipe().context("make a pipe")?;
        let beginning = Arc::new(Stream::default());
        let complete = Arc::new(Stream::default());
        let comparison = Comparison {
            marker: marker.as_bytes().to_vec(),
            expected: expected.clone(),
            beginning: Arc::clone(&beginning),
            complete: Arc::clone(&complete),
            received: Received::default(),
            began: marker.is_empty(),
        };
        let thread = std::thread::spawn(move || comparison.run(reader, pace));
        let receiver = Receiver {
            beginning,
            complete,
            thread,
        };
        Ok((receiver, writer.into()))
    }

    /// Waits until something arrived.
    pub(crate) fn wait_for_first(&self) -> Result<()> {
        self.beginning
            .wait(PATIENCE, |state| state.ended || !state.bytes.is_empty());
        ensure!(!self.beginning.bytes().is_empty(), "nothing arrived");
        Ok(())
    }

    /// Waits until as many bytes have arrived as should.
    pub(crate) fn wait_for_all(&self) -> Result<()> {
        ensure!(
            self.complete.wait(PATIENCE, |state| state.ended),
            "not all bytes arrived"
        );
        Ok(())
    }

    /// Waits for the end of the output.
    pub(crate) fn finish(self) -> Result<Received> {
        self.thread
            .join()
            .map_err(|_| anyhow!("the thread that reads panicked"))?
    }
}

/// The work of the thread.
struct Comparison {
    marker: Vec<u8>,
    expected: Pattern,
    beginning: Arc<Stream>,
    complete: Arc<Stream>,
    received: Received,
    began: bool,
}

impl Comparison {
    fn run(mut self, mut pipe: PipeReader, mut pace: Pace) -> Result<Received> {
        let mut buffer = vec![0; 64 * 1024];
        let mut since_pause = 0;
        loop {
            let count = pipe.read(&mut buffer).context("read a client's output")?;
            if count == 0 {
                self.beginning.end();
                return Ok(self.received);
            }
            self.take(&buffer[..count])?;
            since_pause += count;
            match &pace {
                Pace::Fast => {}
                Pace::Slow => {
                    if since_pause >= GULP {
                        std::thread::sleep(PAUSE);
                        since_pause = 0;
                    }
                }
                Pace::Stalled(gate) => {
                    // An error says that the other end was dropped, which is a word as well.
                    gate.recv().ok();
                    pace = Pace::Fast;
                }
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        if self.began {
            // Whoever waits for the first byte learns that there is one.
            if self.received.before + self.received.after == 0 {
                self.beginning.push(&bytes[..1]);
            }
            return self.compare(bytes);
        }
        self.beginning.push(bytes);
        let all = self.beginning.bytes();
        let found = all
            .windows(self.marker.len())
            .position(|part| part == self.marker);
        if let Some(at) = found {
            self.began = true;
            let end = at + self.marker.len();
            self.received.before = end as u64;
            return self.compare(&all[end..]);
        }
        Ok(())
    }

    fn compare(&mut self, bytes: &[u8]) -> Result<()> {
        let mut expected = vec![0; bytes.len()];
        let mut filled = 0;
        while filled < expected.len() {
            match self.expected.read(&mut expected[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        if self.received.differs_at.is_none() {
            let same = bytes
                .iter()
                .zip(&expected[..filled])
                .take_while(|(one, other)| one == other)
                .count();
            if same < bytes.len() {
                self.received.differs_at = Some(self.received.after + same as u64);
            }
        }
        self.received.after += bytes.len() as u64;
        if self.received.after >= self.expected.length() {
            self.complete.end();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::super::pattern::Kind;
    use super::super::program::Call;
    use super::*;

    const LENGTH: u64 = 300_000;

    fn pattern() -> Pattern {
        Pattern::new(Kind::Random(3), LENGTH)
    }

    fn bytes() -> Vec<u8> {
        let mut bytes = Vec::new();
        pattern().read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn received(marker: &str, pace: Pace, sent: &[u8]) -> Received {
        let (receiver, end) = Receiver::start(marker, &pattern(), pace).unwrap();
        let child = Call::new("cat").stdin(sent).stdout_to(end).spawn().unwrap();
        child.finish().unwrap();
        receiver.finish().unwrap()
    }

    #[test]
    fn all_bytes_are_compared_at_every_pace() {
        let (_, gate) = channel();
        for pace in [Pace::Fast, Pace::Slow, Pace::Stalled(gate)] {
            let received = received("", pace, &bytes());
            received.is_all_of(&pattern()).unwrap();
            assert_eq!(received.before, 0);
            assert!(received.is_a_beginning_of(&pattern()).is_err());
        }
    }

    #[test]
    fn bytes_up_to_the_marker_do_not_count() {
        let mut sent = b"tick\ntick\ngo\n".to_vec();
        sent.extend(bytes());
        let received = received("go\n", Pace::Fast, &sent);
        received.is_all_of(&pattern()).unwrap();
        assert_eq!(received.before, 13);
    }

    #[test]
    fn what_is_wrong_missing_or_too_much_is_noticed() {
        let mut wrong = bytes();
        wrong[200_000] ^= 1;
        let seen = received("", Pace::Fast, &wrong);
        assert_eq!(seen.differs_at, Some(200_000));
        assert!(seen.is_all_of(&pattern()).is_err());
        assert!(seen.is_a_beginning_of(&pattern()).is_err());

        let mut short = bytes();
        short.pop();
        let seen = received("", Pace::Fast, &short);
        assert!(seen.is_all_of(&pattern()).is_err());
        seen.is_a_beginning_of(&pattern()).unwrap();

        let mut long = bytes();
        long.push(0);
        let seen = received("", Pace::Fast, &long);
        assert_eq!(seen.differs_at, Some(LENGTH));
        assert!(seen.is_all_of(&pattern()).is_err());
    }

    #[test]
    fn a_stalled_reader_holds_the_writer_until_the_gate_opens() {
        let (gate, closed) = channel();
        let (receiver, end) = Receiver::start("", &pattern(), Pace::Stalled(closed)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        pattern().write_to(&file).unwrap();
        let child = Call::new("cat")
            .args([&file])
            .stdout_to(end)
            .spawn()
            .unwrap();
        assert!(!child.ends_within(Duration::from_millis(100)).unwrap());
        gate.send(()).unwrap();
        assert_eq!(child.finish().unwrap().code, 0);
        receiver.finish().unwrap().is_all_of(&pattern()).unwrap();
    }
}
