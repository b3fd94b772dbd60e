//! Device rules are enforced by the kernel, whichever kind of cgroups it has.

use std::path::Path;

use ctr_sys::{CgroupMode, Cgroups, ExitStatus, fork_helper};
use rustix::mount::{MountFlags, UnmountFlags};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// Numbers of `/dev/mem`'s harmless neighbour, `/dev/kmsg`, which every kernel has.
const FORBIDDEN: &str = "1 11";

/// A container that may make device nodes; it makes one and opens it.
fn opener(rules: &Value) -> Sandbox {
    let capabilities = json!(["CAP_MKNOD", "CAP_SYS_ADMIN", "CAP_SYSLOG"]);
    let script = format!(
        "mknod /tmp/d c {FORBIDDEN} || echo no mknod; true </tmp/d && echo opened; true </dev/null && echo null"
    );
    Sandbox::script(&script)
        .with("/process/capabilities/bounding", capabilities.clone())
        .with("/process/capabilities/effective", capabilities.clone())
        .with("/process/capabilities/permitted", capabilities)
        .with("/linux/resources/devices", rules.clone())
}

fn check(rules: &Value, expected: &[&str], absent: &[&str]) {
    let (end, printed) = opener(rules).run();
    assert_eq!(end, ExitStatus::Exited(0), "{rules}: {printed}");
    for part in expected {
        assert!(
            printed.contains(part),
            "{rules}: {part:?} is not in {printed:?}"
        );
    }
    for part in absent {
        assert!(
            !printed.contains(part),
            "{rules}: {part:?} is in {printed:?}"
        );
    }
}

fn rules_are_enforced() {
    let none = json!({ "allow": false, "access": "rwm" });
    let make = json!({ "allow": true, "type": "c", "access": "m" });
    let read = json!({ "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" });
    let all = json!({ "allow": true, "access": "rwm" });
    let denied = "can't open /tmp/d: Operation not permitted";
    check(&json!([]), &["no mknod", "null"], &["opened"]);
    check(&json!([none]), &["no mknod", "null"], &["opened"]);
    check(
        &json!([none, make]),
        &[denied, "null"],
        &["opened", "no mknod"],
    );
    check(
        &json!([none, make, read]),
        &["opened", "null"],
        &["no mknod"],
    );
    check(&json!([none, all]), &["opened", "null"], &["no mknod"]);
    check(&json!([all, none]), &["no mknod", "null"], &["opened"]);
}

pub(crate) fn rules_hold_on_this_machine() {
    rules_are_enforced();
}

/// In a mount namespace where `/sys/fs/cgroup` is a pure version 2 hierarchy.
pub(crate) fn rules_hold_on_a_unified_hierarchy() {
    in_unified(|| {
        assert_eq!(Cgroups::detect().unwrap().mode(), CgroupMode::Unified);
        rules_are_enforced();
    });
}

pub(crate) fn containers_live_and_die_on_a_unified_hierarchy() {
    in_unified(|| {
        crate::lifecycle::a_container_lives_and_leaves_nothing();
        crate::lifecycle::a_running_container_is_only_deleted_by_force();
        crate::lifecycle::signals_reach_the_first_process_or_all();
        crate::failures::commands_that_cannot_be_executed_are_told_apart();
    });
}

pub(crate) fn in_unified(work: fn()) {
    let helper = fork_helper(&[], || {
        make_unified();
        work();
        0
    });
    assert_eq!(helper.unwrap().wait().unwrap(), ExitStatus::Exited(0));
}

fn make_unified() {
    let place = Path::new("/sys/fs/cgroup");
    ctr_sys::enter_private_mount_namespace().unwrap();
    let mounts = ctr_sys::mounts_below(place).unwrap();
    for mount in mounts.iter().rev() {
        rustix::mount::unmount(&mount.mount_point, UnmountFlags::DETACH).unwrap();
    }
    rustix::mount::mount("none", place, "cgroup2", MountFlags::empty(), None).unwrap();
}
