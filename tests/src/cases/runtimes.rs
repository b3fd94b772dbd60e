//! Runtimes chosen by path, runtimes that go away, runtimes that misbehave.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::harness::base::find;
use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::tree::{copy_program, mode, write, write_program};

cases! {
    Full by_path_and_remembered,
    Full gone_after_create,
    Full misbehaving_runtimes,
    Full writable_by_others,
    Full configured_names,
    Full kept_when_the_name_means_another,
    Full told_by_info,
    Full of_its_own_command_line,
}

fn by_path_and_remembered(env: &Env) -> Result<()> {
    let runc = find("runc")?.to_string_lossy().into_owned();
    env.run(&["--runtime", &runc], &["echo", "x"])?
        .prints("x\n")?;
    env.create("r", &["--runtime", &runc], &["echo", "y"])?;
    env.ctr(&["start", "r"])?.prints("r\n")?;
    env.ctr(&["wait", "r"])?.prints("0\n")?;
    env.ctr(&["logs", "r"])?.prints("y\n")?;
    let runtime = env.inspect("r")?["OCIRuntime"].clone();
    ensure!(
        runtime.as_str().is_some_and(|name| name.contains("runc")),
        "{runtime}"
    );
    env.remove("r")
}

/// A container of a runtime that is gone can still be listed, looked at and removed.
fn gone_after_create(env: &Env) -> Result<()> {
    let copy = env.path("my-runc");
    copy_program(&find("runc")?, &copy)?;
    let path = copy.to_string_lossy().into_owned();
    let id = env.create("g", &["--runtime", &path], &["true"])?;
    fs::remove_file(&copy).context("remove the copy")?;
    ensure!(env.ids()? == [id.as_str()]);
    ensure!(env.inspect("g")?["Id"] == id.as_str());
    env.ctr(&["start", "g"])?.refused(125, &[&path])?;
    ensure!(env.status("g")? == "created");
    env.ctr(&["rm", "g"])?.prints("g\n")
}

fn fake(env: &Env, name: &str, create: &str) -> Result<PathBuf> {
    let program = env.path(name);
    let text = format!(
        "#!/bin/sh\nfor word; do case $word in create) {create};; state) exit 1;; esac; done\nexit 0\n"
    );
    write_program(&program, &text)?;
    Ok(program)
}

fn misbehaving_runtimes(env: &Env) -> Result<()> {
    for (name, create) in [
        ("fails", "echo 'no luck today' >&2; exit 1"),
        ("lies", "exit 0"),
        ("dies", "kill -9 $$"),
        ("shouts", "head -c 1000000 /dev/zero >&2; exit 1"),
    ] {
        let program = fake(env, name, create)?;
        let output = env.run(&["--runtime", &program.to_string_lossy()], &["true"])?;
        ensure!(matches!(output.code, 125..=127), "{name}: {output}");
        output.one_error(&[]).with_context(|| name.to_owned())?;
    }
    Ok(())
}

fn writable_by_others(env: &Env) -> Result<()> {
    let program = fake(env, "open", "exit 1")?;
    mode(&program, 0o777)?;
    let path = program.to_string_lossy().into_owned();
    env.run(&["--runtime", &path], &["true"])?
        .refused(125, &[&path])
}

fn copy_of_runc(env: &Env, name: &str) -> Result<String> {
    let copy = env.path(name);
    copy_program(&find("runc")?, &copy)?;
    Ok(copy.to_string_lossy().into_owned())
}

/// A name means the first of its programs that exists; a bad one is refused and not passed over.
fn configured_names(env: &Env) -> Result<()> {
    let good = copy_of_runc(env, "runc-good")?;
    let none = env.path("none").to_string_lossy().into_owned();
    let text = format!("default_runtime = \"mine\"\n[runtimes]\nmine = [\"{none}\", \"{good}\"]\n");
    let [flag, file] = env.configured(&text)?;
    let before = [flag.as_str(), file.as_str(), "--runtime", "mine"];
    env.run(&before, &["echo", "x"])?.prints("x\n")?;
    let open = fake(env, "open", "exit 1")?;
    mode(&open, 0o777)?;
    let open = open.to_string_lossy().into_owned();
    env.configured(&format!("[runtimes]\nmine = [\"{open}\", \"{good}\"]\n"))?;
    env.run(&before, &["true"])?.refused(125, &[&open])?;
    env.configured(&format!("[runtimes]\nmine = \"{none}\"\n"))?;
    env.run(&before, &["true"])?
        .refused(125, &["mine", &none])?;
    for (text, part) in [
        ("nonsense = 1\n", "nonsense"),
        ("[runtimes]\nmine = \"bin/x\"\n", "absolute"),
        ("[runtimes]\nmine = []\n", "empty"),
        ("[runtimes]\n\"../x\" = \"/bin/sh\"\n", "../x"),
        ("[runtimes]\nbuiltin = \"/bin/sh\"\n", "builtin"),
    ] {
        env.configured(text)?;
        env.run(&before, &["true"])?.refused(125, &[&file, part])?;
    }
    Ok(())
}

