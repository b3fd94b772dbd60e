//! Local packet sockets: message boundaries, descriptors in messages, and names that are not limited to 108 bytes.
//!
//! `unix(7)` sockets of type `SOCK_SEQPACKET`. They are bound and connected through a descriptor of their directory
//! (`/proc/self/fd/N/name`), because a path of our run directory can be longer than an address.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};

use crate::error::{Context, SysError, SysResult};

/// The most descriptors that travel in one message; the kernel's own limit is 253.
pub const MAX_PACKET_FDS: usize = 240;

/// A connected pair, close-on-exec, blocking.
///
/// # Errors
/// When descriptors are short.
pub fn seqpacket_pair() -> SysResult<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .context("open", || "a pair of sockets".to_owned())
}

fn socket(kind: SocketType) -> SysResult<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
        .context("open", || "a socket".to_owned())
}

fn address(dir: BorrowedFd<'_>, name: &str) -> SysResult<SocketAddrUnix> {
    let path = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
    SocketAddrUnix::new(path.as_str()).context("name", || format!("the socket {name}"))
}

/// A listening, non-blocking socket `name` in an open directory. An old one of that name must be gone.
///
/// The socket gets the permissions that the umask leaves; its directory is what keeps others out.
///
/// # Errors
/// When the name is taken or the directory cannot be written.
pub fn bind_seqpacket(dir: BorrowedFd<'_>, name: &str) -> SysResult<OwnedFd> {
    bind(dir, name, SocketType::SEQPACKET)
}

/// As [`bind_seqpacket`], of type `SOCK_STREAM`: what OCI runtimes connect to.
///
/// # Errors
/// As [`bind_seqpacket`].
pub fn bind_stream(dir: BorrowedFd<'_>, name: &str) -> SysResult<OwnedFd> {
    bind(dir, name, SocketType::STREAM)
}

fn bind(dir: BorrowedFd<'_>, name: &str, kind: SocketType) -> SysResult<OwnedFd> {
    let listener = socket(kind)?;
    let subject = || format!("the socket {name}");
    rustix::net::bind(&listener, &address(dir, name)?).context("bind", subject)?;
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::chmodat(dir, name, mode, rustix::fs::AtFlags::empty())
        .context("change the mode of", subject)?;
    rustix::net::listen(&listener, 64).context("listen on", subject)?;
    rustix::io::ioctl_fionbio(&listener, true).context("listen on", subject)?;
    Ok(listener)
}

/// How long whoever listens may take to make room for one more that connects.
const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// Connects to the socket `name` in an open directory.
///
/// # Errors
/// `NotFound` when there is none, `ConnectionRefused` when nobody listens any more, `WouldBlock` when so many wait for whoever listens that no
/// more are taken in, for 10 s: it stands still.
pub fn connect_seqpacket(dir: BorrowedFd<'_>, name: &str) -> SysResult<OwnedFd> {
    let subject = || format!("the socket {name}");
    let stream = socket(SocketType::SEQPACKET)?;
    let wait =
        |time| set_socket_timeout(&stream, Timeout::Send, time).context("connect to", subject);
    wait(Some(CONNECT_WAIT))?;
    rustix::net::connect(&stream, &address(dir, name)?).context("connect to", subject)?;
    wait(None)?;
    Ok(stream)
}

/// The next connection of a listening socket, non-blocking itself; `None` when nobody waits.
///
/// # Errors
/// When descriptors are short.
pub fn accept(listener: BorrowedFd<'_>) -> SysResult<Option<OwnedFd>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    match rustix::net::accept_with(listener, flags) {
        Ok(stream) => Ok(Some(stream)),
        Err(
            rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED,
        ) => Ok(None),
        Err(errno) => Err(SysError::new("accept", "a connection", errno.into())),
    }
}

/// User id of the process at the other end when it connected, `SO_PEERCRED`.
///
/// # Errors
/// When `stream` is not a connected local socket.
pub fn peer_uid(stream: BorrowedFd<'_>) -> SysResult<u32> {
    let credentials = rustix::net::sockopt::socket_peercred(stream)
        .context("ask for the peer of", || "a connection".to_owned())?;
    Ok(credentials.uid.as_raw())
}

