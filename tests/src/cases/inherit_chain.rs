//! Inheritance all the way down: whoever calls, a monitor, its keeper, the writer of its log, a command that cleans up, a runtime, the
//! container, and what is executed in it are the same in every respect that can be seen.
//!
//! There are no hooks to look at: the command line has no way to ask for one. Limits of resources, the nice value and the adjustment of the
//! out-of-memory score are the caller's on purpose: whoever limits a command limits what comes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::inherit::{Canary, SECRET};
use super::policies::BackOff;
use crate::harness::base::find;
use crate::harness::case::{Runtime, cases};
use crate::harness::env::{Env, refs};
use crate::harness::process::{descriptors, directory};
use crate::harness::reboot::RunFiles;
use crate::harness::tree::{self, MountPoints, write, write_program};

cases! {
    Core from_a_directory_that_is_gone,
    Full from_a_directory_of_a_user,
    Full from_a_root_directory,
    Full a_policy_starts_it_again,
    Full a_boot_starts_it_again,
}

/// Leads to a directory that is not there any more.
const GONE: &str = "mkdir -p gone && cd gone && rmdir ../gone";

/// What a process in the container sees of itself and of the first one.
const LOOK: &str = "pwd; umask; cd /proc/$$; ls fd; cat environ; \
    grep -E '^(Groups|Sig[BIC]|Cap|Seccomp|NoNew)' status; cd /proc/1; ls fd; cat environ cmdline; echo; echo over";

/// What can be seen of processes, by what they are.
type Seen = BTreeMap<String, String>;

/// A runtime that notes down what it got, each time it is called, and goes on as the real one.
struct Recorder {
    directory: PathBuf,
    program: String,
}

impl Recorder {
    fn make(env: &Env) -> Result<Recorder> {
        let behind = match env.runtime {
            Runtime::Builtin => format!("{} oci-runtime", env.program().display()),
            other @ (Runtime::Runc | Runtime::Crun) => find(other.name())?.display().to_string(),
        };
        let directory = env.path("records");
        let path = env.path("recording-runtime");
        // The shell itself changes nothing of what the kernel shows of it but the file that it reads, and its blocked signals while it forks.
        let text = format!(
            "#!/bin/sh\n\
             own=/proc/$$ to={}/$$\n\
             mkdir $to\n\
             while read -r line; do echo \"$line\"; done < $own/status > $to/status\n\
             for file in environ cmdline; do cat $own/$file > $to/$file; done\n\
             readlink $own/cwd > $to/cwd\n\
             for fd in $own/fd/*; do readlink $fd; done > $to/fds\n\
             exec {behind} \"$@\"\n",
            directory.display()
        );
        write_program(&path, &text)?;
        let program = path.to_string_lossy().into_owned();
        Ok(Recorder { directory, program })
    }

    fn begin(&self) -> Result<()> {
        tree::directory(&self.directory, 0o755)
    }

    /// What calls got, by verb.
    fn end(&self, seen: &mut Seen) -> Result<()> {
        let mut calls: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for entry in fs::read_dir(&self.directory).context("list the records")? {
            let directory = entry.context("a record")?.path();
            let read = |file: &str| {
                let bytes = fs::read(directory.join(file)).with_context(|| file.to_owned());
                bytes.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', "\n"))
            };
            let words = read("cmdline")?;
            let known = ["create", "start", "state", "kill", "delete", "exec"];
            let verb = words.lines().find(|word| known.contains(word));
            let verb = verb.unwrap_or("another verb").to_owned();
            let files = [words, read("environ")?, read("cwd")?];
            let text = [
                &files.concat(),
                &sorted(read("fds")?.lines()),
                &fields(&read("status")?),
            ]
            .map(String::as_str)
            .concat();
            calls
                .entry(verb)
                .or_default()
                .insert(without_numbers(&text));
        }
        for verb in ["create", "start", "delete", "exec"] {
            let called = calls.contains_key(verb);
            ensure!(called, "nobody called the runtime's {verb}");
        }
        for (verb, texts) in calls {
            let texts: String = texts.into_iter().collect();
            seen.insert(format!("runtime's {verb}"), texts);
        }
        tree::remove(&self.directory)
    }
}

fn sorted<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut lines: Vec<&str> = lines.collect();
    lines.sort_unstable();
    lines.join("\n") + "\n"
}

