//! What calls do to a container, step by step.

use super::super::history::{Answer, Call, Id, Status, Verb};
use super::{Container, END, KILL, LATE, Next, Progress, TERM, World, at, one};

/// A step of a call: the container, the number of the step, and the run that is meant.
type Place = (Id, u8, u32);

/// The run that is to be has its number.
const NUMBERED: u8 = 2;
/// The lock was just taken, and the container goes away.
const REMOVE: u8 = 10;
/// It is on its way, and nobody can keep it.
const REMOVING: u8 = 11;
/// The end of the run is waited for without the lock.
const AWAIT: u8 = 20;
/// The end has come, and the lock is taken again.
const AFTER: u8 = 21;

impl World {
    pub(super) fn act(&self, call: &Call, number: u16, place: Place) -> Vec<Next> {
        let (id, step, generation) = place;
        let Some(container) = self.get(id) else {
            return self.of_nothing(call, step);
        };
        match (call.verb, step) {
            (_, AWAIT) => {
                self.stays((is_over(container, generation)).then_some(at(id, AFTER, generation)))
            }
            (_, REMOVE) => self.remove(id, container),
            (_, REMOVING) => one(self.without(id), Progress::Done),
            (Verb::List | Verb::Read | Verb::Wait, _) => self.look(call, container, place),
            _ if container.lock.is_some_and(|holder| holder != number) => Vec::new(),
            (_, AFTER) => self.after(call, container, (id, number)),
            (Verb::Create, _) => one(self.unlocked(id), Progress::Done),
            (Verb::Init | Verb::Start, _) => self.start(call, container, (id, step, number)),
            (Verb::Cleanup, 1) => self.take_back(id, container),
            _ => self.under_lock(call, container, (id, number)),
        }
    }

    /// A writer that has the lock and finds out whether it may.
    fn under_lock(&self, call: &Call, container: &Container, place: (Id, u16)) -> Vec<Next> {
        if let Answer::Refused(status) = call.answer {
            let right = is_refused(call.verb, container, status);
            self.stays(right.then_some(Progress::Done))
        } else if let Answer::InUse(by) = call.answer {
            let new = call.to_name.and_then(|name| self.holder(name));
            let other = new.filter(|holder| *holder != place.0);
            let right = other.is_some_and(|other| by.is_none_or(|by| by == other));
            self.stays((right && call.verb == Verb::Rename).then_some(Progress::Done))
        } else if matches!(call.answer, Answer::Gone | Answer::Other(_)) {
            Vec::new()
        } else {
            self.done(call, container, place)
        }
    }

    /// Whether a step can be taken as soon as it is possible: it changes nothing, and whatever else the call could do instead would
    /// change nothing either.
    pub(crate) fn is_free(&self, call: &Call, progress: Progress, next: &Next) -> bool {
        if next.world != *self {
            return false;
        }
        let settled = matches!(call.verb, Verb::Read | Verb::List | Verb::Signal)
            || (call.verb == Verb::Wait && next.progress == Progress::Done)
            || matches!(
                call.answer,
                Answer::Refused(_) | Answer::InUse(_) | Answer::Gone | Answer::Started(Some(false))
            );
        // There may be nothing now, and something to do later.
        let easy = call.id.is_none() && call.answer == Answer::Done;
        match progress {
            // The name means what it has to mean now; later it may not.
            Progress::Asked => {
                let over = next.progress == Progress::Done && !easy;
                call.id.is_some() || over || call.verb == Verb::List
            }
            Progress::At { id, step, .. } => settled || step >= AWAIT || self.get(id).is_none(),
            Progress::Done => false,
        }
    }

    /// The container has gone since it was meant.
    fn of_nothing(&self, call: &Call, step: u8) -> Vec<Next> {
        let fine = match (call.verb, &call.answer) {
            // It does not run and nothing of it is left, which is what was asked for.
            (Verb::Stop | Verb::Cleanup, answer) => *answer == Answer::Done,
            // The command has found it, and somebody else has done what it was about to do.
            (Verb::Remove, Answer::Done) => call.id.is_none(),
            // They have seen to its end, and somebody else was faster afterwards.
            (Verb::Kill | Verb::RemoveByForce, Answer::Done) => step >= AWAIT,
            // The run that was meant is over, and its code is in the ledger.
            (Verb::Wait, Answer::Ended(_)) => step > 0,
            // A row of a list was there when the names were read.
            (Verb::List, _) => true,
            (_, answer) => *answer == Answer::Gone,
        };
        self.stays(fine.then_some(Progress::Done))
    }

    fn unlocked(&self, id: Id) -> World {
        self.with(id, |container| container.lock = None)
    }

