//! A monitor that has seen much is as it was at its beginning: a lot of output, clients that were killed, its own end a hundred times.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::logs::log_path;
use super::logs_disk::sizes;
use crate::harness::case::{Scale, cases};
use crate::harness::env::Env;
use crate::harness::hosted::{WAYS, words};
use crate::harness::parallel;
use crate::harness::pattern::{Kind, Pattern};
use crate::harness::process::Process;
use crate::harness::receiver::{Pace, Receiver};
use crate::harness::resting::{Possessions, lock_holder, rest_for};
use crate::harness::share::{MARKER, Share, TICK};
use crate::harness::wait;

cases! {
    Full output_and_killed_clients,
    Full killed_one_after_the_other,
}

/// What an allocator may keep of what was returned to it, in KiB.
const KEPT: u64 = 256;

/// Monitor, keeper and the files of a run, while the container rests.
#[derive(Debug)]
struct Rest {
    monitor: Possessions,
    keeper: Possessions,
    files: BTreeSet<PathBuf>,
}

impl Rest {
    /// Waits for it, and sees that both do nothing at all for that long.
    fn of(env: &Env, name: &str, stretch: Duration) -> Result<Rest> {
        env.check_no_sessions(name)?;
        let run = env.run_directory(name)?;
        let (monitor, keeper) = (env.monitor(name)?, env.keeper(name)?);
        rest_for(&[&monitor, &keeper], stretch)?;
        Ok(Rest {
            monitor: Possessions::of(monitor.pid)?,
            keeper: Possessions::of(keeper.pid)?,
            files: files(&run)?,
        })
    }

    /// All is as it was before.
    fn is_that_of(&self, before: &Rest) -> Result<()> {
        let grown = |now: &Possessions, before: &Possessions, what: &str| {
            now.are_those_of(before, KEPT).context(what.to_owned())
        };
        grown(&self.monitor, &before.monitor, "the monitor")?;
        grown(&self.keeper, &before.keeper, "the keeper")?;
        let new: Vec<_> = self.files.difference(&before.files).collect();
        ensure!(new.is_empty(), "new files: {new:?}");
        Ok(())
    }

    fn memory(&self) -> String {
        let (monitor, keeper) = (self.monitor.anonymous, self.keeper.anonymous);
        format!("RssAnon {monitor} KiB and {keeper} KiB")
    }
}

fn files(directory: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory).context("list a run directory")? {
        let path = entry.context("list a run directory")?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        }
        found.insert(path);
    }
    Ok(found)
}

/// Says `tick` until it is told to be quiet, then nothing, and has no other process, until there is a line in the pipe.
const CHATTER: &str = "until test -e /share/quiet; do echo tick; sleep 0.02; done; rm /share/quiet; \
    : > /share/silent; read line < /share/gate; rm /share/silent";

/// The container, and the pipe that it reads while it is silent.
struct Chatterer {
    share: Share,
    gate: File,
}

impl Chatterer {
    /// Starts one that writes so many bytes when it is told to.
    fn start(env: &Env, length: u64) -> Result<Chatterer> {
        let share = Share::make(env, "share", Pattern::new(Kind::Nul, 0))?;
        let gate = share.data().with_file_name("gate");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &gate, mode).context("make a pipe")?;
        let gate = File::options().read(true).write(true).open(gate);
        let script = format!(
            "{CHATTER}; {TICK} dd if=/dev/zero bs=65536 count={} 2>/dev/null; : > /share/written; \
             while :; do {CHATTER}; done",
            length / 65536
        );
        let flags = ["-v", &share.volume, "--log-opt", "max-size=1m"];
        env.detached("c", &flags, &script)?;
        let gate = gate.context("open a pipe")?;
        Ok(Chatterer { share, gate })
    }

    /// It is silent, and nobody asks anything.
    fn rest(&self, env: &Env) -> Result<Rest> {
        self.share.tell("quiet")?;
        self.share.hear("silent")?;
        let stretch = env.scale.pick(1, 60);
        Rest::of(env, "c", Duration::from_secs(stretch))
    }

    fn go_on(&mut self) -> Result<()> {
        self.gate.write_all(b"go on\n").context("write to a pipe")
    }
}

fn output_and_killed_clients(env: &Env) -> Result<()> {
    let length: u64 = env.scale.pick(16, 1024) << 20;
    let mut chatterer = Chatterer::start(env, length)?;
    // What is made at the first time is not what adds up.
    killed_clients(env, 8)?;
    let before = chatterer.rest(env)?;
    output(env, &mut chatterer, length)?;
    let after_output = chatterer.rest(env)?;
    after_output
        .is_that_of(&before)
        .context("after the output")?;
    chatterer.go_on()?;
    killed_clients(env, env.scale.pick(32, 1000))?;
    let after = chatterer.rest(env)?;
    after.is_that_of(&before).context("after killed clients")?;
    if env.scale == Scale::Full {
        println!("endurance: at the beginning {}", before.memory());
        println!("endurance: after the output {}", after_output.memory());
        println!("endurance: after killed clients {}", after.memory());
    }
    log_is_bounded(env)?;
    env.remove("c")
}

/// So much goes through the log and to a client.
fn output(env: &Env, chatterer: &mut Chatterer, length: u64) -> Result<()> {
    let pattern = Pattern::new(Kind::Nul, length);
    let (receiver, end) = Receiver::start(MARKER, &pattern, Pace::Fast)?;
    chatterer.go_on()?;
    let client = env.call(&["attach", "c"]).stdout_to(end).spawn()?;
    receiver.wait_for_first()?;
    chatterer.share.tell("go")?;
    chatterer.share.hear("written")?;
    receiver.wait_for_all()?;
    client.signal(Signal::KILL)?;
    client.finish()?;
    let all = receiver.finish()?;
    // Ticks come after the bytes.
    let whole = all.after >= length && all.differs_at.is_none_or(|at| at == length);
    ensure!(whole, "{all:?} instead of {length} bytes");
    Ok(())
}

