//! What a case works with: directories of its own, and `ctr` with these directories.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use super::case::{Runtime, Scale};
use super::leaks::{Before, MountScope, Place};
use super::output::Output;
use super::program::{Call, Running};
use super::terminal::{SIZE, Size, Terminal};
use super::tree::{MountPoints, directory, make_root, mode, remove, write};
use super::{process, wait};

/// The environment of one case.
pub(crate) struct Env {
    directory: PathBuf,
    /// The root directory that all cases share, read-only.
    shared: String,
    ctr: PathBuf,
    pub(crate) runtime: Runtime,
    pub(crate) scale: Scale,
    place: Place,
    before: Before,
    transcript: Mutex<Vec<String>>,
    made: AtomicUsize,
    /// What every call of `ctr` goes through: a program that executes its last arguments.
    through: Mutex<Vec<String>>,
}

impl Env {
    /// Makes the directories of a case.
    pub(crate) fn make(
        path: PathBuf,
        shared: &Path,
        ctr: &Path,
        runtime: Runtime,
        scale: Scale,
    ) -> Result<Env> {
        directory(&path, 0o755)?;
        let place = Place {
            root: path.join("root"),
            runroot: path.join("runroot"),
            marks: vec![text(&path)?],
            mounts: MountScope::All,
        };
        Ok(Env {
            shared: text(shared)?,
            ctr: ctr.to_path_buf(),
            runtime,
            scale,
            before: place.look()?,
            place,
            transcript: Mutex::default(),
            made: AtomicUsize::new(0),
            through: Mutex::default(),
            directory: path,
        })
    }

    /// A path in the directory of the case; nothing is there yet.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The same as text.
    pub(crate) fn name(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// A directory that a container has as `/out`, and the value of the `--volume` that comes with it.
    pub(crate) fn out(&self) -> Result<(PathBuf, String)> {
        let path = self.path("out");
        directory(&path, 0o777)?;
        let volume = format!("{}:/out", path.display());
        Ok((path, volume))
    }

    /// The words before a verb for a configuration file with this text.
    pub(crate) fn configured(&self, text: &str) -> Result<[String; 2]> {
        let file = self.path("ctr.toml");
        write(&file, text)?;
        mode(&file, 0o600)?;
        Ok(["--config".to_owned(), self.name("ctr.toml")])
    }

    /// The `--root` of the case.
    pub(crate) fn root(&self) -> &Path {
        &self.place.root
    }

    /// The `--runroot` of the case.
    pub(crate) fn runroot(&self) -> &Path {
        &self.place.runroot
    }

    /// The program under test.
    pub(crate) fn program(&self) -> &Path {
        &self.ctr
    }

    /// The value of `--rootfs` for an overlay over the shared root directory.
    pub(crate) fn rootfs(&self) -> String {
        format!("{}:O", self.shared)
    }

    /// The shared root directory itself.
    pub(crate) fn shared_root(&self) -> &Path {
        Path::new(&self.shared)
    }

    /// A root directory for this call alone.
    pub(crate) fn own_root(&self, mount_points: MountPoints) -> Result<PathBuf> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.path(&format!("rootfs-{number}"));
        make_root(&path, mount_points)?;
        Ok(path)
    }

    /// The global flags that every call of the case begins with, with or without the runtime's.
    fn globals(&self) -> Vec<String> {
        let root = self.place.root.to_string_lossy().into_owned();
        let runroot = self.place.runroot.to_string_lossy().into_owned();
        vec!["--root".to_owned(), root, "--runroot".to_owned(), runroot]
    }

    /// The words of a call of `ctr` on the case's directories, its runtime included.
    pub(crate) fn words(&self, arguments: &[&str]) -> Vec<String> {
        let through = self.through.lock().unwrap_or_else(PoisonError::into_inner);
        let mut words = through.clone();
        words.push(self.ctr.to_string_lossy().into_owned());
        words.extend(self.globals());
        // A call that chooses a runtime itself is not told one beforehand.
        if !arguments.iter().any(|word| word.starts_with("--runtime")) {
            words.extend(self.runtime.flags().iter().map(|word| (*word).to_owned()));
        }
        words.extend(arguments.iter().map(|word| (*word).to_owned()));
        words
    }

