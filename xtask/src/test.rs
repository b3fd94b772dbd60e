//! `cargo xtask test`: everything a change must pass, on a desk as in CI.
//!
//! The steps are independent where they can be: one that fails does not hide the others. What needs the programs is tried only
//! when they could be built. The last line of the output is the line of counts.

use std::path::Path;

use anyhow::{Result, bail};

use crate::metadata::Metadata;
use crate::process::{cargo, copy_lines, output, succeed};
use crate::report::{Counts, Report};
use crate::{Verdict, faults, install, integration, layers, man, no_arguments, tidy};

/// Examples that show a crate alone: the package, and the example's name.
const EXAMPLES: &[(&str, &str)] = &[
    ("ctr-oci", "drive_runc"),
    ("ctr-exec", "exec_into"),
    ("ctr-events", "follow"),
    ("ctr-state", "records"),
    ("ctr-core", "embed"),
];

/// The steps that need the programs of the development profile.
const BUILD: &str = "build";

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    no_arguments("test", arguments)?;
    let target = Metadata::load()?.target;
    let mut report = Report::default();
    report.step("programs the tests need", || {
        install::missing_programs().map(|()| Counts::default())
    });
    let built = report.step(BUILD, || {
        done(cargo(["build", "--workspace", "--bins", "--examples"]))
    });
    static_steps(&mut report);
    for (name, step) in running_steps(&target) {
        if built == Verdict::Passed {
            report.step(&name, step);
        } else {
            report.hidden(&name, BUILD);
        }
    }
    report.step("README: the first command", || integration::readme(&target));
    report.step("package", package);
    Ok(report.finish())
}

/// What looks at the sources without running them.
fn static_steps(report: &mut Report) {
    report.step("fmt", || done(cargo(["fmt", "--all", "--check"])));
    report.step("clippy", || {
        done(cargo([
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    });
    report.step("layers", || passed(layers::run(&[])?));
    report.step("tidy", || passed(tidy::run(&[])?));
    report.step("doc", || {
        let mut command = cargo(["doc", "--quiet", "--workspace", "--no-deps"]);
        command.env("RUSTDOCFLAGS", "-D warnings");
        done(command)
    });
}

/// A step that has to wait for the programs.
type Step<'a> = Box<dyn FnOnce() -> Result<Counts> + 'a>;

/// What runs the code.
fn running_steps(target: &Path) -> Vec<(String, Step<'_>)> {
    let mut steps: Vec<(String, Step<'_>)> = vec![("unit tests".to_owned(), Box::new(unit_tests))];
    for (package, example) in EXAMPLES {
        let name = format!("example {example} of {package}");
        let command = ["run", "--quiet", "--package", package, "--example", example];
        steps.push((name, Box::new(move || done(cargo(command)))));
    }
    let pages = Box::new(|| man::check(target).map(|()| Counts::default()));
    steps.push(("man pages and completions".to_owned(), pages));
    let suite = Box::new(|| integration::all_rounds(target));
    steps.push(("integration".to_owned(), suite));
    for name in ["kill-matrix", "error-matrix", "race", "power-loss"] {
        let sample = Box::new(move || faults::sample(name));
        steps.push((format!("{name}: a sample"), sample));
    }
    steps
}

/// Runs every unit and documentation test and counts them.
fn unit_tests() -> Result<Counts> {
    let mut counts = Counts::default();
    let mut command = cargo(["test", "--quiet", "--workspace", "--no-fail-fast"]);
    let copied = copy_lines(&mut command, |line| {
        if let Some(result) = test_result(line) {
            counts.add(result);
        }
    })?;
    if !copied.success && counts.failed == 0 {
        bail!("{}", copied.what);
    }
    Ok(counts)
}

/// Reads the line that ends each test program: `test result: ok. 3 passed; 0 failed; 0 ignored; …`.
fn test_result(line: &str) -> Option<Counts> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |unit: &str| {
        rest.split([';', '.'])
            .find_map(|part| part.trim().strip_suffix(unit)?.trim().parse().ok())
    };
    // An ignored test is one that nobody runs: as bad as one that fails.
    Some(Counts {
        passed: number("passed")?,
        failed: number("failed")? + number("ignored")?,
        skipped: 0,
    })
}

/// Every crate can be packaged as it would be published.
fn package() -> Result<Counts> {
    output(&mut cargo([
        "package",
        "--quiet",
        "--workspace",
        "--no-verify",
        "--allow-dirty",
    ]))?;
    Ok(Counts::default())
}

fn done(mut command: std::process::Command) -> Result<Counts> {
    succeed(&mut command)?;
    Ok(Counts::default())
}

fn passed(verdict: Verdict) -> Result<Counts> {
    match verdict {
        Verdict::Passed => Ok(Counts::default()),
        Verdict::Failed => bail!("see above"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_of_a_test_program_is_counted() {
        let line = "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        let counts = test_result(line).unwrap();
        assert_eq!((counts.passed, counts.failed), (12, 0));
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.25s";
        let counts = test_result(line).unwrap();
        assert_eq!((counts.passed, counts.failed), (3, 3));
        assert!(test_result("running 3 tests").is_none());
    }

    #[test]
    fn no_argument_is_taken() {
        assert!(run(&["--fast".to_owned()]).is_err());
    }
}
