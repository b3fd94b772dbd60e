//! Is there an order in which these calls, one step after the other, give these answers?
//!
//! The search of Wing and Gong: whatever may come first is tried, and what follows is searched in the same way; a call may come next
//! only if no other one that has not happened yet was answered before it was asked. What was reached once is remembered and not
//! searched again (Lowe's addition). A step that changes nothing, and that no other step could be better than, is taken at once.
//! Containers that have nothing to do with each other, because no name leads from one to the other, are searched on their own; and
//! before the call that was answered first has happened, only those are tried that have to do with it: the others are asked about
//! something else, and are as possible afterwards as before.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::history::{Answer, Call, Id, Name};
use super::model::{Next, Progress, World};

/// More than this is not searched: then nothing is known.
const STATES: usize = 3_000_000;

/// What became of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is such an order.
    Legal,
    /// There is none; the calls that it breaks at, and those around them.
    Illegal(Vec<String>),
    /// The search was given up.
    Undecided,
}

/// Looks at a history that begins with nothing.
pub(crate) fn check(calls: &[Call]) -> Verdict {
    if let Some(call) = calls
        .iter()
        .find(|call| matches!(call.answer, Answer::Other(_)))
    {
        return Verdict::Illegal(vec![call.to_string()]);
    }
    let mut undecided = false;
    for part in parts(calls) {
        match Search::new(part).run() {
            Verdict::Legal => {}
            Verdict::Undecided => undecided = true,
            illegal @ Verdict::Illegal(_) => return illegal,
        }
    }
    if undecided {
        Verdict::Undecided
    } else {
        Verdict::Legal
    }
}

/// The calls of the names that belong together: those that a rename connects, or a container that was met under both.
fn parts(calls: &[Call]) -> Vec<Vec<Call>> {
    let mut group: BTreeMap<Name, Name> = calls.iter().map(|call| (call.name, call.name)).collect();
    let mut join = |one: Name, other: Name| {
        let one = *group.entry(one).or_insert(one);
        let other = *group.entry(other).or_insert(other);
        for leader in group.values_mut() {
            if *leader == other {
                *leader = one;
            }
        }
    };
    let mut met: BTreeMap<u16, Name> = BTreeMap::new();
    for call in calls {
        if let Some(new) = call.to_name
            && matches!(call.answer, Answer::Done | Answer::InUse(_))
        {
            join(call.name, new);
        }
        if let Some(id) = call.id.or(call.answer.row()) {
            join(*met.entry(id).or_insert(call.name), call.name);
        }
    }
    let leaders: BTreeSet<Name> = group.values().copied().collect();
    let of = |leader: Name| {
        let mine = calls.iter().filter(|call| group[&call.name] == leader);
        mine.cloned().collect()
    };
    leaders.into_iter().map(of).collect()
}

struct Search {
    /// In the order of their answers.
    calls: Vec<Call>,
    seen: HashSet<u128>,
    /// How many calls had happened at best, and where each was then.
    best: (usize, Vec<Progress>),
}

/// A moment of the search.
struct Moment {
    world: World,
    progress: Vec<Progress>,
    /// The first that has not happened.
    first: usize,
}

/// What has to do with the next answer.
#[derive(Default)]
struct Near {
    calls: Vec<usize>,
    ids: Vec<Id>,
}

/// The names and containers that a call is about.
#[derive(Default)]
struct Touched {
    names: BTreeSet<Name>,
    ids: BTreeSet<Id>,
}

impl Touched {
    fn of(call: &Call, progress: Progress) -> Self {
        let mut touched = Self::default();
        touched.names.insert(call.name);
        if matches!(call.answer, Answer::Done | Answer::InUse(_)) {
            touched.names.extend(call.to_name);
        }
        touched.ids.extend(call.id.or(call.answer.row()));
        if let Progress::At { id, .. } = progress {
            touched.ids.insert(id);
        }
        touched
    }

    /// The names of the containers, and the containers of the names.
    fn complete(&mut self, world: &World) {
        self.ids
            .extend(self.names.iter().filter_map(|name| world.holder(*name)));
        self.names
            .extend(self.ids.iter().filter_map(|id| world.name_of(*id)));
    }

    fn add(&mut self, other: Self) {
        self.names.extend(other.names);
        self.ids.extend(other.ids);
    }

    fn meets(&self, other: &Self) -> bool {
        !self.names.is_disjoint(&other.names) || !self.ids.is_disjoint(&other.ids)
    }
}

impl Search {
    fn new(mut calls: Vec<Call>) -> Self {
        calls.sort_by_key(|call| call.to);
        Self {
            seen: HashSet::new(),
            best: (0, vec![Progress::Asked; calls.len()]),
            calls,
        }
    }

