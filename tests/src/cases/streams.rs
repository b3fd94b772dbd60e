//! Every byte of every stream: through `run`, through attached clients of every pace, and into the log.
//!
//! A container writes bytes that are known beforehand, and each reader compares what it gets with them.

use std::fs::File;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::{Env, refs};
use crate::harness::pattern::{Kind, Pattern};
use crate::harness::receiver::{Pace, Receiver};
use crate::harness::share::{Attached, MARKER, Share, TICK};

cases! {
    Core every_client_gets_the_same_bytes,
    Full run_and_log_bring_every_byte,
    Full half_a_million_single_bytes,
    Full input_is_passed_as_it_is,
    Full terminals_bring_every_byte,
    Full the_container_waits_for_its_owner,
    Full nobody_waits_for_a_killed_owner,
    Full a_client_that_waits_for_its_reader_can_be_ended,
    Full chosen_streams,
}

const MIB: u64 = 1024 * 1024;

fn stalled() -> (Sender<()>, Pace) {
    let (gate, closed) = channel();
    (gate, Pace::Stalled(closed))
}

fn every_client_gets_the_same_bytes(env: &Env) -> Result<()> {
    for (fast, length) in env.scale.pick(&[(2, 24)][..], &[(2, 256), (48, 24)]) {
        same_bytes(env, *fast, length * MIB).with_context(|| format!("{fast} clients"))?;
    }
    Ok(())
}

/// So many clients that take what comes, one that pauses, one that stands still for a while, and one that does so for ever.
fn same_bytes(env: &Env, fast: usize, length: u64) -> Result<()> {
    let name = format!("share-{fast}");
    let share = Share::make(env, &name, Pattern::new(Kind::Random(1), length))?;
    let script = format!(
        "{TICK} cat /share/data; : > /share/written; until test -e /share/end; do sleep 0.02; done; exit 5"
    );
    share.detached(env, "c", &script)?;
    let mut clients = vec![Attached::start(env, "c", &share, Pace::Slow)?];
    for _ in 0..fast {
        clients.push(Attached::start(env, "c", &share, Pace::Fast)?);
    }
    let (gate, pace) = stalled();
    let lame = Attached::start(env, "c", &share, pace)?;
    let (_never, pace) = stalled();
    let dead = Attached::start(env, "c", &share, pace)?;
    share.tell("go")?;
    // Two clients take nothing, and the container writes all the same.
    share.hear("written")?;
    // What one client has, the monitor has offered to all.
    for client in &clients {
        client.receiver.wait_for_all()?;
    }

    gate.send(()).context("open the gate")?;
    let output = lame.client.finish()?;
    let received = lame.receiver.finish()?;
    received.is_a_beginning_of(&share.pattern)?;
    ensure!(output.code == 125, "{output}");
    output.one_error(&["bytes", "logs c"])?;
    let missed = number_before(&output.err(), " bytes")
        .with_context(|| format!("how much was missed is not said: {output}"))?;
    ensure!(
        received.after + missed == length,
        "{received:?}, {missed} missed, of {length}: {output}"
    );

    share.tell("end")?;
    for client in clients {
        client.got_all(&share, 5)?;
    }
    env.ctr(&["wait", "c"])?.prints("5\n")?;
    dead.client.signal(Signal::KILL)?;
    let ended = dead.client.finish()?.code;
    ensure!(
        ended == 137,
        "a client that never took anything ended with {ended}"
    );
    share.check_log(env, "c", MARKER)?;
    env.remove("c")
}

/// The number that stands before these words.
fn number_before(text: &str, words: &str) -> Option<u64> {
    let (before, _) = text.split_once(words)?;
    let digits = before
        .rsplit(|letter: char| !letter.is_ascii_digit())
        .next()?;
    digits.parse().ok()
}

fn run_and_log_bring_every_byte(env: &Env) -> Result<()> {
    for (name, kind, length) in [
        ("random", Kind::Random(2), env.scale.pick(16, 256) * MIB),
        ("zeros", Kind::Nul, env.scale.pick(8, 64) * MIB),
        ("line", Kind::OneLine, 64 * MIB),
    ] {
        let share = Share::make(env, name, Pattern::new(kind, length))?;
        let (client, receiver) =
            share.foreground(env, "c", "cat /share/data; exit 4", Pace::Fast)?;
        client.finish()?.quiet(4)?;
        receiver.finish()?.is_all_of(&share.pattern).context(name)?;
        share.check_log(env, "c", "").context(name)?;
        env.remove("c")?;
        std::fs::remove_file(share.data())?;
    }
    both_streams_at_once(env)
}

