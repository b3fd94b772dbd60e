//! A store that is damaged, or none of ours: a row harms its container alone, and a file that cannot be used is refused in one line.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::machine::container_cgroups;
use crate::harness::small_disk::SmallDisk;
use crate::harness::tree;

cases! {
    Core a_row_that_cannot_be_read_harms_its_container_alone,
    Full a_row_without_a_record_or_a_name,
    Full a_store_that_is_none_is_refused_and_left_alone,
    Full a_store_that_others_could_change_is_refused,
    Full a_file_beside_the_database_that_is_none,
    Full what_belongs_to_the_log_is_lost,
    Full a_read_only_store_can_be_read,
    Full a_page_is_destroyed_while_the_machine_is_down,
}

fn database(env: &Env) -> PathBuf {
    env.root().join("state.db")
}

/// Changes the database behind the engine's back.
fn meddle(env: &Env, sql: &str) -> Result<()> {
    let connection = Connection::open(database(env)).context("open the database")?;
    connection
        .execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}"))
        .with_context(|| sql.to_owned())
}

fn a_row_that_cannot_be_read_harms_its_container_alone(env: &Env) -> Result<()> {
    env.detached("good", &[], "echo said; sleep 1000")?;
    let bad = env.detached("bad", &[], "sleep 1000 & sleep 1000")?;
    env.wait_for_log("good", "said\n")?;
    meddle(
        env,
        &format!("UPDATE record SET facts = '{{' WHERE id = '{bad}'"),
    )?;
    let list = env.ctr(&["ps", "-a"])?.ok()?;
    let line = list.lines().find(|line| line.contains(&bad[..12]));
    let line = line.with_context(|| format!("the damaged one is not listed: {list}"))?;
    ensure!(line.contains("unreadable"), "{line}");
    ensure!(env.status("good")? == "running");
    for words in [
        &["start", "bad"][..],
        &["stop", "bad"],
        &["rm", "bad"],
        &["exec", "bad", "true"],
        &["logs", "bad"],
    ] {
        env.ctr(words)?
            .refused(125, &["cannot be read", "rm -f", &bad[..12]])?;
    }
    let rootfs = env.rootfs();
    env.run(&[], &["echo", "new"])?.prints("new\n")?;
    env.ctr(&["exec", "good", "echo", "in"])?.prints("in\n")?;
    env.ctr(&["create", "--name", "bad", "--rootfs", &rootfs, "true"])?
        .refused(125, &["in use", &bad[..12]])?;
    env.ctr(&["system", "export"])?.ok()?;
    ensure!(container_cgroups()?.contains_key(&bad));
    env.ctr(&["rm", "-f", &bad])?.prints(&format!("{bad}\n"))?;
    ensure!(
        !container_cgroups()?.contains_key(&bad),
        "its group is left"
    );
    ensure!(!env.root().join("containers").join(&bad).exists());
    ensure!(!env.runroot().join("run").join(&bad).exists());
    env.remove("good")
}

fn a_row_without_a_record_or_a_name(env: &Env) -> Result<()> {
    for sql in [
        "DELETE FROM record WHERE id = 'ID'",
        "UPDATE container SET name = 'no name' WHERE id = 'ID'",
        "UPDATE container SET config = '[]' WHERE id = 'ID'",
        "UPDATE record SET status = 'lost', version = 99 WHERE id = 'ID'",
    ] {
        env.create("good", &[], &["true"])?;
        let bad = env.detached("bad", &[], "sleep 1000")?;
        meddle(env, &sql.replace("ID", &bad))?;
        ensure!(env.ids()?.len() == 2, "{sql}");
        env.ctr(&["start", "good"])?.prints("good\n")?;
        env.ctr(&["rm", "-f", "-a"])?.ok()?;
        env.check_leaks_after(sql)?;
    }
    Ok(())
}

