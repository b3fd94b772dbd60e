//! Groups of exec sessions below that of a container: on the hierarchies that the machine has, and on version 2 alone.

use std::path::Path;
use std::time::Duration;

use ctr_sys::{
    CgroupMode, Cgroups, Child, Deadline, ExitStatus, Launch, PidRef, SessionGroup, Signal,
    descendants, enter_private_mount_namespace, fork_helper, mounts_below,
};
use rustix::mount::{MountFlags, UnmountFlags};

use crate::start_in;

pub(crate) const TESTS: [(&str, fn()); 6] = [
    ("a session has a group of its own", || each(a_group)),
    ("descendants are adopted", || each(adoption)),
    ("what forks all the time is killed", || each(forks)),
    ("a session of a paused container is killed", || each(paused)),
    ("a group that is frozen below is killed", || {
        each(frozen_below);
    }),
    ("a child that has ended is captured", captured_zombie),
];

/// Far more than anything here takes.
const GUARD: Duration = Duration::from_secs(30);

fn each(test: fn()) {
    test();
    let helper = fork_helper(&[], || {
        make_unified();
        assert_eq!(Cgroups::detect().unwrap().mode(), CgroupMode::Unified);
        test();
        0
    });
    assert_eq!(helper.unwrap().wait().unwrap(), ExitStatus::Exited(0));
}

fn make_unified() {
    let place = Path::new("/sys/fs/cgroup");
    enter_private_mount_namespace().unwrap();
    for mount in mounts_below(place).unwrap().iter().rev() {
        rustix::mount::unmount(&mount.mount_point, UnmountFlags::DETACH).unwrap();
    }
    rustix::mount::mount("none", place, "cgroup2", MountFlags::empty(), None).unwrap();
}

/// The group of a container with its first process, and the path of a session below it.
struct Container {
    groups: Cgroups,
    path: String,
    session: String,
    init: Child,
}

impl Container {
    fn start() -> Self {
        let groups = Cgroups::detect().unwrap();
        let path = format!("/ctr-sys-test-{}", std::process::id());
        let init = start_in(&groups, &[&path]);
        let session = format!("{path}/exec-1");
        Self {
            groups,
            path,
            session,
            init,
        }
    }

    fn with_session() -> Self {
        let container = Self::start();
        let made = container.groups.create_session(&container.session);
        assert_eq!(made.unwrap(), SessionGroup::Made);
        container
    }

    /// Runs a shell script in the container's group, until it has that many descendants.
    fn run(&self, script: &str, descendants_wanted: usize) -> (Child, PidRef) {
        let launch = Launch::program("/bin/sh").args(["-c", script]);
        let child = launch.env("PATH", "/usr/bin:/bin").spawn().unwrap();
        let process = PidRef::capture(child.pid()).unwrap().unwrap();
        while descendants(&process).unwrap().len() < descendants_wanted {
            std::thread::yield_now();
        }
        self.groups.adopt(&self.path, &process).unwrap();
        (child, process)
    }

    fn members(&self, path: &str) -> usize {
        self.groups.processes(path).unwrap().len()
    }

    /// Ends everything, the session's group with the container's.
    fn end(self) {
        let deadline = Deadline::after(GUARD);
        self.groups.clear(&self.path, deadline).unwrap();
        assert!(!self.groups.exists(&self.path));
        assert!(!self.groups.exists(&self.session));
        let killed = ExitStatus::Signaled(Signal::KILL);
        assert_eq!(self.init.wait().unwrap(), killed);
    }
}

fn a_group() {
    let missing = "/ctr-sys-test-none/exec-1";
    let groups = Cgroups::detect().unwrap();
    // What is above it is not made: the group of a container that is gone must not come back.
    let refused = groups.create_session(missing).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::NotFound);
    assert_eq!(groups.signal_all(missing, Signal::TERM).unwrap(), 0);
    assert!(groups.kill_all(missing, Deadline::never()).unwrap());
    let container = Container::with_session();
    let (groups, session) = (&container.groups, &container.session);
    groups.create_session(session).unwrap();
    assert!(groups.exists(session) && container.members(session) == 0);
    let (child, process) = container.run("trap 'exit 7' TERM; sleep 1000 & wait", 1);
    groups.adopt(session, &process).unwrap();
    assert!(!groups.remove_unused(session));
    assert_eq!(groups.signal_all(session, Signal::CONT).unwrap(), 2);
    assert_eq!(groups.signal_all(session, Signal::TERM).unwrap(), 2);
    assert_eq!(child.wait().unwrap(), ExitStatus::Exited(7));
    assert!(groups.kill_all(session, Deadline::after(GUARD)).unwrap());
    groups.remove(session).unwrap();
    assert!(!groups.exists(session));
    assert_eq!(container.members(&container.path), 1);
    container.end();
}

