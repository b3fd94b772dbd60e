//! Restart policies: who comes back and who does not, how often, and what calls a restart off.
//!
//! A command that waits for the moment of a restart is stopped where it stands, so that the moment does not pass while a case looks.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::process::Process;
use crate::harness::story::hold;
use crate::harness::tree::write;
use crate::harness::wait;

cases! {
    Core on_failure_counts,
    Core always_comes_back,
    Full on_failure_is_content_with_success,
    Full no_policy_no_restart,
    Full a_signal_to_end_is_obeyed,
    Full a_signal_that_asks_for_nothing_is_no_stop,
    Full back_off_is_shown,
    Full back_off_grows,
    Full stop_calls_it_off,
    Full removal_calls_it_off,
    Full start_calls_it_off,
    Full a_waiting_command_that_was_killed_is_replaced,
    Full a_restart_that_was_killed_at_any_moment_is_done_again,
    Full removed_once_no_restart_is_due,
    Full wrong_policies_are_refused,
}

/// One round of a container that comes back.
const ROUND: &str = "init start died cleanup";

/// Fails until somebody puts the file `/out/stay` there.
const CRASH: &str = "test -e /out/stay && exec sleep 1000; exit 3";

fn on_failure_counts(env: &Env) -> Result<()> {
    let id = env.detached("f", &["--restart", "on-failure:2"], "exit 3")?;
    env.wait_for_event("f", "cleanup", 3)?;
    // Nobody is left who could start it once more.
    Env::wait_for_cleaners(&id)?;
    env.check_story(
        "f",
        &format!("create {ROUND} restart {ROUND} restart {ROUND}"),
    )?;
    ensure!(env.restart_count("f")? == 2);
    let value = env.inspect("f")?;
    let state = &value["State"];
    ensure!(
        state["Status"] == "exited" && state["Restarting"] == false && state["ExitCode"] == 3,
        "{state}"
    );
    let policy = &value["HostConfig"]["RestartPolicy"];
    ensure!(
        policy["Name"] == "on-failure" && policy["MaximumRetryCount"] == 2,
        "{policy}"
    );
    let runs = env.past_runs("f")?;
    let reasons: Vec<_> = runs.iter().map(|run| run["StartReason"].as_str()).collect();
    ensure!(
        reasons == [Some("user"), Some("policy"), Some("policy")],
        "{reasons:?}"
    );
    let table = env.ctr(&["container", "history", "f"])?.ok()?;
    ensure!(table.lines().count() == 4, "{table}");
    ensure!(table.matches("restart policy").count() == 2, "{table}");
    ensure!(table.matches("failed with code 3").count() == 3, "{table}");
    env.ctr(&["wait", "f"])?.prints("3\n")?;
    env.ctr(&["rm", "f"])?.prints("f\n")
}

fn always_comes_back(env: &Env) -> Result<()> {
    for policy in ["always", "unless-stopped"] {
        let id = env.detached("a", &["--restart", policy], "exit 0")?;
        env.wait_for_event("a", "start", 3)?;
        env.ctr(&["stop", "a"])?.prints("a\n")?;
        Env::wait_for_cleaners(&id)?;
        let story = env.story("a")?;
        let begin = format!("create {ROUND} restart {ROUND} restart init start");
        ensure!(story.starts_with(&begin), "{story}");
        ensure!(env.status("a")? == "exited", "{story}");
        env.ctr(&["rm", "a"])?.prints("a\n")?;
    }
    Ok(())
}

fn on_failure_is_content_with_success(env: &Env) -> Result<()> {
    let (out, volume) = env.out()?;
    let script = "test -e /out/well && exit 0; : > /out/well; exit 1";
    let id = env.detached("w", &["--restart", "on-failure", "-v", &volume], script)?;
    env.wait_for_event("w", "cleanup", 2)?;
    Env::wait_for_cleaners(&id)?;
    ensure!(out.join("well").exists());
    env.check_story("w", &format!("create {ROUND} restart {ROUND}"))?;
    ensure!(env.state_number("w", "ExitCode")? == 0);
    env.remove("w")
}

