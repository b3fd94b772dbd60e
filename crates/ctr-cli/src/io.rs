//! The standard streams of the program: the only place of this crate that writes to them.
//!
//! Printing does not fail at each call: the first failure of the standard output is remembered and asked for once, at the end, so that a
//! command on several containers does its work even when nobody reads its output any more. A reader that went away (`ctr ps | head -1`)
//! is no error at all.

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use crate::error::CommandError;
use crate::render::escape::escape;

/// Which of the two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// Where the program's words go.
pub struct Io {
    out: Box<dyn Write>,
    err: Box<dyn Write>,
    failure: Option<io::Error>,
}

impl Io {
    /// The streams of this process.
    pub fn standard() -> Self {
        Self::new(Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// Other places for the two outputs. An attached container still gets the process's own streams, which it needs as descriptors.
    pub fn new(out: Box<dyn Write>, err: Box<dyn Write>) -> Self {
        Self {
            out,
            err,
            failure: None,
        }
    }

    /// Prints one line of text, escaped, on the standard output.
    pub(crate) fn line(&mut self, text: &str) {
        let line = format!("{}\n", escape(text));
        self.bytes(Stream::Stdout, line.as_bytes());
    }

    /// Prints text that was rendered (and thereby escaped) already, line ends included.
    pub(crate) fn block(&mut self, text: &str) {
        self.bytes(Stream::Stdout, text.as_bytes());
    }

    /// Writes bytes as they are: what a container wrote.
    pub(crate) fn bytes(&mut self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout => {
                if self.failure.is_none() {
                    self.failure = self.out.write_all(bytes).err();
                }
            }
            Stream::Stderr => {
                self.flush();
                // There is nowhere left to report a standard error that cannot be written to.
                self.err.write_all(bytes).ok();
            }
        }
    }

    /// Reports an error: one line, and a second one for each hint.
    pub(crate) fn error(&mut self, error: &CommandError) {
        self.note("Error", error.message());
        for hint in error.hints() {
            self.note("Hint", hint);
        }
    }

    /// Says something that is worth knowing and no failure.
    pub(crate) fn warning(&mut self, text: &str) {
        self.note("Warning", text);
    }

    fn note(&mut self, label: &str, text: &str) {
        let line = format!("{label}: {}\n", escape(text));
        self.bytes(Stream::Stderr, line.as_bytes());
    }

    /// Whether writing to the standard output has failed: a command that only prints may stop.
    pub(crate) fn is_closed(&self) -> bool {
        self.failure.is_some()
    }

    /// Writes out what is still buffered of the standard output.
    pub(crate) fn flush(&mut self) {
        if self.failure.is_none() {
            self.failure = self.out.flush().err();
        }
    }

    /// Ends the output.
    ///
    /// # Errors
    /// The first failure of the standard output, unless it was that its reader had gone.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.flush();
        match self.failure.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            Some(_) | None => Ok(()),
        }
    }

    /// Descriptors 0, 1 and 2 of the process, for an attached container; what was printed so far is written out first.
    pub(crate) fn descriptors(&mut self) -> [BorrowedFd<'static>; 3] {
        self.flush();
        [
            rustix::stdio::stdin(),
            rustix::stdio::stdout(),
            rustix::stdio::stderr(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Captured;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn control_characters_never_reach_a_stream() {
        let (mut io, captured) = Captured::io();
        io.line("a\u{1b}[2Jb");
        io.error(&CommandError::failed("x\ny").hint("\u{202e}z"));
        assert_eq!(captured.out(), "a\\x1b[2Jb\n");
        assert_eq!(captured.err(), "Error: x\\ny\nHint: \\u{202e}z\n");
    }

    #[test]
    fn a_reader_that_left_is_no_error_and_a_full_disk_is() {
        for (kind, fails) in [
            (io::ErrorKind::BrokenPipe, false),
            (io::ErrorKind::StorageFull, true),
        ] {
            let mut io = Io::new(Box::new(Broken(kind)), Box::new(io::sink()));
            assert!(!io.is_closed());
            io.line("text");
            assert!(io.is_closed());
            assert_eq!(io.finish().is_err(), fails, "{kind:?}");
        }
    }
}
