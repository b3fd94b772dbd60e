//! Runs cases beside each other and reports them line by line.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Error, Result, anyhow};

use super::args::Options;
use super::base::{Base, missing};
use super::case::{Case, Runtime};
use super::mount_watch::MountWatch;
use super::profile::Entered;

/// How a round ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// A case with the runtime that its containers get.
type Job = (Runtime, Case);

/// Names the jobs of these options.
pub(crate) fn list(cases: &[Case], options: &Options) -> Counts {
    for (runtime, case) in jobs(cases, options) {
        println!("{} {}", runtime.name(), case.short_name());
    }
    Counts::default()
}

/// Runs the jobs of these options.
pub(crate) fn run(cases: &[Case], options: &Options) -> Result<Counts> {
    let mut jobs = jobs(cases, options);
    let mut counts = Counts::default();
    if let Entered::No(reason) = options.profile.enter()? {
        println!("skipped: profile {}: {reason}", options.profile.name());
        counts.skipped = u64::try_from(jobs.len())?;
        return Ok(counts);
    }
    for runtime in &options.runtimes {
        if let Some(reason) = missing(*runtime) {
            let before = jobs.len();
            jobs.retain(|(other, _)| other != runtime);
            println!("skipped: {reason}");
            counts.skipped += u64::try_from(before - jobs.len())?;
        }
    }
    if jobs.is_empty() {
        return Ok(counts);
    }
    let base = Base::make(options.scale)?;
    let watch = MountWatch::start()?;
    let round = Round {
        base: &base,
        queue: Mutex::new(jobs.into_iter().enumerate().collect()),
        counts: Mutex::new(counts),
        profile: options.profile.name(),
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| round.work());
        }
    });
    round.note("round::mount_table", &watch.finish(), Instant::now());
    round.note(
        "round::shared_root",
        &base.check_shared_root(),
        Instant::now(),
    );
    let counts = round.counts.into_inner();
    base.remove()?;
    Ok(counts.unwrap_or_else(PoisonError::into_inner))
}

fn jobs(cases: &[Case], options: &Options) -> Vec<Job> {
    cases
        .iter()
        .filter(|case| options.set.has(case.scope))
        .filter(|case| case.short_name().contains(&options.filter))
        .flat_map(|case| options.runtimes.iter().map(|runtime| (*runtime, *case)))
        .collect()
}

/// What the workers of a round share.
struct Round<'a> {
    base: &'a Base,
    queue: Mutex<VecDeque<(usize, Job)>>,
    counts: Mutex<Counts>,
    profile: &'static str,
}

impl Round<'_> {
    /// Runs jobs until there are none.
    fn work(&self) {
        loop {
            let next = self
                .queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some((number, (runtime, case))) = next else {
                return;
            };
            let begin = Instant::now();
            let result = self.one(number, runtime, case);
            let name = format!("{} {}", runtime.name(), case.short_name());
            self.note(&name, &result, begin);
        }
    }

    /// Runs one case and the leak check after it.
    fn one(&self, number: usize, runtime: Runtime, case: Case) -> Result<()> {
        let env = self.base.env(number, runtime)?;
        let result = catch_unwind(AssertUnwindSafe(|| (case.run)(&env)))
            .unwrap_or_else(|payload| Err(panicked(payload.as_ref())));
        let result = result.and_then(|()| env.check_leaks());
        if let Err(error) = result {
            let transcript = env.transcript().join("\n    ");
            env.rescue();
            let report = format!("{error:#}\n  the last calls were:\n    {transcript}");
            return match env.discard() {
                Ok(()) => Err(anyhow!(report)),
                Err(other) => Err(anyhow!("{report}\n  and then: {other:#}")),
            };
        }
        env.discard().context("after the case")
    }

    /// Prints and counts a result. The line is made first, so that lines of workers do not mix.
    fn note(&self, name: &str, result: &Result<()>, begin: Instant) {
        let seconds = begin.elapsed().as_secs_f64();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => {
                counts.passed += 1;
                println!("ok      {} {name}  {seconds:.1} s", self.profile);
            }
            Err(error) => {
                counts.failed += 1;
                println!(
                    "FAILED  {} {name}  {seconds:.1} s\n  {error:#}",
                    self.profile
                );
            }
        }
    }
}

fn panicked(payload: &(dyn std::any::Any + Send)) -> Error {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("with something that is no text");
    anyhow!("the case panicked: {text}")
}

#[cfg(test)]
mod tests {
    use super::super::case::{Scale, Scope, Set};
    use super::super::profile::Profile;
    use super::*;

    fn options(set: Set, filter: &str) -> Options {
        Options {
            profile: Profile::Host,
            set,
            runtimes: vec![Runtime::Builtin, Runtime::Runc],
            scale: Scale::Quick,
            filter: filter.to_owned(),
            jobs: 1,
        }
    }

    const fn case(name: &'static str, scope: Scope) -> Case {
        Case {
            name,
            scope,
            run: |_| Ok(()),
        }
    }

    #[test]
    fn set_and_filter_choose_the_jobs() {
        let cases = [
            case("x::cases::a::one", Scope::Core),
            case("x::cases::b::two", Scope::Full),
        ];
        let names = |set, filter| -> Vec<String> {
            jobs(&cases, &options(set, filter))
                .iter()
                .map(|(runtime, case)| format!("{} {}", runtime.name(), case.short_name()))
                .collect()
        };
        assert_eq!(
            names(Set::Full, ""),
            [
                "builtin a::one",
                "runc a::one",
                "builtin b::two",
                "runc b::two"
            ]
        );
        assert_eq!(names(Set::Core, ""), ["builtin a::one", "runc a::one"]);
        assert_eq!(names(Set::Full, "b::"), ["builtin b::two", "runc b::two"]);
    }

    #[test]
    fn a_panic_becomes_an_error() {
        let payload = catch_unwind(|| panic!("at {}", 3)).unwrap_err();
        assert_eq!(
            panicked(payload.as_ref()).to_string(),
            "the case panicked: at 3"
        );
    }
}
