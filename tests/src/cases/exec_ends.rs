//! How a command ends: after the last of its output, and whatever becomes of those that it leaves behind.

use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::hosted::{
    WAYS, container, ended, received, running, runs, session, with_share, words,
};
use crate::harness::output::Output;
use crate::harness::pattern::{Kind, Pattern};
use crate::harness::program::Running;
use crate::harness::receiver::{Pace, Receiver};
use crate::harness::share::Share;
use crate::harness::wait;

cases! {
    Full the_last_output_comes_before_the_end,
    Core codes_and_signals,
    Core children_that_say_nothing_are_not_waited_for,
    Core waiting_for_all_output,
    Full a_kill_ends_the_waiting,
    Full a_kill_ends_the_waiting_for_anybody,
    Full what_is_not_waited_for_is_counted,
    Full children_write_on_after_the_end,
    Full children_have_what_was_handed_over,
}

const KIB: u64 = 1024;

/// A command that leaves a process behind, which says its number in `/share/pid`.
const LEAVES: &str = "sleep 1000 & echo $! > /share/pid; exit 7";

/// A command that leaves a process behind, which writes all bytes once it is told to.
const LEAVES_WRITER: &str = "{ until test -e /share/go; do sleep 0.02; done; cat /share/data && : > /share/alive; } & exit 7";

/// Ends with the code, quietly, and with exactly the bytes.
fn check(client: Running, receiver: Receiver, share: &Share, code: i32) -> Result<()> {
    client.finish()?.quiet(code)?;
    receiver.finish()?.is_all_of(&share.pattern)
}

/// As much as a pipe holds: the command ends before anybody has taken a byte of it.
fn the_last_output_comes_before_the_end(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Random(40), 64 * KIB))?;
    for number in 0..env.scale.pick(200, 1000) {
        let code = 1 + number % 100;
        let script = format!("cat /share/data; exit {code}");
        let way = WAYS[usize::from(number % 4 == 3)];
        let words = words(&[way], "c", &script);
        let (client, receiver) = received(env, &words, &share.pattern, Pace::Fast)?;
        let right = check(client, receiver, &share, code);
        right.with_context(|| format!("round {number}, {way}"))?;
    }
    env.remove("c")
}

fn codes_and_signals(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    for way in WAYS {
        for code in [0, 1, 124, 125, 126, 127, 128, 130, 137, 255] {
            let script = format!("printf 'out {code}'; exit {code}");
            env.ctr(&words(&[way], "c", &script))?
                .prints_with(code, &format!("out {code}"))?;
        }
        for (name, number) in [("INT", 2), ("KILL", 9), ("TERM", 15), ("PIPE", 13)] {
            let script = format!("printf 'before {name}'; kill -{name} $$");
            env.ctr(&words(&[way], "c", &script))?
                .prints_with(128 + number, &format!("before {name}"))?;
        }
    }
    env.remove("c")
}

/// Whether the process that a command has left behind lives. The container's own program takes no note of those that have ended.
fn left_behind_lives(env: &Env) -> Result<bool> {
    let script = "grep -q '^State:.[^ZX]' /proc/$(cat /share/pid)/status 2>/dev/null";
    Ok(env.ctr(&words(&[], "c", script))?.code == 0)
}

fn end_left_behind(env: &Env, share: &Share) -> Result<()> {
    env.ctr(&words(&[], "c", "kill -KILL $(cat /share/pid)"))?
        .ok()?;
    share.forget("pid")
}

