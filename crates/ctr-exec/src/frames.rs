//! Frames: the packets that travel between a monitor and its clients.
//!
//! A connection is a `SOCK_SEQPACKET` socket, so a frame is a packet and its length is the packet's. The first byte says what it is:
//!
//! | first byte | meaning | rest |
//! |---|---|---|
//! | `0` | standard input | bytes; none: the input has ended (half-close) |
//! | `1` | standard output | bytes, at least one |
//! | `2` | standard error | bytes, at least one |
//! | `{` | a message | a JSON object, this byte included |
//!
//! An exit travels as a message on the same connection, so it can never overtake the output before it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use ctr_sys::{recv_packet_into, send_packet};

use crate::error::ExecError;

/// The most bytes of a stream that one frame carries.
pub const MAX_PAYLOAD: usize = 32 * 1024;

/// The largest packet: a message may be larger than stream data.
pub const MAX_PACKET: usize = 128 * 1024;

/// One of the three standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Towards the container.
    Stdin,
    /// From the container.
    Stdout,
    /// From the container.
    Stderr,
}

impl Stream {
    /// The first byte of its frames.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Stdin => 0,
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }
}

/// A received frame.
#[derive(Debug)]
pub enum Frame {
    /// Bytes of a stream; none on [`Stream::Stdin`] is its end.
    Data(Stream, Vec<u8>),
    /// A JSON object, and the descriptors that came with it.
    Message(Vec<u8>, Vec<OwnedFd>),
    /// The peer has closed the connection.
    End,
}

/// A packet with bytes of a stream (at most [`MAX_PAYLOAD`]), to be sent as it is.
pub fn data_packet(stream: Stream, bytes: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(bytes.len() + 1);
    packet.push(stream.tag());
    packet.extend_from_slice(bytes);
    packet
}

/// Sends a packet made by [`data_packet`] or a JSON object.
///
/// # Errors
/// `WouldBlock` on a full non-blocking socket; otherwise the connection is broken.
pub fn send(connection: BorrowedFd<'_>, packet: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_packet(connection, packet, fds).map(drop)
}

/// Receives frames. It keeps a buffer for the largest of them, so that one serves many calls and connections.
#[derive(Debug)]
pub struct Receiver {
    buffer: Vec<u8>,
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    /// A receiver, for any connection.
    pub fn new() -> Self {
        Self {
            buffer: vec![0; MAX_PACKET],
        }
    }

    /// Receives the next frame.
    ///
    /// # Errors
    /// [`ExecError::Stream`] with `WouldBlock` when there is none on a non-blocking socket, [`ExecError::BadFrame`] for an unknown one.
    pub fn receive(&mut self, connection: BorrowedFd<'_>) -> Result<Frame, ExecError> {
        let (length, fds) = match recv_packet_into(connection, &mut self.buffer) {
            Ok(received) => received,
            // A peer that was killed with unread data resets the connection: that is its end.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(Frame::End),
            Err(source) => {
                return Err(ExecError::Stream {
                    operation: "receive a frame",
                    source,
                });
            }
        };
        frame(&self.buffer[..length], fds)
    }
}

fn frame(packet: &[u8], fds: Vec<OwnedFd>) -> Result<Frame, ExecError> {
    let bad = |what: String| Err(ExecError::BadFrame { what });
    let Some((first, rest)) = packet.split_first() else {
        return if fds.is_empty() {
            Ok(Frame::End)
        } else {
            bad("no byte".to_owned())
        };
    };
    match first {
        0 => Ok(Frame::Data(Stream::Stdin, rest.to_vec())),
        1 => Ok(Frame::Data(Stream::Stdout, rest.to_vec())),
        2 => Ok(Frame::Data(Stream::Stderr, rest.to_vec())),
        b'{' => Ok(Frame::Message(packet.to_vec(), fds)),
        other => bad(format!("first byte {other}")),
    }
}

/// Receives one frame; for more than a few there is [`Receiver`].
///
/// # Errors
/// As [`Receiver::receive`].
pub fn receive(connection: BorrowedFd<'_>) -> Result<Frame, ExecError> {
    Receiver::new().receive(connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctr_sys::seqpacket_pair;
    use std::os::fd::AsFd;

    #[test]
    fn frames_travel_and_unknown_ones_are_refused() {
        let (a, b) = seqpacket_pair().unwrap();
        let send = |packet: &[u8]| send(a.as_fd(), packet, &[]).unwrap();
        send(&data_packet(Stream::Stdout, b"out"));
        send(&data_packet(Stream::Stdin, b""));
        send(b"{}");
        send(b"x");
        let next = || receive(b.as_fd());
        assert!(matches!(next(), Ok(Frame::Data(Stream::Stdout, bytes)) if bytes == b"out"));
        assert!(matches!(next(), Ok(Frame::Data(Stream::Stdin, bytes)) if bytes.is_empty()));
        assert!(matches!(next(), Ok(Frame::Message(bytes, _)) if bytes == b"{}"));
        assert!(matches!(next(), Err(ExecError::BadFrame { .. })));
        drop(a);
        assert!(matches!(receive(b.as_fd()), Ok(Frame::End)));
    }
}