fn no_policy_no_restart(env: &Env) -> Result<()> {
    for flags in [&[][..], &["--restart", "no"], &["--restart", ""]] {
        for script in ["exit 0", "exit 3"] {
            let id = env.detached("n", flags, script)?;
            env.wait_for_event(&id, "cleanup", 1)?;
            Env::wait_for_cleaners(&id)?;
            env.check_story(&id, &format!("create {ROUND}"))?;
            ensure!(env.restart_count("n")? == 0);
            env.ctr(&["rm", "n"])?.prints("n\n")?;
        }
    }
    Ok(())
}

/// A signal that asks a program to end counts as a stop, whatever the program makes of it.
fn a_signal_to_end_is_obeyed(env: &Env) -> Result<()> {
    let script = "trap 'exit 4' TERM INT; echo ready; while :; do sleep 0.02; done";
    for signal in ["TERM", "SIGINT", "9"] {
        let id = env.detached("k", &["--restart", "always"], script)?;
        env.wait_for_log("k", "ready")?;
        env.ctr(&["kill", "-s", signal, "k"])?.prints("k\n")?;
        env.wait_for_event(&id, "cleanup", 1)?;
        Env::wait_for_cleaners(&id)?;
        ensure!(env.generation("k")? == 1, "it came back after {signal}");
        env.remove("k")?;
    }
    Ok(())
}

/// The other way round: a program that ends of another signal, or of a kill by the host, failed.
fn a_signal_that_asks_for_nothing_is_no_stop(env: &Env) -> Result<()> {
    let script = "trap 'exit 4' USR1; echo ready; while :; do sleep 0.02; done";
    env.detached("u", &["--restart", "on-failure"], script)?;
    env.wait_for_log("u", "ready\n")?;
    env.ctr(&["kill", "-s", "USR1", "u"])?.prints("u\n")?;
    env.wait_for_log("u", "ready\nready\n")?;
    env.first_process("u")?.signal(Signal::KILL)?;
    env.wait_for_event("u", "start", 3)?;
    ensure!(env.restart_count("u")? == 2);
    env.remove("u")
}

/// A container that crashes again and again, and the command that waits for its next start.
pub(super) struct BackOff {
    pub(super) id: String,
    pub(super) waiting: Process,
}

impl BackOff {
    /// Starts it, and stops the waiting command where it waits.
    pub(super) fn begin(env: &Env, name: &str, policy: &str) -> Result<BackOff> {
        let (_, volume) = env.out()?;
        let id = env.detached(name, &["--restart", policy, "-v", &volume], CRASH)?;
        let waiting = BackOff::catch(env, &id, 1)?;
        Ok(BackOff { id, waiting })
    }

    /// Waits until so many restarts are over and the next one is waited for; the waiting command stands still then.
    fn catch(env: &Env, id: &str, restarts: u64) -> Result<Process> {
        wait::until("a restart to be waited for", || {
            if env.restart_count(id)? < restarts || !is_restarting(env, id)? {
                return Ok(None);
            }
            for waiting in Env::cleaners(id)? {
                hold(&waiting)?;
                // Not in the middle of anything, and the only one.
                let free = !env.ctr(&["ps", "-a"])?.ok()?.contains("locked by");
                if free && is_restarting(env, id)? && Env::cleaners(id)?.len() == 1 {
                    return Ok(Some(waiting));
                }
                waiting.signal(Signal::CONT)?;
            }
            Ok(None)
        })
    }

    /// The waiting command goes on, and ends because there is nothing to wait for any more.
    fn end(&self) -> Result<()> {
        self.waiting.signal(Signal::CONT)?;
        ensure!(
            self.waiting.ends_within(wait::PATIENCE)?,
            "{} waits on",
            self.waiting.describe()
        );
        Env::wait_for_cleaners(&self.id)
    }
}

fn is_restarting(env: &Env, name: &str) -> Result<bool> {
    let state = &env.inspect(name)?["State"];
    Ok(state["Restarting"] == true && state["Status"] == "exited")
}