/// Sends one packet with descriptors (at most [`MAX_PACKET_FDS`]); never raises `SIGPIPE`.
///
/// # Errors
/// As `sendmsg(2)`: `WouldBlock` on a non-blocking socket that is full, `BrokenPipe` when the peer is gone.
pub fn send_packet(
    stream: BorrowedFd<'_>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PACKET_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "too many descriptors for one packet",
        ));
    }
    loop {
        let slices = [IoSlice::new(bytes)];
        match rustix::net::sendmsg(stream, &slices, &mut control, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}

/// A received packet.
#[derive(Debug)]
pub struct Packet {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The descriptors that came with it, close-on-exec.
    pub fds: Vec<OwnedFd>,
    /// The peer has closed its side; then there are no bytes.
    pub end: bool,
}

/// Receives one packet of at most `max` bytes.
///
/// # Errors
/// As `recvmsg(2)`: `WouldBlock` when there is none, `InvalidData` when the packet was larger, `ConnectionReset`.
pub fn recv_packet(stream: BorrowedFd<'_>, max: usize) -> io::Result<Packet> {
    let mut bytes = vec![0; max];
    let (length, fds) = recv_packet_into(stream, &mut bytes)?;
    bytes.truncate(length);
    Ok(Packet {
        end: length == 0 && fds.is_empty(),
        bytes,
        fds,
    })
}

/// As [`recv_packet`], into a buffer of the caller's that can be used again and again: how many bytes there are now, and the descriptors
/// that came with them. Neither: the peer has closed its side.
///
/// # Errors
/// As [`recv_packet`].
pub fn recv_packet_into(
    stream: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_PACKET_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        let mut slices = [IoSliceMut::new(buffer)];
        match rustix::net::recvmsg(stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            result => break result?,
        }
    };
    let mut fds = Vec::new();
    for ancillary in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = ancillary {
            fds.extend(received);
        }
    }
    if message.flags.contains(rustix::net::ReturnFlags::TRUNC)
        || message.flags.contains(rustix::net::ReturnFlags::CTRUNC)
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a packet was larger than its receiver allows",
        ));
    }
    Ok((message.bytes, fds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn packets_keep_their_boundaries_and_carry_descriptors() {
        let (a, b) = seqpacket_pair().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        send_packet(a.as_fd(), b"one", &[write.as_fd()]).unwrap();
        send_packet(a.as_fd(), b"two!", &[]).unwrap();
        let one = recv_packet(b.as_fd(), 64).unwrap();
        assert_eq!(
            (one.bytes.as_slice(), one.fds.len(), one.end),
            (b"one".as_slice(), 1, false)
        );
        rustix::io::write(&one.fds[0], b"through").unwrap();
        let mut buffer = [0; 16];
        assert_eq!(rustix::io::read(&read, &mut buffer).unwrap(), 7);
        assert_eq!(
            recv_packet(b.as_fd(), 3).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
        drop(a);
        assert!(recv_packet(b.as_fd(), 64).unwrap().end);
    }

    #[test]
    fn a_socket_in_a_deep_directory() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("x".repeat(120)).join("y".repeat(120));
        std::fs::create_dir_all(&deep).unwrap();
        let dir = std::fs::File::open(&deep).unwrap();
        let listener = bind_seqpacket(dir.as_fd(), "s").unwrap();
        assert!(accept(listener.as_fd()).unwrap().is_none());
        let client = connect_seqpacket(dir.as_fd(), "s").unwrap();
        let server = accept(listener.as_fd()).unwrap().unwrap();
        assert_eq!(
            peer_uid(server.as_fd()).unwrap(),
            rustix::process::geteuid().as_raw()
        );
        drop(client);
        assert!(recv_packet(server.as_fd(), 8).unwrap().end);
        assert!(bind_seqpacket(dir.as_fd(), "s").is_err());
    }
}
