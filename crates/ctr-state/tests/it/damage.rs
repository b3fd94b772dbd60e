//! Databases with flipped bits, missing ends and exchanged pages. Whatever was done to one: no panic, no hang, and what cannot be read is
//! said. All of it comes from a seed.

mod mutation;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use ctr_events::{Cursor, EventKind, Filter, Reader};
use ctr_state::{
    ContainerId, Durability, Export, NewContainer, Snapshot, StartReason, StateError, Store,
    StoreFault, StoreIssue, Trigger,
};
use mutation::{Mutation, Numbers};
use tempfile::TempDir;

use crate::{Fixture, config_at, database_at, event, new, patience};

/// A case that takes longer hangs.
const WATCHDOG: Duration = Duration::from_secs(120);
/// What the tests of every day look at.
const SAMPLE: u64 = 40;
/// How many instead: `CTR_STATE_TEST_DATABASES=1000 cargo test -p ctr-state --test it -- --nocapture mutated` prints what became of them.
const COUNT: &str = "CTR_STATE_TEST_DATABASES";

/// A sound database with something of everything: what was in it, and its two files.
struct Sound {
    export: Export,
    database: Vec<u8>,
    log: Vec<u8>,
    ids: Vec<ContainerId>,
}

impl Sound {
    fn make() -> Self {
        let fixture = Fixture::new();
        let ids: Vec<ContainerId> = (0..40).map(|n| make_one(&fixture, n)).collect();
        fixture.create_needing("needs", &ids[3]).unwrap();
        let export = fixture.store.export().unwrap();
        // Most of it is written back, and the log is not empty.
        let raw = fixture.raw();
        raw.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            .unwrap();
        drop(raw);
        let database = std::fs::read(fixture.database()).unwrap();
        let log = std::fs::read(fixture.database().with_extension("db-wal")).unwrap();
        Self {
            export,
            database,
            log,
            ids,
        }
    }

    fn lay(&self, directory: &Path) {
        lay(directory, &self.database, &self.log);
    }
}

/// Writes the two files of a database.
fn lay(directory: &Path, database: &[u8], log: &[u8]) {
    let path = database_at(directory);
    for (path, bytes) in [
        (path.clone(), database),
        (path.with_extension("db-wal"), log),
    ] {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).unwrap();
        }
        // In place: it stays the file that was found sound.
        let file = std::fs::File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, bytes, 0).unwrap();
    }
    std::fs::remove_file(path.with_extension("db-shm")).ok();
}

fn make_one(fixture: &Fixture, number: usize) -> ContainerId {
    // All from the number: the pages are the same each time.
    let mut numbers = Numbers(number as u64);
    let digits = [(); 4].map(|()| format!("{:016x}", numbers.next()));
    let id: ContainerId = digits.concat().parse().unwrap();
    let mut new: NewContainer = new(&id, &format!("c{number}"));
    new.config.created_ns = 1_700_000_000_000_000_000 + i64::try_from(number).unwrap();
    // Some do not fit into a page.
    let text = "some label ".repeat(number * 13);
    new.config.labels = BTreeMap::from([("text".to_owned(), text)]);
    fixture.store.create(new, Durability::Fact).unwrap();
    for _ in 0..number % 4 {
        let mut locked = fixture.store.lock(&id, "test", patience()).unwrap();
        locked.begin_generation(StartReason::User);
        locked.advance(Trigger::Init).unwrap();
        let events = [event(EventKind::Init, &id, 1)];
        locked.save(&events, Durability::Fact).unwrap();
        locked
            .advance(Trigger::Cleaned)
            .or_else(|_| locked.advance(Trigger::TakenBack))
            .unwrap();
        locked.save(&[], Durability::Fact).unwrap();
    }
    id
}

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// It is not opened, and why is said.
    Refused,
    /// It is opened, what can be read is right, and the damage is told.
    Told,
    /// Nothing of what is stored is different.
    Harmless,
    /// Another value is read than was stored, and nothing tells.
    Silent,
}