/// A container stays with the program that its name meant when it was created.
fn kept_when_the_name_means_another(env: &Env) -> Result<()> {
    let first = copy_of_runc(env, "runc-first")?;
    let [flag, file] = env.configured(&format!("[runtimes]\nmine = \"{first}\"\n"))?;
    let before = [flag.as_str(), file.as_str(), "--runtime", "mine"];
    env.create("k", &before, &["echo", "kept"])?;
    let bad = fake(env, "other", "echo wrong runtime >&2; exit 1")?;
    env.configured(&format!("[runtimes]\nmine = \"{}\"\n", bad.display()))?;
    let config = [flag.as_str(), file.as_str()];
    let ctr = |words: &[&str]| env.ctr(&[&config, words].concat());
    ctr(&["start", "k"])?.prints("k\n")?;
    ctr(&["wait", "k"])?.prints("0\n")?;
    ctr(&["logs", "k"])?.prints("kept\n")?;
    // Gone, it still lets the container be listed, looked at and removed.
    fs::remove_file(&first).context("remove the copy")?;
    ensure!(env.inspect("k")?["HostConfig"]["Runtime"] == first.as_str());
    ctr(&["start", "k"])?.refused(125, &[&first])?;
    ensure!(env.ids()?.len() == 1);
    ctr(&["rm", "k"])?.prints("k\n")
}

/// Configured, built-in and installed runtimes, with what they can do; one that cannot be asked has its reason.
fn told_by_info(env: &Env) -> Result<()> {
    let text = env.path("text").to_string_lossy().into_owned();
    write(Path::new(&text), "text")?;
    let good = copy_of_runc(env, "runc-good")?;
    let config = format!("[runtimes]\nbad = \"{text}\"\nmine = \"{good}\"\n");
    let [flag, file] = env.configured(&config)?;
    let text = env.ctr(&[&flag, &file, "info", "--format", "json"])?.ok()?;
    let info: serde_json::Value = serde_json::from_str(&text).context("parse info")?;
    let runtimes = info["runtimes"].as_array().context("no runtimes")?;
    let named = |name: &str| {
        let found = runtimes.iter().find(|runtime| runtime["name"] == name);
        found.with_context(|| format!("no {name} in {runtimes:?}"))
    };
    let (builtin, mine, bad) = (named("builtin")?, named("mine")?, named("bad")?);
    ensure!(builtin["features"]["seccomp"] == false, "{builtin}");
    ensure!(
        builtin["features_document"]["ociVersionMax"].is_string(),
        "{builtin}"
    );
    ensure!(
        mine["path"] == good.as_str() && mine["version"].is_string(),
        "{mine}"
    );
    // The version that is judged is that of the program, under whatever name.
    ensure!(mine["warning"] == named("runc")?["warning"], "{mine}");
    let reason = bad["warning"].as_str().unwrap_or_default();
    ensure!(
        reason.contains("not executable") && bad["version"].is_null(),
        "{bad}"
    );
    Ok(())
}

/// The built-in runtime through its own command line, driven as any other program.
fn of_its_own_command_line(env: &Env) -> Result<()> {
    let program = env.path("wrapped");
    let text = format!(
        "#!/bin/sh\nexec {} oci-runtime \"$@\"\n",
        env.program().display()
    );
    write_program(&program, &text)?;
    let path = program.to_string_lossy().into_owned();
    env.run(&["--runtime", &path], &["sh", "-c", "echo x; exit 5"])?
        .prints_with(5, "x\n")?;
    env.run(&["--runtime", &path], &["nonsense"])?
        .refused(127, &["nonsense"])
}
