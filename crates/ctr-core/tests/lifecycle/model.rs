//! Random verbs against the real engine, with the two tables of status as the oracle.
//!
//! The model knows the status, whether the monitor lives, and which events a verb leads to. What a verb does is what
//! [`Operation::on`] says, and a status moves by [`Status::after`] alone: a verb that the engine allows and the tables do not is found,
//! and the other way round.

use ctr_core::{
    CleanupRequest, CleanupScope, Container, EngineError, MonitorState, RemoveMode, RestartRequest,
};
use ctr_events::EventKind;
use ctr_state::{Effect, Operation, Ran, StateError, Status, Trigger};
use ctr_sys::Signal;
use proptest::prelude::{ProptestConfig, Strategy, prop_oneof};
use proptest::strategy::Just;
use proptest::test_runner::TestRunner;

use crate::Test;
use crate::fake::USR1_CODE;
use crate::fixture::{Fixture, detached, remove, stop_after};
use crate::journal::{Journal, words};
use crate::processes::{await_cleanups, end, init_of, lose_monitor};

pub(crate) const TESTS: [Test; 1] = [("model: random verbs", random_verbs)];

const CASES: u32 = 30;
const STEPS: usize = 14;

const NAMES: [&str; 2] = ["one", "two"];

#[derive(Clone, Copy, Debug)]
enum Step {
    Create,
    Ask(Operation),
    /// The program ends.
    Exit,
    /// The monitor is killed.
    LoseMonitor,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask = |operation| Just(Step::Ask(operation));
    let moves = prop_oneof![
        5 => ask(Operation::Start),
        2 => ask(Operation::Init),
        2 => ask(Operation::Restart),
        2 => ask(Operation::Stop),
        3 => ask(Operation::Pause),
        2 => ask(Operation::Unpause),
        1 => ask(Operation::Signal),
        1 => ask(Operation::Kill),
        1 => ask(Operation::Cleanup),
        1 => ask(Operation::Refresh),
        1 => ask(Operation::Rename),
        1 => ask(Operation::Remove),
        1 => ask(Operation::RemoveByForce),
    ];
    let step = prop_oneof![
        3 => Just(Step::Create),
        23 => moves,
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
    model.take(&f, Step::Ask(Operation::RemoveByForce));
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
    /// The first of these names is its own, or will be.
    names: [&'static str; 2],
    ran: Ran,
    monitor: Watched,
    unrecorded: Unrecorded,
    code: Option<i32>,
    /// The code with which the program is about to end.
    dies_with: i32,
    /// The events that the step must lead to, and one that it may, in any order.
    must: Vec<EventKind>,
    may: Option<EventKind>,
}

/// Whether a monitor looks after the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    Not,
    Present,
    NoMore,
}

/// What an operation is for the engine.
fn carry_out(
    container: &Container<'_>,
    operation: Operation,
    new_name: &str,
) -> Result<(), EngineError> {
    match operation {
        Operation::Init => container.init(),
        Operation::Start => container.start(detached()).map(drop),
        Operation::Restart => {
            let request = RestartRequest { timeout_s: None };
            container.restart(request).map(drop)
        }
        Operation::Signal => container.kill(Signal::CONT),
        Operation::Kill => container.kill(Signal::KILL),
        Operation::Stop => container.stop(stop_after(60)).map(|_| ()),
        Operation::Pause => container.pause(),
        Operation::Unpause => container.unpause(),
        Operation::Cleanup => container.cleanup(CleanupRequest {
            scope: CleanupScope::All,
            ..CleanupRequest::ENDED
        }),
        Operation::Refresh => container.refresh(),
        Operation::Rename => container.rename(&new_name.parse().unwrap()),
        Operation::Remove => container.remove(remove(RemoveMode::Normal)).map(drop),
        Operation::RemoveByForce => container.remove(remove(RemoveMode::Force)).map(drop),
        Operation::Attach | Operation::Exec => unreachable!("a session is tested elsewhere"),
    }
}

impl Model {
    fn new(journal: Journal) -> Self {
        Self {
            journal,
            status: None,
            names: NAMES,
            ran: Ran::Never,
            monitor: Watched::Not,
            unrecorded: Unrecorded::Nothing,
            code: None,
            dies_with: 0,
            must: Vec::new(),
            may: None,
        }
    }

    fn take(&mut self, f: &Fixture, step: Step) {
        self.must.clear();
        self.may = None;
        let Some(status) = self.status else {
            self.take_without_container(f, step);
            return;
        };
        let container = f.engine.find(self.names[0]).unwrap();
        // A creation looks, too: whoever holds the name may be about to go.
        let locks = matches!(step, Step::Create | Step::Ask(_));
        if locks && self.unrecorded == Unrecorded::Death {
            self.unrecorded = Unrecorded::Nothing;
            self.must.push(EventKind::Died);
        } else if matches!(step, Step::Ask(_)) && self.monitor == Watched::NoMore {
            // Whoever takes the lock has another monitor look after it. A creation takes it only of what is over.
            self.monitor = Watched::Present;
        }
        match step {
            Step::Create => {
                let mut request = f.request(&[]);
                request.name = Some(self.names[0].parse().unwrap());
                let error = f.engine.create(request).unwrap_err();
                assert!(matches!(
                    error,
                    EngineError::State(StateError::NameInUse { .. })
                ));
            }
            Step::Ask(operation) => self.ask(f, &container, operation),
            Step::Exit if status == Status::Running => {
                end(&init_of(&container), Signal::USR1);
                self.exit();
            }
            // One that was only made is made anew then.
            Step::LoseMonitor if self.monitor == Watched::Present && status != Status::Created => {
                lose_monitor(&container);
                self.monitor = Watched::NoMore;
            }
            Step::Exit | Step::LoseMonitor => {}
        }
    }

