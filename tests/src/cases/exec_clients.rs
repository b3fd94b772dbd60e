//! Sessions that run by themselves, and those who come to look at them, to type, and to leave.

use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::hosted::{attached, container, ended, running, runs, with_share};
use crate::harness::output::Output;
use crate::harness::pattern::{Kind, Pattern};
use crate::harness::program::Running;
use crate::harness::receiver::Pace;
use crate::harness::share::{Attached, Share, TICK};
use crate::harness::terminal::{SIZE, Size, Terminal};
use crate::harness::tree;
use crate::harness::wait;

cases! {
    Core every_client_gets_the_same_bytes,
    Core who_only_looks_on_changes_nothing,
    Full pipes_of_a_session,
    Core leaving_by_keys,
    Full keys_of_the_session,
    Full clients_that_are_ended,
    Full bad_words,
}

const MIB: u64 = 1024 * 1024;

/// Shows each byte as it comes and as it is.
const SHOW_KEYS: &str = "stty raw -echo; echo ready; exec cat";

/// `attach --session` in a terminal, once it is taken over.
fn attach(env: &Env, flags: &[&str], id: &str) -> Result<Terminal> {
    attach_sized(env, flags, id, SIZE)
}

fn attach_sized(env: &Env, flags: &[&str], id: &str, size: Size) -> Result<Terminal> {
    let mut words = vec!["attach", "--session", id];
    words.extend(flags);
    let terminal = env.terminal(&words, size)?;
    terminal.wait_for_raw()?;
    Ok(terminal)
}

/// Types keys and waits until the program shows them.
fn echoed(terminal: &mut Terminal, keys: &[u8]) -> Result<()> {
    terminal.send(keys)?;
    terminal.expect_bytes(keys)?;
    Ok(())
}

/// A session of that program, with a client that is known to be attached.
fn shown_keys(env: &Env, flags: &[&str]) -> Result<(String, Terminal)> {
    let mut all = vec!["-i", "-t"];
    all.extend(flags);
    let id = running(env, &all, "c", SHOW_KEYS)?;
    let mut terminal = attach(env, &["--replay=1"], &id)?;
    terminal.expect("ready\n")?;
    echoed(&mut terminal, b"first")?;
    Ok((id, terminal))
}

fn every_client_gets_the_same_bytes(env: &Env) -> Result<()> {
    for (fast, length) in env.scale.pick(&[(2, 24)][..], &[(2, 256), (48, 24)]) {
        same_bytes(env, *fast, length * MIB).with_context(|| format!("{fast} clients"))?;
    }
    Ok(())
}

/// So many clients that take what comes, one that pauses, one that stands still for a while, and one that does so for ever.
fn same_bytes(env: &Env, fast: usize, length: u64) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Random(50), length))?;
    let script = format!(
        "{TICK} cat /share/data; : > /share/written; until test -e /share/end; do sleep 0.02; done; exit 5"
    );
    let id = running(env, &[], "c", &script)?;
    let words = ["attach", "--session", &id];
    let looks_on = ["attach", "--read-only", "--session", &id];
    let mut clients = vec![attached(env, &words, &share, Pace::Slow)?];
    for _ in 0..fast {
        clients.push(attached(env, &words, &share, Pace::Fast)?);
    }
    clients.push(attached(env, &looks_on, &share, Pace::Fast)?);
    let (gate, closed) = channel();
    let lame = attached(env, &words, &share, Pace::Stalled(closed))?;
    let (_never, closed) = channel();
    let dead = attached(env, &looks_on, &share, Pace::Stalled(closed))?;
    share.tell("go")?;
    // Two clients take nothing, and the program writes all the same.
    share.hear("written")?;
    for client in &clients {
        client.receiver.wait_for_all()?;
    }

    gate.send(()).context("open the gate")?;
    was_told(lame, &share)?;
    share.tell("end")?;
    for client in clients {
        client.got_all(&share, 5)?;
    }
    ended(env, &id, 5)?;
    dead.client.signal(Signal::KILL)?;
    let code = dead.client.finish()?.code;
    ensure!(
        code == 137,
        "a client that never took anything ended with {code}"
    );
    env.remove("c")?;
    tree::remove(&env.path("share-c"))
}

/// A client that stood still for a while has a beginning of it all, and knows how much it has missed.
fn was_told(client: Attached, share: &Share) -> Result<()> {
    let output = client.client.finish()?;
    let received = client.receiver.finish()?;
    received.is_a_beginning_of(&share.pattern)?;
    let missed = missed(&output)?;
    ensure!(
        received.after + missed == share.pattern.length(),
        "{received:?}, {missed} missed: {output}"
    );
    Ok(())
}

