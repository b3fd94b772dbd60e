//! Records from before the machine was started anew.

use ctr_core::{Container, RemoveMode, WaitFor};
use ctr_state::{AutoRemove, ExitCause, Status};
use ctr_sys::{Signal, remove_tree};

use crate::Test;
use crate::fixture::{Fixture, detached, other_boot, remove, status, stop_after};
use crate::processes::{end, init_of, lose_monitor};

pub(crate) const TESTS: [Test; 4] = [
    ("reboot: a container that ran", ran),
    ("reboot: one that is to go by itself", auto_remove),
    ("reboot: one that was being stopped", stopping),
    ("reboot: one that had not run", had_not_run),
];

/// What a reboot does: no process is left, and nothing that lies on a tmpfs.
fn reboot(f: &Fixture, container: &Container<'_>) {
    lose_monitor(container);
    end(&init_of(container), Signal::KILL);
    f.edit(container.id(), |record| {
        record.edit().boot_id = Some(other_boot());
    });
    remove_tree(&f.engine.run_dir(container.id())).unwrap();
    remove_tree(&f.path("run/locks")).unwrap();
}

fn assert_reboot(container: &Container<'_>) {
    let summary = container.summary().unwrap();
    assert_eq!(summary.status(), Some(Status::Exited));
    let exit = summary.exit().unwrap();
    assert_eq!((exit.cause.clone(), exit.code()), (ExitCause::Reboot, -1));
}

fn ran() {
    let f = Fixture::new();
    let container = f.running(&[]);
    reboot(&f, &container);
    // By looking alone, and once it is recorded.
    assert_reboot(&container);
    assert_eq!(
        container.wait(WaitFor::Exit).unwrap().cause,
        ExitCause::Reboot
    );
    assert_eq!(f.journal().words(), "create init start");
    container.lock("test").unwrap().unlock();
    assert_reboot(&container);
    assert_eq!(f.journal().words(), "create init start died");
    f.assert_idle(container.id());
    container.start(detached()).unwrap();
    assert_eq!(status(&container), Status::Running);
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
    let run = f
        .engine
        .store()
        .exit_of(container.id(), 1)
        .unwrap()
        .unwrap();
    assert_eq!(run.ended.unwrap().cause, ExitCause::Reboot);
}

fn auto_remove() {
    let f = Fixture::new();
    let container = f.created_with(|request| request.auto_remove = AutoRemove::Yes);
    container.start(detached()).unwrap();
    reboot(&f, &container);
    assert!(container.lock("test").unwrap_err().is_not_found());
    assert_eq!(f.journal().words(), "create init start died remove");
    f.assert_gone(container.id());
    let run = f
        .engine
        .store()
        .exit_of(container.id(), 1)
        .unwrap()
        .unwrap();
    assert_eq!(run.ended.unwrap().cause, ExitCause::Reboot);
}

fn stopping() {
    let f = Fixture::new();
    let container = f.running(&["ignore-term"]);
    let locked = container.lock("test").unwrap();
    drop(locked.begin_stop(stop_after(60)).unwrap());
    reboot(&f, &container);
    assert_reboot(&container);
    container.remove(remove(RemoveMode::Normal)).unwrap();
    f.assert_gone(container.id());
}

fn had_not_run() {
    let f = Fixture::new();
    let container = f.create(&[]);
    f.edit(container.id(), |record| {
        record.edit().boot_id = Some(other_boot());
    });
    assert_eq!(status(&container), Status::Configured);
    container.start(detached()).unwrap();
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}
