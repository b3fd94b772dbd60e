//! A disk of a few megabytes under one of the case's directories, in a mount namespace that every call of `ctr` enters.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::env::Env;
use super::program::{Call, Running};

/// Holds the mount namespace until its input ends.
const HOLD: &str = r#"mount -t tmpfs -o "$1" small "$2" && echo ready && read -r end"#;
/// The file that takes what is free.
const FILLER: &str = "filler";

/// The disk. While it is there, every call of `ctr` of the case sees it.
pub(crate) struct SmallDisk<'e> {
    env: &'e Env,
    holder: Running,
    at: PathBuf,
}

impl<'e> SmallDisk<'e> {
    /// Mounts one over a directory, which is made, with these options of a tmpfs.
    pub(crate) fn make(env: &'e Env, at: &Path, options: &str) -> Result<SmallDisk<'e>> {
        super::tree::directory(at, 0o700)?;
        let options = format!("mode=700,{options}");
        let point = at.to_string_lossy();
        let holder = Call::new("unshare")
            .args(["--mount", "sh", "-c", HOLD, "sh", &options, &point])
            .open_stdin()
            .spawn()?;
        holder.wait_for_stdout("ready\n")?;
        let target = holder.pid().to_string();
        env.go_through(&["nsenter", "--target", &target, "--mount", "--"]);
        Ok(SmallDisk {
            env,
            holder,
            at: at.to_owned(),
        })
    }

    /// A path on the disk, as it is called outside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let inside = self.at.strip_prefix("/").unwrap_or(&self.at);
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.pid()));
        root.join(inside).join(name)
    }

    /// The names in a directory of the disk.
    pub(crate) fn names(&self, directory: &str) -> Result<BTreeSet<String>> {
        let path = self.path(directory);
        let entries = fs::read_dir(&path).with_context(|| format!("list {}", path.display()))?;
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    /// Mounts it anew with these options.
    pub(crate) fn remount(&self, options: &str) -> Result<()> {
        let options = format!("remount,{options}");
        let target = self.holder.pid().to_string();
        Call::new("nsenter")
            .args([
                "--target", &target, "--mount", "--", "mount", "-o", &options,
            ])
            .args([&self.at])
            .output()?
            .ok()?;
        Ok(())
    }

    /// Takes all that is free, to the last byte.
    pub(crate) fn fill(&self) -> Result<()> {
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(FILLER))
            .context("open the file that fills the disk")?;
        for piece in [vec![1; 1 << 16], vec![1; 512], vec![1]] {
            loop {
                match file.write(&piece) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("fill the disk"),
                }
            }
        }
        let found = rustix::fs::statvfs(self.path("")).context("ask the disk")?;
        ensure!(found.f_bfree == 0, "{} blocks are free", found.f_bfree);
        Ok(())
    }

    /// Gives back what [`SmallDisk::fill`] has taken.
    pub(crate) fn free(&self) -> Result<()> {
        fs::remove_file(self.path(FILLER)).context("free the disk")
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // After a failure: nobody reaches what runs there once the disk is gone.
        self.remount("rw").ok();
        fs::remove_file(self.path(FILLER)).ok();
        self.env.ctr(&["rm", "-f", "-a"]).ok();
        self.env.go_through(&[]);
    }
}
