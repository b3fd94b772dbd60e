use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ctr_rootfs::{MountTable, MountedRootfs, Rootfs, RootfsError, RootfsSource};
use rustix::fs::{Mode, OFlags, openat};

use crate::tree::{Tree, is_root};

/// Makes a file through the mount, as a process in the container would.
fn write_inside(mounted: &MountedRootfs, path: &str, text: &str) {
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    let fd = openat(mounted.as_fd(), path, flags, Mode::RUSR).unwrap();
    rustix::io::write(fd, text.as_bytes()).unwrap();
}

fn read_inside(mounted: &MountedRootfs, path: &str) -> Option<Vec<u8>> {
    mounted.root().read(Path::new(path), 1024).unwrap()
}

#[test]
fn a_plain_root_is_the_directory_itself() {
    if !is_root("a_plain_root_is_the_directory_itself") {
        return;
    }
    let tree = Tree::new();
    tree.file("etc/hostname", "inside");
    let before = MountTable::read().unwrap();
    let mounted = Rootfs::plain(tree.path()).mount().unwrap();
    assert_eq!(read_inside(&mounted, "/etc/hostname").unwrap(), b"inside");
    assert_eq!(
        read_inside(&mounted, "/../../../../etc/hostname").unwrap(),
        b"inside"
    );
    write_inside(&mounted, "new", "x");
    assert!(tree.exists("new"));
    let after = MountTable::read().unwrap();
    assert!(after.below(tree.path()).next().is_none());
    assert!(before.below(Path::new("/")).next().is_some());
}

#[test]
fn mounts_below_are_part_of_a_plain_root_only() {
    if !is_root("mounts_below_are_part_of_a_plain_root_only") {
        return;
    }
    let store = Tree::new();
    let version = Path::new("/proc/version");
    let plain = Rootfs::plain("/").mount().unwrap();
    assert!(plain.root().metadata(version).unwrap().is_some());
    let overlay = Rootfs::overlay("/", store.path().join("c"))
        .mount()
        .unwrap();
    assert!(overlay.root().metadata(version).unwrap().is_none());
}

#[test]
fn an_overlay_keeps_the_directory_as_it_is() {
    if !is_root("an_overlay_keeps_the_directory_as_it_is") {
        return;
    }
    let (tree, store) = (Tree::new(), Tree::new());
    tree.file("etc/hostname", "below")
        .mode("", 0o1751)
        .owner("", 12, 34);
    let dir = store.path().join("containers/4f2a");
    let rootfs = Rootfs::from_source(
        &RootfsSource::parse(format!("{}:O", tree.path().display())).unwrap(),
        &dir,
    );
    let mounted = rootfs.mount().unwrap();
    let top = mounted.root().metadata(Path::new("/")).unwrap().unwrap();
    assert_eq!((top.mode & 0o7777, top.uid, top.gid), (0o1751, 12, 34));
    write_inside(&mounted, "new", "layer");
    assert!(!tree.exists("new") && store.exists("containers/4f2a/upper/new"));
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o700);
    drop(mounted);

    let again = rootfs.mount().unwrap();
    assert_eq!(read_inside(&again, "new").unwrap(), b"layer");
    assert_eq!(read_inside(&again, "etc/hostname").unwrap(), b"below");
    assert!(
        MountTable::read()
            .unwrap()
            .below(store.path())
            .next()
            .is_none()
    );
}

#[test]
fn a_layer_is_mounted_once_at_a_time() {
    if !is_root("a_layer_is_mounted_once_at_a_time") {
        return;
    }
    let (tree, store) = (Tree::new(), Tree::new());
    let rootfs = Rootfs::overlay(tree.path(), store.path().join("c"));
    let first = rootfs.mount().unwrap();
    let error = rootfs.mount().unwrap_err();
    assert!(
        matches!(&error, RootfsError::InUse { path } if *path == store.path().join("c")),
        "{error}"
    );
    let mount = first.into_mount();
    assert!(matches!(rootfs.mount(), Err(RootfsError::InUse { .. })));
    drop(mount);
    let second = rootfs.mount().unwrap();
    drop(second);
}

#[test]
fn a_layer_belongs_to_the_directory_it_was_made_over() {
    if !is_root("a_layer_belongs_to_the_directory_it_was_made_over") {
        return;
    }
    let (one, other, store) = (Tree::new(), Tree::new(), Tree::new());
    let dir = store.path().join("c");
    drop(Rootfs::overlay(one.path(), &dir).mount().unwrap());
    let error = Rootfs::overlay(other.path(), &dir).mount().unwrap_err();
    assert!(
        matches!(error, RootfsError::LowerReplaced { .. }),
        "{error}"
    );
    drop(Rootfs::overlay(one.path(), &dir).mount().unwrap());
}

