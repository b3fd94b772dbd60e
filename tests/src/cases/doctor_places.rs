//! `doctor`: the engine's directories and its database.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::tree::{directory, mode, write};

cases! {
    Full others_may_look_into_the_root,
    Full others_may_change_the_root,
    Full others_may_change_the_run_root,
    Full others_may_change_the_database,
    Full the_locks_belong_to_another_user,
    Full a_file_instead_of_a_directory,
    Full the_database_is_gone,
    Full the_database_is_garbage,
    Full a_copy_of_the_database,
    Full no_room_left,
    Full something_is_mounted,
    Full something_is_mounted_in_a_run,
    Full nothing_is_made,
}

fn check_opened(env: &Env, name: &str, bits: u32) -> Result<()> {
    env.create("one", &[], &["true"])?;
    let path = env.path(name);
    mode(&path, bits)?;
    let report = env.doctor(&[])?;
    env.check_problems(&report, &[&format!("open-to-others {name}")])?;
    env.check_repaired()?;
    let left = fs::metadata(&path)
        .context("its mode")?
        .permissions()
        .mode();
    ensure!(left.trailing_zeros() >= 6, "{left:o}");
    env.remove("one")
}

fn others_may_look_into_the_root(env: &Env) -> Result<()> {
    check_opened(env, "root", 0o755)
}

fn others_may_change_the_root(env: &Env) -> Result<()> {
    check_opened(env, "root", 0o777)
}

fn others_may_change_the_run_root(env: &Env) -> Result<()> {
    check_opened(env, "runroot", 0o1777)
}

/// Nobody else can open it either, as every other command says.
fn others_may_change_the_database(env: &Env) -> Result<()> {
    check_opened(env, "root/state.db", 0o666)
}

fn the_locks_belong_to_another_user(env: &Env) -> Result<()> {
    env.create("one", &[], &["true"])?;
    let locks = env.runroot().join("locks");
    chown(&locks, Some(65534), None)?;
    env.check_found(&["foreign-owner runroot/locks"])?;
    env.check_not_repaired(&["foreign-owner runroot/locks"])?;
    chown(&locks, Some(0), None)?;
    env.check_well()?;
    env.remove("one")
}

fn a_file_instead_of_a_directory(env: &Env) -> Result<()> {
    env.create("one", &[], &["true"])?;
    env.remove("one")?;
    let runs = env.runroot().join("run");
    if runs.exists() {
        fs::remove_dir(&runs)?;
    }
    write(&runs, "")?;
    env.check_found(&["not-a-directory runroot/run"])?;
    fs::remove_file(&runs)?;
    env.check_well()
}

fn the_database_is_gone(env: &Env) -> Result<()> {
    env.create("one", &[], &["true"])?;
    let files = ["state.db", "state.db-wal", "state.db-shm"];
    let aside = env.path("aside");
    directory(&aside, 0o700)?;
    for name in files {
        let path = env.root().join(name);
        if path.exists() {
            fs::rename(path, aside.join(name))?;
        }
    }
    env.check_found(&["store-missing root/state.db"])?;
    ensure!(!env.root().join("state.db").exists(), "it was made anew");
    for name in files {
        if aside.join(name).exists() {
            fs::rename(aside.join(name), env.root().join(name))?;
        }
    }
    env.check_well()?;
    env.remove("one")
}

fn the_database_is_garbage(env: &Env) -> Result<()> {
    env.create("one", &[], &["true"])?;
    let path = env.root().join("state.db");
    let whole = fs::read(&path)?;
    let wal = env.root().join("state.db-wal");
    let log = fs::read(&wal).ok();
    write(&path, &"no database ".repeat(500))?;
    env.check_found(&["store-unusable root/state.db"])?;
    put(&path, &whole)?;
    if let Some(log) = log {
        put(&wal, &log)?;
    }
    env.check_well()?;
    env.remove("one")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the file is put back as it was, and nobody reads it meanwhile"
)]
fn put(path: &std::path::Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}

fn a_copy_of_the_database(env: &Env) -> Result<()> {
    env.create("one", &[], &["true"])?;
    let copy = env.runroot().join("copy-0123456789ab");
    directory(&copy, 0o700)?;
    write(&copy.join("state.db"), "x")?;
    env.check_found(&["store-copy-left runroot/copy-0123456789ab"])?;
    env.check_repaired()?;
    ensure!(!copy.exists());
    env.remove("one")
}

/// A file system of this size at a path of the case.
fn small_disk(path: &std::path::Path, size: &std::ffi::CStr) -> Result<()> {
    mount("tmpfs", path, "tmpfs", MountFlags::empty(), size).context("mount a small disk")
}

fn no_room_left(env: &Env) -> Result<()> {
    directory(env.root(), 0o700)?;
    small_disk(env.root(), c"size=2m,mode=0700")?;
    env.create("one", &[], &["true"])?;
    env.check_well()?;
    let filler = env.root().join("containers/filler");
    let file = fs::File::options()
        .create_new(true)
        .write(true)
        .open(&filler)?;
    let mut size = 2 * 1024 * 1024;
    // As much as goes.
    while size > 0
        && rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size).is_err()
    {
        size -= 4096;
    }
    env.check_found(&["disk-nearly-full root"])?;
    env.check_not_repaired(&["disk-nearly-full root"])?;
    fs::remove_file(&filler)?;
    drop(file);
    env.check_well()?;
    env.remove("one")?;
    unmount(env.root(), UnmountFlags::DETACH).context("unmount the small disk")
}

fn something_is_mounted(env: &Env) -> Result<()> {
    let id = env.create("one", &[], &["true"])?;
    let point = env.own_dir(&id).join("upper");
    directory(&point, 0o755)?;
    small_disk(&point, c"size=1m")?;
    env.check_found(&[&format!("mount-left root/containers/{id}/upper")])?;
    env.check_repaired()?;
    env.remove("one")
}

fn something_is_mounted_in_a_run(env: &Env) -> Result<()> {
    let id = env.running("one")?;
    small_disk(&env.run_dir(&id).join("rootfs"), c"size=1m")?;
    env.check_found(&[&format!("mount-left runroot/run/{id}/rootfs")])?;
    env.check_repaired()?;
    env.remove("one")
}

/// An examination changes nothing, so it makes nothing where nothing is.
fn nothing_is_made(env: &Env) -> Result<()> {
    env.check_well()?;
    ensure!(!env.root().exists() && !env.runroot().exists());
    Ok(())
}
