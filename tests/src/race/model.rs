//! What containers are, in few words: a small machine of our own, written from the documentation and not from the engine.
//!
//! A call is not one moment: a start makes the container first and starts it then, a stop gives the lock up while it waits. So a call
//! is a row of steps, each of them one moment somewhere between question and answer, and what others see in between is part of
//! the model. A holder of the lock keeps other writers out and no reader. What nobody has asked for happens, too: a program that was
//! told to end does so at some moment, and then somebody cleans up.

use super::history::{Answer, Call, Id, Name, Status, Verb};

mod act;

/// Why the program of a run is going to end: bits.
pub(super) const TERM: u8 = 1;
pub(super) const END: u8 = 2;
pub(super) const KILL: u8 = 4;
/// It was told to end while it was frozen: it will hear of that when it goes on.
pub(super) const LATE: u8 = 8;

/// The exit codes that these lead to.
const CODES: [(u8, i32); 3] = [(TERM, 0), (END, 3), (KILL, 137)];

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Container {
    pub(super) status: Status,
    pub(super) generation: u32,
    /// The number that [`Verb::Count`] makes grow; a new run begins at 0.
    pub(super) count: u32,
    /// Whether its program was ever started.
    pub(super) ran: bool,
    pub(super) doom: u8,
    /// Which call holds the lock, by its place in the history.
    pub(super) lock: Option<u16>,
    /// The exit codes of the runs that are over, by generation; `None` for one that was taken back.
    pub(super) codes: Vec<Option<i32>>,
}

/// All that there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct World {
    names: Vec<(Name, Id)>,
    containers: Vec<(Id, Container)>,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Progress {
    /// Nothing of it has happened.
    Asked,
    /// It is about this container, in this step, and means this run of it.
    At { id: Id, step: u8, generation: u32 },
    /// All of it has happened.
    Done,
}

/// A step that may happen next.
#[derive(Clone, Debug)]
pub(crate) struct Next {
    pub(crate) world: World,
    pub(crate) progress: Progress,
}

impl World {
    /// Who has the name.
    pub(crate) fn holder(&self, name: Name) -> Option<Id> {
        let found = self.names.iter().find(|(known, _)| *known == name);
        found.map(|(_, id)| *id)
    }

    /// What it is called.
    pub(crate) fn name_of(&self, id: Id) -> Option<Name> {
        let found = self.names.iter().find(|(_, known)| *known == id);
        found.map(|(name, _)| *name)
    }

    pub(super) fn get(&self, id: Id) -> Option<&Container> {
        let found = self.containers.iter().find(|(known, _)| *known == id);
        found.map(|(_, container)| container)
    }

    /// The world with this container changed.
    pub(super) fn with(&self, id: Id, change: impl FnOnce(&mut Container)) -> World {
        let mut world = self.clone();
        if let Some((_, container)) = world.containers.iter_mut().find(|(known, _)| *known == id) {
            change(container);
        }
        world
    }

    pub(super) fn renamed(&self, id: Id, name: Name) -> World {
        let mut world = self.clone();
        world.names.retain(|(_, known)| *known != id);
        world.names.push((name, id));
        world.names.sort_unstable();
        world
    }

    pub(super) fn without(&self, id: Id) -> World {
        let mut world = self.clone();
        world.names.retain(|(_, known)| *known != id);
        world.containers.retain(|(known, _)| *known != id);
        world
    }

    fn created(&self, name: Name, id: Id, by: u16) -> World {
        let mut world = self.renamed(id, name);
        let container = Container {
            status: Status::Created,
            generation: 0,
            count: 0,
            ran: false,
            doom: 0,
            lock: Some(by),
            codes: Vec::new(),
        };
        world.containers.push((id, container));
        world.containers.sort_unstable_by_key(|(id, _)| *id);
        world
    }

    /// What may happen to a container without a call: its program ends, and somebody cleans up.
    pub(crate) fn by_itself(&self, id: Id) -> Vec<World> {
        let mut worlds = Vec::new();
        let Some(container) = self.get(id) else {
            return worlds;
        };
        let ends = matches!(
            container.status,
            Status::Running | Status::Paused | Status::Stopping
        );
        for (bit, code) in CODES {
            if ends && container.doom & bit != 0 {
                worlds.push(self.with(id, |container| container.end(Some(code))));
            }
        }
        if container.status == Status::Stopped && container.lock.is_none() {
            worlds.push(self.with(id, |container| container.status = Status::Exited));
        }
        worlds
    }

    /// The steps that a call can take next.
    pub(crate) fn steps(&self, call: &Call, number: u16, progress: Progress) -> Vec<Next> {
        match progress {
            Progress::Done => Vec::new(),
            Progress::At {
                id,
                step,
                generation,
            } => self.act(call, number, (id, step, generation)),
            Progress::Asked => self.first(call, number),
        }
    }

    fn first(&self, call: &Call, number: u16) -> Vec<Next> {
        let holder = self.holder(call.name);
        match (call.verb, &call.answer) {
            (Verb::Create, Answer::Done) => match (holder, call.id) {
                (None, Some(id)) => one(self.created(call.name, id, number), at(id, 0, 0)),
                _ => Vec::new(),
            },
            (Verb::Create, Answer::InUse(by)) => {
                let right = holder.is_some_and(|holder| by.is_none_or(|by| by == holder));
                self.stays(right.then_some(Progress::Done))
            }
            (Verb::List, Answer::Row(None)) => {
                self.stays((holder.is_none()).then_some(Progress::Done))
            }
            (Verb::List, Answer::Row(Some((id, _)))) => {
                self.stays((holder == Some(*id)).then_some(at(*id, 0, 0)))
            }
            (_, answer) => match holder {
                None => {
                    // The command takes these two for done where there is nothing.
                    let easy = matches!(call.verb, Verb::RemoveByForce | Verb::Cleanup);
                    let easy = easy && call.id.is_none();
                    let right = *answer == Answer::Gone || (easy && *answer == Answer::Done);
                    self.stays(right.then_some(Progress::Done))
                }
                Some(id) => {
                    self.stays((call.id.is_none_or(|known| known == id)).then_some(at(id, 0, 0)))
                }
            },
        }
    }

    /// Nothing changes, and the call goes on, if it can.
    pub(super) fn stays(&self, progress: Option<Progress>) -> Vec<Next> {
        let next = progress.map(|progress| one(self.clone(), progress));
        next.unwrap_or_default()
    }
}

impl Container {
    /// The run ends.
    pub(super) fn end(&mut self, code: Option<i32>) {
        self.status = Status::Stopped;
        self.doom = 0;
        self.note(code);
    }

    /// How the run has ended.
    pub(super) fn note(&mut self, code: Option<i32>) {
        let place = self.generation as usize;
        self.codes.resize(place + 1, None);
        self.codes[place] = code;
    }

    /// A run gets its number, before anything is made for it.
    pub(super) fn begin(&mut self) {
        self.generation += 1;
        self.count = 0;
        self.doom = 0;
    }

    /// What was made for a run that never began is given back.
    pub(super) fn take_back(&mut self) {
        self.status = if self.ran {
            Status::Exited
        } else {
            Status::Created
        };
        self.note(None);
    }

    /// Whether the program may end at any moment.
    pub(super) fn is_doomed(&self) -> bool {
        self.doom & (TERM | END | KILL) != 0
    }
}

pub(super) fn at(id: Id, step: u8, generation: u32) -> Progress {
    Progress::At {
        id,
        step,
        generation,
    }
}

pub(super) fn one(world: World, progress: Progress) -> Vec<Next> {
    vec![Next { world, progress }]
}
