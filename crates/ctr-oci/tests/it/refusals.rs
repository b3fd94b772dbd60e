//! Requests of which no specification is made.

use std::path::Path;

use ctr_oci::{
    Access, BindMount, Namespace, NetworkNamespace, OciError, PosixRlimitType, Rlimit, SpecBuilder,
};

use crate::spec::builder;

fn check_refused(builder: SpecBuilder, expected: &str) {
    let error = builder.build().expect_err("the request is not valid");
    assert!(matches!(error, OciError::Invalid { .. }));
    assert_eq!(error.to_string(), expected);
}

#[test]
fn cgroup_paths_stay_below_their_parent() {
    let refused = |path: &str, why: &str| {
        let expected = format!("invalid cgroup path {path:?}: {why}");
        check_refused(builder().cgroup_path(path), &expected);
    };
    refused("../../x", "the path is not absolute");
    refused("a/b", "the path is not absolute");
    refused("", "the path is not absolute");
    refused("/a/../../b", "the path must not contain ..");
    refused("/", "it is the root of the hierarchy");
    refused("//.", "it is the root of the hierarchy");
    refused("/a\nb", "it holds a control character");
}

#[test]
fn what_cannot_be_is_refused() {
    check_refused(
        SpecBuilder::new(Path::new("/r")),
        r#"invalid command "": there is no program to run"#,
    );
    check_refused(
        builder().args(["a", "b\0c"]),
        r#"invalid argument "b\0c": it holds a NUL byte"#,
    );
    check_refused(
        builder().env("A=B", "c"),
        r#"invalid environment variable "A=B": a name has one character at least and no ="#,
    );
    check_refused(
        builder().env("A", "\0"),
        r#"invalid environment variable "\0": it holds a NUL byte"#,
    );
    check_refused(
        builder().cwd("srv"),
        r#"invalid working directory "srv": the path is not absolute"#,
    );
    check_refused(
        SpecBuilder::new(Path::new("rootfs")).args(["x"]),
        r#"invalid root "rootfs": the path is not absolute"#,
    );
    check_refused(
        builder().annotation("", "v"),
        r#"invalid annotation "": a key has one character at least and no control characters"#,
    );
    let limit = Rlimit { soft: 2, hard: 1 };
    check_refused(
        builder().rlimit(PosixRlimitType::RlimitCore, limit),
        r#"invalid limit "RLIMIT_CORE=2:1": the soft limit is above the hard limit"#,
    );
}

#[test]
fn mounts_that_cannot_be_are_refused() {
    let bind = |source: &str, destination: &str| {
        builder().mount(BindMount {
            source: source.into(),
            destination: destination.into(),
            access: Access::ReadWrite,
        })
    };
    check_refused(
        bind("src", "/a"),
        r#"invalid mount source "src": the path is not absolute"#,
    );
    check_refused(
        bind("/s", "a"),
        r#"invalid mount destination "a": the path is not absolute"#,
    );
    check_refused(
        bind("/s", "/a/../b"),
        r#"invalid mount destination "/a/../b": the path must not contain .."#,
    );
    check_refused(
        bind("/s", "//"),
        r#"invalid mount destination "/": nothing can be mounted over the root of a container"#,
    );
    let twice = bind("/s", "/a").mount(BindMount {
        source: "/t".into(),
        destination: "/a/".into(),
        access: Access::ReadOnly,
    });
    check_refused(
        twice,
        r#"invalid mount destination "/a": two mounts have it"#,
    );
}

#[test]
fn namespaces_are_joined_by_absolute_paths() {
    let refused = |path: &str, why: &str| {
        let expected = format!("invalid namespace path {path:?}: {why}");
        let join = || Namespace::Join(path.into());
        check_refused(builder().pid(join()), &expected);
        check_refused(builder().ipc(join()), &expected);
        check_refused(builder().uts(join()), &expected);
        let network = NetworkNamespace::Join(path.into());
        check_refused(builder().network(network), &expected);
    };
    refused("", "the path is not absolute");
    refused("ns/net", "the path is not absolute");
    refused("/run/../ns", "the path must not contain ..");
}

#[test]
fn a_host_name_is_not_set_in_a_namespace_of_others() {
    let named = || builder().hostname("web-1".parse().expect("a host name"));
    for uts in [Namespace::Host, Namespace::Join("/run/uts".into())] {
        check_refused(
            named().uts(uts),
            r#"invalid hostname "web-1": the container has no UTS namespace of its own"#,
        );
    }
    assert!(named().uts(Namespace::Private).build().is_ok());
}

#[test]
fn an_adjustment_of_the_oom_score_has_a_range() {
    for value in [-1001, 1001, i32::MIN, i32::MAX] {
        let expected = format!(
            "invalid OOM score adjustment \"{value}\": it is not in the range from -1000 to 1000"
        );
        check_refused(builder().oom_score_adj(value), &expected);
    }
}
