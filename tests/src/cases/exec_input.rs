//! What a command reads: every byte, the end of it, and what it leaves to whoever reads next.

use std::fs::File;
use std::io::PipeReader;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::hosted::{WAYS, container, fed, file_has, received, with_share, words};
use crate::harness::output::lines;
use crate::harness::pattern::{Kind, Pattern};
use crate::harness::program::{Call, Running};
use crate::harness::receiver::{Pace, Receiver};
use crate::harness::share::Share;
use crate::harness::tree;

cases! {
    Core every_byte_goes_in,
    Full zeros_and_one_endless_line,
    Full single_bytes,
    Core the_end_of_the_input,
    Core a_command_that_ends_before_its_input,
    Core what_is_not_read_of_a_file_stays,
    Full what_is_not_read_of_a_pipe_stays,
    Full no_input_without_the_flag,
}

const MIB: u64 = 1024 * 1024;

/// All bytes go into a command in this way, so many with each write.
fn check(env: &Env, share: &Share, way: &str, at_once: usize) -> Result<()> {
    let flags = ["-i", way];
    let input = || fed(share.pattern.clone(), at_once);
    let call = env.call(&words(&flags, "c", "cat > /share/copy; exit 5"));
    env.finish(call.stdin_from(input()?))?.prints_with(5, "")?;
    file_has(share, &share.data().with_file_name("copy"))?;
    share.forget("copy")?;

    let sum = env
        .ctr(&["exec", "c", "sh", "-c", "sha256sum < /share/data"])?
        .ok()?;
    let call = env.call(&["exec", "-i", way, "c", "sha256sum"]);
    env.finish(call.stdin_from(input()?))?.prints(&sum)?;

    let (receiver, end) = Receiver::start("", &share.pattern, Pace::Fast)?;
    let call = env.call(&["exec", "-i", way, "c", "cat"]).stdout_to(end);
    env.finish(call.stdin_from(input()?))?.ok()?;
    receiver.finish()?.is_all_of(&share.pattern)
}

/// The same in every way, with a container for these bytes.
fn check_ways(env: &Env, pattern: Pattern, at_once: usize) -> Result<()> {
    let share = with_share(env, "c", pattern)?;
    for way in WAYS {
        check(env, &share, way, at_once).context(way)?;
    }
    env.remove("c")?;
    tree::remove(&env.path("share-c"))
}

fn every_byte_goes_in(env: &Env) -> Result<()> {
    let length = env.scale.pick(16, 1024) * MIB;
    check_ways(env, Pattern::new(Kind::Random(30), length), 1024 * 1024)
}

fn zeros_and_one_endless_line(env: &Env) -> Result<()> {
    let zeros = env.scale.pick(8, 64) * MIB;
    check_ways(env, Pattern::new(Kind::Nul, zeros), 64 * 1024)?;
    check_ways(env, Pattern::new(Kind::OneLine, 64 * MIB), 64 * 1024)?;
    // From a file: the bytes go the same way as those of a pipe that is copied.
    let share = with_share(env, "c", Pattern::new(Kind::Random(31), 16 * MIB))?;
    let (receiver, end) = Receiver::start("", &share.pattern, Pace::Slow)?;
    let file = File::open(share.data()).context("open the bytes")?;
    let call = env.call(&["exec", "-i", "c", "cat"]).stdin_from(file);
    env.finish(call.stdout_to(end))?.ok()?;
    receiver.finish()?.is_all_of(&share.pattern)?;
    env.remove("c")
}

fn single_bytes(env: &Env) -> Result<()> {
    let length = env.scale.pick(50_000, 500_000);
    check_ways(env, Pattern::new(Kind::Random(32), length), 1)
}

fn the_end_of_the_input(env: &Env) -> Result<()> {
    let share = with_share(env, "c", Pattern::new(Kind::Random(33), MIB / 2))?;
    for way in ["--stdio=stream", "--stdio=pass", "--stdio=auto"] {
        for bytes in [&b"x\n"[..], b"no end", b""] {
            let call = env.call(&["exec", "-i", way, "c", "cat"]).stdin(bytes);
            let output = env.finish(call)?;
            ensure!(
                output.code == 0 && output.stdout == bytes,
                "{way}: {output}"
            );
        }
        // It has ended before anybody reads, be it short or more than a pipe holds.
        let script = ": > /share/began; until test -e /share/go; do sleep 0.02; done; cat";
        for pattern in [Pattern::new(Kind::Random(33), 10), share.pattern.clone()] {
            let words = words(&["-i", way], "c", script);
            let (receiver, end) = Receiver::start("", &pattern, Pace::Fast)?;
            let input = fed(pattern.clone(), 64 * 1024)?;
            let client = env.call(&words).stdin_from(input).stdout_to(end).spawn()?;
            share.hear("began")?;
            share.tell("go")?;
            client.finish()?.quiet(0)?;
            receiver.finish()?.is_all_of(&pattern).context(way)?;
            share.forget("began")?;
            share.forget("go")?;
        }
        // Half closed: the command answers after the end of its input.
        let (client, receiver) = answer_after_the_end(env, way, &share)?;
        client.finish()?.quiet(4)?;
        receiver.finish()?.is_all_of(&share.pattern).context(way)?;
    }
    env.remove("c")
}