fn both_streams_at_once(env: &Env) -> Result<()> {
    let share = Share::make(env, "both", Pattern::new(Kind::Random(3), 4 * MIB + 1))?;
    let script = "cat /share/data & cat /share/data >&2; wait; exit 6";
    let rootfs = env.rootfs();
    let words = [
        "run",
        "--name",
        "c",
        "-v",
        &share.volume,
        "--rootfs",
        &rootfs,
        "sh",
        "-c",
        script,
    ];
    for (words, code) in [(&words[..], 6), (&["logs", "c"], 0)] {
        let (out, out_end) = Receiver::start("", &share.pattern, Pace::Fast)?;
        let (err, err_end) = Receiver::start("", &share.pattern, Pace::Slow)?;
        let client = env
            .call(words)
            .stdout_to(out_end)
            .stderr_to(err_end)
            .spawn()?;
        let output = client.finish()?;
        ensure!(output.code == code, "{output}");
        for receiver in [out, err] {
            let received = receiver.finish()?;
            received.is_all_of(&share.pattern)?;
        }
    }
    env.remove("c")
}

fn half_a_million_single_bytes(env: &Env) -> Result<()> {
    let share = Share::make(env, "share", Pattern::new(Kind::Random(4), 500_000))?;
    let script = "dd if=/share/data bs=1 2>/dev/null";
    for pace in [Pace::Fast, Pace::Slow] {
        let (client, receiver) = share.foreground(env, "c", script, pace)?;
        client.finish()?.quiet(0)?;
        receiver.finish()?.is_all_of(&share.pattern)?;
        share.check_log(env, "c", "")?;
        env.remove("c")?;
    }
    Ok(())
}

/// Data may hold the keys of the default sequence: they are looked for only where a person types.
fn input_is_passed_as_it_is(env: &Env) -> Result<()> {
    let words = env.run_words(&["-i"], &["cat"]);
    let keys = b"\x10\x11\x03\x04\x1a\x10\x10\x11\n";
    let output = env.finish(env.call(&refs(&words)).stdin(keys))?;
    ensure!(output.code == 0 && output.stdout == keys, "{output}");

    let length = env.scale.pick(16, 256) * MIB;
    let share = Share::make(env, "share", Pattern::new(Kind::Random(5), length))?;
    let file = File::open(share.data()).context("open the bytes")?;
    let (receiver, end) = Receiver::start("", &share.pattern, Pace::Fast)?;
    let client = env
        .call(&refs(&words))
        .stdin_from(file)
        .stdout_to(end)
        .spawn()?;
    client.finish()?.quiet(0)?;
    receiver.finish()?.is_all_of(&share.pattern)
}

fn terminals_bring_every_byte(env: &Env) -> Result<()> {
    let share = Share::make(env, "share", Pattern::new(Kind::Random(6), 8 * MIB))?;
    let rootfs = env.rootfs();
    let script = "stty raw; cat /share/data; exit 7";
    let words = [
        "run",
        "--name",
        "c",
        "-t",
        "-v",
        &share.volume,
        "--rootfs",
        &rootfs,
        "sh",
        "-c",
        script,
    ];
    let (receiver, end) = Receiver::start("", &share.pattern, Pace::Slow)?;
    let client = env.call(&words).stdout_to(end).spawn()?;
    let output = client.finish()?;
    ensure!(output.code == 7, "{output}");
    receiver.finish()?.is_all_of(&share.pattern)?;
    share.check_log(env, "c", "")?;
    env.remove("c")
}