/// What a caller could change, of `/proc/PID/status`.
fn fields(status: &str) -> String {
    const KEYS: [&str; 7] = [
        "Umask:",
        "Groups:",
        "SigBlk:",
        "SigIgn:",
        "SigCgt:",
        "Cap",
        "NoNewPrivs:",
    ];
    let wanted = |line: &&str| KEYS.iter().any(|key| line.starts_with(key));
    status
        .lines()
        .filter(wanted)
        .flat_map(|line| [line, "\n"])
        .collect()
}

/// The same without ids, the numbers of pipes and sockets, and those in names of files.
fn without_numbers(text: &str) -> String {
    let word = |word: &str| -> String {
        let ids = word.split(|letter: char| !letter.is_ascii_hexdigit());
        let ids = ids.filter(|part| part.len() == 64);
        let mut word = ids.fold(word.to_owned(), |word, id| word.replace(id, "ID"));
        if word.starts_with('/') {
            word.retain(|letter| !letter.is_ascii_digit());
        }
        match word.split_once(":[") {
            Some((kind, _)) => kind.to_owned(),
            None => word,
        }
    };
    text.lines()
        .flat_map(|line| [word(line), "\n".to_owned()])
        .collect()
}

/// What can be seen of a process of ours, or of the container.
fn of_process(pid: i32) -> Result<String> {
    let file = |name: &str| {
        let bytes = fs::read(directory(pid).join(name)).with_context(|| name.to_owned());
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', "\n"))
    };
    let targets: Vec<String> = descriptors(pid)
        .iter()
        .map(|(_, target)| target.display().to_string())
        .collect();
    let cwd = fs::read_link(directory(pid).join("cwd")).context("cwd")?;
    let text = [
        file("cmdline")?,
        file("environ")?,
        format!("{}\n", cwd.display()),
        sorted(targets.iter().map(String::as_str)),
        fields(&file("status")?),
    ];
    Ok(without_numbers(&text.concat()))
}

/// All processes beside a container that runs and rests.
fn beside(env: &Env, name: &str, canary: Option<&Canary>, seen: &mut Seen) -> Result<()> {
    let (monitor, keeper) = (env.monitor(name)?, env.keeper(name)?);
    let first = env.state_number(name, "Pid")?;
    let children = format!("task/{0}/children", monitor.pid);
    let children = fs::read_to_string(directory(monitor.pid).join(children));
    let children = children.context("the children of a monitor")?;
    let inside = env.processes_of(name)?;
    let mut writers = Vec::new();
    for pid in children.split_whitespace() {
        let pid: i32 = pid.parse()?;
        if !inside.contains(&pid) && pid != keeper.pid {
            writers.push(pid);
        }
    }
    let [writer] = writers[..] else {
        anyhow::bail!("the monitor's children are {children}");
    };
    for (what, pid) in [
        ("monitor", monitor.pid),
        ("keeper", keeper.pid),
        ("writer of the log", writer),
    ] {
        seen.insert(what.to_owned(), of_process(pid)?);
        if let Some(canary) = canary {
            canary.is_unknown_to(env, what, pid)?;
        }
    }
    seen.insert("first process".to_owned(), of_process(first)?);
    let held = descriptors(first);
    ensure!(held.len() == 3, "the first process has {held:?}");
    canary.map_or(Ok(()), |canary| canary.is_not_open_in(first))
}

