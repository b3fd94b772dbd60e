//! The files at the root of the workspace: those that have to be there, and those that must not.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::TextFile;

const REQUIRED: &[&str] = &[
    ".ci/run",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "SHORTCOMINGS.md",
    "clippy.toml",
];

/// A pinned toolchain would be one more thing to download: `rust-version` in the manifest says what is needed.
const UNWANTED: &[&str] = &["rust-toolchain", "rust-toolchain.toml"];

/// What a new user types first; the README shows it and the tests run it.
const COMMANDS: &[&str] = &[
    "cargo run --release -- run --rm --rootfs /:O echo hello",
    "cargo xtask test",
];

/// What is wrong at the root.
pub(crate) fn problems(root: &Path, files: &[TextFile]) -> Vec<String> {
    let mut problems = listed_problems(files);
    let executable = root
        .join(".ci/run")
        .metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & 0o111 == 0o111);
    if !executable {
        problems.push(".ci/run: not executable".to_owned());
    }
    problems
}

fn listed_problems(files: &[TextFile]) -> Vec<String> {
    let find = |name: &str| files.iter().find(|file| file.path == name);
    let mut problems = Vec::new();
    for name in REQUIRED {
        if find(name).is_none_or(|file| file.text.trim().is_empty()) {
            problems.push(format!("{name}: missing or empty"));
        }
    }
    for name in UNWANTED {
        if find(name).is_some() {
            problems.push(format!(
                "{name}: not wanted, rust-version in Cargo.toml is enough"
            ));
        }
    }
    let readme = find("README.md").map_or("", |file| file.text.as_str());
    for command in COMMANDS {
        if !readme.contains(command) {
            problems.push(format!("README.md: does not show `{command}`"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::tests::file;
    use super::*;

    #[test]
    fn the_list_is_complete_or_named() {
        let mut files: Vec<TextFile> = REQUIRED.iter().map(|name| file(name, "x")).collect();
        for readme in files.iter_mut().filter(|file| file.path == "README.md") {
            readme.text = COMMANDS.join("\n");
        }
        assert_eq!(listed_problems(&files), [""; 0]);
        files.push(file("rust-toolchain.toml", "x"));
        files.retain(|file| file.path != "LICENSE");
        assert_eq!(
            listed_problems(&files),
            [
                "LICENSE: missing or empty",
                "rust-toolchain.toml: not wanted, rust-version in Cargo.toml is enough",
            ]
        );
        assert_eq!(listed_problems(&[]).len(), REQUIRED.len() + COMMANDS.len());
    }
}
