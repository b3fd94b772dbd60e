//! The terminal that one sits at when a command ends, or oneself goes: its modes, the exit code, and what lives on.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::hosted::{WAYS, container, ended, running, runs, session, words};
use crate::harness::process::{Process, descriptors};
use crate::harness::program::Running;
use crate::harness::terminal::{SIZE, Terminal};
use crate::harness::wait;

cases! {
    Core an_interrupt_is_the_programs_end,
    Core codes_and_last_words,
    Core modes_are_restored,
    Full a_command_that_cannot_be_started,
    Full signals_reach_the_program,
    Full lost_terminals,
    Core leaving_and_coming_back,
    Full every_waiter_has_the_code,
}

/// `exec -i -t` of a script in a terminal, once the client has taken it over.
fn exec(env: &Env, flags: &[&str], script: &str) -> Result<Terminal> {
    let mut all = vec!["-i", "-t"];
    all.extend(flags);
    let terminal = env.terminal(&words(&all, "c", script), SIZE)?;
    terminal.wait_for_raw()?;
    Ok(terminal)
}

/// The only session of the container.
fn only_session(env: &Env) -> Result<String> {
    let ids = env.ctr(&["container", "exec-ls", "-q", "c"])?.ok()?;
    ensure!(ids.lines().count() == 1, "{ids}");
    Ok(ids.trim_end().to_owned())
}

/// No session runs, and those that have ended are forgotten with the next command that looks after the container.
fn no_sessions(env: &Env) -> Result<()> {
    wait::until("the end of all sessions", || {
        let list = env.ctr(&["container", "exec-ls", "c"])?.ok()?;
        Ok((!list.contains("running")).then_some(()))
    })?;
    env.ctr(&["container", "cleanup", "c"]).ok();
    let ids = env.ctr(&["container", "exec-ls", "-q", "c"])?;
    ids.prints("").context("sessions that have ended")
}

fn an_interrupt_is_the_programs_end(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    for (key, code) in [(b"\x03", 130), (b"\x1c", 131)] {
        let mut terminal = exec(env, &[], "echo ready; exec sleep 1000")?;
        terminal.expect("ready")?;
        terminal.send(key)?;
        terminal.finish(code)?;
        let mut terminal = exec(
            env,
            &[],
            "trap 'echo got; exit 9' INT QUIT; echo ready; while :; do sleep 0.02; done",
        )?;
        terminal.expect("ready")?;
        terminal.send(key)?;
        terminal.expect("got")?;
        terminal.finish(9)?;
    }
    // Without a terminal for the command, one's own makes the signal, and the client passes it on.
    for way in WAYS {
        let script = "trap 'exit 9' INT; : > /tmp/ready; while :; do sleep 0.02; done";
        let all = ["sh", "-c", "\"$@\" < /dev/null | cat", "sh"].map(str::to_owned);
        let mut all = all.to_vec();
        let flags: &[&str] = if way == "--stdio=pass" {
            &["--stdio=auto"]
        } else {
            &[way]
        };
        all.extend(env.words(&words(flags, "c", script)));
        let terminal = Terminal::start(&all, SIZE)?;
        wait::until("the command", || {
            let there = env.ctr(&["exec", "c", "rm", "/tmp/ready"])?.code == 0;
            Ok(there.then_some(()))
        })?;
        terminal.send(b"\x03")?;
        terminal.code()?;
        no_sessions(env)?;
    }
    env.remove("c")
}

/// What was written last is shown, then the code is there.
fn codes_and_last_words(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    for number in 0..env.scale.pick(30, 300) {
        let script = format!("seq 1000; printf 'last {number}'; exit {}", number % 256);
        let terminal = env.terminal(&words(&["-i", "-t"], "c", &script), SIZE)?;
        let screen = terminal.finish(number % 256)?;
        ensure!(
            screen.ends_with(&format!("999\r\n1000\r\nlast {number}"))
                && screen.starts_with("1\r\n2\r\n"),
            "{screen:?}"
        );
    }
    // The end of the input, and keys that came too late for the program.
    let mut terminal = exec(env, &[], "echo ready; cat; exit 7")?;
    terminal.expect("ready\r\n")?;
    terminal.send_line("hello")?;
    terminal.expect("hello\r\nhello\r\n")?;
    terminal.send(b"\x04")?;
    terminal.finish(7)?;
    env.remove("c")
}

/// A command that does nothing, once it is there.
fn ready(env: &Env, flags: &[&str]) -> Result<Terminal> {
    let mut terminal = exec(env, flags, "echo ready; exec sleep 1000")?;
    terminal.expect("ready")?;
    Ok(terminal)
}

