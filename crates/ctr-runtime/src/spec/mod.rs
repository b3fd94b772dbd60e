//! The specification: read once, refused where the library would silently do less than it says, corrected where it would do more.
//!
//! The library reads `config.json` itself. It is given a corrected copy, never the caller's file, so that what was checked is what runs.

mod corrected;
mod refused;

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use ctr_sys::{CgroupMode, Root};
use oci_spec::runtime::{Linux, LinuxNamespaceType, Process, Spec};

use crate::devices::{self, DeviceRule};
use crate::error::{Result, RuntimeError};
use crate::terminal::Terminal;

/// Larger specifications are refused.
const SPEC_LIMIT: u64 = 16 << 20;

/// Whether the loopback interface is ours to set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loopback {
    /// A network namespace is made for the container.
    Up,
    /// The container uses a network namespace that somebody else looks after.
    Leave,
}

/// A specification that this runtime carries out in full.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The corrected specification, for the library.
    pub(crate) spec: Spec,
    /// The container's cgroup, absolute.
    pub(crate) cgroup: String,
    /// The device rules in force.
    pub(crate) devices: Vec<DeviceRule>,
    /// The terminal of the first process.
    pub(crate) terminal: Terminal,
    /// What to do with `lo`.
    pub(crate) loopback: Loopback,
    /// The annotations, for `state`.
    pub(crate) annotations: HashMap<String, String>,
}

/// Reads and checks `config.json` of a bundle.
pub(crate) fn load(bundle: &Path, mode: CgroupMode) -> Result<Checked> {
    let path = bundle.join("config.json");
    let bytes = read_limited(&path)?;
    let spec = serde_json::from_slice(&bytes).map_err(|source| RuntimeError::Corrupt {
        path,
        form: "an OCI runtime specification",
        source,
    })?;
    check(spec, bundle, mode)
}

/// Reads a process to be executed in a container, in the form of `process` in a specification.
pub(crate) fn read_process(path: &Path) -> Result<Process> {
    let bytes = read_limited(path)?;
    serde_json::from_slice(&bytes).map_err(|source| RuntimeError::Corrupt {
        path: path.to_owned(),
        form: "the process of an OCI runtime specification",
        source,
    })
}

/// Checks and corrects a process that is to be executed in the container whose root is `tree`.
pub(crate) fn check_process(mut process: Process, tree: &Root) -> Result<(Process, Terminal)> {
    refused::check_process(&process)?;
    let terminal = Terminal::asked(&process)?;
    corrected::correct_process(&mut process, tree)?;
    Ok((process, terminal))
}

fn read_limited(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(RuntimeError::at("open", path))?;
    let mut bytes = Vec::new();
    let read = file.take(SPEC_LIMIT + 1).read_to_end(&mut bytes);
    let count = read.map_err(RuntimeError::at("read", path))?;
    if count as u64 > SPEC_LIMIT {
        return Err(RuntimeError::invalid(
            path.display().to_string(),
            "larger than 16 MiB",
        ));
    }
    Ok(bytes)
}

fn check(mut spec: Spec, bundle: &Path, mode: CgroupMode) -> Result<Checked> {
    let version = spec.version();
    if !version.starts_with("1.") {
        return Err(RuntimeError::unsupported(format!("ociVersion {version:?}")));
    }
    refused::check(&spec, mode)?;
    let linux = spec.linux().as_ref().ok_or_else(|| missing("linux"))?;
    let rules = linux
        .resources()
        .as_ref()
        .and_then(|it| it.devices().as_deref());
    let checked = Checked {
        cgroup: cgroup_path(linux)?,
        devices: devices::effective(rules.unwrap_or_default())?,
        terminal: Terminal::asked(spec.process().as_ref().ok_or_else(|| missing("process"))?)?,
        loopback: loopback(linux),
        annotations: spec.annotations().clone().unwrap_or_default(),
        spec: Spec::default(),
    };
    corrected::correct(&mut spec, bundle)?;
    Ok(Checked { spec, ..checked })
}

fn missing(what: &str) -> RuntimeError {
    RuntimeError::invalid(format!("the specification's {what}"), "missing")
}

