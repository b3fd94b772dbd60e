//! The modes of all files that the engine makes, whatever the mask of its caller: a table, compared exactly.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::hosted::running;
use crate::harness::machine::holds_an_id;
use crate::harness::program::Call;

cases! {
    Core modes_are_those_of_the_table,
    Full others_reach_nothing,
}

/// Kind, mode and path of everything below both roots while a container with an exec session runs. What lies in `upper`, `work` and
/// `runtime` is the container's, the kernel's and the runtime's.
const TABLE: &[&str] = &[
    "d 700 root",
    "d 700 root/containers",
    "d 700 root/containers/ID",
    "- 600 root/containers/ID/ctr.log",
    "- 600 root/containers/ID/ctr.log.1",
    // As the root directory of the container.
    "d 755 root/containers/ID/upper",
    "d 700 root/containers/ID/work",
    "- 600 root/state.db",
    "- 600 root/state.db-shm",
    "- 600 root/state.db-wal",
    "d 700 runroot",
    // Its target is what it says; nobody follows it.
    "l 777 runroot/checked",
    "d 700 runroot/empty",
    "- 600 runroot/journal",
    "d 700 runroot/locks",
    "- 600 runroot/locks/ID",
    "d 700 runroot/run",
    "d 700 runroot/run/ID",
    "- 600 runroot/run/ID/alive",
    "d 700 runroot/run/ID/bundle",
    "- 600 runroot/run/ID/bundle/config.json",
    "s 600 runroot/run/ID/control.sock",
    "d 700 runroot/run/ID/exec",
    "d 700 runroot/run/ID/exec/ID",
    "- 600 runroot/run/ID/exec/ID/process.json",
    "- 600 runroot/run/ID/exec/ID/session.json",
    // The streams: whoever runs inside may open /dev/stdout again; the directory above keeps others out.
    "p 622 runroot/run/ID/exec/ID/stderr",
    "p 622 runroot/run/ID/exec/ID/stdout",
    "- 600 runroot/run/ID/exec/ID/told.begun",
    "- 600 runroot/run/ID/exit.reserve",
    "d 700 runroot/run/ID/files",
    // The container sees them as its own.
    "- 644 runroot/run/ID/files/containerenv",
    "- 644 runroot/run/ID/files/hostname",
    "- 644 runroot/run/ID/files/hosts",
    "- 644 runroot/run/ID/files/resolv.conf",
    "- 600 runroot/run/ID/keeper",
    "- 600 runroot/run/ID/log.lock",
    "d 700 runroot/run/ID/mounts",
    "d 700 runroot/run/ID/rootfs",
    "d 700 runroot/run/ID/runtime",
    "p 622 runroot/run/ID/stderr",
    "p 644 runroot/run/ID/stdin",
    "p 622 runroot/run/ID/stdout",
];

/// What others choose the modes of.
const NOT_OURS: &[&str] = &["upper", "work", "runtime", "pid"];

/// A container that has all files that one can have: a log that was put aside, input, a session, a keeper.
fn with_all_files(env: &Env, name: &str, mask: &str) -> Result<()> {
    let script = format!("umask {mask}; exec \"$@\"");
    env.go_through(&["bash", "-c", &script, "bash"]);
    let flags = ["-i", "--log-opt", "max-size=1k"];
    env.detached(name, &flags, "seq 1000; echo ready; exec sleep 1000")?;
    env.wait_for_log(name, "ready")?;
    running(env, &[], name, "exec sleep 1000")?;
    env.keeper(name)?;
    Ok(())
}

/// Rows as in the table, of all below a directory.
fn rows(directory: &Path, shown: &str, rows: &mut BTreeSet<String>) -> Result<()> {
    let metadata = fs::symlink_metadata(directory).context("look at a file")?;
    let kind = metadata.file_type();
    let letter = match () {
        () if kind.is_dir() => 'd',
        () if kind.is_fifo() => 'p',
        () if kind.is_socket() => 's',
        () if kind.is_file() => '-',
        () if kind.is_symlink() => 'l',
        () => '?',
    };
    rows.insert(format!("{letter} {:o} {shown}", metadata.mode() & 0o7777));
    ensure!(
        metadata.uid() == 0 && metadata.gid() == 0,
        "{shown} is not root's"
    );
    if !kind.is_dir() || NOT_OURS.iter().any(|name| directory.ends_with(name)) {
        return Ok(());
    }
    for entry in fs::read_dir(directory).context("list a directory")? {
        let path = entry.context("list a directory")?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = if holds_an_id(&name) { "ID" } else { &*name };
        if name != "pid" {
            self::rows(&path, &format!("{shown}/{name}"), rows)?;
        }
    }
    Ok(())
}

fn modes_are_those_of_the_table(env: &Env) -> Result<()> {
    let expected: BTreeSet<String> = TABLE.iter().map(|row| (*row).to_owned()).collect();
    for mask in ["000", "777", "077"] {
        with_all_files(env, "c", mask)?;
        let mut found = BTreeSet::new();
        rows(env.root(), "root", &mut found)?;
        rows(env.runroot(), "runroot", &mut found)?;
        let new: Vec<_> = found.difference(&expected).collect();
        let missing: Vec<_> = expected.difference(&found).collect();
        ensure!(
            new.is_empty() && missing.is_empty(),
            "with umask {mask} there is {new:?} and there is not {missing:?}"
        );
        env.remove("c")?;
        for root in [env.root(), env.runroot()] {
            // The next mask makes all of them anew.
            crate::harness::tree::remove(root)?;
        }
    }
    Ok(())
}

/// Neither listed nor opened, nor connected to, by a user who is nobody.
fn others_reach_nothing(env: &Env) -> Result<()> {
    with_all_files(env, "c", "000")?;
    for root in [env.root(), env.runroot()] {
        for test in ["-r", "-w", "-x"] {
            let call = Call::new("setpriv")
                .args([
                    "--reuid=65534",
                    "--regid=65534",
                    "--clear-groups",
                    "test",
                    test,
                ])
                .args([root]);
            let output = call.output()?;
            ensure!(output.code == 1, "nobody has {test}: {output}");
        }
        let mut found = BTreeSet::new();
        rows(root, "", &mut found)?;
        let find = Call::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "find"])
            .args([root])
            .args(["-mindepth", "1"]);
        let output = find.output()?;
        ensure!(output.stdout.is_empty() && !found.is_empty(), "{output}");
    }
    env.remove("c")
}
