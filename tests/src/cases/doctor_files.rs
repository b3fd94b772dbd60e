//! `doctor`: files and directories of containers that are missing, or that nobody knows.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::tree::{directory, remove, write};

cases! {
    Full its_own_directory_is_gone,
    Full its_root_is_gone,
    Full its_runtime_is_gone,
    Full an_empty_directory_that_nobody_knows,
    Full a_directory_with_files_that_nobody_knows,
    Full a_run_directory_that_nobody_knows,
    Full a_lock_file_that_nobody_knows,
    Full part_of_a_file,
    Full part_of_a_file_of_a_living_writer,
    Full the_end_of_another_run,
    Full a_directory_that_others_may_read,
    Full a_run_directory_that_others_may_change,
    Full a_directory_of_another_user,
    Full what_is_not_the_engines,
}

/// Of no container.
const STRANGER: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

fn its_own_directory_is_gone(env: &Env) -> Result<()> {
    let id = env.create("bare", &[], &["true"])?;
    remove(&env.own_dir(&id))?;
    env.check_found(&["directory-missing bare"])?;
    env.check_repaired()?;
    env.ctr(&["start", "-a", "bare"])?.prints("")?;
    env.remove("bare")
}

fn its_root_is_gone(env: &Env) -> Result<()> {
    let root = env.own_root(crate::harness::tree::MountPoints::Present)?;
    let text = root.display().to_string();
    env.ctr(&["create", "--name", "bare", "--rootfs", &text, "true"])?
        .id()?;
    env.check_well()?;
    let aside = root.with_extension("aside");
    fs::rename(&root, &aside)?;
    env.check_found(&["rootfs-missing bare"])?;
    env.check_not_repaired(&["rootfs-missing bare"])?;
    fs::rename(&aside, &root)?;
    env.check_well()?;
    env.remove("bare")
}

fn its_runtime_is_gone(env: &Env) -> Result<()> {
    let program = env.path("runtime");
    crate::harness::tree::write_program(&program, "#!/bin/sh\nexit 1\n")?;
    let flags = ["--runtime", &env.name("runtime")];
    env.create("bare", &flags, &["true"])?;
    env.check_well()?;
    fs::remove_file(&program)?;
    env.check_found(&["runtime-missing bare"])?;
    env.check_not_repaired(&["runtime-missing bare"])?;
    env.remove("bare")?;
    env.check_well()
}

/// The engine has been used once.
fn used(env: &Env) -> Result<()> {
    env.create("first", &[], &["true"])?;
    env.remove("first")
}

fn an_empty_directory_that_nobody_knows(env: &Env) -> Result<()> {
    used(env)?;
    directory(&env.own_dir(STRANGER).join("upper"), 0o700)?;
    let found = format!("directory-without-record root/containers/{STRANGER}");
    env.check_found(&[&found])?;
    env.check_repaired()?;
    ensure!(!env.own_dir(STRANGER).exists());
    Ok(())
}

fn a_directory_with_files_that_nobody_knows(env: &Env) -> Result<()> {
    used(env)?;
    directory(&env.own_dir(STRANGER).join("upper"), 0o700)?;
    write(&env.own_dir(STRANGER).join("upper/thesis"), "years of work")?;
    let found = format!("directory-without-record root/containers/{STRANGER}");
    env.check_found(&[&found])?;
    env.check_not_repaired(&[&found])?;
    remove(&env.own_dir(STRANGER))?;
    env.check_well()
}

fn a_run_directory_that_nobody_knows(env: &Env) -> Result<()> {
    used(env)?;
    directory(&env.runroot().join("run"), 0o700)?;
    directory(&env.run_dir(STRANGER), 0o700)?;
    write(&env.run_dir(STRANGER).join("pid"), "7")?;
    env.check_found(&[&format!(
        "run-directory-without-record runroot/run/{STRANGER}"
    )])?;
    env.check_repaired()?;
    ensure!(!env.run_dir(STRANGER).exists());
    Ok(())
}

fn a_lock_file_that_nobody_knows(env: &Env) -> Result<()> {
    used(env)?;
    write(&env.runroot().join("locks").join(STRANGER), "")?;
    env.check_found(&[&format!("lock-without-record runroot/locks/{STRANGER}")])?;
    env.check_repaired()
}

fn part_of_a_file(env: &Env) -> Result<()> {
    let id = env.running("half")?;
    for directory in [
        env.run_dir(&id),
        env.own_dir(&id),
        env.run_dir(&id).join("bundle"),
    ] {
        let path = directory.join(".exit.1.4194304.0.tmp");
        write(&path, "{")?;
        env.check_found(&["temporary-file-left half"])?;
        env.check_repaired()?;
        ensure!(!path.exists());
    }
    env.remove("half")
}

fn part_of_a_file_of_a_living_writer(env: &Env) -> Result<()> {
    let id = env.running("half")?;
    let path = env
        .run_dir(&id)
        .join(format!(".exit.1.{}.0.tmp", std::process::id()));
    write(&path, "{")?;
    env.check_well()?;
    env.remove("half")
}

fn the_end_of_another_run(env: &Env) -> Result<()> {
    let id = env.running("second")?;
    let path = env.run_dir(&id).join("exit.77");
    write(&path, "{}")?;
    env.check_found(&["exit-record-stale second"])?;
    env.check_repaired()?;
    ensure!(!path.exists());
    env.remove("second")
}

fn a_directory_that_others_may_read(env: &Env) -> Result<()> {
    let id = env.create("open", &[], &["true"])?;
    check_mode(env, &env.own_dir(&id), 0o755)?;
    env.remove("open")
}

fn a_run_directory_that_others_may_change(env: &Env) -> Result<()> {
    let id = env.running("open")?;
    check_mode(env, &env.run_dir(&id), 0o777)?;
    env.remove("open")
}

fn check_mode(env: &Env, path: &Path, bits: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    crate::harness::tree::mode(path, bits)?;
    env.check_found(&["open-to-others open"])?;
    env.check_repaired()?;
    let mode = fs::metadata(path).context("its mode")?.permissions().mode();
    ensure!(mode & 0o777 == 0o700, "{mode:o}");
    Ok(())
}

fn a_directory_of_another_user(env: &Env) -> Result<()> {
    let id = env.create("given", &[], &["true"])?;
    std::os::unix::fs::chown(env.own_dir(&id), Some(65534), None)?;
    env.check_found(&["foreign-owner given"])?;
    env.check_not_repaired(&["foreign-owner given"])?;
    std::os::unix::fs::chown(env.own_dir(&id), Some(0), None)?;
    env.check_well()?;
    env.remove("given")
}

/// Not wrong, but worth a note.
fn what_is_not_the_engines(env: &Env) -> Result<()> {
    used(env)?;
    let path = env.root().join("containers/lost+found");
    directory(&path, 0o700)?;
    let report = env.doctor(&[])?;
    env.check_problems(&report, &[])?;
    let findings = report["findings"].as_array().context("findings")?;
    let noted = findings.iter().any(|finding| {
        finding["kind"] == "unknown-entry"
            && finding["subject"]["path"] == path.display().to_string()
    });
    ensure!(noted, "{report:#}");
    remove(&path)
}
