//! A machine that loses its power and is started anew, as far as `ctr` can see: nothing of a container runs any more, and the kernel
//! has another boot id. Everything else of the machine goes on.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::env::Env;
use super::machine::{PARENT, cgroup_roots};
use super::process::{Process, marked};
use super::story::hold;
use super::tree::write;
use super::wait::PATIENCE;

/// Puts a file with another boot id in the place of the kernel's, in a mount namespace of its own, and goes on with its arguments.
const PUT: &str = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"";

/// What becomes of the files below `--runroot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunFiles {
    /// They are on a disk.
    Kept,
    /// They were in memory, and the control groups go with them.
    Gone,
}

impl Env {
    /// Ends all processes of the case by force, and lets `ctr` see another boot id from now on.
    pub(crate) fn reboot(&self, files: RunFiles) -> Result<()> {
        let ids = self.ids()?;
        self.end_all_processes(&ids)?;
        if files == RunFiles::Gone {
            self.lose_run_files(&ids)?;
        }
        let (path, name) = (self.path("boot-id"), self.name("boot-id"));
        // Of the same form as the kernel's, and another one each time.
        let last = fs::read_to_string(&path).unwrap_or_default();
        let boots = last
            .trim_end()
            .rsplit('-')
            .next()
            .map_or(0, |digits| digits.parse().unwrap_or(0));
        write(
            &path,
            &format!("00000000-0000-4000-8000-{:012}\n", boots + 1_u64),
        )?;
        self.go_through(&["unshare", "--mount", "sh", "-c", PUT, &name]);
        Ok(())
    }

    fn end_all_processes(&self, ids: &[String]) -> Result<()> {
        let mark = self.name("");
        let program = self.program().to_string_lossy().into_owned();
        let found = || marked(std::slice::from_ref(&mark));
        // First those that would record what happens, where they stand; one that was not held yet may have started others.
        let mut held = BTreeSet::new();
        let mut all: Vec<Process> = Vec::new();
        loop {
            let (ours, others): (Vec<Process>, Vec<Process>) = found()?
                .into_iter()
                .partition(|process| process.describe().contains(&program));
            let new: Vec<Process> = ours
                .into_iter()
                .filter(|process| held.insert(process.pid))
                .collect();
            new.iter().try_for_each(hold)?;
            let all_stand = new.is_empty();
            all.extend(new);
            if all_stand {
                all.extend(others);
                break;
            }
        }
        for process in &all {
            process.signal(Signal::KILL)?;
        }
        thaw(ids)?;
        for process in &all {
            ensure!(process.ends_within(PATIENCE)?, "{}", process.describe());
        }
        let left: Vec<String> = found()?.iter().map(Process::describe).collect();
        ensure!(left.is_empty(), "the power is off, and {left:?} run on");
        Ok(())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the tree is the case's own, and nothing is mounted below it in this namespace"
    )]
    fn lose_run_files(&self, ids: &[String]) -> Result<()> {
        fs::remove_dir_all(self.runroot()).context("remove the run root")?;
        each_cgroup(ids, |path| {
            fs::remove_dir(path).with_context(|| format!("remove {}", path.display()))
        })
    }
}

/// Calls for the cgroups of these containers, in every tree.
fn each_cgroup(ids: &[String], act: impl Fn(&Path) -> Result<()>) -> Result<()> {
    for root in cgroup_roots()? {
        for id in ids {
            let path = root.join(PARENT).join(id);
            if path.exists() {
                act(&path)?;
            }
        }
    }
    Ok(())
}

/// Lets frozen processes go on: only then do those of version 1 die.
fn thaw(ids: &[String]) -> Result<()> {
    each_cgroup(ids, |path| {
        let state = path.join("freezer.state");
        if state.exists() {
            write(&state, "THAWED")?;
        }
        Ok(())
    })
}
