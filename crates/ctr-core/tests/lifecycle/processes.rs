//! The processes beside a test: who they are, and when they end or wait.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_core::{Container, Engine};
use ctr_events::Watch;
use ctr_state::{ContainerId, Record};
use ctr_sys::{Child, Deadline, PidRef, PidStamp, Signal, wait_readable};

use crate::fixture::GUARD;

fn process(container: &Container<'_>, of: fn(&Record) -> Option<PidStamp>) -> PidRef {
    let snapshot = container.snapshot().unwrap();
    let stamp = of(snapshot.record().unwrap()).unwrap();
    PidRef::open(stamp).unwrap().unwrap()
}

/// The container's first process.
pub(crate) fn init_of(container: &Container<'_>) -> PidRef {
    process(container, Record::init)
}

/// Its monitor.
pub(crate) fn monitor_of(container: &Container<'_>) -> PidRef {
    process(container, Record::monitor)
}

/// Signals a process and waits for its end.
pub(crate) fn end(process: &PidRef, signal: Signal) {
    process.signal(signal).unwrap();
    assert!(process.wait(Deadline::after(GUARD)).unwrap());
}

/// The monitor's keeper, which it makes in a quiet moment.
pub(crate) fn keeper_of(monitor: &PidRef) -> PidRef {
    let pid = monitor.stamp().pid;
    loop {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        for child in children.split_whitespace() {
            let name = std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
            if name == "ctr-keeper\n" {
                return PidRef::capture(child.parse().unwrap()).unwrap().unwrap();
            }
        }
        assert!(monitor.is_alive());
        std::thread::yield_now();
    }
}

/// Kills the container's monitor together with its keeper, so that nobody is left who would take its place.
pub(crate) fn lose_monitor(container: &Container<'_>) {
    lose(&monitor_of(container));
}

/// Kills a monitor together with its keeper.
pub(crate) fn lose(monitor: &PidRef) {
    // It makes no other one then.
    monitor.signal(Signal::STOP).unwrap();
    let pid = monitor.stamp().pid;
    let words = |pid: &str| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let own = words(&pid.to_string());
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    for child in children.split_whitespace() {
        let twin = words(child) == own;
        if let Some(child) = PidRef::capture(child.parse().unwrap()).unwrap()
            && twin
        {
            end(&child, Signal::KILL);
        }
    }
    end(monitor, Signal::KILL);
}

/// Children that live, adopted ones included.
pub(crate) fn children() -> Vec<PidRef> {
    let text = std::fs::read_to_string("/proc/thread-self/children").unwrap();
    let pids = text.split_whitespace().map(|pid| pid.parse().unwrap());
    pids.filter_map(|pid| PidRef::capture(pid).unwrap())
        .collect()
}

/// Waits for all that is about to end: monitors that are done and cleanup commands, but not for what a run that goes on, or is to
/// come, needs.
pub(crate) fn await_cleanups(engine: &Engine) {
    await_children(&needed_by(engine, None));
}

/// The processes that containers need, but for one of them.
pub(crate) fn needed_by(engine: &Engine, but: Option<&ContainerId>) -> Vec<PidStamp> {
    let mut needed = Vec::new();
    for snapshot in engine.store().list().unwrap() {
        if Some(snapshot.id()) == but {
            continue;
        }
        let record = snapshot.record().unwrap();
        let waiting = record.restart().and_then(|pending| pending.owner);
        // Not the one that is recorded: its keeper may have taken its place.
        let alive = engine
            .run_dir(snapshot.id())
            .join(ctr_monitor::files::ALIVE);
        let monitor = ctr_sys::Liveness::holder(&alive).unwrap();
        let monitor = monitor.map(|monitor| monitor.stamp());
        needed.extend([record.init(), monitor, waiting].into_iter().flatten());
    }
    needed
}

/// One that ends hands its children on to us, so they are looked for again and again.
pub(crate) fn await_children(but: &[PidStamp]) {
    let next = || {
        children()
            .into_iter()
            .find(|child| !but.contains(&child.stamp()))
    };
    while let Some(child) = next() {
        let path = format!("/proc/{}/cmdline", child.stamp().pid);
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let ended = child.wait(Deadline::after(GUARD)).unwrap();
        assert!(ended, "still running: {text:?}");
    }
}

/// Returns when a command waits for a container: it has a pidfd or an inotify descriptor then, and knows which run it is about.
pub(crate) fn await_watch(command: &Child) {
    let watches = ["anon_inode:inotify", "anon_inode:[pidfd]"];
    let is_watch = |path: PathBuf| {
        let target = std::fs::read_link(path).unwrap_or_default();
        watches.iter().any(|watch| target == Path::new(watch))
    };
    let directory = format!("/proc/{}/fd", command.pid());
    let has_watch = || {
        let entries = std::fs::read_dir(&directory).unwrap().flatten();
        entries.map(|entry| entry.path()).any(is_watch)
    };
    while !has_watch() {
        let ended = wait_readable(command.as_fd(), Deadline::after(Duration::ZERO)).unwrap();
        assert!(!ended, "the command ended");
        std::thread::yield_now();
    }
}

/// Returns when a command waits in poll(2) with a watch: it has looked at everything that it looks at before.
pub(crate) fn await_poll(command: &Child) {
    await_watch(command);
    let path = format!("/proc/{}/wchan", command.pid());
    while !std::fs::read_to_string(&path).unwrap().contains("poll") {
        let ended = wait_readable(command.as_fd(), Deadline::after(Duration::ZERO)).unwrap();
        assert!(!ended, "the command ended");
        std::thread::yield_now();
    }
}

/// Returns once the record says so, or panics.
pub(crate) fn await_record(container: &Container<'_>, says: impl Fn(&Record) -> bool) -> Record {
    let wake = &container.engine().store().config().wake;
    let mut watch = Watch::start(wake).unwrap();
    loop {
        let snapshot = container.snapshot().unwrap();
        let record = snapshot.record().unwrap();
        if says(record) {
            return record.clone();
        }
        let deadline = Deadline::after(GUARD);
        watch.wait(None, deadline).unwrap();
        assert!(!deadline.expired(), "it never says so: {record:?}");
    }
}

/// The process that waits for the moment to start a container again.
pub(crate) fn waiter_of(container: &Container<'_>) -> PidRef {
    let record = await_record(container, |record| {
        record
            .restart()
            .is_some_and(|pending| pending.owner.is_some())
    });
    let owner = record.restart().unwrap().owner.unwrap();
    PidRef::open(owner).unwrap().unwrap()
}

/// Waits for the end of a process that has nothing to do any more.
pub(crate) fn await_end(process: &PidRef) {
    assert!(process.wait(Deadline::after(GUARD)).unwrap());
}