/// Every verb is refused in one line that names the file, and none of them touches it.
fn check_refused(env: &Env, words: &[&str]) -> Result<()> {
    let path = database(env);
    let before = fs::symlink_metadata(&path)?;
    let text = |path: &Path| before.is_file().then(|| fs::read(path).ok());
    let content = text(&path);
    let name = path.to_string_lossy();
    let mut said = vec![&*name, "hint: "];
    said.extend(words);
    let rootfs = env.rootfs();
    for verb in [
        &["ps", "-a"][..],
        &["run", "--rm", "--rootfs", &rootfs, "true"],
        &["stop", "-a"],
        &["events", "--stream=false"],
        &["system", "export"],
    ] {
        env.ctr(verb)?.refused(125, &said)?;
    }
    let after = fs::symlink_metadata(&path)?;
    ensure!(after.file_type() == before.file_type() && text(&path) == content);
    Ok(())
}

fn forget(env: &Env) -> Result<()> {
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let path = env.root().join(name);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir(&path)?,
            Ok(_) => fs::remove_file(&path)?,
            Err(_) => {}
        }
    }
    Ok(())
}

fn private(path: &Path, text: &str) -> Result<()> {
    tree::write(path, text)?;
    tree::mode(path, 0o600)
}

fn fifo(path: &Path) -> Result<()> {
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).context("make a named pipe")
}

fn a_store_that_is_none_is_refused_and_left_alone(env: &Env) -> Result<()> {
    tree::directory(env.root(), 0o700)?;
    let path = database(env);
    private(&path, &"This is a letter. ".repeat(300))?;
    check_refused(env, &["not a database"])?;
    forget(env)?;
    // Shorter than the header of a database.
    private(&path, "short")?;
    check_refused(env, &["not a database"])?;
    forget(env)?;
    for sql in [
        "CREATE TABLE theirs (x)",
        "CREATE TABLE theirs (x); PRAGMA user_version = 1",
        "PRAGMA application_id = 7; PRAGMA user_version = 900",
    ] {
        private(&path, "")?;
        meddle(env, sql)?;
        check_refused(env, &["not a database of containers"])?;
        forget(env)?;
    }
    env.create("c", &[], &["true"])?;
    meddle(
        env,
        "PRAGMA user_version = 900; PRAGMA wal_checkpoint(TRUNCATE)",
    )?;
    check_refused(env, &["schema 900", "newer program"])?;
    meddle(env, "PRAGMA user_version = 1")?;
    env.remove("c")?;
    forget(env)?;
    fifo(&path)?;
    check_refused(env, &["named pipe"])?;
    forget(env)?;
    tree::directory(&path, 0o700)?;
    check_refused(env, &["directory"])?;
    forget(env)?;
    symlink("elsewhere", &path)?;
    check_refused(env, &["symbolic link"])?;
    forget(env)
}

fn a_store_that_others_could_change_is_refused(env: &Env) -> Result<()> {
    env.create("c", &[], &["true"])?;
    let path = database(env);
    for mode in [0o602, 0o620, 0o666] {
        tree::mode(&path, mode)?;
        check_refused(env, &["cannot be trusted", "chmod"])?;
    }
    tree::mode(&path, 0o600)?;
    std::os::unix::fs::chown(&path, Some(1000), None)?;
    check_refused(env, &["cannot be trusted", "user 1000", "chown"])?;
    std::os::unix::fs::chown(&path, Some(0), None)?;
    env.remove("c")
}

fn a_file_beside_the_database_that_is_none(env: &Env) -> Result<()> {
    env.create("c", &[], &["true"])?;
    for name in ["state.db-wal", "state.db-shm"] {
        let (path, aside) = (env.root().join(name), env.root().join("aside"));
        fs::rename(&path, &aside)?;
        fifo(&path)?;
        check_refused(env, &[name, "named pipe"])?;
        fs::remove_file(&path)?;
        symlink("/etc/passwd", &path)?;
        check_refused(env, &[name, "symbolic link"])?;
        fs::remove_file(&path)?;
        fs::rename(&aside, &path)?;
        tree::mode(&path, 0o666)?;
        env.ctr(&["ps"])?.refused(125, &[name, "trusted"])?;
        tree::mode(&path, 0o600)?;
    }
    ensure!(env.status("c")? == "created");
    env.remove("c")
}