    /// A call of `ctr` on the case's directories, to be completed.
    pub(crate) fn call(&self, arguments: &[&str]) -> Call {
        let words = self.words(arguments);
        Call::new(&words[0]).args(&words[1..])
    }

    /// A call of `ctr` through a program that executes its last arguments.
    pub(crate) fn call_through(&self, before: &[&str], arguments: &[&str]) -> Call {
        Call::new(before[0])
            .args(&before[1..])
            .args(self.words(arguments))
    }

    /// Has every call of `ctr` from now on go through a program that executes its last arguments.
    pub(crate) fn go_through(&self, words: &[&str]) {
        let mut through = self.through.lock().unwrap_or_else(PoisonError::into_inner);
        *through = words.iter().map(|word| (*word).to_owned()).collect();
    }

    /// Runs `ctr`.
    pub(crate) fn ctr(&self, arguments: &[&str]) -> Result<Output> {
        self.finish(self.call(arguments))
    }

    /// Runs a call and remembers it for the report of a failure.
    pub(crate) fn finish(&self, call: Call) -> Result<Output> {
        let result = call.output();
        let line = match &result {
            Ok(output) => output.to_string(),
            Err(error) => format!("{error:#}"),
        };
        let mut transcript = self
            .transcript
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        transcript.push(line);
        result
    }

