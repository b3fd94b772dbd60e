//! Which containers verbs work on: `--all`, `--latest`, `--filter`, `--cidfile`, several names, and what is printed of them.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::output::lines;

cases! {
    Full latest_is_the_one_created_last,
    Full all_of_what_a_verb_is_for,
    Full filters_of_verbs,
    Full ids_from_files,
    Full one_container_by_several_names,
    Full names_that_may_be_missing,
    Full ways_that_exclude_each_other,
}

fn latest_is_the_one_created_last(env: &Env) -> Result<()> {
    for verb in ["start", "stop", "kill", "rm", "wait", "inspect"] {
        env.ctr(&[verb, "-l"])?
            .refused(125, &["--latest", "no containers"])?;
    }
    env.create("older", &[], &["true"])?;
    let id = env.create("newer", &["--stop-timeout", "0"], &["sleep", "1000"])?;
    let line = format!("{id}\n");
    env.ctr(&["start", "--latest"])?.prints(&line)?;
    env.ctr(&["kill", "-l", "-s", "CONT"])?.prints(&line)?;
    env.ctr(&["stop", "-l"])?.prints(&line)?;
    env.ctr(&["wait", "-l"])?.prints("137\n")?;
    env.ctr(&["container", "cleanup", "-l"])?.prints(&line)?;
    env.ctr(&["rm", "-l"])?.prints(&line)?;
    ensure!(env.status("older")? == "created");
    env.remove("older")
}

fn all_of_what_a_verb_is_for(env: &Env) -> Result<()> {
    for verb in ["start", "stop", "kill", "rm"] {
        env.ctr(&[verb, "--all"])?.prints("")?;
    }
    let runs = env.detached("runs", &[], "sleep 1000")?;
    let first = env.create("first", &["--stop-timeout", "0"], &["sleep", "1000"])?;
    let second = env.create("second", &["--stop-timeout", "0"], &["sleep", "1000"])?;
    // Only those that it started.
    env.ctr(&["start", "--all"])?
        .prints(&lines([&first, &second]))?;
    env.ctr(&["start", "--all"])?.prints("")?;
    env.ctr(&["kill", "-a", "-s", "CONT"])?
        .prints(&lines([&runs, &first, &second]))?;
    env.ctr(&["stop", "-a"])?
        .prints(&lines([&runs, &first, &second]))?;
    env.ctr(&["stop", "-a"])?.prints("")?;
    env.ctr(&["container", "cleanup", "--all"])?
        .prints(&lines([&runs, &first, &second]))?;
    // The newest first: it may need an older one.
    env.ctr(&["rm", "-a", "-v"])?
        .prints(&lines([&second, &first, &runs]))
}

fn filters_of_verbs(env: &Env) -> Result<()> {
    let one = env.create(
        "one",
        &["--label", "x", "--stop-timeout", "0"],
        &["sleep", "1000"],
    )?;
    let two = env.create(
        "two",
        &["--label", "x=y", "--stop-timeout", "0"],
        &["sleep", "1000"],
    )?;
    env.create("three", &[], &["true"])?;
    env.ctr(&["start", "-f", "label=x=y"])?
        .prints(&lines([&two]))?;
    // Of those that the verb is for.
    env.ctr(&["start", "--filter", "label=x"])?
        .prints(&lines([&one]))?;
    env.ctr(&["stop", "-a", "--filter", "name=t"])?
        .prints(&lines([&two]))?;
    env.ctr(&["stop", "-f", "label=x", "-f", "status=exited"])?
        .prints("")?;
    env.ctr(&["rm", "--filter", "label=x", "--filter", "status=exited"])?
        .prints(&lines([&two]))?;
    env.ctr(&["rm", "-f", "--filter", "label=x"])?
        .prints(&lines([&one]))?;
    for verb in ["start", "stop", "rm"] {
        env.ctr(&[verb, "--filter", "x"])?
            .refused(125, &["filter", "KEY=VALUE"])?;
        env.ctr(&[verb, "--filter", "a=b"])?
            .refused(125, &["filter", "a=b", "label"])?;
        env.ctr(&[verb, "--filter", "since=nosuch"])?
            .one_error(&["nosuch"])?;
    }
    ensure!(env.status("three")? == "created");
    env.remove("three")
}

fn cid_file(env: &Env, name: &str) -> Result<(String, PathBuf)> {
    let path = env.path(&format!("{name}.cid"));
    let text = path.to_str().context("a path that is no text")?.to_owned();
    Ok((text, path))
}

