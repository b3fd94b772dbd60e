//! Leaving a container that runs on, coming back, and the terminal that one sits at afterwards.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::process::Process;
use crate::harness::terminal::{SIZE, Size, Terminal};

cases! {
    Core leave_and_come_back,
    Core modes_are_restored,
    Core detached_from_the_beginning,
    Full single_keys_arrive_at_once,
    Full the_sequence_in_every_way,
    Full other_keys_and_none,
    Full two_terminals_at_once,
    Full looking_without_typing,
    Full signals_that_end_only_the_client,
    Full killed_clients_are_not_missed,
    Full lost_terminals,
    Full a_lost_monitor,
}

/// The keys of the default sequence.
const LEAVE: &[u8] = b"\x10\x11";

/// Shows each byte as it comes and as it is.
const SHOW_KEYS: &str = "stty raw -echo; echo ready; exec cat";

impl Env {
    /// `run -i -t` of a script under this name, in a terminal.
    fn named_terminal(&self, name: &str, flags: &[&str], script: &str) -> Result<Terminal> {
        let rootfs = self.rootfs();
        let mut words = vec!["run", "-i", "-t", "--name", name, "--stop-timeout", "0"];
        words.extend(flags);
        words.extend(["--rootfs", &rootfs, "sh", "-c", script]);
        taken_over(self.terminal(&words, SIZE)?)
    }

    /// `attach` in a terminal.
    fn attach(&self, flags: &[&str], name: &str) -> Result<Terminal> {
        let mut words = vec!["attach"];
        words.extend(flags);
        words.push(name);
        taken_over(self.terminal(&words, SIZE)?)
    }

    /// Fails unless the container runs.
    fn runs(&self, name: &str) -> Result<()> {
        let status = self.status(name)?;
        ensure!(status == "running", "{name} is {status}");
        Ok(())
    }
}

/// Waits until the client has taken the terminal over: keys that are typed before are the terminal's own business.
fn taken_over(terminal: Terminal) -> Result<Terminal> {
    terminal.wait_for_raw()?;
    Ok(terminal)
}

/// Types keys and waits until the container answers with this.
fn answered(terminal: &mut Terminal, keys: &[u8], answer: &str) -> Result<()> {
    terminal.send(keys)?;
    terminal.expect(answer)?;
    Ok(())
}

/// Types keys and waits until the container shows them.
fn echoed(terminal: &mut Terminal, keys: &[u8]) -> Result<()> {
    terminal.send(keys)?;
    terminal.expect_bytes(keys)?;
    Ok(())
}

fn leave_and_come_back(env: &Env) -> Result<()> {
    let mut terminal = env.named_terminal("c", &[], "exec sh")?;
    terminal.expect("# ")?;
    answered(&mut terminal, b"count=0; echo pi''d $$\r", "pid 1\r\n")?;
    let pid = env.state_number("c", "Pid")?;
    terminal.send(LEAVE)?;
    terminal.finish(0)?;
    for count in 1..=4 {
        env.runs("c")?;
        let mut terminal = env.attach(&[], "c")?;
        answered(
            &mut terminal,
            b"count=$((count+1)); echo co''unt $count\r",
            &format!("count {count}\r\n"),
        )?;
        terminal.expect("# ")?;
        terminal.send(LEAVE)?;
        terminal.finish(0)?;
        ensure!(env.state_number("c", "Pid")? == pid, "another process");
    }
    // A container that runs is only attached to.
    let mut terminal = taken_over(env.terminal(&["start", "-a", "-i", "c"], SIZE)?)?;
    answered(&mut terminal, b"echo co''unt $count\r", "count 4\r\n")?;
    terminal.send_line("exit 6")?;
    terminal.finish(6)?;
    env.ctr(&["wait", "c"])?.prints("6\n")?;
    env.wait_for_cleanup("c")?;
    env.remove("c")
}

fn modes_are_restored(env: &Env) -> Result<()> {
    env.run_terminal(&[], &["true"])?
        .finish(0)
        .context("the normal end")?;

    let mut terminal = env.named_terminal("c", &[], "echo ready; exec sleep 1000")?;
    terminal.expect("ready")?;
    terminal.wait_for_raw()?;
    env.ctr(&["kill", "-s", "KILL", "c"])?.prints("c\n")?;
    terminal.finish(137).context("killed from outside")?;
    env.wait_for_cleanup("c")?;
    env.remove("c")?;

    let mut terminal = env.named_terminal("c", &[], "echo ready; exec sleep 1000")?;
    terminal.expect("ready")?;
    env.ctr(&["rm", "-f", "c"])?.prints("c\n")?;
    terminal.finish(137).context("removed from outside")?;

    for (command, code) in [("no-such-command", 127), ("/etc/passwd", 126)] {
        let screen = env
            .run_terminal(&[], &[command])?
            .finish(code)
            .context("an error at the start")?;
        ensure!(
            screen.starts_with("Error: ")
                && screen.contains(command)
                && screen.lines().count() <= 2,
            "{screen:?}"
        );
    }
    env.create("m", &["-i", "-t"], &["no-such-command"])?;
    let screen = env
        .terminal(&["start", "-a", "-i", "m"], SIZE)?
        .finish(125)
        .context("an error at the start")?;
    ensure!(screen.contains("no-such-command"), "{screen:?}");
    env.remove("m")
}

