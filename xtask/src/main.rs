//! The tasks of the ctr workspace: `cargo xtask TASK [ARGUMENTS]`.
//!
//! Everything a change has to pass is here and runs the same way on a desk and in CI. The tasks depend on no crate of the
//! workspace: a tool that judges the code does not run on it.

#![forbid(unsafe_code)]

mod bench;
mod faults;
mod install;
mod integration;
mod layers;
mod man;
mod metadata;
mod process;
mod report;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

/// How a task ended when it could do its work; an error means that it could not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is as it should be.
    Passed,
    /// The task has printed what is wrong.
    Failed,
}

/// A task: its name, what it is for, and the function.
struct Task {
    name: &'static str,
    about: &'static str,
    run: fn(&[String]) -> Result<Verdict>,
}

const TASKS: &[Task] = &[
    Task {
        name: "test",
        about: "everything a change must pass",
        run: test::run,
    },
    Task {
        name: "test-integration",
        about: "the end-to-end cases [--runtime builtin|runc|crun|all] [--profile host|legacy|unified] [--scale quick|full] [--filter TEXT] [--jobs N]",
        run: integration::run,
    },
    Task {
        name: "kill-matrix",
        about: faults::KILL_MATRIX,
        run: faults::kill_matrix,
    },
    Task {
        name: "error-matrix",
        about: faults::ERROR_MATRIX,
        run: faults::error_matrix,
    },
    Task {
        name: "bench",
        about: bench::ABOUT,
        run: bench::run,
    },
    Task {
        name: "race",
        about: faults::RACE,
        run: faults::race,
    },
    Task {
        name: "power-loss",
        about: faults::POWER_LOSS,
        run: faults::power_loss,
    },
    Task {
        name: "man",
        about: "man pages and shell completions [--out DIR, laid out like /usr/share]",
        run: man::run,
    },
    Task {
        name: "layers",
        about: "the edges between the crates, the size of the runtime tree",
        run: layers::run,
    },
    Task {
        name: "tidy",
        about: "sizes, unsafe code, leftovers, manifests, licences and sources",
        run: tidy::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(Verdict::Passed) => ExitCode::SUCCESS,
        Ok(Verdict::Failed) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<Verdict> {
    let Some((name, rest)) = arguments.split_first() else {
        bail!("no task given; {}", list());
    };
    if name == "help" || name == "--help" {
        for task in TASKS {
            println!("{:18} {}", task.name, task.about);
        }
        return Ok(Verdict::Passed);
    }
    match TASKS.iter().find(|task| task.name == name) {
        Some(task) if rest.iter().any(|argument| argument == "--help") => {
            println!("{}: {}", task.name, task.about);
            Ok(Verdict::Passed)
        }
        Some(task) => (task.run)(rest),
        None => bail!("unknown task {name:?}; {}", list()),
    }
}

/// The tasks there are, as the end of a sentence.
fn list() -> String {
    let names: Vec<&str> = TASKS.iter().map(|task| task.name).collect();
    format!("the tasks are: {}", names.join(", "))
}

/// Refuses arguments for a task that takes none.
pub(crate) fn no_arguments(task: &str, arguments: &[String]) -> Result<()> {
    match arguments.first() {
        None => Ok(()),
        Some(argument) => bail!("{task} takes no argument, got {argument:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_task_names_the_tasks_in_one_line() {
        let error = dispatch(&["nonsense".to_owned()]).unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown task \"nonsense\"; the tasks are: test, test-integration, kill-matrix, error-matrix, bench, race, power-loss, man, layers, tidy"
        );
    }

    #[test]
    fn no_task_names_the_tasks() {
        let error = dispatch(&[]).unwrap_err().to_string();
        assert!(
            error.starts_with("no task given; the tasks are: test,"),
            "{error}"
        );
    }

    #[test]
    fn arguments_nobody_reads_are_refused() {
        assert!(no_arguments("layers", &[]).is_ok());
        assert!(no_arguments("layers", &["x".to_owned()]).is_err());
    }
}
