//! Every byte that a command writes: copied by the monitor or handed over, to readers of every pace, up to its end.
//!
//! A command writes bytes that are known beforehand, and each reader compares what it gets with them.

use std::fs::File;
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::hosted::{WAYS, attached, container, file_has, received, with_share, words};
use crate::harness::pattern::{Kind, Pattern};
use crate::harness::program::Call;
use crate::harness::receiver::{Pace, Receiver};
use crate::harness::share::{MARKER, Share, TICK};
use crate::harness::terminal::SIZE;
use crate::harness::tree;
use crate::harness::wait;

cases! {
    Core every_byte_of_both_streams,
    Full zeros_and_one_endless_line,
    Full single_bytes,
    Full the_command_waits_for_its_reader,
    Full nobody_waits_for_a_killed_client,
    Full others_beside_the_foreground,
    Full an_ended_session_holds_nobody_up,
    Core a_reader_that_goes_ends_the_command,
    Core only_pipes_are_handed_over,
    Full handed_over_or_copied_by_kind,
}

const MIB: u64 = 1024 * 1024;

/// Writes the bytes on both streams at once.
const BOTH: &str = "cat /share/data & cat /share/data >&2; wait; exit 6";

/// A script brings all bytes on both streams, and code 6.
fn check(env: &Env, share: &Share, way: &str, script: &str) -> Result<()> {
    let (out, out_end) = Receiver::start("", &share.pattern, Pace::Fast)?;
    let (err, err_end) = Receiver::start("", &share.pattern, Pace::Fast)?;
    let client = env
        .call(&words(&[way], "c", script))
        .stdout_to(out_end)
        .stderr_to(err_end)
        .spawn()?;
    let output = client.finish()?;
    ensure!(output.code == 6, "{output}");
    for (name, receiver) in [("stdout", out), ("stderr", err)] {
        let received = receiver.finish()?;
        let all = received.is_all_of(&share.pattern);
        all.with_context(|| format!("{name}, {way}"))?;
    }
    Ok(())
}

/// The same in every way, with a container for these bytes.
fn check_ways(env: &Env, pattern: Pattern, script: &str) -> Result<()> {
    let share = with_share(env, "c", pattern)?;
    for way in WAYS {
        check(env, &share, way, script)?;
    }
    env.remove("c")?;
    tree::remove(&env.path("share-c"))
}

fn every_byte_of_both_streams(env: &Env) -> Result<()> {
    let length = env.scale.pick(16, 1024) * MIB;
    check_ways(env, Pattern::new(Kind::Random(20), length), BOTH)
}

fn zeros_and_one_endless_line(env: &Env) -> Result<()> {
    let zeros = env.scale.pick(8, 64) * MIB;
    check_ways(env, Pattern::new(Kind::Nul, zeros), BOTH)?;
    check_ways(env, Pattern::new(Kind::OneLine, 64 * MIB), BOTH)
}

fn single_bytes(env: &Env) -> Result<()> {
    let length = env.scale.pick(50_000, 500_000);
    let script =
        "dd if=/share/data bs=1 2>/dev/null & dd if=/share/data bs=1 >&2 2>/dev/null; wait; exit 6";
    check_ways(env, Pattern::new(Kind::Random(21), length), script)
}

/// As in a pipeline of processes: a reader that is slow or stands still makes the writer wait, however long, and nothing is lost.
fn the_command_waits_for_its_reader(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Random(22), 16 * MIB))?;
    for way in WAYS {
        let script = "cat /share/data; : > /share/written; exit 3";
        let (gate, closed) = channel();
        let words = words(&[way], "c", script);
        let (client, receiver) = received(env, &words, &share.pattern, Pace::Stalled(closed))?;
        // Longer than a client that only looks on would be waited for.
        ensure!(!client.ends_within(Duration::from_secs(5))?, "it ended");
        ensure!(!share.was_told("written"), "the command did not wait");
        gate.send(()).context("open the gate")?;
        client.finish()?.quiet(3)?;
        receiver.finish()?.is_all_of(&share.pattern).context(way)?;
        share.forget("written")?;
    }
    env.remove("c")
}

