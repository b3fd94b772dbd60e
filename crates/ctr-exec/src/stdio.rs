//! The client's own ends of the streams: one packet of input on its way, output with a bounded buffer.
//!
//! Nothing here blocks: while the client's own output stands still (a pager, Ctrl-S), signals must still reach the container. The
//! descriptors are the caller's and shared with others, so they are not made non-blocking themselves: pipes and terminals are opened
//! once more for us alone, sockets are asked not to wait with each write, files never wait.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::detach_keys::{DetachWatch, Typed};
use crate::frames::MAX_PAYLOAD;

/// Where a descriptor can neither be opened again nor be asked not to wait: what a pipe that has room is sure to take (`PIPE_BUF`).
const SAFE_WRITE: usize = 4096;
/// Output waiting for the client's descriptor before more of it is asked for.
const LIMIT: usize = 1024 * 1024;

/// Where the container's input comes from: at most one packet of it is held.
#[derive(Debug)]
pub struct Source<'a> {
    input: Option<BorrowedFd<'a>>,
    pending: Option<Vec<u8>>,
    kind: SourceKind,
    left: Option<Departure>,
    /// The input, if it is a file.
    file: Option<BorrowedFd<'a>>,
    /// Bytes that were read.
    taken: u64,
    /// Whether its end was reached, which is something to send.
    ended: bool,
}

/// What input comes from.
#[derive(Clone, Debug)]
pub enum SourceKind {
    /// Any descriptor: all bytes are data, and its end is the end of the input.
    Data,
    /// A terminal that hands over whole lines; its end is the end of the input, and keys are watched.
    Lines(DetachWatch),
    /// A terminal in raw mode: keys are watched, and the end is that nobody is there any more.
    Keys(DetachWatch),
}

/// How the user has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// The detach keys were typed.
    Keys,
    /// The terminal is gone: its window was closed, its connection lost.
    LostTerminal,
}

impl<'a> Source<'a> {
    /// Reads from `input`; without one there is never any, not even its end.
    pub fn new(input: Option<BorrowedFd<'a>>, kind: SourceKind) -> Self {
        Self {
            input,
            pending: None,
            kind,
            left: None,
            file: input.filter(|fd| is_file(*fd)),
            taken: 0,
            ended: false,
        }
    }

    /// What is to be sent next; empty: the end of the input.
    pub fn pending(&self) -> Option<&[u8]> {
        self.pending.as_deref()
    }

    /// What was pending has been sent.
    pub fn sent(&mut self) {
        self.pending = None;
    }

    /// What to wait for before [`Source::read`].
    pub fn readable(&self) -> Option<BorrowedFd<'a>> {
        self.input.filter(|_| self.pending.is_none())
    }

    /// Reads once.
    pub fn read(&mut self) {
        let Some(input) = self.readable() else {
            return;
        };
        let mut buffer = Vec::with_capacity(MAX_PAYLOAD);
        match rustix::io::read(input, spare_capacity(&mut buffer)) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // A closed or unreadable input is an empty one.
            Ok(0) | Err(_) => self.end(),
            Ok(_) => self.take(buffer),
        }
    }

    fn end(&mut self) {
        self.input = None;
        match self.kind {
            SourceKind::Data | SourceKind::Lines(_) => {
                self.ended = true;
                self.pending = Some(Vec::new());
            }
            SourceKind::Keys(_) => self.left = Some(Departure::LostTerminal),
        }
    }

    fn take(&mut self, mut bytes: Vec<u8>) {
        self.taken += bytes.len() as u64;
        let typed = match &mut self.kind {
            SourceKind::Data => Typed::Pass,
            SourceKind::Lines(watch) | SourceKind::Keys(watch) => watch.look(&bytes),
        };
        if let Typed::Detach { before } = typed {
            self.left = Some(Departure::Keys);
            self.input = None;
            bytes.truncate(before);
        }
        // No bytes would be the end of the input.
        self.pending = Some(bytes).filter(|bytes| !bytes.is_empty());
    }

    /// Whether and how the user has gone, once everything that was typed before has been sent.
    pub fn departure(&self) -> Option<Departure> {
        self.left.filter(|_| self.pending.is_none())
    }

    /// Of a file, gives back what was read beyond `used` bytes: whoever reads it next begins there.
    pub fn give_back(&self, used: u64) {
        let excess = i64::try_from(self.taken.saturating_sub(used)).unwrap_or(0);
        if let (Some(file), 1..) = (self.file, excess) {
            // One that cannot be sought in has lost nothing by the attempt.
            rustix::fs::seek(file, SeekFrom::Current(-excess)).ok();
        }
    }

    /// Somebody new takes the input from here on, who has not heard of its end yet.
    pub fn resume(&mut self) {
        if self.ended && self.pending.is_none() {
            self.pending = Some(Vec::new());
        }
    }

    /// Gives the input up.
    pub fn close(&mut self) {
        self.pending = None;
        self.input = None;
    }
}

fn is_file(fd: BorrowedFd<'_>) -> bool {
    let kind = rustix::fs::fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
    kind == Ok(FileType::RegularFile)
}

/// Where one of the container's output streams goes.
#[derive(Debug)]
pub struct Sink<'a> {
    target: Option<Target<'a>>,
    queue: VecDeque<u8>,
    failure: Option<Errno>,
}

