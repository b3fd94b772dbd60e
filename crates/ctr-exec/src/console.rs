//! The terminal of a process in a container, and the socket on which a runtime delivers it.
//!
//! A runtime makes the pseudo-terminal inside the container and sends its master to a console socket (`--console-socket`). The socket lies in a
//! private directory for as long as that takes. What arrives is looked at: only the master of a pseudo-terminal is taken.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_sys::{Deadline, SysError, accept, bind_stream, recv_packet, wait_readable};
use rustix::event::{PollFd, PollFlags};
use rustix::process::Uid;
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, SpecialCodeIndex, tcgetattr};

use crate::error::ExecError;
use crate::terminal::WindowSize;

/// The name of the socket in its directory.
const NAME: &str = "console.sock";

/// Runtimes send the path of the slave beside the descriptor.
const MAX_MESSAGE: usize = 4096;

/// The value of a special key that is switched off, `_POSIX_VDISABLE`.
const DISABLED: u8 = 0;

/// A console socket, removed when this is dropped.
#[derive(Debug)]
pub struct ConsoleSocket {
    listener: OwnedFd,
    path: PathBuf,
}

impl ConsoleSocket {
    /// Binds the socket in a directory, which must be private. One that was left there goes.
    ///
    /// # Errors
    /// [`ExecError::Sys`] when the directory cannot be used.
    pub fn bind(directory: &Path) -> Result<Self, ExecError> {
        let path = directory.join(NAME);
        let opened = std::fs::File::open(directory)
            .map_err(|error| SysError::new("open", directory.display().to_string(), error))?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(SysError::new("remove", path.display().to_string(), error).into());
            }
            Ok(()) | Err(_) => {}
        }
        Ok(Self {
            listener: bind_stream(opened.as_fd(), NAME)?,
            path,
        })
    }

    /// Where it is, for the runtime. May be longer than the address of a socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the terminal that the runtime has sent, or sends until the deadline.
    ///
    /// # Errors
    /// [`ExecError::NoTerminal`] when none came, or something else did.
    pub fn receive(&self, deadline: Deadline) -> Result<Console, ExecError> {
        let missing = |why: &'static str| ExecError::NoTerminal { why };
        let connection = loop {
            if let Some(connection) = accept(self.listener.as_fd())? {
                break connection;
            }
            if !wait_readable(self.listener.as_fd(), deadline)? {
                return Err(missing("it did not connect to the console socket"));
            }
        };
        if !wait_readable(connection.as_fd(), deadline)? {
            return Err(missing("it sent nothing"));
        }
        let packet =
            recv_packet(connection.as_fd(), MAX_MESSAGE).map_err(|source| ExecError::Stream {
                operation: "receive a terminal",
                source,
            })?;
        let mut descriptors = packet.fds.into_iter();
        match (descriptors.next(), descriptors.next()) {
            (Some(master), None) => Console::new(master),
            (None, _) => Err(missing("its message had no descriptor")),
            (Some(_), Some(_)) => Err(missing("its message had several descriptors")),
        }
    }
}

impl AsFd for ConsoleSocket {
    /// What becomes readable when a runtime has connected.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for ConsoleSocket {
    fn drop(&mut self) {
        // In a directory that is removed as a whole; what stays for a while serves nobody.
        std::fs::remove_file(&self.path).ok();
    }
}

/// The master of a pseudo-terminal, non-blocking.
#[derive(Debug)]
pub struct Console {
    master: OwnedFd,
    /// Kept open so that a program which closes all its descriptors and goes on does not hang the terminal up: the master would be
    /// readable for ever and say nothing but its error. It also shows what the program has not read yet.
    slave: OwnedFd,
}

impl Console {
    /// Takes the master over.
    ///
    /// # Errors
    /// [`ExecError::NoTerminal`] when `master` is no master of a pseudo-terminal.
    pub fn new(master: OwnedFd) -> Result<Self, ExecError> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        // Answered by masters alone, `ioctl_tty(2)`, and without a path that somebody could put something else at.
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags);
        let slave = slave.map_err(|_| ExecError::NoTerminal {
            why: "what it sent is not the master of a pseudo-terminal",
        })?;
        rustix::io::ioctl_fionbio(&master, true)
            .map_err(|errno| SysError::new("set up", "a terminal", errno.into()))?;
        Ok(Self { master, slave })
    }

    /// Gives it another size.
    ///
    /// # Errors
    /// [`ExecError::Stream`] when the kernel refuses.
    pub fn resize(&self, size: WindowSize) -> Result<(), ExecError> {
        size.apply(&self.master)
    }

    /// Gives it to a user, who can open it by its name then. Runtimes do so mostly.
    ///
    /// # Errors
    /// [`ExecError::Sys`] when the kernel refuses.
    pub fn give_to(&self, uid: u32) -> Result<(), ExecError> {
        let given = rustix::fs::fchown(&self.slave, Some(Uid::from_raw(uid)), None);
        Ok(given.map_err(|errno| SysError::new("give away", "a terminal", errno.into()))?)
    }

    /// A second descriptor of the master.
    ///
    /// # Errors
    /// [`ExecError::Sys`] when descriptors are short.
    pub fn duplicate(&self) -> Result<OwnedFd, ExecError> {
        let copy = self.master.try_clone();
        Ok(copy.map_err(|error| SysError::new("duplicate", "a terminal", error))?)
    }

    /// The key that tells the program behind the terminal that its input has ended (`VEOF` of `termios(3)`); `None` when that is
    /// switched off.
    pub fn end_key(&self) -> Option<EndKey> {
        let modes = tcgetattr(&self.master).ok()?;
        let key = modes.special_codes[SpecialCodeIndex::VEOF];
        if !modes.local_modes.contains(LocalModes::ICANON) {
            return Some(EndKey::ByKey(key));
        }
        (key != DISABLED).then_some(EndKey::ByLine(key))
    }

    /// Whether something was typed that the program could read and has not read yet.
    pub fn has_unread_input(&self) -> bool {
        let mut fds = [PollFd::new(&self.slave, PollFlags::IN)];
        let now = Deadline::after(Duration::ZERO);
        ctr_sys::poll(&mut fds, now).is_ok() && fds[0].revents().contains(PollFlags::IN)
    }
}

