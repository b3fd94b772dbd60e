//! An OCI runtime without isolation, for harnesses that call one thousands of times.
//!
//! Its containers are plain processes of the host in the control group that the specification names; their program is the host's of that
//! name. What it knows of a container lies in a directory below its `--root`. It is this program itself under the name
//! [`NAME`], so that nothing but a copy of a file has to be there.

mod process;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::process::Process;
use crate::harness::tree::{directory, remove, write};
use process::{Pipes, group_paths, init, make_process, stamp};

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
        // Nobody may be there any more who reads it.
        writeln!(std::io::stderr(), "{NAME}: {error:#}").ok();
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
        Ok(process.filter(|process| same && !process.ends_within(Duration::ZERO).unwrap_or(true)))
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
            first.ends_within(Duration::from_secs(10))?;
        }
        remove(&self.place(id)?)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Freeze {
    Yes,
    No,
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