/// The session goes on without the client in whose foreground it was, and others see how it ends.
fn nobody_waits_for_a_killed_client(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Random(25), 16 * MIB))?;
    let script = "cat > /share/read; cat /share/data; : > /share/written; until test -e /share/end; do sleep 0.02; done; echo end; exit 3";
    let (gate, closed) = channel();
    let words = words(&["-i", "--stdio=stream"], "c", script);
    let (receiver, end) = Receiver::start("", &share.pattern, Pace::Stalled(closed))?;
    // Bytes to read, then their end: a client that is killed is the end of the input, too.
    let mut client = env.call(&words).open_stdin().stdout_to(end).spawn()?;
    client.say(b"typed\n")?;
    client.close_stdin();
    receiver.wait_for_first()?;
    ensure!(!client.ends_within(Duration::from_millis(500))?, "it ended");
    ensure!(!share.was_told("written"), "the command did not wait");
    let id = env.ctr(&["container", "exec-ls", "-q", "c"])?.ok()?;
    let look = ["attach", "--no-stdin", "--session", id.trim_end()];
    client.signal(Signal::KILL)?;
    let code = client.finish()?.code;
    ensure!(code == 137, "{code}");
    drop(gate);
    receiver.finish()?.is_a_beginning_of(&share.pattern)?;
    share.hear("written")?;
    let looks = env.call(&[&look[..], &["--replay=1"]].concat()).spawn()?;
    looks.wait_for_bytes(1024)?;
    share.tell("end")?;
    let output = looks.finish()?;
    ensure!(
        output.code == 3 && output.stdout.len() == 1024 + 4 && output.stdout.ends_with(b"end\n"),
        "{output}"
    );
    let typed = share.data().with_file_name("read");
    ensure!(std::fs::read(typed).context("read the input")? == b"typed\n");
    env.remove("c")
}

/// Who only looks on is dropped when it stands still, and the foreground has all bytes; the foreground may stand still, and all wait.
fn others_beside_the_foreground(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Random(26), 24 * MIB))?;
    let script = format!("{TICK} cat /share/data; exit 5");
    for stalled in [false, true] {
        let (gate, closed) = channel();
        let pace = if stalled {
            Pace::Stalled(closed)
        } else {
            Pace::Slow
        };
        let (receiver, end) = Receiver::start(MARKER, &share.pattern, pace)?;
        let words = words(&["--stdio=stream"], "c", &script);
        let client = env.call(&words).stdout_to(end).spawn()?;
        receiver.wait_for_first()?;
        let id = env.ctr(&["container", "exec-ls", "-q", "c"])?.ok()?;
        let look = ["attach", "--session", id.trim_end()];
        let fast = attached(env, &look, &share, Pace::Fast)?;
        let (never, closed) = channel();
        let lame = attached(env, &look, &share, Pace::Stalled(closed))?;
        share.tell("go")?;
        if stalled {
            ensure!(!client.ends_within(Duration::from_secs(5))?, "it ended");
            gate.send(()).context("open the gate")?;
        }
        client.finish()?.quiet(5)?;
        receiver.finish()?.is_all_of(&share.pattern)?;
        fast.got_all(&share, 5)?;
        drop(never);
        let output = lame.client.finish()?;
        ensure!(output.code == 125, "{output}");
        output.one_error(&["bytes were not sent"])?;
        lame.receiver.finish()?.is_a_beginning_of(&share.pattern)?;
        share.forget("go")?;
    }
    env.remove("c")
}

/// What a session leaves to a client that stands still is that client's business: not the container's, nor that of other sessions.
fn an_ended_session_holds_nobody_up(env: &Env) -> Result<()> {
    let share = Share::make(env, "share", Pattern::new(Kind::Random(27), 16 * MIB))?;
    let script = "until test -e /share/go; do sleep 0.02; done; cat /share/data; : > /share/written; exec sleep 1000000";
    share.detached(env, "c", script)?;
    let (gate, closed) = channel();
    let words = words(&["--stdio=stream"], "c", "exec cat /share/data");
    let (client, receiver) = received(env, &words, &share.pattern, Pace::Stalled(closed))?;
    receiver.wait_for_first()?;
    ensure!(!client.ends_within(Duration::from_secs(1))?, "it ended");
    let id = env.ctr(&["container", "exec-ls", "-q", "c"])?.ok()?;
    env.ctr(&["container", "exec-kill", id.trim_end()])?.ok()?;
    wait::until("the end of the session", || {
        let list = env.ctr(&["container", "exec-ls", "c"])?.ok()?;
        Ok((!list.contains("running")).then_some(()))
    })?;
    share.tell("go")?;
    share
        .hear("written")
        .context("the container's own output")?;
    let (other, all) = received(env, &words, &share.pattern, Pace::Fast)?;
    other.finish()?.quiet(0)?;
    all.finish()?.is_all_of(&share.pattern)?;
    gate.send(()).context("open the gate")?;
    client.finish()?.quiet(137)?;
    receiver.finish()?.is_a_beginning_of(&share.pattern)?;
    env.remove("c")
}

