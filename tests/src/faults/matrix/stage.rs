//! Where one point is tried: an engine's directories of its own, and what is on the machine because of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::operations::{Before, CREATE, NAME, ROOTFS, RUN_ALWAYS, RUN_BRIEFLY};
use super::record::Outcome;
use crate::harness::leaks::{Before as Found, MountScope, Place};
use crate::harness::machine::container_cgroups;
use crate::harness::output::Output;
use crate::harness::process::marked;
use crate::harness::program::Call;
use crate::harness::tree::{directory, remove, write};
use crate::harness::wait;

/// A command that takes longer hangs.
const HANGS: Duration = Duration::from_secs(40);

/// Puts a file with another boot id in the place of the kernel's, in a mount namespace of its own, and goes on with its arguments.
const PUT: &str = "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"";

/// Something that must not be, as an error.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) outcome: Outcome,
    pub(crate) what: String,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.outcome.name(), self.what)
    }
}

impl std::error::Error for Trouble {}

/// The error for something that must not be.
pub(crate) fn trouble(outcome: Outcome, what: impl Into<String>) -> Error {
    let what = what.into();
    Error::new(Trouble { outcome, what })
}

/// What all points share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) ctr: PathBuf,
    /// The value of `--rootfs`.
    pub(crate) rootfs: String,
    /// The flags that choose the runtime.
    pub(crate) runtime: Vec<String>,
}

/// The place of one point.
pub(crate) struct Stage<'a> {
    common: &'a Common,
    directory: PathBuf,
    place: Place,
    found: Found,
    /// What every command goes through.
    through: Vec<String>,
    /// The ids of containers that were seen.
    ids: BTreeSet<String>,
}

/// What `ps` says of the container, or `inspect`.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) status: String,
    pub(crate) pid: i32,
}