fn answer_after_the_end(env: &Env, way: &str, share: &Share) -> Result<(Running, Receiver)> {
    let script = "cat > /dev/null; cat /share/data; exit 4";
    received(
        env,
        &words(&["-i", way], "c", script),
        &share.pattern,
        Pace::Fast,
    )
}

/// Bytes without an end, and the program that writes them.
fn endless() -> Result<(PipeReader, Running)> {
    let (reader, writer) = std::io::pipe().context("make a pipe")?;
    Ok((reader, Call::new("yes").stdout_to(writer).spawn()?))
}

/// `yes | ctr exec -i c true`: the command's end is the end, and the writer learns that nobody reads.
fn a_command_that_ends_before_its_input(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    for way in ["--stdio=stream", "--stdio=pass", "--stdio=auto"] {
        for (script, code, out) in [
            ("exit 3", 3, ""),
            ("head -n1; exit 4", 4, "y\n"),
            ("exec 0<&-; sleep 0.1; echo closed; exit 5", 5, "closed\n"),
        ] {
            let (reader, writer) = endless()?;
            let call = env.call(&words(&["-i", way], "c", script));
            let output = env.finish(call.stdin_from(reader))?;
            output.prints_with(code, out).context(way)?;
            let code = writer.finish()?.code;
            ensure!(code == 141 || code == 1, "{way}: yes ended with {code}");
        }
    }
    env.remove("c")
}

/// What a script of the host prints that makes this call with `"$@"`. Its input is the file, or nothing.
fn host_script(env: &Env, script: &str, exec: &[&str], file: Option<&Path>) -> Result<String> {
    let mut call = env.call_through(&["sh", "-c", script, "sh"], exec);
    if let Some(path) = file {
        call = call.stdin_from(File::open(path).context("open the lines")?);
    }
    env.finish(call)?.ok()
}

/// A loop over the lines of a file, most of all: what the monitor took and the command did not read is given back.
fn what_is_not_read_of_a_file_stays(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let lines = lines((1..=30).map(|number| format!("line {number}")));
    let path = env.path("lines");
    tree::write(&path, &lines)?;
    for way in ["--stdio=stream", "--stdio=auto"] {
        let all = "while read -r line; do \"$@\" && echo \"$line\"; done";
        let exec = ["exec", "-i", way, "c", "true"];
        let seen = host_script(env, all, &exec, Some(&path))?;
        ensure!(seen == lines, "{way}: {seen:?}");

        let exec = [
            "exec",
            "-i",
            way,
            "c",
            "dd",
            "bs=3",
            "count=1",
            "status=none",
        ];
        let seen = host_script(env, "\"$@\"; echo -; cat", &exec, Some(&path))?;
        ensure!(seen == format!("lin-\n{}", &lines[3..]), "{way}: {seen:?}");

        in_turn_with_the_shell(env, way, &path)?;
        // Nothing is left of what was read.
        let exec = ["exec", "-i", way, "c", "cat"];
        let seen = host_script(env, "\"$@\"; echo -; cat", &exec, Some(&path))?;
        ensure!(seen == format!("{lines}-\n"), "{way}: {seen:?}");
    }
    env.remove("c")
}

/// Each command reads a line, and then the shell does.
fn in_turn_with_the_shell(env: &Env, way: &str, path: &Path) -> Result<()> {
    let exec = [
        "exec",
        "-i",
        way,
        "c",
        "sh",
        "-c",
        "read -r line; echo \"in $line\"",
    ];
    let both = "while read -r line; do echo \"$line\"; \"$@\"; done";
    let seen = host_script(env, both, &exec, Some(path))?;
    let expected: String = (1..=30)
        .map(|number| match number % 2 {
            0 => format!("in line {number}\n"),
            _ => format!("line {number}\n"),
        })
        .collect();
    ensure!(seen == expected, "{way}: {seen:?}");
    Ok(())
}

fn what_is_not_read_of_a_pipe_stays(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    for way in ["--stdio=pass", "--stdio=auto"] {
        let script = "printf abcdef | { \"$@\"; echo -; cat; }";
        let exec = [
            "exec",
            "-i",
            way,
            "c",
            "dd",
            "bs=3",
            "count=1",
            "status=none",
        ];
        let seen = host_script(env, script, &exec, None)?;
        ensure!(seen == "abc-\ndef", "{way}: {seen:?}");
        let script =
            "printf '1\\n2\\n3\\n' | while read -r line; do \"$@\" && echo \"$line\"; done";
        let seen = host_script(env, script, &["exec", "-i", way, "c", "true"], None)?;
        ensure!(seen == "1\n2\n3\n", "{way}: {seen:?}");
    }
    env.remove("c")
}

fn no_input_without_the_flag(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    for way in ["--stdio=stream", "--stdio=pass", "--stdio=auto"] {
        let script = "printf abc | { \"$@\"; echo -; cat; }";
        let exec = ["exec", way, "c", "cat"];
        let seen = host_script(env, script, &exec, None)?;
        ensure!(seen == "-\nabc", "{way}: {seen:?}");
    }
    env.remove("c")
}
