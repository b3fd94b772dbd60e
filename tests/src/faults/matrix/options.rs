//! The command line of the matrix.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::operations::{OPERATIONS, Operation, find};
use crate::faults::tracer::Role;

/// Whose processes are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Cli,
    Monitor,
    Runtime,
    Cleanup,
    /// A monitor that has its keeper.
    Kept,
    Keeper,
}

impl Victim {
    /// All.
    pub(crate) const ALL: [Victim; 6] = [
        Victim::Cli,
        Victim::Monitor,
        Victim::Runtime,
        Victim::Cleanup,
        Victim::Kept,
        Victim::Keeper,
    ];

    /// The word of the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Victim::Cli => "cli",
            Victim::Monitor => "monitor",
            Victim::Runtime => "runtime",
            Victim::Cleanup => "cleanup",
            Victim::Kept => "kept",
            Victim::Keeper => "keeper",
        }
    }

    /// The roles that it stands for.
    pub(crate) fn roles(self) -> &'static [Role] {
        match self {
            Victim::Cli => &[Role::Cli],
            Victim::Monitor => &[Role::Monitor, Role::Child],
            Victim::Runtime => &[Role::Runtime],
            Victim::Cleanup => &[Role::Cleanup],
            Victim::Kept => &[Role::Monitor],
            Victim::Keeper => &[Role::Keeper],
        }
    }
}

/// What makes the containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    Fake,
    Builtin,
    Runc,
}

impl Maker {
    /// The word of the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Maker::Fake => "fake",
            Maker::Builtin => "builtin",
            Maker::Runc => "runc",
        }
    }
}

/// Which points are tried, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MatrixOptions {
    pub(crate) operations: Vec<&'static Operation>,
    pub(crate) victims: Vec<Victim>,
    pub(crate) maker: Maker,
    /// One of so many points.
    pub(crate) every: u64,
    pub(crate) seed: u64,
    /// This one of so many parts of the work.
    pub(crate) shard: (u64, u64),
    /// Points that are in the file already are not tried again.
    pub(crate) resume: bool,
    pub(crate) out: Option<PathBuf>,
    /// This point alone.
    pub(crate) point: Option<u64>,
    /// So many points of each operation and victim.
    pub(crate) sample: Option<u64>,
}

/// How many points of each pair a sample has.
const SAMPLE: u64 = 2;

