use std::collections::BTreeSet;
use std::fmt::Write as _;

use ctr_rootfs::{ResolvedUser, RootfsError, UserSpec, resolve_user};
use proptest::prelude::*;

use crate::tree::{Tree, is_root};

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
# comment

+nis::::::
1000:x:0:0:a name of digits:/evil:/bin/sh
01000:x:0:0::/evil:/bin/sh
4294967296:x:0:0::/evil:/bin/sh
wrap:x:4294967296:4294967296::/wrap:/bin/sh
wrapgid:x:50:4294967296::/wrapgid:/bin/sh
last:x:4294967294:4294967294::/last:/bin/sh
sign:x:+5:-1::/:/bin/sh
app:x:100:101:App:/srv/app:/bin/sh
app:x:0:0:second entry:/evil:/bin/sh
relative:x:102:102::home:/bin/sh
short:x:103:103
tab:x:104:104::/a\tb:/bin/sh
empty:x:::::
";
const GROUP: &str = "\
root:x:0:
app:x:101:
wheel:x:10:root,app
dup:x:10:app
1000:x:0:
audio:x:63:apple,app,root
apps:x:64:xapp
wrap:x:4294967296:wrapped
far:x:77
";

fn tree() -> Tree {
    let tree = Tree::new();
    tree.file("etc/passwd", PASSWD).file("etc/group", GROUP);
    tree
}

fn resolve(tree: &Tree, text: &str) -> Result<ResolvedUser, RootfsError> {
    resolve_user(&tree.root(), &UserSpec::parse(text)?)
}

/// `expected`: `uid:groups home name`, or a part of the error.
fn check(tree: &Tree, text: &str, expected: &str) {
    let found = match resolve(tree, text) {
        Ok(user) => {
            assert_eq!(user.additional_gids.first(), Some(&user.gid), "{text:?}");
            let name = user.name.as_deref().unwrap_or("-");
            format!(
                "{}:{:?} {} {name}",
                user.uid,
                user.additional_gids,
                user.home.display()
            )
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
            return;
        }
    };
    assert_eq!(found, expected, "{text:?}");
}

#[test]
fn users_of_the_files() {
    let tree = tree();
    check(&tree, "", "0:[0, 10, 63] /root root");
    check(&tree, "0", "0:[0, 10, 63] /root root");
    check(&tree, "root", "0:[0, 10, 63] /root root");
    check(&tree, "app", "100:[101, 10, 63] /srv/app app");
    check(&tree, "100", "100:[101, 10, 63] /srv/app app");
    check(&tree, "100:", "100:[101, 10, 63] /srv/app app");
    check(&tree, "app:5", "100:[5] /srv/app app");
    check(&tree, "app:wheel", "100:[10] /srv/app app");
    check(&tree, ":wheel", "0:[10] /root root");
    check(&tree, ":5", "0:[5] /root root");
    check(&tree, "last", "4294967294:[4294967294] /last last");
    check(&tree, "relative", "102:[102] / relative");
    check(&tree, "short", "103:[103] / short");
    check(&tree, "5:far", "5:[77] / -");
}

#[test]
fn digits_are_never_a_name() {
    let tree = tree();
    check(&tree, "1000", "1000:[0] / -");
    check(&tree, "1000:1000", "1000:[1000] / -");
    check(&tree, "4294967294", "4294967294:[4294967294] /last last");
    for text in [
        "01000",
        " 1000",
        "+5",
        "-1",
        "0x0",
        "4294967295",
        "4294967296",
        "5:01",
    ] {
        check(&tree, text, "invalid user");
    }
}

#[test]
fn ids_beyond_32_bits_are_errors_where_they_are_needed() {
    let tree = tree();
    check(
        &tree,
        "wrap",
        "/etc/passwd of the container, line 8: a numeric id must be 0 to 4294967294",
    );
    check(&tree, "wrap:5", "line 8");
    check(&tree, "wrapgid", "line 9");
    check(&tree, "50", "line 9");
    check(&tree, "50:6", "50:[6] /wrapgid wrapgid");
    check(&tree, "sign", "line 11: an id must be a decimal number");
    check(&tree, "empty", "an id must be a decimal number");
    check(&tree, "5:wrap", "/etc/group of the container, line 8");
    check(&tree, "tab", "control characters");
    tree.file("etc/group", "bad:x:4294967296:app\n");
    check(&tree, "app", "/etc/group of the container, line 1");
    check(&tree, "app:6", "100:[6] /srv/app app");
}

#[test]
fn unknown_names_are_named() {
    check(&tree(), "nobody", "no user \"nobody\" in /etc/passwd");
    check(&tree(), "+nis", "invalid user");
    check(&tree(), "app:nogroup", "no group \"nogroup\" in /etc/group");
}

#[test]
fn numbers_need_no_files() {
    let tree = Tree::new();
    check(&tree, "", "0:[0] /root -");
    check(&tree, "5", "5:[0] / -");
    check(&tree, "5:6", "5:[6] / -");
    check(&tree, "app", "no user");
    check(&tree, "5:app", "no group");
}