/// `| head -1`: the command is asked to end where the monitor copies, and is killed by its next write where it has the pipe itself.
fn a_reader_that_goes_ends_the_command(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    for (way, codes) in [("--stdio=stream", [143, 143]), ("--stdio=pass", [141, 1])] {
        let (reader, end) = std::io::pipe().context("make a pipe")?;
        let words = ["exec", way, "c", "yes", "line"];
        let client = env.call(&words).stdout_to(end).spawn()?;
        let head = Call::new("head")
            .args(["-n1"])
            .stdin_from(reader)
            .output()?;
        head.prints("line\n")?;
        let output = client.finish()?;
        ensure!(
            codes.contains(&output.code) && output.err().lines().count() <= 1,
            "{way}: {output}"
        );
        let list = env.ctr(&["exec", "c", "ps"])?.ok()?;
        ensure!(!list.contains("yes line"), "{way}: {list}");
    }
    // One that does not listen is killed.
    let (reader, end) = std::io::pipe().context("make a pipe")?;
    let script = "trap '' TERM PIPE; while :; do echo line 2>/dev/null; done";
    let stubborn = words(&["--stdio=stream"], "c", script);
    let client = env.call(&stubborn).stdout_to(end).spawn()?;
    let head = Call::new("head")
        .args(["-n1"])
        .stdin_from(reader)
        .output()?;
    head.prints("line\n")?;
    let output = client.finish()?;
    ensure!(output.code == 137, "{output}");
    env.remove("c")
}

/// A file could be truncated by a container, and a terminal typed into.
fn only_pipes_are_handed_over(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Random(23), 100_000))?;
    let copy = || {
        File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(env.path("copy"))
    };
    let pass = words(&["-i", "--stdio=pass"], "c", ": > /share/ran; cat");

    let file = File::open(share.data()).context("open the bytes")?;
    let output = env.finish(env.call(&pass).stdin_from(file))?;
    output.refused(125, &["stdio", "pass", "standard input", "file"])?;
    let call = env.call(&pass).stdout_to(copy().context("make a file")?);
    let output = env.finish(call)?;
    output.refused(125, &["stdio", "pass", "standard output", "file"])?;
    let screen = env.terminal(&pass, SIZE)?.finish(125)?;
    ensure!(
        screen.starts_with("Error: ") && screen.contains("terminal") && screen.lines().count() <= 2,
        "{screen:?}"
    );
    env.ctr(&["exec", "-t", "--stdio=pass", "c", "true"])?
        .refused(125, &["stdio", "pass", "terminal"])?;
    for bad in ["", "copy", "PASS", "stream,pass"] {
        env.ctr(&["exec", &format!("--stdio={bad}"), "c", "true"])?
            .refused(125, &["--stdio", "stream, pass or auto"])?;
    }
    ensure!(!share.was_told("ran"), "a refused command ran");
    env.remove("c")
}

/// By itself, a stream is handed over if it is a pipe; all others are copied, and their bytes are the same.
fn handed_over_or_copied_by_kind(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Random(24), MIB + 1))?;
    for auto in [&["-i"][..], &["-i", "--stdio=auto"]] {
        let copy = env.path("copy");
        let file = File::create_new(&copy).context("make a file")?;
        let script = "test -p /proc/$$/fd/0 && test -p /proc/$$/fd/1 && echo pipes >&2; cat";
        let call = env
            .call(&words(auto, "c", script))
            .stdin_from(File::open(share.data()).context("open the bytes")?)
            .stdout_to(file);
        let output = env.finish(call)?;
        ensure!(output.code == 0 && output.err() == "pipes\n", "{output}");
        file_has(&share, &copy)?;
        std::fs::remove_file(&copy).context("remove the copy")?;
    }
    let seen = |way| -> Result<Vec<String>> {
        let script = "readlink /proc/self/fd/1; readlink /proc/self/fd/2";
        let both = ["sh", "-c", "readlink /proc/self/fd/1; \"$@\" 2>&1", "sh"];
        let output = env.finish(env.call_through(&both, &words(&[way], "c", script)))?;
        Ok(output.ok()?.lines().map(str::to_owned).collect())
    };
    for way in ["--stdio=pass", "--stdio=auto"] {
        let pipes = seen(way)?;
        ensure!(
            pipes.len() == 3 && pipes[1] == pipes[0] && pipes[2] == pipes[0],
            "{way}: {pipes:?}"
        );
    }
    let pipes = seen("--stdio=stream")?;
    ensure!(
        pipes.len() == 3 && pipes[1] != pipes[0] && pipes[1] != pipes[2],
        "{pipes:?}"
    );
    env.remove("c")
}
