//! Wrong input to `create` and `run`: one clear line, the documented exit code, nothing left.

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::program::Call;
use crate::harness::tree;

cases! {
    Core command_not_found_or_not_executable,
    Full start_of_a_missing_command,
    Full bad_values,
    Full options_of_later_versions,
    Full unknown_options,
    Full images_do_not_exist_yet,
    Full ordinary_users_are_told,
}

fn command_not_found_or_not_executable(env: &Env) -> Result<()> {
    let rootfs = env.rootfs();
    for (command, code) in [
        ("no-such-command", 127),
        ("/no/such/command", 127),
        ("/etc/passwd", 126),
        ("/etc", 126),
    ] {
        env.run(&[], &[command])?
            .refused(code, &[command])
            .with_context(|| format!("run {command}"))?;
        env.ctr(&["run", "-d", "--rm", "--rootfs", &rootfs, command])?
            .refused(code, &[command])
            .with_context(|| format!("run -d {command}"))?;
        // Without --rm the container may stay to be looked at; its name is not lost then.
        env.ctr(&["run", "--name", "kept", "--rootfs", &rootfs, command])?
            .refused(code, &[command])?;
        env.ctr(&["rm", "-f", "kept"])?.ok()?;
    }
    let output = env.run(&[], &[])?;
    ensure!(output.code != 0 && output.code != 1, "{output}");
    output.one_error(&["command"])
}

fn start_of_a_missing_command(env: &Env) -> Result<()> {
    env.create("m", &[], &["no-such-command"])?;
    for _ in 0..2 {
        env.ctr(&["start", "m"])?
            .refused(125, &["no-such-command"])?;
        ensure!(env.status("m")? == "created");
    }
    env.ctr(&["rm", "m"])?.prints("m\n")
}

/// A flag, a value that it does not take, and a word that the message must have.
const BAD_VALUES: &[(&str, &str, &str)] = &[
    ("--name", "", "name"),
    ("--name", "a/b", "a/b"),
    ("--name", ".hidden", ".hidden"),
    ("--name", "-x", "-x"),
    ("--name", "a b", "a b"),
    ("--name", "é", "name"),
    ("--name", "a\nb", "name"),
    ("--env", "=value", "="),
    ("--env", "", "env"),
    ("--workdir", "relative", "relative"),
    ("--workdir", "", "dir"),
    ("--volume", "", "volume"),
    ("--volume", "/tmp", "/tmp"),
    ("--volume", "/tmp:relative", "relative"),
    ("--volume", "/no/such/source:/x", "/no/such/source"),
    ("--volume", "/tmp:/x:sideways", "sideways"),
    ("--volume", "/tmp:/x:ro:rw", "/tmp:/x:ro:rw"),
    ("--volume", "/tmp:/", "/"),
    ("--hostname", "a b", "a b"),
    ("--hostname", "a\n6.6.6.6 example", "hostname"),
    ("--hostname", "-a", "-a"),
    ("--network", "nosuch", "nosuch"),
    ("--network", "", "network"),
    ("--stop-signal", "NOSUCH", "NOSUCH"),
    ("--stop-signal", "0", "0"),
    ("--stop-signal", "65", "65"),
    ("--stop-timeout", "x", "x"),
    ("--stop-timeout", "-1", "-1"),
    (
        "--stop-timeout",
        "99999999999999999999",
        "99999999999999999999",
    ),
    ("--label", "=value", "="),
    ("--cidfile", "/no/such/directory/file", "/no/such/directory"),
    ("--pidfile", "/no/such/directory/file", "/no/such/directory"),
    ("--runtime", "nosuch", "nosuch"),
    ("--runtime", "../runc", "../runc"),
    ("--runtime", "", "runtime"),
    ("--runtime", "/no/such/runtime", "/no/such/runtime"),
    ("--runtime", "/etc/passwd", "/etc/passwd"),
];

fn bad_values(env: &Env) -> Result<()> {
    for (flag, value, word) in BAD_VALUES {
        let joined = format!("{flag}={value}");
        env.run(&[&joined], &["true"])?
            .refused(125, &[word])
            .with_context(|| format!("{joined:?}"))?;
    }
    let long = "x".repeat(5000);
    for flag in ["--name", "--hostname"] {
        let joined = format!("{flag}={long}");
        let output = env.run(&[&joined], &["true"])?;
        output
            .refused(125, &[])
            .with_context(|| format!("a long {flag}"))?;
    }
    ensure!(env.ids()?.is_empty());
    Ok(())
}

fn options_of_later_versions(env: &Env) -> Result<()> {
    env.run(&["--network", "bridge"], &["true"])?
        .refused(125, &["bridge", "none", "host"])
}

/// A word that the program does not know is an error with a hint where to look, two lines at most.
fn unknown_options(env: &Env) -> Result<()> {
    let rootfs = env.rootfs();
    for words in [
        &["run", "--no-such-flag", "--rootfs", &rootfs, "true"][..],
        &["run", "--rm=sometimes", "--rootfs", &rootfs, "true"],
        &["run", "--name"],
        &["fly"],
        &["ps", "--no-such-flag"],
        &["stop", "-t", "soon", "x"],
        &["logs"],
        &["container", "fly"],
        &[],
    ] {
        let output = env.ctr(words)?;
        ensure!(output.code == 125, "{output}");
        ensure!(output.out().is_empty(), "{output}");
        let err = output.err();
        ensure!(
            err.starts_with("Error: ") && err.lines().count() <= 2,
            "{output}"
        );
    }
    Ok(())
}

fn images_do_not_exist_yet(env: &Env) -> Result<()> {
    for words in [
        &["run", "alpine"][..],
        &["run", "--rm", "alpine", "echo", "hello"],
        &["create", "alpine"],
        &[
            "run",
            "-d",
            "--name",
            "n",
            "docker.example/x:latest",
            "true",
        ],
    ] {
        env.ctr(words)?
            .refused(125, &["image", "--rootfs"])
            .with_context(|| format!("{words:?}"))?;
    }
    Ok(())
}

fn ordinary_users_are_told(env: &Env) -> Result<()> {
    // A copy, because the program may lie where others have no way to.
    let copy = env.path("ctr");
    tree::copy_program(env.program(), &copy)?;
    let home = env.path("home");
    tree::directory(&home, 0o777)?;
    let rootfs = env.rootfs();
    for words in [
        &["run", "--rm", "--rootfs", &rootfs, "true"][..],
        &["ps", "-a"],
        &["create", "--rootfs", &rootfs, "true"],
    ] {
        let call = Call::new("setpriv")
            .args([
                "--reuid",
                "65534",
                "--regid",
                "65534",
                "--clear-groups",
                "--",
            ])
            .args([copy.as_os_str()])
            .args(words)
            .env("HOME", &home.to_string_lossy());
        let output = env.finish(call)?;
        output
            .refused(125, &["root"])
            .with_context(|| format!("{words:?}"))?;
        ensure!(output.err().lines().count() == 1, "{output}");
    }
    let left = std::fs::read_dir(&home).context("list the home")?.count();
    ensure!(left == 0, "{left} entries were left in the home");
    Ok(())
}