/// The client's descriptor, and how it is written to without waiting.
#[derive(Debug)]
enum Target<'a> {
    /// Opened again, non-blocking: a pipe, a terminal.
    Own(OwnedFd),
    /// A socket.
    Socket(BorrowedFd<'a>),
    /// It never waits: a file.
    File(BorrowedFd<'a>),
    /// Anything else.
    Careful(BorrowedFd<'a>),
}

impl<'a> Target<'a> {
    fn new(fd: BorrowedFd<'a>) -> Self {
        let kind = rustix::fs::fstat(fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        match kind {
            Ok(FileType::RegularFile) => Self::File(fd),
            Ok(FileType::Socket) => Self::Socket(fd),
            Ok(_) | Err(_) => {
                let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                rustix::fs::open(path, flags, Mode::empty()).map_or(Self::Careful(fd), Self::Own)
            }
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match self {
            Self::Own(fd) => rustix::io::write(fd, bytes),
            Self::File(fd) => rustix::io::write(fd, bytes),
            Self::Careful(fd) => rustix::io::write(fd, &bytes[..bytes.len().min(SAFE_WRITE)]),
            Self::Socket(fd) => {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                rustix::net::send(fd, bytes, flags)
            }
        }
    }
}

impl AsFd for Target<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(fd) => fd.as_fd(),
            Self::Socket(fd) | Self::File(fd) | Self::Careful(fd) => *fd,
        }
    }
}

impl<'a> Sink<'a> {
    /// Writes to `target`; without one, output is dropped.
    pub fn new(target: Option<BorrowedFd<'a>>) -> Self {
        Self {
            target: target.map(Target::new),
            queue: VecDeque::new(),
            failure: None,
        }
    }

    /// Takes output over, which is written as the target takes it.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.target.is_some() {
            self.queue.extend(bytes);
        }
    }

    /// Whether more output may be asked for.
    pub fn has_room(&self) -> bool {
        self.queue.len() < LIMIT
    }

    /// Whether everything has been written.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What to wait for before [`Sink::write`].
    pub fn writable(&self) -> Option<BorrowedFd<'_>> {
        let target = self.target.as_ref().filter(|_| !self.queue.is_empty());
        target.map(AsFd::as_fd)
    }

    /// Writes once. A target that cannot be written to is given up; the container and its other stream go on.
    pub fn write(&mut self) {
        let Some(target) = self.target.as_ref().filter(|_| !self.queue.is_empty()) else {
            return;
        };
        let (front, _) = self.queue.as_slices();
        match target.write(front) {
            Ok(count) => {
                self.queue.drain(..count);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => {
                self.failure = Some(errno);
                self.target = None;
                self.queue.clear();
            }
        }
    }

    /// Whether whoever read this stream has gone.
    pub fn reader_is_gone(&self) -> bool {
        self.failure == Some(Errno::PIPE)
    }

    /// Why output was lost, other than that its reader had seen enough.
    pub fn failure(&self) -> Option<Errno> {
        self.failure.filter(|errno| *errno != Errno::PIPE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detach_keys::DetachKeys;

    #[test]
    fn what_was_not_used_of_a_file_is_given_back() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"one\ntwo\nthree\n").unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let mut source = Source::new(Some(file.as_fd()), SourceKind::Data);
        source.read();
        assert_eq!(source.pending(), Some(&b"one\ntwo\nthree\n"[..]));
        source.sent();
        source.read();
        source.give_back(4);
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut file, &mut rest).unwrap();
        assert_eq!(rest, "two\nthree\n");
    }

    #[test]
    fn the_detach_keys_end_the_input_without_its_end() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let keys = SourceKind::Keys(DetachKeys::usual().watch());
        let mut source = Source::new(Some(reader.as_fd()), keys);
        rustix::io::write(&writer, b"ab\x10").unwrap();
        source.read();
        // Not held back.
        assert_eq!(source.pending(), Some(&b"ab\x10"[..]));
        source.sent();
        rustix::io::write(&writer, b"\x11more").unwrap();
        source.read();
        assert_eq!(source.pending(), None);
        assert_eq!(source.departure(), Some(Departure::Keys));
        assert!(source.readable().is_none());
    }

    #[test]
    fn the_end_of_the_input_is_an_empty_packet() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut source = Source::new(Some(reader.as_fd()), SourceKind::Data);
        rustix::io::write(&writer, b"\x10\x11").unwrap();
        source.read();
        assert_eq!(source.pending(), Some(&b"\x10\x11"[..]));
        source.sent();
        drop(writer);
        source.read();
        assert_eq!(source.pending(), Some(&b""[..]));
        assert_eq!(source.departure(), None);
    }

    #[test]
    fn a_terminal_that_goes_takes_its_user_along() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let keys = SourceKind::Keys(DetachKeys::none().watch());
        let mut source = Source::new(Some(reader.as_fd()), keys);
        drop(writer);
        source.read();
        assert!(source.pending().is_none());
        assert_eq!(source.departure(), Some(Departure::LostTerminal));
    }

    #[test]
    fn a_sink_never_blocks_and_knows_when_its_reader_has_gone() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut sink = Sink::new(Some(writer.as_fd()));
        sink.push(&vec![7; LIMIT]);
        assert!(!sink.has_room());
        sink.write();
        sink.write();
        assert!(!sink.is_empty() && sink.writable().is_some());
        drop(reader);
        sink.write();
        assert!(sink.reader_is_gone() && sink.is_empty() && sink.failure().is_none());
        let mut none = Sink::new(None);
        none.push(b"x");
        assert!(none.is_empty() && none.writable().is_none());
    }
}
