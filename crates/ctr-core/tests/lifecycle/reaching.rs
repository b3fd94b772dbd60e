//! Waits for a status, and runs with a limit of time.

use std::os::fd::OwnedFd;

use ctr_core::{Container, RemoveMode, RestartRequest, WaitFor, Waited};
use ctr_events::EventKind;
use ctr_state::{ExitCause, Status, Trigger};
use ctr_sys::{Child, ExitStatus, Signal, Stdio};

use crate::Test;
use crate::fake::read_all;
use crate::fixture::{Fixture, detached, generation, record, remove, status, stop_after};
use crate::journal::words;
use crate::policies::retries;
use crate::processes::{await_cleanups, await_poll, await_record, end, init_of, lose_monitor};

pub(crate) const TESTS: [Test; 9] = [
    ("reaching: what it is already", already),
    (
        "reaching: a run that is over by the time of the look",
        short_run,
    ),
    ("reaching: every status in turn", in_turn),
    (
        "reaching: the end is that of the run at the time",
        across_restart,
    ),
    ("reaching: its removal", removal),
    ("reaching: what will never be", never),
    ("reaching: an end that nobody records", lost),
    ("limit: a run that takes too long is killed", timeout),
    (
        "limit: the policy counts it as a failure",
        timeout_and_policy,
    ),
];

/// A wait, in a process of its own, that has looked and has not found.
fn waiter(f: &Fixture, container: &Container<'_>, statuses: &str) -> (Child, OwnedFd) {
    let (answer, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let verb = format!("wait-for {statuses}");
    let child = f.command_to(&verb, container.id(), Stdio::Fd(theirs));
    await_poll(&child);
    (child, answer)
}

fn assert_answer((child, answer): (Child, OwnedFd), expected: &str) {
    assert_eq!(read_all(answer).trim(), expected);
    assert_eq!(child.wait().unwrap(), ExitStatus::Exited(0));
}

fn already() {
    let f = Fixture::new();
    let container = f.create(&[]);
    let reached = |statuses: &[Status]| container.wait_for(statuses).unwrap();
    let all = [Status::Running, Status::Configured];
    assert_eq!(reached(&all), Waited::Reached(Status::Configured));
    // A container that never ran has no run that could end later.
    let Waited::Ended(exit) = reached(&[Status::Exited]) else {
        panic!("not ended");
    };
    assert!(
        matches!(exit.cause, ExitCause::NeverStarted { .. }),
        "{exit:?}"
    );
    container.start(detached()).unwrap();
    assert_eq!(
        reached(&[Status::Running]),
        Waited::Reached(Status::Running)
    );
    container.pause().unwrap();
    assert_eq!(reached(&[Status::Paused]), Waited::Reached(Status::Paused));
    container.kill(Signal::KILL).unwrap();
    let Waited::Ended(exit) = reached(&[Status::Stopped]) else {
        panic!("not ended");
    };
    assert_eq!(exit.code(), 137);
    // About to be gone is as good as gone.
    await_cleanups(&f.engine);
    f.edit(container.id(), |record| {
        record.advance(Trigger::BeginRemove).unwrap();
    });
    assert_eq!(reached(&[Status::Removing]), Waited::Ended(exit));
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

/// It sleeps through the whole run.
fn short_run() {
    let f = Fixture::new();
    let container = f.create(&["exit", "5"]);
    let waiter = waiter(&f, &container, "running");
    waiter.0.kill(Signal::STOP).unwrap();
    let mut journal = f.journal();
    container.start(detached()).unwrap();
    journal.until(EventKind::Cleanup);
    assert_eq!(status(&container), Status::Exited);
    waiter.0.kill(Signal::CONT).unwrap();
    assert_answer(waiter, "running");
    f.assert_idle(container.id());
}

fn in_turn() {
    let f = Fixture::new();
    let container = f.create(&["ignore-term"]);
    let at = |statuses: &str| waiter(&f, &container, statuses);
    let waits = at("initialized paused");
    container.init().unwrap();
    assert_answer(waits, "initialized");
    let waits = [at("running"), at("paused"), at("stopping removing")];
    container.start(detached()).unwrap();
    container.pause().unwrap();
    let [runs, pauses, stops] = waits;
    assert_answer(runs, "running");
    assert_answer(pauses, "paused");
    let waits = at("running");
    container.unpause().unwrap();
    assert_answer(waits, "running");
    let stopping = container.begin_stop(stop_after(-1)).unwrap().unwrap();
    assert_answer(stops, "stopping");
    end(&init_of(&container), Signal::USR1);
    stopping.complete().unwrap();
    f.assert_idle(container.id());
    container.remove(remove(RemoveMode::Normal)).unwrap();
    f.assert_gone(container.id());
}

fn across_restart() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let waiters = [
        waiter(&f, &container, "stopped"),
        waiter(&f, &container, "exited"),
        waiter(&f, &container, "stopping"),
    ];
    for waiter in &waiters {
        waiter.0.kill(Signal::STOP).unwrap();
    }
    container
        .restart(RestartRequest { timeout_s: None })
        .unwrap();
    assert_eq!(generation(&container), 2);
    for waiter in &waiters {
        waiter.0.kill(Signal::CONT).unwrap();
    }
    let [stopped, exited, stopping] = waiters;
    assert_answer(stopped, "ended 0");
    assert_answer(exited, "ended 0");
    assert_answer(stopping, "stopping");
    assert_eq!(status(&container), Status::Running);
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn removal() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let waits = waiter(&f, &container, "removing");
    end(&init_of(&container), Signal::USR1);
    f.journal().until(EventKind::Cleanup);
    container.remove(remove(RemoveMode::Normal)).unwrap();
    assert_answer(waits, "ended 3");
    // One that never ran has no code.
    let container = f.create(&[]);
    let waits = waiter(&f, &container, "removing");
    container.remove(remove(RemoveMode::Normal)).unwrap();
    assert_answer(waits, "removing");
    f.assert_gone(container.id());
}

fn never() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let (command, answer) = waiter(&f, &container, "paused");
    container.remove(remove(RemoveMode::Force)).unwrap();
    assert_eq!(command.wait().unwrap(), ExitStatus::Exited(1));
    assert_eq!(read_all(answer), "");
    assert!(
        container
            .wait_for(&[Status::Running])
            .unwrap_err()
            .is_not_found()
    );
    f.assert_gone(container.id());
}

