//! The end-to-end cases of ctr: `ctr-tests run|list|readme|race|power-loss|bench|kill-matrix|error-matrix`, started by `cargo xtask`.
//!
//! The cases look at the program from outside: they start `ctr` as a person or a script does, and read the kernel (mount table,
//! cgroups, processes, files) to see what it did and what it left. They use no crate of the workspace, so no mistake of the
//! engine can hide itself in the eyes that look for it. Each case has its own `--root` and `--runroot` in a temporary directory
//! and ends with the leak check; the machine's own containers are never touched.

#![forbid(unsafe_code)]

mod bench;
mod cases;
mod faults;
mod harness;
mod power;
mod race;

use std::process::ExitCode;

use anyhow::Result;

use crate::harness::args::{Action, parse};
use crate::harness::{readme, runner};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let Some(code) = faults::fake::play(&words) {
        return ExitCode::from(code);
    }
    let arguments: Vec<String> = words.into_iter().skip(1).collect();
    match act(&arguments) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(counts)) => {
            println!("{counts}");
            if counts.failed == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("ctr-tests: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Does what is asked for; gives the counts of what has any.
fn act(arguments: &[String]) -> Result<Option<runner::Counts>> {
    match parse(arguments)? {
        Action::Run(options) => runner::run(&cases::all(), &options).map(Some),
        Action::List(options) => Ok(Some(runner::list(&cases::all(), &options))),
        Action::Readme => readme::run().map(Some),
        Action::KillMatrix(options) => faults::matrix::run(&options).map(Some),
        Action::PowerLoss(options) => power::run(&options).map(Some),
        Action::ErrorMatrix(options) => faults::errors::run(&options).map(Some),
        Action::Race(options) => race::run(&options).map(Some),
        Action::Bench(options) => bench::run(&options).map(|()| None),
    }
}
