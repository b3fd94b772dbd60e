//! The engine with real processes: journals, failures, killed commands, lost monitors, reboots, races.
//!
//! No harness: a monitor needs a process with one thread, and this program is everything that a run needs besides the engine
//! under test: the monitor, the cleanup command, the runtime (`fake`), the container's first process, and commands that are
//! killed (`roles`). The tests run one after the other; arguments select those whose names contain one of them.
#![expect(
    clippy::unwrap_used,
    reason = "a test program without the harness: a panic is a failed test"
)]

mod attaching;
mod booting;
mod crowd;
mod failures;
mod fake;
mod fixture;
mod initializing;
mod intents;
mod journal;
mod killed;
mod lists;
mod lost;
mod model;
mod naming;
mod needing;
mod pausing;
mod policies;
mod processes;
mod reaching;
mod reboot;
mod restarting;
mod retrying;
mod roles;
mod stopping;
mod syncing;
mod verbs;
mod waiting;
mod worker;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use ctr_sys::{Subreaper, set_subreaper};

/// A test and its name.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = roles::play(&args) {
        return ExitCode::from(code);
    }
    // Whatever a test leaves behind becomes our child and is seen.
    set_subreaper(Subreaper::On).unwrap();
    let groups: &[&[Test]] = &[
        &verbs::TESTS,
        &attaching::TESTS,
        &failures::TESTS,
        &intents::TESTS,
        &killed::TESTS,
        &lists::TESTS,
        &lost::TESTS,
        &reboot::TESTS,
        &waiting::TESTS,
        &stopping::TESTS,
        &policies::TESTS,
        &retrying::TESTS,
        &initializing::TESTS,
        &pausing::TESTS,
        &syncing::TESTS,
        &restarting::TESTS,
        &needing::TESTS,
        &booting::TESTS,
        &naming::TESTS,
        &reaching::TESTS,
        &model::TESTS,
        &crowd::TESTS,
    ];
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|f| name.contains(*f));
    run(groups.concat().into_iter().filter(|(name, _)| wanted(name)))
}

fn run(tests: impl Iterator<Item = Test>) -> ExitCode {
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in tests {
        if catch_unwind(AssertUnwindSafe(test)).is_ok() {
            println!("test {name} ... ok");
            passed += 1;
        } else {
            println!("test {name} ... FAILED");
            failed += 1;
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured");
    ExitCode::from(u8::from(failed > 0))
}
