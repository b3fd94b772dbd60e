//! A wait answers for the run that was current when it was asked.

use std::os::fd::OwnedFd;

use ctr_core::{Container, RemoveMode, WaitFor};
use ctr_state::ExitCause;
use ctr_sys::{Child, ExitStatus, Signal, Stdio};

use crate::Test;
use crate::fake::read_all;
use crate::fixture::{Fixture, detached, generation, remove, stop_after};
use crate::processes::{await_cleanups, await_watch, end, init_of, lose_monitor};

pub(crate) const TESTS: [Test; 6] = [
    ("waiting: the run ends", run_ends),
    (
        "waiting: the container is started again meanwhile",
        restarted,
    ),
    ("waiting: the container is removed meanwhile", removed),
    ("waiting: the monitor is lost meanwhile", monitor_lost),
    ("waiting: nothing runs", nothing_runs),
    ("waiting: each run has its own answer", each_run),
];

/// A wait in a process of its own, which has begun.
fn waiter(f: &Fixture, container: &Container<'_>) -> (Child, OwnedFd) {
    let (answer, theirs) = rustix::pipe::pipe().unwrap();
    let child = f.command_to("wait", container.id(), Stdio::Fd(theirs));
    await_watch(&child);
    (child, answer)
}

fn assert_answer((child, answer): (Child, OwnedFd), expected: &str) {
    assert_eq!(read_all(answer).trim(), expected);
    assert_eq!(child.wait().unwrap(), ExitStatus::Exited(0));
}

fn run_ends() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let waiters = [waiter(&f, &container), waiter(&f, &container)];
    init_of(&container).signal(Signal::USR1).unwrap();
    for waiter in waiters {
        assert_answer(waiter, "Exited { code: 3 } 3");
    }
    f.assert_idle(container.id());
}

fn restarted() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let waiter = waiter(&f, &container);
    // It sleeps through the whole of the next run's beginning.
    waiter.0.kill(Signal::STOP).unwrap();
    end(&init_of(&container), Signal::KILL);
    container.stop(stop_after(60)).unwrap();
    container.start(detached()).unwrap();
    assert_eq!(generation(&container), 2);
    waiter.0.kill(Signal::CONT).unwrap();
    assert_answer(waiter, "Signaled { signal: Signal(9) } 137");
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn removed() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let waiter = waiter(&f, &container);
    waiter.0.kill(Signal::STOP).unwrap();
    container.remove(remove(RemoveMode::Force)).unwrap();
    waiter.0.kill(Signal::CONT).unwrap();
    assert_answer(waiter, "Exited { code: 0 } 0");
    f.assert_gone(container.id());
}

fn monitor_lost() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let asked_before = waiter(&f, &container);
    lose_monitor(&container);
    let asked_after = waiter(&f, &container);
    init_of(&container).signal(Signal::USR1).unwrap();
    assert_answer(asked_before, "Exited { code: 3 } 3");
    assert_answer(asked_after, "Exited { code: 3 } 3");
    container.remove(remove(RemoveMode::Normal)).unwrap();
    f.assert_gone(container.id());
}

fn nothing_runs() {
    let f = Fixture::new();
    let container = f.create(&["exit", "7"]);
    let exit = container.wait(WaitFor::Exit).unwrap();
    assert!(
        matches!(exit.cause, ExitCause::NeverStarted { .. }),
        "{exit:?}"
    );
    assert_eq!(exit.code(), -1);
    f.cue("create", "fail");
    container.start(detached()).unwrap_err();
    let exit = container.wait(WaitFor::Exit).unwrap();
    assert!(exit.reason.unwrap().contains("the fake does not create"));
    f.cue("create", "");
    container.start(detached()).unwrap();
    assert_eq!(container.wait(WaitFor::Exit).unwrap().code(), 7);
    await_cleanups(&f.engine);
    assert_eq!(container.wait(WaitFor::Exit).unwrap().code(), 7);
    container.remove(remove(RemoveMode::Force)).unwrap();
    assert!(container.wait(WaitFor::Exit).unwrap_err().is_not_found());
}

fn each_run() {
    let f = Fixture::new();
    let container = f.running(&[]);
    init_of(&container).signal(Signal::USR1).unwrap();
    assert_eq!(container.wait(WaitFor::Exit).unwrap().code(), 3);
    container.start(detached()).unwrap();
    init_of(&container).signal(Signal::KILL).unwrap();
    assert_eq!(container.wait(WaitFor::Exit).unwrap().code(), 137);
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
    let runs = f.engine.store().runs(container.id()).unwrap();
    let codes = runs.iter().map(|run| run.ended.as_ref().unwrap().code());
    assert_eq!(codes.collect::<Vec<i32>>(), [3, 137]);
}