fn adoption() {
    let container = Container::with_session();
    let (groups, session) = (&container.groups, &container.session);
    let script = "(sleep 1000 & sleep 1000 & wait) & sleep 1000 & wait";
    let (child, process) = container.run(script, 4);
    assert_eq!(container.members(&container.path), 6);
    assert_eq!(container.members(session), 0);
    groups.adopt(session, &process).unwrap();
    assert_eq!(container.members(session), 5);
    groups.adopt(session, &process).unwrap();
    assert_eq!(container.members(&container.path), 6);
    groups.clear(session, Deadline::after(GUARD)).unwrap();
    child.wait().unwrap();
    assert_eq!(container.members(&container.path), 1);
    // One that has ended meanwhile.
    groups.create_session(session).unwrap();
    groups.adopt(session, &process).unwrap();
    container.end();
}

/// Each process of a chain has made the next one and is gone before anybody can kill it.
fn forks() {
    let container = Container::with_session();
    let (groups, session) = (&container.groups, &container.session);
    let adopted = "while ! grep -q exec-1 /proc/$$/cgroup; do :; done";
    let chains = "f; ".repeat(40);
    let script = format!("{adopted}; f() {{ f & }}; {chains} exec sleep 1000");
    let (child, process) = container.run(&script, 0);
    groups.adopt(session, &process).unwrap();
    while std::fs::read_to_string(format!("/proc/{}/comm", child.pid())).unwrap() != "sleep\n" {
        std::thread::yield_now();
    }
    assert!(container.members(session) > 1);
    assert!(groups.kill_all(session, Deadline::after(GUARD)).unwrap());
    child.wait().unwrap();
    assert_eq!(container.members(session), 0);
    // Whoever comes next is not frozen.
    assert!(!groups.is_frozen(session).unwrap());
    assert_eq!(container.members(&container.path), 1);
    container.end();
}

fn paused() {
    let container = Container::with_session();
    let (groups, session) = (&container.groups, &container.session);
    let (child, process) = container.run("while :; do /bin/true; done", 0);
    groups.adopt(session, &process).unwrap();
    let deadline = Deadline::after(GUARD);
    for _ in 0..50 {
        assert!(groups.freeze(&container.path, deadline).unwrap());
        // At once: a frozen container has no session that goes on a little longer.
        assert!(groups.is_frozen(session).unwrap());
        assert!(groups.thaw(&container.path, deadline).unwrap());
    }
    assert!(groups.freeze(&container.path, deadline).unwrap());
    assert!(groups.kill_all(session, deadline).unwrap());
    assert_eq!(child.wait().unwrap(), ExitStatus::Signaled(Signal::KILL));
    groups.remove(session).unwrap();
    // The rest of the container still stands still, and can be ended like that, with a session.
    assert!(groups.is_frozen(&container.path).unwrap());
    groups.create_session(session).unwrap();
    container.end();
}

fn frozen_below() {
    let container = Container::with_session();
    let (groups, session) = (&container.groups, &container.session);
    let (child, process) = container.run("sleep 1000 & wait", 1);
    groups.adopt(session, &process).unwrap();
    let deadline = Deadline::after(GUARD);
    assert!(groups.freeze(session, deadline).unwrap());
    assert!(groups.kill_all(&container.path, deadline).unwrap());
    assert_eq!(child.wait().unwrap(), ExitStatus::Signaled(Signal::KILL));
    container.end();
}

fn captured_zombie() {
    let child = Launch::program("/bin/sh")
        .args(["-c", "exit 5"])
        .spawn()
        .unwrap();
    let living = PidRef::capture_child(child.pid()).unwrap().unwrap();
    assert!(living.wait(Deadline::after(GUARD)).unwrap());
    let ended = PidRef::capture_child(child.pid()).unwrap().unwrap();
    assert!(!ended.is_alive());
    assert_eq!(ended.stamp(), living.stamp());
    assert!(PidRef::capture(child.pid()).unwrap().is_none());
    assert_eq!(ended.reap().unwrap(), Some(ExitStatus::Exited(5)));
    assert!(PidRef::capture_child(child.pid()).unwrap().is_none());
}
