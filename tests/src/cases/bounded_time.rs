//! Whatever stands still, every command ends: it works, or it says in one line why not. A table of commands and of things that are stuck;
//! each cell has a container of its own, and afterwards an ordinary `rm -f` sets everything right.
//!
//! `--scale full --jobs 1` drives all cells and prints how each ended and after how many milliseconds; otherwise each thing is tried with a
//! few. (Beside each other they would find the control groups of each other's containers, which are empty for longer than it ever happens.)

mod stuck;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use super::holders::Hanging;
use crate::harness::case::{Scale, cases};
use crate::harness::env::Env;
use crate::harness::output::Output;
use crate::harness::program::Running;
use stuck::{Stuck, Undo};

cases! {
    Full monitor_stopped,
    Full monitor_killed,
    Full monitor_and_keeper_killed,
    Full monitor_killed_and_keeper_stopped,
    Full writer_of_the_log_stopped,
    Full runtime_hangs,
    Full lock_held,
    Full frozen,
    Full program_ignores_signals,
    Full client_never_reads,
    Full database_held,
    Full index_of_the_database_held,
    Full log_is_a_pipe,
    Full run_directory_gone,
    Full socket_is_a_pipe,
    Full users_are_a_pipe,
}

/// Far more than anything takes that does not hang.
const DEADLINE: Duration = Duration::from_secs(60);

/// The engine gives a runtime four minutes to make a container or a process, and a bit more to a monitor that has been asked for one.
const DEADLINE_OF_RUNTIMES: Duration = Duration::from_secs(330);

/// Half a minute is waited for the database each time it is needed.
const DEADLINE_OF_DATABASE: Duration = Duration::from_secs(150);

/// When a command that goes on by itself is interrupted.
const MOMENT: Duration = Duration::from_millis(500);

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    ByItself,
    /// It may go on for as long as the container runs; `SIGTERM` ends it.
    Interrupted,
}

/// All commands, on the container `held`.
const COMMANDS: &[(&str, Ending)] = &[
    ("ps -a", Ending::ByItself),
    ("ps -a --sync", Ending::ByItself),
    ("inspect held", Ending::ByItself),
    ("logs held", Ending::ByItself),
    ("logs -f held", Ending::Interrupted),
    ("wait held", Ending::Interrupted),
    (
        "attach --no-stdin --sig-proxy=false held",
        Ending::Interrupted,
    ),
    ("events", Ending::Interrupted),
    ("events --no-stream", Ending::ByItself),
    ("info", Ending::ByItself),
    ("version", Ending::ByItself),
    ("system export", Ending::ByItself),
    ("container exists held", Ending::ByItself),
    ("container history held", Ending::ByItself),
    ("container exec-ls held", Ending::ByItself),
    ("exec held true", Ending::ByItself),
    ("exec --stdio=stream -u alice held true", Ending::ByItself),
    ("exec -d held sleep 1000", Ending::ByItself),
    ("start held", Ending::ByItself),
    ("restart -t 1 held", Ending::ByItself),
    ("pause held", Ending::ByItself),
    ("unpause held", Ending::ByItself),
    ("kill held", Ending::ByItself),
    ("kill -s TERM held", Ending::ByItself),
    ("stop -t 1 held", Ending::ByItself),
    ("rm held", Ending::ByItself),
    ("rm -f -t 1 held", Ending::ByItself),
    ("rename held other", Ending::ByItself),
    ("container cleanup held", Ending::ByItself),
    ("container refresh held", Ending::ByItself),
    ("container prune --force", Ending::ByItself),
    ("run --rm ROOTFS true", Ending::ByItself),
    ("create --name other ROOTFS true", Ending::ByItself),
];

/// The ending of one of them.
fn ending(command: &str) -> Result<Ending> {
    let found = COMMANDS.iter().find(|(known, _)| *known == command);
    Ok(found
        .with_context(|| format!("{command:?} is not in the table"))?
        .1)
}

/// Runs a command beside what is stuck, until it has ended. It is an error, and killed, when it hangs.
fn bounded(env: &Env, command: &str, deadline: Duration) -> Result<(Running, Duration)> {
    let rootfs = format!("--rootfs {}", env.rootfs());
    let command_line = command.replace("ROOTFS", &rootfs);
    let words: Vec<&str> = command_line.split(' ').collect();
    let begin = Instant::now();
    let running = env.call(&words).spawn()?;
    let ended = match ending(command)? {
        Ending::ByItself => running.ends_within(deadline)?,
        Ending::Interrupted => {
            let by_itself = running.ends_within(MOMENT)?;
            if !by_itself {
                running.signal(Signal::TERM)?;
            }
            by_itself || running.ends_within(deadline)?
        }
    };
    let time = begin.elapsed();
    if !ended {
        let (out, err) = (running.printed(), running.stderr.bytes());
        let err = String::from_utf8_lossy(&err).into_owned();
        bail!(
            "it hung for {} s, and had said {out:?} and {err:?}",
            deadline.as_secs()
        );
    }
    Ok((running, time))
}

