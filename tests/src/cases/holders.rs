//! Commands that stand still with a container's lock in their hands: readers answer and say who it is, and whoever wants to change the
//! container waits for exactly this one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::base::find;
use crate::harness::case::{Runtime, Scale, cases};
use crate::harness::env::Env;
use crate::harness::process::Process;
use crate::harness::program::Running;
use crate::harness::story::hold;
use crate::harness::tree::{write, write_program};
use crate::harness::wait;

cases! {
    Full in_the_middle_of_a_creation,
    Full in_the_middle_of_a_start,
    Full in_the_middle_of_a_pause,
    Full in_the_middle_of_an_unpause,
    Full in_the_middle_of_a_look,
    Full in_the_middle_of_a_cleanup,
    Full a_stop_that_waits_holds_nothing,
    Full several_wait_for_one,
}

/// Long enough to see that somebody waits.
const MOMENT: Duration = Duration::from_millis(300);

/// The program of the case's runtime, but for verbs that it has been told to hang in.
pub(super) struct Hanging {
    pub(super) program: String,
}

impl Hanging {
    pub(super) fn make(env: &Env) -> Result<Hanging> {
        let behind = match env.runtime {
            Runtime::Builtin => format!("{} oci-runtime", env.program().display()),
            other @ (Runtime::Runc | Runtime::Crun) => find(other.name())?.display().to_string(),
        };
        let directory = env.path("").display().to_string();
        let text = format!(
            "#!/bin/sh\n\
             for word; do\n\
             if test -e {directory}/hang-$word; then : > {directory}/hangs; echo $$ >> {directory}/hung; exec sleep 100000; fi\n\
             done\n\
             exec {behind} \"$@\"\n"
        );
        let path = env.path("hanging-runtime");
        write_program(&path, &text)?;
        let program = path.to_string_lossy().into_owned();
        Ok(Hanging { program })
    }

    /// Creates the container `held`.
    pub(super) fn create(&self, env: &Env) -> Result<()> {
        let flags = ["--runtime", &self.program, "--stop-timeout", "0"];
        env.create("held", &flags, &["sleep", "1000"])?;
        Ok(())
    }
}

/// Has the runtime hang in its next call of this verb.
pub(super) fn hang_in(env: &Env, verb: &str) -> Result<()> {
    write(&env.path(&format!("hang-{verb}")), "")
}

/// Ends the calls that hang.
pub(super) fn end_hanging_calls(env: &Env) -> Result<()> {
    let hung = env.path("hung");
    if !hung.exists() {
        return Ok(());
    }
    let pids = std::fs::read_to_string(&hung).context("read who hangs")?;
    for pid in pids.lines() {
        // One that has ended may have left its number to somebody else.
        if let Some(process) = Process::open(pid.parse()?)?
            && process.describe().contains("(sleep 100000)")
        {
            Env::shoot(&process)?;
        }
    }
    std::fs::remove_file(&hung).context("forget who hung")
}

/// Waits until it hangs there. The calls after this one do not.
pub(super) fn wait_for_hang(env: &Env, verb: &str) -> Result<()> {
    let hangs = env.path("hangs");
    wait::until("the runtime to be called", || {
        Ok(hangs.exists().then_some(()))
    })?;
    for file in [hangs, env.path(&format!("hang-{verb}"))] {
        std::fs::remove_file(file).context("only this call hangs")?;
    }
    Ok(())
}

/// A command that stands still in the middle of a call of the runtime.
pub(super) struct Held {
    client: Running,
    /// Who has the lock: the command, or one that cleans up.
    holder: Process,
    verb: String,
}

impl Held {
    /// Has a command hang in this verb of the runtime, and stops whoever holds the lock then.
    pub(super) fn begin(env: &Env, verb: &str, words: &[&str]) -> Result<Held> {
        hang_in(env, verb)?;
        let client = env.call(words).spawn()?;
        wait_for_hang(env, verb)?;
        // The kernel's table of locks is read in parts, and may miss one while others come and go.
        let (verb, pid) = wait::until("somebody to have the lock", || locked_by(env))?;
        let holder = Process::open(pid)?.context("the holder is there")?;
        hold(&holder)?;
        Ok(Held {
            client,
            holder,
            verb,
        })
    }

    /// Kills the holder; the kernel gives its lock up.
    pub(super) fn end(self) -> Result<()> {
        Env::shoot(&self.holder)?;
        self.client.signal(Signal::CONT)?;
        self.client.finish()?;
        Ok(())
    }
}

/// Who holds the lock of the container `held`, as `ps` shows it: the verb and the pid.
pub(super) fn locked_by(env: &Env) -> Result<Option<(String, i32)>> {
    let list = env.ctr(&["ps", "-a"])?.ok()?;
    let Some((_, rest)) = list.split_once("locked by ") else {
        return Ok(None);
    };
    let (verb, rest) = rest.split_once(", pid ").context("a pid")?;
    let digits = rest.split(',').next().unwrap_or_default();
    Ok(Some((verb.to_owned(), digits.parse()?)))
}

