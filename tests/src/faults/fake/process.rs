//! The processes of the fake runtime: how they are made, wait and are recorded, and their control groups.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Error, Result, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Pid, Signal, set_parent_process_death_signal};
use serde_json::Value;

use super::{INIT, NAME};
use crate::harness::machine::cgroup_roots;
use crate::harness::tree::write;

/// A process that is not its program yet: it dies with the runtime until that has recorded it, as those of real runtimes do, then says that
/// it is ready, waits for its start, and becomes the program.
pub(super) fn init(parent: &str, pipes: &Path, command: &[String]) -> Error {
    if let Err(error) = Pipes::of(pipes).wait_for_start(parent) {
        return error;
    }
    let Some((name, rest)) = command.split_first() else {
        return Error::msg("no program");
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "it becomes the container's program, with the environment that it was given"
    )]
    let error = Command::new(name).args(rest).exec();
    Error::new(error).context(format!("execute {name}"))
}

/// Starts a process, which is in the group and recorded when this returns, and waits for its start.
pub(super) fn make_process(place: &Path, group: &str, process: &Value) -> Result<(i32, Pipes)> {
    let pipes = Pipes::of(place);
    pipes.make()?;
    let groups = make_group(group)?;
    let own = std::env::current_exe().context("find the fake")?;
    let child = program(&own)
        .arg0(NAME)
        .args([INIT, &std::process::id().to_string()])
        .arg(place)
        .args(arguments(process)?)
        .envs(variables(process))
        .spawn()
        .context("start a process")?;
    let pid = i32::try_from(child.id())?;
    let ready = open(&pipes.ready, OFlags::RDWR)?;
    wait_for(&ready, pid)?;
    enter(&groups, pid)?;
    write(&place.join("init"), &stamp(pid)?)?;
    pipes.start()?;
    wait_for(&ready, pid)?;
    Ok((pid, pipes))
}

/// The named pipes between the runtime and a process that is not its program yet.
pub(super) struct Pipes {
    /// A byte lets the process go on.
    gate: PathBuf,
    /// A byte says that the process has come to the next wait.
    ready: PathBuf,
}

impl Pipes {
    pub(super) fn of(place: &Path) -> Pipes {
        Pipes {
            gate: place.join("gate"),
            ready: place.join("ready"),
        }
    }

    fn make(&self) -> Result<()> {
        for pipe in [&self.gate, &self.ready] {
            rustix::fs::mkfifoat(CWD, pipe, Mode::from_raw_mode(0o600)).context("make a pipe")?;
        }
        Ok(())
    }

    /// Lets the process go on that waits.
    pub(super) fn start(&self) -> Result<()> {
        let gate = open(&self.gate, OFlags::WRONLY | OFlags::NONBLOCK)?;
        rustix::io::write(gate, b"s").context("let a process go on")?;
        Ok(())
    }

    /// In the process.
    fn wait_for_start(&self, parent: &str) -> Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL)).context("die with the runtime")?;
        let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
        ensure!(now.as_deref() == Some(parent), "the runtime has ended");
        // Open for both, so that the open itself waits for nobody.
        let gate = open(&self.gate, OFlags::RDWR)?;
        let ready = open(&self.ready, OFlags::RDWR)?;
        rustix::io::write(&ready, b"r").context("say that it is there")?;
        rustix::io::read(&gate, &mut [0_u8]).context("wait until it is recorded")?;
        set_parent_process_death_signal(None).context("outlive the runtime")?;
        rustix::io::write(&ready, b"r").context("say that it is ready")?;
        rustix::io::read(&gate, &mut [0_u8]).context("wait for the start")?;
        Ok(())
    }
}

/// Waits until a process says something, or has ended.
fn wait_for(ready: &OwnedFd, pid: i32) -> Result<()> {
    let process = Pid::from_raw(pid).context("a pid is not zero")?;
    let process = rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty())?;
    let mut fds = [
        PollFd::new(ready, PollFlags::IN),
        PollFd::new(&process, PollFlags::IN),
    ];
    poll(&mut fds, None).context("wait for a process")?;
    ensure!(
        fds[0].revents().contains(PollFlags::IN),
        "the process has ended"
    );
    rustix::io::read(ready, &mut [0_u8]).context("hear of a process")?;
    Ok(())
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd> {
    let opened = rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
    opened.with_context(|| format!("open {}", path.display()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a runtime starts processes, with the streams that it was given"
)]
fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
    command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit());
    command
}

/// The pid, with the time of the start, which makes it one process's own.
pub(super) fn stamp(pid: i32) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = text.rsplit(')').next().unwrap_or_default();
    // Field 22 of proc(5); the first one after the name is the third.
    let time = after_name.split_whitespace().nth(19).context("no time")?;
    Ok(format!("{pid} {time}"))
}

pub(super) fn group_paths(group: &str) -> Result<Vec<PathBuf>> {
    let group = group.trim_start_matches('/');
    let roots = cgroup_roots()?;
    Ok(roots.iter().map(|root| root.join(group)).collect())
}

/// Makes the group in every tree, one level after the other: a group of cpusets can be entered once it has been given what its parent has.
fn make_group(group: &str) -> Result<Vec<PathBuf>> {
    let paths = group_paths(group)?;
    for root in cgroup_roots()? {
        let mut path = root;
        for name in group.split('/').filter(|name| !name.is_empty()) {
            let parent = path.clone();
            path.push(name);
            match fs::create_dir(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(error).with_context(|| format!("make {}", path.display()));
                }
                Ok(()) | Err(_) => {}
            }
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let (own, above) = (path.join(file), parent.join(file));
                if fs::read_to_string(&own).is_ok_and(|text| text.trim().is_empty())
                    && !path.join("cgroup.type").exists()
                {
                    write(&own, &fs::read_to_string(above)?)?;
                }
            }
        }
    }
    Ok(paths)
}

fn enter(groups: &[PathBuf], pid: i32) -> Result<()> {
    for group in groups {
        write(&group.join("cgroup.procs"), &pid.to_string())?;
    }
    Ok(())
}

fn strings(value: &Value) -> Vec<String> {
    let words = value.as_array().map(Vec::as_slice).unwrap_or_default();
    words
        .iter()
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}

fn arguments(process: &Value) -> Result<Vec<String>> {
    let words = strings(&process["args"]);
    ensure!(!words.is_empty(), "no program");
    Ok(words)
}

fn variables(process: &Value) -> Vec<(String, String)> {
    strings(&process["env"])
        .iter()
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
