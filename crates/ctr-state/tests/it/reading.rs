use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use ctr_events::EventKind;
use ctr_state::{ContainerId, Durability, IdOrName, StateError, Store};

use crate::{Fixture, config_at, create, event, new, patience};

fn resolve(fixture: &Fixture, what: &str) -> Result<ContainerId, StateError> {
    fixture.store.resolve(&what.parse::<IdOrName>().unwrap())
}

#[test]
fn a_container_is_found_by_id_name_and_beginning() {
    let fixture = Fixture::new();
    let ids = ["aa".repeat(32), format!("ab{}", "0".repeat(62))].map(|id| id.parse().unwrap());
    // The name of the second is the beginning of the first: names go before beginnings.
    for (id, name) in ids.iter().zip(["web", "aa"]) {
        create(&fixture.store, id, name).unwrap();
    }
    let [first, second] = &ids;
    for what in [first.as_str(), "web", "/web", "aaa"] {
        assert_eq!(&resolve(&fixture, what).unwrap(), first, "{what}");
    }
    for what in [second.as_str(), "aa", "ab"] {
        assert_eq!(&resolve(&fixture, what).unwrap(), second, "{what}");
    }
    let error = resolve(&fixture, "a").unwrap_err();
    assert!(matches!(error, StateError::Ambiguous { candidates, .. } if candidates == ids));
    for what in ["ac", "we", "AA", "%", "a%", "a*"] {
        let error = resolve(&fixture, what).unwrap_err();
        assert!(matches!(error, StateError::NotFound { .. }), "{what}");
    }
}

#[test]
fn the_list_is_in_order_of_creation() {
    let fixture = Fixture::new();
    for (name, created_ns) in [("c", 3), ("a", 1), ("b", 2)] {
        let mut new = new(&ContainerId::generate().unwrap(), name);
        new.config.created_ns = created_ns;
        fixture.store.create(new, Durability::Fact).unwrap();
    }
    let listed = fixture.store.list().unwrap();
    let names: Vec<&str> = listed.iter().map(|one| one.name().as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

/// Spoils the container "bad" with `sql` and checks that only it suffers, and that it can be removed.
fn check_corrupt(sql: &str, expected: &str) {
    let fixture = Fixture::new();
    fixture.create("before");
    let bad = fixture.create("bad");
    fixture.create("after");
    let raw = fixture.raw();
    raw.pragma_update(None, "foreign_keys", "OFF").unwrap();
    assert_eq!(raw.execute(sql, [bad.as_str()]).unwrap(), 1);

    let listed = fixture.store.list().unwrap();
    let reasons: Vec<Option<&str>> = listed.iter().map(ctr_state::Snapshot::corrupt).collect();
    let [None, Some(reason), None] = reasons[..] else {
        panic!("{reasons:?}");
    };
    assert!(reason.contains(expected), "{reason}");
    assert_eq!(listed[1].id(), &bad);
    assert!(matches!(listed[1].record(), Err(StateError::Corrupt { id, .. }) if id == bad));
    let locked = fixture.store.lock(&bad, "stop", patience());
    assert!(matches!(locked, Err(StateError::Corrupt { id, .. }) if id == bad));

    let export = fixture.store.export().unwrap();
    let unreadable: Vec<Option<&str>> = export
        .containers
        .iter()
        .map(|container| container.unreadable.as_deref())
        .collect();
    assert_eq!(unreadable, reasons);
    assert!(export.containers[0].config.is_object());

    let removed = event(EventKind::Remove, &bad, 0);
    fixture
        .store
        .remove_corrupt(&bad, "remove", patience(), removed, || {
            Ok::<_, StateError>(())
        })
        .unwrap();
    assert_eq!(fixture.store.list().unwrap().len(), 2);
}

#[test]
fn an_unreadable_container_is_shown_and_hides_no_other() {
    check_corrupt("UPDATE record SET facts = '{' WHERE id = ?1", "EOF");
    check_corrupt("UPDATE record SET status = 'lost' WHERE id = ?1", "lost");
    check_corrupt("UPDATE record SET version = 9 WHERE id = ?1", "version 9");
    check_corrupt("UPDATE record SET intent = '[]' WHERE id = ?1", "intent");
    check_corrupt("DELETE FROM record WHERE id = ?1", "no record");
    check_corrupt("UPDATE container SET config = '' WHERE id = ?1", "EOF");
    check_corrupt("UPDATE container SET name = 'a b' WHERE id = ?1", "a b");
    let newer = "UPDATE container SET config = json_set(config, '$.version', 9) WHERE id = ?1";
    check_corrupt(newer, "version 9");
}

#[test]
fn files_are_private() {
    let fixture = Fixture::new();
    fixture.create("web");
    for file in [
        "lib/state.db",
        "lib/state.db-wal",
        "lib/state.db-shm",
        "run/journal",
    ] {
        let found = std::fs::metadata(fixture.path().join(file)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_database_that_others_may_write_is_refused() {
    let fixture = Fixture::new();
    let everybody = std::fs::Permissions::from_mode(0o620);
    std::fs::set_permissions(fixture.database(), everybody).unwrap();
    let error = Store::open(config_at(fixture.path(), Duration::ZERO)).unwrap_err();
    assert!(error.to_string().contains("others may write"), "{error}");
}

#[test]
fn a_link_is_refused() {
    let fixture = Fixture::new();
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("lib")).unwrap();
    let link = directory.path().join("lib/state.db");
    std::os::unix::fs::symlink(fixture.database(), link).unwrap();
    let error = Store::open(config_at(directory.path(), Duration::ZERO)).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
}
