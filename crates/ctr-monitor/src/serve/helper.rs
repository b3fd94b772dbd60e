//! Work in a short-lived helper process, with an answer.

use std::os::fd::{AsFd, BorrowedFd};

use ctr_sys::{Deadline, fork_helper, recv_packet, send_packet, seqpacket_pair, wait_readable};
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

/// Runs `work` in a forked helper that keeps only `keep` open, and brings its answer back.
///
/// The answer is one packet: what the helper starts may keep the socket open, so its end is not waited for. A helper that passes the
/// deadline is killed.
pub(super) fn in_helper<T: Serialize + DeserializeOwned>(
    what: &str,
    keep: &[BorrowedFd<'_>],
    deadline: Deadline,
    meanwhile: &mut dyn Meanwhile,
    work: impl FnOnce() -> Result<T, WireFailure>,
) -> Result<T, WireFailure> {
    let (ours, theirs) = seqpacket_pair()?;
    let mut keep = keep.to_vec();
    keep.push(theirs.as_fd());
    let child = fork_helper(&keep, || {
        let answer = serde_json::to_vec(&work()).unwrap_or_default();
        i32::from(send_packet(theirs.as_fd(), &answer, &[]).is_err())
    })?;
    drop(theirs);
    let answer = receive(what, ours.as_fd(), child.as_fd(), deadline, meanwhile);
    if answer.is_err() {
        child.kill(ctr_sys::Signal::KILL)?;
    }
    child.wait()?;
    answer?
}

fn receive<T: DeserializeOwned>(
    what: &str,
    socket: BorrowedFd<'_>,
    helper: BorrowedFd<'_>,
    deadline: Deadline,
    meanwhile: &mut dyn Meanwhile,
) -> Result<Result<T, WireFailure>, WireFailure> {
    let failure = |why: &str| WireFailure::own(what, "the container", why);
    if !wait_for_either(socket, helper, deadline, meanwhile)? {
        return Err(failure("the helper process did not answer in time"));
    }
    // The helper may have died with its answer in the socket; without one there is nothing to wait for.
    let readable = wait_readable(socket, Deadline::after(std::time::Duration::ZERO))?;
    if !readable {
        return Err(failure("the helper process died"));
    }
    let packet = recv_packet(socket, MAX_ANSWER).map_err(|error| failure(&error.to_string()))?;
    if packet.end {
        return Err(failure("the helper process died"));
    }
    serde_json::from_slice(&packet.bytes).map_err(|error| failure(&error.to_string()))
}

fn wait_for_either(
    a: BorrowedFd<'_>,
    b: BorrowedFd<'_>,
    deadline: Deadline,
    meanwhile: &mut dyn Meanwhile,
) -> Result<bool, WireFailure> {
    loop {
        let mut fds = vec![
            PollFd::from_borrowed_fd(a, PollFlags::IN),
            PollFd::from_borrowed_fd(b, PollFlags::IN),
        ];
        meanwhile.add_to(&mut fds);
        ctr_sys::poll(&mut fds, deadline)?;
        let answered = fds[..2].iter().any(|fd| !fd.revents().is_empty());
        drop(fds);
        meanwhile.run()?;
        if answered || deadline.expired() {
            return Ok(answered);
        }
    }
}
