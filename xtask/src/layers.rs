//! `cargo xtask layers`: which crate may use which, and how much foreign code the program carries.
//!
//! The edges are data here and nowhere else. A new edge or a new crate is a change of this table, made on purpose.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::metadata::{Kind, Metadata};
use crate::process::{cargo, output};
use crate::{Verdict, no_arguments};

/// The crates of the house and what each may use of the others, for the program and for its tests alike.
const EDGES: &[(&str, &[&str])] = &[
    ("ctr-sys", &[]),
    ("ctr-events", &["ctr-sys"]),
    ("ctr-state", &["ctr-sys", "ctr-events"]),
    ("ctr-oci", &["ctr-sys"]),
    // The second one for an example alone, which drives a runtime without an engine.
    ("ctr-exec", &["ctr-sys", "ctr-oci"]),
    ("ctr-rootfs", &["ctr-sys"]),
    ("ctr-monitor", &["ctr-sys", "ctr-oci", "ctr-exec"]),
    ("ctr-runtime", &["ctr-sys", "ctr-oci"]),
    (
        "ctr-core",
        &[
            "ctr-sys",
            "ctr-events",
            "ctr-state",
            "ctr-oci",
            "ctr-exec",
            "ctr-rootfs",
            "ctr-monitor",
        ],
    ),
    (
        "ctr-cli",
        &[
            "ctr-sys",
            "ctr-events",
            "ctr-state",
            "ctr-oci",
            "ctr-exec",
            "ctr-rootfs",
            "ctr-monitor",
            "ctr-runtime",
            "ctr-core",
        ],
    ),
    // The cases look at the program from outside, and the tasks judge the code: neither runs on it.
    ("ctr-tests", &[]),
    ("xtask", &[]),
];

/// Executors and event loops of asynchronous programs: blocking calls and `poll` do here.
const ASYNC_RUNTIMES: &[&str] = &[
    "async-executor",
    "async-global-executor",
    "async-io",
    "async-std",
    "embassy-executor",
    "futures-executor",
    "glommio",
    "mio",
    "monoio",
    "smol",
    "tokio",
    "tokio-uring",
];

/// The program and the one crate whose tree is counted on its own.
const PROGRAM: &str = "ctr-cli";
const APART: &str = "ctr-runtime";

/// The runtime tree without [`APART`] stays below this many packages.
const PACKAGES: usize = 80;

/// Runs the task.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    no_arguments("layers", arguments)?;
    let metadata = Metadata::load()?;
    let mut problems = edge_problems(&metadata, EDGES);
    problems.extend(async_problems(&metadata));
    let tree = [
        "tree",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--package",
        PROGRAM,
    ];
    let with = packages(&output(&mut cargo(tree))?);
    let without = packages(&output(cargo(tree).args(["--prune", APART]))?);
    println!(
        "runtime tree of {PROGRAM}: {without} packages without {APART} (limit {PACKAGES}), {with} with it"
    );
    if without >= PACKAGES {
        problems.push(format!(
            "{PROGRAM}: {without} packages without {APART}, the limit is {PACKAGES}"
        ));
    }
    Ok(crate::tidy::print(&problems))
}

/// How many packages a tree of `cargo tree --prefix none` has, procedural macros and our own crates included: all of it is code
/// that we trust.
fn packages(tree: &str) -> usize {
    let distinct: BTreeSet<(&str, &str)> = tree
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap_or(rest)))
        .collect();
    distinct.len()
}

/// Edges between our crates that the table does not have, and crates that it does not know.
fn edge_problems(metadata: &Metadata, table: &[(&str, &[&str])]) -> Vec<String> {
    let mut problems = Vec::new();
    for package in metadata.own() {
        let Some((_, allowed)) = table.iter().find(|(name, _)| *name == package.name) else {
            problems.push(format!(
                "{}: the table of layers does not know it",
                package.name
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let ours = metadata.own().any(|other| other.name == dependency.name);
            if ours && !allowed.contains(&dependency.name.as_str()) {
                let kind = match dependency.kind {
                    Kind::Normal => "uses",
                    Kind::Build => "is built with",
                    Kind::Dev => "is tested with",
                };
                problems.push(format!(
                    "{} {kind} {}: no such edge in the table of layers",
                    package.name, dependency.name
                ));
            }
        }
    }
    for (name, _) in table {
        if !metadata.own().any(|package| package.name == *name) {
            problems.push(format!(
                "{name}: in the table of layers, not in the workspace"
            ));
        }
    }
    problems
}

/// Asynchronous runtimes anywhere in the graph, tests and build scripts included.
fn async_problems(metadata: &Metadata) -> Vec<String> {
    metadata
        .packages
        .values()
        .filter(|package| ASYNC_RUNTIMES.contains(&package.name.as_str()))
        .map(|package| {
            format!(
                "{} {}: an asynchronous runtime",
                package.name, package.version
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::workspace;

    const TABLE: &[(&str, &[&str])] = &[("ctr-sys", &[]), ("ctr-core", &["ctr-sys"])];

    #[test]
    fn the_table_has_no_cycle() {
        // Every crate uses only what stands above it, or is a leaf.
        for (index, (name, allowed)) in EDGES.iter().enumerate() {
            for other in *allowed {
                let at = EDGES.iter().position(|(known, _)| known == other);
                assert!(at.is_some_and(|at| at < index), "{name} -> {other}");
            }
        }
    }

    #[test]
    fn allowed_edges_pass() {
        let metadata = workspace(&[
            ("ctr-sys", &[("libc", Kind::Normal)]),
            ("ctr-core", &[("ctr-sys", Kind::Normal)]),
            ("libc", &[]),
        ]);
        assert_eq!(edge_problems(&metadata, TABLE), [""; 0]);
    }

    #[test]
    fn wrong_edges_and_unknown_crates_are_named() {
        let metadata = workspace(&[("ctr-sys", &[("ctr-core", Kind::Dev)]), ("ctr-new", &[])]);
        assert_eq!(
            edge_problems(&metadata, &TABLE[..1]),
            ["ctr-new: the table of layers does not know it"]
        );
        let metadata = workspace(&[("ctr-sys", &[("ctr-core", Kind::Dev)]), ("ctr-core", &[])]);
        assert_eq!(
            edge_problems(&metadata, TABLE),
            ["ctr-sys is tested with ctr-core: no such edge in the table of layers"]
        );
        let metadata = workspace(&[("ctr-sys", &[])]);
        assert_eq!(
            edge_problems(&metadata, TABLE),
            ["ctr-core: in the table of layers, not in the workspace"]
        );
    }

    #[test]
    fn a_package_is_counted_once_for_each_version() {
        let tree = "ctr-cli v0.1.0 (/w)\nsyn v2.0.1\nsyn v3.0.0 (proc-macro)\nsyn v2.0.1 (*)\n\n";
        assert_eq!(packages(tree), 3);
    }

    #[test]
    fn an_asynchronous_runtime_is_found_behind_others() {
        let metadata = workspace(&[
            ("ctr-sys", &[("a", Kind::Normal)]),
            ("a", &[("tokio", Kind::Build)]),
            ("tokio", &[]),
        ]);
        assert_eq!(
            async_problems(&metadata),
            ["tokio 1.0.0: an asynchronous runtime"]
        );
    }
}
