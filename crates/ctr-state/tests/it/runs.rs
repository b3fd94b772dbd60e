use ctr_events::EventKind;
use ctr_state::{
    ContainerId, Durability, ExitCause, ExitInfo, KEEP_REMOVED_NS, KEEP_REMOVED_RUNS, KEEP_RUNS,
    LockedRecord, OomKilled, Run, StartReason, Trigger,
};

use crate::{Fixture, actor, event, patience};

fn exited(code: i32) -> ExitInfo {
    ExitInfo {
        cause: ExitCause::Exited { code },
        oom: OomKilled::No,
        monitors_lost: 0,
        finished_ns: 9,
        reason: None,
    }
}

fn run_once(locked: &mut LockedRecord<'_>, code: i32) -> u64 {
    let generation = locked.begin_generation(StartReason::User);
    for trigger in [Trigger::Init, Trigger::Start] {
        locked.advance(trigger).unwrap();
    }
    locked.edit().started_by = Some(actor("starter"));
    locked.edit().started_ns = Some(5);
    locked.save(&[], Durability::Fact).unwrap();
    for trigger in [Trigger::ExitSeen, Trigger::Cleaned] {
        locked.advance(trigger).unwrap();
    }
    locked.edit().exit = Some(exited(code));
    locked.save(&[], Durability::Fact).unwrap();
    generation
}

fn codes(runs: &[Run]) -> Vec<(u64, Option<i32>)> {
    let code = |run: &Run| run.ended.as_ref().map(ExitInfo::code);
    runs.iter().map(|run| (run.generation, code(run))).collect()
}

#[test]
fn each_run_has_its_row_and_the_rows_outlive_the_container() {
    let fixture = Fixture::new();
    let id = fixture.create("web");
    let mut locked = fixture.store.lock(&id, "start", patience()).unwrap();
    assert!(fixture.store.runs(&id).unwrap().is_empty());
    run_once(&mut locked, 0);
    run_once(&mut locked, 3);
    locked.begin_generation(StartReason::User);
    locked.save(&[], Durability::Fact).unwrap();

    let expected = [(1, Some(0)), (2, Some(3)), (3, None)];
    let runs = fixture.store.runs(&id).unwrap();
    assert_eq!(codes(&runs), expected);
    assert_eq!(runs[0].started_by, actor("starter"));
    assert_eq!(runs[0].started_ns, Some(5));
    assert_eq!(runs[0].container_name.as_str(), "web");
    assert!(runs[0].created_ns <= runs[1].created_ns);

    locked.remove(event(EventKind::Remove, &id, 3)).unwrap();
    assert_eq!(codes(&fixture.store.runs(&id).unwrap()), expected);
    let run = fixture.store.exit_of(&id, 2).unwrap().unwrap();
    assert_eq!(run.ended, Some(exited(3)));
    assert!(fixture.store.exit_of(&id, 4).unwrap().is_none());
    let unknown = ContainerId::generate().unwrap();
    assert!(fixture.store.exit_of(&unknown, 1).unwrap().is_none());
    let removed = |what: &str| fixture.store.removed(&what.parse().unwrap()).unwrap();
    assert_eq!(removed("web"), std::slice::from_ref(&id));
    assert_eq!(removed(&id.as_str()[..12]), std::slice::from_ref(&id));
    assert!(removed("db").is_empty());
}

#[test]
fn only_the_newest_runs_are_kept() {
    let fixture = Fixture::new();
    let id = fixture.create("web");
    let mut locked = fixture.store.lock(&id, "start", patience()).unwrap();
    for _ in 0..KEEP_RUNS + 5 {
        locked.begin_generation(StartReason::User);
        locked.save(&[], Durability::Fact).unwrap();
    }
    let runs = fixture.store.runs(&id).unwrap();
    assert_eq!(runs.len() as u64, KEEP_RUNS);
    assert_eq!(runs[0].generation, 6);
}

#[test]
fn the_runs_of_removed_containers_are_bounded_in_age_and_number() {
    let fixture = Fixture::new();
    let id = fixture.create("web");
    let mut locked = fixture.store.lock(&id, "start", patience()).unwrap();
    locked.begin_generation(StartReason::User);
    let now_ns = ctr_sys::now_ns();
    let old_ns = now_ns - KEEP_REMOVED_NS - 1;
    let rows = format!(
        "INSERT INTO run (id, generation, removed_ns, body) VALUES ('old', 1, {old_ns}, '');
         WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {})
         INSERT INTO run (id, generation, removed_ns, body) SELECT 'new', n, {now_ns} + n, '' FROM number",
        KEEP_REMOVED_RUNS + 7
    );
    fixture.raw().execute_batch(&rows).unwrap();

    // Enough events to come past a multiple of 64, where trimming takes place.
    let events: Vec<_> = (0..64).map(|_| event(EventKind::Exec, &id, 1)).collect();
    locked.save(&events, Durability::Fact).unwrap();
    let kept = fixture
        .raw()
        .query_row(
            "SELECT count(*), min(generation), (SELECT count(*) FROM run WHERE id = 'old') FROM run WHERE id = 'new'",
            [],
            |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?, row.get::<_, u32>(2)?)),
        )
        .unwrap();
    assert_eq!(kept, (KEEP_REMOVED_RUNS, 8, 0));
    assert_eq!(
        fixture.store.runs(&id).unwrap().len(),
        1,
        "it was not removed"
    );
}
