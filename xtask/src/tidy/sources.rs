//! Where foreign code comes from: the one public registry, by version, or a directory of this workspace.

use crate::metadata::Metadata;

/// How the lock file names the public registry, whatever mirror a machine uses. In two pieces, so that no host name of a
/// registry stands in the sources.
const REGISTRY: &str = concat!("registry+https://github.com/rust-lang/crates", ".io-index");

/// Packages from elsewhere and requirements that any version meets.
pub(crate) fn problems(metadata: &Metadata) -> Vec<String> {
    problems_with(metadata, REGISTRY)
}

fn problems_with(metadata: &Metadata, registry: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for package in metadata.packages.values() {
        let allowed = match &package.source {
            Some(source) => source == registry,
            None => metadata.members.contains(&package.id),
        };
        if !allowed {
            let source = package.source.as_deref().unwrap_or("a foreign directory");
            problems.push(format!(
                "{} {}: from {source}",
                package.name, package.version
            ));
        }
    }
    for package in metadata.own() {
        for dependency in &package.dependencies {
            if dependency.source.is_some() && dependency.requirement.contains('*') {
                problems.push(format!(
                    "{}: any version of {} would do, name one",
                    package.name, dependency.name
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Kind;
    use crate::metadata::tests::workspace;

    #[test]
    fn only_one_registry_and_our_own_directories() {
        let mut metadata = workspace(&[("ctr-sys", &[("libc", Kind::Normal)]), ("libc", &[])]);
        assert_eq!(problems_with(&metadata, "registry+index"), [""; 0]);
        let libc = metadata.packages.get_mut("libc").unwrap();
        libc.source = Some("git+https://example.invalid/libc".to_owned());
        assert_eq!(
            problems_with(&metadata, "registry+index"),
            ["libc 1.0.0: from git+https://example.invalid/libc"]
        );
        metadata.packages.get_mut("libc").unwrap().source = None;
        assert_eq!(
            problems_with(&metadata, "registry+index"),
            ["libc 1.0.0: from a foreign directory"]
        );
    }

    #[test]
    fn a_version_is_named() {
        let mut metadata = workspace(&[("ctr-sys", &[("libc", Kind::Normal)]), ("libc", &[])]);
        metadata.packages.get_mut("ctr-sys").unwrap().dependencies[0].requirement = "*".to_owned();
        assert_eq!(
            problems_with(&metadata, "registry+index"),
            ["ctr-sys: any version of libc would do, name one"]
        );
    }
}