impl MatrixOptions {
    /// Reads the arguments.
    pub(crate) fn parse(arguments: &[String]) -> Result<MatrixOptions> {
        let mut options = MatrixOptions {
            operations: OPERATIONS.iter().collect(),
            victims: Victim::ALL.to_vec(),
            maker: Maker::Fake,
            every: 1,
            seed: 1,
            shard: (1, 1),
            resume: false,
            out: None,
            point: None,
            sample: None,
        };
        let mut words = arguments.iter();
        while let Some(name) = words.next() {
            match name.as_str() {
                "--resume" => options.resume = true,
                "--sample" => options.sample = Some(SAMPLE),
                _ => {
                    let value = words.next();
                    let value = value.with_context(|| format!("{name} needs a value"))?;
                    options.set(name, value)?;
                }
            }
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let known = || format!("{name} {value}");
        match name {
            "--op" => {
                let found = value.split(',').map(find).collect::<Option<_>>();
                self.operations = found.with_context(known)?;
            }
            "--victim" => {
                let one = |word| Victim::ALL.into_iter().find(|victim| victim.name() == word);
                let found = value.split(',').map(one).collect::<Option<_>>();
                self.victims = found.with_context(known)?;
            }
            "--runtime" => {
                self.maker = [Maker::Fake, Maker::Builtin, Maker::Runc]
                    .into_iter()
                    .find(|maker| maker.name() == value)
                    .with_context(known)?;
            }
            "--every" => self.every = positive(value).with_context(known)?,
            "--seed" => self.seed = value.parse().with_context(known)?,
            "--shard" => {
                let (part, parts) = value.split_once('/').with_context(known)?;
                self.shard = (
                    positive(part).with_context(known)?,
                    positive(parts).with_context(known)?,
                );
                ensure!(self.shard.0 <= self.shard.1, "{}", known());
            }
            "--out" => self.out = Some(value.into()),
            "--point" => self.point = Some(positive(value).with_context(known)?),
            other => bail!("{other:?} is no option of kill-matrix"),
        }
        Ok(())
    }

    /// Whose processes are killed in the operation with this number. Of a sample they are the command's and one other kind's, in turn.
    pub(crate) fn victims(&self, number: usize) -> Vec<Victim> {
        if self.sample.is_none() || self.victims.len() != Victim::ALL.len() {
            return self.victims.clone();
        }
        let others = &Victim::ALL[1..];
        vec![Victim::Cli, others[number % others.len()]]
    }

    /// Which of so many points are tried. The choice depends on nothing but the options and `pair`, a number for operation and victim.
    pub(crate) fn points(&self, pair: u64, count: u64) -> Vec<u64> {
        if let Some(point) = self.point {
            return vec![point];
        }
        if let Some(sample) = self.sample {
            return (0..sample.min(count))
                .map(|number| 1 + mixed(self.seed, pair, number) % count)
                .collect();
        }
        let (part, parts) = self.shard;
        (1..=count)
            .filter(|point| (point + self.seed + pair).is_multiple_of(self.every))
            // By the point itself: parts that count differently leave nothing out between them.
            .filter(|point| point / self.every % parts == part - 1)
            .collect()
    }
}

fn positive(text: &str) -> Result<u64> {
    let number = text.parse()?;
    ensure!(number > 0, "a number from 1");
    Ok(number)
}

/// A number that looks random.
fn mixed(seed: u64, pair: u64, number: u64) -> u64 {
    let mut value = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(pair.wrapping_mul(0xd1b5_4a32_d192_ed03))
        .wrapping_add(number.wrapping_mul(0x8cb9_2ba7_2f3d_8dd7));
    for _ in 0..3 {
        value ^= value >> 31;
        value = value.wrapping_mul(0x7fb5_d329_728e_a185);
    }
    value ^ (value >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<MatrixOptions> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        MatrixOptions::parse(&words)
    }

    #[test]
    fn options_choose_the_points() {
        let all = parse("").unwrap();
        assert_eq!(all.points(3, 4), [1, 2, 3, 4]);
        assert_eq!(all.operations.len(), OPERATIONS.len());
        let some =
            parse("--op create,rm --victim cli --every 3 --seed 0 --runtime builtin").unwrap();
        assert_eq!(some.points(0, 9), [3, 6, 9]);
        assert_eq!(some.operations[1].name, "rm");
        assert_eq!(some.victims, [Victim::Cli]);
        let parts = ["1/2", "2/2"].map(|part| parse(&format!("--shard {part}")).unwrap());
        assert_eq!(parts[0].points(0, 5), [2, 4]);
        assert_eq!(parts[1].points(0, 5), [1, 3, 5]);
        assert_eq!(parse("--point 7").unwrap().points(0, 9), [7]);
        let sample = parse("--sample").unwrap().points(1, 100);
        assert_eq!(sample.len(), 2);
        let victims = |number| parse("--sample").unwrap().victims(number);
        assert_eq!(victims(1), [Victim::Cli, Victim::Runtime]);
        assert_eq!(
            parse("--sample --victim cli").unwrap().victims(1),
            [Victim::Cli]
        );
        assert_eq!(all.victims(1), Victim::ALL);
        assert_eq!(sample, parse("--sample").unwrap().points(1, 100));
        assert_ne!(sample, parse("--sample --seed 2").unwrap().points(1, 100));
    }

    #[test]
    fn wrong_options_are_refused() {
        for line in [
            "--op fly",
            "--victim init",
            "--runtime kata",
            "--every 0",
            "--shard 3/2",
            "--shard x",
            "--point",
            "--loud x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