fn ids_from_files(env: &Env) -> Result<()> {
    let (a_file, a_path) = cid_file(env, "a")?;
    let (b_file, _) = cid_file(env, "b")?;
    let a = env.detached("a", &["--cidfile", &a_file], "sleep 1000")?;
    let b = env.detached("b", &["--cidfile", &b_file], "sleep 1000")?;
    let both = ["--cidfile", a_file.as_str(), "--cidfile", &b_file];
    let with = |verb: &[&str]| {
        let mut words = verb.to_vec();
        words.extend(both);
        env.ctr(&words)
    };
    with(&["kill", "-s", "CONT"])?.prints(&lines([&a, &b]))?;
    with(&["stop"])?.prints(&lines([&a, &b]))?;
    // Beside names, and once.
    with(&["rm", "b"])?.prints(&lines(["b", a.as_str()]))?;
    ensure!(!a_path.exists(), "the file goes with its container");

    env.create("c", &[], &["true"])?;
    for verb in ["stop", "kill", "rm"] {
        let code = if verb == "rm" { 1 } else { 125 };
        env.ctr(&[verb, "--cidfile", &a_file, "c"])?
            .refused(code, &["--cidfile", "a.cid"])?;
        env.ctr(&[verb, "--cidfile", "/proc/sys/kernel/ostype", "c"])?
            .refused(125, &["ostype", "id"])?;
        env.ctr(&[verb, "--cidfile", "/", "c"])?
            .refused(125, &["--cidfile"])?;
    }
    env.ctr(&["stop", "-i", "--cidfile", &a_file, "c"])?
        .prints("c\n")?;
    env.ctr(&["rm", "-i", "--cidfile", &a_file, "c"])?
        .prints("c\n")
}

fn one_container_by_several_names(env: &Env) -> Result<()> {
    let id = env.create("twin", &["--stop-timeout", "0"], &["sleep", "1000"])?;
    let names = ["twin", "/twin", id.as_str(), &id[..12], "twin"];
    let with = |verb: &[&str]| {
        let mut words = verb.to_vec();
        words.extend(names);
        env.ctr(&words)
    };
    // The first word for it is what is printed.
    with(&["start"])?.prints("twin\n")?;
    with(&["kill", "-s", "KILL"])?.prints("twin\n")?;
    with(&["stop"])?.prints("twin\n")?;
    // A line for each name, so that the lines can be told apart.
    with(&["wait"])?.prints(&lines(["137"; 5]))?;
    with(&["rm"])?.prints("twin\n")?;
    let id = env.create("twin", &[], &["true"])?;
    env.ctr(&["rm", "/twin", &id])?.prints("/twin\n")
}

fn names_that_may_be_missing(env: &Env) -> Result<()> {
    env.create("here", &[], &["true"])?;
    env.ctr(&["stop", "-i", "nosuch", "here"])?
        .prints("here\n")?;
    env.ctr(&["wait", "--ignore", "nosuch"])?.prints("-1\n")?;
    env.ctr(&["start", "here"])?.prints("here\n")?;
    env.ctr(&["wait", "--ignore", "nosuch", "here", "nosuch"])?
        .prints("-1\n0\n-1\n")?;
    // What scripts for podman say of the end; what is no status is not taken for it.
    env.ctr(&["wait", "--condition", "exited,stopped", "-i", "1s", "here"])?
        .prints("0\n")?;
    env.ctr(&["wait", "--condition", "flying", "here"])?
        .refused(125, &["--condition", "flying", "exited"])?;
    env.ctr(&["wait", "nosuch", "here"])?
        .refused(125, &["nosuch"])?;
    env.wait_for_cleanup("here")?;
    env.ctr(&["rm", "--ignore", "nosuch", "here"])?
        .prints("here\n")
}

fn ways_that_exclude_each_other(env: &Env) -> Result<()> {
    env.create("x", &[], &["true"])?;
    for (verb, flags, words) in [
        ("start", &["--all", "x"][..], ["--all", "names"]),
        ("start", &["-l", "x"], ["--latest", "names"]),
        ("start", &["--filter", "name=x", "x"], ["--filter", "names"]),
        ("start", &["--all", "-l"], ["--all", "--latest"]),
        ("start", &["-a", "--all"], ["--attach", "one"]),
        ("start", &["-i", "--all"], ["--interactive", "one"]),
        ("start", &["--sig-proxy", "x"], ["--sig-proxy", "--attach"]),
        ("stop", &["-a", "x"], ["--all", "names"]),
        ("stop", &["-a", "--cidfile", "f"], ["--all", "--cidfile"]),
        (
            "stop",
            &["-l", "--filter", "name=x"],
            ["--filter", "--latest"],
        ),
        ("kill", &["-a", "x"], ["--all", "names"]),
        ("kill", &["-l", "--cidfile", "f"], ["--latest", "--cidfile"]),
        ("kill", &["-a", "-l"], ["--all", "--latest"]),
        ("rm", &["-a", "x"], ["--all", "names"]),
        ("rm", &["-l", "-a"], ["--all", "--latest"]),
        (
            "rm",
            &["-f", "--filter", "name=x", "x"],
            ["--filter", "names"],
        ),
        ("wait", &["-l", "x"], ["--latest", "names"]),
    ] {
        let mut line = vec![verb];
        line.extend(flags);
        env.ctr(&line)?.refused(125, &words)?;
    }
    ensure!(env.status("x")? == "created");
    env.remove("x")
}
