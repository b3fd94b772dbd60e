//! Root directories that cannot be used, or only with care: one clear line, nothing left, and never a hang.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::manifest::{compare, manifest};
use crate::harness::tree::{MountPoints, directory, write};

cases! {
    Full not_a_root_directory,
    Full links_where_the_kernel_is_mounted,
    Full links_do_not_lead_outside,
    Full damaged_users,
    Full users_that_are_no_file,
}

/// The command may be there or not: with this directory nothing starts.
fn run_in(
    env: &Env,
    rootfs: &str,
    flags: &[&str],
    command: &[&str],
) -> Result<crate::harness::output::Output> {
    let mut words = vec!["run", "--rm"];
    words.extend(flags);
    words.extend(["--rootfs", rootfs]);
    words.extend(command);
    env.ctr(&words)
}

fn not_a_root_directory(env: &Env) -> Result<()> {
    let file = env.path("file");
    write(&file, "no directory\n")?;
    let dangling = env.path("dangling");
    symlink("/no/such/target", &dangling).context("make a link")?;
    let missing = env.name("missing");
    for path in [
        &missing,
        &file.to_string_lossy().into_owned(),
        &dangling.to_string_lossy().into_owned(),
    ] {
        for rootfs in [path.clone(), format!("{path}:O")] {
            run_in(env, &rootfs, &[], &["true"])?
                .refused(125, &[path])
                .with_context(|| rootfs.clone())?;
        }
    }
    for rootfs in ["", ":O", "relative", "/:X", "/:idmap"] {
        let output = run_in(env, rootfs, &[], &["true"])?;
        output
            .refused(125, &[])
            .with_context(|| format!("{rootfs:?}"))?;
    }
    ensure!(!Path::new(&missing).exists(), "the directory was made");
    Ok(())
}

fn links_where_the_kernel_is_mounted(env: &Env) -> Result<()> {
    let outside = env.path("outside");
    directory(&outside, 0o755)?;
    for name in ["proc", "sys"] {
        let root = env.own_root(MountPoints::Absent)?;
        symlink(&outside, root.join(name)).context("make a link")?;
        let before = manifest(&root)?;
        for suffix in ["", ":O"] {
            let rootfs = format!("{}{suffix}", root.display());
            run_in(env, &rootfs, &[], &["true"])?.refused(125, &[name])?;
        }
        compare("the directory with the link", &before, &manifest(&root)?)?;
    }
    compare("what the link points to", &[], &manifest(&outside)?)
}

/// Whatever the links of a root directory say, files that the engine adds land inside.
fn links_do_not_lead_outside(env: &Env) -> Result<()> {
    let outside = env.path("outside");
    directory(&outside, 0o755)?;
    write(&outside.join("hosts"), "outside\n")?;
    for name in ["etc", "run", "dev", "mnt"] {
        let root = env.own_root(MountPoints::Absent)?;
        let link = root.join(name);
        if link.exists() {
            fs::remove_file(link.join("passwd")).context("empty a directory")?;
            fs::remove_file(link.join("group")).context("empty a directory")?;
            fs::remove_dir(&link).context("remove a directory")?;
        }
        symlink(&outside, &link).context("make a link")?;
        let volume = format!("{}:/mnt/deep", env.shared_root().display());
        for suffix in ["", ":O"] {
            let rootfs = format!("{}{suffix}", root.display());
            let before = manifest(&outside)?;
            let output = run_in(env, &rootfs, &["-v", &volume], &["/bin/busybox", "true"])?;
            // It may be refused or be done right: not half of both.
            if output.code != 0 {
                output.one_error(&[]).with_context(|| rootfs.clone())?;
            }
            compare("what the link points to", &before, &manifest(&outside)?)
                .with_context(|| rootfs.clone())?;
        }
    }
    Ok(())
}

fn damaged_users(env: &Env) -> Result<()> {
    let root = env.own_root(MountPoints::Present)?;
    let rootfs = format!("{}:O", root.display());
    let passwd = root.join("etc/passwd");
    for (text, user) in [
        ("big:x:4294967296:4294967296::/:/bin/sh\n", "big"),
        ("big:x:99999999999999999999:0::/:/bin/sh\n", "big"),
        ("short:x\n", "short"),
        ("word:x:zero:0::/:/bin/sh\n", "word"),
        ("minus:x:-1:0::/:/bin/sh\n", "minus"),
        ("", "root"),
    ] {
        write(&passwd, text)?;
        run_in(env, &rootfs, &["-u", user], &["id"])?
            .refused(125, &["passwd"])
            .with_context(|| format!("{text:?}"))?;
        // A damaged line is of no concern to another user.
        run_in(env, &rootfs, &["-u", "1000"], &["echo", "x"])?
            .prints("x\n")
            .with_context(|| format!("{text:?}"))?;
    }
    write(&passwd, &format!("{}\n", "x".repeat(20 * 1024 * 1024)))?;
    run_in(env, &rootfs, &["-u", "alice"], &["id"])?.refused(125, &["passwd"])
}

fn users_that_are_no_file(env: &Env) -> Result<()> {
    for name in ["passwd", "group"] {
        for kind in [FileType::Fifo, FileType::Directory, FileType::Symlink] {
            let root = env.own_root(MountPoints::Present)?;
            let path = root.join("etc").join(name);
            fs::remove_file(&path).context("remove a file")?;
            if kind == FileType::Directory {
                fs::create_dir(&path).context("make a directory")?;
            } else if kind == FileType::Symlink {
                // Of the host's devices, not of the container's.
                symlink("/dev/zero", &path).context("make a link")?;
                mknodat(
                    CWD,
                    root.join("dev/zero"),
                    FileType::Fifo,
                    Mode::from_raw_mode(0o666),
                    0,
                )
                .context("make a FIFO")?;
            } else {
                mknodat(CWD, &path, kind, Mode::from_raw_mode(0o666), 0).context("make a FIFO")?;
            }
            let rootfs = format!("{}:O", root.display());
            run_in(env, &rootfs, &["-u", "alice:audio"], &["id"])?
                .refused(125, &[name])
                .with_context(|| format!("{name} as {kind:?}"))?;
        }
    }
    Ok(())
}
