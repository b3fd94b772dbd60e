//! Names and ids: who has them, and what is said when they are taken, ambiguous or unknown.

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;

cases! {
    Full name_in_use_names_the_holder,
    Full ambiguous_prefix,
    Full unknown_names,
    Full one_unknown_name_stops_all,
    Full generated_names,
    Full a_name_is_not_an_id,
}

fn name_in_use_names_the_holder(env: &Env) -> Result<()> {
    let id = env.create("taken", &[], &["true"])?;
    let rootfs = env.rootfs();
    for verb in [&["create"][..], &["run"], &["run", "-d"], &["run", "--rm"]] {
        let mut words = verb.to_vec();
        words.extend(["--name", "taken", "--rootfs", &rootfs, "true"]);
        env.ctr(&words)?.refused(125, &["taken", &id[..12]])?;
    }
    ensure!(env.ids()? == [id]);
    env.remove("taken")?;
    env.create("taken", &[], &["true"])?;
    env.remove("taken")
}

fn ambiguous_prefix(env: &Env) -> Result<()> {
    // Seventeen ids cannot all begin with different digits.
    let mut ids: Vec<String> = Vec::new();
    let shared = loop {
        let id = env.create(&format!("n{}", ids.len()), &[], &["true"])?;
        let digit = id[..1].to_owned();
        ids.push(id);
        if ids.iter().filter(|id| id.starts_with(&digit)).count() == 2 {
            break digit;
        }
    };
    let candidate = ids[ids.len() - 1].clone();
    for verb in ["start", "stop", "kill", "rm", "inspect", "logs", "wait"] {
        let output = env.ctr(&[verb, &shared])?;
        ensure!(output.code == 125, "{output}");
        output.one_error(&[&shared, &candidate[..12]])?;
    }
    // A container of that very name is meant before any prefix.
    let exact = env.create(&shared, &[], &["true"])?;
    ensure!(env.inspect(&shared)?["Id"] == exact.as_str());
    ids.push(exact);
    let mut words = vec!["rm"];
    words.extend(ids.iter().map(String::as_str));
    env.ctr(&words)?.ok()?;
    Ok(())
}

fn unknown_names(env: &Env) -> Result<()> {
    for verb in ["start", "stop", "kill", "logs", "wait"] {
        env.ctr(&[verb, "nosuch"])?
            .refused(125, &["nosuch"])
            .with_context(|| format!("verb {verb}"))?;
    }
    env.ctr(&["rm", "nosuch"])?.refused(1, &["nosuch"])?;
    for verb in ["start", "stop", "kill", "rm", "logs", "wait", "inspect"] {
        let output = env.ctr(&[verb])?;
        ensure!(output.code == 125 && !output.err().is_empty(), "{output}");
    }
    Ok(())
}

fn one_unknown_name_stops_all(env: &Env) -> Result<()> {
    env.create("good", &[], &["true"])?;
    env.ctr(&["start", "good", "nosuch"])?
        .refused(125, &["nosuch"])?;
    ensure!(env.status("good")? == "created");
    let output = env.ctr(&["rm", "good", "nosuch"])?;
    ensure!(output.code == 1, "{output}");
    ensure!(env.status("good")? == "created", "rm removed some of them");
    env.ctr(&["rm", "-f", "good", "nosuch"])?.prints("good\n")
}

fn generated_names(env: &Env) -> Result<()> {
    let rootfs = env.rootfs();
    let id = env.ctr(&["create", "--rootfs", &rootfs, "true"])?.id()?;
    let name = env.inspect(&id)?["Name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let (left, right) = name.split_once('_').context("two words")?;
    let word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
    ensure!(word(left) && word(right), "{name:?}");
    env.ctr(&["rm", &name])?.prints(&format!("{name}\n"))
}

fn a_name_is_not_an_id(env: &Env) -> Result<()> {
    let id = env.create("first", &[], &["true"])?;
    let rootfs = env.rootfs();
    env.ctr(&["create", "--name", &id, "--rootfs", &rootfs, "true"])?
        .refused(125, &[])?;
    // The beginning of an id is a name like any other.
    let second = env.create(&id[..12], &[], &["true"])?;
    ensure!(env.inspect(&id[..12])?["Id"] == second.as_str());
    ensure!(env.inspect(&id)?["Id"] == id.as_str());
    env.ctr(&["rm", &id, &second])?.ok()?;
    Ok(())
}
