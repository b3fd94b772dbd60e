use std::path::PathBuf;

use ctr_rootfs::MountPoints;

use crate::tree::Tree;

fn paths(texts: &[&str]) -> Vec<PathBuf> {
    texts.iter().map(PathBuf::from).collect()
}

fn check(tree: &Tree, destinations: &[&str], missing: &[&str]) {
    let found = MountPoints::missing(&tree.root(), &paths(destinations)).unwrap();
    assert_eq!(found, paths(missing), "{destinations:?}");
}

#[test]
fn what_is_missing_is_listed_once_and_parents_first() {
    let tree = Tree::new();
    tree.dir("etc").file("etc/hosts", "").dir("srv");
    check(&tree, &[], &[]);
    check(&tree, &["/etc/hosts", "/etc"], &[]);
    check(&tree, &["/etc/hostname"], &["/etc/hostname"]);
    check(
        &tree,
        &["/a/b/c", "/a/d"],
        &["/a", "/a/b", "/a/b/c", "/a/d"],
    );
    check(&tree, &["/a//b/../c/."], &["/a", "/a/c"]);
}

#[test]
fn what_lies_inside_an_earlier_mount_is_not_made_in_the_tree() {
    let tree = Tree::new();
    tree.dir("dev");
    check(&tree, &["/dev", "/dev/pts", "/dev/shm"], &[]);
    check(&tree, &["/data", "/data/sub"], &["/data"]);
    check(&tree, &["/data/sub", "/data"], &["/data", "/data/sub"]);
    check(&tree, &["/data", "/database"], &["/data", "/database"]);
}

#[test]
fn links_are_followed_inside_the_tree() {
    let tree = Tree::new();
    tree.dir("srv")
        .link("data", "/srv")
        .link("up", "../../../srv")
        .link("dangling", "/new/place");
    check(&tree, &["/data/x"], &["/srv/x"]);
    check(&tree, &["/up/x"], &["/srv/x"]);
    check(&tree, &["/data"], &[]);
    check(&tree, &["/dangling"], &["/new", "/new/place"]);
}

#[test]
fn a_file_on_the_way_and_circular_links_are_errors() {
    let tree = Tree::new();
    tree.file("file", "")
        .link("circle", "circle")
        .link("a", "b")
        .link("b", "a/x");
    for destination in ["/file/x", "/circle", "/a"] {
        let error = MountPoints::missing(&tree.root(), &paths(&[destination])).unwrap_err();
        assert!(error.to_string().contains(destination), "{error}");
    }
}

#[test]
fn created_mount_points_are_removed_again() {
    let tree = Tree::new();
    tree.dir("etc");
    let destinations = paths(&["/a/b/c", "/etc/hosts", "/keep/x", "/full/file"]);
    let missing = MountPoints::missing(&tree.root(), &destinations).unwrap();
    tree.dir("a/b/c")
        .file("etc/hosts", "")
        .dir("keep/x")
        .file("full/file", "text");
    tree.file("keep/of-the-user", "");
    MountPoints::remove_created(&tree.root(), &missing).unwrap();
    assert!(tree.exists("etc") && !tree.exists("etc/hosts"));
    assert!(!tree.exists("a"));
    assert!(tree.exists("keep/of-the-user") && !tree.exists("keep/x"));
    assert!(tree.exists("full/file"));
    MountPoints::remove_created(&tree.root(), &missing).unwrap();
}

#[test]
fn a_component_that_became_a_link_is_left_alone() {
    let outside = Tree::new();
    outside.dir("x");
    let tree = Tree::new();
    tree.dir("real/x")
        .link("a", "/real")
        .link("b", outside.path())
        .link("c", "/real/x")
        .fifo("d");
    MountPoints::remove_created(&tree.root(), &paths(&["/a/x", "/b/x", "/c", "/d", "/e"])).unwrap();
    assert!(tree.exists("real/x") && tree.exists("c") && tree.exists("d"));
    assert!(outside.exists("x"));
}
