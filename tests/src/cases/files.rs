//! The files of a container: overlay and plain root directories, volumes, the guarded parts of `/proc` and `/sys`.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::manifest::{compare, manifest};
use crate::harness::tree::{MountPoints, directory, write};

cases! {
    Core overlay_keeps_writes_until_rm,
    Core overlay_never_touches_the_lower,
    Core plain_directory_has_nothing_left,
    Full plain_directory_keeps_what_the_program_wrote,
    Full plain_directory_after_a_failed_start,
    Core volumes,
    Full volume_of_one_file,
    Core kernel_files_are_guarded,
    Core devices_of_every_container,
}

fn overlay_keeps_writes_until_rm(env: &Env) -> Result<()> {
    let script = "echo line >> /var/log; rm -f /etc/group; cat /var/log";
    env.create("o", &[], &["sh", "-c", script])?;
    for expected in ["line\n", "line\nline\nline\n"] {
        env.ctr(&["start", "o"])?.prints("o\n")?;
        env.ctr(&["wait", "o"])?.prints("0\n")?;
        // The log of all runs: one line of the first, then two of the second.
        env.ctr(&["logs", "o"])?.prints(expected)?;
    }
    env.ctr(&["rm", "o"])?.prints("o\n")
}

fn overlay_never_touches_the_lower(env: &Env) -> Result<()> {
    let root = env.own_root(MountPoints::Absent)?;
    let before = manifest(&root)?;
    let rootfs = format!("{}:O", root.display());
    let script = "echo x > /new; echo y >> /etc/passwd; rm -r /home; chmod 700 /tmp; mkdir /bin/d; chown 5 /bin/busybox";
    env.ctr(&["run", "--rm", "--rootfs", &rootfs, "sh", "-c", script])?
        .prints("")?;
    compare("the lower directory", &before, &manifest(&root)?)
}

fn plain_directory_has_nothing_left(env: &Env) -> Result<()> {
    let root = env.own_root(MountPoints::Absent)?;
    let source = env.path("source");
    directory(&source, 0o755)?;
    let before = manifest(&root)?;
    let rootfs = root.to_string_lossy().into_owned();
    let volume = format!("{}:/deep/er/mount", source.display());
    let script = "test -f /etc/hosts && test -d /proc/1 && test -d /deep/er/mount && echo seen";
    env.ctr(&[
        "run", "--rm", "-v", &volume, "--rootfs", &rootfs, "sh", "-c", script,
    ])?
    .prints("seen\n")?;
    compare(
        "the plain directory after run --rm",
        &before,
        &manifest(&root)?,
    )?;

    env.ctr(&["create", "--name", "p", "--rootfs", &rootfs, "true"])?
        .id()?;
    compare(
        "the plain directory after create",
        &before,
        &manifest(&root)?,
    )?;
    for _ in 0..2 {
        env.ctr(&["start", "p"])?.prints("p\n")?;
        env.ctr(&["wait", "p"])?.prints("0\n")?;
        env.ctr(&["container", "cleanup", "p"])?.prints("p\n")?;
        compare(
            "the plain directory after a run",
            &before,
            &manifest(&root)?,
        )?;
    }
    env.ctr(&["rm", "p"])?.prints("p\n")?;
    compare("the plain directory after rm", &before, &manifest(&root)?)
}

fn plain_directory_keeps_what_the_program_wrote(env: &Env) -> Result<()> {
    let root = env.own_root(MountPoints::Absent)?;
    let rootfs = root.to_string_lossy().into_owned();
    // What the program puts where the engine had made a mount point is the program's.
    let script = "echo kept > /tmp/f; mkdir -p /run/mine";
    env.ctr(&["run", "--rm", "--rootfs", &rootfs, "sh", "-c", script])?
        .ok()?;
    let kept = fs::read_to_string(root.join("tmp/f")).context("read what was written")?;
    ensure!(kept == "kept\n");
    ensure!(
        root.join("run/mine").is_dir(),
        "a directory of the program is gone"
    );
    ensure!(!root.join("proc").exists(), "a mount point was left");
    Ok(())
}

fn plain_directory_after_a_failed_start(env: &Env) -> Result<()> {
    let root = env.own_root(MountPoints::Absent)?;
    let before = manifest(&root)?;
    let rootfs = root.to_string_lossy().into_owned();
    env.ctr(&["run", "--rm", "--rootfs", &rootfs, "no-such-command"])?
        .refused(127, &["no-such-command"])?;
    compare("the plain directory", &before, &manifest(&root)?)
}

fn volumes(env: &Env) -> Result<()> {
    let source = env.path("data");
    directory(&source, 0o755)?;
    write(&source.join("in"), "from outside\n")?;
    for (suffix, writable) in [("", "yes"), (":rw", "yes"), (":ro", "no")] {
        let volume = format!("{}:/mnt/data{suffix}", source.display());
        let script = "cat /mnt/data/in; echo x 2>/dev/null > /mnt/data/out && echo yes || echo no";
        env.run(&["-v", &volume], &["sh", "-c", script])?
            .prints(&format!("from outside\n{writable}\n"))?;
        let arrived = fs::remove_file(source.join("out")).is_ok();
        ensure!(
            arrived == (writable == "yes"),
            "{volume}: arrived: {arrived}"
        );
    }
    ensure!(
        !env.shared_root().join("mnt").exists(),
        "the mount point was made below"
    );
    Ok(())
}

fn volume_of_one_file(env: &Env) -> Result<()> {
    let source = env.path("motd");
    write(&source, "one file\n")?;
    let volume = format!("{}:/etc/motd:ro", source.display());
    env.run(&["-v", &volume], &["cat", "/etc/motd"])?
        .prints("one file\n")?;
    // Over a file that the engine generates, the user's wins.
    let volume = format!("{}:/etc/hosts", source.display());
    env.run(&["-v", &volume], &["cat", "/etc/hosts"])?
        .prints("one file\n")
}

fn kernel_files_are_guarded(env: &Env) -> Result<()> {
    let script = "for f in /proc/sys/kernel/domainname /proc/sysrq-trigger /sys/kernel/profiling; do \
        (echo x > $f) 2>/dev/null && echo \"$f is writable\"; done; \
        for f in /proc/kcore /proc/keys /proc/timer_list; do test -s $f && cat $f | head -c 1 | wc -c; done; \
        ls /sys/firmware /proc/scsi 2>/dev/null | grep -v ':$' | grep .; echo end";
    let out = env.run(&[], &["sh", "-c", script])?.ok()?;
    let open: Vec<&str> = out
        .lines()
        .filter(|line| !matches!(*line, "0" | "end"))
        .collect();
    ensure!(
        open.is_empty() && out.ends_with("end\n"),
        "not guarded: {out:?}"
    );
    Ok(())
}

fn devices_of_every_container(env: &Env) -> Result<()> {
    let script = "for d in null zero full random urandom tty; do test -c /dev/$d || echo \"no $d\"; done; \
        for l in fd stdin stdout stderr ptmx; do test -L /dev/$l || test -e /dev/$l || echo \"no $l\"; done; \
        for d in pts shm mqueue; do test -d /dev/$d || echo \"no $d\"; done; \
        echo x > /dev/null && head -c 3 /dev/zero | wc -c && echo shm > /dev/shm/f && cat /dev/shm/f";
    env.run(&["-u", "1000"], &["sh", "-c", script])?
        .prints("3\nshm\n")
}