impl<'a> Stage<'a> {
    /// Makes the directories.
    pub(crate) fn new(common: &'a Common, path: PathBuf) -> Result<Stage<'a>> {
        directory(&path, 0o755)?;
        let place = Place {
            root: path.join("root"),
            runroot: path.join("runroot"),
            marks: vec![path.to_string_lossy().into_owned()],
            mounts: MountScope::All,
        };
        Ok(Stage {
            common,
            found: Found::of_mounts()?,
            place,
            directory: path,
            through: Vec::new(),
            ids: BTreeSet::new(),
        })
    }

    /// The words of a command on these directories.
    pub(crate) fn words(&self, words: &[&str]) -> Vec<String> {
        let mut all = self.through.clone();
        all.push(self.common.ctr.to_string_lossy().into_owned());
        for (flag, path) in [
            ("--root", &self.place.root),
            ("--runroot", &self.place.runroot),
        ] {
            all.push(flag.to_owned());
            all.push(path.to_string_lossy().into_owned());
        }
        all.extend(self.common.runtime.iter().cloned());
        all.extend(words.iter().map(|word| {
            let word = if *word == ROOTFS {
                &self.common.rootfs
            } else {
                *word
            };
            word.to_owned()
        }));
        all
    }

    /// Runs a command to its end; one that hangs is a trouble.
    pub(crate) fn ctr(&self, words: &[&str]) -> Result<Output> {
        let words = self.words(words);
        let running = Call::new(&words[0]).args(&words[1..]).spawn()?;
        if !running.ends_within(HANGS)? {
            running.signal(Signal::KILL)?;
            let output = running.finish()?;
            return Err(trouble(Outcome::Wedged, format!("it hangs: {output}")));
        }
        running.finish()
    }

    /// A command that must succeed.
    pub(crate) fn must(&self, words: &[&str]) -> Result<Output> {
        let output = self.ctr(words)?;
        if output.code == 0 {
            return Ok(output);
        }
        Err(trouble(Outcome::Wedged, format!("it fails: {output}")))
    }

    /// Makes the scene.
    pub(crate) fn set(&mut self, before: Before) -> Result<()> {
        match before {
            Before::Nothing => {}
            Before::Created => self.each(&[CREATE])?,
            Before::Initialized => self.each(&[CREATE, &["init", NAME]])?,
            Before::Running => self.each(&[CREATE, &["start", NAME]])?,
            Before::Paused => self.each(&[CREATE, &["start", NAME], &["pause", NAME]])?,
            Before::Exited => {
                self.each(&[CREATE, &["start", NAME], &["stop", NAME]])?;
            }
            Before::Ending => self.each(&[RUN_BRIEFLY])?,
            Before::Rebooted => {
                self.each(&[RUN_ALWAYS])?;
                self.note_ids();
                self.reboot()?;
            }
        }
        self.note_ids();
        Ok(())
    }

    fn each(&self, commands: &[&[&str]]) -> Result<()> {
        for words in commands {
            let output = self.ctr(words)?;
            ensure!(output.code == 0, "the scene cannot be set: {output}");
        }
        Ok(())
    }

    /// The machine loses its power, and what is in memory.
    #[expect(
        clippy::disallowed_methods,
        reason = "the tree is the point's own, and nothing is mounted below it in this namespace"
    )]
    fn reboot(&mut self) -> Result<()> {
        self.end_processes()?;
        fs::remove_dir_all(&self.place.runroot).context("remove the run root")?;
        self.remove_cgroups();
        let file = self.directory.join("boot-id");
        write(&file, "00000000-0000-4000-8000-000000000001\n")?;
        let file = file.to_string_lossy().into_owned();
        self.through = ["unshare", "--mount", "sh", "-c", PUT]
            .map(str::to_owned)
            .to_vec();
        self.through.push(file);
        Ok(())
    }

    /// Kills all processes; those of ours first, where they stand, so that they see nothing of it.
    fn end_processes(&self) -> Result<()> {
        for signal in [Signal::STOP, Signal::KILL] {
            for process in marked(&self.place.marks)? {
                process.signal(signal)?;
            }
        }
        for process in marked(&self.place.marks)? {
            process.signal(Signal::CONT)?;
            process.signal(Signal::KILL)?;
            ensure!(
                process.ends_within(wait::PATIENCE)?,
                "{}",
                process.describe()
            );
        }
        Ok(())
    }

    /// Remembers an id, to look for its control groups.
    pub(crate) fn note_id(&mut self, id: &str) {
        self.ids.insert(id.to_owned());
    }

    /// Remembers the ids of all that is there.
    pub(crate) fn note_ids(&mut self) {
        for place in [
            self.place.root.join("containers"),
            self.place.runroot.join("run"),
            self.place.runroot.join("locks"),
        ] {
            for entry in fs::read_dir(place).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                self.ids.extend(ids_in(&name));
            }
        }
    }

    /// What `ps` says of all containers, by name.
    pub(crate) fn list(&self) -> Result<Vec<(String, Seen)>> {
        let output = self.must(&["ps", "-a", "--format", "json"])?;
        let list: Value = serde_json::from_str(&output.out())
            .map_err(|error| trouble(Outcome::Wrong, format!("{error}: {output}")))?;
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(list
            .iter()
            .map(|row| {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let seen = Seen {
                    status: text(&row["State"]),
                    pid: row["Pid"]
                        .as_i64()
                        .and_then(|pid| pid.try_into().ok())
                        .unwrap_or(0),
                };
                (text(&row["Names"][0]), seen)
            })
            .collect())
    }

    /// Whether it is the first process of a container, as the runtime has told.
    pub(crate) fn is_first_process(&self, pid: i32) -> bool {
        let entries = fs::read_dir(self.place.runroot.join("run"));
        entries.into_iter().flatten().flatten().any(|entry| {
            let text = fs::read_to_string(entry.path().join("pid")).unwrap_or_default();
            text.trim() == pid.to_string()
        })
    }

    /// The monitor of the container, if it has one.
    pub(crate) fn monitor(&self) -> Result<Option<i32>> {
        let output = self.ctr(&["inspect", NAME])?;
        if output.code != 0 {
            return Ok(None);
        }
        let value: Value = serde_json::from_str(&output.out())?;
        let pid = value[0]["State"]["ConmonPid"].as_i64().unwrap_or(0);
        Ok(i32::try_from(pid).ok().filter(|pid| *pid > 0))
    }

    /// What stays although there is no container any more.
    pub(crate) fn leaks(&mut self) -> Result<Vec<String>> {
        self.note_ids();
        let mut leaks = self.place.leaks_but_cgroups(&self.found)?;
        // A group goes a moment after its last process.
        let left = || -> Result<Vec<PathBuf>> { Ok(self.cgroups()) };
        let gone = wait::within(Duration::from_secs(5), || {
            Ok(left()?.is_empty().then_some(()))
        })?;
        if gone.is_none() {
            leaks.extend(
                left()?
                    .iter()
                    .map(|path| format!("cgroup {}", path.display())),
            );
        }
        Ok(leaks)
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        container_cgroups()
            .unwrap_or_default()
            .into_iter()
            .filter(|(name, _)| ids_in(name).iter().any(|id| self.ids.contains(id)))
            .flat_map(|(_, paths)| paths)
            .collect()
    }

    fn remove_cgroups(&self) {
        for path in self.cgroups() {
            for child in crate::harness::machine::directories(&path) {
                fs::remove_dir(child).ok();
            }
            fs::remove_dir(path).ok();
        }
    }

    /// Takes everything away, whatever was left.
    pub(crate) fn clear(mut self) {
        self.note_ids();
        self.thaw();
        self.end_processes().ok();
        self.remove_cgroups();
        self.place.unmount_new(&self.found);
        remove(&self.directory).ok();
    }

    fn thaw(&self) {
        for path in self.cgroups() {
            for (file, word) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
                if path.join(file).exists() {
                    write(&path.join(file), word).ok();
                }
            }
        }
    }

    /// A text without what is different in each run: where the point lies, and the ends of ids.
    pub(crate) fn brief(&self, text: &str) -> String {
        let here = format!("{}/", self.directory.display());
        let above = self.directory.parent().unwrap_or(&self.directory);
        let mut text = text
            .replace(&here, "")
            .replace(&format!("{}/", above.display()), "")
            .replace(&*self.common.ctr.to_string_lossy(), "ctr");
        for id in ids_in(&text) {
            text = text.replace(&id, &id[..12]);
        }
        text
    }

    /// Removes the directory; everything else is gone.
    pub(crate) fn discard(self) -> Result<()> {
        remove(&self.directory)
    }
}

/// The ids of containers in a text.
pub(crate) fn ids_in(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_ascii_hexdigit())
        .filter(|run| run.len() == 64)
        .map(str::to_owned)
        .collect()
}

/// The path below which the points of a run lie.
pub(crate) fn place_of(base: &Path, number: u64) -> PathBuf {
    base.join(format!("p{number:05}"))
}
