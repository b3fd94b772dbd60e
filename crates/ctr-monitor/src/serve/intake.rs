//! What a runtime writes while it creates a container.

use ctr_exec::frames::Stream;
use rustix::event::PollFd;

use super::client::Client;
use super::helper::Meanwhile;
use super::streams::{ReadOutput, Streams};
use crate::error::WireFailure;

/// The runtime writes to the container's streams before the container does, and would wait for ever on a full pipe that nobody reads.
pub(super) struct Intake<'a> {
    streams: &'a mut Streams,
    creator: &'a Client,
    /// The last of what it wrote.
    said: Vec<u8>,
}

/// Bytes kept of a runtime's own output.
const SAID_BYTES: usize = 4096;

/// What a runtime said on its streams belongs to its failure, where its log told nothing.
pub(super) fn with_words(failure: WireFailure, said: &[u8]) -> WireFailure {
    let WireFailure::Runtime(mut failure) = failure else {
        return failure;
    };
    let text = String::from_utf8_lossy(said);
    if let (true, Some(last)) = (
        failure.raw.is_empty(),
        text.lines().rev().find(|line| !line.trim().is_empty()),
    ) {
        let words: String = last.chars().filter(|c| !c.is_control()).take(500).collect();
        let message = failure.message.strip_suffix(" and said nothing");
        let message = message.unwrap_or(&failure.message);
        failure.message = format!("{message}: {words}");
        failure.raw = text.into_owned();
    }
    WireFailure::Runtime(failure)
}

impl<'a> Intake<'a> {
    pub(super) fn new(streams: &'a mut Streams, creator: &'a Client) -> Self {
        Self {
            streams,
            creator,
            said: Vec::new(),
        }
    }

    pub(super) fn said(self) -> Vec<u8> {
        self.said
    }
}

impl Meanwhile for Intake<'_> {
    fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        self.streams.add_to(fds, ReadOutput::Yes);
        self.creator.add_end_to(fds);
    }

    fn run(&mut self) -> Result<(), WireFailure> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if let Some(bytes) = self.streams.read(stream) {
                self.said.extend_from_slice(&bytes);
                let excess = self.said.len().saturating_sub(SAID_BYTES);
                self.said.drain(..excess);
            }
        }
        if self.creator.is_gone() {
            let why = "the engine that asked for it is gone";
            return Err(WireFailure::own("create", "the container", why));
        }
        Ok(())
    }
}
