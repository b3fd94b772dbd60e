//! `cargo xtask kill-matrix`, `error-matrix`, `race` and `power-loss`: programs that let something go wrong very often, and count what comes of it.
//!
//! The test program does the work. A full run adds its line to the results that are kept in the tree; a sample is a step of
//! `cargo xtask test`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::Verdict;
use crate::integration::{counted, test_program};
use crate::metadata::Metadata;
use crate::process::{cargo, command, output, root};
use crate::report::Counts;

/// What `race` is for, with its options.
pub(crate) const RACE: &str = "many processes on few names, judged by their history [--processes N] [--names N] [--operations N] [--seed N] [--out FILE] [--sample]";

/// What `kill-matrix` is for, with its options.
pub(crate) const KILL_MATRIX: &str = "processes of ours killed at every point [--op NAME,..] [--victim cli|monitor|runtime|cleanup|kept|keeper,..] [--runtime fake|builtin|runc] [--every N] [--seed S] [--shard I/N] [--point K] [--sample] [--out FILE] [--resume]";

/// What `power-loss` is for, with its options.
pub(crate) const POWER_LOSS: &str = "what is left when the power is cut at any moment [--images N] [--seed N] [--out FILE] [--sample]";

/// What `error-matrix` is for, with its options.
pub(crate) const ERROR_MATRIX: &str = "calls into the kernel that fail, at every place in our code [--op NAME,..] [--role cli|monitor|runtime|cleanup,..] [--errno ENOSPC,..] [--runtime fake|builtin|runc] [--every N] [--seed S] [--shard I/N] [--point NAME] [--sample] [--out FILE] [--resume]";

/// The option that makes a run short.
const SAMPLE: &str = "--sample";

/// Runs `race`.
pub(crate) fn race(arguments: &[String]) -> Result<Verdict> {
    full("race", &kept("race", arguments)?)
}

/// Runs `power-loss`.
pub(crate) fn power_loss(arguments: &[String]) -> Result<Verdict> {
    full("power-loss", &kept("power-loss", arguments)?)
}

/// Runs `kill-matrix`. The results of each runtime have a file of their own.
pub(crate) fn kill_matrix(arguments: &[String]) -> Result<Verdict> {
    let place = arguments.iter().position(|word| word == "--runtime");
    let runtime = place.and_then(|place| arguments.get(place + 1));
    let runtime = runtime.map_or("fake", String::as_str);
    full(
        "kill-matrix",
        &kept(&format!("kill-matrix-{runtime}"), arguments)?,
    )
}

/// Runs `error-matrix`.
pub(crate) fn error_matrix(arguments: &[String]) -> Result<Verdict> {
    full("error-matrix", &kept("error-matrix", arguments)?)
}

fn full(name: &str, words: &[String]) -> Result<Verdict> {
    crate::integration::build()?;
    let counts = run(name, words)?;
    println!("{counts}");
    Ok(if counts.failed == 0 {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

/// A short run, whose result is not kept; the programs are there already.
pub(crate) fn sample(name: &str) -> Result<Counts> {
    run(name, &[SAMPLE.to_owned()])
}

/// The arguments, and the file that results are kept in, unless they name another one or ask for less than a whole run.
fn kept(name: &str, arguments: &[String]) -> Result<Vec<String>> {
    let mut words = arguments.to_vec();
    let less = [SAMPLE, "--out", "--point"];
    if !words.iter().any(|word| less.contains(&word.as_str())) {
        let results = root().join("tests/results");
        std::fs::create_dir_all(&results).context("make the directory of the results")?;
        let file = results.join(format!("{name}.jsonl"));
        words.extend(["--out".to_owned(), file.to_string_lossy().into_owned()]);
    }
    Ok(words)
}

fn run(name: &str, words: &[String]) -> Result<Counts> {
    let target = Metadata::load()?.target;
    let mut command = command(test_program(&target));
    command.arg(name).args(words);
    command.env("CTR_BIN", target.join("debug/ctr"));
    command.env("CTR_WORKER", worker()?);
    counted(&mut command)
}

/// The program that drives the engine as a library: the tests of ctr-core, which have a part for that.
fn worker() -> Result<PathBuf> {
    let said = output(&mut cargo([
        "test",
        "--quiet",
        "--no-run",
        "--package",
        "ctr-core",
        "--test",
        "lifecycle",
        "--message-format=json",
    ]))?;
    executable(&said).context("cargo names no program of ctr-core's tests")
}

/// The program in what cargo says, one JSON object a line.
fn executable(said: &str) -> Option<PathBuf> {
    said.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "lifecycle")
        .find_map(|message| {
            message["executable"]
                .as_str()
                .map(|path| Path::new(path).to_owned())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_kept_unless_something_else_is_asked_for() {
        let words = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            kept("race", &words).unwrap().join(" ")
        };
        assert_eq!(words(&[SAMPLE]), "--sample");
        assert_eq!(words(&["--out", "x"]), "--out x");
        assert_eq!(words(&["--point", "3"]), "--point 3");
        let full = words(&["--seed", "2"]);
        assert!(full.starts_with("--seed 2 --out "), "{full}");
        assert!(full.ends_with("tests/results/race.jsonl"), "{full}");
    }

    #[test]
    fn the_program_is_found_among_what_cargo_says() {
        let said = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/x/other"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"lifecycle"},"executable":"/x/lifecycle-1"}"#,
            "\nno json\n"
        );
        assert_eq!(executable(said), Some(PathBuf::from("/x/lifecycle-1")));
        assert_eq!(executable("{}"), None);
    }
}
