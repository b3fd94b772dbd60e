//! Which of the caller's streams a process can have itself.

use std::os::fd::BorrowedFd;

use ctr_exec::is_terminal;
use ctr_exec::session::{Input, Tty};
use ctr_monitor::protocol::GivenStream;
use rustix::fs::FileType;

use super::{ExecAttach, Stdio};
use crate::error::EngineError;

/// What a stream is, for whoever would hand it over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A pipe or a socket: it has an other end, and nothing else can be reached through it.
    Passable,
    /// `/dev/null`: nothing goes through it.
    Null,
    /// Anything else, by a word.
    Kept(&'static str),
}

/// Those that are handed over.
pub(super) fn given_streams(
    tty: Tty,
    input: Input,
    attach: &ExecAttach<'_>,
) -> Result<Vec<GivenStream>, EngineError> {
    let ExecAttach::Streams { streams, stdio, .. } = attach else {
        return Ok(Vec::new());
    };
    if tty == Tty::Yes {
        return match stdio {
            Stdio::Auto | Stdio::Stream => Ok(Vec::new()),
            Stdio::Pass => {
                let why = "a process with a terminal has no use for other streams";
                Err(EngineError::invalid("stdio", &"pass", why))
            }
        };
    }
    let [stdin, stdout, stderr] = *streams;
    let stdin = stdin.filter(|_| input == Input::Open);
    let named = [
        (GivenStream::Stdin, "standard input", stdin),
        (GivenStream::Stdout, "standard output", stdout),
        (GivenStream::Stderr, "standard error", stderr),
    ];
    let mut given = Vec::new();
    for (stream, name, fd) in named {
        match (stdio, fd.map(kind_of)) {
            (Stdio::Auto | Stdio::Pass, Some(Kind::Passable)) => given.push(stream),
            // Words for a person go to a terminal beside the data, mostly.
            (Stdio::Pass, Some(Kind::Kept(_))) if stream == GivenStream::Stderr => {}
            (Stdio::Pass, Some(Kind::Kept(word))) => {
                let why = format!("{name} is {word}; only pipes and sockets are handed over");
                return Err(EngineError::invalid("stdio", &"pass", &why));
            }
            (Stdio::Stream, Some(_))
            | (Stdio::Auto, Some(Kind::Null | Kind::Kept(_)))
            | (Stdio::Pass, Some(Kind::Null))
            | (_, None) => {}
        }
    }
    Ok(given)
}

fn kind_of(fd: BorrowedFd<'_>) -> Kind {
    let Ok(stat) = rustix::fs::fstat(fd) else {
        return Kind::Kept("not open");
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Fifo | FileType::Socket => Kind::Passable,
        FileType::CharacterDevice if is_terminal(fd) => Kind::Kept("a terminal"),
        FileType::CharacterDevice if is_null(stat.st_rdev) => Kind::Null,
        FileType::RegularFile => Kind::Kept("a file"),
        FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Directory
        | FileType::Symlink
        | FileType::Unknown => Kind::Kept("no pipe"),
    }
}

/// Whether it is the device 1:3, `null(4)`.
fn is_null(device: u64) -> bool {
    (rustix::fs::major(device), rustix::fs::minor(device)) == (1, 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn given(
        stdio: Stdio,
        streams: [Option<BorrowedFd<'_>>; 3],
    ) -> Result<Vec<GivenStream>, String> {
        let attach = ExecAttach::Streams {
            window: None,
            streams,
            stdio,
        };
        given_streams(Tty::No, Input::Open, &attach).map_err(|error| error.to_string())
    }

    #[test]
    fn pipes_and_sockets_are_handed_over_and_nothing_else() {
        let (pipe, _other) = rustix::pipe::pipe().unwrap();
        let (socket, _peer) = ctr_sys::seqpacket_pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let (pipe, socket) = (Some(pipe.as_fd()), Some(socket.as_fd()));
        let (file, null) = (Some(file.as_fd()), Some(null.as_fd()));
        let all = [GivenStream::Stdin, GivenStream::Stdout, GivenStream::Stderr];
        assert_eq!(given(Stdio::Auto, [pipe, socket, pipe]), Ok(all.to_vec()));
        assert_eq!(
            given(Stdio::Pass, [pipe, socket, None]),
            Ok(all[..2].to_vec())
        );
        assert_eq!(given(Stdio::Stream, [pipe, pipe, pipe]), Ok(Vec::new()));
        assert_eq!(
            given(Stdio::Auto, [file, null, pipe]),
            Ok(all[2..].to_vec())
        );
        assert_eq!(
            given(Stdio::Pass, [null, null, pipe]),
            Ok(all[2..].to_vec())
        );
        assert_eq!(
            given(Stdio::Pass, [pipe, pipe, file]),
            Ok(all[..2].to_vec())
        );
        let refused = given(Stdio::Pass, [file, pipe, pipe]).unwrap_err();
        assert!(refused.contains("standard input is a file"), "{refused}");
    }

    #[test]
    fn what_nobody_reads_or_a_terminal_replaces_stays() {
        let (pipe, _other) = rustix::pipe::pipe().unwrap();
        let attach = |stdio| ExecAttach::Streams {
            window: None,
            streams: [Some(pipe.as_fd()); 3],
            stdio,
        };
        let closed = given_streams(Tty::No, Input::Null, &attach(Stdio::Auto)).unwrap();
        assert_eq!(closed, [GivenStream::Stdout, GivenStream::Stderr]);
        let terminal = given_streams(Tty::Yes, Input::Open, &attach(Stdio::Auto)).unwrap();
        assert_eq!(terminal, []);
        assert!(given_streams(Tty::Yes, Input::Open, &attach(Stdio::Pass)).is_err());
        assert_eq!(
            given_streams(Tty::No, Input::Open, &ExecAttach::None).unwrap(),
            []
        );
    }
}
