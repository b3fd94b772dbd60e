//! Walks over the resolved dependency graph.

use std::collections::BTreeSet;

use crate::metadata::{Kind, Metadata};

/// The ids of all packages that `start` (a package name of the workspace) needs to run, itself included, without entering the
/// package named `without`. Procedural macros count: they are code that we trust.
pub(crate) fn runtime_tree<'a>(
    metadata: &'a Metadata,
    start: &str,
    without: Option<&str>,
) -> BTreeSet<&'a str> {
    let named = |name: &str| {
        metadata
            .own()
            .find(|package| package.name == name)
            .map(|package| package.id.as_str())
    };
    let closed = without.and_then(named);
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = named(start).into_iter().collect();
    while let Some(id) = open.pop() {
        if Some(id) == closed || !seen.insert(id) {
            continue;
        }
        for (next, kinds) in metadata.edges.get(id).into_iter().flatten() {
            if kinds.contains(&Kind::Normal) {
                open.push(next);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::tests::workspace;

    #[test]
    fn only_normal_edges_are_walked_and_the_closed_door_is_not_entered() {
        let metadata = workspace(&[
            (
                "ctr-cli",
                &[
                    ("ctr-runtime", Kind::Normal),
                    ("a", Kind::Normal),
                    ("dev", Kind::Dev),
                ],
            ),
            ("ctr-runtime", &[("heavy", Kind::Normal), ("a", Kind::Normal)]),
            ("a", &[("b", Kind::Normal), ("cc", Kind::Build)]),
            ("b", &[("a", Kind::Normal)]),
            ("cc", &[]),
            ("dev", &[]),
            ("heavy", &[]),
        ]);
        let all: Vec<&str> = runtime_tree(&metadata, "ctr-cli", None).into_iter().collect();
        assert_eq!(all, ["a", "b", "ctr-cli", "ctr-runtime", "heavy"]);
        let few: Vec<&str> = runtime_tree(&metadata, "ctr-cli", Some("ctr-runtime"))
            .into_iter()
            .collect();
        assert_eq!(few, ["a", "b", "ctr-cli"]);
        assert!(runtime_tree(&metadata, "nobody", None).is_empty());
    }
}
