//! `cargo xtask kill-matrix`: processes of the engine are killed at every point, and one ordinary command puts things right.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::Verdict;
use crate::integration::{counted, test_program};
use crate::metadata::Metadata;
use crate::process::{command, root};
use crate::report::Counts;

/// What the task takes.
pub(crate) const ABOUT: &str = "processes of ours killed at every point [--op NAME,..] [--victim cli|monitor|runtime|cleanup,..] [--runtime fake|builtin|runc] [--every N] [--seed S] [--shard I/N] [--point K] [--sample] [--out FILE] [--resume]";

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    crate::integration::build()?;
    let target = Metadata::load()?.target;
    let mut words = arguments.to_vec();
    if let Some(file) = default_file(arguments) {
        words.extend(["--out".to_owned(), file.to_string_lossy().into_owned()]);
    }
    let counts = matrix(&target, &words)?;
    println!("{counts}");
    Ok(if counts.failed == 0 {
        Verdict::Passed
    } else {
        Verdict::Failed
    })
}

/// A few points of each operation; the programs are there already.
pub(crate) fn sample(target: &Path) -> Result<Counts> {
    matrix(target, &["--sample".to_owned()])
}

fn matrix(target: &Path, words: &[String]) -> Result<Counts> {
    let mut command = command(test_program(target));
    command.arg("kill-matrix").args(words);
    command.env("CTR_BIN", target.join("debug/ctr"));
    counted(&mut command).context("the kill matrix")
}

/// Where the results go unless something is said of it, or only some points are looked at.
fn default_file(arguments: &[String]) -> Option<PathBuf> {
    let has = |name: &str| arguments.iter().any(|word| word == name);
    if ["--out", "--point", "--sample"].into_iter().any(has) {
        return None;
    }
    let place = arguments.iter().position(|word| word == "--runtime");
    let runtime = place.and_then(|place| arguments.get(place + 1));
    let runtime = runtime.map_or("fake", String::as_str);
    Some(root().join(format!("tests/results/kill-matrix-{runtime}.jsonl")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(line: &str) -> Option<String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let path = default_file(&words)?;
        Some(path.file_name()?.to_string_lossy().into_owned())
    }

    #[test]
    fn results_are_kept_by_runtime() {
        assert_eq!(file("").unwrap(), "kill-matrix-fake.jsonl");
        let builtin = file("--every 3 --runtime builtin").unwrap();
        assert_eq!(builtin, "kill-matrix-builtin.jsonl");
        assert_eq!(file("--point 3"), None);
        assert_eq!(file("--sample"), None);
        assert_eq!(file("--out x"), None);
    }
}
