//! What is done to a database, from a seed.

const PAGE: usize = 4096;

/// Numbers that only depend on where they begin (splitmix64).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mutation {
    /// One to eight bits of the database.
    Bits,
    /// A part of a page becomes zeros.
    Zeros,
    /// The end of the database is missing.
    Truncated,
    /// Two pages change places.
    Swapped,
    /// One page is written over another one.
    Copied,
    /// One to eight bits of the log.
    LogBits,
}

impl Mutation {
    pub(super) const ALL: [Self; 6] = [
        Self::Bits,
        Self::Zeros,
        Self::Truncated,
        Self::Swapped,
        Self::Copied,
        Self::LogBits,
    ];

    pub(super) fn apply(self, numbers: &mut Numbers, database: &mut Vec<u8>, log: &mut [u8]) {
        // Pages with something in them: what is set aside is zeros.
        let used: Vec<usize> = (0..database.len() / PAGE)
            .filter(|page| {
                database[page * PAGE..(page + 1) * PAGE]
                    .iter()
                    .any(|byte| *byte != 0)
            })
            .collect();
        let page = |numbers: &mut Numbers| used[numbers.below(used.len())] * PAGE;
        match self {
            Self::Bits => {
                for _ in 0..=numbers.below(8) {
                    let at = page(numbers) + numbers.below(PAGE);
                    database[at] ^= 1 << numbers.below(8);
                }
            }
            Self::Zeros => {
                let (at, length) = (page(numbers), 1 + numbers.below(PAGE));
                let from = at + numbers.below(PAGE - length + 1);
                database[from..from + length].fill(0);
            }
            Self::Truncated => {
                let length = numbers.below(database.len());
                database.truncate(length);
            }
            Self::Swapped => {
                let (a, b) = (page(numbers), page(numbers));
                for offset in 0..PAGE {
                    database.swap(a + offset, b + offset);
                }
            }
            Self::Copied => {
                let (a, b) = (page(numbers), page(numbers));
                database.copy_within(a..a + PAGE, b);
            }
            Self::LogBits => {
                for _ in 0..=numbers.below(8) {
                    let at = numbers.below(log.len());
                    log[at] ^= 1 << numbers.below(8);
                }
            }
        }
    }
}
