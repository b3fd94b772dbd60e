//! Random verbs against the real engine, with the status table as the oracle.
//!
//! The model knows the status, whether the monitor lives, and which events a verb leads to. A status moves by
//! [`Status::after`] alone, so a verb that the engine allows and the table does not is found, and the other way round.

use ctr_core::{
    CleanupRequest, Container, EngineError, MonitorState, RemoveMode, Started, StopOutcome,
};
use ctr_events::EventKind;
use ctr_state::{StateError, Status, Trigger};
use ctr_sys::Signal;
use proptest::prelude::{ProptestConfig, Strategy, prop_oneof};
use proptest::strategy::Just;
use proptest::test_runner::TestRunner;

use crate::Test;
use crate::fake::USR1_CODE;
use crate::fixture::{
    Fixture, await_cleanups, detached, end, init_of, monitor_of, remove, stop_after,
};
use crate::journal::{Journal, words};

pub(crate) const TESTS: [Test; 1] = [("model: random verbs", random_verbs)];

const CASES: u32 = 20;
const STEPS: usize = 12;

#[derive(Clone, Copy, Debug)]
enum Step {
    Create,
    Start,
    Stop,
    Kill,
    Remove,
    RemoveByForce,
    Cleanup,
    /// The program ends.
    Exit,
    /// The monitor is killed.
    LoseMonitor,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Create),
        5 => Just(Step::Start),
        2 => Just(Step::Stop),
        1 => Just(Step::Kill),
        1 => Just(Step::Remove),
        1 => Just(Step::RemoveByForce),
        1 => Just(Step::Cleanup),
        2 => Just(Step::Exit),
        2 => Just(Step::LoseMonitor),
    ];
    proptest::collection::vec(step, STEPS)
}

