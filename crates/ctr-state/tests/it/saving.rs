use ctr_events::EventKind;
use ctr_state::{
    Durability, ExitCause, ExitInfo, Facts, Intent, IntentKind, OomKilled, PendingRestart, Ran,
    StartReason, StateError, Status, StopReason, Trigger,
};
use ctr_sys::{BootId, PidStamp, Signal};

use crate::{Fixture, actor, event, patience};

fn facts() -> Facts {
    Facts {
        init: Some(PidStamp {
            pid: 11,
            start_time: 12,
        }),
        monitor: Some(PidStamp {
            pid: 21,
            start_time: 22,
        }),
        boot_id: Some(BootId::current().unwrap()),
        started_ns: Some(31),
        finished_ns: Some(32),
        exit: Some(ExitInfo {
            cause: ExitCause::Signaled {
                signal: Signal::KILL,
            },
            oom: OomKilled::Yes,
            monitors_lost: 0,
            finished_ns: 32,
            reason: Some("too much".to_owned()),
        }),
        stop_requested: Some(StopReason::User),
        stop_until_ns: Some(9),
        restart_count: 4,
        backoff_ms: 800,
        restart: Some(PendingRestart {
            at_ns: 41,
            reason: StartReason::Policy,
            owner: Some(PidStamp::own().unwrap()),
            boot_id: BootId::current().unwrap(),
        }),
        history: Ran::Before,
        start_reason: StartReason::Boot,
        error: Some("none".to_owned()),
        created_paths: vec!["/a".into(), "/a/b".into()],
        started_by: Some(actor("starter")),
        ended_by: Some(actor("ender")),
    }
}

#[test]
fn everything_that_is_saved_is_read_back() {
    let fixture = Fixture::new();
    let id = fixture.create("web");
    let mut locked = fixture.store.lock(&id, "start", patience()).unwrap();
    assert_eq!(locked.begin_generation(StartReason::User), 1);
    locked.advance(Trigger::Init).unwrap();
    *locked.edit() = facts();
    let intent = Intent {
        kind: IntentKind::Start,
        owner: PidStamp::own().unwrap(),
        boot_id: BootId::current().unwrap(),
        since_ns: 5,
        generation: 1,
    };
    locked.set_intent(Some(intent.clone()));
    let events = [
        event(EventKind::Init, &id, 1),
        event(EventKind::Start, &id, 1),
    ];
    locked.save(&events, Durability::Durable).unwrap();
    let saved = locked.record().clone();
    drop(locked);

    let snapshot = fixture.again().snapshot(&id).unwrap();
    let record = snapshot.record().unwrap();
    assert_eq!(record, &saved);
    assert_eq!(record.facts(), &facts());
    assert_eq!(record.intent(), Some(&intent));
    assert_eq!(record.status(), Status::Created);
    assert_eq!(
        fixture.event_kinds(),
        [EventKind::Create, EventKind::Init, EventKind::Start]
    );
}

#[test]
fn a_new_run_forgets_the_last_one_but_not_the_container() {
    let fixture = Fixture::new();
    let id = fixture.create("web");
    let mut locked = fixture.store.lock(&id, "start", patience()).unwrap();
    *locked.edit() = facts();
    locked.begin_generation(StartReason::Policy);
    let expected = Facts {
        restart_count: 5,
        backoff_ms: 800,
        history: Ran::Before,
        created_paths: vec!["/a".into(), "/a/b".into()],
        start_reason: StartReason::Policy,
        ..Facts::default()
    };
    assert_eq!(locked.record().facts(), &expected);
    // Somebody's start ends the row of automatic ones.
    locked.begin_generation(StartReason::User);
    let facts = locked.record().facts();
    assert_eq!((facts.restart_count, facts.backoff_ms), (0, 0));
}

#[test]
fn a_save_that_fails_changes_nothing() {
    let fixture = Fixture::new();
    let id = fixture.create("web");
    let mut locked = fixture.store.lock(&id, "start", patience()).unwrap();
    fixture
        .raw()
        .execute("DELETE FROM record WHERE id = ?1", [id.as_str()])
        .unwrap();
    locked.begin_generation(StartReason::User);
    let events = [event(EventKind::Start, &id, 1)];
    let error = locked.save(&events, Durability::Fact).unwrap_err();
    assert!(matches!(error, StateError::NotFound { .. }));
    assert_eq!(fixture.event_kinds(), [EventKind::Create]);
    assert!(fixture.store.runs(&id).unwrap().is_empty());
}

#[test]
fn a_status_says_since_when() {
    let fixture = Fixture::new();
    let id = fixture.create("web");
    let mut locked = fixture.store.lock(&id, "start", patience()).unwrap();
    assert_eq!(locked.record().since_ns(), None);
    let before = ctr_sys::now_ns();
    locked.advance(Trigger::Init).unwrap();
    locked.advance(Trigger::Start).unwrap();
    let started = locked.record().since_ns().unwrap();
    assert!(started >= before);
    locked.advance(Trigger::Kill).unwrap();
    assert_eq!(locked.record().since_ns(), Some(started), "no move at all");
    locked.save(&[], Durability::Fact).unwrap();
    drop(locked);
    let snapshot = fixture.again().snapshot(&id).unwrap();
    assert_eq!(snapshot.record().unwrap().since_ns(), Some(started));
}

#[test]
fn a_name_moves_with_its_event_and_only_to_where_none_is() {
    let fixture = Fixture::new();
    let id = fixture.create("web");
    let other = fixture.create("db");
    let mut locked = fixture.store.lock(&id, "rename", patience()).unwrap();
    let error = locked
        .rename(&"db".parse().unwrap(), event(EventKind::Rename, &id, 0))
        .unwrap_err();
    assert!(matches!(error, StateError::NameInUse { by, .. } if by == other));
    assert_eq!(locked.name().as_str(), "web");
    locked
        .rename(&"front".parse().unwrap(), event(EventKind::Rename, &id, 0))
        .unwrap();
    assert_eq!(locked.name().as_str(), "front");
    drop(locked);
    let again = fixture.again();
    assert_eq!(again.resolve(&"front".parse().unwrap()).unwrap(), id);
    assert!(again.resolve(&"web".parse().unwrap()).is_err());
    assert_eq!(fixture.event_kinds().last(), Some(&EventKind::Rename));
}

#[test]
fn what_others_need_never_begins_to_go() {
    let fixture = Fixture::new();
    let id = fixture.create("db");
    let needing = fixture.create_needing("web", &id).unwrap();
    let mut locked = fixture.store.lock(&id, "rm", patience()).unwrap();
    locked.advance(Trigger::BeginRemove).unwrap();
    let error = locked.save(&[], Durability::Fact).unwrap_err();
    assert!(matches!(error, StateError::InUse { by, .. } if by == [needing]));
    drop(locked);

    let going = fixture.create("old");
    let mut locked = fixture.store.lock(&going, "rm", patience()).unwrap();
    locked.advance(Trigger::BeginRemove).unwrap();
    locked.save(&[], Durability::Fact).unwrap();
    let error = fixture.create_needing("new", &going).unwrap_err();
    assert!(matches!(error, StateError::NotFound { .. }), "{error}");
}
