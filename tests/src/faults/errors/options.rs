//! The command line of the error matrix: that of the kill matrix, with other words for what goes wrong.

use anyhow::{Context, Result};
use rustix::io::Errno;

use super::table::ALL;
use crate::faults::matrix::MatrixOptions;
use crate::faults::matrix::operations::Operation;

/// Which points are tried, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ErrorOptions {
    /// Operations, roles (there called victims), and the choice among the points.
    pub(super) common: MatrixOptions,
    pub(super) errors: Vec<Errno>,
    /// The point of this name alone.
    pub(super) point: Option<String>,
}

/// Of so many operations a sample has one.
const OPERATIONS: usize = 3;
/// And so many points of each of its roles.
const SAMPLE: u64 = 5;

impl ErrorOptions {
    /// Reads the arguments.
    pub(crate) fn parse(arguments: &[String]) -> Result<ErrorOptions> {
        let mut errors = ALL.iter().map(|(_, error)| *error).collect();
        let mut point = None;
        let mut others = Vec::new();
        let mut words = arguments.iter();
        while let Some(name) = words.next() {
            let mut value = || {
                words
                    .next()
                    .with_context(|| format!("{name} needs a value"))
            };
            match name.as_str() {
                "--errno" => errors = named(value()?)?,
                "--point" => point = Some(value()?.clone()),
                "--role" => others.extend(["--victim".to_owned(), value()?.clone()]),
                other => others.push(other.to_owned()),
            }
        }
        let common = MatrixOptions::parse(&others)?;
        Ok(ErrorOptions {
            common: MatrixOptions {
                sample: common.sample.map(|_| SAMPLE),
                ..common
            },
            errors,
            point,
        })
    }

    /// The operations, numbered. Of a sample they are some, chosen by the seed.
    pub(super) fn operations(&self) -> Vec<(usize, &'static Operation)> {
        let seed = usize::try_from(self.common.seed).unwrap_or(0);
        let chosen = |(number, _): &(usize, _)| {
            self.common.sample.is_none() || (number + seed).is_multiple_of(OPERATIONS)
        };
        let all = self.common.operations.iter().copied().enumerate();
        // Numbered anew, because the roles of a sample take turns.
        all.filter(chosen)
            .map(|(_, operation)| operation)
            .enumerate()
            .collect()
    }
}

fn named(list: &str) -> Result<Vec<Errno>> {
    let one = |word| ALL.iter().find(|(name, _)| *name == word);
    let found: Option<Vec<Errno>> = list
        .split(',')
        .map(|word| one(word).map(|(_, error)| *error))
        .collect();
    found.with_context(|| format!("--errno {list}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<ErrorOptions> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        ErrorOptions::parse(&words)
    }

    #[test]
    fn options_choose_the_points() {
        let all = parse("").unwrap();
        assert_eq!(all.errors.len(), 6);
        let count = all.operations().len();
        let some = parse("--errno EIO,ENOSPC --role cli --op rm --every 3 --point 0e31").unwrap();
        assert_eq!(some.errors, [Errno::IO, Errno::NOSPC]);
        assert_eq!(some.common.victims.len(), 1);
        assert_eq!(some.common.every, 3);
        assert_eq!(some.point.as_deref(), Some("0e31"));
        assert_eq!(some.operations()[0].1.name, "rm");
        let sum: usize = ["1", "2", "3"]
            .map(|seed| parse(&format!("--sample --seed {seed}")).unwrap())
            .iter()
            .map(|sample| sample.operations().len())
            .sum();
        assert_eq!(sum, count);
    }

    #[test]
    fn wrong_options_are_refused() {
        for line in ["--errno EFUN", "--role init", "--point", "--loud x"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