fn detached_from_the_beginning(env: &Env) -> Result<()> {
    let rootfs = env.rootfs();
    let script = "echo ready; exec sh";
    env.ctr(&[
        "run", "-d", "-i", "-t", "--name", "c", "--rootfs", &rootfs, "sh", "-c", script,
    ])?
    .id()?;
    env.wait_for_log("c", "ready\r\n")?;
    ensure!(env.inspect("c")?["Config"]["Tty"] == true);
    for (rows, columns) in [(12, 34), (56, 78)] {
        let size = Size { rows, columns };
        let mut terminal = taken_over(env.terminal(&["attach", "c"], size)?)?;
        answered(&mut terminal, b"stty size\r", &format!("\n{size}\r\n"))?;
        terminal.expect("# ")?;
        terminal.send(LEAVE)?;
        terminal.finish(0)?;
    }
    let terminal = env.attach(&[], "c")?;
    terminal.send_line("exit 3")?;
    terminal.finish(3)?;
    env.ctr(&["wait", "c"])?.prints("3\n")?;
    env.wait_for_cleanup("c")?;
    env.remove("c")
}

fn single_keys_arrive_at_once(env: &Env) -> Result<()> {
    let mut terminal = env.named_terminal("c", &[], SHOW_KEYS)?;
    terminal.expect("ready\n")?;
    // Each is waited for before the next is typed: one that is held back would never appear.
    let keys = b"\x10a\x10\x10b\x11\x03\x1a\x00\xff";
    for key in keys.chunks(1) {
        echoed(&mut terminal, key)?;
    }
    let screen = terminal.screen();
    ensure!(screen == [b"ready\n", &keys[..]].concat(), "{terminal}");
    terminal.send(LEAVE)?;
    terminal.finish(0)?;
    env.remove("c")
}

fn the_sequence_in_every_way(env: &Env) -> Result<()> {
    let mut terminal = env.named_terminal("c", &[], SHOW_KEYS)?;
    terminal.expect("ready\n")?;
    echoed(&mut terminal, b"\x10")?;
    terminal.send(b"\x11")?;
    terminal.finish(0).context("slowly")?;

    for typed in [
        &b"\x10\x11"[..],
        b"\x10\x10\x11",
        b"\x10\x10\x10\x10\x11",
        b"\x10a\x10\x11",
        b"\x11\x10\x11",
    ] {
        let terminal = env.attach(&[], "c")?;
        terminal.send(typed)?;
        terminal.finish(0).with_context(|| format!("{typed:?}"))?;
        env.runs("c")?;
    }
    // What stands before the sequence arrives.
    let terminal = env.attach(&[], "c")?;
    terminal.send(b"before\x10\x11")?;
    terminal.finish(0)?;
    env.wait_for_log("c", "before")?;

    let mut terminal = env.attach(&[], "c")?;
    echoed(&mut terminal, b"\x10x\x11")?;
    echoed(&mut terminal, b"\x11\x10")?;
    terminal.send(b"\x11")?;
    terminal.finish(0)?;
    env.remove("c")
}

fn other_keys_and_none(env: &Env) -> Result<()> {
    let mut terminal = env.named_terminal("c", &["--detach-keys", "a,b,c"], SHOW_KEYS)?;
    terminal.expect("ready\n")?;
    echoed(&mut terminal, LEAVE)?;
    echoed(&mut terminal, b"abab")?;
    terminal.send(b"c")?;
    terminal.finish(0)?;

    for (keys, typed) in [
        ("ctrl-]", &b"\x1d"[..]),
        ("ctrl-@,ctrl-_", b"\x00\x1f"),
        ("DEL", b"\x7f"),
        ("a,a,b", b"aaab"),
        ("a,b,a,c", b"ababac"),
        ("ctrl-a,d", b"\x01d"),
    ] {
        let mut terminal = env.attach(&["--detach-keys", keys], "c")?;
        echoed(&mut terminal, LEAVE)?;
        terminal.send(typed)?;
        terminal.finish(0).with_context(|| keys.to_owned())?;
        env.runs("c")?;
    }

    let mut terminal = env.attach(&["--detach-keys", ""], "c")?;
    echoed(&mut terminal, b"\x10\x11\x10\x11abc")?;
    ensure!(!terminal.ends_within(Duration::from_millis(200))?);
    env.remove("c")?;
    terminal.finish(137)?;
    Ok(())
}

