use std::path::{Path, PathBuf};

use ctr_rootfs::{RootfsError, check_destinations, check_layout, mount_destination};

use proptest::prelude::*;

use crate::tree::Tree;

fn check(tree: &Tree, refused: Option<&str>) {
    let found = match check_layout(&tree.root()) {
        Ok(()) => None,
        Err(RootfsError::Layout { path, .. }) => Some(path),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(found.as_deref(), refused.map(Path::new));
}

#[test]
fn proc_and_sys_are_directories_or_absent() {
    check(&Tree::new(), None);
    check(Tree::new().dir("proc").dir("sys"), None);
    check(Tree::new().dir("p").link("proc", "/p"), Some("/proc"));
    check(Tree::new().link("proc", "/nowhere"), Some("/proc"));
    check(Tree::new().link("proc", "proc"), Some("/proc"));
    check(
        Tree::new().dir("proc").link("sys", "../../srv"),
        Some("/sys"),
    );
    check(Tree::new().file("sys", ""), Some("/sys"));
    check(Tree::new().fifo("proc"), Some("/proc"));
}

#[test]
fn destinations_are_cleaned_and_kernel_directories_refused() {
    let check = |text: &str, expected: Option<&str>| {
        let found = mount_destination(Path::new(text)).ok();
        assert_eq!(found.as_deref(), expected.map(Path::new), "{text:?}");
    };
    check("/data", Some("/data"));
    check("//data/./x/../y/", Some("/data/y"));
    check("/../data", Some("/data"));
    check("/processes", Some("/processes"));
    check("/systemd", Some("/systemd"));
    check("/", None);
    check("/x/..", None);
    check("data", None);
    check("", None);
    check("/a\0b", None);
    for text in [
        "/proc",
        "//proc/",
        "/x/../proc",
        "/proc/self/attr",
        "/sys",
        "/sys/fs/cgroup",
    ] {
        check(text, None);
    }
}

#[test]
fn links_of_the_container_do_not_hide_a_kernel_directory() {
    let tree = Tree::new();
    tree.dir("data")
        .dir("proc")
        .link("a", "/proc")
        .link("b", "../../a")
        .link("c", "sys")
        .link("top", "/");
    let check = |text: &str, accepted: bool| {
        let outcome = check_destinations(&tree.root(), &[PathBuf::from(text)]);
        assert_eq!(outcome.is_ok(), accepted, "{text:?}: {outcome:?}");
    };
    check("/data", true);
    check("/data/new", true);
    check("/a", false);
    check("/a/self", false);
    check("/b", false);
    check("/c/new", false);
    check("/top", false);
    check("/top/proc/x", false);
}

proptest! {
    #[test]
    fn a_clean_destination_is_its_own_clean_form(text in "(/{0,2}(a|b|proc|sys|\\.|\\.\\.|pro\u{7f}c)){0,5}/?") {
        if let Ok(clean) = mount_destination(Path::new(&text)) {
            prop_assert!(clean.is_absolute() && !clean.starts_with("/proc") && !clean.starts_with("/sys"));
            prop_assert!(!clean.components().any(|part| part == std::path::Component::ParentDir));
            prop_assert_eq!(mount_destination(&clean).unwrap(), clean);
        }
    }
}
