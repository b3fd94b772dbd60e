use std::path::Path;

use ctr_rootfs::{CommandCheck, command_check};

use crate::tree::{Tree, is_root};

const PATH: &str = "/usr/bin:/bin";

fn tree() -> Tree {
    let tree = Tree::new();
    tree.executable("bin/true", 0o755)
        .executable("bin/plain", 0o644)
        .executable("usr/bin/both", 0o644)
        .executable("bin/both", 0o755)
        .executable("bin/odd", 0o001)
        .executable("work/here", 0o755)
        .dir("usr/bin/folder")
        .executable("bin/folder", 0o755)
        .dir("bin/only-folder")
        .fifo("bin/fifo")
        .link("bin/linked", "/bin/true")
        .link("bin/escape", "../../../../bin/true")
        .link("bin/dangling", "/nowhere")
        .link("bin/circle", "circle")
        .link("sbin", "bin");
    tree
}

/// `expected`: the path inside the container, `127` or `126`.
fn check(tree: &Tree, argv0: &str, (uid, gids): (u32, &[u32]), expected: &str) {
    let found = command_check(&tree.root(), argv0, PATH, Path::new("/work"), uid, gids);
    let found = match found {
        CommandCheck::Executable(path) => path.display().to_string(),
        CommandCheck::NotFound => "127".into(),
        CommandCheck::NotExecutable { why } => {
            assert!(why.starts_with('/'), "names no path: {why}");
            "126".into()
        }
    };
    assert_eq!(found, expected, "{argv0:?}");
}

#[test]
fn programs_are_found_as_execvp_finds_them() {
    let tree = tree();
    let check = |argv0: &str, expected: &str| check(&tree, argv0, (0, &[0]), expected);
    check("true", "/bin/true");
    check("both", "/bin/both");
    check("folder", "/bin/folder");
    check("linked", "/bin/linked");
    check("escape", "/bin/escape");
    check("/bin/true", "/bin/true");
    check("/sbin/true", "/sbin/true");
    check("./here", "/work/./here");
    check("../bin/true", "/work/../bin/true");
    check("missing", "127");
    check("here", "127");
    check("", "127");
    check("/bin/missing", "127");
    check("/nowhere/true", "127");
    check("/bin/true/x", "127");
    check("dangling", "127");
    check("plain", "126");
    check("only-folder", "126");
    check("/bin", "126");
    check("/", "126");
    check("fifo", "126");
    check("circle", "126");
}

#[test]
fn an_empty_entry_of_path_is_the_working_directory() {
    let tree = tree();
    for path in ["/bin:", ":/bin", "", "."] {
        let found = command_check(&tree.root(), "here", path, Path::new("/work"), 0, &[0]);
        assert!(
            matches!(found, CommandCheck::Executable(_)),
            "{path:?}: {found:?}"
        );
    }
}

#[test]
fn the_first_fitting_class_of_mode_bits_decides() {
    if !is_root("the_first_fitting_class_of_mode_bits_decides") {
        return;
    }
    let tree = tree();
    tree.executable("bin/owner", 0o100).owner("bin/owner", 7, 8);
    tree.executable("bin/group", 0o010).owner("bin/group", 7, 8);
    tree.executable("bin/others", 0o001)
        .owner("bin/others", 7, 8);
    let check = |argv0: &str, ids, expected: &str| check(&tree, argv0, ids, expected);
    check("owner", (7, &[9]), "/bin/owner");
    check("owner", (5, &[8]), "126");
    check("group", (5, &[9, 8]), "/bin/group");
    check("group", (7, &[8]), "126");
    check("group", (5, &[9]), "126");
    check("others", (5, &[9]), "/bin/others");
    check("others", (5, &[8]), "126");
    check("others", (7, &[9]), "126");
    check("odd", (0, &[0]), "/bin/odd");
}

#[test]
fn a_closed_directory_hides_programs_from_users_but_not_from_root() {
    let tree = tree();
    tree.executable("root/tool", 0o755)
        .mode("root", 0o700)
        .link("bin/tool", "/root/tool");
    for argv0 in ["/root/tool", "tool"] {
        check(&tree, argv0, (4000, &[4000]), "126");
        let path = if argv0 == "tool" { "/bin/tool" } else { argv0 };
        check(&tree, argv0, (0, &[0]), path);
    }
}
