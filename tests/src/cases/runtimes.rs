//! Runtimes chosen by path, runtimes that go away, runtimes that misbehave.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::harness::base::find;
use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::tree::{copy_program, mode, write_program};

cases! {
    Full by_path_and_remembered,
    Full gone_after_create,
    Full misbehaving_runtimes,
    Full writable_by_others,
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
