//! The command line of the test program. It is typed by `cargo xtask`, so it is strict rather than comfortable.

use anyhow::{Context, Result, bail};

use super::case::{Runtime, Scale, Set};
use super::profile::Profile;
use crate::bench::BenchOptions;
use crate::faults::errors::ErrorOptions;
use crate::faults::matrix::MatrixOptions;
use crate::power::PowerOptions;
use crate::race::RaceOptions;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Run cases.
    Run(Options),
    /// Name the cases that would run.
    List(Options),
    /// Run the README's first command.
    Readme,
    /// Let many processes loose on few containers.
    Race(RaceOptions),
    /// Cut the power, on paper.
    PowerLoss(PowerOptions),
    /// Measure.
    Bench(BenchOptions),
    /// Kill processes at every point.
    KillMatrix(MatrixOptions),
    /// Have calls fail at every point.
    ErrorMatrix(ErrorOptions),
}

/// Which cases, and how.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) profile: Profile,
    pub(crate) set: Set,
    pub(crate) runtimes: Vec<Runtime>,
    /// How much the cases do that prove something by its amount.
    pub(crate) scale: Scale,
    /// Only cases whose name contains this.
    pub(crate) filter: String,
    /// How many run at a time.
    pub(crate) jobs: usize,
}

/// Reads the arguments.
pub(crate) fn parse(arguments: &[String]) -> Result<Action> {
    let Some((verb, rest)) = arguments.split_first() else {
        bail!("say run, list, readme, race, power-loss, bench, kill-matrix or error-matrix");
    };
    match verb.as_str() {
        "run" => options(rest).map(Action::Run),
        "list" => options(rest).map(Action::List),
        "readme" if rest.is_empty() => Ok(Action::Readme),
        "race" => RaceOptions::parse(rest).map(Action::Race),
        "power-loss" => PowerOptions::parse(rest).map(Action::PowerLoss),
        "bench" => BenchOptions::parse(rest).map(Action::Bench),
        "kill-matrix" => MatrixOptions::parse(rest).map(Action::KillMatrix),
        "error-matrix" => ErrorOptions::parse(rest).map(Action::ErrorMatrix),
        other => {
            bail!(
                "{other:?}: say run, list, readme, race, power-loss, bench, kill-matrix or error-matrix"
            )
        }
    }
}

fn options(arguments: &[String]) -> Result<Options> {
    let mut options = Options {
        profile: Profile::Host,
        set: Set::Full,
        runtimes: Vec::new(),
        scale: Scale::Quick,
        filter: String::new(),
        jobs: default_jobs(),
    };
    let mut words = arguments.iter();
    while let Some(name) = words.next() {
        let value = words
            .next()
            .with_context(|| format!("{name} needs a value"))?;
        let known = || format!("{name} {value}");
        match name.as_str() {
            "--profile" => options.profile = Profile::parse(value).with_context(known)?,
            "--set" => options.set = Set::parse(value).with_context(known)?,
            "--runtime" => options
                .runtimes
                .push(Runtime::parse(value).with_context(known)?),
            "--scale" => options.scale = Scale::parse(value).with_context(known)?,
            "--filter" => options.filter.clone_from(value),
            "--jobs" => options.jobs = value.parse().with_context(known)?,
            other => bail!("{other:?} is no option"),
        }
    }
    if options.runtimes.is_empty() {
        options.runtimes.push(Runtime::Builtin);
    }
    Ok(options)
}

/// The cases wait more than they compute.
fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str]) -> Result<Action> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        parse(&words)
    }

    #[test]
    fn what_xtask_types_is_understood() {
        let action = check(&[
            "run",
            "--profile",
            "legacy",
            "--set",
            "core",
            "--runtime",
            "crun",
            "--scale",
            "full",
            "--filter",
            "stop",
            "--jobs",
            "3",
        ]);
        assert_eq!(
            action.unwrap(),
            Action::Run(Options {
                profile: Profile::Legacy,
                set: Set::Core,
                runtimes: vec![Runtime::Crun],
                scale: Scale::Full,
                filter: "stop".to_owned(),
                jobs: 3,
            })
        );
        assert_eq!(check(&["readme"]).unwrap(), Action::Readme);
    }

    #[test]
    fn anything_else_is_refused() {
        for words in [
            &[][..],
            &["fly"],
            &["readme", "x"],
            &["run", "--profile"],
            &["run", "--profile", "x"],
            &["run", "--set", "x"],
            &["run", "--runtime", "x"],
            &["run", "--scale", "x"],
            &["run", "--jobs", "x"],
            &["run", "--x", "y"],
        ] {
            assert!(check(words).is_err(), "{words:?}");
        }
    }
}
