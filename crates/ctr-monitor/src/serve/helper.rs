//! Work in a short-lived helper process, with an answer.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use ctr_sys::{
    Child, Deadline, Signal, fork_helper, recv_packet, send_packet, seqpacket_pair, wait_readable,
};
use rustix::event::{PollFd, PollFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::WireFailure;

/// More than any answer, less than a socket's buffer.
const MAX_ANSWER: usize = 64 * 1024;

/// What the monitor does while it waits for a helper.
pub(super) trait Meanwhile {
    /// Adds what it waits for.
    fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>);
    /// Does what there is to do; never blocks. An error ends the wait, and the helper.
    ///
    /// # Errors
    /// When nobody wants the answer any more.
    fn run(&mut self) -> Result<(), WireFailure>;
}

/// Nothing: for short calls.
pub(super) struct Nothing;

impl Meanwhile for Nothing {
    fn add_to<'a>(&'a self, _fds: &mut Vec<PollFd<'a>>) {}
    fn run(&mut self) -> Result<(), WireFailure> {
        Ok(())
    }
}

/// Runs `work` in a forked helper that keeps only `keep` open, waits for it, and brings its answer back. A helper that passes the deadline
/// is killed.
pub(super) fn in_helper<T: Serialize + DeserializeOwned>(
    what: &'static str,
    keep: &[BorrowedFd<'_>],
    deadline: Deadline,
    meanwhile: &mut dyn Meanwhile,
    work: impl FnOnce() -> Result<T, WireFailure>,
) -> Result<T, WireFailure> {
    let helper = Helper::start(what, keep, deadline, || Ok((work()?, None)))?;
    let waited = loop {
        let mut fds = Vec::new();
        helper.add_to(&mut fds);
        let own = fds.len();
        meanwhile.add_to(&mut fds);
        if let Err(error) = ctr_sys::poll(&mut fds, deadline) {
            break Err(error.into());
        }
        let answered = fds[..own].iter().any(|fd| !fd.revents().is_empty());
        drop(fds);
        if let Err(failure) = meanwhile.run() {
            break Err(failure);
        }
        if answered || deadline.expired() {
            break Ok(());
        }
    };
    match waited {
        Ok(()) => helper.finish().map(|(answer, _)| answer),
        Err(failure) => {
            helper.cancel();
            Err(failure)
        }
    }
}

/// A helper process that works while the monitor does something else.
pub(super) struct Helper {
    what: &'static str,
    child: Child,
    socket: OwnedFd,
    deadline: Deadline,
}

/// What a helper brings: its answer, and perhaps a descriptor.
pub(super) type Brought<T> = (T, Option<OwnedFd>);

impl Helper {
    /// Forks a helper that keeps only `keep` open and does `work`.
    ///
    /// The answer is one packet: what the helper starts may keep the socket open, so its end is not waited for.
    pub(super) fn start<T: Serialize>(
        what: &'static str,
        keep: &[BorrowedFd<'_>],
        deadline: Deadline,
        work: impl FnOnce() -> Result<Brought<T>, WireFailure>,
    ) -> Result<Self, WireFailure> {
        let (ours, theirs) = seqpacket_pair()?;
        let mut keep = keep.to_vec();
        keep.push(theirs.as_fd());
        let child = fork_helper(&keep, || i32::from(tell(theirs.as_fd(), work()).is_err()))?;
        Ok(Self {
            what,
            child,
            socket: ours,
            deadline,
        })
    }

    /// Adds what becomes readable when it has answered, or died.
    pub(super) fn add_to<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        fds.push(PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN));
        fds.push(PollFd::from_borrowed_fd(self.child.as_fd(), PollFlags::IN));
    }

    /// How long it may still take.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.deadline.remaining()
    }

    /// Whether [`Helper::finish`] need not wait: it has answered, or died, or its time is up.
    pub(super) fn is_ready(&self) -> bool {
        let mut fds = Vec::new();
        self.add_to(&mut fds);
        let now = Deadline::after(Duration::ZERO);
        let polled = ctr_sys::poll(&mut fds, now);
        self.deadline.expired() || polled.is_err() || fds.iter().any(|fd| !fd.revents().is_empty())
    }

    /// The answer of a helper that is ready; one that has none is killed.
    pub(super) fn finish<T: DeserializeOwned>(self) -> Result<Brought<T>, WireFailure> {
        let answer = self.receive();
        if answer.is_err() {
            self.child.kill(Signal::KILL)?;
        }
        self.child.wait()?;
        let (answer, descriptor) = answer?;
        answer.map(|answer| (answer, descriptor))
    }

    /// Waits until it has answered, or died; false when the deadline passed first.
    pub(super) fn wait(&self, deadline: Deadline) -> Result<bool, WireFailure> {
        let mut fds = Vec::new();
        self.add_to(&mut fds);
        ctr_sys::poll(&mut fds, deadline)?;
        Ok(fds.iter().any(|fd| !fd.revents().is_empty()))
    }

    /// Kills it: nobody wants its answer any more.
    pub(super) fn cancel(self) {
        // What fails here has ended already.
        drop(self.child.kill_and_wait());
    }

    fn receive<T: DeserializeOwned>(&self) -> Result<Brought<Result<T, WireFailure>>, WireFailure> {
        let failure = |why: &str| WireFailure::own(self.what, "the container", why);
        // It may have died with its answer in the socket; without one there is nothing to wait for.
        let socket = self.socket.as_fd();
        if !wait_readable(socket, Deadline::after(Duration::ZERO))? {
            return Err(failure(if self.deadline.expired() {
                "the helper process did not answer in time"
            } else {
                "the helper process died"
            }));
        }
        let packet =
            recv_packet(socket, MAX_ANSWER).map_err(|error| failure(&error.to_string()))?;
        if packet.end {
            return Err(failure("the helper process died"));
        }
        let answer = serde_json::from_slice(&packet.bytes);
        let answer = answer.map_err(|error| failure(&error.to_string()))?;
        Ok((answer, packet.fds.into_iter().next()))
    }
}

/// In the helper: the answer, as one packet.
fn tell<T: Serialize>(
    socket: BorrowedFd<'_>,
    work: Result<Brought<T>, WireFailure>,
) -> std::io::Result<usize> {
    let (answer, descriptor) = match work {
        Ok((answer, descriptor)) => (Ok(answer), descriptor),
        Err(failure) => (Err(failure), None),
    };
    let bytes = serde_json::to_vec(&answer).unwrap_or_default();
    let descriptors: Vec<BorrowedFd<'_>> = descriptor.iter().map(AsFd::as_fd).collect();
    send_packet(socket, &bytes, &descriptors)
}