/// All that only looks answers at once.
fn readers_answer(env: &Env, held: &Held) -> Result<()> {
    let shown = locked_by(env)?.context("ps does not tell who has the lock")?;
    ensure!(shown == (held.verb.clone(), held.holder.pid), "{shown:?}");
    let list = env.ctr(&["ps", "-a", "--format", "json"])?.ok()?;
    let list: Vec<Value> = serde_json::from_str(&list)?;
    ensure!(list.len() == 1, "{list:?}");
    env.inspect("held")?;
    env.ctr(&["logs", "held"])?.prints("")?;
    env.ctr(&["container", "exists", "held"])?.prints("")?;
    env.ctr(&["container", "history", "held"])?.ok()?;
    env.ctr(&["info"])?.ok()?;
    let events = env.ctr(&["events", "--stream=false"])?.ok()?;
    ensure!(events.contains(" create "), "{events}");
    // Others are not held up.
    env.run(&[], &["echo", "free"])?.prints("free\n")
}

/// Readers answer; a command that changes the container waits, and is served when the holder is gone.
fn held_in(env: &Env, verb: &str, words: &[&str], before: &[&[&str]]) -> Result<()> {
    Hanging::make(env)?.create(env)?;
    for words in before {
        env.ctr(words)?.prints("held\n")?;
    }
    let held = Held::begin(env, verb, words)?;
    readers_answer(env, &held)?;
    let waiting = env.call(&["rename", "held", "free"]).spawn()?;
    ensure!(!waiting.ends_within(MOMENT)?, "{verb}: it did not wait");
    held.end()?;
    waiting.finish()?.prints("")?;
    ensure!(locked_by(env)?.is_none());
    env.remove("free")
}

fn in_the_middle_of_a_creation(env: &Env) -> Result<()> {
    held_in(env, "create", &["start", "held"], &[])
}

fn in_the_middle_of_a_start(env: &Env) -> Result<()> {
    held_in(env, "start", &["start", "held"], &[&["init", "held"]])
}

fn in_the_middle_of_a_pause(env: &Env) -> Result<()> {
    held_in(env, "pause", &["pause", "held"], &[&["start", "held"]])
}

fn in_the_middle_of_an_unpause(env: &Env) -> Result<()> {
    let before: [&[&str]; 2] = [&["start", "held"], &["pause", "held"]];
    held_in(env, "resume", &["unpause", "held"], &before)
}

fn in_the_middle_of_a_look(env: &Env) -> Result<()> {
    held_in(env, "state", &["ps", "-a", "--sync"], &[&["start", "held"]])
}

fn in_the_middle_of_a_cleanup(env: &Env) -> Result<()> {
    held_in(env, "delete", &["stop", "held"], &[&["start", "held"]])
}

/// It has given the lock up before it waits.
fn a_stop_that_waits_holds_nothing(env: &Env) -> Result<()> {
    let script = "trap 'exit 7' USR1; echo ready; while :; do sleep 0.02; done";
    env.detached("held", &[], script)?;
    env.wait_for_log("held", "ready")?;
    let stopping = env.call(&["stop", "-t", "-1", "held"]).spawn()?;
    env.wait_for_status("held", "stopping")?;
    wait::until("the stop to wait", || {
        Ok(locked_by(env)?.is_none().then_some(()))
    })?;
    stopping.signal(Signal::STOP)?;
    env.ctr(&["rename", "held", "other"])?.prints("")?;
    env.ctr(&["kill", "-s", "USR1", "other"])?
        .prints("other\n")?;
    env.ctr(&["wait", "other"])?.prints("7\n")?;
    env.wait_for_cleanup("other")?;
    env.ctr(&["rm", "other"])?.prints("other\n")?;
    // It comes to itself when all is over.
    stopping.signal(Signal::CONT)?;
    stopping.finish()?.prints("held\n")
}

/// None of them comes through, and none is lost.
fn several_wait_for_one(env: &Env) -> Result<()> {
    Hanging::make(env)?.create(env)?;
    env.ctr(&["start", "held"])?.prints("held\n")?;
    let held = Held::begin(env, "pause", &["pause", "held"])?;
    let verbs: [&[&str]; 4] = [
        &["kill", "-s", "CONT", "held"],
        &["stop", "held"],
        &["container", "cleanup", "held"],
        &["rename", "held", "held"],
    ];
    let waiting: Vec<Running> = verbs
        .iter()
        .map(|words| env.call(words).spawn())
        .collect::<Result<_>>()?;
    ensure!(!waiting[0].ends_within(MOMENT)?);
    for one in &waiting {
        ensure!(!one.ends_within(Duration::ZERO)?);
    }
    if env.scale == Scale::Full {
        // Whoever has waited for too long says for whom.
        let output = env.ctr(&["rename", "held", "other"])?;
        let pid = held.holder.pid.to_string();
        output.refused(125, &["locked by", &held.verb, &pid])?;
        held.end()?;
        for one in waiting {
            one.finish()?;
        }
        return env.remove("held");
    }
    held.end()?;
    for one in waiting {
        let output = one.finish()?;
        // A signal may come when all is over.
        ensure!(
            output.code == 0 || output.err().contains("cannot signal"),
            "{output}"
        );
    }
    env.remove("held")
}
