//! What this runtime can do, in the form of the specification's `features` document.

use serde_json::{Value, json};

/// The oldest specification that is accepted.
pub(crate) const OCI_VERSION_MIN: &str = "1.0.0";
/// The newest specification that is understood.
pub(crate) const OCI_VERSION_MAX: &str = "1.1.0";

/// Options of mounts that are not passed on to the filesystem.
const MOUNT_OPTIONS: &[&str] = &[
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "iversion",
    "lazytime",
    "loud",
    "mand",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "nomand",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "private",
    "rbind",
    "relatime",
    "remount",
    "ro",
    "rprivate",
    "rshared",
    "rslave",
    "runbindable",
    "rw",
    "shared",
    "slave",
    "strictatime",
    "suid",
    "sync",
    "unbindable",
];

/// The document.
pub(crate) fn document() -> Value {
    json!({
        "ociVersionMin": OCI_VERSION_MIN,
        "ociVersionMax": OCI_VERSION_MAX,
        "hooks": [],
        "mountOptions": MOUNT_OPTIONS,
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "uts"],
            "cgroup": {
                "v1": true,
                "v2": true,
                "systemd": false,
                "systemdUser": false,
                "rdma": false,
            },
            "seccomp": { "enabled": false },
            "apparmor": { "enabled": false },
            "selinux": { "enabled": false },
            "intelRdt": { "enabled": false },
        },
        "annotations": { "org.ctr.runtime.version": env!("CARGO_PKG_VERSION") },
    })
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::Features;

    #[test]
    fn the_document_has_the_form_of_the_specification() {
        let features: Features = serde_json::from_value(super::document()).unwrap();
        let linux = features.linux().as_ref().unwrap();
        assert_eq!(linux.seccomp().as_ref().unwrap().enabled(), &Some(false));
        assert_eq!(features.oci_version_max(), "1.1.0");
    }
}
