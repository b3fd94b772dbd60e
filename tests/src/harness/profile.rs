//! The kinds of machine that a round of cases runs on, made with a private mount namespace.
//!
//! In every profile the namespace's mounts are then shared among themselves, as systemd makes them on ordinary machines: a mount
//! that the engine makes in a namespace of its own and forgets to make private comes back here and is seen by the leak check.

use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use rustix::thread::UnshareFlags;

use super::machine::{Mount, mounts};

const CGROUP: &str = "/sys/fs/cgroup";

/// Which cgroup trees a round sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Those of this machine.
    Host,
    /// Those of version 1 alone.
    Legacy,
    /// One of version 2, at the usual place.
    Unified,
}

/// Whether this machine can play the part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    Yes,
    /// It cannot, and why.
    No(String),
}

impl Profile {
    /// Reads the word of the command line.
    pub(crate) fn parse(word: &str) -> Result<Profile> {
        [Profile::Host, Profile::Legacy, Profile::Unified]
            .into_iter()
            .find(|profile| profile.name() == word)
            .context("a profile is host, legacy or unified")
    }

    /// The word of the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Profile::Host => "host",
            Profile::Legacy => "legacy",
            Profile::Unified => "unified",
        }
    }

    /// Moves this process, which has one thread so far, into a mount namespace of the profile.
    pub(crate) fn enter(self) -> Result<Entered> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Entered::No("it needs root".to_owned()));
        }
        unshare_mounts()?;
        let all = MountPropagationFlags::REC;
        mount_change("/", all | MountPropagationFlags::PRIVATE).context("make / private")?;
        let entered = match self {
            Profile::Host => Entered::Yes,
            Profile::Legacy => legacy()?,
            Profile::Unified => unified()?,
        };
        mount_change("/", all | MountPropagationFlags::SHARED).context("make / shared")?;
        Ok(entered)
    }
}

#[expect(
    deprecated,
    reason = "the function is unsafe for unshared descriptor tables only; this unshares mounts, before there is a second thread"
)]
fn unshare_mounts() -> Result<()> {
    rustix::thread::unshare(UnshareFlags::NEWNS).context("unshare the mount namespace")
}

fn legacy() -> Result<Entered> {
    let trees = mounts()?;
    if !trees.iter().any(is_v1) {
        return Ok(Entered::No(
            "this machine has no cgroup tree of version 1".to_owned(),
        ));
    }
    for tree in trees.iter().filter(|tree| tree.kind == "cgroup2") {
        detach(&tree.point)?;
    }
    match mounts()?.iter().find(|tree| tree.kind == "cgroup2") {
        Some(tree) => bail!("{} is still mounted", tree.point.display()),
        None => Ok(Entered::Yes),
    }
}

fn is_v1(tree: &Mount) -> bool {
    tree.kind == "cgroup"
        && tree
            .super_options
            .split(',')
            .any(|option| option == "devices")
}

fn unified() -> Result<Entered> {
    // Later entries may lie upon earlier ones.
    for tree in mounts()?.iter().rev() {
        if tree.point.starts_with(CGROUP) {
            detach(&tree.point)?;
        }
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("cgroup2", CGROUP, "cgroup2", flags, None).context("mount a cgroup2 tree")?;
    Ok(Entered::Yes)
}

fn detach(point: &Path) -> Result<()> {
    unmount(point, UnmountFlags::DETACH).with_context(|| format!("unmount {}", point.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_read_back() {
        for profile in [Profile::Host, Profile::Legacy, Profile::Unified] {
            assert_eq!(Profile::parse(profile.name()).unwrap(), profile);
        }
        assert!(Profile::parse("hybrid").is_err());
    }
}
