//! The Linux part of a specification: device rules, and the paths of procfs and sysfs that a container must not see or change.

use std::path::PathBuf;

use oci_spec::runtime::{Linux, LinuxDeviceCgroup, LinuxDeviceType, LinuxResources, Mount};

use super::host::HostFacts;
use super::mounts::CGROUP_MOUNT_TYPE;
use super::namespaces::Namespaces;
use super::process::absolute;
use crate::error::OciError;

/// Hidden from every container: information about the host or its other users, and ways to control it. The processors' thermal
/// counters come on top, see [`HostFacts::thermal_paths`].
pub const MASKED_PATHS: [&str; 14] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/dev/block",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];

/// Visible in every container, but never writable: settings of the kernel that no namespace separates. The cgroups come on top,
/// see [`HostFacts::cgroup_mounts`].
pub const READONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

struct DeviceRule {
    kind: LinuxDeviceType,
    /// `None` stands for every number.
    major: Option<i64>,
    minor: Option<i64>,
    access: &'static str,
}

/// What is allowed after everything was denied. Making a node is harmless where it cannot be opened. The host's console
/// (5:1) is not here: a container's `/dev/console` is a pseudo-terminal, and a node for the real one may lie in any root.
#[rustfmt::skip]
const ALLOWED: [DeviceRule; 10] = [
    DeviceRule { kind: LinuxDeviceType::C, major: None, minor: None, access: "m" },
    DeviceRule { kind: LinuxDeviceType::B, major: None, minor: None, access: "m" },
    DeviceRule { kind: LinuxDeviceType::C, major: Some(1), minor: Some(3), access: "rwm" },   // null
    DeviceRule { kind: LinuxDeviceType::C, major: Some(1), minor: Some(5), access: "rwm" },   // zero
    DeviceRule { kind: LinuxDeviceType::C, major: Some(1), minor: Some(7), access: "rwm" },   // full
    DeviceRule { kind: LinuxDeviceType::C, major: Some(1), minor: Some(8), access: "rwm" },   // random
    DeviceRule { kind: LinuxDeviceType::C, major: Some(1), minor: Some(9), access: "rwm" },   // urandom
    DeviceRule { kind: LinuxDeviceType::C, major: Some(5), minor: Some(0), access: "rwm" },   // tty
    DeviceRule { kind: LinuxDeviceType::C, major: Some(5), minor: Some(2), access: "rwm" },   // ptmx
    DeviceRule { kind: LinuxDeviceType::C, major: Some(136), minor: None, access: "rwm" },    // pts/*
];

pub(super) fn linux(
    namespaces: &Namespaces,
    cgroup_path: Option<&str>,
    host: &HostFacts,
) -> Result<Linux, OciError> {
    let masked = MASKED_PATHS.map(str::to_owned).into_iter();
    let masked = masked.chain(host.thermal_paths.iter().cloned()).collect();
    let mut resources = LinuxResources::default();
    resources.set_devices(Some(device_rules()));
    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(namespaces.listed()?))
        .set_resources(Some(resources))
        .set_cgroups_path(cgroup_path.map(checked_cgroup_path).transpose()?)
        .set_masked_paths(Some(masked))
        .set_readonly_paths(None);
    Ok(linux)
}

/// With our cgroup mount its hierarchies are among them, children before their parent: protecting a path binds it onto itself,
/// and a parent's copy takes its protected children along.
pub(super) fn readonly_paths(host: &HostFacts, mounts: &[Mount]) -> Vec<String> {
    let mut paths = READONLY_PATHS.map(str::to_owned).to_vec();
    let ours = |mount: &Mount| mount.typ().as_deref() == Some(CGROUP_MOUNT_TYPE);
    if let Some(cgroups) = mounts.iter().find(|mount| ours(mount)) {
        paths.extend(host.cgroup_mounts.iter().cloned());
        paths.push(cgroups.destination().to_string_lossy().into_owned());
    }
    paths
}

fn device_rules() -> Vec<LinuxDeviceCgroup> {
    let mut deny_all = LinuxDeviceCgroup::default();
    deny_all
        .set_allow(false)
        .set_typ(Some(LinuxDeviceType::A))
        .set_access(Some("rwm".to_owned()));
    let allowed = ALLOWED.iter().map(|rule| {
        let mut allow = LinuxDeviceCgroup::default();
        allow
            .set_allow(true)
            .set_typ(Some(rule.kind))
            .set_major(rule.major)
            .set_minor(rule.minor)
            .set_access(Some(rule.access.to_owned()));
        allow
    });
    std::iter::once(deny_all).chain(allowed).collect()
}

fn checked_cgroup_path(path: &str) -> Result<PathBuf, OciError> {
    let what = "cgroup path";
    if path.chars().any(char::is_control) {
        return Err(OciError::invalid(
            what,
            path,
            "it holds a control character",
        ));
    }
    let checked = absolute(what, path.as_ref())?;
    // The root cgroup belongs to the host: limits and a kill there would hit everything.
    if checked.parent().is_none() {
        return Err(OciError::invalid(
            what,
            path,
            "it is the root of the hierarchy",
        ));
    }
    Ok(checked)
}
