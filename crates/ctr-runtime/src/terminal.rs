//! The terminal of a process: what is asked for, and what the library leaves undone about it.
//!
//! The library makes the pseudo-terminal inside the container, from the container's own `devpts`, and checks by the open file that it is
//! one; it puts the terminal on `/dev/console`, makes it the controlling terminal, and sends the master to the console socket. The terminal
//! then belongs to root and has no size: both are set here, through the descriptor that the process itself has open. No path is
//! resolved for that, so nothing in the container's files can lead it elsewhere.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use ctr_sys::{PidRef, SysError};
use oci_spec::runtime::Process;
use rustix::process::{PidfdGetfdFlags, Uid};
use rustix::termios::Winsize;

use crate::error::{Result, RuntimeError};

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

    /// Gives the terminal of a process that waits for its start to its user, who could otherwise not open it by its name, and sets its size.
    pub(crate) fn complete(self, process: &PidRef, user: u32) -> Result<()> {
        let Self::New(size) = self else {
            return Ok(());
        };
        let fail = |operation: &'static str| {
            move |errno: rustix::io::Errno| {
                RuntimeError::from(SysError::new(operation, "the terminal", errno.into()))
            }
        };
        let own = rustix::process::pidfd_getfd(process.as_fd(), 0, PidfdGetfdFlags::empty());
        let terminal = own.map_err(fail("reach"))?;
        rustix::fs::fchown(&terminal, Some(Uid::from_raw(user)), None)
            .map_err(fail("give away"))?;
        let Some((rows, columns)) = size else {
            return Ok(());
        };
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&terminal, size).map_err(fail("set the size of"))
    }
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
