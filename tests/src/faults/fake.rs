//! An OCI runtime without isolation, for harnesses that call one thousands of times.
//!
//! Its containers are plain processes of the host in the control group that the specification names; their program is the host's of that
//! name. What it knows of a container lies in a directory below its `--root`. It is this program itself under the name
//! [`NAME`], so that nothing but a copy of a file has to be there.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Error, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Pid, Signal, set_parent_process_death_signal};
use serde_json::Value;

use crate::harness::machine::cgroup_roots;
use crate::harness::process::Process;
use crate::harness::tree::{directory, remove, write};

/// The name of the program.
pub(crate) const NAME: &str = "fake-runtime";

/// The word under which it is a container's first process.
const INIT: &str = "init";

/// Plays the runtime if this program was called by its name; the exit code.
pub(crate) fn play(words: &[String]) -> Option<u8> {
    let [program, rest @ ..] = words else {
        return None;
    };
    if Path::new(program).file_name()? != NAME {
        return None;
    }
    if let [word, parent, pipes, command @ ..] = rest
        && word == INIT
    {
        let error = init(parent, Path::new(pipes), command);
        eprintln!("{NAME}: {error:#}");
        return Some(127);
    }
    let call = Call { words: rest };
    let Err(error) = call.act() else {
        return Some(0);
    };
    call.log(&format!("{error:#}"));
    Some(1)
}

struct Call<'a> {
    words: &'a [String],
}

