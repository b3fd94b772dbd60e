//! What commands refuse before they touch anything: the words, the exit codes, and that there is one line of each.

use crate::testing::transcript;
use expect_test::{Expect, expect};

fn check(args: &str, expected: &Expect) {
    let args: Vec<&str> = std::iter::once("ctr").chain(args.split(' ')).collect();
    expected.assert_eq(&transcript(&args));
}

#[test]
fn names_are_needed() {
    let missing = "Error: the name or id of a container is missing\n[125]\n";
    for verb in [
        "start", "start -a", "stop", "kill", "rm", "rm -f", "inspect", "wait",
    ] {
        let args: Vec<&str> = std::iter::once("ctr").chain(verb.split(' ')).collect();
        assert_eq!(transcript(&args), missing, "{verb}");
    }
    check(
        "container cleanup",
        &expect![[r#"
        Error: the name or id of a container is missing
        [125]
    "#]],
    );
    check(
        "logs",
        &expect![[r#"
            Error: the name or id of a container is missing
            [125]
        "#]],
    );
    check(
        "container exists",
        &expect![[r#"
        Error: container exists takes one name or id
        [125]
    "#]],
    );
    check(
        "start -a a b",
        &expect![[r#"
        Error: --attach takes one container
        [125]
    "#]],
    );
}

#[test]
fn flags_that_contradict_each_other() {
    check(
        "stop -a x",
        &expect![[r#"
        Error: --all and names of containers exclude each other
        [125]
    "#]],
    );
    check(
        "rm -a x",
        &expect![[r#"
        Error: --all and names of containers exclude each other
        [125]
    "#]],
    );
    check(
        "rm -t 5 x",
        &expect![[r#"
        Error: --time needs --force: without it nothing is stopped
        [125]
    "#]],
    );
    check(
        "ps -q --format json",
        &expect![[r#"
        Error: --quiet and --format exclude each other
        [125]
    "#]],
    );
}

#[test]
fn containers_are_selected_in_one_way() {
    for verb in [
        "start",
        "stop",
        "kill",
        "rm",
        "wait",
        "inspect",
        "logs",
        "container cleanup",
    ] {
        let args = format!("ctr {verb} --latest x");
        let args: Vec<&str> = args.split(' ').collect();
        let expected = "Error: --latest and names of containers exclude each other\n[125]\n";
        assert_eq!(transcript(&args), expected, "{verb}");
    }
    check(
        "start --all --latest",
        &expect![[r#"
        Error: --all and --latest exclude each other
        [125]
    "#]],
    );
    check(
        "kill --all --cidfile f",
        &expect![[r#"
        Error: --all and --cidfile exclude each other
        [125]
    "#]],
    );
    check(
        "rm --filter label=x web",
        &expect![[r#"
        Error: --filter and names of containers exclude each other
        [125]
    "#]],
    );
    check(
        "start -a --all",
        &expect![[r#"
        Error: --attach takes one container
        [125]
    "#]],
    );
    check(
        "inspect --type image x",
        &expect![[r#"
        Error: --type "image": only containers can be inspected yet: container or all
        [125]
    "#]],
    );
    check(
        "stop --filter name=(",
        &expect![[r#"
        Error: invalid filter "name=(": the value is no regular expression: unclosed group
        [125]
    "#]],
    );
}

#[test]
fn what_ps_refuses() {
    check(
        "ps -l -n 2",
        &expect![[r#"
        Error: --latest and --last exclude each other
        [125]
    "#]],
    );
    check(
        "ps --last few",
        &expect![[r#"
        Error: --last "few": must be a number of containers
        [125]
    "#]],
    );
    check(
        "ps --sort colour",
        &expect![[r#"
        Error: --sort "colour": must be one of command, created, id, image, names, runningfor or status
        [125]
    "#]],
    );
    check(
        "ps --sort size",
        &expect![[r#"
        Error: --sort "size": sizes are not counted yet
        [125]
    "#]],
    );
    check(
        "ps -s",
        &expect![[r#"
        Error: --size: sizes are not counted yet
        [125]
    "#]],
    );
    check(
        "ps -p",
        &expect![[r#"
        Error: --pod: pods do not exist yet
        [125]
    "#]],
    );
    check(
        "ps --filter status",
        &expect![[r#"
        Error: invalid filter "status": it must be KEY=VALUE
        [125]
    "#]],
    );
    check(
        "ps -f status=dead",
        &expect![[r#"
        Error: invalid filter "status=dead": the statuses are created, initialized, running, paused, stopping, stopped, exited, removing and unknown
        [125]
    "#]],
    );
}

#[test]
fn values_that_are_none() {
    check(
        "ps --format yaml",
        &expect![[r#"
            Error: --format "yaml": must be table or json: templates do not exist yet
            [125]
        "#]],
    );
    check(
        "inspect -f {{.Id}} x",
        &expect![[r#"
            Error: --format "{{.Id}}": must be json: templates do not exist yet
            [125]
        "#]],
    );
    check(
        "kill -s FOO x",
        &expect![[r#"
        Error: --signal "FOO": must be a signal: a name such as TERM or SIGTERM, or a number from 1 to 64
        [125]
    "#]],
    );
    check(
        "stop -t soon x",
        &expect![[r#"
        Error: --time "soon": must be a number of seconds (-1 waits forever)
        [125]
    "#]],
    );
    check(
        "logs --tail some x",
        &expect![[r#"
            Error: --tail "some": must be a number of lines, or all (--names has no short form)
            [125]
        "#]],
    );
    check(
        "container cleanup --generation -1 x",
        &expect![[r#"
        Error: unexpected argument '-1' found
        Hint: --help after a command shows its options
        [125]
    "#]],
    );
    check(
        "--log-level loud ps",
        &expect![[r#"
            Error: --log-level "loud": must be one of trace, debug, info, warn, error, fatal, panic
            [125]
        "#]],
    );
}

#[test]
fn images_come_later() {
    check(
        "run alpine",
        &expect![[r#"
        Error: images do not exist yet, so "alpine" cannot be run
        Hint: run on the files of this host, with changes kept apart: ctr run --rootfs /:O COMMAND
        [125]
    "#]],
    );
    check(
        "container create --rootfs /:O",
        &expect![[r#"
        Error: the command to run is missing
        [125]
    "#]],
    );
}

#[test]
fn attached_clients_refuse_what_they_cannot_do() {
    check(
        "run -d -a stdout --rootfs /:O true",
        &expect![[r#"
        Error: --detach and --attach exclude each other
        [125]
    "#]],
    );
    check(
        "run -a out --rootfs /:O true",
        &expect![[r#"
        Error: --attach "out": must be stdin, stdout or stderr
        [125]
    "#]],
    );
    check(
        "attach --detach-keys ctrl-pq x",
        &expect![[r#"
        Error: --detach-keys: invalid detach keys "ctrl-pq": allowed are single characters, ctrl-X with X one of a-z @ [ \ ] ^ _, or DEL, separated by commas; nothing to have none
        [125]
    "#]],
    );
    check(
        "attach a b",
        &expect![[r#"
        Error: attach takes one container
        [125]
    "#]],
    );
}
