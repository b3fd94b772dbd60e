//! The specification: read once, refused where the library would silently do less than it says, corrected where it would do more.
//!
//! The library reads `config.json` itself. It is given a corrected copy, never the caller's file, so that what was checked is what runs.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use ctr_sys::{CgroupMode, FileKind, Root};
use oci_spec::runtime::{Linux, LinuxNamespaceType, LinuxResources, Process, Spec};

use crate::devices::{self, DeviceRule};
use crate::error::{Result, RuntimeError};

/// Larger specifications are refused.
const SPEC_LIMIT: u64 = 16 << 20;
/// Larger user databases of a container are not searched for a home directory.
const PASSWD_LIMIT: u64 = 10 << 20;
/// The umask of a process whose specification names none.
const DEFAULT_UMASK: u32 = 0o022;

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

fn read_limited(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(RuntimeError::at("open", path))?;
    let mut bytes = Vec::new();
    let read = file.take(SPEC_LIMIT + 1).read_to_end(&mut bytes);
    let count = read.map_err(RuntimeError::at("read", path))?;
    if count as u64 > SPEC_LIMIT {
        return Err(RuntimeError::invalid(
            format!("{path:?}"),
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
    refuse_all(&unsupported_top(&spec))?;
    let process = spec.process().as_ref().ok_or_else(|| missing("process"))?;
    check_process(process)?;
    let linux = spec.linux().as_ref().ok_or_else(|| missing("linux"))?;
    refuse_all(&unsupported_linux(linux))?;
    if let Some(resources) = linux.resources() {
        refuse_all(&unsupported_resources(resources, mode))?;
    }
    let rules = linux
        .resources()
        .as_ref()
        .and_then(|it| it.devices().as_deref());
    let checked = Checked {
        cgroup: cgroup_path(linux)?,
        devices: devices::effective(rules.unwrap_or_default())?,
        loopback: loopback(linux),
        annotations: spec.annotations().clone().unwrap_or_default(),
        spec: Spec::default(),
    };
    correct(&mut spec, bundle)?;
    Ok(Checked { spec, ..checked })
}

/// What the specification asks for and whether it does: the first that is asked for refuses it.
type Asked = [(&'static str, bool)];

fn refuse_all(asked: &Asked) -> Result<()> {
    match asked.iter().find(|(_, present)| *present) {
        Some((what, _)) => Err(RuntimeError::unsupported(*what)),
        None => Ok(()),
    }
}

fn missing(what: &str) -> RuntimeError {
    RuntimeError::invalid(format!("the specification's {what}"), "missing")
}

fn unsupported_top(spec: &Spec) -> [(&'static str, bool); 2] {
    let hooks = spec.hooks().as_ref();
    [
        (
            "hooks",
            hooks.is_some_and(|hooks| *hooks != Default::default()),
        ),
        ("vm", spec.vm().is_some()),
    ]
}

fn check_process(process: &Process) -> Result<()> {
    let named = |value: &Option<String>| value.as_deref().is_some_and(|text| !text.is_empty());
    refuse_all(&[
        ("process.terminal", process.terminal() == Some(true)),
        ("process.selinuxLabel", named(process.selinux_label())),
        ("process.apparmorProfile", named(process.apparmor_profile())),
        (
            "process.execCPUAffinity",
            process.exec_cpu_affinity().is_some(),
        ),
    ])?;
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        return Err(missing("process.args"));
    }
    if !process.cwd().is_absolute() {
        let what = format!("process.cwd {:?}", process.cwd());
        return Err(RuntimeError::invalid(what, "not an absolute path"));
    }
    Ok(())
}

fn unsupported_linux(linux: &Linux) -> [(&'static str, bool); 8] {
    let has_namespace = |wanted| namespaces(linux).any(|(kind, _)| kind == wanted);
    let own_mounts =
        namespaces(linux).any(|(kind, path)| kind == LinuxNamespaceType::Mount && path.is_none());
    let label = linux.mount_label().as_deref().unwrap_or_default();
    [
        ("linux.seccomp", linux.seccomp().is_some()),
        ("linux.mountLabel", !label.is_empty()),
        ("linux.intelRdt", linux.intel_rdt().is_some()),
        ("linux.memoryPolicy", linux.memory_policy().is_some()),
        ("linux.personality", linux.personality().is_some()),
        (
            "linux.netDevices",
            linux
                .net_devices()
                .as_ref()
                .is_some_and(|map| !map.is_empty()),
        ),
        ("a user namespace", has_namespace(LinuxNamespaceType::User)),
        // Without one, the library would mount on the host.
        ("a container without a new mount namespace", !own_mounts),
    ]
}

fn unsupported_resources(
    resources: &LinuxResources,
    mode: CgroupMode,
) -> Vec<(&'static str, bool)> {
    let unified = mode == CgroupMode::Unified;
    let memory = resources.memory().as_ref();
    let io = resources.block_io().as_ref();
    let weights = io
        .and_then(|io| io.weight_device().as_deref())
        .unwrap_or_default();
    let has = |map: Option<bool>| map == Some(false);
    vec![
        (
            "linux.resources.rdma",
            has(resources.rdma().as_ref().map(HashMap::is_empty)),
        ),
        (
            "linux.resources.unified on cgroup v1",
            !unified && has(resources.unified().as_ref().map(HashMap::is_empty)),
        ),
        (
            "linux.resources.network on cgroup v2",
            unified
                && resources.network().as_ref().is_some_and(|network| {
                    network.class_id().is_some()
                        || has(network.priorities().as_ref().map(Vec::is_empty))
                }),
        ),
        (
            "linux.resources.memory.kernel, kernelTCP, swappiness or disableOOMKiller on cgroup v2",
            unified
                && memory.is_some_and(|memory| {
                    memory.kernel().is_some()
                        || memory.kernel_tcp().is_some()
                        || memory.swappiness().is_some()
                        || memory.disable_oom_killer() == Some(true)
                }),
        ),
        (
            "linux.resources.cpu.burst on cgroup v1",
            !unified
                && resources
                    .cpu()
                    .as_ref()
                    .is_some_and(|cpu| cpu.burst().is_some()),
        ),
        (
            "linux.resources.blockIO.weightDevice on cgroup v1",
            !unified && !weights.is_empty(),
        ),
        (
            "linux.resources.blockIO.leafWeight",
            io.is_some_and(|io| io.leaf_weight().is_some_and(|weight| weight > 0))
                || weights.iter().any(|device| device.leaf_weight().is_some()),
        ),
    ]
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
    let what = || format!("linux.cgroupsPath {path:?}");
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

/// What the library would get wrong if it had the specification as it is.
fn correct(spec: &mut Spec, bundle: &Path) -> Result<()> {
    let root = spec.root_mut().as_mut().ok_or_else(|| missing("root"))?;
    let rootfs = bundle.join(root.path());
    root.set_path(rootfs.clone());
    let tree = Root::open(&rootfs)?;
    refuse_links(&tree, &rootfs)?;
    if let Some(process) = spec.process_mut() {
        let umask = process.user().umask().unwrap_or(DEFAULT_UMASK);
        process.user_mut().set_umask(Some(umask));
        set_home(process, &tree)?;
    }
    // Enforced by this crate instead.
    if let Some(resources) = spec
        .linux_mut()
        .as_mut()
        .and_then(|it| it.resources_mut().as_mut())
    {
        resources.set_devices(None);
    }
    Ok(())
}

/// A link in place of these directories would lead the runtime's own writes elsewhere.
fn refuse_links(tree: &Root, rootfs: &Path) -> Result<()> {
    for name in ["/proc", "/sys"] {
        let found = tree.metadata_nofollow(Path::new(name))?;
        if found.is_some_and(|found| found.kind != FileKind::Directory) {
            let what = format!("{name} in {rootfs:?}");
            return Err(RuntimeError::invalid(
                what,
                "must be a directory, not a link or a file",
            ));
        }
    }
    Ok(())
}

/// Without `HOME` the library asks the C library for it inside the container, which may load a library of the container into a
/// process that still holds descriptors of the host.
fn set_home(process: &mut Process, tree: &Root) -> Result<()> {
    let uid = process.user().uid();
    let mut environment = process.env().clone().unwrap_or_default();
    let is_set = |entry: &String| {
        entry
            .strip_prefix("HOME=")
            .is_some_and(|home| !home.is_empty())
    };
    if !environment.iter().any(is_set) {
        environment.retain(|entry| !entry.starts_with("HOME="));
        let passwd = tree.read(Path::new("/etc/passwd"), PASSWD_LIMIT)?;
        let home = home_of(uid, passwd.as_deref().unwrap_or_default());
        environment.push(format!("HOME={home}"));
    }
    process.set_env(Some(environment));
    Ok(())
}

/// The home directory of `uid` in a file in the form of `passwd(5)`.
fn home_of(uid: u32, passwd: &[u8]) -> String {
    let fallback = if uid == 0 { "/root" } else { "/" };
    let uid = uid.to_string();
    let text = String::from_utf8_lossy(passwd);
    let home = text.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        (fields.next()? == uid).then(|| fields.nth(2)).flatten()
    });
    home.filter(|home| !home.is_empty())
        .unwrap_or(fallback)
        .to_owned()
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
            (json!({ "process": { "selinuxLabel": "x" } }), v1),
            (json!({ "process": { "apparmorProfile": "x" } }), v1),
            (json!({ "process": { "terminal": true } }), v1),
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

    #[test]
    fn home_directories_are_looked_up() {
        let passwd = b"root:x:0:0:r:/r:/bin/sh\nbad\nu:x:7:7::/home/u:/bin/sh\ne:x:8:8:::\n";
        assert_eq!(home_of(0, passwd), "/r");
        assert_eq!(home_of(7, passwd), "/home/u");
        assert_eq!(home_of(8, passwd), "/");
        assert_eq!(home_of(9, passwd), "/");
        assert_eq!(home_of(0, b""), "/root");
    }
}
