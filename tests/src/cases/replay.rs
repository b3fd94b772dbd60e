//! The last output, for clients that come later: of sessions and of the container's own program.

use std::io::Read;

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::hosted::{ended, running, with_share};
use crate::harness::output::Output;
use crate::harness::pattern::{Kind, Pattern};
use crate::harness::program::Running;
use crate::harness::share::Share;
use crate::harness::terminal::SIZE;

cases! {
    Core the_last_output_of_a_session,
    Core the_last_output_of_a_container,
    Full both_streams_and_what_follows,
    Full while_output_comes,
    Full of_a_terminal,
    Full wrong_amounts,
}

/// The most that is kept.
const KIB: usize = 64;

/// Writes all bytes, then notes what is said to it, until it is told to say the last.
const SCRIPT: &str = "cat /share/data; : > /share/written; \
    while read -r word && test $word != end; do : > /share/$word; done; echo last; exit 5";

/// All bytes of a share.
fn bytes(share: &Share) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    share.pattern.clone().read_to_end(&mut all)?;
    Ok(all)
}

/// A client with this much replayed, or none by default. It is attached once the program has heard it.
fn come(env: &Env, share: &Share, attach: &[&str], kib: Option<usize>) -> Result<Running> {
    let replay = kib.map(|kib| format!("--replay={kib}"));
    let mut words = vec!["attach"];
    words.extend(replay.as_deref());
    words.extend(attach);
    let mut client = env.call(&words).open_stdin().spawn()?;
    client.say(b"heard\n")?;
    share.hear("heard")?;
    share.forget("heard")?;
    Ok(client)
}

/// Clients that come late have exactly the last so many KiB, and then what follows; one that wants none has only that.
fn check(env: &Env, share: &Share, attach: &[&str]) -> Result<()> {
    share.hear("written")?;
    let all = bytes(share)?;
    let mut clients = Vec::new();
    for kib in [None, Some(0), Some(1), Some(3), Some(63), Some(KIB)] {
        let from = all.len().saturating_sub(kib.unwrap_or(0) * 1024);
        clients.push((kib, &all[from..], come(env, share, attach, kib)?));
    }
    clients[0].2.say(b"end\n")?;
    for (kib, expected, client) in clients {
        let output = client.finish()?;
        is(&output, 5, &[expected, b"last\n"].concat()).with_context(|| format!("{kib:?} KiB"))?;
    }
    Ok(())
}

/// The output is exactly this. Bytes are compared and not shown.
fn is(output: &Output, code: i32, expected: &[u8]) -> Result<()> {
    ensure!(output.code == code && output.stderr.is_empty(), "{output}");
    ensure!(
        output.stdout == expected,
        "{} bytes instead of {}, or others",
        output.stdout.len(),
        expected.len()
    );
    Ok(())
}

fn the_last_output_of_a_session(env: &Env) -> Result<()> {
    let lengths = [64 * 1024, 64 * 1024 + 1, 1024 * 1024 + 7];
    for (number, length) in lengths.into_iter().enumerate() {
        let name = format!("c{number}");
        let pattern = Pattern::new(Kind::Random(60), length);
        let share = with_share(env, &name, pattern)?;
        let id = running(env, &["-i"], &name, SCRIPT)?;
        check(env, &share, &["--session", &id])?;
        ended(env, &id, 5)?;
        env.remove(&name)?;
    }
    Ok(())
}

fn the_last_output_of_a_container(env: &Env) -> Result<()> {
    for (name, length) in [("short", 100), ("long", 1024 * 1024 + 7)] {
        let share = Share::make(env, name, Pattern::new(Kind::Random(61), length))?;
        env.detached("c", &["-i", "-v", &share.volume], SCRIPT)?;
        check(env, &share, &["c"])?;
        env.ctr(&["wait", "c"])?.prints("5\n")?;
        env.wait_for_cleanup("c")?;
        env.remove("c")?;
    }
    Ok(())
}

