//! What is taken in of meddling from outside, and how a container is made anew.

use ctr_core::{Container, EngineError, RemoveMode};
use ctr_events::EventKind;
use ctr_state::{StartReason, Status};
use ctr_sys::{Cgroups, Deadline, Signal};

use crate::Test;
use crate::fixture::{Fixture, GUARD, generation, record, remove, status, stop_after};
use crate::journal::{count, words};
use crate::policies::reasons;
use crate::processes::{end, init_of, lose_monitor, monitor_of};

pub(crate) const TESTS: [Test; 8] = [
    (
        "syncing: a container that was frozen behind the engine's back",
        frozen,
    ),
    ("syncing: a runtime that cannot be asked", failing_runtime),
    (
        "syncing: the runtime is not asked where nothing can run",
        nothing_runs,
    ),
    ("refreshing: one that runs", refresh_running),
    ("refreshing: one that is paused", refresh_paused),
    ("refreshing: one that was only made", refresh_created),
    (
        "refreshing: what does not run, and what is refused",
        refresh_others,
    ),
    (
        "syncing: one that was frozen so is stopped and removed",
        stop_frozen,
    ),
];

fn group(container: &Container<'_>) -> String {
    let snapshot = container.snapshot().unwrap();
    snapshot.config().unwrap().cgroup_path.clone()
}

fn freeze(container: &Container<'_>) {
    let cgroups = Cgroups::detect().unwrap();
    assert!(
        cgroups
            .freeze(&group(container), Deadline::after(GUARD))
            .unwrap()
    );
}

fn thaw(container: &Container<'_>) {
    let cgroups = Cgroups::detect().unwrap();
    assert!(
        cgroups
            .thaw(&group(container), Deadline::after(GUARD))
            .unwrap()
    );
}

fn frozen() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let mut journal = f.journal();
    journal.news();
    assert_eq!(container.sync().unwrap(), Status::Running);
    assert_eq!(journal.words(), "");
    freeze(&container);
    // Only the runtime is asked, and only here.
    assert_eq!(status(&container), Status::Running);
    assert_eq!(container.sync().unwrap(), Status::Paused);
    assert_eq!(
        (status(&container), journal.words().as_str()),
        (Status::Paused, "sync")
    );
    assert_eq!(container.sync().unwrap(), Status::Paused);
    assert_eq!(journal.words(), "");
    thaw(&container);
    assert_eq!(container.sync().unwrap(), Status::Running);
    assert_eq!(
        (status(&container), journal.words().as_str()),
        (Status::Running, "sync")
    );
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn stop_frozen() {
    let f = Fixture::new();
    let container = f.running(&[]);
    freeze(&container);
    let outcome = container.stop(stop_after(0)).unwrap();
    assert_eq!(outcome, ctr_core::StopOutcome::Stopped);
    f.assert_idle(container.id());
    container.start(crate::fixture::detached()).unwrap();
    freeze(&container);
    let request = ctr_core::RemoveRequest {
        timeout_s: Some(0),
        ..remove(RemoveMode::Force)
    };
    container.remove(request).unwrap();
    f.assert_gone(container.id());
}

fn failing_runtime() {
    let f = Fixture::new();
    let container = f.running(&[]);
    f.cue("state", "fail");
    let error = container.sync().unwrap_err();
    assert!(matches!(error, EngineError::Runtime(_)), "{error}");
    f.cue("state", "");
    assert_eq!(container.sync().unwrap(), Status::Running);
    // That the program has ended is the kernel's to say.
    lose_monitor(&container);
    end(&init_of(&container), Signal::KILL);
    assert_eq!(container.sync().unwrap(), Status::Stopped);
    container.remove(remove(RemoveMode::Normal)).unwrap();
    f.assert_gone(container.id());
}

fn nothing_runs() {
    let f = Fixture::new();
    f.cue("state", "fail");
    let container = f.create(&[]);
    assert_eq!(container.sync().unwrap(), Status::Configured);
    container.start(crate::fixture::detached()).unwrap();
    container.stop(stop_after(60)).unwrap();
    assert_eq!(container.sync().unwrap(), Status::Exited);
    container.remove(remove(RemoveMode::Normal)).unwrap();
    assert!(container.sync().unwrap_err().is_not_found());
    f.assert_gone(container.id());
}

fn refresh_running() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let mut journal = f.journal();
    journal.news();
    // Somebody has thrown away what it needs.
    lose_monitor(&container);
    container.refresh().unwrap();
    let news = journal.news();
    let orders = [
        "restart died stop cleanup init start refresh",
        "restart died cleanup stop init start refresh",
    ];
    assert!(orders.contains(&words(&news).as_str()), "{}", words(&news));
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Running, 2)
    );
    assert_eq!(
        reasons(&container),
        [StartReason::User, StartReason::Restart]
    );
    assert!(monitor_of(&container).is_alive());
    assert_eq!(record(&container).restart(), None);
    container.stop(stop_after(60)).unwrap();
    f.assert_idle(container.id());
}

fn refresh_paused() {
    let f = Fixture::new();
    let container = f.running(&[]);
    container.pause().unwrap();
    let mut journal = f.journal();
    journal.news();
    container.refresh().unwrap();
    let news = journal.news();
    let said = words(&news);
    assert!(said.starts_with("unpause restart died "), "{said}");
    assert!(said.ends_with(" init start pause refresh"), "{said}");
    for kind in [EventKind::Stop, EventKind::Cleanup] {
        assert_eq!(count(&news, kind), 1, "{said}");
    }
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Paused, 2)
    );
    assert!(
        Cgroups::detect()
            .unwrap()
            .is_frozen(&group(&container))
            .unwrap()
    );
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

fn refresh_created() {
    let f = Fixture::new();
    let container = f.create(&[]);
    container.init().unwrap();
    let first = init_of(&container);
    let mut journal = f.journal();
    journal.news();
    container.refresh().unwrap();
    assert!(!first.is_alive());
    assert_eq!(journal.words(), "cleanup init refresh");
    assert_eq!(
        (status(&container), generation(&container)),
        (Status::Created, 2)
    );
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

fn refresh_others() {
    let f = Fixture::new();
    let container = f.create(&[]);
    let mut journal = f.journal();
    journal.news();
    container.refresh().unwrap();
    assert_eq!(
        (status(&container), journal.words().as_str()),
        (Status::Configured, "refresh")
    );
    container.start(crate::fixture::detached()).unwrap();
    lose_monitor(&container);
    end(&init_of(&container), Signal::KILL);
    container.refresh().unwrap();
    assert_eq!(journal.words(), "init start died cleanup refresh");
    assert_eq!(status(&container), Status::Exited);
    f.assert_idle(container.id());
    container.start(crate::fixture::detached()).unwrap();
    let locked = container.lock("test").unwrap();
    drop(locked.begin_stop(stop_after(60)).unwrap());
    let error = container.refresh().unwrap_err();
    assert!(matches!(error, EngineError::WrongStatus { .. }), "{error}");
    container.stop(stop_after(0)).unwrap();
    f.assert_idle(container.id());
}