    /// Readers: first what is recorded, then what the kernel says of it.
    fn look(&self, call: &Call, container: &Container, place: Place) -> Vec<Next> {
        let (id, step, generation) = place;
        match (&call.answer, step) {
            (Answer::Row(Some((_, status))), _) => {
                self.stays((container.status == *status).then_some(Progress::Done))
            }
            (Answer::Seen(seen), 0) => {
                let right = seen.name.is_none_or(|name| self.name_of(id) == Some(name))
                    && seen
                        .generation
                        .is_none_or(|seen| seen == container.generation)
                    && seen.count.is_none_or(|count| count == container.count);
                self.stays(right.then_some(at(id, 1, container.generation)))
            }
            (Answer::Seen(seen), _) => {
                let right = seen.status.is_none_or(|status| status == container.status);
                self.stays(right.then_some(Progress::Done))
            }
            (Answer::Ended(_), 0) => self.stays(Some(at(id, 1, container.generation))),
            (Answer::Ended(code), _) => {
                let known = container.codes.get(generation as usize).copied().flatten();
                let right =
                    is_over(container, generation) && known.is_none_or(|known| known == *code);
                self.stays(right.then_some(Progress::Done))
            }
            _ => Vec::new(),
        }
    }

    /// Both make the container; a start goes on. The lock is held from the first step to the last.
    fn start(&self, call: &Call, container: &Container, place: (Id, u8, u16)) -> Vec<Next> {
        let (id, step, number) = place;
        let initializes = call.verb == Verb::Init;
        if let Answer::Refused(status) = call.answer {
            let right = step == 0 && is_refused(call.verb, container, status);
            return self.stays(right.then_some(Progress::Done));
        }
        let done = matches!(call.answer, Answer::Done | Answer::Started(_));
        let (by_us, by_others) = if let Answer::Started(Some(by_us)) = call.answer {
            (by_us, !by_us)
        } else {
            (done, done)
        };
        let held = |change: fn(&mut Container)| {
            self.with(id, |container| {
                container.lock = Some(number);
                change(container);
            })
        };
        match (container.status, step) {
            (Status::Running, 0) if !initializes => self.stays(by_others.then_some(Progress::Done)),
            _ if !by_us => Vec::new(),
            (Status::Stopped, _) => one(held(|it| it.status = Status::Exited), at(id, 1, 0)),
            (Status::Created | Status::Exited, 0 | 1) => {
                one(held(Container::begin), at(id, NUMBERED, 0))
            }
            (Status::Created | Status::Exited, _) if initializes => {
                let made = self
                    .unlocked(id)
                    .with(id, |it| it.status = Status::Initialized);
                one(made, Progress::Done)
            }
            (Status::Created | Status::Exited, _) => one(
                held(|it| it.status = Status::Initialized),
                at(id, NUMBERED, 0),
            ),
            (Status::Initialized, _) if !initializes => {
                let started = self.with(id, |container| {
                    container.status = Status::Running;
                    container.ran = true;
                    container.lock = None;
                });
                one(started, Progress::Done)
            }
            _ => Vec::new(),
        }
    }

    /// The other writers, where they are not refused.
    fn done(&self, call: &Call, container: &Container, place: (Id, u16)) -> Vec<Next> {
        let (id, number) = place;
        let status = container.status;
        let generation = container.generation;
        let active = matches!(status, Status::Running | Status::Paused | Status::Stopping);
        let doomed = |bit: u8| self.with(id, |container| container.doom |= bit);
        let becomes = |status| self.with(id, |container| container.status = status);
        let locked = || self.with(id, |container| container.lock = Some(number));
        match (call.verb, status) {
            (Verb::Stop, _) => self.begin_stop(call, id, container),
            (Verb::Kill, _) if active => one(doomed(KILL), at(id, AWAIT, generation)),
            (Verb::End, Status::Paused) => one(doomed(LATE), Progress::Done),
            (Verb::End, _) if active => one(doomed(END), Progress::Done),
            (Verb::Signal, _) => self.stays(active.then_some(Progress::Done)),
            (Verb::Pause, Status::Running) => one(becomes(Status::Paused), Progress::Done),
            (Verb::Unpause, Status::Paused) => {
                let mut world = becomes(Status::Running);
                if container.doom & LATE != 0 {
                    world = world.with(id, |container| {
                        container.doom = (container.doom & !LATE) | END;
                    });
                }
                one(world, Progress::Done)
            }
            (Verb::Cleanup, Status::Created | Status::Exited) => self.stays(Some(Progress::Done)),
            (Verb::Cleanup, Status::Stopped) => one(becomes(Status::Exited), Progress::Done),
            // The command says of one that runs that there is nothing to do.
            (Verb::Cleanup, _) if active => {
                self.stays((call.id.is_none()).then_some(Progress::Done))
            }
            (Verb::Cleanup, Status::Initialized) => one(locked(), at(id, 1, 0)),
            (Verb::Rename, _) => match (call.to_name, call.to_name.and_then(|n| self.holder(n))) {
                (Some(name), None) => one(self.renamed(id, name), Progress::Done),
                (_, holder) => self.stays((holder == Some(id)).then_some(Progress::Done)),
            },
            (Verb::Count, _) => {
                let right = call.answer == Answer::Counted(container.count + 1);
                let counted = self.with(id, |container| container.count += 1);
                let mut next = one(counted, Progress::Done);
                next.retain(|_| right);
                next
            }
            (Verb::RemoveByForce, Status::Running | Status::Stopping) => {
                self.begin_stop(call, id, container)
            }
            (Verb::RemoveByForce, Status::Paused) => one(doomed(KILL), at(id, AWAIT, generation)),
            (Verb::Remove | Verb::RemoveByForce, _) if !active => one(locked(), at(id, REMOVE, 0)),
            _ => Vec::new(),
        }
    }

