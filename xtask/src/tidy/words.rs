//! Words that promise work not done, switch a check off, or name what only some machines know.

use super::lex::{line_of, words};
use super::{TextFile, at};

/// Notes to oneself. Written in two pieces, so that this file passes its own check.
const NOTES: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// Names that mean nothing to a reader of the project: the machines it was written on, and hosts of package registries, which
/// are the business of each machine's own configuration.
const FOREIGN: [&str; 9] = [
    concat!("../", "shared"),
    concat!("/work/", "main"),
    concat!("crates", ".io"),
    concat!("deb.", "debian.org"),
    concat!("security.", "debian.org"),
    concat!("npm", "js.org"),
    concat!("py", "pi.org"),
    concat!("proxy.", "golang.org"),
    concat!("registry-1.", "docker.io"),
];

/// Macros that stand for code that is not there.
const MISSING: [&str; 2] = [concat!("to", "do!"), concat!("unimpl", "emented!")];

/// Files that other tools write or that we quote: their words are not ours.
const QUOTED: [&str; 2] = ["Cargo.lock", "LICENSE"];

/// Forbidden words in any text file.
pub(crate) fn problems(file: &TextFile) -> Vec<String> {
    if QUOTED.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for note in NOTES {
        for offset in words(&file.text, note) {
            let line = line_of(&file.text, offset);
            problems.push(at(file, line, &format!("{note}: do it or file it")));
        }
    }
    for name in FOREIGN {
        for (offset, _) in file.text.match_indices(name) {
            let line = line_of(&file.text, offset);
            problems.push(at(file, line, &format!("{name} does not belong here")));
        }
    }
    problems
}

/// Forbidden words of Rust. `code` is the file without comments and literals.
pub(crate) fn code_problems(file: &TextFile, code: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for name in MISSING {
        for (offset, _) in code.match_indices(name) {
            let what = format!("{name} stands for code that is not there");
            problems.push(at(file, line_of(code, offset), &what));
        }
    }
    for (offset, _) in code.match_indices("#[ignore") {
        problems.push(at(
            file,
            line_of(code, offset),
            "an ignored test tests nothing",
        ));
    }
    for offset in bare_allows(code) {
        problems.push(at(
            file,
            line_of(code, offset),
            "a lint is switched off without a reason",
        ));
    }
    problems
}

/// Where `#[allow(…)]` or `#![allow(…)]` has no `reason`.
fn bare_allows(code: &str) -> Vec<usize> {
    ["#[allow(", "#![allow("]
        .iter()
        .flat_map(|opening| code.match_indices(opening))
        .map(|(offset, _)| offset)
        .filter(|offset| {
            let rest = &code[*offset..];
            let attribute = rest.find(")]").map_or(rest, |end| &rest[..end]);
            words(attribute, "reason").next().is_none()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::lex::code_only;
    use super::super::tests::file;
    use super::*;

    #[test]
    fn notes_and_foreign_names_are_found_in_any_text() {
        let text = format!("ok\n# {}: later\nsee {}/x\n", NOTES[0], FOREIGN[0]);
        assert_eq!(
            problems(&file("a.md", &text)),
            [
                format!("a.md:2: {}: do it or file it", NOTES[0]),
                format!("a.md:3: {} does not belong here", FOREIGN[0]),
            ]
        );
        assert_eq!(problems(&file("Cargo.lock", &text)), [""; 0]);
        assert_eq!(problems(&file("a.md", "TODOS and methods\n")), [""; 0]);
    }

    #[test]
    fn missing_code_and_silent_switches_are_found() {
        for bad in [
            format!("fn f() {{ {}() }}", MISSING[0]),
            format!("fn f() {{ {}() }}", MISSING[1]),
            "#[ignore = \"slow\"]\nfn f() {}".to_owned(),
            "#[allow(dead_code)]\nfn f() {}".to_owned(),
            "#![allow(clippy::all)]".to_owned(),
        ] {
            assert_eq!(
                code_problems(&file("a.rs", &bad), &code_only(&bad)).len(),
                1,
                "{bad}"
            );
        }
        for good in [
            "#[allow(\n    dead_code,\n    reason = \"read by the test\"\n)]\nfn f() {}",
            "// #[allow(dead_code)]\nlet x = \"#[ignore]\";",
        ] {
            assert_eq!(
                code_problems(&file("a.rs", good), &code_only(good)),
                [""; 0],
                "{good}"
            );
        }
    }
}