/// Each way to get a process into a container, and what goes on beside it.
fn each_way(env: &Env, recorder: &Recorder, canary: Option<&Canary>) -> Result<Seen> {
    let mut seen = Seen::new();
    recorder.begin()?;
    let runtime = ["--runtime", &recorder.program, "--hostname", "box"];
    let flags = [&runtime[..], &["--stop-timeout", "0"]].concat();
    let script = format!("{LOOK}; exec sleep 1000");
    env.create("c", &flags, &["sh", "-c", &script])?;
    env.ctr(&["init", "c"])?.prints("c\n")?;
    // The one that waits to become the program.
    let waiting = env.state_number("c", "Pid")?;
    canary.map_or(Ok(()), |canary| canary.is_not_open_in(waiting))?;
    env.ctr(&["start", "c"])?.prints("c\n")?;
    seen.insert("start".to_owned(), env.wait_for_log("c", "\nover\n")?);
    for way in ["--stdio=stream", "--stdio=pass", "-t"] {
        let said = env.ctr(&["exec", way, "c", "sh", "-c", LOOK])?.ok()?;
        seen.insert(format!("exec {way}"), said);
    }
    let id = env.ctr(&["exec", "-d", "c", "sleep", "1000"])?.id()?;
    let process = env.session_process(&id)?;
    seen.insert("exec -d".to_owned(), of_process(process.pid)?);
    canary.map_or(Ok(()), |canary| canary.is_not_open_in(process.pid))?;
    beside(env, "c", canary, &mut seen)?;
    env.remove("c")?;
    let said = env.run(&runtime, &["sh", "-c", LOOK])?.ok()?;
    seen.insert("run".to_owned(), said);
    recorder.end(&mut seen)?;
    Ok(seen)
}

/// Called by somebody from whom a lot could be inherited, everything is as when it is called by somebody ordinary.
fn as_ever(env: &Env, cd: &str, mask: &str) -> Result<()> {
    let recorder = Recorder::make(env)?;
    let ordinary = each_way(env, &recorder, None)?;
    let canary = Canary::make(env)?;
    env.go_through(&refs(&canary.words(cd, mask)));
    let odd = each_way(env, &recorder, Some(&canary))?;
    env.go_through(&[]);
    for (what, seen) in &odd {
        ensure!(!seen.contains(SECRET), "{what}: {seen}");
        let before = ordinary.get(what).with_context(|| what.clone())?;
        let differs = seen
            .lines()
            .zip(before.lines())
            .find(|(one, other)| one != other);
        ensure!(
            seen == before,
            "{what}: {differs:?} in {seen:?}, which was {before:?}"
        );
    }
    ensure!(odd.len() == ordinary.len(), "{:?}", ordinary.keys());
    Ok(())
}

fn from_a_directory_that_is_gone(env: &Env) -> Result<()> {
    as_ever(env, GONE, "000")
}

fn from_a_directory_of_a_user(env: &Env) -> Result<()> {
    let cd = "mkdir -p home && chown 1234:1234 home && cd home && chmod 0 .";
    as_ever(env, cd, "777")
}

fn from_a_root_directory(env: &Env) -> Result<()> {
    let root = env.own_root(MountPoints::Present)?;
    as_ever(env, &format!("cd {}", root.display()), "777")
}

/// The command that waits for a restart comes from the monitor, and the next monitor from that command.
fn a_policy_starts_it_again(env: &Env) -> Result<()> {
    let canary = Canary::make(env)?;
    env.go_through(&refs(&canary.words(GONE, "000")));
    let back_off = BackOff::begin(env, "c", "always")?;
    canary.is_unknown_to(env, "command that waits", back_off.waiting.pid)?;
    write(&env.path("out").join("stay"), "")?;
    let generation = env.generation("c")?;
    back_off.waiting.signal(Signal::CONT)?;
    env.wait_for_event("c", "start", generation + 1)?;
    monitors_know_nothing(env, &canary, "c")?;
    env.remove("c")?;
    Env::wait_for_cleaners(&back_off.id)?;
    env.go_through(&[]);
    Ok(())
}

fn monitors_know_nothing(env: &Env, canary: &Canary, name: &str) -> Result<()> {
    canary.is_unknown_to(env, "monitor", env.monitor(name)?.pid)?;
    canary.is_unknown_to(env, "keeper", env.keeper(name)?.pid)?;
    let first = env.state_number(name, "Pid")?;
    canary.is_not_open_in(first).context("the first process")?;
    let seen = of_process(first)?;
    ensure!(!seen.contains(SECRET), "{seen}");
    Ok(())
}

fn a_boot_starts_it_again(env: &Env) -> Result<()> {
    let flags = ["--restart", "always"];
    env.detached("c", &flags, "exec sleep 1000")?;
    env.reboot(RunFiles::Gone)?;
    let canary = Canary::make(env)?;
    let words = canary.words(GONE, "000");
    let output = env.finish(env.call_through(&refs(&words), &["boot"]))?;
    ensure!(output.code == 0, "{output}");
    monitors_know_nothing(env, &canary, "c")?;
    env.remove("c")
}
