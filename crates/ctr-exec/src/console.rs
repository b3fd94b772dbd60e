//! The terminal of a process in a container, and the socket on which a runtime delivers it.
//!
//! A runtime makes the pseudo-terminal inside the container and sends its master to a console socket (`--console-socket`). The socket lies in a
//! private directory for as long as that takes. What arrives is looked at: only the master of a pseudo-terminal is taken.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_sys::{Deadline, SysError, accept, bind_stream, recv_packet, wait_readable};
use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, SpecialCodeIndex, tcgetattr};

use crate::error::ExecError;
use crate::terminal::WindowSize;

/// The name of the socket in its directory.
const NAME: &str = "console.sock";

/// Runtimes send the path of the slave beside the descriptor.
const MAX_MESSAGE: usize = 4096;

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
    pub fn receive(self, deadline: Deadline) -> Result<Console, ExecError> {
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
    /// readable for ever and say nothing but its error.
    _slave: OwnedFd,
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
        Ok(Self {
            master,
            _slave: slave,
        })
    }

    /// Gives it another size.
    ///
    /// # Errors
    /// [`ExecError::Stream`] when the kernel refuses.
    pub fn resize(&self, size: WindowSize) -> Result<(), ExecError> {
        size.apply(&self.master)
    }

    /// A second descriptor of the master.
    ///
    /// # Errors
    /// [`ExecError::Sys`] when descriptors are short.
    pub fn duplicate(&self) -> Result<OwnedFd, ExecError> {
        let copy = self.master.try_clone();
        Ok(copy.map_err(|error| SysError::new("duplicate", "a terminal", error))?)
    }

    /// The keys that tell the program behind the terminal that its input has ended; none while it reads key by key, when no key has
    /// that meaning. The first one ends an unfinished line, the second one is the end of file then.
    pub fn end_of_input(&self) -> Vec<u8> {
        match tcgetattr(&self.master) {
            Ok(modes) if modes.local_modes.contains(LocalModes::ICANON) => {
                let key = modes.special_codes[SpecialCodeIndex::VEOF];
                vec![key; 2]
            }
            Ok(_) | Err(_) => Vec::new(),
        }
    }
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
    use std::time::Duration;

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
        assert!(!path.exists());
        let size = WindowSize {
            rows: 5,
            columns: 7,
        };
        console.resize(size).unwrap();
        assert_eq!(WindowSize::of(&slave), Some(size));
        assert_eq!(console.end_of_input(), [4, 4]);
        let raw = crate::terminal::RawMode::enter(slave.as_fd()).unwrap();
        assert!(console.end_of_input().is_empty());
        drop(raw);
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
