//! What a program in a container finds: variables, working directory, host name, generated files.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::{Env, refs};

cases! {
    Core variables,
    Full variables_can_be_set,
    Core working_directory,
    Core host_name,
    Full entrypoint_and_labels,
    Core generated_files,
    Full generated_files_of_the_host_network,
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn variables(env: &Env) -> Result<()> {
    let words = env.run_words(&["--hostname", "box"], &["env"]);
    let call = env.call(&refs(&words)).env("SECRET", "of the host");
    let out = env.finish(call)?.ok()?;
    let lines: Vec<&str> = out.lines().collect();
    for expected in [PATH, "HOME=/root", "HOSTNAME=box"] {
        ensure!(lines.contains(&expected), "no {expected} in {lines:?}");
    }
    let container = lines
        .iter()
        .find_map(|line| line.strip_prefix("container="));
    ensure!(
        container.is_some_and(|value| !value.is_empty()),
        "{lines:?}"
    );
    ensure!(
        !out.contains("SECRET"),
        "a variable of the host is inside: {lines:?}"
    );
    let mut names: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split('=').next())
        .collect();
    names.sort_unstable();
    let known = ["HOME", "HOSTNAME", "PATH", "TERM", "container"];
    ensure!(names.iter().all(|name| known.contains(name)), "{names:?}");
    Ok(())
}

fn variables_can_be_set(env: &Env) -> Result<()> {
    let script = "echo \"$A|$B|$PATH|$container\"";
    let flags = [
        "-e",
        "A=b=c",
        "-e",
        "B=",
        "-e",
        "PATH=/bin",
        "-e",
        "container=mine",
        "-e",
        "A=last d",
    ];
    env.run(&flags, &["sh", "-c", script])?
        .prints("last d||/bin|mine\n")?;
    // A search path of one's own is the one that the command is looked up in.
    env.run(&["-e", "PATH=/nowhere"], &["echo", "x"])?
        .refused(127, &["echo"])
}

fn working_directory(env: &Env) -> Result<()> {
    env.run(&[], &["pwd"])?.prints("/\n")?;
    env.run(&["-w", "/home/alice"], &["pwd"])?
        .prints("/home/alice\n")
}

fn host_name(env: &Env) -> Result<()> {
    env.run(&["--hostname", "box.example"], &["hostname"])?
        .prints("box.example\n")?;
    let file = env.name("cid");
    let out = env.run(&["--cidfile", &file], &["hostname"])?.ok()?;
    ensure!(out.trim().len() == 12, "the name is {out:?}");
    let words = ["-d", "--name", "h", "--cidfile"];
    let second = env.name("cid-2");
    let rootfs = env.rootfs();
    let mut call = vec!["run"];
    call.extend(words);
    call.extend([second.as_str(), "--rootfs", &rootfs, "hostname"]);
    let id = env.ctr(&call)?.id()?;
    ensure!(
        fs::read_to_string(&second)
            .context("read the cidfile")?
            .trim()
            == id
    );
    env.ctr(&["wait", "h"])?.prints("0\n")?;
    env.ctr(&["logs", "h"])?
        .prints(&format!("{}\n", &id[..12]))?;
    env.remove("h")
}

fn entrypoint_and_labels(env: &Env) -> Result<()> {
    env.run(&["--entrypoint", "echo"], &["a b", "c"])?
        .prints("a b c\n")?;
    env.create("l", &["--label", "k=v=w", "--label", "empty="], &["true"])?;
    let labels = &env.inspect("l")?["Config"]["Labels"];
    ensure!(labels["k"] == "v=w" && labels["empty"] == "", "{labels}");
    env.remove("l")
}

fn generated_files(env: &Env) -> Result<()> {
    let flags = ["--hostname", "box", "--name", "generated"];
    let script = "cat /etc/hostname; echo --; cat /etc/hosts; echo --; cat /etc/resolv.conf; echo --; cat /run/.containerenv";
    let out = env.run(&flags, &["sh", "-c", script])?.ok()?;
    let parts: Vec<&str> = out.split("--\n").collect();
    ensure!(parts.len() == 4, "{out:?}");
    ensure!(parts[0] == "box\n", "/etc/hostname is {:?}", parts[0]);
    let hosts: Vec<Vec<&str>> = parts[1]
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let has = |address: &str, name: &str| {
        hosts
            .iter()
            .any(|words| words.first() == Some(&address) && words.contains(&name))
    };
    ensure!(
        has("127.0.0.1", "localhost"),
        "/etc/hosts is {:?}",
        parts[1]
    );
    ensure!(
        hosts.iter().any(|words| words.contains(&"box")),
        "/etc/hosts is {:?}",
        parts[1]
    );
    ensure!(parts[3].contains("name=\"generated\""), "{:?}", parts[3]);
    ensure!(parts[3].contains("engine=\"ctr"), "{:?}", parts[3]);
    // They are the container's own: the root directory below has none of them.
    for name in [
        "etc/hosts",
        "etc/hostname",
        "etc/resolv.conf",
        "run/.containerenv",
    ] {
        ensure!(!env.shared_root().join(name).exists(), "{name} was left");
    }
    Ok(())
}

fn generated_files_of_the_host_network(env: &Env) -> Result<()> {
    let Ok(expected) = fs::read_to_string("/etc/resolv.conf") else {
        return Ok(());
    };
    let out = env
        .run(&["--network", "host"], &["cat", "/etc/resolv.conf"])?
        .ok()?;
    ensure!(out == expected, "{out:?} instead of {expected:?}");
    Ok(())
}
