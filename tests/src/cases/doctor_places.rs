//! `doctor`: the engine's directories and its database.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use anyhow::{Context, Result, ensure};

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

/// Puts the files of the database aside, and back.
struct Aside<'e> {
    env: &'e Env,
}

impl Aside<'_> {
    const FILES: [&'static str; 3] = ["state.db", "state.db-wal", "state.db-shm"];

    fn put(env: &Env) -> Result<Aside<'_>> {
        let aside = env.path("aside");
        directory(&aside, 0o700)?;
        for name in Aside::FILES {
            let path = env.root().join(name);
            if path.exists() {
                fs::rename(path, aside.join(name))?;
            }
        }
        Ok(Aside { env })
    }

    fn back(self) -> Result<()> {
        let aside = self.env.path("aside");
        for name in Aside::FILES {
            let (from, to) = (aside.join(name), self.env.root().join(name));
            if to.exists() {
                fs::remove_file(&to)?;
            }
            if from.exists() {
                fs::rename(from, to)?;
            }
        }
        Ok(())
    }
}

fn the_database_is_gone(env: &Env) -> Result<()> {
    env.create("one", &[], &["true"])?;
    let aside = Aside::put(env)?;
    env.check_found(&["store-missing root/state.db"])?;
    ensure!(!env.root().join("state.db").exists(), "it was made anew");
    aside.back()?;
    env.check_well()?;
    env.remove("one")
}

fn the_database_is_garbage(env: &Env) -> Result<()> {
    env.create("one", &[], &["true"])?;
    let aside = Aside::put(env)?;
    let path = env.root().join("state.db");
    write(&path, &"no database ".repeat(500))?;
    mode(&path, 0o600)?;
    env.check_found(&["store-unusable root/state.db"])?;
    env.check_not_repaired(&["store-unusable root/state.db"])?;
    aside.back()?;
    env.check_well()?;
    env.remove("one")
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

/// Mounts a small file system at a path, in a mount namespace of its own, and goes on with its arguments.
const MOUNT: &str = "mount -t tmpfs -o size=1m,mode=0700 small \"$0\" && exec \"$@\"";
/// The same, and fills it.
const FILL: &str = "mount -t tmpfs -o size=1m,mode=0700 small \"$0\" && \
    { cat /dev/zero > \"$0/filler\" 2> /dev/null; exec \"$@\"; }";

fn no_room_left(env: &Env) -> Result<()> {
    directory(env.root(), 0o700)?;
    let root = env.root().display().to_string();
    env.go_through(&["unshare", "--mount", "sh", "-c", MOUNT, &root]);
    env.check_well()?;
    env.go_through(&["unshare", "--mount", "sh", "-c", FILL, &root]);
    env.check_found(&["disk-nearly-full root"])?;
    env.check_not_repaired(&["disk-nearly-full root"])?;
    env.go_through(&[]);
    env.check_well()
}

/// Something is mounted there when `doctor` comes, and not any more when it has repaired that.
fn check_mounted(env: &Env, path: &std::path::Path, found: &str) -> Result<()> {
    let path = path.display().to_string();
    env.go_through(&["unshare", "--mount", "sh", "-c", MOUNT, &path]);
    env.check_found(&[found])?;
    env.repair()?;
    env.go_through(&[]);
    env.check_well()
}

fn something_is_mounted(env: &Env) -> Result<()> {
    let id = env.create("one", &[], &["true"])?;
    let point = env.own_dir(&id).join("upper");
    directory(&point, 0o755)?;
    check_mounted(
        env,
        &point,
        &format!("mount-left root/containers/{id}/upper"),
    )?;
    env.remove("one")
}

fn something_is_mounted_in_a_run(env: &Env) -> Result<()> {
    let id = env.running("one")?;
    let point = env.run_dir(&id).join("rootfs");
    check_mounted(env, &point, &format!("mount-left runroot/run/{id}/rootfs"))?;
    env.remove("one")
}

/// An examination changes nothing, so it makes nothing where nothing is.
fn nothing_is_made(env: &Env) -> Result<()> {
    env.check_well()?;
    ensure!(!env.root().exists() && !env.runroot().exists());
    Ok(())
}
