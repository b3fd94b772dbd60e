//! Forgotten files: sources that no module names, and test cases that no table lists.

use super::lex::{code_only, words};
use super::{TextFile, at};

/// Where the end-to-end cases are, and the file that lists them.
const CASES: &str = "tests/src/cases/";
const CASE_TABLE: &str = "tests/src/cases/mod.rs";

/// Sources that are compiled by nobody and cases that are run by nobody.
pub(crate) fn problems(files: &[TextFile]) -> Vec<String> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| file.is("rs")) {
        if let Some(module) = Module::of(&file.path)
            && !module.declared(files)
        {
            problems.push(format!("{}: no module declares this file", file.path));
        }
    }
    problems.extend(unlisted_cases(files));
    problems
}

/// A file that becomes part of a crate only when a parent module names it.
struct Module<'a> {
    name: &'a str,
    parents: Vec<String>,
}

impl<'a> Module<'a> {
    /// `None` for crate roots and for what cargo finds by itself.
    fn of(path: &'a str) -> Option<Module<'a>> {
        let source = path.rfind("/src/")? + "/src/".len();
        let inside = &path[source..];
        if inside == "lib.rs" || inside == "main.rs" || inside.starts_with("bin/") {
            return None;
        }
        let stem = path.strip_suffix("/mod.rs").or(path.strip_suffix(".rs"))?;
        let (directory, name) = stem.rsplit_once('/')?;
        let mut parents = vec![format!("{directory}/mod.rs"), format!("{directory}.rs")];
        if directory.len() < source {
            parents = vec![
                format!("{directory}/lib.rs"),
                format!("{directory}/main.rs"),
            ];
        }
        Some(Module { name, parents })
    }

    fn declared(&self, files: &[TextFile]) -> bool {
        files
            .iter()
            .filter(|file| self.parents.contains(&file.path))
            .any(|file| {
                let code = code_only(&file.text);
                words(&code, self.name).any(|at| {
                    let (before, after) = (&code[..at], &code[at + self.name.len()..]);
                    before.trim_end().ends_with("mod") && after.trim_start().starts_with([';', '{'])
                })
            })
    }
}

/// Case files whose table of cases is not part of the table of all cases.
fn unlisted_cases(files: &[TextFile]) -> Vec<String> {
    let Some(table) = files.iter().find(|file| file.path == CASE_TABLE) else {
        return vec![format!("{CASE_TABLE}: missing, so no case is listed")];
    };
    let code = code_only(&table.text);
    files
        .iter()
        .filter(|file| file.path != CASE_TABLE)
        .filter_map(|file| {
            let name = file.path.strip_prefix(CASES)?.strip_suffix(".rs")?;
            let listed = name.contains('/') || code.contains(&format!("{name}::CASES"));
            (!listed).then(|| at(table, 0, &format!("the cases of {name} are not listed")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;

    fn table(text: &str) -> TextFile {
        file(CASE_TABLE, text)
    }

    #[test]
    fn every_source_has_a_parent_that_names_it() {
        let files = [
            file("crates/a/src/lib.rs", "pub mod b;\nmod c { }\nmod e;"),
            file("crates/a/src/b.rs", "mod d;"),
            file("crates/a/src/b/d.rs", ""),
            file("crates/a/src/c/f.rs", ""),
            file("crates/a/src/e/mod.rs", "// mod g;"),
            file("crates/a/src/e/g.rs", ""),
            file("crates/a/src/bin/tool.rs", ""),
            file("crates/a/tests/it.rs", ""),
            file("crates/a/src/lost.rs", ""),
            table("pub(crate) mod run;"),
            file("tests/src/main.rs", "mod cases;"),
        ];
        assert_eq!(
            problems(&files),
            [
                "crates/a/src/c/f.rs: no module declares this file",
                "crates/a/src/e/g.rs: no module declares this file",
                "crates/a/src/lost.rs: no module declares this file",
            ]
        );
    }

    #[test]
    fn every_case_file_is_in_the_table() {
        let files = [
            table("mod run; mod stop;\nconst ALL: &[&[Case]] = &[run::CASES];"),
            file("tests/src/cases/run.rs", ""),
            file("tests/src/cases/stop.rs", ""),
        ];
        assert_eq!(
            unlisted_cases(&files),
            ["tests/src/cases/mod.rs:1: the cases of stop are not listed"]
        );
        assert_eq!(unlisted_cases(&[]).len(), 1);
    }
}