fn back_off_is_shown(env: &Env) -> Result<()> {
    let back_off = BackOff::begin(env, "b", "always")?;
    let mut restarts = env.restart_count("b")?;
    let mut waiting = back_off.waiting;
    // The time is twice as long each time: once it is long enough for a look.
    let list = loop {
        let list = env.ctr(&["ps", "-a"])?.ok()?;
        if list.contains("restart in ") {
            break list;
        }
        ensure!(list.contains("restart is due"), "{list}");
        waiting.signal(Signal::CONT)?;
        waiting = BackOff::catch(env, "b", restarts + 1)?;
        restarts = env.restart_count("b")?;
    };
    ensure!(list.contains("Exited (3)"), "{list}");
    let state = &env.inspect("b")?["State"];
    let (at, since) = (state["RestartAt"].as_str(), state["FinishedAt"].as_str());
    ensure!(state["Restarting"] == true && at > since, "{state}");
    env.remove("b")?;
    waiting.signal(Signal::CONT)?;
    Env::wait_for_cleaners(&back_off.id)
}

/// Each pause is at least as long as the policy says: twice the one before.
fn back_off_grows(env: &Env) -> Result<()> {
    let id = env.detached("g", &["--restart", "on-failure:4"], "exit 1")?;
    env.wait_for_event("g", "cleanup", 5)?;
    Env::wait_for_cleaners(&id)?;
    let events = env.events_of("g")?;
    let times = |kind: &str| {
        let found = events.iter().filter(|event| event["Status"] == kind);
        let times = found.map(|event| event["timeNano"].as_i64().context("timeNano"));
        times.collect::<Result<Vec<i64>>>()
    };
    let (cleaned, again) = (times("cleanup")?, times("restart")?);
    ensure!(cleaned.len() == 5 && again.len() == 4, "{events:?}");
    for (number, pause_ms) in [100, 200, 400, 800].into_iter().enumerate() {
        // The cleanup event is made right after the plan for the restart.
        let paused_ms = (again[number] - cleaned[number]) / 1_000_000;
        ensure!(
            paused_ms >= pause_ms - 20,
            "restart {number} came after {paused_ms} ms"
        );
    }
    env.remove("g")
}

fn stop_calls_it_off(env: &Env) -> Result<()> {
    for policy in ["always", "unless-stopped", "on-failure"] {
        let back_off = BackOff::begin(env, "s", policy)?;
        let before = env.generation("s")?;
        env.ctr(&["stop", "s"])?.prints("s\n")?;
        back_off.end()?;
        ensure!(env.generation("s")? == before && env.status("s")? == "exited");
        ensure!(!is_restarting(env, "s")?);
        ensure!(env.story(&back_off.id)?.ends_with(" died cleanup"));
        env.ctr(&["rm", "s"])?.prints("s\n")?;
    }
    Ok(())
}

fn removal_calls_it_off(env: &Env) -> Result<()> {
    for words in [&["rm", "r"][..], &["rm", "-f", "r"]] {
        let back_off = BackOff::begin(env, "r", "always")?;
        env.ctr(words)?.prints("r\n")?;
        back_off.end()?;
        env.check_leaks_after(&words.join(" "))?;
    }
    Ok(())
}

fn start_calls_it_off(env: &Env) -> Result<()> {
    for verb in ["start", "restart"] {
        let back_off = BackOff::begin(env, "p", "always")?;
        let before = env.generation("p")?;
        let stay = env.path("out").join("stay");
        write(&stay, "")?;
        env.ctr(&[verb, "p"])?.prints("p\n")?;
        back_off.end()?;
        ensure!(env.status("p")? == "running");
        ensure!(env.generation("p")? == before + 1, "it was started twice");
        ensure!(env.restart_count("p")? == 0, "a new count begins");
        std::fs::remove_file(&stay).context("forget that it stays")?;
        env.remove("p")?;
    }
    Ok(())
}

