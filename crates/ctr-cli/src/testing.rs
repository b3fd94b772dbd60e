//! Helpers of this crate's tests: captured streams and a process that never changes.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::rc::Rc;

use crate::Io;
use crate::host::Host;

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("the program writes UTF-8")
    }
}

/// What was written to the streams of an [`Io`].
pub(crate) struct Captured {
    out: Shared,
    err: Shared,
}

impl Captured {
    /// An [`Io`] and the place where its output arrives.
    pub(crate) fn io() -> (Io, Self) {
        let captured = Self {
            out: Shared::default(),
            err: Shared::default(),
        };
        let io = Io::new(
            Box::new(captured.out.clone()),
            Box::new(captured.err.clone()),
        );
        (io, captured)
    }

    pub(crate) fn out(&self) -> String {
        self.out.text()
    }

    pub(crate) fn err(&self) -> String {
        self.err.text()
    }
}

/// Runs the program and renders its exit code and both outputs for a snapshot.
pub(crate) fn transcript(args: &[&str]) -> String {
    let (mut io, captured) = Captured::io();
    let code = crate::run(args.iter().map(std::ffi::OsString::from), &mut io);
    format!("{}{}[{code}]\n", captured.out(), captured.err())
}

/// A process of root in `/home/user` with a small environment.
pub(crate) fn host() -> Host {
    Host {
        args: vec!["ctr".into(), "run".into()],
        environment: vec![
            ("LANG".into(), "C.UTF-8".into()),
            ("EMPTY".into(), "".into()),
        ],
        cwd: Some(PathBuf::from("/home/user")),
        program: Some(PathBuf::from("/usr/bin/ctr")),
        euid: 0,
        login_uid: None,
        pid: 4711,
    }
}
