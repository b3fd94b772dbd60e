//! What each process asks, by chance that a seed decides.

use super::history::{Name, Verb};

/// Numbers that depend on the seed alone (splitmix).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }
}

/// Something to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) verb: Verb,
    pub(crate) name: Name,
    pub(crate) to_name: Option<Name>,
}

/// Each verb so often as the number beside it says.
const VERBS: [(Verb, usize); 17] = [
    (Verb::Create, 16),
    (Verb::Init, 2),
    (Verb::Start, 9),
    (Verb::Stop, 4),
    (Verb::Kill, 3),
    (Verb::End, 3),
    (Verb::Signal, 4),
    (Verb::Pause, 4),
    (Verb::Unpause, 5),
    (Verb::Cleanup, 4),
    (Verb::Rename, 5),
    (Verb::Remove, 6),
    (Verb::RemoveByForce, 3),
    (Verb::Read, 14),
    (Verb::List, 4),
    (Verb::Count, 12),
    (Verb::Wait, 2),
];

/// The next wish about these many names.
pub(crate) fn wish(random: &mut Random, names: u8) -> Wish {
    let all = VERBS.iter().map(|(_, weight)| weight).sum();
    let mut chosen = random.below(all);
    let mut verb = Verb::Read;
    for (candidate, weight) in VERBS {
        if chosen < weight {
            verb = candidate;
            break;
        }
        chosen -= weight;
    }
    let mut name = || Name::try_from(random.below(usize::from(names))).unwrap_or(0);
    Wish {
        verb,
        name: name(),
        to_name: (verb == Verb::Rename).then(name),
    }
}