fn two_terminals_at_once(env: &Env) -> Result<()> {
    let mut first = env.named_terminal("c", &[], SHOW_KEYS)?;
    first.expect("ready\n")?;
    let mut second = env.attach(&[], "c")?;
    echoed(&mut second, b"from the second")?;
    first.expect("from the second")?;
    echoed(&mut first, b"from the first")?;
    second.expect("from the first")?;
    second.send(LEAVE)?;
    second.finish(0)?;
    echoed(&mut first, b"alone")?;

    // The one who started it may leave first.
    let mut third = env.attach(&[], "c")?;
    echoed(&mut third, b"third")?;
    first.send(LEAVE)?;
    first.finish(0)?;
    echoed(&mut third, b"still")?;
    env.remove("c")?;
    third.finish(137)?;
    Ok(())
}

fn looking_without_typing(env: &Env) -> Result<()> {
    let mut first = env.named_terminal("c", &[], SHOW_KEYS)?;
    first.expect("ready\n")?;
    // The second terminal stays as it is: nothing of it is for the container.
    let mut second = env.terminal(&["attach", "--no-stdin", "c"], SIZE)?;
    // It is attached once it sees something; what it misses before is no fault.
    crate::harness::wait::until("the second client", || {
        first.send(b".")?;
        Ok((!second.screen().is_empty()).then_some(()))
    })?;
    second.send(b"never\r")?;
    echoed(&mut first, b"end")?;
    second.expect("end")?;
    let screen = String::from_utf8_lossy(&first.screen()).into_owned();
    ensure!(!screen.contains("never"), "{screen:?}");
    env.remove("c")?;
    second.finish(137)?;
    first.finish(137)?;
    Ok(())
}

fn signals_that_end_only_the_client(env: &Env) -> Result<()> {
    let mut terminal = env.named_terminal("c", &["--sig-proxy=false"], SHOW_KEYS)?;
    terminal.expect("ready\n")?;
    for (signal, number) in [
        (Signal::TERM, 15),
        (Signal::INT, 2),
        (Signal::HUP, 1),
        (Signal::QUIT, 3),
    ] {
        terminal.signal(signal)?;
        terminal
            .finish(128 + number)
            .with_context(|| format!("signal {number}"))?;
        env.runs("c")?;
        terminal = env.attach(&["--sig-proxy=false"], "c")?;
        echoed(&mut terminal, b"x")?;
    }
    terminal.send(LEAVE)?;
    terminal.finish(0)?;
    env.remove("c")
}

fn killed_clients_are_not_missed(env: &Env) -> Result<()> {
    let mut terminal = env.named_terminal("c", &[], SHOW_KEYS)?;
    terminal.expect("ready\n")?;
    for _ in 0..3 {
        terminal.signal(Signal::KILL)?;
        let code = terminal.code()?;
        ensure!(code == 137, "{code}");
        env.runs("c")?;
        terminal = env.attach(&[], "c")?;
        echoed(&mut terminal, b"x")?;
    }
    env.remove("c")?;
    terminal.finish(137)?;
    Ok(())
}

/// A closed window is a signal that the container gets like all others. The client ends in any case.
fn lost_terminals(env: &Env) -> Result<()> {
    let script = "trap 'exit 4' HUP; echo ready; while :; do sleep 0.02; done";
    let mut terminal = env.named_terminal("h", &[], script)?;
    terminal.expect("ready")?;
    let code = terminal.hang_up()?;
    ensure!(code == 4 || code == 129, "{code}");
    env.ctr(&["wait", "h"])?.prints("4\n")?;
    env.wait_for_cleanup("h")?;
    env.remove("h")?;

    let mut terminal = env.named_terminal("c", &[], SHOW_KEYS)?;
    terminal.expect("ready\n")?;
    terminal.hang_up()?;
    env.runs("c")?;
    let mut terminal = env.attach(&[], "c")?;
    echoed(&mut terminal, b"x")?;
    terminal.send(LEAVE)?;
    terminal.finish(0)?;
    env.remove("c")
}

fn a_lost_monitor(env: &Env) -> Result<()> {
    let mut terminal = env.named_terminal("c", &[], SHOW_KEYS)?;
    terminal.expect("ready\n")?;
    let monitor = env.state_number("c", "ConmonPid")?;
    let monitor = Process::open(monitor)?.context("there is a monitor")?;
    monitor.signal(Signal::KILL)?;
    let code = terminal.code()?;
    ensure!(code != 0, "{terminal}");
    terminal.check_restored()?;
    env.remove("c")
}
