//! `cargo xtask tidy`: what a compiler does not see and a reviewer should not have to.
//!
//! Each check is a function from text or data to a list of problems, so that each is tested without a workspace. A problem is
//! one line that names the place; nothing is repaired.

mod functions;
mod lex;
mod licences;
mod manifests;
mod modules;
mod root;
mod sources;
mod unsafety;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::metadata::Metadata;
use crate::process::root as workspace_root;
use crate::{Verdict, no_arguments};

/// A text file of the workspace.
#[derive(Debug)]
pub(crate) struct TextFile {
    /// Relative to the workspace.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl TextFile {
    /// Whether the name ends with this extension.
    fn is(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|found| found == extension)
    }
}

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    no_arguments("tidy", arguments)?;
    let root = workspace_root();
    let files = text_files(&root)?;
    let metadata = Metadata::load()?;
    let mut problems = root::problems(&root, &files);
    problems.extend(modules::problems(&files));
    for file in &files {
        problems.extend(words::problems(file));
        if file.is("rs") {
            problems.extend(rust_problems(file));
        }
    }
    problems.extend(manifests::problems(&metadata, &files));
    problems.extend(sources::problems(&metadata));
    problems.extend(licences::problems(&metadata));
    println!(
        "{} text files, {} packages looked at",
        files.len(),
        metadata.packages.len()
    );
    Ok(print(&problems))
}

fn rust_problems(file: &TextFile) -> Vec<String> {
    let code = lex::code_only(&file.text);
    let mut problems = functions::problems(file, &code);
    problems.extend(unsafety::problems(file, &code));
    problems.extend(words::code_problems(file, &code));
    problems
}

/// Prints the problems and what they mean for the task.
pub(crate) fn print(problems: &[String]) -> Verdict {
    for problem in problems {
        println!("{problem}");
    }
    if problems.is_empty() {
        Verdict::Passed
    } else {
        println!("{} to mend", problems.len());
        Verdict::Failed
    }
}

/// The problem at a line (counted from 0) of a file.
fn at(file: &TextFile, line: usize, what: &str) -> String {
    format!("{}:{}: {what}", file.path, line + 1)
}

/// Every file of ours that is text, in the order of the paths. What git ignores is not ours.
fn text_files(root: &Path) -> Result<Vec<TextFile>> {
    let mut paths = Vec::new();
    walk(root, &mut paths)?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        let relative = path.strip_prefix(root).unwrap_or(&path);
        files.push(TextFile {
            path: relative.to_string_lossy().into_owned(),
            text,
        });
    }
    Ok(files)
}

fn walk(directory: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("list {}", directory.display()))?;
        let kind = entry
            .file_type()
            .with_context(|| format!("look at {}", entry.path().display()))?;
        let name = entry.file_name();
        if kind.is_dir() && name != ".git" && name != "target" {
            walk(&entry.path(), paths)?;
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn file(path: &str, text: &str) -> TextFile {
        TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn the_workspace_is_found_and_its_output_left_out() {
        let files = text_files(&workspace_root()).unwrap();
        assert!(
            files
                .iter()
                .any(|file| file.path == "xtask/src/tidy/mod.rs")
        );
        assert!(!files.iter().any(|file| file.path.starts_with("target/")));
        assert!(!files.iter().any(|file| file.path.starts_with(".git/")));
    }

    #[test]
    fn no_problem_is_a_pass() {
        assert_eq!(print(&[]), Verdict::Passed);
        assert_eq!(print(&["x".to_owned()]), Verdict::Failed);
    }
}
