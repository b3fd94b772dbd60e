//! `cargo xtask man`: man pages and shell completions from the tree of commands, laid out like `/usr/share`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::Verdict;
use crate::metadata::Metadata;
use crate::process::{cargo, command, output};

/// Prints what is wrong with a page, where there is a formatter.
const FORMAT: &str = "command -v groff > /dev/null || exit 0; groff -man -ww -z -Tutf8 \"$1\" 2>&1";

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    let out = match parse(arguments)? {
        Some(out) => out,
        None => Metadata::load()?.target.join("share"),
    };
    let names = generate(&out)?;
    println!(
        "{} pages and 3 completions in {}",
        names.len(),
        out.display()
    );
    Ok(Verdict::Passed)
}

/// Generates and looks at what came out: every command that is shown has a page.
pub(crate) fn check(target: &Path) -> Result<()> {
    let out = target.join("share");
    let names = generate(&out)?;
    for name in &names {
        check_page(&out.join(format!("man/man1/{name}.1")), name)?;
    }
    for needed in ["ctr", "ctr-run", "ctr-events", "ctr-container-cleanup"] {
        ensure!(
            names.iter().any(|name| name == needed),
            "no page for {needed}"
        );
    }
    let file = out.join("bash-completion/completions/ctr");
    output(command("bash").arg("-n").arg(&file)).context("read the completions for bash")?;
    Ok(())
}

/// Gives the names of the pages.
fn generate(out: &Path) -> Result<Vec<String>> {
    let words = [
        "run",
        "--quiet",
        "--package",
        "ctr-cli",
        "--example",
        "generate",
        "--",
    ];
    let names = output(cargo(words).arg(out))?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// A page has a title of its own, the sections that readers look for, and nothing that its formatter complains about.
fn check_page(path: &Path, name: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    for line in [
        format!(".TH {name} 1 "),
        ".SH NAME".into(),
        ".SH SYNOPSIS".into(),
    ] {
        ensure!(
            text.lines().any(|found| found.starts_with(&line)),
            "{name}: no line {line:?}"
        );
    }
    // Warnings do not make it fail.
    let complaints = output(command("sh").args(["-c", FORMAT, "sh"]).arg(path))?;
    ensure!(complaints.is_empty(), "the page of {name}: {complaints}");
    Ok(())
}

fn parse(arguments: &[String]) -> Result<Option<PathBuf>> {
    match arguments {
        [] => Ok(None),
        [flag, directory] if flag == "--out" => {
            std::path::absolute(directory).map(Some).context("--out")
        }
        [joined] if joined.starts_with("--out=") => {
            parse(&["--out".to_owned(), joined["--out=".len()..].to_owned()])
        }
        other => bail!("man takes --out DIR, not {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_parse(words: &[&str]) -> Result<Option<PathBuf>> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        parse(&words)
    }

    #[test]
    fn a_directory_may_be_given() {
        assert_eq!(check_parse(&[]).unwrap(), None);
        for words in [&["--out", "/a/b"][..], &["--out=/a/b"]] {
            assert_eq!(check_parse(words).unwrap(), Some(PathBuf::from("/a/b")));
        }
        for bad in [&["--out"][..], &["--out="], &["x"], &["--out", "a", "b"]] {
            assert!(check_parse(bad).is_err(), "{bad:?}");
        }
    }
}