fn children_that_say_nothing_are_not_waited_for(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Nul, 1))?;
    for flags in [
        &[][..],
        &["--wait-io=grace"],
        &["--wait-io=exit"],
        &["-i", "--wait-io=exit"],
        &["-t"],
        &["-t", "--wait-io=exit"],
    ] {
        let mut all = vec!["--stdio=stream"];
        all.extend(flags);
        // A terminal that is hung up would end the process.
        let script = format!("trap '' HUP; {LEAVES}");
        let output = env.ctr(&words(&all, "c", &script))?;
        ensure!(output.code == 7 && output.out().is_empty(), "{output}");
        ensure!(output.err().is_empty() || all.contains(&"-t"), "{output}");
        ensure!(left_behind_lives(env)?, "{flags:?}: it was killed");
        end_left_behind(env, &share)?;
    }
    for bad in ["", "never", "EOF", "1"] {
        env.ctr(&["exec", &format!("--wait-io={bad}"), "c", "true"])?
            .refused(125, &["--wait-io", "exit, grace or eof"])?;
    }
    env.remove("c")
}

fn waiting_for_all_output(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Random(41), 200 * KIB))?;
    let flags = ["--stdio=stream", "--wait-io=eof"];
    let client = env.call(&words(&flags, "c", LEAVES)).spawn()?;
    share.hear("pid")?;
    // Longer than the default waits.
    ensure!(!client.ends_within(Duration::from_secs(2))?, "it ended");
    ensure!(left_behind_lives(env)?);
    end_left_behind(env, &share)?;
    client.finish()?.prints_with(7, "")?;

    let writes = words(&flags, "c", LEAVES_WRITER);
    let (client, receiver) = received(env, &writes, &share.pattern, Pace::Fast)?;
    ensure!(!client.ends_within(Duration::from_secs(1))?, "it ended");
    share.tell("go")?;
    check(client, receiver, &share, 7)?;
    ensure!(share.was_told("alive"));
    env.remove("c")
}

/// A session that has ended but for those that it has left behind still runs, and all of it can be killed.
fn a_kill_ends_the_waiting(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Nul, 1))?;
    let until_told = "until test -e /share/go; do sleep 0.02; done; exit 7";
    let script = format!("sleep 1000 & echo $! > /share/pid; {until_told}");
    let (id, client) = waits_for_eof(env, &script)?;
    // Once it is recorded, whatever it starts and leaves behind belongs to it.
    wait::until("the session", || Ok(runs(env, &id)?.then_some(())))?;
    share.hear("pid")?;
    share.tell("go")?;
    ensure!(!client.ends_within(Duration::from_secs(1))?, "it ended");
    killed(env, &id, client)?;
    ensure!(!left_behind_lives(env)?);

    // So can a command with all that it has started, by force.
    let script = "sleep 1000 & echo $! > /share/pid; wait; exit 8";
    share.forget("pid")?;
    let id = running(env, &[], "c", script)?;
    share.hear("pid")?;
    env.ctr(&["container", "exec-rm", "-f", &id])?
        .prints(&format!("{id}\n"))?;
    ensure!(!left_behind_lives(env)?);
    env.remove("c")
}

/// A session in the foreground that waits for all of its output.
fn waits_for_eof(env: &Env, script: &str) -> Result<(String, Running)> {
    let id = session(env, &[], "c", script)?;
    let words = [
        "container",
        "exec-start",
        "--stdio=stream",
        "--wait-io=eof",
        &id,
    ];
    let client = env.call(&words).spawn()?;
    Ok((id, client))
}

/// The session is killed; that ends its client, and it can be forgotten.
fn killed(env: &Env, id: &str, client: Running) -> Result<()> {
    env.ctr(&["container", "exec-kill", id])?
        .prints(&format!("{id}\n"))?;
    client.finish()?.prints_with(7, "")?;
    ended(env, id, 7)?;
    ensure!(!runs(env, id)?);
    env.ctr(&["container", "exec-rm", id])?.ok()?;
    Ok(())
}

/// The command ends so soon that with some runtimes what it leaves behind is not known to belong to it: nobody waits for that after a kill.
fn a_kill_ends_the_waiting_for_anybody(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Nul, 1))?;
    for round in 0..env.scale.pick(5, 50) {
        let (id, client) = waits_for_eof(env, LEAVES)?;
        share.hear("pid")?;
        wait::until("the session", || Ok(runs(env, &id)?.then_some(())))?;
        ensure!(!client.ends_within(Duration::from_millis(100))?, "it ended");
        killed(env, &id, client).with_context(|| format!("round {round}"))?;
        share.forget("pid")?;
    }
    env.remove("c")
}