    fn run(mut self) -> Verdict {
        let mut open = vec![Moment {
            world: World::default(),
            progress: vec![Progress::Asked; self.calls.len()],
            first: 0,
        }];
        while let Some(moment) = open.pop() {
            let moment = self.take_free(moment);
            if moment.first == self.calls.len() {
                return Verdict::Legal;
            }
            if !self.seen.insert(fingerprint(&moment)) {
                continue;
            }
            if self.seen.len() > STATES {
                return Verdict::Undecided;
            }
            self.note(&moment);
            let near = self.near(&moment);
            // The last one is tried first: the call that was answered first.
            for id in &near.ids {
                for world in moment.world.by_itself(*id) {
                    open.push(Moment {
                        world,
                        progress: moment.progress.clone(),
                        first: moment.first,
                    });
                }
            }
            for number in near.calls.iter().rev() {
                for next in self.steps(&moment, *number) {
                    open.push(moment.after(*number, next));
                }
            }
        }
        Verdict::Illegal(self.shown())
    }

    /// The calls that may take a step: all that were asked before the first answer of those that have not happened.
    fn possible(&self, moment: &Moment) -> impl DoubleEndedIterator<Item = usize> {
        let answered = self.calls[moment.first].to;
        let from = moment.first;
        let waiting: Vec<usize> = (from..self.calls.len())
            .filter(|number| {
                moment.progress[*number] != Progress::Done && self.calls[*number].from <= answered
            })
            .collect();
        waiting.into_iter()
    }

    /// The calls that may come next and have to do, directly or through others, with the one that was answered first.
    fn near(&self, moment: &Moment) -> Near {
        let mut left: Vec<usize> = self.possible(moment).collect();
        let mut near = Near::default();
        let mut touched = Touched::of(&self.calls[moment.first], moment.progress[moment.first]);
        loop {
            touched.complete(&moment.world);
            let (inside, outside): (Vec<usize>, Vec<usize>) =
                left.into_iter().partition(|number| {
                    let mut other = Touched::of(&self.calls[*number], moment.progress[*number]);
                    other.complete(&moment.world);
                    touched.meets(&other)
                });
            left = outside;
            if inside.is_empty() {
                near.calls.sort_unstable();
                near.ids = touched.ids.into_iter().collect();
                return near;
            }
            for number in inside {
                touched.add(Touched::of(&self.calls[number], moment.progress[number]));
                near.calls.push(number);
            }
        }
    }

    fn steps(&self, moment: &Moment, number: usize) -> Vec<Next> {
        let place = u16::try_from(number).unwrap_or(u16::MAX);
        let call = &self.calls[number];
        moment.world.steps(call, place, moment.progress[number])
    }

    /// Takes the steps that cost nothing: they change nothing, and no other moment would be better for them.
    fn take_free(&self, mut moment: Moment) -> Moment {
        loop {
            if moment.first == self.calls.len() {
                return moment;
            }
            let free = self.possible(&moment).find_map(|number| {
                let call = &self.calls[number];
                let mut steps = self.steps(&moment, number);
                let at_once = steps
                    .iter()
                    .position(|next| moment.world.is_free(call, moment.progress[number], next))?;
                Some((number, steps.swap_remove(at_once)))
            });
            match free {
                Some((number, next)) => moment = moment.after(number, next),
                None => return moment,
            }
        }
    }

    fn note(&mut self, moment: &Moment) {
        if moment.first > self.best.0 || (moment.first == 0 && self.best.0 == 0) {
            self.best = (moment.first, moment.progress.clone());
        }
    }

    /// Where the best order ended, and what was near.
    fn shown(&self) -> Vec<String> {
        const AROUND: usize = 24;
        let (stuck, progress) = &self.best;
        let begin = stuck.saturating_sub(AROUND);
        let end = (stuck + AROUND).min(self.calls.len());
        let line = |number: usize| {
            let mark = if number == *stuck { "->" } else { "  " };
            format!("{mark} {} [{:?}]", self.calls[number], progress[number])
        };
        (begin..end).map(line).collect()
    }
}

impl Moment {
    fn after(&self, number: usize, next: Next) -> Moment {
        let mut progress = self.progress.clone();
        progress[number] = next.progress;
        let done = |place: &usize| progress[*place] == Progress::Done;
        let first = (self.first..progress.len()).take_while(done).count() + self.first;
        Moment {
            world: next.world,
            progress,
            first,
        }
    }
}

/// Two different ones of 64 bits each: what is the same in both is taken for the same.
fn fingerprint(moment: &Moment) -> u128 {
    let hash = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        moment.world.hash(&mut hasher);
        moment.progress[moment.first..].hash(&mut hasher);
        moment.first.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    hash(1) << 64 | hash(2)
}
