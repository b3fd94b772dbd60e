//! Who a program in a container is: user, groups, capabilities, signals.

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::tree::{MountPoints, mode};

cases! {
    Core users_and_groups,
    Core capabilities_of_root,
    Core no_capabilities_for_others,
    Core signals_are_as_after_login,
    Full execute_permission_is_the_users,
    Full home_of_the_user,
    Full wrong_users_are_refused,
}

/// What podman gives root by default: CHOWN, `DAC_OVERRIDE`, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, `NET_BIND_SERVICE`,
/// `SYS_CHROOT`, SETFCAP.
const DEFAULT_CAPABILITIES: &str = "00000000800405fb";
const NO_CAPABILITIES: &str = "0000000000000000";

/// A line of `/proc/self/status` of the first process, its words joined by single blanks.
fn status_line(env: &Env, flags: &[&str], key: &str) -> Result<String> {
    let pattern = format!("^{key}:");
    let out = env
        .run(flags, &["grep", &pattern, "/proc/self/status"])?
        .ok()?;
    let (_, value) = out.split_once(':').context("a line with a colon")?;
    Ok(value.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn users_and_groups(env: &Env) -> Result<()> {
    for (user, uids, gids, groups) in [
        ("", "0 0 0 0", "0 0 0 0", "0 29"),
        ("1000", "1000 1000 1000 1000", "0 0 0 0", "0"),
        (
            "1000:2000",
            "1000 1000 1000 1000",
            "2000 2000 2000 2000",
            "2000",
        ),
        (
            "alice",
            "1234 1234 1234 1234",
            "1234 1234 1234 1234",
            "10 29 1234",
        ),
        ("alice:audio", "1234 1234 1234 1234", "29 29 29 29", "29"),
        ("alice:77", "1234 1234 1234 1234", "77 77 77 77", "77"),
    ] {
        let mut flags = vec!["-u", user];
        if user.is_empty() {
            flags.clear();
        }
        for (key, expected) in [("Uid", uids), ("Gid", gids), ("Groups", groups)] {
            let found = status_line(env, &flags, key)?;
            ensure!(
                found == expected,
                "user {user:?}: {key} is {found}, not {expected}"
            );
        }
    }
    Ok(())
}

fn capabilities_of_root(env: &Env) -> Result<()> {
    for (key, expected) in [
        ("CapBnd", DEFAULT_CAPABILITIES),
        ("CapPrm", DEFAULT_CAPABILITIES),
        ("CapEff", DEFAULT_CAPABILITIES),
        ("CapInh", NO_CAPABILITIES),
        ("CapAmb", NO_CAPABILITIES),
    ] {
        let found = status_line(env, &[], key)?;
        ensure!(found == expected, "{key} is {found}, not {expected}");
    }
    Ok(())
}

fn no_capabilities_for_others(env: &Env) -> Result<()> {
    for key in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
        let found = status_line(env, &["-u", "1000"], key)?;
        ensure!(found == NO_CAPABILITIES, "{key} of user 1000 is {found}");
    }
    let output = env.run(&["-u", "1000"], &["chown", "1000", "/etc/passwd"])?;
    ensure!(output.code == 1, "user 1000 may change owners: {output}");
    Ok(())
}

/// No signal is ignored or blocked, whatever the engine and the runtime do for themselves; no descriptor limit is raised.
fn signals_are_as_after_login(env: &Env) -> Result<()> {
    for key in ["SigIgn", "SigBlk"] {
        let found = status_line(env, &[], key)?;
        ensure!(found == "0000000000000000", "{key} is {found}");
    }
    // A writer whose reader goes away ends by SIGPIPE instead of with an error.
    let script = "{ yes; echo \"code $?\" >&2; } | head -n 1";
    let output = env.run(&[], &["sh", "-c", script])?;
    ensure!(
        (output.code, output.out().as_str(), output.err().as_str()) == (0, "y\n", "code 141\n"),
        "{output}"
    );
    Ok(())
}

fn execute_permission_is_the_users(env: &Env) -> Result<()> {
    let root = env.own_root(MountPoints::Present)?;
    mode(&root.join("bin/busybox"), 0o750)?;
    let rootfs = format!("{}:O", root.display());
    let run = |user: &str| env.ctr(&["run", "--rm", "-u", user, "--rootfs", &rootfs, "echo", "x"]);
    run("0")?.prints("x\n")?;
    run("1000:0")?.prints("x\n")?;
    run("1000:1000")?.refused(126, &["echo"])
}

fn home_of_the_user(env: &Env) -> Result<()> {
    let home = |flags: &[&str]| env.run(flags, &["sh", "-c", "echo $HOME"]);
    home(&[])?.prints("/root\n")?;
    home(&["-u", "alice"])?.prints("/home/alice\n")?;
    home(&["-u", "4321"])?.prints("/\n")?;
    home(&["-u", "alice", "-e", "HOME=/elsewhere"])?.prints("/elsewhere\n")
}

fn wrong_users_are_refused(env: &Env) -> Result<()> {
    for user in [
        "+5",
        "-1",
        "0x0",
        "01000",
        " 1000",
        "1000 ",
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "nosuch",
        "alice:nosuch",
        "1000:-1",
        "1000:4294967296",
        "a:b:c",
        "\n",
        "al\u{1b}ice",
    ] {
        let flag = format!("--user={user}");
        env.run(&[&flag], &["true"])?
            .refused(125, &[])
            .with_context(|| format!("user {user:?}"))?;
    }
    // The name is in the message, so that one can see which of two was wrong.
    env.run(&["-u", "nosuch"], &["true"])?
        .refused(125, &["nosuch"])?;
    env.run(&["-u", "0:nosuch"], &["true"])?
        .refused(125, &["nosuch"])
}