/// How many bytes a client that was let go says it has missed.
fn missed(output: &Output) -> Result<u64> {
    ensure!(output.code == 125, "{output}");
    output.one_error(&["bytes"])?;
    let err = output.err();
    let before = err.split_once(" bytes").map_or("", |(before, _)| before);
    let number = before.rsplit(' ').next().unwrap_or("");
    let number = number.parse();
    number.with_context(|| format!("how much was missed is not said: {output}"))
}

/// The screen of a terminal session that says what reaches it.
const TELLS: &str = "trap 'echo \"size $(stty size)\"' WINCH; trap 'echo got INT' INT; trap 'echo got TERM' TERM; \
    trap 'echo got HUP' HUP; echo ready; while :; do read -r line && echo \"<$line>\"; done";

/// Neither input nor keys, signals or a size of it arrive, and those of another client do.
fn who_only_looks_on_changes_nothing(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let id = running(env, &["-i", "-t"], "c", TELLS)?;
    let mut first = attach(env, &["--replay=1"], &id)?;
    first.expect("ready")?;
    first.send_line("one")?;
    first.expect("<one>")?;

    let small = Size {
        rows: 7,
        columns: 70,
    };
    let mut other = env.terminal(
        &["attach", "--read-only", "--replay=1", "--session", &id],
        small,
    )?;
    other.expect("<one>")?;
    other.send(b"never\r")?;
    other.resize(Size {
        rows: 8,
        columns: 80,
    })?;
    first.send_line("two")?;
    first.expect("<two>")?;
    other.expect("<two>")?;
    only_the_other_is_heard(&mut first, &mut other)?;
    signals_end_only_the_client(env, other, &id)?;
    first.send_line("three")?;
    first.expect("<three>")?;
    let screen = String::from_utf8_lossy(&first.screen()).into_owned();
    ensure!(
        !screen.contains("got TERM") && !screen.contains("got HUP"),
        "{screen:?}"
    );
    env.remove("c")?;
    first.finish(137)?;
    Ok(())
}

fn only_the_other_is_heard(first: &mut Terminal, other: &mut Terminal) -> Result<()> {
    first.resize(Size {
        rows: 9,
        columns: 90,
    })?;
    first.expect("size 9 90")?;
    first.send(b"\x03")?;
    first.expect("got INT")?;
    other.expect("got INT")?;
    let screen = String::from_utf8_lossy(&first.screen()).into_owned();
    ensure!(
        !screen.contains("never") && !screen.contains("size 7") && !screen.contains("size 8"),
        "{screen:?}"
    );
    Ok(())
}

/// Signals of others, and those that its own terminal makes of keys: that one is not the program's.
fn signals_end_only_the_client(env: &Env, mut client: Terminal, id: &str) -> Result<()> {
    for (signal, key, number) in [
        (Some(Signal::TERM), &b""[..], 15),
        (Some(Signal::INT), b"", 2),
        (Some(Signal::HUP), b"", 1),
        (None, b"\x03", 2),
        (None, b"\x1c", 3),
    ] {
        client.send(key)?;
        if let Some(signal) = signal {
            client.signal(signal)?;
        }
        client
            .finish(128 + number)
            .with_context(|| format!("signal {number}, key {key:?}"))?;
        ensure!(runs(env, id)?, "signal {number}");
        let look = ["attach", "--read-only", "--replay=64", "--session", id];
        client = env.terminal(&look, SIZE)?;
        client.expect("got INT")?;
        ensure!(client.modes()?.are_cooked(), "{client}");
    }
    client.send(b"\x03")?;
    client.finish(130)?;
    Ok(())
}

/// Without a terminal: the input of all who may goes to the program, in its turn, and both of its outputs to all.
fn pipes_of_a_session(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Nul, 1))?;
    let script = format!(
        "{TICK} while read -r line; do echo \"<$line>\"; echo \"!$line\" >&2; done; exit 6"
    );
    let id = running(env, &["-i"], "c", &script)?;
    let call = |flags: &[&str]| {
        let mut words = vec!["attach", "--session", &id];
        words.extend(flags);
        env.call(&words).open_stdin().spawn()
    };
    let (mut one, mut two, mut none) = (call(&[])?, call(&[])?, call(&["--read-only"])?);
    let mut deaf = call(&["--no-stdin"])?;
    for client in [&one, &two, &none, &deaf] {
        client.wait_for_stdout("tick")?;
    }
    share.tell("go")?;
    one.wait_for_stdout("go\n")?;
    none.say(b"never\n")?;
    deaf.say(b"never\n")?;
    one.say(b"from one\n")?;
    two.wait_for_stdout("<from one>\n")?;
    two.say(b"from two\n")?;
    one.wait_for_stdout("<from two>\n")?;
    // That one leaves is nothing to the program, and the end of another's input is its end.
    none.close_stdin();
    deaf.close_stdin();
    one.signal(Signal::KILL)?;
    one.finish()?;
    two.say(b"still\n")?;
    none.wait_for_stdout("<still>\n")?;
    two.close_stdin();
    for client in [two, none, deaf] {
        has_heard_all(client)?;
    }
    ended(env, &id, 6)?;
    env.remove("c")
}