#[test]
fn the_layer_may_lie_below_the_directory() {
    if !is_root("the_layer_may_lie_below_the_directory") {
        return;
    }
    let tree = Tree::new();
    tree.file("etc/hostname", "below").dir("var/lib/ctr");
    for (lower, path) in [(tree.path(), "etc/hostname"), (Path::new("/"), "proc")] {
        let dir = tree.path().join("var/lib/ctr").join(path.len().to_string());
        let mounted = Rootfs::overlay(lower, &dir).mount().unwrap();
        assert!(mounted.root().metadata(Path::new(path)).unwrap().is_some());
        write_inside(&mounted, "made-in-the-layer", "x");
        assert!(dir.join("upper/made-in-the-layer").exists());
        assert!(!lower.join("made-in-the-layer").exists());
    }
}

#[test]
fn odd_names_of_directories_work() {
    if !is_root("odd_names_of_directories_work") {
        return;
    }
    for name in ["a:b", "a,b", "a b", "a\\b", "a\\:b", "ü\u{1}"] {
        let (tree, store) = (Tree::new(), Tree::new());
        tree.file(&format!("{name}/file"), "found");
        let mounted = Rootfs::overlay(tree.path().join(name), store.path().join("a:b,c"))
            .mount()
            .unwrap();
        assert_eq!(read_inside(&mounted, "file").unwrap(), b"found", "{name:?}");
    }
}

#[test]
fn an_overlay_on_an_overlay_is_refused_with_advice() {
    if !is_root("an_overlay_on_an_overlay_is_refused_with_advice") {
        return;
    }
    let (tree, store) = (Tree::new(), Tree::new());
    tree.dir("lower");
    let outer = Rootfs::overlay(tree.path(), store.path().join("c"))
        .mount()
        .unwrap();
    // The detached overlay, reached by a path without being attached anywhere.
    let inside = PathBuf::from(format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&outer.as_fd())
    ));
    let error = Rootfs::overlay(tree.path().join("lower"), inside.join("store/c"))
        .mount()
        .unwrap_err();
    assert!(
        matches!(error, RootfsError::OverlayOnOverlay { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("--root"), "{error}");
}

#[test]
fn a_layer_half_made_by_a_killed_process_is_finished() {
    if !is_root("a_layer_half_made_by_a_killed_process_is_finished") {
        return;
    }
    let (tree, store) = (Tree::new(), Tree::new());
    tree.mode("", 0o755);
    store
        .dir("c/upper.new")
        .mode("c", 0o700)
        .mode("c/upper.new", 0o700);
    let mounted = Rootfs::overlay(tree.path(), store.path().join("c"))
        .mount()
        .unwrap();
    let top = mounted.root().metadata(Path::new("/")).unwrap().unwrap();
    assert_eq!(top.mode & 0o7777, 0o755);
    assert!(!store.exists("c/upper.new"));
}

#[test]
fn a_link_in_place_of_the_layer_is_refused() {
    if !is_root("a_link_in_place_of_the_layer_is_refused") {
        return;
    }
    let (tree, store, outside) = (Tree::new(), Tree::new(), Tree::new());
    store
        .dir("c")
        .mode("c", 0o700)
        .link("c/upper", outside.path());
    let error = Rootfs::overlay(tree.path(), store.path().join("c"))
        .mount()
        .unwrap_err();
    assert!(matches!(error, RootfsError::Sys { .. }), "{error}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn what_is_no_directory_is_refused_by_name() {
    let tree = Tree::new();
    tree.file("file", "");
    for (path, why) in [
        ("file", "it is not a directory"),
        ("missing", "there is no such directory"),
        ("file/x", "not a directory"),
    ] {
        let path = tree.path().join(path);
        for rootfs in [
            Rootfs::plain(&path),
            Rootfs::overlay(&path, tree.path().join("c")),
        ] {
            let error = rootfs.mount().unwrap_err();
            assert!(
                matches!(&error, RootfsError::Directory { path: named, .. } if *named == path),
                "{error}"
            );
            assert!(error.to_string().contains(why), "{error}");
        }
    }
    assert!(!tree.exists("c"), "a refused root leaves no directory");
}

#[test]
fn a_layer_that_is_thrown_away_is_marked_and_can_be_mounted_again() {
    if !is_root("a_layer_that_is_thrown_away_is_marked_and_can_be_mounted_again") {
        return;
    }
    let (tree, store) = (Tree::new(), Tree::new());
    let dir = store.path().join("c");
    let rootfs = Rootfs::overlay(tree.path(), &dir).thrown_away();
    let first = rootfs.mount().unwrap();
    assert!(dir.join("work/work/incompat/volatile").is_dir());
    write_inside(&first, "new", "x");
    drop(first);
    let again = mount_when_free(&rootfs);
    assert_eq!(read_inside(&again, "/new").unwrap(), b"x");
}

/// Another test may be between fork and exec, with a copy of a descriptor.
fn mount_when_free(rootfs: &Rootfs) -> MountedRootfs {
    loop {
        match rootfs.mount() {
            Err(RootfsError::InUse { .. }) => std::thread::yield_now(),
            mounted => return mounted.unwrap(),
        }
    }
}
