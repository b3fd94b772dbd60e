//! Whose namespaces a container uses, in specifications and in real containers of runc; and what is shared along with them.

use std::path::{Path, PathBuf};

use ctr_oci::{Access, Namespace, NetworkNamespace, SpecBuilder};
use expect_test::expect;

use crate::runc::{Container, bind, null};
use crate::spec::{builder, check, json};

#[test]
fn namespaces_of_others() {
    let joined = |kind: &str| PathBuf::from(format!("/run//ns/{kind}/"));
    let builder = |pid| {
        builder()
            .pid(pid)
            .ipc(Namespace::Join(joined("ipc")))
            .uts(Namespace::Join(joined("uts")))
            .network(NetworkNamespace::Join(joined("net")))
    };
    check(
        builder(Namespace::Join(joined("pid"))),
        "/linux/namespaces",
        &expect![[r#"
            {"path":"/run/ns/pid","type":"pid"}
            {"path":"/run/ns/ipc","type":"ipc"}
            {"path":"/run/ns/uts","type":"uts"}
            {"type":"mount"}
            {"path":"/run/ns/net","type":"network"}
        "#]],
    );
    let host = || Namespace::Host;
    check(
        builder(host()).ipc(host()).uts(host()),
        "/linux/namespaces",
        &expect![[r#"
            {"type":"mount"}
            {"path":"/run/ns/net","type":"network"}
        "#]],
    );
}

#[test]
fn nothing_is_less_hidden_when_namespaces_are_shared() {
    let part = |builder: SpecBuilder, pointer: &str| {
        let spec = json(&builder.build().unwrap());
        spec.pointer(pointer).cloned().unwrap()
    };
    let open = || {
        builder()
            .pid(Namespace::Host)
            .ipc(Namespace::Host)
            .uts(Namespace::Host)
            .network(NetworkNamespace::Join("/run/net".into()))
    };
    for pointer in ["/mounts", "/linux/maskedPaths", "/linux/readonlyPaths"] {
        assert_eq!(part(open(), pointer), part(builder(), pointer), "{pointer}");
    }
}

#[test]
fn the_oom_score_is_adjusted_as_asked() {
    let pointer = "/process/oomScoreAdj";
    check(builder(), pointer, &expect!["null"]);
    for (value, expected) in [
        (0, expect!["0"]),
        (1000, expect!["1000"]),
        (-1000, expect!["-1000"]),
    ] {
        check(builder().oom_score_adj(value), pointer, &expected);
    }
}

#[test]
fn namespaces_of_another_container_are_joined() {
    let (Some(first), Some(second)) = (Container::new(), Container::new()) else {
        return;
    };
    let (reader, writer) = std::io::pipe().unwrap();
    let created = first
        .create(first.spec(&["sleep", "100000"]), &null(), &writer)
        .unwrap();
    let path = |name: &str| PathBuf::from(format!("/proc/{}/ns/{name}", created.pid));
    let expected = ["ipc", "net", "pid", "uts"].map(|name| std::fs::read_link(path(name)).unwrap());
    let expected = expected.map(|link| format!("{}\n", link.display()));
    let script = "cd /proc/self/ns; readlink ipc net pid uts; hostname";
    let builder = second
        .nameless_spec(&["sh", "-c", script])
        .pid(Namespace::Join(path("pid")))
        .ipc(Namespace::Join(path("ipc")))
        .uts(Namespace::Join(path("uts")))
        .network(NetworkNamespace::Join(path("net")))
        .oom_score_adj(300);
    assert_eq!(second.run(builder), expected.concat() + "box\n");
    drop((reader, writer));
}

#[test]
fn namespaces_of_the_host_are_kept() {
    let Some(container) = Container::new() else {
        return;
    };
    let expected = ["ipc", "pid", "uts"].map(|name| {
        let link = std::fs::read_link(format!("/proc/self/ns/{name}"));
        format!("{}\n", link.unwrap().display())
    });
    let script = r#"cd /proc/self/ns; readlink ipc pid uts
        test -w /proc/sysrq-trigger && echo writable
        for file in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do
            test "$(head -c 1 $file 2>/dev/null)" && echo $file is readable
        done; true"#;
    let builder = container
        .nameless_spec(&["sh", "-c", script])
        .pid(Namespace::Host)
        .ipc(Namespace::Host)
        .uts(Namespace::Host);
    assert_eq!(container.run(builder), expected.concat());
}

#[test]
fn the_adjustment_of_the_oom_score_is_applied() {
    let Some(container) = Container::new() else {
        return;
    };
    let adjust = |spec: SpecBuilder| spec.oom_score_adj(300);
    container.check("cat /proc/self/oom_score_adj", adjust, "300");
}

/// As the engine shares that of another container: a bind of a tmpfs, whose flags stay.
#[test]
fn shared_memory_of_somebody_else_takes_the_place_of_ours() {
    let Some(container) = Container::new() else {
        return;
    };
    let shared = |spec: SpecBuilder| spec.mount(bind("/dev/shm", "/dev/shm", Access::ReadWrite));
    let name = format!("/dev/shm/ctr-oci-test-{}", std::process::id());
    ctr_sys::replace_file(Path::new(&name), b"here", 0o644, ctr_sys::Sync::No).unwrap();
    let script = format!("cat {name}; echo; grep -c ' /dev/shm ' /proc/self/mounts; rm {name}");
    container.check(&script, shared, "here\n1");
    assert!(!Path::new(&name).exists());
    container.check(&format!("test -e {name} || echo own"), |spec| spec, "own");
}
