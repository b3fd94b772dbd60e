//! How long commands take: `ctr` beside bare runtimes and podman, on the same root directory, with the same specification.
//!
//! A contender is one way of doing the work. In every round each contender does each piece of work once, one after the other and
//! each round beginning with another one, so that what the machine does meanwhile hits all alike. Between two pieces of work there
//! is a pause in which what the last one left to others (a monitor that ends, a cleanup) comes to its end. What is measured is the
//! time from the start of a program to its end, with its output read to the end.
//!
//! All of it happens in a private mount namespace with the cgroup trees of version 1 where the machine has them, because crun
//! refuses a mixture of the two versions, and in temporary directories that are removed.

mod bundle;
mod contender;
mod podman;
mod report;
mod stats;

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::harness::base::Base;
use crate::harness::case::Scale;
use crate::harness::machine::mounts;
use crate::harness::profile::{Entered, Profile};
use contender::{Contender, Field};
use report::{Form, Report};

/// Long enough for a monitor and a cleanup to end.
const PAUSE: Duration = Duration::from_millis(50);

/// How many containers are there while lists are made.
const POPULATION: usize = 50;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BenchOptions {
    /// How often each piece of work is done.
    pub(crate) rounds: usize,
    /// How the result is printed.
    pub(crate) form: Form,
}

impl BenchOptions {
    /// Reads the arguments.
    pub(crate) fn parse(arguments: &[String]) -> Result<BenchOptions> {
        let mut options = BenchOptions {
            rounds: 20,
            form: Form::Table,
        };
        let mut words = arguments.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "--json" => options.form = Form::Json,
                "--rounds" => {
                    let text = words.next().unwrap_or_default();
                    options.rounds = text.parse().unwrap_or(0);
                    ensure!(options.rounds > 0, "--rounds {text:?}: a number from 1");
                }
                other => anyhow::bail!("bench takes --json and --rounds N, not {other:?}"),
            }
        }
        Ok(options)
    }
}

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A container on a directory runs `true` and is removed.
    Run,
    /// The same with a writable layer over the directory.
    RunLayer,
    /// A container with a writable layer is created.
    Create,
    /// All containers are listed.
    List,
    /// One container is shown.
    Inspect,
}

impl Work {
    const ALL: [Work; 5] = [
        Work::Run,
        Work::RunLayer,
        Work::Create,
        Work::List,
        Work::Inspect,
    ];

    fn name(self) -> &'static str {
        match self {
            Work::Run => "run",
            Work::RunLayer => "run-layer",
            Work::Create => "create",
            Work::List => "ps",
            Work::Inspect => "inspect",
        }
    }
}

/// Measures and prints.
pub(crate) fn run(options: &BenchOptions) -> Result<()> {
    if let Entered::No(why) = Profile::Legacy.enter()? {
        ensure!(rustix::process::geteuid().is_root(), "bench needs root");
        eprintln!("as this machine is: {why}");
    }
    // podman keeps its locks there, for all of its directories.
    mount("tmpfs", "/dev/shm", "tmpfs", MountFlags::empty(), None)?;
    let base = Base::make(Scale::Quick)?;
    let result = measured(&base, options);
    let removed = unmount_below(&base).and_then(|()| base.remove());
    result?.print(options.form)?;
    removed
}

fn measured(base: &Base, options: &BenchOptions) -> Result<Report> {
    let mut report = Report::new(options.rounds);
    let Field { present, absent } = contender::all(base)?;
    report.absent = absent;
    let result = present
        .iter()
        .try_for_each(|contender| contender.prepare())
        .and_then(|()| rounds(&present, options.rounds, &mut report));
    // Each of them, also when another one fails.
    let discarded: Vec<Result<()>> = present.into_iter().map(Contender::discard).collect();
    result?;
    discarded.into_iter().collect::<Result<()>>()?;
    Ok(report)
}

fn rounds(contenders: &[Box<dyn Contender>], rounds: usize, report: &mut Report) -> Result<()> {
    // The first round warms caches up and is not counted.
    for round in 0..=rounds {
        for work in Work::ALL {
            for at in 0..contenders.len() {
                let contender = &contenders[(at + round) % contenders.len()];
                let Some(time) = contender.perform(work, round)? else {
                    continue;
                };
                if round > 0 {
                    report.add(work.name(), contender.name(), time);
                }
                thread::sleep(PAUSE);
            }
        }
    }
    Ok(())
}

/// podman leaves a mount of its storage.
fn unmount_below(base: &Base) -> Result<()> {
    for found in mounts()?.iter().rev() {
        if found.point.starts_with(base.directory()) && found.point != base.directory() {
            unmount(&found.point, UnmountFlags::DETACH)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<BenchOptions> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        BenchOptions::parse(&words)
    }

    #[test]
    fn options() {
        let options = parse(&["--rounds", "3", "--json"]).unwrap();
        assert_eq!((options.rounds, options.form), (3, Form::Json));
        assert_eq!(parse(&[]).unwrap().form, Form::Table);
        for bad in [
            &["--rounds"][..],
            &["--rounds", "0"],
            &["--rounds", "x"],
            &["x"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
