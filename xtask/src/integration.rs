//! `cargo xtask test-integration`: builds the program once, then lets the cases loose on it.
//!
//! A round is one process of the `ctr-tests` program: it enters a profile (a private mount namespace with the cgroup trees of
//! that kind of machine), runs its cases on its runtimes, and prints one line of counts at the end.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::Verdict;
use crate::metadata::Metadata;
use crate::process::{cargo, command, copy_lines, on_ci, succeed};
use crate::report::Counts;

/// Which cases a round runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Full,
    Core,
}

/// One process of the test program.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Round {
    profile: &'static str,
    runtimes: Vec<&'static str>,
    set: Set,
}

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    runtime: Option<&'static str>,
    profile: Option<&'static str>,
    filter: Option<String>,
    scale: Option<&'static str>,
    jobs: Option<u32>,
}

const RUNTIMES: [&str; 4] = ["builtin", "runc", "crun", "all"];
const PROFILES: [&str; 3] = ["host", "legacy", "unified"];
const SCALES: [&str; 2] = ["quick", "full"];

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    let options = parse(arguments)?;
    build()?;
    let target = Metadata::load()?.target;
    let counts = run_rounds(&target, &options)?;
    println!("{counts}");
    Ok(if counts.failed == 0 {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

/// All rounds, with the default options; the programs are there already.
pub(crate) fn all_rounds(target: &Path) -> Result<Counts> {
    run_rounds(target, &Options::default())
}

/// The README's first command with a look at what it leaves, on the machine's own directories.
pub(crate) fn readme(target: &Path) -> Result<Counts> {
    succeed(&mut cargo(["build", "--quiet", "--release"]))?;
    let mut command = command(test_program(target));
    command.arg("readme");
    counted(&mut command)
}

/// Builds the programs that the cases need.
pub(crate) fn build() -> Result<()> {
    succeed(&mut cargo([
        "build",
        "--quiet",
        "--package",
        "ctr-cli",
        "--package",
        "ctr-tests",
    ]))
}

fn run_rounds(target: &Path, options: &Options) -> Result<Counts> {
    let mut sum = Counts::default();
    for round in rounds(options) {
        println!(
            "-- profile {}, runtimes {}",
            round.profile,
            round.runtimes.join(" and ")
        );
        let mut command = command(test_program(target));
        command.args(words(&round, options));
        command.env("CTR_BIN", target.join("debug/ctr"));
        sum.add(counted(&mut command)?);
    }
    if sum == Counts::default() {
        bail!("no case matches");
    }
    Ok(sum)
}

pub(crate) fn test_program(target: &Path) -> std::path::PathBuf {
    target.join("debug/ctr-tests")
}

/// Runs the test program and takes its counts from the last line. A skipped case is a failed one in CI.
pub(crate) fn counted(command: &mut std::process::Command) -> Result<Counts> {
    let mut last = String::new();
    let copied = copy_lines(command, |line| line.clone_into(&mut last))?;
    let mut counts = Counts::parse(&last)
        .with_context(|| format!("{}: it ended without its line of counts", copied.what))?;
    if !copied.success && counts.failed == 0 {
        bail!("{}, though no case failed", copied.what);
    }
    if on_ci() && counts.skipped > 0 {
        println!("skipped cases count as failed in CI");
        counts.failed += counts.skipped;
        counts.skipped = 0;
    }
    Ok(counts)
}

fn words(round: &Round, options: &Options) -> Vec<String> {
    let set = match round.set {
        Set::Full => "full",
        Set::Core => "core",
    };
    let mut words = vec!["run", "--profile", round.profile, "--set", set];
    for runtime in &round.runtimes {
        words.extend(["--runtime", runtime]);
    }
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    if let Some(scale) = options.scale {
        words.extend(["--scale".to_owned(), scale.to_owned()]);
    }
    if let Some(filter) = &options.filter {
        words.extend(["--filter".to_owned(), filter.clone()]);
    }
    if let Some(jobs) = options.jobs {
        words.extend(["--jobs".to_owned(), jobs.to_string()]);
    }
    words
}

/// What is run when nothing is chosen: every case on the built-in runtime and on runc as this machine is; the core set also
/// with one cgroup2 tree, and on crun, which refuses a mixture of the two kinds, with the trees of version 1.
fn standard_rounds() -> Vec<Round> {
    let round = |profile, runtimes: &[&'static str], set| Round {
        profile,
        runtimes: runtimes.to_vec(),
        set,
    };
    vec![
        round("host", &["builtin", "runc"], Set::Full),
        round("unified", &["builtin"], Set::Core),
        round("legacy", &["crun"], Set::Core),
    ]
}

/// The rounds of these options. A profile and a runtime together are taken literally; one of them selects among the standard
/// rounds, or makes a new one where there is none.
fn rounds(options: &Options) -> Vec<Round> {
    let set = |profile| {
        if profile == "host" {
            Set::Full
        } else {
            Set::Core
        }
    };
    match (options.profile, options.runtime) {
        (None, None | Some("all")) => standard_rounds(),
        (Some(profile), Some("all")) => vec![Round {
            profile,
            runtimes: vec!["builtin", "runc", "crun"],
            set: set(profile),
        }],
        (Some(profile), Some(runtime)) => vec![Round {
            profile,
            runtimes: vec![runtime],
            set: set(profile),
        }],
        (Some(profile), None) => {
            let mut rounds = standard_rounds();
            rounds.retain(|round| round.profile == profile);
            rounds
        }
        (None, Some(runtime)) => {
            let mut rounds = standard_rounds();
            rounds.retain(|round| round.runtimes.contains(&runtime));
            for round in &mut rounds {
                round.runtimes = vec![runtime];
            }
            rounds
        }
    }
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (name, joined) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let mut value = || {
            joined
                .clone()
                .or_else(|| words.next().cloned())
                .with_context(|| format!("{name} needs a value"))
        };
        match name {
            "--runtime" => options.runtime = Some(one_of(name, &value()?, &RUNTIMES)?),
            "--profile" => options.profile = Some(one_of(name, &value()?, &PROFILES)?),
            "--scale" => options.scale = Some(one_of(name, &value()?, &SCALES)?),
            "--filter" => options.filter = Some(value()?),
            "--jobs" => {
                let text = value()?;
                let jobs = text.parse().ok().filter(|jobs| (1..=64).contains(jobs));
                options.jobs =
                    Some(jobs.with_context(|| format!("--jobs {text}: a number from 1 to 64"))?);
            }
            other => bail!(
                "test-integration does not know {other:?}; it takes --runtime, --profile, --scale, --filter and --jobs"
            ),
        }
    }
    Ok(options)
}

fn one_of(name: &str, value: &str, known: &[&'static str]) -> Result<&'static str> {
    let found = known.iter().copied().find(|known| *known == value);
    found.with_context(|| format!("{name} {value}: one of {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Result<Options> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        parse(&words)
    }

    fn shown(words: &[&str]) -> Vec<String> {
        rounds(&options(words).unwrap())
            .iter()
            .map(|round| {
                format!(
                    "{} {} {:?}",
                    round.profile,
                    round.runtimes.join("+"),
                    round.set
                )
            })
            .collect()
    }

    #[test]
    fn options_choose_the_rounds() {
        let standard = [
            "host builtin+runc Full",
            "unified builtin Core",
            "legacy crun Core",
        ];
        assert_eq!(shown(&[]), standard);
        assert_eq!(shown(&["--runtime", "all"]), standard);
        assert_eq!(shown(&["--runtime=runc"]), ["host runc Full"]);
        assert_eq!(
            shown(&["--runtime", "builtin"]),
            ["host builtin Full", "unified builtin Core"]
        );
        assert_eq!(shown(&["--profile", "legacy"]), ["legacy crun Core"]);
        assert_eq!(
            shown(&["--profile", "unified", "--runtime", "runc"]),
            ["unified runc Core"]
        );
        assert_eq!(
            shown(&["--profile", "legacy", "--runtime", "all"]),
            ["legacy builtin+runc+crun Core"]
        );
    }

    #[test]
    fn wrong_options_are_named() {
        for (words, message) in [
            (&["--runtime"][..], "--runtime needs a value"),
            (
                &["--runtime", "kata"],
                "--runtime kata: one of builtin, runc, crun, all",
            ),
            (
                &["--profile", "x"],
                "--profile x: one of host, legacy, unified",
            ),
            (&["--scale", "x"], "--scale x: one of quick, full"),
            (&["--jobs", "0"], "--jobs 0: a number from 1 to 64"),
            (
                &["run"],
                "test-integration does not know \"run\"; it takes --runtime, --profile, --scale, --filter and --jobs",
            ),
        ] {
            assert_eq!(options(words).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_round_becomes_a_command_line() {
        let options = options(&[
            "--runtime",
            "crun",
            "--filter",
            "stop",
            "--scale=full",
            "--jobs",
            "3",
        ])
        .unwrap();
        let rounds = rounds(&options);
        assert_eq!(
            words(&rounds[0], &options).join(" "),
            "run --profile legacy --set core --runtime crun --scale full --filter stop --jobs 3"
        );
    }
}
