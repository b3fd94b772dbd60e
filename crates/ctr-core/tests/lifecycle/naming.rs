//! Names that change, and runs that outlive their container.

use ctr_core::{EngineError, RemoveMode};
use ctr_events::EventKind;
use ctr_state::{ExitCause, StartReason, StateError, Status};
use ctr_sys::Signal;

use crate::Test;
use crate::fixture::{Fixture, detached, remove, status, stop_after};
use crate::processes::{end, init_of, lose_monitor};

pub(crate) const TESTS: [Test; 4] = [
    ("naming: another name", renamed),
    ("naming: a name that is taken", taken),
    ("history: the runs of one that exists", existing),
    ("history: the runs of one that was removed", removed),
];

fn renamed() {
    let f = Fixture::new();
    let container = f.named("one", |_| {});
    let mut journal = f.journal();
    journal.news();
    container.rename(&"two".parse().unwrap()).unwrap();
    let news = journal.news();
    assert_eq!(news.len(), 1);
    assert_eq!(news[0].kind(), EventKind::Rename);
    assert_eq!(news[0].subject().name, "two");
    assert_eq!(news[0].attributes()["oldName"], "one");
    assert!(f.engine.find("one").unwrap_err().is_not_found());
    assert_eq!(f.engine.find("two").unwrap().id(), container.id());
    // The name that it has is fine, and no news.
    container.rename(&"two".parse().unwrap()).unwrap();
    assert_eq!(journal.words(), "");
    // Also while it runs; its status stays.
    container.start(detached()).unwrap();
    container.rename(&"three".parse().unwrap()).unwrap();
    assert_eq!(
        (status(&container), container.name().unwrap()),
        (Status::Running, "three".to_owned())
    );
    container.pause().unwrap();
    container.rename(&"one".parse().unwrap()).unwrap();
    assert_eq!(status(&container), Status::Paused);
    assert_eq!(journal.words(), "init start rename pause rename");
    container.remove(remove(RemoveMode::Force)).unwrap();
    f.assert_gone(container.id());
}

fn taken() {
    let f = Fixture::new();
    let container = f.create(&[]);
    let other = f.named("other", |_| {});
    let mut journal = f.journal();
    journal.news();
    let error = container.rename(&"other".parse().unwrap()).unwrap_err();
    let taken =
        matches!(&error, EngineError::State(StateError::NameInUse { by, .. }) if by == other.id());
    assert!(taken, "{error}");
    assert_eq!(
        (container.name().unwrap().as_str(), journal.words().as_str()),
        ("c", "")
    );
    // It is free as soon as its holder has another one, or is gone.
    other.rename(&"another".parse().unwrap()).unwrap();
    container.rename(&"other".parse().unwrap()).unwrap();
    other.remove(remove(RemoveMode::Normal)).unwrap();
    container.rename(&"another".parse().unwrap()).unwrap();
    assert!(
        other
            .rename(&"x".parse().unwrap())
            .unwrap_err()
            .is_not_found()
    );
    container.remove(remove(RemoveMode::Normal)).unwrap();
    f.assert_gone(container.id());
}

fn existing() {
    let f = Fixture::new();
    assert!(f.engine.history("c").unwrap_err().is_not_found());
    let container = f.create(&[]);
    assert!(f.engine.history("c").unwrap().is_empty());
    container.start(detached()).unwrap();
    let runs = f.engine.history("c").unwrap();
    assert_eq!((runs.len(), &runs[0].ended), (1, &None));
    // Its end is known before anybody has recorded it.
    lose_monitor(&container);
    end(&init_of(&container), Signal::KILL);
    let runs = f.engine.history("c").unwrap();
    let signal = Signal::KILL;
    assert_eq!(
        runs[0].ended.as_ref().unwrap().cause,
        ExitCause::Signaled { signal }
    );
    container.start(detached()).unwrap();
    container
        .restart(ctr_core::RestartRequest { timeout_s: None })
        .unwrap();
    f.cue("create", "fail");
    container.stop(stop_after(60)).unwrap();
    container.start(detached()).unwrap_err();
    let runs = f.engine.history(&container.id().as_str()[..12]).unwrap();
    let generations: Vec<u64> = runs.iter().map(|run| run.generation).collect();
    assert_eq!(generations, [1, 2, 3, 4]);
    let reasons: Vec<StartReason> = runs.iter().map(|run| run.start_reason).collect();
    let (user, restart) = (StartReason::User, StartReason::Restart);
    assert_eq!(reasons, [user, user, restart, user]);
    let codes = runs.iter().map(|run| run.ended.as_ref().unwrap().code());
    assert_eq!(codes.collect::<Vec<_>>(), [137, 0, 0, -1]);
    assert!(runs.iter().all(|run| run.started_by.program == "lifecycle"));
    container.remove(remove(RemoveMode::Normal)).unwrap();
    f.assert_gone(container.id());
}

fn removed() {
    let f = Fixture::new();
    let first = f.running(&[]);
    end(&init_of(&first), Signal::USR1);
    f.journal().until(EventKind::Cleanup);
    first.remove(remove(RemoveMode::Normal)).unwrap();
    let codes = |what: &str| -> Vec<i32> {
        let runs = f.engine.history(what).unwrap();
        runs.iter()
            .map(|run| run.ended.as_ref().unwrap().code())
            .collect()
    };
    for what in ["c", first.id().as_str(), &first.id().as_str()[..12]] {
        assert_eq!(codes(what), [3], "{what}");
    }
    // The one that exists is meant, even before its first run; then the one that was removed last.
    let second = f.create(&[]);
    assert!(codes("c").is_empty());
    second.start(detached()).unwrap();
    second.kill(Signal::KILL).unwrap();
    second.remove(remove(RemoveMode::Force)).unwrap();
    assert_eq!(codes("c"), [137]);
    assert_eq!(codes(first.id().as_str()), [3]);
    assert!(f.engine.history("nobody").unwrap_err().is_not_found());
    for container in [first, second] {
        f.assert_gone(container.id());
    }
}