/// How a program reads from its terminal, and what is the end of its input then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndKey {
    /// Line by line: the terminal itself makes the end of a file of this key, or of an unfinished line a finished one.
    ByLine(u8),
    /// Key by key: what this one means is the program's business.
    ByKey(u8),
}

impl AsFd for Console {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::terminal;
    use ctr_sys::send_packet;
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(30))
    }

    /// A directory whose path is longer than the address of a socket.
    fn directory() -> (tempfile::TempDir, PathBuf) {
        let base = tempfile::tempdir().unwrap();
        let long = base.path().join("x".repeat(120));
        std::fs::create_dir(&long).unwrap();
        (base, long)
    }

    fn connect(directory: &Path) -> OwnedFd {
        let client = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        let opened = std::fs::File::open(directory).unwrap();
        let path = format!(
            "/proc/self/fd/{}/{NAME}",
            std::os::fd::AsRawFd::as_raw_fd(&opened)
        );
        let address = SocketAddrUnix::new(path.as_str()).unwrap();
        rustix::net::connect(&client, &address).unwrap();
        client
    }

    #[test]
    fn a_terminal_arrives_and_the_socket_goes() {
        let (_base, directory) = directory();
        let socket = ConsoleSocket::bind(&directory).unwrap();
        let path = socket.path().to_owned();
        assert!(path.exists());
        let (master, slave) = terminal();
        send_packet(
            connect(&directory).as_fd(),
            b"/dev/pts/0",
            &[master.as_fd()],
        )
        .unwrap();
        let console = socket.receive(soon()).unwrap();
        drop(socket);
        assert!(!path.exists());
        let size = WindowSize {
            rows: 5,
            columns: 7,
        };
        console.resize(size).unwrap();
        assert_eq!(WindowSize::of(&slave), Some(size));
        // An unfinished line cannot be read, the end can, and what is read is no longer there.
        let mut line = [0; 10];
        assert_eq!(console.end_key(), Some(EndKey::ByLine(4)));
        rustix::io::write(&console, b"ab").unwrap();
        assert!(!console.has_unread_input());
        for (key, read) in [(4, 2), (4, 0)] {
            rustix::io::write(&console, &[key]).unwrap();
            assert!(console.has_unread_input());
            assert_eq!(rustix::io::read(&slave, &mut line).unwrap(), read);
            assert!(!console.has_unread_input());
        }
        let raw = crate::terminal::RawMode::enter(slave.as_fd()).unwrap();
        assert_eq!(console.end_key(), Some(EndKey::ByKey(4)));
        drop(raw);
        rustix::io::read(&console, &mut line).unwrap();
        // The last program that had it open has closed it, and the terminal is still there.
        drop(slave);
        let mut buffer = [0; 1];
        let read = rustix::io::read(&console, &mut buffer);
        assert_eq!(read, Err(rustix::io::Errno::AGAIN));
    }

    #[test]
    fn what_is_no_terminal_is_refused() {
        let check = |descriptors: &[BorrowedFd<'_>], expected: &str| {
            let (_base, directory) = directory();
            let socket = ConsoleSocket::bind(&directory).unwrap();
            send_packet(connect(&directory).as_fd(), b"x", descriptors).unwrap();
            let error = socket.receive(soon()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let (master, slave) = terminal();
        let null = std::fs::File::open("/dev/null").unwrap();
        check(&[], "no descriptor");
        check(&[null.as_fd()], "not the master");
        check(&[slave.as_fd()], "not the master");
        check(&[master.as_fd(), master.as_fd()], "several");
        let (_base, directory) = directory();
        let socket = ConsoleSocket::bind(&directory).unwrap();
        let error = socket.receive(Deadline::after(Duration::ZERO)).unwrap_err();
        assert!(error.to_string().contains("did not connect"), "{error}");
    }
}