fn has_heard_all(client: Running) -> Result<()> {
    let output = client.finish()?;
    let said = output.out();
    ensure!(
        output.code == 6
            && said.ends_with("go\n<from one>\n<from two>\n<still>\n")
            && output.err() == "!from one\n!from two\n!still\n",
        "{output}"
    );
    Ok(())
}

fn leaving_by_keys(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let (id, mut first) = shown_keys(env, &[])?;
    let mut second = attach(env, &["--detach-keys=ctrl-x,x", "--replay=1"], &id)?;
    second.expect("first")?;
    // The keys of others are input here, and half of its own.
    echoed(&mut second, b"\x10\x11")?;
    echoed(&mut second, b"\x18y")?;
    second.send(b"last\x18x")?;
    second.finish(0)?;
    first.expect("last")?;
    echoed(&mut first, b"goes on")?;
    ensure!(runs(env, &id)?);
    first.send(b"\x10\x11")?;
    first.finish(0)?;

    let mut third = attach(env, &[], &id)?;
    echoed(&mut third, b"back")?;
    env.ctr(&["container", "exec-kill", "-s", "TERM", &id])?
        .ok()?;
    third.finish(143)?;
    ended(env, &id, 143)?;
    env.remove("c")
}

/// Those that it was made with are the keys of all its clients, unless they have their own.
fn keys_of_the_session(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let (id, mut first) = shown_keys(env, &["--detach-keys=ctrl-x,x"])?;
    echoed(&mut first, b"\x10\x11")?;
    first.send(b"\x18x")?;
    first.finish(0)?;
    let second = attach(env, &["--detach-keys=a"], &id)?;
    second.send(b"a")?;
    second.finish(0)?;
    env.ctr(&["container", "exec-rm", "-f", &id])?.ok()?;

    // The same of the one who starts it.
    let id =
        crate::harness::hosted::session(env, &["-it", "--detach-keys=ctrl-x,x"], "c", SHOW_KEYS)?;
    let mut terminal = env.terminal(&["container", "exec-start", &id], SIZE)?;
    terminal.expect("ready\n")?;
    echoed(&mut terminal, b"\x10\x11")?;
    terminal.send(b"\x18x")?;
    terminal.finish(0)?;
    ensure!(runs(env, &id)?);
    env.remove("c")
}

/// However a client goes, the session goes on.
fn clients_that_are_ended(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let (id, mut first) = shown_keys(env, &[])?;
    for _ in 0..env.scale.pick(3, 20) {
        let mut second = attach(env, &[], &id)?;
        echoed(&mut second, b"x")?;
        second.signal(Signal::KILL)?;
        let code = second.code()?;
        ensure!(code == 137, "{code}");

        let mut third = attach(env, &["--sig-proxy=false"], &id)?;
        echoed(&mut third, b"y")?;
        third.signal(Signal::TERM)?;
        third.finish(143)?;
    }
    echoed(&mut first, b"still")?;
    // A reader that goes takes only its own client along.
    let words = ["sh", "-c", "\"$@\" | head -c 1", "sh"];
    let look = ["attach", "--replay=1", "--no-stdin", "--session", &id];
    let client = env.call_through(&words, &look).stdin(b"").spawn()?;
    client.wait_for_stdout("r")?;
    wait::until("the end of that client", || {
        echoed(&mut first, b".")?;
        Ok(client.ends_within(Duration::ZERO)?.then_some(()))
    })?;
    client.finish()?.prints("r")?;
    ensure!(runs(env, &id)?);
    env.remove("c")?;
    first.finish(137)?;
    Ok(())
}

fn bad_words(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let id = running(env, &["-i", "-t"], "c", SHOW_KEYS)?;
    for (words, why) in [
        (&["attach", "--session", &id, "c"][..], "session"),
        (&["attach", "--session", &id, "-l"], "session"),
        (&["attach", "--session", ""], "session"),
        (&["attach", "--session", "zz"], "zz"),
        (
            &["attach", "--read-only", "--sig-proxy", "--session", &id],
            "read-only",
        ),
        (
            &["attach", "--detach-keys=ctrl-", "--session", &id],
            "detach",
        ),
        (&["attach", "--replay=65", "--session", &id], "65"),
        (&["attach", "--replay=-1", "--session", &id], "replay"),
        (&["attach", "--replay=1k", "--session", &id], "replay"),
    ] {
        env.ctr(words)?
            .refused(125, &[why])
            .with_context(|| format!("{words:?}"))?;
    }
    ensure!(runs(env, &id)?);
    env.ctr(&["container", "exec-kill", &id])?.ok()?;
    ended(env, &id, 137)?;
    env.ctr(&["attach", "--session", &id])?
        .refused(125, &["ended"])?;
    env.remove("c")
}