fn namespaces(linux: &Linux) -> impl Iterator<Item = (LinuxNamespaceType, Option<&PathBuf>)> {
    let listed = linux.namespaces().as_deref().unwrap_or_default();
    listed.iter().map(|it| (it.typ(), it.path().as_ref()))
}

fn loopback(linux: &Linux) -> Loopback {
    let own = (LinuxNamespaceType::Network, None);
    if namespaces(linux).any(|namespace| namespace == own) {
        return Loopback::Up;
    }
    Loopback::Leave
}

/// `linux.cgroupsPath`, which must name a group below the root of the hierarchy.
fn cgroup_path(linux: &Linux) -> Result<String> {
    let path = linux
        .cgroups_path()
        .as_ref()
        .ok_or_else(|| missing("linux.cgroupsPath"))?;
    let what = || format!("linux.cgroupsPath {}", path.display());
    let mut components = path.components();
    let absolute = components.next() == Some(Component::RootDir);
    let rest: Vec<_> = components.collect();
    if !absolute || rest.is_empty() || !rest.iter().all(|it| matches!(it, Component::Normal(_))) {
        let why = "must be an absolute path below the root, without \"..\"";
        return Err(RuntimeError::invalid(what(), why));
    }
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(RuntimeError::invalid(what(), "must be UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn minimal() -> Value {
        json!({
            "ociVersion": "1.1.0",
            "root": { "path": "rootfs" },
            "process": { "user": { "uid": 7, "gid": 7 }, "args": ["true"], "cwd": "/" },
            "linux": {
                "cgroupsPath": "/ctr/x",
                "namespaces": [{ "type": "mount" }, { "type": "network" }],
            },
        })
    }

    /// `patch` is merged into a specification that is fine.
    fn checked(patch: &Value, mode: CgroupMode) -> Result<Checked> {
        fn merge(into: &mut Value, from: &Value) {
            match (into, from) {
                (Value::Object(into), Value::Object(from)) => {
                    for (key, value) in from {
                        merge(into.entry(key.clone()).or_insert(Value::Null), value);
                    }
                }
                (into, from) => *into = from.clone(),
            }
        }
        let bundle = tempfile::tempdir().unwrap();
        std::fs::create_dir(bundle.path().join("rootfs")).unwrap();
        let mut spec = minimal();
        merge(&mut spec, patch);
        check(serde_json::from_value(spec).unwrap(), bundle.path(), mode)
    }

    #[test]
    fn a_plain_specification_is_corrected() {
        let checked = checked(&json!({}), CgroupMode::Hybrid).unwrap();
        let process = checked.spec.process().as_ref().unwrap();
        assert_eq!(process.user().umask(), Some(0o022));
        assert_eq!(
            process.env().as_deref(),
            Some(["HOME=/".to_owned()].as_slice())
        );
        assert_eq!(checked.cgroup, "/ctr/x");
        assert_eq!(checked.loopback, Loopback::Up);
        assert!(checked.spec.root().as_ref().unwrap().path().is_absolute());
    }

    #[test]
    fn what_is_given_stays() {
        let patch = json!({
            "process": { "env": ["B=1", "HOME=/h", "A=2"], "user": { "umask": 0o77 } },
            "linux": { "namespaces": [{ "type": "mount" }, { "type": "network", "path": "/n" }] },
        });
        let checked = checked(&patch, CgroupMode::Hybrid).unwrap();
        let process = checked.spec.process().as_ref().unwrap();
        assert_eq!(process.env().as_ref().unwrap(), &["B=1", "HOME=/h", "A=2"]);
        assert_eq!(process.user().umask(), Some(0o77));
        assert_eq!(checked.loopback, Loopback::Leave);
    }

    #[test]
    fn what_would_not_be_enforced_is_refused() {
        let (v1, v2) = (CgroupMode::Hybrid, CgroupMode::Unified);
        let resources = |it: Value| json!({ "linux": { "resources": it } });
        let table = [
            (
                json!({ "linux": { "seccomp": { "defaultAction": "SCMP_ACT_ALLOW" } } }),
                v1,
            ),
            (json!({ "linux": { "mountLabel": "x" } }), v1),
            (json!({ "linux": { "intelRdt": {} } }), v1),
            (
                json!({ "linux": { "personality": { "domain": "LINUX" } } }),
                v1,
            ),
            (
                json!({ "linux": { "namespaces": [{ "type": "mount" }, { "type": "user" }] } }),
                v1,
            ),
            (
                json!({ "linux": { "namespaces": [{ "type": "pid" }] } }),
                v1,
            ),
            (
                json!({ "linux": { "namespaces": [{ "type": "mount", "path": "/m" }] } }),
                v1,
            ),
            (json!({ "hostname": "x" }), v1),
            (json!({ "domainname": "x" }), v1),
            (
                json!({ "hostname": "x", "linux": { "namespaces": [{ "type": "mount" },
                    { "type": "uts", "path": "/u" }] } }),
                v1,
            ),
            (json!({ "process": { "selinuxLabel": "x" } }), v1),
            (json!({ "process": { "apparmorProfile": "x" } }), v1),
            (json!({ "hooks": { "poststop": [{ "path": "/x" }] } }), v1),
            (json!({ "ociVersion": "2.0.0" }), v1),
            (resources(json!({ "unified": { "memory.high": "1" } })), v1),
            (resources(json!({ "cpu": { "burst": 1 } })), v1),
            (resources(json!({ "memory": { "swappiness": 1 } })), v2),
            (resources(json!({ "network": { "classID": 1 } })), v2),
            (
                resources(json!({ "rdma": { "x": { "hcaHandles": 1 } } })),
                v2,
            ),
        ];
        for (patch, mode) in table {
            let result = checked(&patch, mode);
            assert!(
                matches!(result, Err(RuntimeError::Unsupported { .. })),
                "{patch}: {result:?}"
            );
        }
    }

    #[test]
    fn empty_forms_of_what_is_refused_are_accepted() {
        let patch = json!({
            "hooks": {},
            "process": { "selinuxLabel": "", "apparmorProfile": "", "terminal": false },
            "linux": { "resources": { "network": {}, "unified": {}, "rdma": {} } },
        });
        for mode in [CgroupMode::Hybrid, CgroupMode::Unified] {
            assert!(checked(&patch, mode).is_ok(), "{:?}", checked(&patch, mode));
        }
    }

    #[test]
    fn a_cgroup_path_cannot_leave_its_hierarchy() {
        for path in [
            "",
            "/",
            "x",
            "../x",
            "/../x",
            "/a/../../b",
            "/a/..",
            ":ctr:x",
        ] {
            let patch = json!({ "linux": { "cgroupsPath": path } });
            let result = checked(&patch, CgroupMode::Hybrid);
            assert!(
                matches!(result, Err(RuntimeError::Invalid { .. })),
                "{path:?}"
            );
        }
    }

    #[test]
    fn incomplete_specifications_are_refused() {
        let table = [
            json!({ "process": { "args": [] } }),
            json!({ "process": { "args": null } }),
            json!({ "process": { "cwd": "x" } }),
            json!({ "process": null }),
            json!({ "linux": null }),
            json!({ "root": null }),
            json!({ "linux": { "cgroupsPath": null } }),
        ];
        for patch in table {
            let result = checked(&patch, CgroupMode::Hybrid);
            assert!(
                matches!(result, Err(RuntimeError::Invalid { .. })),
                "{patch}"
            );
        }
    }

    #[test]
    fn links_in_place_of_proc_and_sys_are_refused() {
        for name in ["proc", "sys"] {
            let bundle = tempfile::tempdir().unwrap();
            let rootfs = bundle.path().join("rootfs");
            std::fs::create_dir(&rootfs).unwrap();
            std::os::unix::fs::symlink("/elsewhere", rootfs.join(name)).unwrap();
            let spec = serde_json::from_value(minimal()).unwrap();
            let result = check(spec, bundle.path(), CgroupMode::Hybrid);
            assert!(
                matches!(result, Err(RuntimeError::Invalid { .. })),
                "{name}"
            );
        }
    }
}
