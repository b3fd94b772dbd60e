//! What the start of the machine starts.

use ctr_core::{Booted, Container, RemoveMode};
use ctr_events::EventKind;
use ctr_state::{
    AutoRemove, ExitCause, ExitInfo, OomKilled, RestartPolicy, StartReason, Status, Trigger,
};
use ctr_sys::{Cgroups, Deadline, Signal, remove_tree};

use crate::Test;
use crate::fixture::{
    Fixture, GUARD, detached, generation, other_boot, record, remove, status, stop_after,
};
use crate::journal::count;
use crate::needing::requires;
use crate::policies::{ON_FAILURE, put_off, reasons, waiting};
use crate::processes::{await_cleanups, end, init_of, lose_monitor, waiter_of};

pub(crate) const TESTS: [Test; 5] = [
    ("booting: every status with every policy", every),
    (
        "booting: a restart that was to come is no more",
        stale_restart,
    ),
    ("booting: one that had only been made again", created_again),
    ("booting: those that are needed first", needed_first),
    (
        "booting: one that fails keeps no other from being started",
        failing,
    ),
];

const POLICIES: [RestartPolicy; 4] = [
    RestartPolicy::No,
    ON_FAILURE,
    RestartPolicy::Always,
    RestartPolicy::UnlessStopped,
];

/// How a container was when the machine went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Configured,
    Created,
    Running,
    Paused,
    /// A user has begun to stop it.
    Stopping,
    /// Nobody has cleaned up after it.
    Stopped,
    /// A user has stopped it.
    StoppedByUser,
    /// A user has killed it.
    Killed,
    /// It has failed; if its policy starts it again, that is to come.
    Failed,
}

const ALL: [Before; 9] = [
    Before::Configured,
    Before::Created,
    Before::Running,
    Before::Paused,
    Before::Stopping,
    Before::Stopped,
    Before::StoppedByUser,
    Before::Killed,
    Before::Failed,
];

fn bring_to(f: &Fixture, before: Before, policy: RestartPolicy) -> Container<'_> {
    let container = f.created_with(|request| request.restart = policy);
    match before {
        Before::Configured => return container,
        Before::Created => {
            container.init().unwrap();
            return container;
        }
        Before::Running
        | Before::Paused
        | Before::Stopping
        | Before::Stopped
        | Before::StoppedByUser
        | Before::Killed
        | Before::Failed => drop(container.start(detached()).unwrap()),
    }
    match before {
        Before::Configured | Before::Created | Before::Running => {}
        Before::Paused => container.pause().unwrap(),
        Before::Stopping => {
            let locked = container.lock("test").unwrap();
            drop(locked.begin_stop(stop_after(60)).unwrap());
        }
        Before::Stopped => leave_stopped(f, &container),
        Before::StoppedByUser => drop(
            container
                .begin_stop(stop_after(60))
                .unwrap()
                .unwrap()
                .complete(),
        ),
        Before::Killed => {
            let mut journal = f.journal();
            container.kill(Signal::KILL).unwrap();
            journal.until(EventKind::Cleanup);
        }
        Before::Failed => {
            let mut journal = f.journal();
            put_off(f, &container);
            end(&init_of(&container), Signal::USR1);
            journal.until(EventKind::Cleanup);
        }
    }
    container
}

/// Its end was recorded, and then the machine went down.
fn leave_stopped(f: &Fixture, container: &Container<'_>) {
    lose_monitor(container);
    end(&init_of(container), Signal::KILL);
    f.edit(container.id(), |record| {
        let facts = record.edit();
        facts.init = None;
        facts.monitor = None;
        facts.exit = Some(ExitInfo {
            cause: ExitCause::Exited { code: 3 },
            oom: OomKilled::No,
            monitors_lost: 0,
            finished_ns: ctr_sys::now_ns(),
            reason: None,
        });
        record.advance(Trigger::ExitSeen).unwrap();
    });
}

/// What a reboot does: no process is left, and nothing that lies on a tmpfs.
fn reboot(f: &Fixture) {
    let cgroups = Cgroups::detect().unwrap();
    for summary in f.engine.list().unwrap() {
        let container = f.engine.container(summary.snapshot().id());
        if summary.restart().is_some() {
            end(&waiter_of(&container), Signal::KILL);
        }
        if record(&container).monitor().is_some() {
            lose_monitor(&container);
        }
        let group = &summary.snapshot().config().unwrap().cgroup_path;
        assert!(cgroups.kill_all(group, Deadline::after(GUARD)).unwrap());
        cgroups.remove(group).unwrap();
        f.edit(container.id(), |record| {
            let facts = record.edit();
            facts.boot_id = facts.boot_id.as_ref().map(|_| other_boot());
            if let Some(pending) = &mut facts.restart {
                pending.boot_id = other_boot();
            }
        });
        // What was killed may be about to end, and make a last file.
        let deadline = Deadline::after(GUARD);
        while let Err(error) = remove_tree(&f.engine.run_dir(container.id())) {
            assert!(!deadline.expired(), "{error}");
        }
    }
    remove_tree(&f.path("run/locks")).unwrap();
}

/// The names of those that were started.
fn started(booted: &[Booted]) -> Vec<&str> {
    let started = booted.iter().filter(|booted| booted.started.is_ok());
    started.map(|booted| booted.name.as_str()).collect()
}