/// As in a pipeline of processes: a reader that is slow or stands still makes the writer wait, however long, and nothing is lost.
fn the_container_waits_for_its_owner(env: &Env) -> Result<()> {
    let share = Share::make(env, "share", Pattern::new(Kind::Random(7), 16 * MIB))?;
    let script = "cat /share/data; : > /share/written; exit 3";
    let (client, receiver) = share.foreground(env, "slow", script, Pace::Slow)?;
    client.finish()?.quiet(3)?;
    receiver.finish()?.is_all_of(&share.pattern)?;
    share.check_log(env, "slow", "")?;
    env.remove("slow")?;
    share.forget("written")?;

    let (gate, pace) = stalled();
    let (client, receiver) = share.foreground(env, "stalled", script, pace)?;
    // Longer than a client that only looks on would be waited for.
    ensure!(!client.ends_within(Duration::from_secs(5))?, "it ended");
    ensure!(!share.was_told("written"), "the container did not wait");
    ensure!(env.status("stalled")? == "running");
    gate.send(()).context("open the gate")?;
    client.finish()?.quiet(3)?;
    receiver.finish()?.is_all_of(&share.pattern)?;
    share.check_log(env, "stalled", "")?;
    env.remove("stalled")
}

fn nobody_waits_for_a_killed_owner(env: &Env) -> Result<()> {
    let share = Share::make(env, "share", Pattern::new(Kind::Random(8), 16 * MIB))?;
    let script = "cat /share/data; : > /share/written; exit 3";
    let (gate, pace) = stalled();
    let (client, receiver) = share.foreground(env, "c", script, pace)?;
    receiver.wait_for_first()?;
    ensure!(!client.ends_within(Duration::from_millis(500))?, "it ended");
    ensure!(!share.was_told("written"), "the container did not wait");
    client.signal(Signal::KILL)?;
    drop(gate);
    let code = client.finish()?.code;
    ensure!(code == 137, "{code}");
    receiver.finish()?.is_a_beginning_of(&share.pattern)?;
    env.ctr(&["wait", "c"])?.prints("3\n")?;
    ensure!(share.was_told("written"));
    env.wait_for_cleanup("c")?;
    share.check_log(env, "c", "")?;
    env.remove("c")
}

/// Its container is gone, so a signal to it is for nobody else.
fn a_client_that_waits_for_its_reader_can_be_ended(env: &Env) -> Result<()> {
    let share = Share::make(env, "share", Pattern::new(Kind::Random(9), MIB / 2))?;
    let (gate, pace) = stalled();
    let (client, receiver) = share.foreground(env, "c", "cat /share/data; exit 3", pace)?;
    receiver.wait_for_first()?;
    env.ctr(&["wait", "c"])?.prints("3\n")?;
    ensure!(!client.ends_within(Duration::from_millis(500))?, "it ended");
    client.signal(Signal::TERM)?;
    let code = client.finish()?.code;
    ensure!(code == 143, "{code}");
    drop(gate);
    receiver.finish()?.is_a_beginning_of(&share.pattern)?;
    env.wait_for_cleanup("c")?;
    share.check_log(env, "c", "")?;
    env.remove("c")
}

fn chosen_streams(env: &Env) -> Result<()> {
    let script = "cat; echo out; echo error >&2; exit 8";
    for (streams, out, err) in [
        (&["stdout"][..], "out\n", ""),
        (&["stderr"], "", "error\n"),
        (&["stdout", "stderr"], "out\n", "error\n"),
        (&["stdin", "stdout"], "typed\nout\n", ""),
        // Nothing of the container is heard, so its id is told.
        (&["stdin"], "ID\n", ""),
    ] {
        let flags: Vec<String> = streams
            .iter()
            .map(|stream| format!("-a={stream}"))
            .collect();
        let rootfs = env.rootfs();
        let mut words = vec!["run", "--name", "c"];
        words.extend(refs(&flags));
        words.extend(["--rootfs", &rootfs, "sh", "-c", script]);
        let output = env.finish(env.call(&words).stdin(b"typed\n"))?;
        let id = env.inspect("c")?["Id"].as_str().unwrap_or("").to_owned();
        let out = out.replace("ID", &id);
        ensure!(
            output.code == 8 && output.out() == out && output.err() == err,
            "{streams:?}: {output}"
        );
        // Whatever is shown, all of it is kept.
        let log = env.ctr(&["logs", "c"])?;
        ensure!(
            log.out().ends_with("out\n") && log.err() == "error\n",
            "{streams:?}: {log}"
        );
        env.remove("c")?;
    }
    Ok(())
}