fn random_verbs() {
    let config = ProptestConfig {
        cases: CASES,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let result = TestRunner::new(config).run(&steps(), |steps| {
        check(&steps);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

fn check(steps: &[Step]) {
    let f = Fixture::new();
    let mut model = Model::new(f.journal());
    for step in steps {
        model.take(&f, *step);
        model.compare(&f, *step);
    }
    model.take(&f, Step::RemoveByForce);
    let locks = std::fs::read_dir(f.path("run/locks")).map_or(0, Iterator::count);
    assert_eq!((f.engine.list().unwrap().len(), locks), (0, 0));
}

/// What an end that is not recorded yet leaves for the next command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unrecorded {
    Nothing,
    Death,
}

struct Model {
    journal: Journal,
    /// `None`: there is no container.
    status: Option<Status>,
    monitor: MonitorState,
    unrecorded: Unrecorded,
    code: Option<i32>,
    /// The events that the step must lead to, and one that it may, in any order.
    must: Vec<EventKind>,
    may: Option<EventKind>,
}

impl Model {
    fn new(journal: Journal) -> Self {
        Self {
            journal,
            status: None,
            monitor: MonitorState::None,
            unrecorded: Unrecorded::Nothing,
            code: None,
            must: Vec::new(),
            may: None,
        }
    }

    /// Moves by the table.
    fn go(&mut self, triggers: &[Trigger]) {
        for trigger in triggers {
            let status = self.status.unwrap();
            self.status = Some(status.after(*trigger).unwrap());
        }
    }

    fn expect(&mut self, events: &[EventKind]) {
        self.must.extend(events);
    }

    fn take(&mut self, f: &Fixture, step: Step) {
        self.must.clear();
        self.may = None;
        let Some(status) = self.status else {
            self.take_without_container(f, step);
            return;
        };
        let container = f.engine.find("c").unwrap();
        // A creation looks, too: whoever holds the name may be about to go.
        let locks = !matches!(step, Step::Exit | Step::LoseMonitor);
        if locks && self.unrecorded == Unrecorded::Death {
            self.unrecorded = Unrecorded::Nothing;
            self.expect(&[EventKind::Died]);
        }
        match step {
            Step::Create => {
                let error = f.engine.create(f.request(&[])).unwrap_err();
                assert!(matches!(
                    error,
                    EngineError::State(StateError::NameInUse { .. })
                ));
            }
            Step::Start => self.start(&container, status),
            Step::Stop => self.stop(&container, status),
            Step::Kill => self.kill(&container, status),
            Step::Remove => self.remove(f, &container, status, RemoveMode::Normal),
            Step::RemoveByForce => self.remove(f, &container, status, RemoveMode::Force),
            Step::Cleanup => self.cleanup(&container, status),
            Step::Exit if status == Status::Running => self.exit(&container),
            Step::LoseMonitor if self.monitor == MonitorState::Present => {
                end(&monitor_of(&container), Signal::KILL);
                self.monitor = MonitorState::Lost;
            }
            Step::Exit | Step::LoseMonitor => {}
        }
    }

    fn take_without_container(&mut self, f: &Fixture, step: Step) {
        if matches!(step, Step::Create) {
            f.create(&[]);
            self.status = Some(Status::Configured);
            self.code = None;
            self.expect(&[EventKind::Create]);
        } else {
            assert!(f.engine.find("c").unwrap_err().is_not_found());
        }
    }

    fn start(&mut self, container: &Container<'_>, status: Status) {
        let started = container.start(detached()).unwrap();
        if status == Status::Running {
            assert!(matches!(started, Started::Already));
            return;
        }
        if status == Status::Stopped {
            self.go(&[Trigger::Cleaned]);
            self.expect(&[EventKind::Cleanup]);
        }
        self.go(&[Trigger::Init, Trigger::Start]);
        self.expect(&[EventKind::Init, EventKind::Start]);
        self.monitor = MonitorState::Present;
        self.code = None;
    }

    fn stop(&mut self, container: &Container<'_>, status: Status) {
        let outcome = container.stop(stop_after(60)).unwrap();
        if status == Status::Running {
            assert_eq!(outcome, StopOutcome::Stopped);
            self.go(&[Trigger::BeginStop, Trigger::ExitSeen, Trigger::Cleaned]);
            self.expect(&[EventKind::Died, EventKind::Stop, EventKind::Cleanup]);
            self.ended(0);
            return;
        }
        assert_eq!(outcome, StopOutcome::AlreadyStopped);
        if status == Status::Stopped {
            self.go(&[Trigger::Cleaned]);
            self.expect(&[EventKind::Cleanup]);
        }
    }

    fn kill(&mut self, container: &Container<'_>, status: Status) {
        let result = container.kill(Signal::KILL);
        if status != Status::Running {
            assert!(
                matches!(result, Err(EngineError::WrongStatus { .. })),
                "{result:?}"
            );
            return;
        }
        result.unwrap();
        self.go(&[Trigger::Kill, Trigger::ExitSeen]);
        self.expect(&[EventKind::Kill, EventKind::Died]);
        if self.monitor == MonitorState::Present {
            self.go(&[Trigger::Cleaned]);
            self.expect(&[EventKind::Cleanup]);
        }
        self.ended(137);
    }

    fn remove(&mut self, f: &Fixture, container: &Container<'_>, status: Status, mode: RemoveMode) {
        let result = container.remove(remove(mode));
        if status == Status::Running {
            if mode == RemoveMode::Normal {
                assert!(
                    matches!(result, Err(EngineError::WrongStatus { .. })),
                    "{result:?}"
                );
                return;
            }
            self.go(&[Trigger::BeginStop, Trigger::ExitSeen]);
            self.expect(&[EventKind::Died, EventKind::Stop]);
            // The command that the monitor has started may come in between.
            self.may = Some(EventKind::Cleanup);
        }
        result.unwrap();
        self.go(&[Trigger::BeginRemove]);
        self.expect(&[EventKind::Remove]);
        self.status = None;
        self.monitor = MonitorState::None;
        f.assert_gone(container.id());
    }

    fn cleanup(&mut self, container: &Container<'_>, status: Status) {
        let result = container.cleanup(CleanupRequest { generation: None });
        if status == Status::Running {
            assert!(
                matches!(result, Err(EngineError::WrongStatus { .. })),
                "{result:?}"
            );
            return;
        }
        result.unwrap();
        if status == Status::Stopped {
            self.go(&[Trigger::Cleaned]);
            self.expect(&[EventKind::Cleanup]);
        }
    }

    fn exit(&mut self, container: &Container<'_>) {
        end(&init_of(container), Signal::USR1);
        self.go(&[Trigger::ExitSeen]);
        if self.monitor == MonitorState::Present {
            self.go(&[Trigger::Cleaned]);
            self.expect(&[EventKind::Died, EventKind::Cleanup]);
        } else {
            self.unrecorded = Unrecorded::Death;
        }
        self.ended(USR1_CODE);
    }

    /// Only a monitor can tell the code.
    fn ended(&mut self, code: i32) {
        let known = self.monitor == MonitorState::Present;
        self.code = Some(if known { code } else { -1 });
        self.monitor = MonitorState::None;
    }

    fn compare(&mut self, f: &Fixture, step: Step) {
        let mut news = Vec::new();
        if self.must.contains(&EventKind::Cleanup) {
            news = self.journal.until(EventKind::Cleanup);
        }
        // None comes late and acts on what the next step finds.
        await_cleanups(&f.engine);
        news.extend(self.journal.news());
        let shown = words(&news);
        let mut kinds: Vec<EventKind> = news.iter().map(ctr_events::Event::kind).collect();
        for kind in &self.must {
            let position = kinds.iter().position(|other| other == kind);
            let position = position.unwrap_or_else(|| panic!("{step:?}: no {kind}: {shown}"));
            kinds.remove(position);
        }
        kinds.retain(|kind| Some(*kind) != self.may);
        assert_eq!(kinds, [], "{step:?}: {shown}");
        let summary = f.engine.list().unwrap().pop();
        let status = summary.as_ref().and_then(ctr_core::Summary::status);
        assert_eq!(status, self.status, "{step:?}");
        if let Some(summary) = summary {
            assert_eq!(summary.monitor(), self.monitor, "{step:?}");
            assert_eq!(
                summary.exit().map(ctr_state::ExitInfo::code),
                self.code,
                "{step:?}"
            );
        }
    }
}