    fn begin_stop(&self, call: &Call, id: Id, container: &Container) -> Vec<Next> {
        let place = at(id, AWAIT, container.generation);
        match container.status {
            Status::Running | Status::Stopping | Status::Initialized => {
                // A program that was not started cannot obey, and those that the command starts do not.
                let deaf = container.status == Status::Initialized || call.id.is_none();
                let bit = if deaf { KILL } else { TERM };
                let stopping = self.with(id, |container| {
                    container.status = Status::Stopping;
                    container.doom |= bit;
                });
                one(stopping, place)
            }
            Status::Created | Status::Stopped | Status::Exited => {
                self.stays(Some(at(id, AFTER, container.generation)))
            }
            Status::Paused | Status::Removing => Vec::new(),
        }
    }

    /// The run that was meant is over, and whoever has waited for it takes the lock once more.
    fn after(&self, call: &Call, container: &Container, place: (Id, u16)) -> Vec<Next> {
        let (id, number) = place;
        if call.verb == Verb::RemoveByForce {
            // Somebody may have started it again: it is stopped again.
            return self.done(call, container, (id, number));
        }
        if call.verb == Verb::Stop && container.status == Status::Stopped {
            let cleaned = self.with(id, |container| container.status = Status::Exited);
            return one(cleaned, Progress::Done);
        }
        self.stays(Some(Progress::Done))
    }

    /// A run that was made and never started ends before what it has is given back.
    fn take_back(&self, id: Id, container: &Container) -> Vec<Next> {
        let mut next = one(
            self.unlocked(id).with(id, Container::take_back),
            Progress::Done,
        );
        if container.status == Status::Initialized {
            let ended = self.with(id, |container| container.status = Status::Stopped);
            next.extend(one(ended, at(id, 1, 0)));
        }
        next
    }

    fn remove(&self, id: Id, container: &Container) -> Vec<Next> {
        let removing = self.with(id, |container| {
            if container.status == Status::Initialized {
                container.note(None);
            }
            container.status = Status::Removing;
        });
        let mut next = one(removing, at(id, REMOVING, 0));
        if container.status == Status::Initialized {
            let ended = self.with(id, |container| container.end(None));
            next.extend(one(ended, at(id, REMOVE, 0)));
        }
        next
    }
}

/// Whether the run of this number is no longer under way.
fn is_over(container: &Container, generation: u32) -> bool {
    container.generation != generation || !container.status.is_active()
}

/// Whether a container may refuse this because of this status.
fn is_refused(verb: Verb, container: &Container, said: Status) -> bool {
    let refuses = match verb {
        Verb::Init => !matches!(said, Status::Created | Status::Stopped | Status::Exited),
        Verb::Start => matches!(said, Status::Paused | Status::Stopping | Status::Removing),
        Verb::Stop => matches!(said, Status::Paused | Status::Removing),
        Verb::Kill | Verb::End | Verb::Signal => {
            !matches!(said, Status::Running | Status::Paused | Status::Stopping)
        }
        Verb::Pause => said != Status::Running,
        Verb::Unpause => said != Status::Paused,
        Verb::Cleanup | Verb::Remove => {
            matches!(said, Status::Running | Status::Paused | Status::Stopping)
        }
        Verb::Rename => said == Status::Removing,
        Verb::Create | Verb::RemoveByForce | Verb::Read | Verb::List | Verb::Count | Verb::Wait => {
            false
        }
    };
    // Its program has ended, and nobody has written that down yet.
    let unrecorded = said == Status::Stopped
        && container.is_doomed()
        && matches!(verb, Verb::Kill | Verb::End | Verb::Signal);
    refuses && (said == container.status || unrecorded)
}