/// What is asked of the end of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It worked, or was refused in one line.
    Clear,
    /// It worked, as if nothing were stuck.
    AsEver,
}

/// Refused while a container runs.
const REFUSED: [&str; 2] = ["unpause held", "rm held"];

/// It ended as it should.
fn is_right(command: &str, output: &Output, outcome: Outcome) -> Result<()> {
    let interrupted = ending(command)? == Ending::Interrupted && output.code == 143;
    if output.code == 0 || interrupted {
        return Ok(());
    }
    let refused = outcome == Outcome::Clear || REFUSED.contains(&command);
    ensure!(refused, "it did not work: {output}");
    ensure!(output.code < 128, "{output}");
    output.one_error(&[])
}

/// One cell of the table; gives its line.
fn cell(env: &Env, thing: &Stuck, command: &str) -> Result<String> {
    let hanging = Hanging::make(env)?;
    let undo: Undo<'_> = (thing.begin)(env, &hanging)?;
    let result = bounded(env, command, thing.deadline);
    undo()?;
    let (running, time) = result?;
    // Only now: what stands still may have got the streams of the command, and not have looked at them yet.
    let output = running.finish()?;
    is_right(command, &output, thing.outcome)?;
    let removed = env.ctr(&["rm", "-f", "-t", "0", "held", "other"])?;
    ensure!(removed.code == 0, "and then: {removed}");
    env.check_leaks()?;
    let words = output.err().lines().next().unwrap_or_default().to_owned();
    Ok(format!(
        "{:34} | {command:42} | {:3} | {:6} ms | {words}",
        thing.name,
        output.code,
        time.as_millis()
    ))
}

/// All cells of a thing that is stuck, or a few; all that go wrong are told.
fn cells(env: &Env, thing: &Stuck) -> Result<()> {
    let mut wrong = Vec::new();
    let all = COMMANDS.iter().map(|(command, _)| *command);
    for command in all.filter(|command| env.scale == Scale::Full || thing.sample.contains(command))
    {
        match cell(env, thing, command) {
            Ok(line) if env.scale == Scale::Full => println!("bounded | {line}"),
            Ok(_) => {}
            Err(error) => {
                wrong.push(format!("{command}: {error:#}"));
                env.rescue();
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "{}:\n    {}",
        thing.name,
        wrong.join("\n    ")
    );
    Ok(())
}

fn monitor_stopped(env: &Env) -> Result<()> {
    cells(env, &stuck::MONITOR_STOPPED)
}

fn monitor_killed(env: &Env) -> Result<()> {
    cells(env, &stuck::MONITOR_KILLED)
}

fn monitor_and_keeper_killed(env: &Env) -> Result<()> {
    cells(env, &stuck::MONITOR_AND_KEEPER_KILLED)
}

fn monitor_killed_and_keeper_stopped(env: &Env) -> Result<()> {
    cells(env, &stuck::MONITOR_KILLED_AND_KEEPER_STOPPED)
}

fn writer_of_the_log_stopped(env: &Env) -> Result<()> {
    cells(env, &stuck::WRITER_STOPPED)
}

fn runtime_hangs(env: &Env) -> Result<()> {
    cells(env, &stuck::RUNTIME_HANGS)
}

fn lock_held(env: &Env) -> Result<()> {
    cells(env, &stuck::LOCK_HELD)
}

fn frozen(env: &Env) -> Result<()> {
    cells(env, &stuck::FROZEN)
}

fn program_ignores_signals(env: &Env) -> Result<()> {
    cells(env, &stuck::IGNORES_SIGNALS)
}

fn client_never_reads(env: &Env) -> Result<()> {
    cells(env, &stuck::CLIENT_NEVER_READS)
}

fn database_held(env: &Env) -> Result<()> {
    cells(env, &stuck::DATABASE_HELD)
}

fn index_of_the_database_held(env: &Env) -> Result<()> {
    cells(env, &stuck::INDEX_HELD)
}

fn log_is_a_pipe(env: &Env) -> Result<()> {
    cells(env, &stuck::LOG_IS_A_PIPE)
}

fn run_directory_gone(env: &Env) -> Result<()> {
    cells(env, &stuck::RUN_DIRECTORY_GONE)
}

fn socket_is_a_pipe(env: &Env) -> Result<()> {
    cells(env, &stuck::SOCKET_IS_A_PIPE)
}

fn users_are_a_pipe(env: &Env) -> Result<()> {
    cells(env, &stuck::USERS_ARE_A_PIPE)
}
