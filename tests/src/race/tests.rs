//! The checker tells what is possible from what is not: above all it finds updates that were lost.

use super::checker::{Verdict, check};
use super::history::{Answer, Call, Id, Name, Seen, Status, Verb};

/// A call about a container, in a time of its own.
fn call(verb: Verb, name: Name, id: Option<Id>, time: (i64, i64), answer: Answer) -> Call {
    Call {
        process: 0,
        verb,
        name,
        to_name: None,
        id,
        from: time.0,
        to: time.1,
        answer,
    }
}

/// Calls about container 0, which is called 0 unless it is renamed, one after the other.
struct History(Vec<Call>);

impl History {
    fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds one that begins after all others have ended.
    fn then(mut self, verb: Verb, answer: Answer) -> Self {
        let from = self.0.iter().map(|call| call.to).max().unwrap_or(0) + 1;
        let id = (answer != Answer::Gone).then_some(0);
        self.0.push(call(verb, 0, id, (from, from + 1), answer));
        self
    }

    /// Adds one that begins with the last one and ends with it.
    fn beside(mut self, verb: Verb, answer: Answer) -> Self {
        let time = self.0.last().map_or((1, 2), |call| (call.from, call.to));
        self.0.push(call(verb, 0, Some(0), time, answer));
        self
    }

    fn created() -> Self {
        Self::new().then(Verb::Create, Answer::Done)
    }

    fn running() -> Self {
        Self::created().then(Verb::Start, Answer::Started(Some(true)))
    }

    fn is_legal(&self) {
        assert_eq!(check(&self.0), Verdict::Legal);
    }

    fn is_illegal(&self) {
        assert!(
            matches!(check(&self.0), Verdict::Illegal(_)),
            "{:#?}",
            self.0
        );
    }
}

fn seen(status: Status, generation: u32, count: u32) -> Answer {
    Answer::Seen(Seen {
        name: None,
        status: Some(status),
        generation: Some(generation),
        count: Some(count),
    })
}

#[test]
fn a_life_is_legal() {
    History::running()
        .then(Verb::Count, Answer::Counted(1))
        .then(Verb::Read, seen(Status::Running, 1, 1))
        .then(Verb::Pause, Answer::Done)
        .then(Verb::Start, Answer::Refused(Status::Paused))
        .then(Verb::Unpause, Answer::Done)
        .then(Verb::Stop, Answer::Done)
        .then(Verb::Wait, Answer::Ended(0))
        .then(Verb::Start, Answer::Started(Some(true)))
        .then(Verb::Read, seen(Status::Running, 2, 0))
        .then(Verb::RemoveByForce, Answer::Done)
        .then(Verb::Read, Answer::Gone)
        .is_legal();
    assert_eq!(check(&[]), Verdict::Legal);
}

#[test]
fn what_happens_at_the_same_time_has_some_order() {
    History::created()
        .then(Verb::Start, Answer::Started(Some(false)))
        .beside(Verb::Start, Answer::Started(Some(true)))
        .beside(Verb::Stop, Answer::Done)
        .beside(Verb::Pause, Answer::Refused(Status::Created))
        .beside(Verb::Read, seen(Status::Initialized, 1, 0))
        .is_legal();
    // The same, one after the other, has only the order in which it was asked.
    History::created()
        .then(Verb::Start, Answer::Started(Some(false)))
        .then(Verb::Start, Answer::Started(Some(true)))
        .is_illegal();
}

#[test]
fn a_program_ends_when_it_was_told_to_and_not_before() {
    let told = || History::running().then(Verb::End, Answer::Done);
    told()
        .then(Verb::Read, seen(Status::Running, 1, 0))
        .is_legal();
    told()
        .then(Verb::Read, seen(Status::Exited, 1, 0))
        .is_legal();
    told().then(Verb::Wait, Answer::Ended(3)).is_legal();
    told().then(Verb::Wait, Answer::Ended(0)).is_illegal();
    History::running()
        .then(Verb::Read, seen(Status::Exited, 1, 0))
        .is_illegal();
    // Frozen, it does not hear of it.
    let frozen = || {
        History::running()
            .then(Verb::Pause, Answer::Done)
            .then(Verb::End, Answer::Done)
    };
    frozen().then(Verb::Wait, Answer::Ended(3)).is_illegal();
    frozen()
        .then(Verb::Unpause, Answer::Done)
        .then(Verb::Wait, Answer::Ended(3))
        .is_legal();
}

#[test]
fn every_lost_update_is_found() {
    const COUNTS: u32 = 40;
    // Four processes count, and each call overlaps those of the others.
    let counts = |lost: Option<u32>| {
        let mut history = History::created();
        for number in 1..=COUNTS {
            let begin = i64::from(number) * 10;
            let value = number - u32::from(lost.is_some_and(|lost| lost <= number));
            let answer = Answer::Counted(value);
            let time = (begin, begin + 35);
            history.0.push(call(Verb::Count, 0, Some(0), time, answer));
        }
        history
    };
    counts(None).is_legal();
    for lost in 2..=COUNTS {
        // The call `lost` has read what the one before it had not written yet, and both have written the same.
        counts(Some(lost)).is_illegal();
    }
}

