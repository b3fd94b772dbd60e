//! What `cargo metadata` says of the workspace, as plain data.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::process::{cargo, command, output};

/// How a dependency is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Part of the program.
    Normal,
    /// Part of the build script.
    Build,
    /// Only for tests and examples.
    Dev,
}

/// A dependency as a manifest states it.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The version requirement, `*` when there is none.
    pub(crate) requirement: String,
    /// Where it comes from; `None` for a path.
    pub(crate) source: Option<String>,
}

/// A package of the dependency graph.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    /// Where it comes from; `None` for a path.
    pub(crate) source: Option<String>,
    pub(crate) manifest: PathBuf,
    pub(crate) description: Option<String>,
    pub(crate) repository: Option<String>,
    pub(crate) rust_version: Option<String>,
    pub(crate) authors: Vec<String>,
    pub(crate) keywords: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) publish: Publish,
    pub(crate) dependencies: Vec<Dependency>,
}

/// Whether a package is meant for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publish {
    /// It is, so its manifest has to be complete.
    Yes,
    /// `publish = false`.
    No,
}

/// The workspace and all it is built from on this platform.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) members: Vec<String>,
    pub(crate) packages: BTreeMap<String, Package>,
}

impl Metadata {
    /// Asks cargo.
    pub(crate) fn load() -> Result<Metadata> {
        let version = output(command("rustc").arg("-vV"))?;
        let host = version
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .context("rustc -vV names no host")?;
        let text = output(&mut cargo([
            "metadata",
            "--format-version",
            "1",
            "--filter-platform",
            host,
        ]))?;
        let value: Value = serde_json::from_str(&text).context("parse cargo metadata")?;
        Metadata::from_json(&value)
    }

    /// Reads the answer of `cargo metadata --format-version 1`.
    pub(crate) fn from_json(value: &Value) -> Result<Metadata> {
        let packages = array(value, "packages")?
            .iter()
            .map(|package| package_from(package).map(|package| (package.id.clone(), package)))
            .collect::<Result<_>>()?;
        Ok(Metadata {
            root: PathBuf::from(text(value, "workspace_root")?),
            target: PathBuf::from(text(value, "target_directory")?),
            members: strings(value, "workspace_members"),
            packages,
        })
    }

    /// The workspace's own packages.
    pub(crate) fn own(&self) -> impl Iterator<Item = &Package> {
        self.members.iter().filter_map(|id| self.packages.get(id))
    }
}

fn package_from(value: &Value) -> Result<Package> {
    let name = text(value, "name")?;
    let dependencies = array(value, "dependencies")?
        .iter()
        .map(dependency_from)
        .collect::<Result<_>>()
        .with_context(|| format!("dependencies of {name}"))?;
    let closed = value
        .get("publish")
        .and_then(Value::as_array)
        .is_some_and(Vec::is_empty);
    Ok(Package {
        id: text(value, "id")?,
        version: text(value, "version")?,
        license: optional(value, "license"),
        source: optional(value, "source"),
        manifest: PathBuf::from(text(value, "manifest_path")?),
        description: optional(value, "description"),
        repository: optional(value, "repository"),
        rust_version: optional(value, "rust_version"),
        authors: strings(value, "authors"),
        keywords: strings(value, "keywords"),
        categories: strings(value, "categories"),
        publish: if closed { Publish::No } else { Publish::Yes },
        name,
        dependencies,
    })
}

fn dependency_from(value: &Value) -> Result<Dependency> {
    Ok(Dependency {
        name: text(value, "name")?,
        kind: kind_from(value)?,
        requirement: text(value, "req")?,
        source: optional(value, "source"),
    })
}

fn kind_from(value: &Value) -> Result<Kind> {
    match value.get("kind").and_then(Value::as_str) {
        None => Ok(Kind::Normal),
        Some("build") => Ok(Kind::Build),
        Some("dev") => Ok(Kind::Dev),
        Some(other) => Err(anyhow!("unknown kind of dependency {other:?}")),
    }
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value
        .get(key)
        .and_then(Value::as_array)
        .with_context(|| format!("metadata: {key} is no array"))
}

fn text(value: &Value, key: &str) -> Result<String> {
    optional(value, key).with_context(|| format!("metadata: {key} is no string"))
}

fn optional(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn strings(value: &Value, key: &str) -> Vec<String> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// A workspace in which each name depends on the names behind it; names that begin with `ctr` or `xtask` are its members.
    pub(crate) fn workspace(packages: &[(&str, &[(&str, Kind)])]) -> Metadata {
        let own = |name: &str| name.starts_with("ctr") || name == "xtask";
        let word = |kind: &Kind| match kind {
            Kind::Normal => Value::Null,
            Kind::Build => json!("build"),
            Kind::Dev => json!("dev"),
        };
        let source = |name: &str| {
            if own(name) {
                Value::Null
            } else {
                json!("registry+index")
            }
        };
        let list: Vec<Value> = packages
            .iter()
            .map(|(name, needs)| {
                let dependencies: Vec<Value> = needs
                    .iter()
                    .map(|(need, kind)| json!({"name": need, "kind": word(kind), "req": "^1", "source": source(need)}))
                    .collect();
                json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT", "source": source(name),
                    "manifest_path": format!("/w/{name}/Cargo.toml"), "dependencies": dependencies})
            })
            .collect();
        let members: Vec<&str> = packages
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| own(name))
            .collect();
        Metadata::from_json(
            &json!({"workspace_root": "/w", "target_directory": "/w/target",
            "workspace_members": members, "packages": list}),
        )
        .unwrap()
    }

    #[test]
    fn the_answer_of_cargo_is_understood() {
        let metadata = Metadata::load().unwrap();
        let own: Vec<&str> = metadata
            .own()
            .map(|package| package.name.as_str())
            .collect();
        assert!(own.contains(&"xtask"), "{own:?}");
        assert!(own.contains(&"ctr-sys"), "{own:?}");
        let xtask = metadata.own().find(|package| package.name == "xtask");
        assert_eq!(xtask.unwrap().publish, Publish::No);
    }

    #[test]
    fn half_an_answer_is_an_error() {
        assert!(Metadata::from_json(&json!({})).is_err());
        assert!(Metadata::from_json(&json!({"packages": [{"name": "a"}]})).is_err());
    }
}