/// What was seen of an opened store: which containers are different, which cannot be read, which are missing.
#[derive(Debug, Default)]
struct Seen {
    different: usize,
    unreadable: usize,
    missing: usize,
    runs_different: usize,
}

fn compare(sound: &Sound, found: &Export) -> Seen {
    let mut seen = Seen::default();
    for expected in &sound.export.containers {
        match found.containers.iter().find(|one| one.id == expected.id) {
            None => seen.missing += 1,
            Some(one) if one.unreadable.is_some() => seen.unreadable += 1,
            Some(one) if one != expected => seen.different += 1,
            Some(_) => {}
        }
    }
    let strangers = found.containers.iter();
    seen.different += strangers
        .filter(|one| {
            !sound
                .export
                .containers
                .iter()
                .any(|known| known.id == one.id)
        })
        .filter(|one| one.unreadable.is_none())
        .count();
    if found.runs != sound.export.runs {
        seen.runs_different += 1;
    }
    seen
}

/// Opens, reads, exports and writes a database; says what came of it.
fn use_it(sound: &Sound, directory: &Path) -> Outcome {
    let store = match Store::open(config_at(directory, Duration::from_secs(5))) {
        Ok(store) => store,
        Err(error) => {
            assert!(is_said(&error), "{error:?}");
            return Outcome::Refused;
        }
    };
    let mut told = false;
    let mut tell = |result: Result<(), StateError>| {
        if let Err(error) = result {
            assert!(is_said(&error), "{error:?}");
            told = true;
        }
    };
    tell(store.list().map(drop));
    for id in &sound.ids {
        tell(store.snapshot(id).map(drop));
        tell(store.runs(id).map(drop));
        tell(store.resolve(&id.short().parse().unwrap()).map(drop));
    }
    let mut reader = Reader::new(Cursor::start(), Filter::default());
    loop {
        match store.next_event(&mut reader) {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => {
                tell(Err(error));
                break;
            }
        }
    }
    let export = store.export();
    let issues = store.health();
    tell(write(sound, &store));
    let seen = match (export, issues) {
        (Ok(export), Ok(issues)) => {
            told |= !issues.is_empty();
            compare(sound, &export)
        }
        (export, issues) => {
            for error in [export.err(), issues.err()].into_iter().flatten() {
                tell(Err(error));
            }
            Seen::default()
        }
    };
    // Again, after it was written to.
    drop(store);
    match Store::open(config_at(directory, Duration::from_secs(5))) {
        Ok(store) => drop(store.list()),
        Err(error) => assert!(is_said(&error), "{error:?}"),
    }
    if !told && seen.unreadable == 0 && seen.different + seen.missing + seen.runs_different > 0 {
        println!("{seen:?}");
    }
    let silent = seen.different + seen.missing + seen.runs_different;
    match (told || seen.unreadable > 0, silent) {
        (true, _) => Outcome::Told,
        (false, 0) => Outcome::Harmless,
        (false, _) => Outcome::Silent,
    }
}

fn write(sound: &Sound, store: &Store) -> Result<(), StateError> {
    let id = ContainerId::generate().unwrap();
    store.create(new(&id, "written"), Durability::Fact)?;
    for id in &sound.ids[..5] {
        let mut locked = store.lock(id, "test", patience())?;
        locked.save(&[event(EventKind::Rename, id, 0)], Durability::Fact)?;
    }
    for id in &sound.ids[30..] {
        let removed = event(EventKind::Remove, id, 0);
        let kept = || Ok::<_, StateError>(());
        store.remove_corrupt(id, "test", patience(), removed, kept)?;
    }
    Ok(())
}