/// Each stream has its own part of it, and the order of a stream is kept where replay and new output meet.
fn both_streams_and_what_follows(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Nul, 1))?;
    let script = "echo one; echo two >&2; echo three; : > /share/written; until test -e /share/end; do sleep 0.02; done; \
        echo four >&2; echo five; exit 3";
    let id = running(env, &[], "c", script)?;
    share.hear("written")?;
    let replays = ["attach", "--replay=64", "--session", &id];
    let client = env.call(&replays).spawn()?;
    client.wait_for_stdout("one\nthree\n")?;
    share.tell("end")?;
    let output = client.finish()?;
    ensure!(
        output.code == 3 && output.out() == "one\nthree\nfive\n" && output.err() == "two\nfour\n",
        "{output}"
    );
    env.remove("c")
}

/// Clients that come in the middle see an exact end of the output: nothing twice, nothing left out.
fn while_output_comes(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Nul, 1))?;
    let script = "n=0; until test -e /share/end; do n=$((n+1)); echo line $n; done; echo end";
    for round in 0..env.scale.pick(10, 100) {
        let id = running(env, &[], "c", script)?;
        let words = ["attach", "--replay=64", "--session", &id];
        let mut clients = Vec::new();
        for _ in 0..4 {
            let client = env.call(&words).spawn()?;
            client.wait_for_stdout("\nline ")?;
            clients.push(client);
        }
        share.tell("end")?;
        for client in clients {
            let text = client.finish()?.ok()?;
            is_an_end_of_the_lines(&text).with_context(|| format!("round {round}"))?;
        }
        share.forget("end")?;
        env.ctr(&["container", "exec-rm", &id])?.ok()?;
    }
    env.remove("c")
}

/// Numbered lines without a gap, the first of which may be cut, then the word.
fn is_an_end_of_the_lines(text: &str) -> Result<()> {
    let body = text
        .strip_suffix("end\n")
        .context("the last line is missing")?;
    let numbers: Vec<u64> = body
        .lines()
        .skip(1)
        .map(|line| line.strip_prefix("line ").unwrap_or(line).parse())
        .collect::<Result<_, _>>()
        .context("a line that was not written")?;
    let gap = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1);
    ensure!(
        gap.is_none() && numbers.len() > 1,
        "{gap:?} follow each other"
    );
    Ok(())
}

/// The screen is there again, whoever comes.
fn of_a_terminal(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Nul, 1))?;
    let script = "echo screen; : > /share/written; read -r line; echo \"<$line>\"; exit 4";
    let id = running(env, &["-i", "-t"], "c", script)?;
    share.hear("written")?;
    let flags = ["attach", "--replay=64", "--session", &id];
    let mut first = env.terminal(&flags, SIZE)?;
    let mut second = env.terminal(&flags, SIZE)?;
    for terminal in [&mut first, &mut second] {
        terminal.expect("screen\r\n")?;
        terminal.wait_for_raw()?;
    }
    first.send_line("typed")?;
    let screens = [first.finish(4)?, second.finish(4)?];
    for screen in &screens {
        ensure!(screen == "screen\r\ntyped\r\n<typed>\r\n", "{screen:?}");
    }
    ended(env, &id, 4)?;
    env.remove("c")
}

fn wrong_amounts(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Nul, 1))?;
    let id = running(env, &["-i"], "c", "exec cat")?;
    for amount in [
        "65",
        "-1",
        "",
        "1k",
        "64.0",
        "18446744073709551615",
        "99999999999999999999",
    ] {
        let flag = format!("--replay={amount}");
        for attach in [
            &["attach", &flag, "c"][..],
            &["attach", &flag, "--session", &id],
        ] {
            env.ctr(attach)?
                .refused(125, &["--replay", "0 to 64"])
                .with_context(|| format!("{attach:?}"))?;
        }
    }
    drop(share);
    env.remove("c")
}