/// So many clients of each kind are killed, each once it is seen to be attached.
fn killed_clients(env: &Env, count: usize) -> Result<()> {
    let numbers: Vec<usize> = (0..count).collect();
    parallel::each(4, &numbers, |_| {
        let client = env.call(&["attach", "c"]).spawn()?;
        client.wait_for_stdout("tick")?;
        client.signal(Signal::KILL)?;
        ensure!(client.finish()?.code == 137);
        Ok(())
    })?;
    parallel::each(4, &numbers, |number| {
        let flags = [WAYS[number % 2], "--on-disconnect=kill"];
        let client = env.call(&words(&flags, "c", "echo on; exec sleep 1000"));
        let client = client.spawn()?;
        client.wait_for_stdout("on")?;
        client.signal(Signal::KILL)?;
        ensure!(client.finish()?.code == 137);
        Ok(())
    })?;
    // What ended while nobody was there is told by whoever takes the lock next, and forgotten.
    wait::until("the end of all sessions", || {
        env.ctr(&["kill", "-s", "CONT", "c"])?.prints("c\n")?;
        Ok(env.session_files("c")?.is_empty().then_some(()))
    })
}

/// Two files, and nothing of the output has made one larger.
fn log_is_bounded(env: &Env) -> Result<()> {
    let path = log_path(env, "c")?;
    let sizes = sizes(path.parent().context("a directory")?)?;
    let held = sizes.len() == 2 && sizes.iter().all(|size| *size <= 1_000_000);
    ensure!(held, "files of a log of 1 MB: {sizes:?}");
    Ok(())
}

/// Which number comes after one in a log.
#[derive(Clone, Copy, Debug)]
enum Next {
    Following,
    /// Behind a gap.
    Later,
}

/// The first one that is written.
const FIRST: u64 = 100_000_001;

/// Writes numbers of nine digits as fast as it can, and says so when it cannot.
const COUNTS: &str = "trap '' PIPE; trap 'exit 7' TERM; n=100000000; \
    while n=$((n + 1)); do echo $n || { : > /out/broken; exit 3; }; done";

/// Each monitor is killed as soon as it has a keeper, which takes its place.
fn killed_one_after_the_other(env: &Env) -> Result<()> {
    let (out, volume) = env.out()?;
    let id = env.detached("c", &["-v", &volume, "--rm=false"], COUNTS)?;
    let run = env.runroot().join("run").join(&id);
    let rounds = env.scale.pick(5, 100);
    let mut monitor = env.monitor("c")?;
    for round in 0..rounds {
        let keeper = lock_holder_other_than(&run.join("keeper"), &monitor)?;
        Env::shoot(&monitor)?;
        let next = lock_holder_other_than(&run.join("alive"), &monitor)?;
        ensure!(
            next.pid == keeper.pid,
            "another one is the monitor in round {round}"
        );
        ensure!(
            !out.join("broken").exists(),
            "the container could not write in round {round}"
        );
        monitor = next;
    }
    env.ctr(&["stop", "-t", "60", "c"])?.prints("c\n")?;
    ensure!(
        !out.join("broken").exists(),
        "the container could not write"
    );
    env.ctr(&["wait", "c"])?.prints("7\n")?;
    env.wait_for_cleanup("c")?;
    let runs = env.past_runs("c")?;
    ensure!(runs.len() == 1 && runs[0]["ExitCode"] == 7, "{runs:?}");
    let gaps = numbers_in(&log_path(env, "c")?)?;
    ensure!(gaps == rounds, "{gaps} gaps after {rounds} ends");
    env.remove("c")
}

fn lock_holder_other_than(path: &Path, other: &Process) -> Result<Process> {
    wait::until(&format!("somebody to lock {}", path.display()), || {
        let holder = lock_holder(path)?;
        Ok(holder.filter(|holder| holder.pid != other.pid))
    })
}

/// All numbers are in the log, in their order, but those that a gap stands for; gives how many gaps there are. The line after a gap may be
/// the end of a number, or the beginning of one and the end of another.
fn numbers_in(path: &Path) -> Result<usize> {
    let (mut gaps, mut after_gap) = (0, false);
    let mut last: Option<(u64, Next)> = None;
    let mut begun = String::new();
    for line in BufReader::new(File::open(path).context("open the log")?).lines() {
        let line = line.context("read the log")?;
        let mut words = line.splitn(4, ' ');
        let (_time, stream) = (words.next(), words.next());
        let (part, text) = (words.next(), words.next().unwrap_or_default());
        if stream == Some("gap") {
            ensure!(text.contains("the monitor was killed"), "{line}");
            gaps += 1;
            after_gap = true;
            continue;
        }
        ensure!(stream == Some("stdout"), "{line}");
        begun.push_str(text);
        if part == Some("P") {
            continue;
        }
        let text = std::mem::take(&mut begun);
        if std::mem::take(&mut after_gap) {
            // Whatever it is, the next one is whole, and further on.
            last = last.map(|(number, _)| (number, Next::Later));
            continue;
        }
        let number: u64 = text
            .parse()
            .with_context(|| format!("{text} after {last:?}"))?;
        let fits = match last {
            None => number == FIRST,
            Some((last, Next::Following)) => number == last + 1,
            Some((last, Next::Later)) => number > last,
        };
        ensure!(fits, "{number} after {last:?}");
        last = Some((number, Next::Following));
    }
    ensure!(
        last.is_some() && begun.is_empty(),
        "the log ends with {begun:?}"
    );
    Ok(gaps)
}