    fn take_without_container(&mut self, f: &Fixture, step: Step) {
        if matches!(step, Step::Create) {
            f.named(self.names[0], |_| {});
            self.status = Some(Status::Configured);
            self.ran = Ran::Never;
            self.code = None;
            self.must.push(EventKind::Create);
        } else {
            assert!(f.engine.find(self.names[0]).unwrap_err().is_not_found());
        }
    }

    fn ask(&mut self, f: &Fixture, container: &Container<'_>, operation: Operation) {
        let status = self.status.unwrap();
        let result = carry_out(container, operation, self.names[1]);
        let effect = operation.on(status);
        if effect == Effect::Refused {
            let error = result.unwrap_err();
            let EngineError::WrongStatus {
                status: found,
                operation: asked,
                ..
            } = &error
            else {
                panic!("{operation:?} of {status:?}: {error}");
            };
            let said = (*found, asked.command());
            assert_eq!(said, (status, operation.command()), "{error}");
            return;
        }
        result.unwrap_or_else(|error| panic!("{operation:?} of {status:?}: {error}"));
        if operation == Operation::Rename {
            self.names.reverse();
            self.must.push(EventKind::Rename);
        }
        if operation == Operation::Refresh {
            self.must.push(EventKind::Refresh);
        }
        if operation == Operation::Restart {
            self.must.push(EventKind::Restart);
        }
        let monitor = self.monitor;
        if let Effect::Moves(triggers) | Effect::Removes(triggers) = effect {
            for trigger in triggers {
                self.go(*trigger, operation);
            }
        }
        if operation == Operation::Kill && monitor == Watched::Present {
            // The command that the monitor has started.
            self.go(Trigger::Cleaned, operation);
        }
        if let Effect::Removes(_) = effect {
            // The command that the monitor has started may come in between.
            self.may = Some(EventKind::Cleanup);
            self.status = None;
            self.monitor = Watched::Not;
            f.assert_gone(container.id());
        }
    }

    /// One move of the table, and what it means.
    fn go(&mut self, trigger: Trigger, of: Operation) {
        let status = self.status.unwrap();
        let taken_back = (Trigger::Cleaned, Status::Created, Ran::Before);
        let trigger = if (trigger, status, self.ran) == taken_back {
            Trigger::TakenBack
        } else {
            trigger
        };
        self.status = Some(status.after(trigger).unwrap());
        match trigger {
            Trigger::Init => {
                self.must.push(EventKind::Init);
                self.monitor = Watched::Present;
                self.code = None;
            }
            Trigger::Start => {
                self.must.push(EventKind::Start);
                self.ran = Ran::Before;
            }
            Trigger::Pause => self.must.push(EventKind::Pause),
            Trigger::Unpause => self.must.push(EventKind::Unpause),
            Trigger::BeginStop => {
                self.must.push(EventKind::Stop);
                if of == Operation::Refresh {
                    self.must.push(EventKind::Restart);
                }
                // A program that was not started cannot obey.
                self.dies_with = if status == Status::Created { 137 } else { 0 };
            }
            Trigger::Kill => {
                self.must.push(EventKind::Kill);
                self.dies_with = 137;
            }
            Trigger::ExitSeen => {
                self.must.push(EventKind::Died);
                self.ended();
            }
            Trigger::Cleaned | Trigger::TakenBack => {
                self.must.push(EventKind::Cleanup);
                if status == Status::Created {
                    self.code = Some(-1);
                }
                self.monitor = Watched::Not;
            }
            Trigger::BeginRemove => self.must.push(EventKind::Remove),
            Trigger::Rebooted => unreachable!("no operation"),
        }
    }

    fn exit(&mut self) {
        let monitor = self.monitor;
        self.dies_with = USR1_CODE;
        self.go(Trigger::ExitSeen, Operation::Cleanup);
        if monitor == Watched::Present {
            self.go(Trigger::Cleaned, Operation::Cleanup);
        } else {
            self.must.clear();
            self.unrecorded = Unrecorded::Death;
        }
    }

    /// Without a monitor, the kernel tells the code: here nobody reaps the process.
    fn ended(&mut self) {
        self.code = Some(self.dies_with);
        self.monitor = Watched::Not;
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
            let monitor = match summary.monitor() {
                MonitorState::Present { .. } => Watched::Present,
                MonitorState::Lost => Watched::NoMore,
                MonitorState::None => Watched::Not,
            };
            assert_eq!(monitor, self.monitor, "{step:?}");
            assert_eq!(
                summary.exit().map(ctr_state::ExitInfo::code),
                self.code,
                "{step:?}"
            );
        }
    }
}