fn modes_are_restored(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    // A program that leaves its own terminal raw has not touched ours.
    exec(env, &[], "stty raw -echo; sleep 0.1; exit 4")?.finish(4)?;

    let terminal = ready(env, &["--detach-keys=ctrl-x,x"])?;
    terminal.send(b"\x18x")?;
    terminal.finish(0).context("keys")?;
    let id = only_session(env)?;
    ensure!(runs(env, &id)?);
    env.ctr(&["container", "exec-kill", &id])?.ok()?;
    no_sessions(env)?;

    for (signal, number) in [(Signal::TERM, 15), (Signal::HUP, 1)] {
        let terminal = ready(env, &[])?;
        terminal.signal(signal)?;
        terminal
            .finish(128 + number)
            .with_context(|| format!("signal {number}"))?;
        let terminal = ready(env, &["--sig-proxy=false"])?;
        terminal.signal(signal)?;
        terminal
            .finish(128 + number)
            .with_context(|| format!("signal {number} to the client"))?;
        let id = only_session(env)?;
        ensure!(runs(env, &id)?, "signal {number}");
        env.ctr(&["container", "exec-kill", &id])?.ok()?;
        no_sessions(env)?;
    }

    modes_after_a_kill(env)
}

fn modes_after_a_kill(env: &Env) -> Result<()> {
    let terminal = ready(env, &[])?;
    env.ctr(&["container", "exec-kill", &only_session(env)?])?
        .ok()?;
    terminal.finish(137).context("the session is killed")?;
    let terminal = ready(env, &[])?;
    env.ctr(&["kill", "-s", "KILL", "c"])?.ok()?;
    terminal.finish(137).context("the container is killed")?;
    env.wait_for_cleanup("c")?;
    env.remove("c")?;
    container(env, "c", &[])?;
    let terminal = ready(env, &[])?;
    env.remove("c")?;
    terminal.finish(137).context("the container is removed")?;
    Ok(())
}

/// One line, nothing raw.
fn a_command_that_cannot_be_started(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    for (command, code) in [
        ("no-such-command", 127),
        ("/etc/passwd", 126),
        ("/tmp", 126),
    ] {
        let terminal = env.terminal(&["exec", "-i", "-t", "c", command], SIZE)?;
        let screen = terminal.finish(code)?;
        ensure!(
            screen.starts_with("Error: ")
                && screen.contains(command)
                && screen.lines().count() <= 2,
            "{screen:?}"
        );
    }
    no_sessions(env)?;
    let screen = env
        .terminal(&["exec", "-i", "-t", "nosuch", "true"], SIZE)?
        .finish(125)?;
    ensure!(
        screen.starts_with("Error: ") && screen.contains("nosuch"),
        "{screen:?}"
    );
    env.remove("c")
}

fn signals_reach_the_program(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    for (name, signal) in [
        ("TERM", Signal::TERM),
        ("INT", Signal::INT),
        ("HUP", Signal::HUP),
        ("QUIT", Signal::QUIT),
        ("USR1", Signal::USR1),
    ] {
        let script =
            format!("trap 'echo got; exit 9' {name}; echo ready; while :; do sleep 0.02; done");
        let mut terminal = exec(env, &[], &script)?;
        terminal.expect("ready")?;
        terminal.signal(signal)?;
        terminal.expect("got").with_context(|| name.to_owned())?;
        terminal.finish(9)?;
        for way in WAYS {
            let client = env.call(&words(&[way], "c", &script)).spawn()?;
            client.wait_for_stdout("ready")?;
            client.signal(signal)?;
            let said = client
                .finish()?
                .quiet(9)
                .with_context(|| format!("{name}, {way}"))?;
            ensure!(said == "ready\ngot\n", "{said:?}");
        }
    }
    env.remove("c")
}

/// A closed window is a signal that the program gets like all others. The client ends in any case.
fn lost_terminals(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let script = "trap 'exit 4' HUP; echo ready; while :; do sleep 0.02; done";
    let mut terminal = exec(env, &[], script)?;
    terminal.expect("ready")?;
    let code = terminal.hang_up()?;
    ensure!(code == 4 || code == 129, "{code}");
    no_sessions(env)?;

    // One that takes no note of it lives on, and others can come.
    let mut terminal = exec(
        env,
        &[],
        "trap '' HUP; stty raw -echo; echo ready; cat; exit 5",
    )?;
    terminal.expect("ready\n")?;
    terminal.hang_up()?;
    let id = only_session(env)?;
    let mut terminal = env.terminal(&["attach", "--replay=1", "--session", &id], SIZE)?;
    terminal.expect("ready\n")?;
    terminal.wait_for_raw()?;
    terminal.send(b"x")?;
    terminal.expect("x")?;
    env.ctr(&["container", "exec-kill", &id])?.ok()?;
    terminal.finish(137)?;
    no_sessions(env)?;
    env.remove("c")
}

