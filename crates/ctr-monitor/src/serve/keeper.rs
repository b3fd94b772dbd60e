//! The keeper: a process that takes the monitor's place at once when that is killed.
//!
//! A keeper is the monitor's twin, forked from it in a quiet moment, with all descriptors but those of clients. It sleeps until the monitor
//! ends, and then *is* the monitor: it has the container's pipes and its terminal, so the container sees neither `SIGPIPE` nor `SIGHUP`; the
//! socket that clients connect to, so that those who come meanwhile wait a moment; the queue of the log; the pidfd from which the kernel
//! tells how the container ended. What it does not have is what was read from the container and had not gone on.
//!
//! As soon as the monitor has other descriptors than its keeper, the keeper is killed, because a pipe that one of them holds open is not
//! closed, and after a moment there is a new one. So a container that lives for less than that moment costs no keeper. A keeper
//! that is killed is replaced. If both are killed, the next command that takes the container's lock has another monitor adopt it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use ctr_sys::{
    Child, Deadline, Liveness, PidRef, PidStamp, Signal, Subreaper, fork_twin, set_subreaper,
    wait_readable,
};

use super::Monitor;
use crate::error::MonitorError;
use crate::files;
use crate::record::ExitRecord;

/// How long after a change there is a new keeper.
const SETTLE: Duration = Duration::from_millis(200);
/// How long a keeper that was killed may take to go.
const GONE: Duration = Duration::from_secs(1);

/// The keeper as its monitor knows it.
pub(super) struct Keeper {
    process: Option<Child>,
    /// When it is to be replaced, or made.
    due: Option<Deadline>,
    /// What the monitor had when it was forked, or when it became due.
    held: u64,
}

impl Keeper {
    /// There is none yet, but soon.
    pub(super) fn soon() -> Self {
        Self {
            process: None,
            due: Some(Deadline::after(SETTLE)),
            held: 0,
        }
    }

    /// When the monitor is to look after it although nothing happened.
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.due.and_then(Deadline::remaining)
    }

    /// A child has ended; perhaps it was the keeper.
    pub(super) fn check(&mut self) {
        let now = Deadline::after(Duration::ZERO);
        let ended = |keeper: &Child| wait_readable(keeper.as_fd(), now).unwrap_or(false);
        if self.process.as_ref().is_some_and(ended) {
            self.process = None;
            self.become_due();
        }
    }

    fn become_due(&mut self) {
        self.due = self.due.or(Some(Deadline::after(SETTLE)));
    }

    /// Kills it. It is reaped with the other children.
    pub(super) fn dismiss(&mut self) {
        if let Some(keeper) = self.process.take() {
            // It cannot fail for a child of the same user; what has ended is fine.
            keeper.kill(Signal::KILL).ok();
        }
    }

    /// Kills it, and waits until it has nothing open any more.
    pub(super) fn dismiss_and_wait(&mut self) {
        self.due = None;
        if let Some(keeper) = self.process.take() {
            keeper.kill(Signal::KILL).ok();
            // Reaped by now, perhaps, with the other children.
            keeper.wait_deadline(Deadline::after(GONE)).ok();
        }
    }
}

/// Takes the mark, also from one that was killed and has it still.
fn take_mark(path: &Path) -> Option<Liveness> {
    let until = Deadline::after(GONE);
    loop {
        match Liveness::hold(path) {
            Ok(None) if !until.expired() => {
                let last = Liveness::holder(path).ok().flatten();
                last.map(|last| last.wait(until));
            }
            Ok(held) => return held,
            Err(_) => return None,
        }
    }
}

/// What came of a keeper's turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It is the monitor now.
    Monitor,
    /// Another process is, or nobody is needed.
    NotNeeded,
}

impl Monitor<'_> {
    /// Has the keeper hold what the monitor holds, sooner or later. In the keeper this returns only when its work as monitor is over.
    pub(super) fn see_to_keeper(&mut self) {
        let held = self.held();
        if held != self.keeper.held {
            self.keeper.held = held;
            self.keeper.dismiss();
            self.keeper.become_due();
        }
        if !self.keeper.due.is_some_and(Deadline::expired) {
            return;
        }
        self.keeper.due = Some(Deadline::after(SETTLE));
        // A helper's answer would be awaited by two.
        if self.sessions.are_starting() {
            return;
        }
        self.keeper.dismiss();
        let own = PidStamp::own().and_then(PidRef::open);
        let Ok(Some(own)) = own else {
            return;
        };
        // Without one the container does not suffer; what is short now may be there later.
        if let Ok(keeper) = fork_twin(|| self.keep(&own)) {
            self.keeper.process = Some(keeper);
            self.keeper.due = None;
        }
    }

    /// What of the monitor a keeper must have, or must not have, as a number that changes with it.
    fn held(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.commitment as u8, self.container.phase() as u8).hash(&mut hasher);
        self.streams.held().hash(&mut hasher);
        self.log.is_begun().hash(&mut hasher);
        self.sessions.hash_held(&mut hasher);
        hasher.finish()
    }

    /// In the keeper: waits for the end of the monitor, and takes its place. The process's exit code.
    fn keep(&mut self, monitor: &PidRef) -> i32 {
        self.clients.forget();
        // The lock is the monitor's, and stays it.
        self.alive = None;
        let mark = self.container.request().run_dir.join(files::KEEPER);
        // Whoever wants the run to be over finds the keeper by it.
        let mark = take_mark(&mark);
        // Its name says that it is in its place.
        rustix::thread::set_name(c"ctr-keeper").ok();
        if !matches!(monitor.wait(Deadline::never()), Ok(true)) {
            return 1;
        }
        let turn = self.take_over();
        drop(mark);
        match turn {
            Ok(Turn::Monitor) => i32::from(self.run().is_err()),
            Ok(Turn::NotNeeded) => 0,
            Err(_) => 1,
        }
    }

    fn take_over(&mut self) -> Result<Turn, MonitorError> {
        let run_dir = self.container.request().run_dir.clone();
        let Some(alive) = Liveness::hold(&run_dir.join(files::ALIVE))? else {
            return Ok(Turn::NotNeeded);
        };
        self.alive = Some(alive);
        rustix::thread::set_name(c"ctr").ok();
        set_subreaper(Subreaper::On)?;
        // They came to a process that was not the monitor.
        while self.signals.read()?.is_some() {}
        self.monitors_lost += 1;
        self.keeper = Keeper::soon();
        self.log.take_over();
        self.streams.forget_input();
        self.sessions.take_over(&self.container)?;
        let generation = self.container.request().generation;
        if let Some(record) = ExitRecord::read(&run_dir, generation)? {
            // Killed after its last but one act.
            self.exit = Some(record);
            self.streams.close();
        }
        Ok(Turn::Monitor)
    }
}
