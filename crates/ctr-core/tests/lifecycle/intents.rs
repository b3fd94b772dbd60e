//! Records as commands leave them that were killed between two of their steps.

use ctr_core::{Container, RemoveMode, RemoveRequest};
use ctr_state::{ExitCause, IntentKind, StartReason, Status, Trigger};
use ctr_sys::{Signal, create_private_dir};

use crate::Test;
use crate::fixture::{Fixture, dead_intent, detached, generation, remove, status, stop_after};
use crate::processes::{end, init_of, lose_monitor};

pub(crate) const TESTS: [Test; 6] = [
    ("intents: a creation is taken back", creation),
    ("intents: a preparation is taken back", preparation),
    (
        "intents: a removal past its point of no return is finished",
        removal,
    ),
    ("intents: any one at any status is settled", any),
    ("intents: that of a living command is left alone", living),
    ("intents: that of another boot is nobody's", other_boot),
];

const KINDS: [IntentKind; 8] = [
    IntentKind::Create,
    IntentKind::Init,
    IntentKind::Start,
    IntentKind::Stop,
    IntentKind::Cleanup,
    IntentKind::Remove,
    IntentKind::Pause,
    IntentKind::Unpause,
];

/// Those that a container can be in between two commands.
const STATUSES: [Status; 8] = [
    Status::Configured,
    Status::Created,
    Status::Running,
    Status::Paused,
    Status::Stopping,
    Status::Stopped,
    Status::Exited,
    Status::Removing,
];

fn creation() {
    let f = Fixture::new();
    let cid = f.path("cid");
    let container = f.created_with(|request| request.cid_file = Some(cid.clone()));
    f.edit(container.id(), |record| {
        record.set_intent(Some(dead_intent(IntentKind::Create, 0)));
    });
    assert!(container.lock("test").unwrap_err().is_not_found());
    assert!(!cid.exists());
    f.assert_gone(container.id());
    assert_eq!(f.journal().words(), "create remove");
    // The name is free again.
    f.create(&[]).remove(remove(RemoveMode::Normal)).unwrap();
}

/// Killed after the run directory and mount points were made and before anything ran.
fn preparation() {
    for ran in [false, true] {
        let f = Fixture::new();
        let container = f.create(&[]);
        if ran {
            container.start(detached()).unwrap();
            container.stop(stop_after(60)).unwrap();
        }
        let before = status(&container);
        create_private_dir(&f.engine.run_dir(container.id()).join("bundle")).unwrap();
        std::fs::create_dir(f.path("rootfs/made")).unwrap();
        std::fs::create_dir(f.path("rootfs/made/deep")).unwrap();
        f.edit(container.id(), |record| {
            let generation = record.begin_generation(StartReason::User);
            record.edit().created_paths = vec!["/made".into(), "/made/deep".into()];
            record.set_intent(Some(dead_intent(IntentKind::Init, generation)));
        });
        let locked = container.lock("test").unwrap();
        assert_eq!(locked.record().intent(), None);
        locked.unlock();
        assert_eq!(status(&container), before);
        f.assert_idle(container.id());
        let last = generation(&container);
        let run = f
            .engine
            .store()
            .exit_of(container.id(), last)
            .unwrap()
            .unwrap();
        assert!(matches!(
            run.ended.unwrap().cause,
            ExitCause::NeverStarted { .. }
        ));
        container.start(detached()).unwrap();
        container.remove(remove(RemoveMode::Force)).unwrap();
        f.assert_gone(container.id());
    }
}

fn removal() {
    for files_gone in [false, true] {
        let f = Fixture::new();
        let container = f.running(&[]);
        container.stop(stop_after(60)).unwrap();
        f.edit(container.id(), |record| {
            record.advance(Trigger::BeginRemove).unwrap();
            record.set_intent(Some(dead_intent(IntentKind::Remove, 1)));
        });
        if files_gone {
            let directory = f.path("root/containers").join(container.id().as_str());
            ctr_sys::remove_tree(&directory).unwrap();
        }
        let mut journal = f.journal();
        journal.news();
        assert!(container.lock("test").unwrap_err().is_not_found());
        assert_eq!(journal.words(), "remove");
        f.assert_gone(container.id());
    }
}

