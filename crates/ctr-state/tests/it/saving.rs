use ctr_events::EventKind;
use ctr_state::{
    Durability, ExitCause, ExitInfo, Facts, Intent, IntentKind, OomKilled, StateError, Status,
    StopReason, Trigger,
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
            finished_ns: 32,
            reason: Some("too much".to_owned()),
        }),
        stop_requested: Some(StopReason::User),
        restart_count: 4,
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
    assert_eq!(locked.begin_generation(), 1);
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
    locked.begin_generation();
    let expected = Facts {
        restart_count: 4,
        created_paths: vec!["/a".into(), "/a/b".into()],
        ..Facts::default()
    };
    assert_eq!(locked.record().facts(), &expected);
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
    locked.begin_generation();
    let events = [event(EventKind::Start, &id, 1)];
    let error = locked.save(&events, Durability::Fact).unwrap_err();
    assert!(matches!(error, StateError::NotFound { .. }));
    assert_eq!(fixture.event_kinds(), [EventKind::Create]);
    assert!(fixture.store.runs(&id).unwrap().is_empty());
}
