//! What the monitor hands to the process that writes the log, and what that one says back: packets of a socket pair.

use std::os::fd::BorrowedFd;

use ctr_exec::frames::{MAX_PAYLOAD, Stream};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// Kind and number (a time, or a count of bytes) come before the bytes of a packet.
const HEAD: usize = 9;

/// No packet has more bytes.
pub(super) const MAX_PACKET: usize = HEAD + MAX_PAYLOAD;

const STDOUT: u8 = 0;
const STDERR: u8 = 1;
const GAP: u8 = 2;
const LOST_MONITOR: u8 = 3;

/// A packet for the writer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Feed<'b> {
    /// Output, and when it was read, in nanoseconds since 1970 UTC.
    Output {
        time_ns: i64,
        stream: Stream,
        bytes: &'b [u8],
    },
    /// So many bytes of output were never handed over.
    Gap { bytes: u64 },
    /// A monitor was killed, with what it had read and not handed over.
    LostMonitor,
    /// There is no more.
    End,
}

/// Output as a packet.
pub(super) fn output(time_ns: i64, stream: Stream, bytes: &[u8]) -> Vec<u8> {
    let kind = match stream {
        Stream::Stderr => STDERR,
        Stream::Stdout | Stream::Stdin => STDOUT,
    };
    packet(kind, time_ns.to_le_bytes(), bytes)
}

/// A gap as a packet.
pub(super) fn gap(bytes: u64) -> Vec<u8> {
    packet(GAP, bytes.to_le_bytes(), &[])
}

/// The loss of a monitor as a packet.
pub(super) fn lost_monitor() -> Vec<u8> {
    packet(LOST_MONITOR, [0; 8], &[])
}

fn packet(kind: u8, number: [u8; 8], bytes: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(HEAD + bytes.len());
    packet.push(kind);
    packet.extend_from_slice(&number);
    packet.extend_from_slice(bytes);
    packet
}

/// Bytes of output that a packet carries.
pub(super) fn output_bytes(packet: &[u8]) -> u64 {
    match packet.first() {
        Some(&(STDOUT | STDERR)) => packet.len().saturating_sub(HEAD) as u64,
        Some(_) | None => 0,
    }
}

/// How receiving waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Yes,
    No,
}

/// The next packet, in a buffer of [`MAX_PACKET`] bytes.
pub(super) fn receive<'b>(
    socket: BorrowedFd<'_>,
    buffer: &'b mut [u8],
    wait: Wait,
) -> Result<Feed<'b>, Errno> {
    let count = receive_into(socket, buffer, wait)?;
    let Some((&[kind, ref number @ ..], bytes)) = buffer[..count].split_first_chunk::<HEAD>()
    else {
        return Ok(Feed::End);
    };
    let stream = match kind {
        GAP => {
            return Ok(Feed::Gap {
                bytes: u64::from_le_bytes(*number),
            });
        }
        LOST_MONITOR => return Ok(Feed::LostMonitor),
        STDERR => Stream::Stderr,
        _ => Stream::Stdout,
    };
    let time_ns = i64::from_le_bytes(*number);
    Ok(Feed::Output {
        time_ns,
        stream,
        bytes,
    })
}

fn receive_into(socket: BorrowedFd<'_>, buffer: &mut [u8], wait: Wait) -> Result<usize, Errno> {
    let flags = match wait {
        Wait::Yes => RecvFlags::empty(),
        Wait::No => RecvFlags::DONTWAIT,
    };
    loop {
        match rustix::net::recv(socket, &mut *buffer, flags) {
            Ok((_, count)) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Sends without waiting.
pub(super) fn send(socket: BorrowedFd<'_>, packet: &[u8]) -> Result<(), Errno> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    loop {
        match rustix::net::send(socket, packet, flags) {
            Err(Errno::INTR) => {}
            other => return other.map(drop),
        }
    }
}

/// What the writer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// Bytes of output that it could not log, from its beginning on.
    pub(super) lost: u64,
    pub(super) state: State,
}

/// Whether the writer has written all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Writing,
    Done,
}

impl Report {
    /// Sends it without waiting.
    pub(super) fn send(self, socket: BorrowedFd<'_>) -> Result<(), Errno> {
        let state = u8::from(self.state == State::Done);
        send(socket, &packet(state, self.lost.to_le_bytes(), &[]))
    }

    /// The next one that has come.
    pub(super) fn receive(socket: BorrowedFd<'_>) -> Option<Self> {
        let mut buffer = [0; HEAD];
        let count = receive_into(socket, &mut buffer, Wait::No).ok()?;
        let [state, number @ ..] = buffer;
        (count == HEAD).then(|| Self {
            lost: u64::from_le_bytes(number),
            state: if state == 0 {
                State::Writing
            } else {
                State::Done
            },
        })
    }
}
