//! The terminal of a process: what is asked for, and what the library leaves undone about it.
//!
//! The library makes the pseudo-terminal inside the container, from the container's own `devpts`, and checks by the open file that it is
//! one; it puts the terminal on `/dev/console`, makes it the controlling terminal, and sends the master to the console socket. The terminal
//! then belongs to root and has no size: both are set here, through the descriptor that the process itself has open. No path is
//! resolved for that, so nothing in the container's files can lead it elsewhere.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use ctr_sys::{Child, fork_helper, recv_packet, send_packet, seqpacket_pair};
use oci_spec::runtime::Process;
use rustix::fs::FileType;
use rustix::process::Uid;
use rustix::termios::Winsize;

use crate::error::{Result, RuntimeError};

/// The major device number of the slaves of pseudo-terminals.
const PSEUDO_TERMINAL: u32 = 136;

/// What a process gets for standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Terminal {
    /// No terminal: the streams of the call.
    None,
    /// A new one, with rows and columns if they are asked for.
    New(Option<(u16, u16)>),
}

impl Terminal {
    /// What the specification asks for.
    pub(crate) fn asked(process: &Process) -> Result<Self> {
        if process.terminal() != Some(true) {
            return Ok(Self::None);
        }
        let Some(size) = process.console_size() else {
            return Ok(Self::New(None));
        };
        let small = (u16::try_from(size.height()), u16::try_from(size.width()));
        let (Ok(rows), Ok(columns)) = small else {
            let what = format!("process.consoleSize {}x{}", size.height(), size.width());
            return Err(RuntimeError::invalid(
                what,
                "at most 65535 rows and columns",
            ));
        };
        Ok(Self::New(Some((rows, columns))))
    }

    /// A terminal needs somebody who takes its master; without one, a console socket would wait for ever.
    pub(crate) fn require_match(self, socket: Option<&Path>) -> Result<()> {
        match (self, socket) {
            (Self::None, None) => Ok(()),
            (Self::New(_), Some(path)) => require_socket(path),
            (Self::New(_), None) => Err(RuntimeError::invalid(
                "process.terminal",
                "a terminal needs a console socket",
            )),
            (Self::None, Some(path)) => Err(RuntimeError::invalid(
                format!("console socket {}", path.display()),
                "process.terminal of the specification is not true",
            )),
        }
    }
}

/// A process that has kept the rights to complete a terminal, for one that has given them up.
///
/// The library makes the terminal, drops privileges and executes the command in one go; what is in between is done in the process itself. So
/// that process hands its terminal to this one and waits for it.
#[derive(Debug)]
pub(crate) struct Keeper {
    process: Child,
    client: KeeperClient,
}

/// The end of the process that has a terminal. Clones share the descriptor.
#[derive(Clone, Debug)]
pub(crate) struct KeeperClient(Arc<OwnedFd>);

/// The answer of a keeper that has done its work; any other is an error for people.
const DONE: &[u8] = b"done";
/// No answer is longer.
const ANSWER_LIMIT: usize = 1024;

impl Keeper {
    /// Starts the process, if there is a terminal to look after. It ends with the calling process.
    pub(crate) fn start(terminal: Terminal, user: u32) -> Result<Option<Self>> {
        let Terminal::New(size) = terminal else {
            return Ok(None);
        };
        let (client, server) = seqpacket_pair()?;
        let process = fork_helper(&[server.as_fd()], || serve(server.as_fd(), user, size))?;
        let client = KeeperClient(Arc::new(client));
        Ok(Some(Self { process, client }))
    }

    pub(crate) fn client(&self) -> KeeperClient {
        self.client.clone()
    }

    /// Ends and reaps the process, whether it was asked or not.
    pub(crate) fn end(self) -> Result<()> {
        Ok(self.process.kill_and_wait().map(drop)?)
    }
}