/// An error that names the store or the container, and not just what a library said.
fn is_said(error: &StateError) -> bool {
    let kind = match error {
        StateError::Store(StoreFault::Damaged { .. } | StoreFault::Foreign { .. })
        | StateError::NewerSchema { .. }
        | StateError::Corrupt { .. }
        | StateError::NotFound { .. }
        | StateError::Ambiguous { .. }
        | StateError::InUse { .. }
        | StateError::NameInUse { .. } => true,
        StateError::Events(error) => !matches!(error, ctr_events::EventError::Database { .. }),
        StateError::Busy { .. }
        | StateError::AlreadyHeld { .. }
        | StateError::Illegal { .. }
        | StateError::Store(_)
        | StateError::Database { .. }
        | StateError::Sys(_) => false,
    };
    kind && !error.to_string().contains('\n')
}

/// When the damage is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum When {
    /// While the machine was down: the database is looked at when it is opened.
    Down,
    /// While it was up, and the database had been found sound.
    Up,
}

fn run_case(sound: &Sound, seed: u64) -> (Mutation, When, Outcome) {
    let mut numbers = Numbers(seed);
    let mutation = Mutation::ALL[numbers.below(Mutation::ALL.len())];
    let when = [When::Down, When::Up][numbers.below(2)];
    let directory: TempDir = tempfile::tempdir().unwrap();
    sound.lay(directory.path());
    if when == When::Up {
        drop(Store::open(config_at(directory.path(), Duration::from_secs(5))).unwrap());
    }
    let (mut database, mut log) = (sound.database.clone(), sound.log.clone());
    mutation.apply(&mut numbers, &mut database, &mut log);
    lay(directory.path(), &database, &log);
    let outcome = use_it(sound, directory.path());
    if outcome == Outcome::Silent {
        println!("seed {seed}: {mutation:?} {when:?}");
    }
    (mutation, when, outcome)
}

/// Runs the cases in a thread of their own, whose silence is a hang.
fn run_all(seeds: std::ops::Range<u64>) -> BTreeMap<(Mutation, When, Outcome), usize> {
    let (results, received) = mpsc::channel();
    let count = seeds.end - seeds.start;
    let worker = std::thread::spawn(move || {
        let sound = Sound::make();
        for seed in seeds {
            results.send((seed, run_case(&sound, seed))).unwrap();
        }
    });
    let mut counts = BTreeMap::new();
    let mut last = None;
    for _ in 0..count {
        match received.recv_timeout(WATCHDOG) {
            Ok((seed, result)) => {
                *counts.entry(result).or_insert(0) += 1;
                last = Some(seed);
            }
            Err(error) => panic!("the case after {last:?}: {error}"),
        }
    }
    worker.join().unwrap();
    counts
}

fn check(seeds: std::ops::Range<u64>) {
    let counts = run_all(seeds);
    let mut table = String::new();
    for ((mutation, when, outcome), count) in &counts {
        writeln!(table, "{mutation:?} {when:?} {outcome:?}: {count}").unwrap();
    }
    println!("{table}");
    // There are no checksums of values: a bit of a text that is another text then is not noticed. All that is about pages is.
    let silent = |mutation: Mutation| -> usize {
        let of = counts
            .iter()
            .filter(|((found, _, outcome), _)| *found == mutation && *outcome == Outcome::Silent);
        of.map(|(_, count)| count).sum()
    };
    for mutation in [Mutation::Truncated, Mutation::Zeros, Mutation::LogBits] {
        assert_eq!(silent(mutation), 0, "{mutation:?}\n{table}");
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test is told by its environment how much it is to do"
)]
fn mutated_databases_do_no_harm_beyond_themselves() {
    let asked = std::env::var(COUNT).ok();
    check(0..asked.map_or(SAMPLE, |count| count.parse().unwrap()));
}

#[test]
fn issues_are_in_words_of_one_line() {
    let issue = StoreIssue::LogMissing;
    assert!(!issue.to_string().contains('\n'));
    let fixture = Fixture::new();
    fixture.create("web");
    assert_eq!(fixture.store.health().unwrap(), []);
    let readable = fixture.store.list().unwrap();
    assert!(
        readable
            .iter()
            .all(|one: &Snapshot| one.corrupt().is_none())
    );
}
