//! Under which licences foreign code may come in.
//!
//! Licences are SPDX expressions (SPDX 2.3, annex D: `OR`, `AND`, `WITH`, parentheses); the older `A/B` means `A OR B`.

use crate::metadata::Metadata;

/// Good for any package.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// A licence that is good for one package only.
struct Exception {
    package: &'static str,
    /// The licence, or [`UNNAMED`].
    licence: &'static str,
    reason: &'static str,
}

/// Stands for the licence of a manifest that names only a file.
const UNNAMED: &str = "";

const EXCEPTIONS: &[Exception] = &[
    Exception {
        package: "pathrs",
        licence: "MPL-2.0",
        reason: "needed by libcontainer; used unmodified, and MPL-2.0 asks for the source of changed files only",
    },
    Exception {
        package: "rust-criu",
        licence: UNNAMED,
        reason: "needed by libcontainer; the file that its manifest names has the text of the MIT licence",
    },
];

/// Packages whose licence is not allowed, and exceptions that nobody needs any more.
pub(crate) fn problems(metadata: &Metadata) -> Vec<String> {
    let mut problems = Vec::new();
    for package in metadata.packages.values() {
        let allowed = |licence: &str| {
            ALLOWED.contains(&licence)
                || EXCEPTIONS.iter().any(|exception| {
                    exception.package == package.name && exception.licence == licence
                })
        };
        let verdict = match &package.license {
            None if allowed(UNNAMED) => None,
            None => Some("names no licence".to_owned()),
            Some(expression) => match accepts(expression, &allowed) {
                Some(Answer::Yes) => None,
                Some(Answer::No) => Some(format!("licence {expression} is not allowed")),
                None => Some(format!("licence {expression} is no SPDX expression")),
            },
        };
        if let Some(verdict) = verdict {
            problems.push(format!("{} {}: {verdict}", package.name, package.version));
        }
    }
    for exception in EXCEPTIONS {
        let used = metadata
            .packages
            .values()
            .any(|package| package.name == exception.package);
        if !used {
            problems.push(format!(
                "{}: its licence exception ({}) is not needed any more",
                exception.package, exception.reason
            ));
        }
    }
    problems
}

/// What an expression comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

impl From<bool> for Answer {
    fn from(value: bool) -> Answer {
        if value { Answer::Yes } else { Answer::No }
    }
}

/// Whether the terms that `allowed` accepts satisfy the expression; `None` when it cannot be read.
fn accepts(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Option<Answer> {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let answer = any_of(&mut words, allowed)?;
    words.next().is_none().then_some(answer)
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> Option<Answer> {
    let mut answer = all_of(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        let next = all_of(words, allowed)?;
        answer = Answer::from(answer == Answer::Yes || next == Answer::Yes);
    }
    Some(answer)
}

fn all_of(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> Option<Answer> {
    let mut answer = term(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        let next = term(words, allowed)?;
        answer = Answer::from(answer == Answer::Yes && next == Answer::Yes);
    }
    Some(answer)
}

fn term(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool) -> Option<Answer> {
    let word = words.next()?;
    if word == "(" {
        let answer = any_of(words, allowed)?;
        return (words.next()? == ")").then_some(answer);
    }
    if matches!(word, ")" | "OR" | "AND" | "WITH") {
        return None;
    }
    if words.next_if_eq(&"WITH").is_some() {
        let exception = words.next()?;
        return Some(Answer::from(allowed(&format!("{word} WITH {exception}"))));
    }
    Some(Answer::from(allowed(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::workspace;

    fn check(expression: &str) -> Option<Answer> {
        accepts(expression, &|licence| ALLOWED.contains(&licence))
    }

    #[test]
    fn expressions_are_evaluated() {
        for yes in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "GPL-3.0-only OR MIT",
            "MIT/Apache-2.0",
            "(MIT OR GPL-2.0-only) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
            "MIT AND (ISC OR LGPL-2.1-only)",
        ] {
            assert_eq!(check(yes), Some(Answer::Yes), "{yes}");
        }
        for no in [
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "Apache-2.0 WITH Classpath-exception-2.0",
            "MPL-2.0",
            "GPL-2.0-only OR (MIT AND LGPL-2.1-only)",
        ] {
            assert_eq!(check(no), Some(Answer::No), "{no}");
        }
        for bad in [
            "", "MIT OR", "(MIT", "MIT)", "OR MIT", "MIT ISC", "MIT WITH",
        ] {
            assert_eq!(check(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_exception_is_for_its_package_only() {
        let mut metadata = workspace(&[("pathrs", &[]), ("other", &[]), ("rust-criu", &[])]);
        for package in metadata.packages.values_mut() {
            package.license = Some("MPL-2.0".to_owned()).filter(|_| package.name != "rust-criu");
        }
        assert_eq!(
            problems(&metadata),
            ["other 1.0.0: licence MPL-2.0 is not allowed"]
        );
        metadata.packages.get_mut("other").unwrap().license = None;
        assert_eq!(problems(&metadata), ["other 1.0.0: names no licence"]);
    }

    #[test]
    fn an_exception_nobody_needs_is_named() {
        let problems = problems(&workspace(&[("other", &[])]));
        assert_eq!(problems.len(), EXCEPTIONS.len(), "{problems:?}");
        assert!(problems[0].starts_with("pathrs: its licence exception"));
    }
}