impl KeeperClient {
    /// Has the terminal on standard input completed; the error is one line.
    pub(crate) fn complete(&self) -> std::result::Result<(), String> {
        let failed = |error: io::Error| format!("cannot complete the terminal: {error}");
        let terminal = rustix::stdio::stdin();
        send_packet(self.0.as_fd(), b"complete", &[terminal]).map_err(failed)?;
        let answer = recv_packet(self.0.as_fd(), ANSWER_LIMIT).map_err(failed)?;
        if answer.bytes == DONE {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&answer.bytes);
        Err(format!("cannot complete the terminal: {text}"))
    }
}

/// The life of a keeper: one request. Its result is the exit code.
fn serve(server: BorrowedFd<'_>, user: u32, size: Option<(u16, u16)>) -> i32 {
    let terminal = match recv_packet(server, ANSWER_LIMIT) {
        Ok(mut packet) if packet.fds.len() == 1 => packet.fds.remove(0),
        // Nobody has got as far as having a terminal.
        Ok(_) | Err(_) => return 1,
    };
    let sent = match complete(&terminal, user, size) {
        Ok(()) => send_packet(server, DONE, &[]),
        Err(error) => send_packet(server, error.to_string().as_bytes(), &[]),
    };
    i32::from(sent.is_err())
}

/// Gives a terminal to its user, who could otherwise not open it by its name, and sets its size.
fn complete(terminal: &OwnedFd, user: u32, size: Option<(u16, u16)>) -> io::Result<()> {
    let stat = rustix::fs::fstat(terminal)?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if !is_device || rustix::fs::major(stat.st_rdev) != PSEUDO_TERMINAL {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    rustix::fs::fchown(terminal, Some(Uid::from_raw(user)), None)?;
    let Some((rows, columns)) = size else {
        return Ok(());
    };
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// Looked at before anything is made: the library's words for a missing socket do not name it.
fn require_socket(path: &Path) -> Result<()> {
    let metadata = path
        .metadata()
        .map_err(RuntimeError::at("find console socket", path))?;
    if metadata.file_type().is_socket() {
        return Ok(());
    }
    let error = io::Error::from(rustix::io::Errno::NOTSOCK);
    Err(RuntimeError::at("use console socket", path)(error))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(process: &Value) -> Result<Terminal> {
        let mut whole = json!({ "user": { "uid": 0, "gid": 0 }, "args": ["x"], "cwd": "/" });
        for (key, value) in process.as_object().unwrap() {
            whole[key] = value.clone();
        }
        Terminal::asked(&serde_json::from_value(whole).unwrap())
    }

    #[test]
    fn a_size_belongs_to_a_terminal() {
        let size = json!({ "height": 24, "width": 80 });
        let none = asked(&json!({ "consoleSize": size })).unwrap();
        assert_eq!(none, Terminal::None);
        let plain = asked(&json!({ "terminal": true })).unwrap();
        assert_eq!(plain, Terminal::New(None));
        let sized = asked(&json!({ "terminal": true, "consoleSize": size })).unwrap();
        assert_eq!(sized, Terminal::New(Some((24, 80))));
        let huge = json!({ "terminal": true, "consoleSize": { "height": 1, "width": 65536 } });
        assert!(
            asked(&huge)
                .unwrap_err()
                .to_string()
                .contains("consoleSize 1x65536")
        );
    }

    #[test]
    fn terminal_and_socket_come_together() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let new = Terminal::New(None);
        let refused = |terminal: Terminal, socket| {
            let error = terminal.require_match(socket).unwrap_err();
            crate::error::chain(&error)
        };
        assert!(refused(new, None).contains("needs a console socket"));
        assert!(refused(Terminal::None, Some(&path)).contains("is not true"));
        assert!(refused(new, Some(&path)).contains("No such file"));
        assert!(refused(new, Some(directory.path())).contains("non-socket"));
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        new.require_match(Some(&path)).unwrap();
        Terminal::None.require_match(None).unwrap();
    }
}
