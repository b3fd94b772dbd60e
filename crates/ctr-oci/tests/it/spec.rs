//! What is in a specification: the defaults, and what was asked for.

use std::path::Path;

use ctr_oci::{
    Access, BindMount, CgroupNamespace, HostFacts, Hostname, NetworkNamespace, PosixRlimitType,
    Rlimit, Spec, SpecBuilder, Terminal, UserIds,
};
use expect_test::{Expect, expect};
use serde_json::Value;

fn host() -> HostFacts {
    HostFacts {
        open_files: 524_288,
        processes: u64::MAX,
        thermal_paths: vec!["/sys/devices/system/cpu/cpu0/thermal_throttle".to_owned()],
        cgroup_mounts: vec!["/sys/fs/cgroup/memory".to_owned()],
        capabilities: ctr_oci::DEFAULT_CAPABILITIES.into(),
    }
}

pub(crate) fn builder() -> SpecBuilder {
    SpecBuilder::new(Path::new("/rootfs"))
        .args(["sh", "-c", "true"])
        .host(host())
}

pub(crate) fn json(spec: &Spec) -> Value {
    let mut value = serde_json::to_value(spec).expect("a specification is JSON");
    value.sort_all_objects();
    value
}

/// The part of a specification at `pointer`, each item of a list on its own line.
pub(crate) fn check(builder: SpecBuilder, pointer: &str, expected: &Expect) {
    let spec = json(&builder.build().expect("the request is valid"));
    let part = spec.pointer(pointer).cloned().unwrap_or(Value::Null);
    let line = |value: &Value| serde_json::to_string(value).expect("a value is JSON");
    let text = match &part {
        Value::Array(items) => items.iter().map(|item| line(item) + "\n").collect(),
        Value::Object(fields) => {
            let mut lines: Vec<_> = fields
                .iter()
                .map(|(k, v)| format!("{k}: {}\n", line(v)))
                .collect();
            lines.sort();
            lines.concat()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => line(&part),
    };
    expected.assert_eq(&text);
}

#[test]
fn nothing_but_what_we_mean_is_in_a_specification() {
    let spec = json(&builder().build().unwrap());
    let keys = |pointer: &str| {
        let fields = spec.pointer(pointer).and_then(Value::as_object).unwrap();
        let mut keys: Vec<_> = fields.keys().cloned().collect();
        keys.sort();
        keys.join(" ")
    };
    assert_eq!(keys(""), "linux mounts ociVersion process root");
    assert_eq!(
        keys("/linux"),
        "maskedPaths namespaces readonlyPaths resources"
    );
    assert_eq!(keys("/linux/resources"), "devices");
    assert_eq!(
        keys("/process"),
        "args capabilities cwd env noNewPrivileges rlimits terminal user"
    );
    assert_eq!(spec["ociVersion"], "1.0.2");
    assert_eq!(spec["process"]["noNewPrivileges"], false);
    assert_eq!(spec["process"]["terminal"], false);
}

#[test]
fn mounts() {
    check(
        builder(),
        "/mounts",
        &expect![[r#"
        {"destination":"/proc","options":["nosuid","noexec","nodev"],"source":"proc","type":"proc"}
        {"destination":"/dev","options":["nosuid","strictatime","mode=755","size=65536k"],"source":"tmpfs","type":"tmpfs"}
        {"destination":"/sys","options":["nosuid","noexec","nodev","ro"],"source":"sysfs","type":"sysfs"}
        {"destination":"/dev/pts","options":["nosuid","noexec","newinstance","ptmxmode=0666","mode=0620","gid=5"],"source":"devpts","type":"devpts"}
        {"destination":"/dev/mqueue","options":["nosuid","noexec","nodev"],"source":"mqueue","type":"mqueue"}
        {"destination":"/dev/shm","options":["nosuid","noexec","nodev","mode=1777","size=65536000"],"source":"shm","type":"tmpfs"}
        {"destination":"/sys/fs/cgroup","options":["nosuid","noexec","nodev","relatime","ro"],"source":"cgroup","type":"cgroup"}
    "#]],
    );
}

#[test]
fn binds_follow_their_parents_and_replace_ours() {
    let bind = |source: &str, destination: &str, access| BindMount {
        source: source.into(),
        destination: destination.into(),
        access,
    };
    let builder = builder()
        .mount(bind("/srv/deep", "/a/b/c/", Access::ReadWrite))
        .mount(bind("/srv/shm", "/dev/shm", Access::ReadWrite))
        .mount(bind("/srv//./data", "/a", Access::ReadOnly));
    check(
        builder,
        "/mounts",
        &expect![[r#"
        {"destination":"/proc","options":["nosuid","noexec","nodev"],"source":"proc","type":"proc"}
        {"destination":"/dev","options":["nosuid","strictatime","mode=755","size=65536k"],"source":"tmpfs","type":"tmpfs"}
        {"destination":"/sys","options":["nosuid","noexec","nodev","ro"],"source":"sysfs","type":"sysfs"}
        {"destination":"/a","options":["rbind","rprivate","ro","rro"],"source":"/srv/data","type":"bind"}
        {"destination":"/dev/pts","options":["nosuid","noexec","newinstance","ptmxmode=0666","mode=0620","gid=5"],"source":"devpts","type":"devpts"}
        {"destination":"/dev/mqueue","options":["nosuid","noexec","nodev"],"source":"mqueue","type":"mqueue"}
        {"destination":"/dev/shm","options":["rbind","rprivate","rw"],"source":"/srv/shm","type":"bind"}
        {"destination":"/sys/fs/cgroup","options":["nosuid","noexec","nodev","relatime","ro"],"source":"cgroup","type":"cgroup"}
        {"destination":"/a/b/c","options":["rbind","rprivate","rw"],"source":"/srv/deep","type":"bind"}
    "#]],
    );
}

#[test]
fn namespaces() {
    check(
        builder(),
        "/linux/namespaces",
        &expect![[r#"
        {"type":"pid"}
        {"type":"ipc"}
        {"type":"uts"}
        {"type":"mount"}
        {"type":"network"}
    "#]],
    );
    let open = builder()
        .network(NetworkNamespace::Host)
        .cgroup_namespace(CgroupNamespace::Private);
    check(
        open,
        "/linux/namespaces",
        &expect![[r#"
        {"type":"pid"}
        {"type":"ipc"}
        {"type":"uts"}
        {"type":"mount"}
        {"type":"cgroup"}
    "#]],
    );
}

#[test]
fn hidden_and_protected_paths() {
    check(
        builder(),
        "/linux/maskedPaths",
        &expect![[r#"
        "/proc/acpi"
        "/proc/asound"
        "/proc/interrupts"
        "/proc/kcore"
        "/proc/keys"
        "/proc/latency_stats"
        "/proc/sched_debug"
        "/proc/scsi"
        "/proc/timer_list"
        "/proc/timer_stats"
        "/sys/dev/block"
        "/sys/devices/virtual/powercap"
        "/sys/firmware"
        "/sys/fs/selinux"
        "/sys/devices/system/cpu/cpu0/thermal_throttle"
    "#]],
    );
    check(
        builder(),
        "/linux/readonlyPaths",
        &expect![[r#"
            "/proc/bus"
            "/proc/fs"
            "/proc/irq"
            "/proc/sys"
            "/proc/sysrq-trigger"
            "/sys/fs/cgroup/memory"
            "/sys/fs/cgroup"
        "#]],
    );
}

#[test]
fn a_cgroup_directory_of_the_caller_is_not_protected_against_its_will() {
    let own = BindMount {
        source: "/sys/fs/cgroup/mine".into(),
        destination: "/sys/fs/cgroup".into(),
        access: Access::ReadWrite,
    };
    let spec = json(&builder().mount(own).build().unwrap());
    let paths = spec["linux"]["readonlyPaths"].as_array().unwrap();
    assert_eq!(
        paths
            .iter()
            .find(|path| path.to_string().contains("cgroup")),
        None
    );
}

#[test]
fn devices_are_denied_but_for_the_harmless() {
    check(
        builder(),
        "/linux/resources/devices",
        &expect![[r#"
        {"access":"rwm","allow":false,"type":"a"}
        {"access":"m","allow":true,"type":"c"}
        {"access":"m","allow":true,"type":"b"}
        {"access":"rwm","allow":true,"major":1,"minor":3,"type":"c"}
        {"access":"rwm","allow":true,"major":1,"minor":5,"type":"c"}
        {"access":"rwm","allow":true,"major":1,"minor":7,"type":"c"}
        {"access":"rwm","allow":true,"major":1,"minor":8,"type":"c"}
        {"access":"rwm","allow":true,"major":1,"minor":9,"type":"c"}
        {"access":"rwm","allow":true,"major":5,"minor":0,"type":"c"}
        {"access":"rwm","allow":true,"major":5,"minor":2,"type":"c"}
        {"access":"rwm","allow":true,"major":136,"type":"c"}
    "#]],
    );
}

/// The sets as sorted names; they have no order of their own.
fn check_capabilities(uid: u32, set: &str, expected: &str) {
    let user = UserIds {
        uid,
        ..UserIds::default()
    };
    let spec = json(&builder().user(user).build().expect("the request is valid"));
    let names = spec["process"]["capabilities"][set].as_array();
    let names = names
        .expect("every set is written")
        .iter()
        .filter_map(Value::as_str);
    let mut names: Vec<_> = names.map(|name| name.trim_start_matches("CAP_")).collect();
    names.sort_unstable();
    assert_eq!(names.join(" "), expected, "{set} of {uid}");
}

#[test]
fn capabilities() {
    let all = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT";
    for set in ["bounding", "permitted", "effective"] {
        check_capabilities(0, set, all);
    }
    check_capabilities(1000, "bounding", all);
    for set in ["permitted", "effective"] {
        check_capabilities(1000, set, "");
    }
    for uid in [0, 1000] {
        check_capabilities(uid, "inheritable", "");
        check_capabilities(uid, "ambient", "");
    }
}

#[test]
fn the_primary_group_is_always_among_the_supplementary_ones() {
    let user = |additional: &[u32]| UserIds {
        uid: 1000,
        gid: 2000,
        additional_gids: additional.to_vec(),
    };
    let groups = "/process/user/additionalGids";
    check(builder(), groups, &expect!["0\n"]);
    check(builder().user(user(&[])), groups, &expect!["2000\n"]);
    check(
        builder().user(user(&[5, 2000, 7, 5])),
        groups,
        &expect!["2000\n5\n7\n"],
    );
    check(
        builder().user(user(&[5])),
        "/process/user",
        &expect![[r"
        additionalGids: [2000,5]
        gid: 2000
        uid: 1000
        umask: 18
    "]],
    );
}

#[test]
fn defaults_of_limits_are_clamped_and_asked_ones_are_not() {
    check(
        builder(),
        "/process/rlimits",
        &expect![[r#"
        {"hard":524288,"soft":524288,"type":"RLIMIT_NOFILE"}
        {"hard":1048576,"soft":1048576,"type":"RLIMIT_NPROC"}
    "#]],
    );
    let asked = builder().rlimit(
        PosixRlimitType::RlimitNofile,
        Rlimit {
            soft: 10,
            hard: u64::MAX,
        },
    );
    check(
        asked,
        "/process/rlimits",
        &expect![[r#"
        {"hard":1048576,"soft":1048576,"type":"RLIMIT_NPROC"}
        {"hard":18446744073709551615,"soft":10,"type":"RLIMIT_NOFILE"}
    "#]],
    );
}

#[test]
fn the_environment_keeps_its_order_and_the_last_value() {
    let builder = builder()
        .env("B", "1")
        .env("A", "2")
        .env("B", "x=y")
        .env("C", "");
    check(
        builder,
        "/process/env",
        &expect![[r#"
        "B=x=y"
        "A=2"
        "C="
    "#]],
    );
}

#[test]
fn what_was_asked_for_is_there() {
    let hostname: Hostname = "web-1".parse().unwrap();
    let spec = builder()
        .hostname(hostname)
        .cwd("/srv/")
        .terminal(Terminal::Yes)
        .cgroup_path("/ctr/c1")
        .root_access(Access::ReadOnly)
        .annotation("com.example.k", "v")
        .build()
        .unwrap();
    let spec = json(&spec);
    assert_eq!(spec["hostname"], "web-1");
    assert_eq!(spec["process"]["cwd"], "/srv");
    assert_eq!(spec["process"]["terminal"], true);
    assert_eq!(spec["linux"]["cgroupsPath"], "/ctr/c1");
    assert_eq!(
        spec["root"],
        serde_json::json!({"path": "/rootfs", "readonly": true})
    );
    assert_eq!(
        spec["annotations"],
        serde_json::json!({"com.example.k": "v"})
    );
}

#[test]
fn the_process_of_an_exec_is_the_process_of_a_run() {
    let builder = builder().env("A", "b").user(UserIds {
        uid: 7,
        gid: 8,
        additional_gids: vec![9],
    });
    let process = builder.build_process().unwrap();
    assert_eq!(builder.build().unwrap().process().as_ref(), Some(&process));
}

#[test]
fn the_facts_of_this_host_are_readable() {
    let facts = HostFacts::read().unwrap();
    assert!(facts.open_files > 0);
    assert!(facts.processes > 0);
    let mut paths = facts.thermal_paths.iter().chain(&facts.cgroup_mounts);
    let wrong = paths.find(|path| !Path::new(path).is_dir());
    assert_eq!(wrong, None);
}
