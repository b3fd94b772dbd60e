//! Several processes that work on the same few containers at random, with the two tables as the oracle.
//!
//! Each process notes what it asked, what it got, and between which two events of the journal that was. The journal tells the statuses
//! that a container had, in order: every step must be one of the table, and every answer must be right for a status that the
//! container had while it was asked.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use ctr_core::{
    CleanupRequest, CleanupScope, Container, Engine, EngineError, RemoveMode, RestartRequest,
};
use ctr_events::{Cursor, Event, EventKind, Filter, Reader};
use ctr_state::{ContainerId, Operation, StateError, Status, Trigger};
use ctr_sys::{Deadline, Launch, Signal};
use serde::{Deserialize, Serialize};

use crate::Test;
use crate::fixture::{Fixture, GUARD, config, detached, remove, request, stop_after};
use crate::processes::await_cleanups;

pub(crate) const TESTS: [Test; 1] = [("crowd: several processes at random", several)];

const MEMBERS: u64 = 4;
const STEPS: u64 = 30;
const NAMES: [&str; 2] = ["c", "d"];

/// What is asked, beside creating a container.
const ASKED: [Operation; 11] = [
    Operation::Start,
    Operation::Start,
    Operation::Stop,
    Operation::Restart,
    Operation::Signal,
    Operation::Kill,
    Operation::Pause,
    Operation::Unpause,
    Operation::Init,
    Operation::Cleanup,
    Operation::RemoveByForce,
];

/// One line of a member's notes.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    pid: i32,
    name: String,
    /// `None`: the name meant nothing.
    id: Option<ContainerId>,
    /// The word of the operation; "create" for none of the table.
    asked: String,
    /// The last event before and after it.
    between: (u64, u64),
    answer: Answer,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Answer {
    Done,
    /// Its status does not allow it.
    Refused(Status),
    /// By somebody else's stop, in the middle.
    CalledOff,
    Gone,
    NameInUse,
    Other(String),
}

/// One of the processes.
pub(crate) fn member(base: &Path, seed: u64) -> u8 {
    let engine = Engine::open(config(base)).unwrap();
    let mut random = Random(seed + 1);
    let path = base.join(format!("notes.{seed}"));
    let mut notes = std::fs::File::options()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    for _ in 0..STEPS {
        let name = NAMES[random.below(NAMES.len())];
        let before = engine.store().last_event().unwrap();
        let create = random.below(4) == 0;
        let operation = (!create).then(|| ASKED[random.below(ASKED.len())]);
        let (id, answer) = match operation {
            None => create_one(&engine, base, name),
            Some(operation) => ask(&engine, name, operation),
        };
        let after = engine.store().last_event().unwrap();
        let note = Note {
            pid: std::process::id().cast_signed(),
            name: name.to_owned(),
            id,
            asked: operation.map_or("create".to_owned(), |operation| format!("{operation:?}")),
            between: (before.0, after.0),
            answer,
        };
        writeln!(notes, "{}", serde_json::to_string(&note).unwrap()).unwrap();
    }
    0
}

/// Numbers that depend on the seed alone (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).unwrap()).unwrap()
    }
}

fn create_one(engine: &Engine, base: &Path, name: &str) -> (Option<ContainerId>, Answer) {
    let mut request = request(base, &[]);
    request.name = Some(name.parse().unwrap());
    match engine.create(request) {
        Ok(container) => (Some(container.id().clone()), Answer::Done),
        Err(EngineError::State(StateError::NameInUse { .. })) => (None, Answer::NameInUse),
        Err(error) => (None, Answer::Other(format!("{error:?}"))),
    }
}

fn ask(engine: &Engine, name: &str, operation: Operation) -> (Option<ContainerId>, Answer) {
    let container = match engine.find(name) {
        Ok(container) => container,
        Err(error) => return (None, answer(Err(error))),
    };
    let answer = answer(carry_out(&container, operation));
    (Some(container.id().clone()), answer)
}

fn carry_out(container: &Container<'_>, operation: Operation) -> Result<(), EngineError> {
    match operation {
        Operation::Init => container.init(),
        Operation::Start => container.start(detached()).map(drop),
        Operation::Restart => container
            .restart(RestartRequest {
                timeout_s: Some(60),
            })
            .map(drop),
        Operation::Signal => container.kill(Signal::WINCH),
        Operation::Kill => container.kill(Signal::KILL),
        Operation::Stop => container.stop(stop_after(60)).map(drop),
        Operation::Pause => container.pause(),
        Operation::Unpause => container.unpause(),
        Operation::Cleanup => container.cleanup(CleanupRequest {
            scope: CleanupScope::All,
            ..CleanupRequest::ENDED
        }),
        Operation::RemoveByForce => container.remove(remove(RemoveMode::Force)).map(drop),
        Operation::Attach
        | Operation::Exec
        | Operation::Refresh
        | Operation::Rename
        | Operation::Remove => {
            unreachable!("not among those that are asked")
        }
    }
}

