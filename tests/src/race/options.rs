//! What the command line of `race` asks for.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

/// How much is done, and by how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RaceOptions {
    pub(crate) processes: usize,
    pub(crate) names: u8,
    /// How many calls in all.
    pub(crate) operations: usize,
    pub(crate) seed: u64,
    /// The file that gets the line of the result, at its end.
    pub(crate) out: Option<PathBuf>,
}

/// What `--sample` stands for.
const SAMPLE: usize = 4_000;

impl RaceOptions {
    /// Reads the arguments.
    pub(crate) fn parse(arguments: &[String]) -> Result<RaceOptions> {
        let mut options = RaceOptions {
            processes: 16,
            names: 8,
            operations: 100_000,
            seed: 1,
            out: None,
        };
        let mut words = arguments.iter();
        while let Some(name) = words.next() {
            if name == "--sample" {
                options.operations = SAMPLE;
                continue;
            }
            let value = words
                .next()
                .with_context(|| format!("{name} needs a value"))?;
            let known = || format!("{name} {value}");
            match name.as_str() {
                "--processes" => options.processes = value.parse().with_context(known)?,
                "--names" => options.names = value.parse().with_context(known)?,
                "--operations" => options.operations = value.parse().with_context(known)?,
                "--seed" => options.seed = value.parse().with_context(known)?,
                "--out" => options.out = Some(PathBuf::from(value)),
                other => bail!("{other:?} is no option of race"),
            }
        }
        ensure!(
            (2..=64).contains(&options.processes) && (1..=64).contains(&options.names),
            "from 2 to 64 processes, and from 1 to 64 names"
        );
        ensure!(options.operations > 0, "no operation is none that is right");
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<RaceOptions> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        RaceOptions::parse(&words)
    }

    #[test]
    fn options_are_read() {
        let options = parse(&[
            "--sample",
            "--seed",
            "7",
            "--processes",
            "4",
            "--names",
            "2",
        ]);
        let options = options.unwrap();
        assert_eq!((options.operations, options.seed), (SAMPLE, 7));
        assert_eq!((options.processes, options.names), (4, 2));
        assert_eq!(parse(&[]).unwrap().operations, 100_000);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for words in [
            &["--processes", "1"][..],
            &["--names", "0"],
            &["--operations", "0"],
            &["--seed"],
            &["--seed", "x"],
            &["--fast", "1"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