impl Call<'_> {
    fn option(&self, name: &str) -> Result<&Path> {
        let place = self.words.iter().position(|word| word == name);
        let value = place.and_then(|place| self.words.get(place + 1));
        Ok(Path::new(value.with_context(|| format!("no {name}"))?))
    }

    /// What went wrong, where the engine looks for it.
    fn log(&self, message: &str) {
        let line = serde_json::json!({ "level": "error", "msg": message });
        let file = self.option("--log").and_then(|path| {
            let file = fs::File::options().append(true).open(path);
            file.context("open the log")
        });
        if let Ok(mut file) = file {
            // Its exit code says it as well.
            file.write_all(format!("{line}\n").as_bytes()).ok();
        }
    }

    fn act(&self) -> Result<()> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["--version"] => say("fake-runtime version 1.0\n"),
            ["features"] => bail!("none"),
            ["--root", _, "--log", _, "--log-format", _, verb, .., last] => match *verb {
                "create" => self.create(last),
                "start" => self.start(last),
                "state" => self.state(last),
                "kill" => self.kill(),
                "exec" => self.exec(last),
                "pause" => self.freeze(last, Freeze::Yes),
                "resume" => self.freeze(last, Freeze::No),
                "delete" => self.delete(last),
                other => bail!("the fake knows no {other}"),
            },
            _ => bail!("wrong usage"),
        }
    }

    fn place(&self, id: &str) -> Result<PathBuf> {
        Ok(self.option("--root")?.join(id))
    }

    fn create(&self, id: &str) -> Result<()> {
        let spec = json(&self.option("--bundle")?.join("config.json"))?;
        let group = spec["linux"]["cgroupsPath"].as_str();
        let group = group.context("no control group")?;
        let place = self.place(id)?;
        ensure!(!place.exists(), "container {id} exists");
        directory(&place, 0o700)?;
        write(&place.join("group"), group)?;
        let (pid, _) = make_process(&place, group, &spec["process"])?;
        write(self.option("--pid-file")?, &pid.to_string())
    }

    /// The first process, unless it has ended.
    fn first(&self, id: &str) -> Result<Option<Process>> {
        let text = fs::read_to_string(self.place(id)?.join("init"));
        let text = text.with_context(|| format!("container {id} does not exist"))?;
        let pid = text.split(' ').next().unwrap_or_default().parse()?;
        let process = Process::open(pid)?;
        // A zombie has a start time, too.
        let same = stamp(pid).is_ok_and(|now| now == text);
        Ok(process.filter(|process| {
            same && !process
                .ends_within(std::time::Duration::ZERO)
                .unwrap_or(true)
        }))
    }

    fn start(&self, id: &str) -> Result<()> {
        let first = self.first(id)?;
        ensure!(first.is_some(), "the container does not run");
        Pipes::of(&self.place(id)?).start()
    }

    fn state(&self, id: &str) -> Result<()> {
        let first = self.first(id)?;
        let status = match &first {
            None => "stopped",
            Some(_) if self.is_frozen(id)? => "paused",
            Some(_) => "running",
        };
        let answer = serde_json::json!({
            "ociVersion": "1.2.0", "id": id, "status": status, "bundle": "/",
            "pid": first.map_or(0, |process| process.pid),
        });
        say(&answer.to_string())
    }

    fn kill(&self) -> Result<()> {
        let [.., id, number] = self.words else {
            bail!("wrong usage");
        };
        let first = self.first(id)?.context("the container does not run")?;
        let signal = Signal::from_named_raw(number.parse()?).context("no such signal")?;
        first.signal(signal)
    }

    fn exec(&self, id: &str) -> Result<()> {
        ensure!(self.first(id)?.is_some(), "the container does not run");
        let process = json(self.option("--process")?)?;
        let place = self.place(id)?;
        let group = fs::read_to_string(place.join("group"))?;
        let pipes = place.join(format!("exec-{}", std::process::id()));
        directory(&pipes, 0o700)?;
        let (pid, pipes) = make_process(&pipes, &group, &process)?;
        write(self.option("--pid-file")?, &pid.to_string())?;
        pipes.start()
    }

    /// The file of a freezer, and what it says when frozen and when not.
    fn freezer(&self, id: &str) -> Result<(PathBuf, [&'static str; 2])> {
        let group = fs::read_to_string(self.place(id)?.join("group"))?;
        for path in group_paths(&group)? {
            for (name, words) in [
                ("freezer.state", ["FROZEN", "THAWED"]),
                ("cgroup.freeze", ["1", "0"]),
            ] {
                let file = path.join(name);
                if file.exists() {
                    return Ok((file, words));
                }
            }
        }
        bail!("no freezer")
    }

    fn is_frozen(&self, id: &str) -> Result<bool> {
        let Ok((file, words)) = self.freezer(id) else {
            return Ok(false);
        };
        Ok(fs::read_to_string(file)?.trim() == words[0])
    }

    fn freeze(&self, id: &str, freeze: Freeze) -> Result<()> {
        let (file, words) = self.freezer(id)?;
        let word = words[usize::from(freeze == Freeze::No)];
        write(&file, word)?;
        // The kernel may need some attempts while processes are busy.
        while fs::read_to_string(&file)?.trim() != word {
            write(&file, word)?;
        }
        Ok(())
    }

    fn delete(&self, id: &str) -> Result<()> {
        if let Some(first) = self.first(id)? {
            ensure!(
                self.words.iter().any(|word| word == "--force"),
                "the container runs"
            );
            first.signal(Signal::KILL)?;
            first.ends_within(std::time::Duration::from_secs(10))?;
        }
        remove(&self.place(id)?)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Freeze {
    Yes,
    No,
}

/// A process that is not its program yet: it dies with the runtime until that has recorded it, as those of real runtimes do, then says that
/// it is ready, waits for its start, and becomes the program.
fn init(parent: &str, pipes: &Path, command: &[String]) -> Error {
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
fn make_process(place: &Path, group: &str, process: &Value) -> Result<(i32, Pipes)> {
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
struct Pipes {
    /// A byte lets the process go on.
    gate: PathBuf,
    /// A byte says that the process has come to the next wait.
    ready: PathBuf,
}

impl Pipes {
    fn of(place: &Path) -> Pipes {
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
    fn start(&self) -> Result<()> {
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

fn say(text: &str) -> Result<()> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("answer")
}

fn json(path: &Path) -> Result<Value> {
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|mut file| file.read_to_string(&mut text))
        .with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("read {}", path.display()))
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

/// The pid, with the time of the start, which makes it one process's own.
fn stamp(pid: i32) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = text.rsplit(')').next().unwrap_or_default();
    // Field 22 of proc(5); the first one after the name is the third.
    let time = after_name.split_whitespace().nth(19).context("no time")?;
    Ok(format!("{pid} {time}"))
}

fn group_paths(group: &str) -> Result<Vec<PathBuf>> {
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