fn answer(result: Result<(), EngineError>) -> Answer {
    match result {
        Ok(()) => Answer::Done,
        Err(EngineError::WrongStatus { status, .. }) => Answer::Refused(status),
        Err(EngineError::CalledOff { .. }) => Answer::CalledOff,
        Err(error) if error.is_not_found() => Answer::Gone,
        Err(error) => Answer::Other(format!("{error:?}")),
    }
}

fn several() {
    let f = Fixture::new();
    let members: Vec<_> = (0..MEMBERS)
        .map(|seed| {
            let program = Launch::program(std::env::current_exe().unwrap());
            let program = program.args(["crowd", f.path("").to_str().unwrap()]);
            program.arg(seed.to_string()).spawn().unwrap()
        })
        .collect();
    for member in members {
        let status = member.wait_deadline(Deadline::after(GUARD * 3)).unwrap();
        assert_eq!(status, Some(ctr_sys::ExitStatus::Exited(0)));
    }
    await_cleanups(&f.engine);
    let lives = Lives::of(&f.engine);
    for seed in 0..MEMBERS {
        let notes = std::fs::read_to_string(f.path(&format!("notes.{seed}"))).unwrap();
        for line in notes.lines() {
            lives.check(&serde_json::from_str(line).unwrap());
        }
    }
    for summary in f.engine.list().unwrap() {
        let id = summary.snapshot().id();
        assert_eq!(summary.status(), lives.by_id[id].last(), "{id}");
        let container = f.engine.container(id);
        container.remove(remove(RemoveMode::Force)).unwrap();
    }
    lives.by_id.keys().for_each(|id| f.assert_gone(id));
}

/// What the journal tells of all containers.
struct Lives {
    by_id: BTreeMap<ContainerId, Life>,
}

/// The statuses that one container had, each with the event that led to it; `None` when it was gone.
struct Life {
    name: String,
    statuses: Vec<(u64, Option<Status>)>,
    events: Vec<Event>,
}

impl Lives {
    fn of(engine: &Engine) -> Self {
        let mut by_id: BTreeMap<ContainerId, Life> = BTreeMap::new();
        let mut reader = Reader::new(Cursor::start(), Filter::default());
        while let Some(event) = engine.store().next_event(&mut reader).unwrap() {
            let id: ContainerId = event.subject().id.parse().unwrap();
            let life = by_id.entry(id).or_insert_with(|| Life {
                name: event.subject().name.clone(),
                statuses: Vec::new(),
                events: Vec::new(),
            });
            life.take(event);
        }
        Self { by_id }
    }

    fn check(&self, note: &Note) {
        let (before, after) = note.between;
        let had = |life: &Life| life.between(before, after);
        let named = self.by_id.values().filter(|life| life.name == note.name);
        let mut of_that_name = named.map(had);
        match (&note.id, &note.answer) {
            (_, Answer::Other(text)) => panic!("{note:?}: {text}"),
            (None, Answer::Gone) => assert!(
                of_that_name.all(|had| had.contains(&None)),
                "it was there all the time: {note:?}"
            ),
            (None, Answer::NameInUse) => assert!(
                of_that_name.any(|had| had.iter().any(Option::is_some)),
                "nobody had the name: {note:?}"
            ),
            (None, answer) => panic!("{answer:?} of nothing: {note:?}"),
            (Some(id), answer) => self.by_id[id].check(note, answer),
        }
    }
}

impl Life {
    /// Adds an event, which must be one that the status allows.
    fn take(&mut self, event: Event) {
        let at = event.cursor().0;
        let now = self.last();
        let after = match (now, event.kind(), moved(event.kind())) {
            (None, EventKind::Create, _) => Some(Status::Configured),
            (Some(status), EventKind::Remove, _) => {
                status
                    .after(Trigger::BeginRemove)
                    .unwrap_or_else(|error| panic!("{error}: {:?}", self.statuses));
                None
            }
            (Some(Status::Created), EventKind::Cleanup, _) => Some(self.before_init()),
            // No event tells that its stop has begun, and then it can be killed.
            (Some(Status::Created), EventKind::Kill, _) => Some(Status::Stopping),
            (Some(status), _, Some(trigger)) => {
                let after = status.after(trigger);
                Some(after.unwrap_or_else(|error| panic!("{error}: {:?}", self.statuses)))
            }
            (Some(status), _, None) => Some(status),
            (None, kind, _) => panic!("{kind} of nothing: {:?}", self.statuses),
        };
        self.statuses.push((at, after));
        self.events.push(event);
    }

