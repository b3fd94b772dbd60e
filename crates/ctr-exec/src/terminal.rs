//! The terminal of a client: its size, and raw mode that always ends.
//!
//! In raw mode every key goes to the container as it is pressed, and the container's own terminal decides what a key means (`termios(3)`).
//! [`RawMode`] is a guard: whichever way the client ends, a panic included, the settings from before are put back when it is dropped.
//! Signals that end a process are no exception as long as the client takes them as descriptors (`signalfd(2)`).

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, Winsize, isatty, tcgetattr, tcsetattr};
use serde::{Deserialize, Serialize};

use crate::error::ExecError;

/// The size of a terminal in characters, `ioctl_tty(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

impl WindowSize {
    /// The size of a terminal; `None` when `fd` is none, or does not know its size (0 in both directions).
    pub fn of(fd: impl AsFd) -> Option<Self> {
        let size = rustix::termios::tcgetwinsize(fd).ok()?;
        let size = Self {
            rows: size.ws_row,
            columns: size.ws_col,
        };
        (size.rows > 0 || size.columns > 0).then_some(size)
    }

    /// Gives a terminal this size; its foreground processes receive `SIGWINCH` when it is another one than before.
    ///
    /// # Errors
    /// [`ExecError::Stream`] when `fd` is no terminal.
    pub fn apply(self, fd: impl AsFd) -> Result<(), ExecError> {
        let size = Winsize {
            ws_row: self.rows,
            ws_col: self.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(fd, size).map_err(failed("set the size of a terminal"))
    }
}

/// Whether `fd` is a terminal.
pub fn is_terminal(fd: impl AsFd) -> bool {
    isatty(fd)
}

/// A terminal in raw mode until this is dropped.
#[derive(Debug)]
#[must_use = "raw mode ends when this is dropped"]
pub struct RawMode<'fd> {
    terminal: BorrowedFd<'fd>,
    before: Termios,
}

impl<'fd> RawMode<'fd> {
    /// Switches the terminal to raw mode, `cfmakeraw(3)`.
    ///
    /// # Errors
    /// [`ExecError::Stream`] when `terminal` is none, or has been hung up.
    pub fn enter(terminal: BorrowedFd<'fd>) -> Result<Self, ExecError> {
        let operation = "switch the terminal to raw mode";
        let before = tcgetattr(terminal).map_err(failed(operation))?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(terminal, OptionalActions::Now, &raw).map_err(failed(operation))?;
        Ok(Self { terminal, before })
    }
}

impl Drop for RawMode<'_> {
    fn drop(&mut self) {
        // A terminal that was hung up has no settings any more, and nobody in front of it.
        tcsetattr(self.terminal, OptionalActions::Now, &self.before).ok();
    }
}

fn failed(operation: &'static str) -> impl Fn(Errno) -> ExecError {
    move |errno| ExecError::Stream {
        operation,
        source: errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::terminal;
    use rustix::termios::LocalModes;

    #[test]
    fn raw_mode_ends_with_its_guard_even_in_a_panic() {
        let (_master, slave) = terminal();
        let modes = || tcgetattr(&slave).unwrap().local_modes;
        let before = modes();
        assert!(before.contains(LocalModes::ICANON | LocalModes::ECHO));
        let raw = RawMode::enter(slave.as_fd()).unwrap();
        assert!(!modes().intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        drop(raw);
        assert_eq!(modes(), before);
        let panicked = std::panic::catch_unwind(|| {
            let _raw = RawMode::enter(slave.as_fd()).unwrap();
            panic!("on purpose");
        });
        assert!(panicked.is_err());
        assert_eq!(modes(), before);
    }

    #[test]
    fn sizes_are_read_where_they_were_set() {
        let (master, slave) = terminal();
        assert_eq!(WindowSize::of(&slave), None);
        let size = WindowSize {
            rows: 33,
            columns: 99,
        };
        size.apply(&master).unwrap();
        assert_eq!(WindowSize::of(&slave), Some(size));
    }

    #[test]
    fn what_is_no_terminal_is_refused() {
        let (reader, _writer) = rustix::pipe::pipe().unwrap();
        assert!(!is_terminal(&reader));
        assert!(RawMode::enter(reader.as_fd()).is_err());
        assert_eq!(WindowSize::of(&reader), None);
    }
}