/// Brings a container to a status as commands do, killed ones where it takes one.
fn bring_to(f: &Fixture, wanted: Status) -> Container<'_> {
    let container = f.create(&[]);
    match wanted {
        Status::Configured => {}
        Status::Created => {
            f.cue("start", "pause-fail");
            let start = f.command("start", container.id());
            f.await_pause();
            start.kill_and_wait().unwrap();
            f.end_pause();
            f.cue("start", "");
        }
        Status::Running => drop(container.start(detached()).unwrap()),
        Status::Stopping => {
            container.start(detached()).unwrap();
            let locked = container.lock("test").unwrap();
            drop(locked.begin_stop(stop_after(60)).unwrap());
        }
        Status::Stopped => {
            container.start(detached()).unwrap();
            lose_monitor(&container);
            end(&init_of(&container), Signal::KILL);
            container.lock("test").unwrap().unlock();
        }
        Status::Exited => {
            container.start(detached()).unwrap();
            container.stop(stop_after(60)).unwrap();
        }
        Status::Removing => f.edit(container.id(), |record| {
            record.advance(Trigger::BeginRemove).unwrap();
        }),
        Status::Paused => {
            container.start(detached()).unwrap();
            container.pause().unwrap();
        }
    }
    container
}

fn any() {
    for at in STATUSES {
        for kind in KINDS {
            check(at, kind);
        }
    }
}

fn check(at: Status, kind: IntentKind) {
    let f = Fixture::new();
    let container = bring_to(&f, at);
    let last = generation(&container);
    f.edit(container.id(), |record| {
        assert_eq!(record.record().status(), at);
        record.set_intent(Some(dead_intent(kind, last)));
    });
    let gone = kind == IntentKind::Create || (at, kind) == (Status::Removing, IntentKind::Remove);
    match container.lock("test") {
        Ok(locked) => {
            assert!(!gone, "{kind:?} at {at:?} is still there");
            assert_eq!(locked.record().intent(), None, "{kind:?} at {at:?}");
            locked.unlock();
        }
        Err(error) => assert!(gone && error.is_not_found(), "{kind:?} at {at:?}: {error}"),
    }
    if !gone {
        let request = RemoveRequest {
            timeout_s: Some(0),
            ..remove(RemoveMode::Force)
        };
        let removed = container.remove(request);
        removed.unwrap_or_else(|error| panic!("{kind:?} at {at:?}: {error}"));
    }
    f.assert_gone(container.id());
}

/// A stop that waits has given the lock up and has announced itself: it goes on.
fn living() {
    let f = Fixture::new();
    let container = f.running(&[]);
    let stopping = container.lock("test").unwrap();
    let stopping = stopping.begin_stop(stop_after(60)).unwrap();
    let locked = container.lock("test").unwrap();
    assert_eq!(locked.record().intent().unwrap().kind, IntentKind::Stop);
    assert_eq!(locked.record().status(), Status::Stopping);
    locked.unlock();
    let (mut locked, _) = stopping.finish().unwrap();
    assert_eq!(locked.record().intent(), None);
    if locked.record().status() == Status::Stopped {
        locked.cleanup().unwrap();
    }
    locked.unlock();
    f.assert_idle(container.id());
}

/// The pid of its owner may be somebody else's by now, even with the same start time.
fn other_boot() {
    let f = Fixture::new();
    let container = f.create(&[]);
    f.edit(container.id(), |record| {
        let mut intent = dead_intent(IntentKind::Create, 0);
        intent.owner = ctr_sys::PidStamp::own().unwrap();
        intent.boot_id = crate::fixture::other_boot();
        record.set_intent(Some(intent));
    });
    assert!(container.lock("test").unwrap_err().is_not_found());
    f.assert_gone(container.id());
}
