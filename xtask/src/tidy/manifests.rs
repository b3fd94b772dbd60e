//! What each crate says of itself.

use super::TextFile;
use crate::metadata::{Metadata, Package, Publish};

/// Incomplete manifests and libraries without a front page.
pub(crate) fn problems(metadata: &Metadata, files: &[TextFile]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in metadata.own() {
        for missing in missing(package) {
            problems.push(format!("{}: no {missing} in its manifest", package.name));
        }
        let manifest = package.manifest.strip_prefix(&metadata.root);
        let path = manifest.unwrap_or(&package.manifest).to_string_lossy();
        let found = files.iter().find(|file| file.path == path);
        if !found.is_some_and(|file| follows_the_workspace(&file.text)) {
            problems.push(format!("{path}: does not take the workspace's lints"));
        }
    }
    problems.extend(files.iter().filter_map(front_page));
    problems
}

/// The fields that a manifest lacks. What is not published still says what it is.
fn missing(package: &Package) -> Vec<&'static str> {
    let for_all = [
        ("description", package.description.is_none()),
        ("license", package.license.is_none()),
        ("repository", package.repository.is_none()),
        ("rust-version", package.rust_version.is_none()),
    ];
    let for_others = [
        ("authors", package.authors.is_empty()),
        ("keywords", package.keywords.is_empty()),
        ("categories", package.categories.is_empty()),
    ];
    let published = match package.publish {
        Publish::Yes => &for_others[..],
        Publish::No => &[],
    };
    for_all
        .iter()
        .chain(published)
        .filter(|(_, missing)| *missing)
        .map(|(name, _)| *name)
        .collect()
}

fn follows_the_workspace(manifest: &str) -> bool {
    let mut lines = manifest.lines().map(str::trim);
    lines.any(|line| line == "[lints]") && lines.next() == Some("workspace = true")
}

/// A library begins with its documentation: what it is for, in more than one line.
fn front_page(file: &TextFile) -> Option<String> {
    let library = file.path.starts_with("crates/") && file.path.ends_with("/src/lib.rs");
    let lines = file
        .text
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .count();
    (library && lines < 3).then(|| format!("{}: no front page (module documentation)", file.path))
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;
    use crate::metadata::tests::workspace;

    #[test]
    fn a_published_crate_says_more_than_one_that_stays() {
        let metadata = workspace(&[("ctr-sys", &[])]);
        let mut package = metadata.own().next().unwrap().clone();
        assert_eq!(
            missing(&package),
            [
                "description",
                "repository",
                "rust-version",
                "authors",
                "keywords",
                "categories"
            ]
        );
        package.publish = Publish::No;
        package.description = Some("x".to_owned());
        assert_eq!(missing(&package), ["repository", "rust-version"]);
    }

    #[test]
    fn lints_come_from_the_workspace() {
        assert!(follows_the_workspace("[lints]\nworkspace = true\n"));
        assert!(!follows_the_workspace(
            "[lints.rust]\nunsafe_code = \"allow\"\n"
        ));
        assert!(!follows_the_workspace("[lints]\nworkspace = false\n"));
    }

    #[test]
    fn a_library_has_a_front_page() {
        let path = "crates/a/src/lib.rs";
        assert!(front_page(&file(path, "//! One line.\n")).is_some());
        assert!(front_page(&file(path, "//! What.\n//!\n//! Why.\n")).is_none());
        assert!(front_page(&file("crates/a/src/b.rs", "")).is_none());
    }
}
