//! What waits to be sent to one client, and the connection that it waits for.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ctr_exec::frames::{self, MAX_PAYLOAD, Stream};

pub(super) struct Outbox {
    connection: Option<OwnedFd>,
    queue: VecDeque<Vec<u8>>,
    queued: usize,
    /// When the client last took something, or began to have something to take.
    moved: Instant,
    /// All bytes that it took.
    taken: u64,
    hearing: Hearing,
}

/// Whether somebody is there to take what is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hearing {
    Yes,
    /// The other end is closed. What came before is still to be read.
    No,
}

impl Outbox {
    /// Before a non-blocking connection.
    pub(super) fn new(connection: OwnedFd) -> Self {
        Self {
            connection: Some(connection),
            queue: VecDeque::new(),
            queued: 0,
            moved: Instant::now(),
            taken: 0,
            hearing: Hearing::Yes,
        }
    }

    /// The connection, unless it is closed.
    pub(super) fn connection(&self) -> Option<BorrowedFd<'_>> {
        self.connection.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The memory that waits.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// All bytes that were taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// How long nothing was taken; what was before `forgiven` does not count.
    pub(super) fn idle(&self, forgiven: Option<Instant>) -> Duration {
        forgiven
            .map_or(self.moved, |at| at.max(self.moved))
            .elapsed()
    }

    /// Many small writes of the program become few packets.
    pub(super) fn push_output(&mut self, stream: Stream, part: &[u8]) {
        let joins = |last: &Vec<u8>| {
            last.first() == Some(&stream.tag()) && last.len() + part.len() <= MAX_PAYLOAD
        };
        match self.queue.back_mut() {
            Some(last) if joins(last) => {
                last.extend_from_slice(part);
                self.queued += part.len();
            }
            Some(_) | None => self.push(frames::data_packet(stream, part)),
        }
    }

    pub(super) fn push(&mut self, packet: Vec<u8>) {
        if self.connection.is_none() || self.hearing == Hearing::No {
            return;
        }
        if self.queue.is_empty() {
            self.moved = Instant::now();
        }
        self.queued += cost(&packet);
        self.queue.push_back(packet);
    }

    /// Sends what the socket takes.
    pub(super) fn write(&mut self) {
        while let (Some(connection), Some(packet)) = (&self.connection, self.queue.front()) {
            match frames::send(connection.as_fd(), packet, &[]) {
                Ok(()) => {
                    self.queued -= cost(packet);
                    self.taken += packet.len() as u64;
                    self.queue.pop_front();
                    self.moved = Instant::now();
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                    self.hearing = Hearing::No;
                    self.forget();
                }
                Err(_) => self.close(),
            }
        }
    }

    /// Sends a packet that is not queued; false when there is no room for it now.
    pub(super) fn write_now(&mut self, packet: &[u8]) -> bool {
        let Some(connection) = &self.connection else {
            return true;
        };
        match frames::send(connection.as_fd(), packet, &[]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => false,
            Ok(()) | Err(_) => true,
        }
    }

    /// Output that waits is dropped, replies stay: the number of bytes that were dropped.
    pub(super) fn drop_output(&mut self) -> u64 {
        let is_output = |packet: &Vec<u8>| packet.first() != Some(&b'{');
        let dropped = self.queue.iter().filter(|packet| is_output(packet));
        let missed = dropped.map(|packet| packet.len() as u64 - 1).sum();
        self.queue.retain(|packet| !is_output(packet));
        self.queued = self.queue.iter().map(cost).sum();
        missed
    }

    pub(super) fn close(&mut self) {
        self.connection = None;
        self.forget();
    }

    fn forget(&mut self) {
        self.queue.clear();
        self.queued = 0;
    }
}

/// The memory of a packet: with its place in the queue and in the heap, a small one is more than its bytes.
#[expect(clippy::ptr_arg, reason = "what is counted is the vector")]
fn cost(packet: &Vec<u8>) -> usize {
    packet.len() + size_of::<Vec<u8>>() + 32
}

#[cfg(test)]
impl Outbox {
    pub(super) fn packets(&self) -> &VecDeque<Vec<u8>> {
        &self.queue
    }

    pub(super) fn pretend_moved(&mut self, at: Instant) {
        self.moved = at;
    }
}
