//! Where a command of `exec` is: its descriptors, its directory, its control groups.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};

use super::inherit::{Canary, SECRET};
use crate::harness::case::cases;
use crate::harness::env::{Env, refs};
use crate::harness::hosted::{container, ended, running, session, words};
use crate::harness::process::directory;
use crate::harness::tree::write;

cases! {
    Core nothing_of_the_caller_is_inside,
    Core preserved_descriptors,
    Core working_directories,
    Core control_groups,
}

/// What `ls -l` says of descriptors: number and target.
fn listed(text: &str) -> BTreeMap<i32, String> {
    let links = text.lines().filter_map(|line| line.split_once(" -> "));
    let number = |words: &str| words.rsplit(' ').next().and_then(|last| last.parse().ok());
    links
        .filter_map(|(words, target)| Some((number(words)?, target.to_owned())))
        .collect()
}

const DESCRIPTORS: &str = "ls -l /proc/$$/fd; true";

fn nothing_of_the_caller_is_inside(env: &Env) -> Result<()> {
    let canary = Canary::make(env)?;
    let before = canary.words(":", "777");
    let before = refs(&before);
    container(env, "c", &[])?;
    let script = format!("{DESCRIPTORS}; cat /proc/$$/environ; pwd; umask");
    for flags in [
        &[][..],
        &["--stdio=stream"],
        &["-i"],
        &["-t"],
        &["--privileged"],
    ] {
        let call = env.call_through(&before, &words(flags, "c", &script));
        let out = env.finish(call)?.ok()?;
        let numbers: Vec<i32> = listed(&out).into_keys().collect();
        ensure!(numbers == [0, 1, 2], "{flags:?}: {out}");
        ensure!(
            !out.contains(SECRET) && !out.contains("canary"),
            "{flags:?}: {out}"
        );
        ensure!(out.lines().any(|line| line == "0022"), "{flags:?}: {out}");
    }
    // Neither has the monitor kept anything, nor a command that goes on.
    let call = env.call_through(&before, &["exec", "-d", "c", "sleep", "1000"]);
    let id = env.finish(call)?.id()?;
    for process in [env.session_process(&id)?, env.monitor("c")?] {
        let wrong = || process.describe();
        canary.is_not_open_in(process.pid).with_context(wrong)?;
    }
    env.remove("c")
}

/// A script that opens files with known content, each under its number, and executes its arguments.
fn opens_files(env: &Env) -> Result<String> {
    let mut parts = Vec::new();
    for number in [3, 4, 5, 9, 12] {
        let name = format!("f{number}");
        write(&env.path(&name), &format!("content {number}\n"))?;
        parts.push(format!("exec {number}<{}", env.name(&name)));
    }
    parts.push("exec \"$@\"".to_owned());
    Ok(parts.join("; "))
}

fn preserved_descriptors(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let opener = opens_files(env)?;
    let before = ["bash", "-c", &opener, "bash"];
    for (flags, numbers) in [
        (&["--preserve-fds", "2"][..], &[3, 4][..]),
        (&["--preserve-fd", "5,9"], &[5, 9]),
        (&["--preserve-fd=12", "--preserve-fd=3"], &[3, 12]),
        (&["--preserve-fds", "1", "--preserve-fd", "3,9"], &[3, 9]),
        (&["--preserve-fds=3", "--stdio=stream", "-i"], &[3, 4, 5]),
        (&["--preserve-fds=2", "-u", "alice"], &[3, 4]),
        (&["--preserve-fds=0"], &[]),
    ] {
        let cats = numbers.iter().map(|number| format!("; cat <&{number}"));
        let script = DESCRIPTORS.to_owned() + &cats.collect::<String>();
        let call = env.call_through(&before, &words(flags, "c", &script));
        let out = env.finish(call)?.ok()?;
        for (number, target) in listed(&out).split_off(&3) {
            let wanted = env.name(&format!("f{number}"));
            let right = numbers.contains(&number) && target == wanted;
            ensure!(
                right || target == "/dev/null",
                "{flags:?}: {number} is {target}"
            );
        }
        for number in numbers {
            let content = format!("content {number}");
            ensure!(out.lines().any(|line| line == content), "{flags:?}: {out}");
        }
    }
    // The same for a session that was made before.
    let id = session(env, &[], "c", "cat <&9; exit 5")?;
    let start = ["container", "exec-start", "--preserve-fd=9", &id];
    env.finish(env.call_through(&before, &start))?
        .prints_with(5, "content 9\n")?;
    env.remove("c")
}