/// Puts something at `path` of a good tree: looking up a user of the files must name that file, at once.
fn check_hostile(path: &str, plant: impl for<'a> Fn(&'a Tree) -> &'a Tree) {
    let tree = tree();
    std::fs::remove_file(tree.at(path)).unwrap();
    plant(&tree);
    let error = resolve(&tree, "app").unwrap_err();
    let expected = format!("/{path}");
    let names_the_file = matches!(&error, RootfsError::Sys { path, .. } if path.to_str() == Some(&expected))
        || matches!(&error, RootfsError::Database { file, .. } if *file == expected);
    assert!(names_the_file, "{path}: {error}");
}

#[test]
fn hostile_files_are_errors_and_never_waited_for() {
    let too_long = "a".repeat(64 * 1024 + 1);
    for path in ["etc/passwd", "etc/group"] {
        check_hostile(path, |tree| tree.fifo(path));
        check_hostile(path, |tree| tree.dir(path));
        check_hostile(path, |tree| tree.sparse(path, 2 << 30));
        check_hostile(path, |tree| tree.file(path, &too_long));
        check_hostile(path, |tree| tree.link(path, format!("/{path}")));
        check_hostile(path, |tree| tree.dir("etc/x").link(path, "/etc/x"));
        check_hostile(path, |tree| tree.fifo("etc/x").link(path, "x"));
        if is_root("a device as user file") {
            check_hostile(path, |tree| tree.device(path));
        }
    }
}

#[test]
fn links_stay_inside_the_tree() {
    let outside = Tree::new();
    outside
        .file("passwd", "app:x:666:666::/:/bin/sh\n")
        .file("etc/passwd", "app:x:666:666::/:/bin/sh\n");
    let tree = Tree::new();
    tree.link("etc/passwd", outside.path().join("passwd"));
    check(&tree, "app", "no user");
    let tree = Tree::new();
    tree.link("etc", outside.path().join("etc"));
    check(&tree, "app", "no user");
    let tree = Tree::new();
    tree.link("etc", "../../usr/etc")
        .file("usr/etc/passwd", PASSWD);
    check(&tree, "app", "100:[101] /srv/app app");
}

#[test]
fn many_groups_up_to_the_kernels_limit() {
    for (count, accepted) in [
        (0, true),
        (1, true),
        (16, true),
        (17, true),
        (65_535, true),
        (65_536, false),
    ] {
        let mut group = String::new();
        for gid in 1..=count {
            writeln!(group, "g{gid}:x:{gid}:other,app").unwrap();
        }
        let tree = Tree::new();
        tree.file("etc/passwd", "app:x:5:0::/:\n")
            .file("etc/group", group);
        match resolve(&tree, "app") {
            Ok(user) => {
                assert!(accepted, "{count}");
                assert_eq!(user.additional_gids, (0..=count).collect::<Vec<u32>>());
            }
            Err(error) => {
                assert!(!accepted, "{count}: {error}");
                assert!(
                    matches!(error, RootfsError::TooManyGroups { .. }),
                    "{error}"
                );
            }
        }
    }
}

/// A group file in generated form: names, ids, members.
fn groups() -> impl Strategy<Value = Vec<(String, u32, Vec<String>)>> {
    let member = "[ab]{1,2}";
    let group = (
        "[a-d]{1,3}",
        0_u32..6,
        proptest::collection::vec(member, 0..4),
    );
    proptest::collection::vec(group, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn memberships_are_those_of_the_file(groups in groups(), name in "[ab]{1,2}", gid in 0_u32..6) {
        let tree = Tree::new();
        let mut text = String::new();
        for (group, gid, members) in &groups {
            writeln!(text, "{group}:x:{gid}:{}", members.join(",")).unwrap();
        }
        tree.file("etc/group", text).file("etc/passwd", format!("{name}:x:9:{gid}::/:\n"));
        let user = resolve(&tree, &name).unwrap();
        let mut expected: BTreeSet<u32> =
            groups.iter().filter(|(_, _, members)| members.contains(&name)).map(|(_, gid, _)| *gid).collect();
        expected.insert(gid);
        prop_assert_eq!(user.gid, gid);
        prop_assert_eq!(user.additional_gids[0], gid);
        prop_assert_eq!(user.additional_gids.len(), expected.len());
        prop_assert_eq!(user.additional_gids.into_iter().collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn any_bytes_give_an_answer_or_an_error(
        passwd in proptest::collection::vec(prop_oneof![Just(b':'), Just(b'\n'), Just(b'a'), b'0'..=b'9', any::<u8>()], 0..80),
        group in proptest::collection::vec(prop_oneof![Just(b':'), Just(b'\n'), Just(b'a'), Just(b','), b'0'..=b'9', any::<u8>()], 0..80),
        text in "a|a:a|[0-9]|[0-9]:a|:[0-9]",
    ) {
        let tree = Tree::new();
        tree.file("etc/passwd", passwd).file("etc/group", group);
        if let Ok(user) = resolve(&tree, &text) {
            prop_assert!(user.uid < u32::MAX && user.home.is_absolute());
            prop_assert!(user.additional_gids.iter().all(|gid| *gid < u32::MAX));
            if let Ok(number) = text.split(':').next().unwrap().parse::<u32>() {
                prop_assert_eq!(user.uid, number);
            }
        }
    }
}