    /// Where a run that was never started is taken back to.
    fn before_init(&self) -> Status {
        let ran = self
            .statuses
            .iter()
            .any(|(_, status)| *status == Some(Status::Running));
        if ran {
            Status::Exited
        } else {
            Status::Configured
        }
    }

    fn last(&self) -> Option<Status> {
        self.statuses.last().and_then(|(_, status)| *status)
    }

    /// The statuses that it had from the first event to the second.
    fn between(&self, before: u64, after: u64) -> Vec<Option<Status>> {
        let earlier = self.statuses.iter().rev().find(|(at, _)| *at <= before);
        let mut had = vec![earlier.and_then(|(_, status)| *status)];
        let within = self.statuses.iter();
        let within = within.filter(|(at, _)| *at > before && *at <= after);
        had.extend(within.map(|(_, status)| *status));
        had
    }

    fn check(&self, note: &Note, answer: &Answer) {
        let (before, after) = note.between;
        let had = self.between(before, after);
        let asked = Operation::ALL
            .into_iter()
            .find(|operation| format!("{operation:?}") == note.asked);
        match (asked, answer) {
            (None, answer) => assert_eq!(*answer, Answer::Done, "{note:?}"),
            (Some(operation), Answer::CalledOff) => assert_eq!(operation, Operation::Restart),
            (Some(_), Answer::Gone) => assert!(had.contains(&None), "{note:?}: {had:?}"),
            (Some(operation), Answer::Refused(status)) => {
                assert!(!operation.is_legal(*status), "{note:?}");
                // No event tells of a stop or a removal that is under way.
                let untold = matches!(status, Status::Stopping | Status::Removing);
                assert!(untold || had.contains(&Some(*status)), "{note:?}: {had:?}");
            }
            (Some(operation), Answer::Done) => self.check_done(note, operation, &had),
            (Some(_), answer) => panic!("{answer:?}: {note:?}"),
        }
    }

    /// What was done was possible, and the journal names who did it.
    fn check_done(&self, note: &Note, operation: Operation, had: &[Option<Status>]) {
        let possible = had
            .iter()
            .flatten()
            .any(|status| operation.is_legal(*status));
        // Stopping something that is gone, or cleaning up after it, is done.
        let easy = matches!(operation, Operation::Stop | Operation::Cleanup);
        assert!(
            possible || (easy && had.contains(&None)),
            "{note:?}: {had:?}"
        );
        let kind = match operation {
            Operation::Pause => EventKind::Pause,
            Operation::Unpause => EventKind::Unpause,
            Operation::Signal => EventKind::Kill,
            Operation::Init => EventKind::Init,
            Operation::Start
            | Operation::Restart
            | Operation::Attach
            | Operation::Exec
            | Operation::Kill
            | Operation::Stop
            | Operation::Cleanup
            | Operation::Refresh
            | Operation::Rename
            | Operation::Remove
            | Operation::RemoveByForce => return,
        };
        let (before, after) = note.between;
        let mut own = self.events.iter().filter(|event| {
            let at = event.cursor().0;
            event.kind() == kind && event.actor().pid == note.pid && at > before && at <= after
        });
        assert!(own.next().is_some() && own.next().is_none(), "{note:?}");
    }
}

/// The move that an event reports.
fn moved(kind: EventKind) -> Option<Trigger> {
    Some(match kind {
        EventKind::Init => Trigger::Init,
        EventKind::Start => Trigger::Start,
        EventKind::Pause => Trigger::Pause,
        EventKind::Unpause => Trigger::Unpause,
        EventKind::Kill => Trigger::Kill,
        EventKind::Died => Trigger::ExitSeen,
        EventKind::Cleanup => Trigger::Cleaned,
        EventKind::Attach
        | EventKind::Create
        | EventKind::Exec
        | EventKind::ExecDied
        | EventKind::Oom
        | EventKind::Remove
        | EventKind::Rename
        | EventKind::Restart
        | EventKind::Stop
        | EventKind::Refresh
        | EventKind::Sync => return None,
    })
}