fn lost() {
    let f = Fixture::new();
    let container = f.running(&[]);
    lose_monitor(&container);
    let waits = waiter(&f, &container, "paused exited");
    end(&init_of(&container), Signal::USR1);
    assert_answer(waits, "ended 3");
    container.remove(remove(RemoveMode::Normal)).unwrap();
    f.assert_gone(container.id());
}

fn timeout() {
    let f = Fixture::new();
    let container = f.created_with(|request| {
        request.timeout_s = Some(1);
        request.command.push("ignore-term".to_owned());
    });
    container.start(detached()).unwrap();
    let exit = container.wait(WaitFor::Exit).unwrap();
    assert_eq!((exit.code(), exit.cause), (255, ExitCause::Timeout));
    let news = f.journal().until(EventKind::Cleanup);
    assert_eq!(words(&news), "create init start died cleanup");
    assert_eq!(news[3].attributes()["containerExitCode"], "255");
    f.assert_idle(container.id());
    // One that ends in time has ended as it did.
    container.start(detached()).unwrap();
    end(&init_of(&container), Signal::USR1);
    assert_eq!(container.wait(WaitFor::Exit).unwrap().code(), 3);
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
    // And 0 is no limit.
    let container = f.created_with(|request| request.timeout_s = Some(0));
    let snapshot = container.snapshot().unwrap();
    assert_eq!(snapshot.config().unwrap().timeout_s, None);
    container.remove(remove(RemoveMode::Normal)).unwrap();
}

fn timeout_and_policy() {
    let f = Fixture::new();
    let container = f.created_with(|request| {
        request.timeout_s = Some(1);
        request.restart = retries(1);
    });
    container.start(detached()).unwrap();
    await_record(&container, |record| {
        record.generation() == 2 && record.status() == Status::Exited && record.exit().is_some()
    });
    let codes = crate::fixture::runs(&container);
    let codes = codes.iter().map(|run| run.ended.as_ref().unwrap().code());
    assert_eq!(codes.collect::<Vec<_>>(), [255, 255]);
    assert_eq!(record(&container).restart_count(), 1);
    f.assert_idle(container.id());
}
