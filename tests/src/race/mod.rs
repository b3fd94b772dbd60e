//! Is what many processes do to the same few containers what one process could have done, one call after the other?
//!
//! Processes ask at random and all at once: most of them drive the engine as a library, on a runtime without isolation, and a part are
//! the `ctr` command with real containers. When each call was made and answered, and what the answer was, is the history. A model of
//! our own says what answers are possible, and the checker whether the calls can be put into an order that explains them all. What
//! cannot be explained is a lost update, a double success or an answer out of the air.

mod checker;
pub(crate) mod client;
pub(crate) mod history;
mod model;
mod options;
pub(crate) mod plan;
mod report;
#[cfg(test)]
mod tests;
mod window;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::harness::base::Base;
use crate::harness::case::{Runtime, Scale};
use crate::harness::leaks::{MountScope, Place};
use crate::harness::machine::cgroup_roots;
use crate::harness::profile::{Entered, Profile};
use crate::harness::program::Call as Program;
use crate::harness::runner::Counts;
use crate::harness::variable;
use client::{Client, Worker};
use plan::Random;
use report::Findings;
use window::Window;

pub(crate) use options::RaceOptions;

/// One of so many calls is made by the command.
const COMMAND_SHARE: usize = 25;

/// The processes that call the command are this many at a time.
const COMMANDS: usize = 8;

/// Does all of it; prints a table row and a line of JSON.
pub(crate) fn run(options: &RaceOptions) -> Result<Counts> {
    if let Entered::No(reason) = Profile::Host.enter()? {
        bail!("{reason}");
    }
    let begin = Instant::now();
    let by_command = options.operations / COMMAND_SHARE;
    let mut findings = Findings::default();
    library(options, options.operations - by_command, &mut findings)?;
    commands(options, by_command, &mut findings)?;
    findings.print(options, begin.elapsed())
}

/// Calls by processes that use the library.
fn library(options: &RaceOptions, operations: usize, findings: &mut Findings) -> Result<()> {
    let program = worker_program()?;
    let base = tempfile::Builder::new()
        .prefix("ctr-race.")
        .tempdir_in(variable("CTR_TEST_DIR").unwrap_or_else(|| "/var/tmp".to_owned()))?;
    worker(&program, "prepare", base.path())?;
    let place = Place {
        root: base.path().join("root"),
        runroot: base.path().join("run"),
        marks: vec![base.path().to_string_lossy().into_owned()],
        mounts: MountScope::Marked,
    };
    let before = place.look()?;
    let workers = (0..options.processes).map(|_| Worker::on(&program, base.path()));
    let workers: Vec<Worker> = workers.collect::<Result<_>>()?;
    let mut clients: Vec<Client<'_>> = workers.into_iter().map(Client::Library).collect();
    windows(&mut clients, options, operations, findings)?;
    for client in clients {
        if let Client::Library(worker) = client {
            worker.finish()?;
        }
    }
    findings.leaks.extend(place.leaks(&before)?);
    findings.leaks.extend(groups_below(base.path())?);
    let failed = base.path().join("cleanup-error");
    if let Ok(said) = std::fs::read_to_string(failed) {
        findings.leaks.push(format!("a cleanup failed: {said}"));
    }
    worker(&program, "conclude", base.path())
}

/// The program that drives the engine as a library.
pub(crate) fn worker_program() -> Result<PathBuf> {
    let program = variable("CTR_WORKER").context("CTR_WORKER does not name the worker")?;
    Ok(PathBuf::from(program))
}

/// Has the program do something once: `prepare` and `conclude` a directory.
pub(crate) fn worker(program: &Path, verb: &str, base: &Path) -> Result<()> {
    let words = ["worker".into(), verb.into(), base.as_os_str().to_owned()];
    Program::new(program).args(words).output()?.ok().map(drop)
}

/// The control groups of containers that a worker's engine has left.
fn groups_below(base: &Path) -> Result<Vec<String>> {
    let name = base.file_name().context("a directory has a name")?;
    let parent = format!("ctr-core-test{}", name.to_string_lossy());
    let mut left = Vec::new();
    for root in cgroup_roots()? {
        let Ok(entries) = std::fs::read_dir(root.join(&parent)) else {
            continue;
        };
        let directories = entries.flatten().filter(|entry| entry.path().is_dir());
        left.extend(directories.map(|entry| format!("cgroup {}", entry.path().display())));
    }
    Ok(left)
}

/// Calls by `ctr`.
fn commands(options: &RaceOptions, operations: usize, findings: &mut Findings) -> Result<()> {
    let base = Base::make(Scale::Quick)?;
    let env = base.env(0, Runtime::Builtin)?;
    let count = COMMANDS.min(options.processes);
    let mut clients: Vec<Client<'_>> = (0..count).map(|_| Client::Command(&env)).collect();
    findings.commands = true;
    windows(&mut clients, options, operations, findings)?;
    if let Err(error) = env.check_leaks() {
        findings.leaks.push(format!("{error:#}"));
        env.rescue();
    }
    env.discard()?;
    base.remove()
}

/// Window after window; each is checked while the next one goes on.
fn windows(
    clients: &mut [Client<'_>],
    options: &RaceOptions,
    operations: usize,
    findings: &mut Findings,
) -> Result<()> {
    let mut random = Random::new(options.seed);
    let (to_judge, windows) = mpsc::sync_channel::<(u64, Window)>(4);
    std::thread::scope(|scope| {
        let judge = scope.spawn(move || {
            for (seed, window) in windows {
                findings.judge(seed, &window);
            }
        });
        let mut asked = 0;
        while asked < operations {
            let chance = random.next();
            let window = window::run(clients, options.names, chance)?;
            asked += window.asked;
            let wedged = !window.wedged.is_empty();
            ensure!(
                to_judge.send((chance, window)).is_ok(),
                "the checker has ended"
            );
            if wedged {
                break;
            }
        }
        drop(to_judge);
        ensure!(judge.join().is_ok(), "the checker has panicked");
        Ok(())
    })
}