/// The number of bytes that a client says were not waited for.
fn dropped(output: &Output) -> Result<u64> {
    let err = output.err();
    let text = err
        .strip_prefix("Warning: ")
        .filter(|_| err.lines().count() == 1);
    let (before, after) = text
        .and_then(|text| text.split_once(" bytes"))
        .with_context(|| format!("{output}"))?;
    ensure!(after.contains("--wait-io eof"), "{output}");
    let number = before.rsplit(' ').next().context("a word")?;
    number.parse().with_context(|| format!("{output}"))
}

/// The command ends while its reader stands still, and a child has filled the pipe: what is in it then is what is not brought.
fn what_is_not_waited_for_is_counted(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Random(42), 16 * KIB * KIB))?;
    for flags in [&[][..], &["--wait-io=grace"], &["--wait-io=exit"]] {
        let mut all = vec!["--stdio=stream"];
        all.extend(flags);
        // Ends when the child has waited for the reader for a while.
        let script = "{ cat /share/data && : > /share/alive; } & until test -e /share/go; do sleep 0.02; done; exit 7";
        let (gate, closed) = channel();
        let words = words(&all, "c", script);
        let (client, receiver) = received(env, &words, &share.pattern, Pace::Stalled(closed))?;
        receiver.wait_for_first()?;
        ensure!(!client.ends_within(Duration::from_secs(1))?, "it ended");
        share.tell("go")?;
        // The child goes on once nobody is waited for: it writes to nobody, and is not killed by that.
        share.hear("alive").with_context(|| format!("{flags:?}"))?;
        gate.send(()).context("open the gate")?;
        let output = client.finish()?;
        ensure!(output.code == 7, "{output}");
        let bytes = receiver.finish()?;
        bytes.is_a_beginning_of(&share.pattern)?;
        // Where nothing is waited for, there may be nothing in the pipe at that moment.
        if flags == ["--wait-io=exit"] && output.stderr.is_empty() {
            output.quiet(7)?;
        } else {
            let dropped = dropped(&output)?;
            ensure!(
                dropped > 0 && bytes.after + dropped <= share.pattern.length(),
                "{bytes:?}, {output}"
            );
        }
        share.forget("go")?;
        share.forget("alive")?;
    }
    env.remove("c")
}

/// Nobody is left to read what they write, and they are not killed for it.
fn children_write_on_after_the_end(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Random(43), 16 * KIB * KIB))?;
    for flags in [&[][..], &["-i"], &["--wait-io=exit"]] {
        let mut all = vec!["--stdio=stream"];
        all.extend(flags);
        env.ctr(&words(&all, "c", LEAVES_WRITER))?
            .prints_with(7, "")?;
        share.tell("go")?;
        share.hear("alive").with_context(|| format!("{flags:?}"))?;
        share.forget("go")?;
        share.forget("alive")?;
    }
    // The same of a session in the background.
    let id = running(env, &[], "c", LEAVES_WRITER)?;
    ended(env, &id, 7)?;
    share.tell("go")?;
    share.hear("alive")?;
    env.remove("c")
}

/// The pipe is theirs as much as the command's: what they write after its end arrives.
fn children_have_what_was_handed_over(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Random(44), 16 * KIB * KIB))?;
    for flags in [&[][..], &["--wait-io=eof"]] {
        let mut all = vec!["--stdio=pass"];
        all.extend(flags);
        let script = format!("exec 2>/dev/null; {LEAVES_WRITER}");
        let words = words(&all, "c", &script);
        let (client, receiver) = received(env, &words, &share.pattern, Pace::Fast)?;
        client.finish()?.quiet(7)?;
        share.tell("go")?;
        receiver.finish()?.is_all_of(&share.pattern)?;
        share.hear("alive")?;
        share.forget("go")?;
        share.forget("alive")?;
    }
    env.remove("c")
}