/// Whatever takes the lock next has another process wait.
fn a_waiting_command_that_was_killed_is_replaced(env: &Env) -> Result<()> {
    let id = BackOff::begin(env, "x", "always")?.id;
    let mut restarts = env.restart_count(&id)?;
    for words in [
        &["container", "cleanup", &*id][..],
        &["rename", &id, "y"],
        &["pause", &id],
    ] {
        let waiting = BackOff::catch(env, &id, restarts)?;
        restarts = env.restart_count(&id)? + 1;
        Env::shoot(&waiting)?;
        ensure!(
            is_restarting(env, &id)?,
            "who waited is gone, the wish is not"
        );
        ensure!(Env::cleaners(&id)?.is_empty());
        // Refused or not: an answer.
        let output = env.ctr(words)?;
        ensure!(matches!(output.code, 0 | 125), "{output}");
        let again = wait::until(&format!("another one to wait after {words:?}"), || {
            let count = env.restart_count(&id)?;
            Ok((count >= restarts).then_some(count))
        });
        if again.is_err() {
            bail!("nobody has taken over after {words:?}");
        }
    }
    env.remove(&id)?;
    Env::wait_for_cleaners(&id)
}

/// While it waits, and in the middle of the start.
fn a_restart_that_was_killed_at_any_moment_is_done_again(env: &Env) -> Result<()> {
    const MOMENTS: u64 = 20;
    let id = env.detached("m", &["--restart", "always"], "exit 3")?;
    for moment in 0..MOMENTS {
        let waiting = wait::until("a restart to be waited for", || {
            Ok(Env::cleaners(&id)?.into_iter().next())
        })?;
        let time = Duration::from_millis(moment * 13 % 260);
        if !waiting.ends_within(time)? {
            Env::shoot(&waiting)?;
        }
        let before = env.generation(&id)?;
        env.ctr(&["container", "cleanup", &id])?
            .prints(&format!("{id}\n"))?;
        env.wait_for_event(&id, "start", before + 1)
            .with_context(|| format!("after a kill at {time:?}"))?;
        // The pauses begin anew, or the case would take for ever.
        if moment % 2 == 1 {
            env.ctr(&["restart", "-t", "0", &id])?.ok()?;
        }
    }
    env.remove(&id)?;
    Env::wait_for_cleaners(&id)
}

fn removed_once_no_restart_is_due(env: &Env) -> Result<()> {
    let (out, volume) = env.out()?;
    // The second run waits for us, so that the container can be seen between the two.
    let script = "test -e /out/first || { : > /out/first; exit 3; }; echo second; \
        until test -e /out/go; do sleep 0.02; done; exit 3";
    let flags = ["--rm", "--restart", "on-failure:1", "-v", &volume];
    let id = env.detached("t", &flags, script)?;
    env.wait_for_log("t", "second")?;
    ensure!(env.ids()? == [id.as_str()]);
    write(&out.join("go"), "")?;
    env.wait_for_status("t", "removing").or_else(|error| {
        // Gone before the question was asked.
        let gone = env.ctr(&["container", "exists", &id])?.code == 1;
        if gone { Ok(()) } else { Err(error) }
    })?;
    Env::wait_for_cleaners(&id)?;
    env.ctr(&["container", "exists", &id])?.prints_with(1, "")?;
    let story = env.story(&id)?;
    ensure!(
        story == format!("create {ROUND} restart init start died remove"),
        "{story}"
    );
    ensure!(env.past_runs(&id)?.len() == 2);
    Ok(())
}

fn wrong_policies_are_refused(env: &Env) -> Result<()> {
    let refused = |flags: &[&str], words: &[&str]| {
        env.run(flags, &["true"])?.refused(125, words)?;
        ensure!(env.ids()?.is_empty());
        Ok(())
    };
    for policy in ["always", "unless-stopped"] {
        refused(&["--restart", policy], &[policy, "on-failure"])?;
    }
    for wrong in ["sometimes", "ALWAYS", "on-failure "] {
        let words = [wrong, "no", "on-failure", "always", "unless-stopped"];
        refused(&["--restart", wrong], &words)?;
    }
    for wrong in ["always:3", "no:1", "unless-stopped:1"] {
        refused(&["--restart", wrong], &[wrong, "retries"])?;
    }
    for wrong in [
        "on-failure:x",
        "on-failure:-1",
        "on-failure:",
        "on-failure:1.5",
    ] {
        refused(&["--restart", wrong], &[wrong, "number"])?;
    }
    Ok(())
}