    /// The words of `ctr run --rm` over the shared root directory.
    pub(crate) fn run_words<'a>(&self, flags: &[&'a str], command: &[&'a str]) -> Vec<String> {
        let mut words = vec!["run".to_owned(), "--rm".to_owned()];
        words.extend(flags.iter().map(|word| (*word).to_owned()));
        words.extend(["--rootfs".to_owned(), self.rootfs()]);
        words.extend(command.iter().map(|word| (*word).to_owned()));
        words
    }

    /// `ctr run --rm` over the shared root directory.
    pub(crate) fn run(&self, flags: &[&str], command: &[&str]) -> Result<Output> {
        let words = self.run_words(flags, command);
        self.ctr(&refs(&words))
    }

    /// The same, started only.
    pub(crate) fn start_run(&self, flags: &[&str], command: &[&str]) -> Result<Running> {
        let words = self.run_words(flags, command);
        self.call(&refs(&words)).open_stdin().spawn()
    }

    /// `ctr` in a terminal of its own.
    pub(crate) fn terminal(&self, arguments: &[&str], size: Size) -> Result<Terminal> {
        Terminal::start(&self.words(arguments), size)
    }

    /// `ctr run --rm -i -t` over the shared root directory, in a terminal of its own.
    pub(crate) fn run_terminal(&self, flags: &[&str], command: &[&str]) -> Result<Terminal> {
        let mut all = vec!["-i", "-t"];
        all.extend(flags);
        let words = self.run_words(&all, command);
        self.terminal(&refs(&words), SIZE)
    }

    /// Creates a container of this name over the shared root directory; gives its id.
    pub(crate) fn create(&self, name: &str, flags: &[&str], command: &[&str]) -> Result<String> {
        let rootfs = self.rootfs();
        let mut words = vec!["create", "--name", name];
        words.extend(flags);
        words.extend(["--rootfs", &rootfs]);
        words.extend(command);
        self.ctr(&words)?.id()
    }

    /// Starts a container of this name that runs a shell script beside us; gives its id. It is killed at once when stopped.
    pub(crate) fn detached(&self, name: &str, flags: &[&str], script: &str) -> Result<String> {
        let rootfs = self.rootfs();
        let mut words = vec!["run", "-d", "--name", name, "--stop-timeout", "0"];
        words.extend(flags);
        words.extend(["--rootfs", &rootfs, "sh", "-c", script]);
        self.ctr(&words)?.id()
    }

    /// Removes a container, running or not.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        self.ctr(&["rm", "-f", name])?.prints(&format!("{name}\n"))
    }

    /// What `inspect` says of one container.
    pub(crate) fn inspect(&self, name: &str) -> Result<Value> {
        let text = self.ctr(&["inspect", name])?.ok()?;
        let value: Value = serde_json::from_str(&text).context("read what inspect prints")?;
        let list = value.as_array().context("inspect prints no array")?;
        ensure!(list.len() == 1, "inspect of one container prints {list:?}");
        Ok(list[0].clone())
    }

    /// The status of a container, in the words of users.
    pub(crate) fn status(&self, name: &str) -> Result<String> {
        let value = self.inspect(name)?;
        let status = value["State"]["Status"].as_str();
        Ok(status.context("inspect has no status")?.to_owned())
    }

    /// Waits until a container that has ended is cleaned up: its monitor sees to that.
    pub(crate) fn wait_for_cleanup(&self, name: &str) -> Result<()> {
        wait::until(&format!("the cleanup of {name}"), || {
            Ok((self.status(name)? == "exited").then_some(()))
        })
    }

    /// A number in the state of a container.
    pub(crate) fn state_number(&self, name: &str, key: &str) -> Result<i32> {
        let value = self.inspect(name)?;
        let number = value["State"][key].as_i64();
        let number = number.with_context(|| format!("inspect has no State.{key}"))?;
        Ok(i32::try_from(number)?)
    }

    /// Waits until the log of a container has the text; gives the log's standard output.
    pub(crate) fn wait_for_log(&self, name: &str, expected: &str) -> Result<String> {
        wait::until(&format!("{expected:?} in the log of {name}"), || {
            let log = self.ctr(&["logs", name])?.out();
            Ok(log.contains(expected).then_some(log))
        })
    }

    /// The ids of all containers.
    pub(crate) fn ids(&self) -> Result<Vec<String>> {
        let list = self.ctr(&["ps", "-a", "-q", "--no-trunc"])?.ok()?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// The leak check: what of this case is still on the machine?
    pub(crate) fn check_leaks(&self) -> Result<()> {
        let rows = self.ids()?;
        let mut leaks: Vec<String> = rows.iter().map(|id| format!("container {id}")).collect();
        leaks.extend(self.place.leaks(&self.before)?);
        ensure!(
            leaks.is_empty(),
            "left behind:\n    {}",
            leaks.join("\n    ")
        );
        Ok(())
    }

    /// The same in the middle of a case, for one that wants to know which of many steps leaves something.
    pub(crate) fn check_leaks_after(&self, step: &str) -> Result<()> {
        self.check_leaks().with_context(|| format!("after {step}"))
    }

    /// Removes what a failed case left, as far as it goes, so that the next ones are not disturbed.
    pub(crate) fn rescue(&self) {
        for id in self.ids().unwrap_or_default() {
            self.ctr(&["rm", "-f", &id]).ok();
        }
        for process in process::marked(&self.place.marks).unwrap_or_default() {
            process.signal(Signal::CONT).ok();
            process.signal(Signal::KILL).ok();
            process.ends_within(wait::PATIENCE).ok();
        }
        self.place.clear(&self.before);
    }

    /// Removes the directory of the case.
    pub(crate) fn discard(self) -> Result<()> {
        remove(&self.directory)
    }

    /// The last calls, for the report of a failure.
    pub(crate) fn transcript(&self) -> Vec<String> {
        const MOST: usize = 12;
        let lines = self
            .transcript
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        lines[lines.len().saturating_sub(MOST)..].to_vec()
    }
}

/// Words as the calls take them.
pub(crate) fn refs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().context("a path of the tests is no text")?;
    Ok(text.to_owned())
}
