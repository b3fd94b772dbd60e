use ctr_events::EventKind;
use ctr_state::{ContainerId, Durability, IllegalTransition, StateError, Status, Store, Trigger};

use crate::{Fixture, event, new, now, patience};

fn assert_send_sync<T: Send + Sync>() {}

#[test]
fn a_store_can_be_shared() {
    assert_send_sync::<Store>();
}

#[test]
fn the_lock_reads_the_record_anew() {
    let fixture = Fixture::new();
    let other = fixture.again();
    let id = fixture.create("web");
    let mut locked = fixture.store.lock(&id, "init", patience()).unwrap();
    assert_eq!(locked.record().status(), Status::Configured);
    assert!(matches!(
        other.lock(&id, "stop", now()),
        Err(StateError::Busy { .. })
    ));
    locked.advance(Trigger::Init).unwrap();
    locked.save(&[], Durability::Fact).unwrap();
    locked.unlock();
    let locked = other.lock(&id, "stop", now()).unwrap();
    assert_eq!(locked.record().status(), Status::Created);
    assert_eq!(locked.name().as_str(), "web");
}

#[test]
fn the_same_store_does_not_wait_for_itself() {
    let fixture = Fixture::new();
    let (id, other) = (fixture.create("web"), fixture.create("db"));
    let locked = fixture.store.lock(&id, "stop", patience()).unwrap();
    let error = fixture.store.lock(&id, "kill", patience()).unwrap_err();
    assert!(matches!(error, StateError::AlreadyHeld { id: held } if held == id));
    fixture
        .store
        .lock(&other, "kill", patience())
        .unwrap()
        .unlock();
    drop(locked);
    fixture
        .store
        .lock(&id, "kill", patience())
        .unwrap()
        .unlock();
}

#[test]
fn what_was_not_saved_is_forgotten() {
    let fixture = Fixture::new();
    let id = fixture.create("web");
    let mut locked = fixture.store.lock(&id, "init", patience()).unwrap();
    locked.advance(Trigger::Init).unwrap();
    locked.edit().restart_count = 7;
    drop(locked);
    let locked = fixture.store.lock(&id, "init", patience()).unwrap();
    assert_eq!(locked.record().status(), Status::Configured);
    assert_eq!(locked.record().restart_count(), 0);
}

#[test]
fn an_illegal_move_is_refused_and_named() {
    let fixture = Fixture::new();
    let id = fixture.create("web");
    let mut locked = fixture.store.lock(&id, "pause", patience()).unwrap();
    let error = locked.advance(Trigger::Pause).unwrap_err();
    let expected = IllegalTransition {
        status: Status::Configured,
        trigger: Trigger::Pause,
    };
    assert!(matches!(error, StateError::Illegal { ref source, .. } if *source == expected));
    assert_eq!(locked.record().status(), Status::Configured);
}

#[test]
fn a_container_that_does_not_exist_leaves_no_lock_file() {
    let fixture = Fixture::new();
    let id = ContainerId::generate().unwrap();
    let error = fixture.store.lock(&id, "stop", patience()).unwrap_err();
    assert!(matches!(error, StateError::NotFound { .. }));
    let locks = fixture.store.config().locks.clone();
    assert_eq!(locks.read_dir().unwrap().count(), 0);
}

#[test]
fn removing_takes_the_row_the_lock_file_and_the_name() {
    let fixture = Fixture::new();
    let id = fixture.create("web");
    let locked = fixture.store.lock(&id, "remove", patience()).unwrap();
    locked.remove(event(EventKind::Remove, &id, 0)).unwrap();
    assert!(fixture.store.list().unwrap().is_empty());
    let locks = fixture.store.config().locks.clone();
    assert_eq!(locks.read_dir().unwrap().count(), 0);
    assert!(matches!(
        fixture.store.snapshot(&id),
        Err(StateError::NotFound { .. })
    ));
    assert_eq!(
        fixture.event_kinds(),
        [EventKind::Create, EventKind::Remove]
    );
    fixture.create("web");
}

#[test]
fn what_others_need_is_not_removed() {
    let fixture = Fixture::new();
    let (needed, id) = (fixture.create("db"), ContainerId::generate().unwrap());
    let mut dependent = new(&id, "web");
    dependent.dependencies = vec![needed.clone()];
    fixture.store.create(dependent, Durability::Fact).unwrap();
    assert_eq!(
        fixture.store.snapshot(&id).unwrap().dependencies(),
        std::slice::from_ref(&needed)
    );
    assert_eq!(
        fixture.store.snapshot(&needed).unwrap().dependents(),
        std::slice::from_ref(&id)
    );

    let remove = |id: &ContainerId| {
        let locked = fixture.store.lock(id, "remove", patience()).unwrap();
        locked.remove(event(EventKind::Remove, id, 0))
    };
    let error = remove(&needed).unwrap_err();
    assert!(matches!(error, StateError::InUse { ref by, .. } if *by == [id.clone()]));
    remove(&id).unwrap();
    remove(&needed).unwrap();
}

#[test]
fn a_container_is_created_under_its_lock() {
    let fixture = Fixture::new();
    let id = ContainerId::generate().unwrap();
    let locked = fixture
        .store
        .create_locked(new(&id, "web"), "create", patience(), Durability::Fact)
        .unwrap();
    assert!(matches!(
        fixture.again().lock(&id, "rm", now()),
        Err(StateError::Busy { .. })
    ));
    drop(locked);
    let second = ContainerId::generate().unwrap();
    let refused =
        fixture
            .store
            .create_locked(new(&second, "web"), "create", patience(), Durability::Fact);
    assert!(matches!(refused, Err(StateError::NameInUse { by, .. }) if by == id));
    assert!(!fixture.store.config().locks.join(second.as_str()).exists());
}
