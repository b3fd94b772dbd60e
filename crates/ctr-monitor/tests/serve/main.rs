//! Monitors as processes, and the clients that talk to them.
//!
//! No harness: a monitor needs a process with one thread, and this program is the monitor, too. The tests run one after the
//! other; arguments select those whose names contain one of them.
#![expect(
    clippy::unwrap_used,
    reason = "a test program without the harness: a panic is a failed test"
)]

mod bench;
mod clients;
mod creation;
mod exits;
mod hosted;
mod lost;
mod runtime;
mod sessions;
mod terminals;
mod time_limit;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use ctr_sys::{Subreaper, set_subreaper};

/// A test and its name.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [role, number] = args.as_slice()
        && role == "monitor"
        && let Ok(number) = number.parse()
    {
        let served = ctr_monitor::serve(number, &runtime::Resolver);
        return ExitCode::from(u8::from(served.is_err()));
    }
    // Whatever a monitor leaves behind becomes our child and is seen.
    set_subreaper(Subreaper::On).unwrap();
    let tests = [
        creation::TESTS.as_slice(),
        exits::TESTS.as_slice(),
        clients::TESTS.as_slice(),
        terminals::TESTS.as_slice(),
        time_limit::TESTS.as_slice(),
        sessions::TESTS.as_slice(),
        lost::TESTS.as_slice(),
        wire::TESTS.as_slice(),
    ];
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|f| name.contains(*f));
    run(tests.concat().into_iter().filter(|(name, _)| wanted(name)))
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