fn is_to_start(before: Before, policy: RestartPolicy) -> bool {
    let never_ran = matches!(before, Before::Configured | Before::Created);
    let by_user = matches!(
        before,
        Before::Stopping | Before::StoppedByUser | Before::Killed
    );
    match policy {
        RestartPolicy::No | RestartPolicy::OnFailure { .. } => false,
        RestartPolicy::Always => !never_ran,
        RestartPolicy::UnlessStopped => !never_ran && !by_user,
    }
}

fn every() {
    for before in ALL {
        for policy in POLICIES {
            check(before, policy);
        }
    }
}

fn check(before: Before, policy: RestartPolicy) {
    let what = format!("{before:?} with {policy}");
    let f = Fixture::new();
    let container = bring_to(&f, before, policy);
    let last = generation(&container);
    reboot(&f);
    let looked = status(&container);
    let booted = f.engine.boot().unwrap();
    let expected = if is_to_start(before, policy) {
        assert_eq!(started(&booted), ["c"], "{what}");
        assert_eq!(generation(&container), last + 1, "{what}");
        assert_eq!(
            reasons(&container).last(),
            Some(&StartReason::Boot),
            "{what}"
        );
        assert_eq!(record(&container).restart_count(), 0, "{what}");
        Status::Running
    } else {
        assert_eq!(booted.len(), 0, "{what}: {booted:?}");
        assert_eq!(generation(&container), last, "{what}");
        match before {
            Before::Configured | Before::Created => Status::Configured,
            Before::Running
            | Before::Paused
            | Before::Stopping
            | Before::Stopped
            | Before::StoppedByUser
            | Before::Killed
            | Before::Failed => Status::Exited,
        }
    };
    assert_eq!(status(&container), expected, "{what}");
    if expected != Status::Running && before != Before::Stopped {
        assert_eq!(looked, expected, "{what}: looked at before");
    }
    // Nothing is to come, and nobody waits.
    assert_eq!(record(&container).restart(), None, "{what}");
    await_cleanups(&f.engine);
    // What runs is left alone.
    if expected == Status::Running {
        assert_eq!(f.engine.boot().unwrap().len(), 0, "{what}");
    }
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

fn stale_restart() {
    let f = Fixture::new();
    let container = waiting(&f, |_| {});
    reboot(&f);
    // By looking alone, and once the lock was taken.
    assert!(container.summary().unwrap().restart().is_none());
    container.lock("test").unwrap().unlock();
    assert_eq!(record(&container).restart(), None);
    f.assert_idle(container.id());
    container.remove(remove(RemoveMode::Normal)).unwrap();
    let container = waiting(&f, |request| request.auto_remove = AutoRemove::Yes);
    reboot(&f);
    assert_eq!(f.engine.boot().unwrap().len(), 0);
    f.assert_gone(container.id());
}

/// Looking and recording say the same of one that had run before.
fn created_again() {
    let f = Fixture::new();
    let container = f.running(&[]);
    container.stop(stop_after(60)).unwrap();
    container.init().unwrap();
    reboot(&f);
    assert_eq!(status(&container), Status::Exited);
    container.lock("test").unwrap().unlock();
    assert_eq!(status(&container), Status::Exited);
    f.assert_idle(container.id());
    let runs = f.engine.history("c").unwrap();
    let cause = &runs[1].ended.as_ref().unwrap().cause;
    assert!(matches!(cause, ExitCause::NeverStarted { .. }), "{cause:?}");
}

fn needed_first() {
    let f = Fixture::new();
    let needed = f.named("needed", |_| {});
    let container = f.named("c", |request| {
        requires(&[("needed", "started")])(request);
        request.restart = RestartPolicy::Always;
    });
    container.start(detached()).unwrap();
    reboot(&f);
    assert_eq!(started(&f.engine.boot().unwrap()), ["c"]);
    for container in [&needed, &container] {
        assert_eq!(status(container), Status::Running);
        assert_eq!(reasons(container).last(), Some(&StartReason::Boot));
    }
    // Each was told to have been found after a reboot.
    assert_eq!(count(&f.journal().news(), EventKind::Refresh), 2);
    for container in [container, needed] {
        container.remove(remove(RemoveMode::Force)).unwrap();
        f.assert_gone(container.id());
    }
}

fn failing() {
    let f = Fixture::new();
    std::fs::create_dir_all(f.path("other/etc")).unwrap();
    std::fs::copy(f.path("rootfs/program"), f.path("other/program")).unwrap();
    let always = |name: &str, root: &str| {
        let container = f.named(name, |request| {
            request.restart = RestartPolicy::Always;
            request.rootfs.path = f.path(root);
        });
        container.start(detached()).unwrap();
        container
    };
    let (bad, good) = (always("bad", "other"), always("good", "rootfs"));
    reboot(&f);
    remove_tree(&f.path("other")).unwrap();
    let booted = f.engine.boot().unwrap();
    assert_eq!(booted.len(), 2);
    assert_eq!(started(&booted), ["good"]);
    assert_eq!([&bad, &good].map(status), [Status::Exited, Status::Running]);
    for container in [bad, good] {
        container.remove(remove(RemoveMode::Force)).unwrap();
        f.assert_gone(container.id());
    }
}