fn working_directories(env: &Env) -> Result<()> {
    container(env, "c", &["-w", "/home/alice"])?;
    let out = |flags: &[&str]| env.ctr(&[&["exec"], flags, &["c", "pwd"]].concat());
    out(&[])?.prints("/home/alice\n")?;
    out(&["-w", "/tmp"])?.prints("/tmp\n")?;
    out(&["-w", "/"])?.prints("/\n")?;
    // Links of the container lead to places in it; those of /proc could lead out of it.
    let links = "ln() { busybox ln \"$@\"; }; mkdir /tmp/real; ln -s /tmp/real /tmp/good; for n in 3 4 5 6 7 8 9 10; do ln -s /proc/self/fd/$n /tmp/fd$n; done; ln -s /proc/1/root /tmp/root; ln -s /proc/1/cwd /tmp/cwd";
    env.ctr(&words(&[], "c", links))?.ok()?;
    out(&["-w", "/tmp/good"])?.ok()?;
    let mut bad: Vec<String> = (3..=10).map(|n| format!("/proc/self/fd/{n}")).collect();
    bad.extend((3..=10).map(|n| format!("/tmp/fd{n}")));
    bad.extend((3..=10).map(|n| format!("/tmp/../proc/self/fd/{n}")));
    for other in [
        "/proc/1/root",
        "/proc/1/cwd",
        "/tmp/root",
        "/tmp/cwd",
        "/nosuch",
        "/etc/passwd",
        "tmp",
        ".",
        "../tmp",
    ] {
        bad.push(other.to_owned());
    }
    for path in &bad {
        out(&["-w", path])?
            .refused(125, &[path])
            .with_context(|| path.clone())?;
    }
    env.ctr(&["exec", "c", "test", "-e", "/nosuch"])?.quiet(1)?;
    env.check_no_sessions("c")?;
    env.remove("c")
}

/// Where a process is, by tree.
pub(super) fn groups_of(pid: i32) -> Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(directory(pid).join("cgroup")).context("read groups")?;
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let places = lines.filter_map(|(_, rest)| rest.split_once(':'));
    Ok(places
        .map(|(tree, path)| (tree.to_owned(), path.to_owned()))
        .collect())
}

/// Limits of the container are those of the command, and a command's processes are found together.
fn control_groups(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let id = running(env, &[], "c", "sleep 1000 & sleep 1000 & wait")?;
    let first = groups_of(env.first_process("c")?.pid)?;
    let (process, groups) = (env.session_process(&id)?, env.session_groups("c")?);
    let found = groups_of(process.pid)?;
    ensure!(first.len() == found.len(), "{first:?} and {found:?}");
    for (tree, path) in &first {
        let below = found.get(tree).and_then(|found| found.strip_prefix(path));
        ensure!(
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with("/exec-")),
            "{tree}: {found:?}"
        );
    }
    ensure!(
        !groups.is_empty()
            && groups
                .iter()
                .all(|path| path.ends_with(format!("exec-{id}"))),
        "{groups:?}"
    );
    env.ctr(&["container", "exec-kill", &id])?.ok()?;
    ended(env, &id, 137)?;
    env.ctr(&["container", "exec-rm", &id])?.ok()?;
    env.check_no_sessions("c")?;
    env.remove("c")
}