#[test]
fn a_read_of_what_was_before_the_last_change_is_found() {
    let counted = || History::created().then(Verb::Count, Answer::Counted(1));
    counted()
        .then(Verb::Read, seen(Status::Created, 0, 1))
        .is_legal();
    counted()
        .then(Verb::Read, seen(Status::Created, 0, 0))
        .is_illegal();
    counted()
        .beside(Verb::Read, seen(Status::Created, 0, 0))
        .is_legal();
    History::running()
        .then(Verb::Stop, Answer::Done)
        .then(Verb::Read, seen(Status::Running, 1, 0))
        .is_illegal();
}

#[test]
fn a_run_has_one_number() {
    History::running()
        .then(Verb::Kill, Answer::Done)
        .then(Verb::Start, Answer::Started(Some(true)))
        .then(Verb::Read, seen(Status::Running, 1, 0))
        .is_illegal();
    History::running()
        .then(Verb::Start, Answer::Started(Some(true)))
        .is_illegal();
}

#[test]
fn a_refusal_needs_its_status() {
    History::running()
        .then(Verb::Pause, Answer::Refused(Status::Exited))
        .is_illegal();
    History::running()
        .then(Verb::Pause, Answer::Refused(Status::Running))
        .is_illegal();
    History::running()
        .then(Verb::Remove, Answer::Refused(Status::Running))
        .is_legal();
    History::created()
        .then(Verb::Read, Answer::Gone)
        .is_illegal();
}

#[test]
fn a_name_has_one_owner() {
    let twice = |answer: Answer, time: (i64, i64)| {
        let id = (answer == Answer::Done).then_some(1);
        vec![
            call(Verb::Create, 0, Some(0), (1, 5), Answer::Done),
            call(Verb::Create, 0, id, time, answer),
        ]
    };
    for time in [(2, 6), (7, 8)] {
        assert_eq!(check(&twice(Answer::InUse(Some(0)), time)), Verdict::Legal);
        assert_ne!(check(&twice(Answer::Done, time)), Verdict::Legal);
        assert_ne!(check(&twice(Answer::InUse(Some(7)), time)), Verdict::Legal);
    }
    // A removal in between makes two creations possible, if it can be in between.
    for (time, verdict) in [((3, 9), true), ((8, 9), false)] {
        let mut calls = twice(Answer::Done, (5, 7));
        calls.push(call(Verb::Remove, 0, Some(0), time, Answer::Done));
        assert_eq!(check(&calls) == Verdict::Legal, verdict, "{time:?}");
    }
}

#[test]
fn a_rename_moves_a_container_from_one_name_to_the_other() {
    let renamed = |answer: Answer| {
        let mut rename = call(Verb::Rename, 0, Some(0), (11, 12), answer);
        rename.to_name = Some(1);
        vec![call(Verb::Create, 0, Some(0), (1, 2), Answer::Done), rename]
    };
    let with = |mut calls: Vec<Call>, more: Call| {
        calls.push(more);
        check(&calls)
    };
    let row = |name: Name, time, row: Option<(Id, Status)>| {
        call(Verb::List, name, None, time, Answer::Row(row))
    };
    let here = Some((0, Status::Created));
    let after = (13, 14);
    assert_eq!(
        with(renamed(Answer::Done), row(1, after, here)),
        Verdict::Legal
    );
    assert_eq!(
        with(renamed(Answer::Done), row(0, after, None)),
        Verdict::Legal
    );
    assert_eq!(
        with(renamed(Answer::Done), row(0, (3, 4), here)),
        Verdict::Legal
    );
    // The rename was lost, or came out of the air.
    assert_ne!(
        with(renamed(Answer::Done), row(0, after, here)),
        Verdict::Legal
    );
    assert_ne!(
        with(renamed(Answer::Done), row(1, after, None)),
        Verdict::Legal
    );
    assert_ne!(
        with(renamed(Answer::Done), row(1, (3, 4), here)),
        Verdict::Legal
    );
    let other = call(Verb::Create, 1, Some(1), (3, 4), Answer::Done);
    assert_ne!(with(renamed(Answer::Done), other.clone()), Verdict::Legal);
    assert_eq!(with(renamed(Answer::InUse(Some(1))), other), Verdict::Legal);
    assert_ne!(check(&renamed(Answer::InUse(None))), Verdict::Legal);
}

#[test]
fn an_answer_of_no_kind_is_illegal() {
    History::created()
        .then(Verb::Pause, Answer::Other("out of the air".to_owned()))
        .is_illegal();
}