fn what_belongs_to_the_log_is_lost(env: &Env) -> Result<()> {
    env.create("a", &[], &["true"])?;
    fs::remove_file(env.root().join("state.db-shm"))?;
    ensure!(env.status("a")? == "created");
    meddle(env, "PRAGMA wal_checkpoint(TRUNCATE)")?;
    let late = env.create("b", &[], &["true"])?;
    fs::remove_file(env.root().join("state.db-wal"))?;
    // What was in it is gone, and the rest is not.
    ensure!(env.ids()?.len() == 1 && env.status("a")? == "created");
    env.create("b", &[], &["true"])?;
    ensure!(env.root().join("state.db-wal").exists());
    for name in ["a", "b"] {
        env.remove(name)?;
    }
    // Nobody knows it any more.
    tree::remove(&env.root().join("containers").join(late))
}

fn a_read_only_store_can_be_read(env: &Env) -> Result<()> {
    let disk = SmallDisk::make(env, env.root(), "size=8m")?;
    // Nobody may have a file open for writing.
    let id = env.detached("a", &[], "echo said")?;
    env.wait_for_cleanup("a")?;
    crate::harness::wait::until("the monitor to let go of the log", || {
        Ok(disk.remount("ro").is_ok().then_some(()))
    })?;
    for words in [
        &["ps", "-a"][..],
        &["inspect", "a"],
        &["events", "--stream=false"],
        &["system", "export"],
    ] {
        env.ctr(words)?.ok()?;
    }
    env.ctr(&["logs", "a"])?.prints("said\n")?;
    let rootfs = env.rootfs();
    let root = env.root().to_string_lossy().into_owned();
    env.ctr(&["run", "--rm", "--rootfs", &rootfs, "true"])?
        .refused(125, &["read-only", &root, "hint: "])?;
    for verb in ["start", "rm"] {
        env.ctr(&[verb, "a"])?.refused(125, &["read-only", &root])?;
    }
    // Without its index, as after a copy.
    disk.remount("rw")?;
    fs::remove_file(disk.path("state.db-shm"))?;
    disk.remount("ro")?;
    ensure!(env.ids()? == [id]);
    disk.remount("rw")?;
    env.remove("a")
}

fn a_page_is_destroyed_while_the_machine_is_down(env: &Env) -> Result<()> {
    let ids = ["a", "b"].map(|name| env.create(name, &[], &["true"]));
    let [a, b] = ids;
    let (a, b) = (a?, b?);
    meddle(env, "PRAGMA wal_checkpoint(TRUNCATE)")?;
    let path = database(env);
    let sound = fs::read(&path)?;
    let connection = Connection::open(&path)?;
    let page: u32 = connection.query_row(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'container'",
        [],
        |row| row.get(0),
    )?;
    drop(connection);
    let file = fs::File::options().write(true).open(&path)?;
    file.write_all_at(&[0x55; 4096], u64::from(page - 1) * 4096)?;
    // A reboot empties the run directory.
    fs::remove_file(env.runroot().join("checked"))?;
    let list = env.ctr(&["ps", "-a", "--no-trunc"])?.ok()?;
    ensure!(
        list.contains(&a) && list.contains(&b) && list.contains("unreadable"),
        "{list}"
    );
    ensure!(env.ctr(&["system", "export"])?.ok()?.contains(&a));
    let rootfs = env.rootfs();
    let name = path.to_string_lossy().into_owned();
    for words in [
        &["create", "--rootfs", &rootfs, "true"][..],
        &["rm", "-f", &a],
    ] {
        env.ctr(words)?
            .refused(125, &[&name, "damaged", "hint: "])?;
    }
    file.write_all_at(&sound, 0)?;
    ensure!(env.ids()?.len() == 2);
    for id in [a, b] {
        env.ctr(&["rm", &id])?.prints(&format!("{id}\n"))?;
    }
    Ok(())
}