/// The program is the same, its screen is there again, and its end is told to who is there then.
fn leaving_and_coming_back(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let keys = "--detach-keys=ctrl-p,ctrl-q";
    let script = "echo pid $$; n=0; while read -r line; do n=$((n+1)); echo \"$n <$line>\"; test $line != end || exit 6; done";
    let mut terminal = exec(env, &[keys], script)?;
    terminal.expect("pid ")?;
    let pid = terminal.expect("\r\n")?;
    let id = only_session(env)?;
    let mut screen = format!("pid {pid}");
    for count in 1..=env.scale.pick(20, 100) {
        terminal.send_line(&format!("line{count}"))?;
        let said = format!("line{count}\r\n{count} <line{count}>\r\n");
        terminal.expect(&said)?;
        screen.push_str(&said);
        terminal.send(b"\x10\x11")?;
        terminal.finish(0)?;
        ensure!(runs(env, &id)?);
        terminal = env.terminal(&["attach", keys, "--replay=64", "--session", &id], SIZE)?;
        terminal
            .expect(&screen)
            .with_context(|| format!("{count}"))?;
        terminal.wait_for_raw()?;
    }
    let mut other = env.terminal(&["attach", keys, "--replay=64", "--session", &id], SIZE)?;
    other.expect(&screen)?;
    terminal.send_line("end")?;
    let last = terminal.finish(6)?;
    ensure!(
        last.starts_with(&screen) && last.ends_with(" <end>\r\n"),
        "{last:?}"
    );
    ensure!(other.finish(6)? == last);
    no_sessions(env)?;
    env.remove("c")
}

/// Those who wait, those who look on, the one who started it, and who asks afterwards: the same code, once for each.
fn every_waiter_has_the_code(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let script = "echo ready; read -r line; echo bye; exit 42";
    let id = session(env, &["-i", "-t"], "c", script)?;
    let mut owner = env.terminal(&["container", "exec-start", &id], SIZE)?;
    owner.expect("ready")?;
    owner.wait_for_raw()?;
    let waits = || env.call(&["container", "exec-wait", &id]).spawn();
    let waiters: Vec<Running> = (0..5).map(|_| waits()).collect::<Result<_>>()?;
    let looks = [
        "attach",
        "--read-only",
        "--no-stdin",
        "--replay=64",
        "--session",
        &id,
    ];
    let looking: Vec<Running> = (0..3)
        .map(|_| env.call(&looks).spawn())
        .collect::<Result<_>>()?;
    for client in &looking {
        client.wait_for_stdout("ready")?;
    }
    owner.send_line("")?;
    owner.finish(42)?;
    for client in looking {
        let said = client.finish()?.quiet(42)?;
        ensure!(said.ends_with("bye\r\n"), "{said:?}");
    }
    for waiter in waiters {
        waiter.finish()?.prints("42\n")?;
    }
    ended(env, &id, 42)?;
    env.ctr(&["container", "exec-rm", &id])?.ok()?;

    waiters_of_a_foreground(env)?;
    nobody_looks(env)?;
    env.remove("c")
}

fn nobody_looks(env: &Env) -> Result<()> {
    // One that nobody looks at, and whose process is gone from the host, too.
    let id = running(env, &["-t"], "c", "exit 43")?;
    ended(env, &id, 43)?;
    let text = env.ctr(&["container", "exec-inspect", &id])?.ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).context("read exec-inspect")?;
    ensure!(value[0]["ExitCode"] == 43 && value[0]["Pid"] == 0, "{text}");
    let host = env.state_number("c", "Pid")?;
    ensure!(Process::open(host)?.is_some());
    Ok(())
}

/// Its end is told to the one who has it in the foreground, and then it is forgotten: whoever waited has the code all the same.
fn waiters_of_a_foreground(env: &Env) -> Result<()> {
    let script = "echo ready; read -r line; exit 44";
    for round in 0..env.scale.pick(5, 50) {
        let client = env.call(&words(&["-i"], "c", script)).open_stdin();
        let mut client = client.spawn()?;
        client.wait_for_stdout("ready")?;
        let id = only_session(env)?;
        let waits = || env.call(&["container", "exec-wait", &id]).spawn();
        let waiters: Vec<Running> = (0..4).map(|_| waits()).collect::<Result<_>>()?;
        for waiter in &waiters {
            is_waiting(waiter)?;
        }
        client.say(b"end\n")?;
        client.finish()?.prints_with(44, "ready\n")?;
        for waiter in waiters {
            let told = waiter.finish()?.prints("44\n");
            told.with_context(|| format!("round {round}"))?;
        }
        no_sessions(env)?;
    }
    Ok(())
}

/// Waits until a waiter has found what it waits for, and watches it.
fn is_waiting(waiter: &Running) -> Result<()> {
    wait::until("a waiter that watches", || {
        let open = descriptors(waiter.pid());
        let watches = |link: &Path| link.to_string_lossy().contains("inotify");
        Ok(open.iter().any(|(_, link)| watches(link)).then_some(()))
    })
}
