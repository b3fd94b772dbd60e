//! A container with a terminal, from the inside: its size, its keys, its bytes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::{Env, refs};
use crate::harness::output::lines;
use crate::harness::terminal::{SIZE, Size, Terminal};

cases! {
    Core size_is_there_at_the_start,
    Core new_size_is_seen,
    Full new_size_while_the_container_is_made,
    Core all_streams_are_the_terminal,
    Core every_byte_goes_through,
    Core keys_interrupt_and_stop_the_program,
    Full full_screen_program,
    Full end_of_input_and_exit_code,
    Full client_without_a_terminal,
    Full output_only_and_output_elsewhere,
    Full signals_go_to_the_container,
    Full logged_and_inspected,
}

fn size_is_there_at_the_start(env: &Env) -> Result<()> {
    let words = env.run_words(&["-i", "-t"], &["stty", "size"]);
    for more in 0..20 {
        let size = Size {
            rows: 20 + more,
            columns: 70 + more,
        };
        let screen = env.terminal(&refs(&words), size)?.finish(0)?;
        ensure!(
            screen == format!("{size}\r\n"),
            "{screen:?} in a terminal of {size}"
        );
    }
    env.create("c", &["-i", "-t"], &["stty", "size"])?;
    for rows in [7, 700] {
        let size = Size { rows, columns: 300 };
        let terminal = env.terminal(&["start", "-a", "-i", "c"], size)?;
        let screen = terminal.finish(0)?;
        ensure!(
            screen == format!("{size}\r\n"),
            "{screen:?} in a terminal of {size}"
        );
    }
    env.remove("c")
}

fn new_size_is_seen(env: &Env) -> Result<()> {
    let script =
        "trap 'stty size' WINCH; trap 'exit 3' INT; echo ready; while :; do sleep 0.02; done";
    let mut terminal = env.run_terminal(&[], &["sh", "-c", script])?;
    terminal.expect("ready")?;
    for (rows, columns) in [(10, 20), (50, 200), (2, 3), (24, 80)] {
        let size = Size { rows, columns };
        terminal.resize(size)?;
        terminal.expect(&format!("{size}\r\n"))?;
    }
    // A window that is dragged: the last size counts.
    for columns in 90..=120 {
        terminal.resize(Size { rows: 30, columns })?;
    }
    terminal.expect("30 120\r\n")?;
    terminal.send(b"\x03")?;
    terminal.finish(3)?;
    Ok(())
}

/// The client has read the size, and there is no terminal yet that could be told of another one.
fn new_size_while_the_container_is_made(env: &Env) -> Result<()> {
    let command = ["sh", "-c", "read line; stty size"];
    let words = env.run_words(&["-i", "-t", "--name", "c"], &command);
    let mut terminal = env.terminal(&refs(&words), SIZE)?;
    while env.ctr(&["container", "exists", "c"])?.code != 0 {}
    let size = Size {
        rows: 33,
        columns: 99,
    };
    terminal.resize(size)?;
    terminal.wait_for_raw()?;
    terminal.send(b"\r")?;
    terminal.expect(&format!("{size}\r\n"))?;
    terminal.finish(0)?;
    Ok(())
}

fn all_streams_are_the_terminal(env: &Env) -> Result<()> {
    let script = "test -t 0 && test -t 1 && test -t 2 && tty && echo opened > /dev/tty && : < $(tty) && echo error >&2; \
        exit 4";
    for flags in [&[][..], &["--user", "1000"], &["--user", "alice"]] {
        let terminal = env.run_terminal(flags, &["sh", "-c", script])?;
        let screen = terminal.finish(4)?;
        ensure!(
            screen == "/dev/pts/0\r\nopened\r\nerror\r\n",
            "{screen:?} with {flags:?}"
        );
    }
    // The terminal of the container is the one that controls its session, so a shell has job control.
    let mut terminal = env.run_terminal(&[], &["sh"])?;
    terminal.expect("# ")?;
    terminal.send_line("exit 5")?;
    let screen = terminal.finish(5)?;
    ensure!(!screen.contains("job control"), "{screen:?}");
    Ok(())
}

fn every_byte_goes_through(env: &Env) -> Result<()> {
    let script = "stty raw -echo; echo ready; head -c 768; exit 6";
    // The keys of the default sequence are among the bytes.
    let mut terminal = env.run_terminal(&["--detach-keys="], &["sh", "-c", script])?;
    terminal.expect("ready\n")?;
    let bytes: Vec<u8> = (0..=255).collect();
    for _ in 0..3 {
        terminal.send(&bytes)?;
    }
    terminal.expect_bytes(&bytes.repeat(3))?;
    terminal.finish(6)?;
    Ok(())
}

fn keys_interrupt_and_stop_the_program(env: &Env) -> Result<()> {
    for (trap, key) in [("INT", b"\x03"), ("QUIT", b"\x1c")] {
        let script =
            format!("trap 'echo got; exit 9' {trap}; echo ready; while :; do sleep 0.02; done");
        let mut terminal = env.run_terminal(&[], &["sh", "-c", &script])?;
        terminal.expect("ready")?;
        terminal.send(key)?;
        terminal.expect("got")?;
        terminal.finish(9)?;
    }

    let mut terminal = env.run_terminal(&[], &["sh"])?;
    terminal.expect("# ")?;
    // What is typed is shown with the quotes, and what the job prints without them.
    terminal.send_line("sh -c \"echo be''gan; sleep 1000\"")?;
    terminal.expect("began")?;
    terminal.send(b"\x1a")?;
    terminal.expect("Stopped")?;
    terminal.expect("# ")?;
    terminal.send_line("fg")?;
    terminal.expect("\r\n")?;
    terminal.expect("sleep 1000")?;
    terminal.send(b"\x03")?;
    terminal.expect("# ")?;
    terminal.send_line("echo co''de $?")?;
    terminal.expect("code 130")?;
    // Some shells still count a job that was interrupted just as it went on among the stopped ones, and stay.
    terminal.send_line("exec sh -c 'exit 8'")?;
    terminal.finish(8)?;
    Ok(())
}

fn full_screen_program(env: &Env) -> Result<()> {
    let script = "vi /tmp/file; sed s/^/saved-/ /tmp/file";
    let mut terminal = env.run_terminal(&[], &["sh", "-c", script])?;
    // The editor goes to the last line of a screen of this size.
    terminal.expect(&format!("\x1b[{};1H", SIZE.rows))?;
    terminal.send(b"ihello")?;
    terminal.expect("hello")?;
    // By itself, or it is the beginning of a function key.
    terminal.send(b"\x1b")?;
    terminal.expect("- ")?;
    terminal.send(b"yypp")?;
    terminal
        .expect("hello\x1b[3;1Hhello")
        .or_else(|_| terminal.expect("hello"))?;
    terminal.send(b":wq\r")?;
    terminal.expect("saved-hello\r\nsaved-hello\r\nsaved-hello\r\n")?;
    terminal.finish(0)?;
    Ok(())
}

fn end_of_input_and_exit_code(env: &Env) -> Result<()> {
    let mut terminal = env.run_terminal(&[], &["sh", "-c", "echo ready; cat; exit 7"])?;
    terminal.expect("ready\r\n")?;
    terminal.send_line("hello")?;
    // The echo of the container's terminal, then the program.
    terminal.expect("hello\r\nhello\r\n")?;
    terminal.send(b"\x04")?;
    let screen = terminal.finish(7)?;
    ensure!(screen == "ready\r\nhello\r\nhello\r\n", "{screen:?}");
    let screen = env
        .run_terminal(&[], &["sh", "-c", "kill -KILL $$; kill -KILL 1; exit 7"])?
        .finish(7)?;
    ensure!(screen.is_empty(), "{screen:?}");
    Ok(())
}

/// `-t` is about the container: a script that asks for it from a pipe gets a terminal inside, and is told.
fn client_without_a_terminal(env: &Env) -> Result<()> {
    let script = "test -t 0 && test -t 1 && test -t 2 && echo yes; exit 3";
    let output = env.run(&["-t"], &["sh", "-c", script])?;
    ensure!(output.code == 3 && output.out() == "yes\r\n", "{output}");
    ensure!(output.err().lines().count() <= 1, "{output}");

    let words = env.run_words(&["-i", "-t"], &["sh"]);
    let output = env.finish(env.call(&refs(&words)).stdin(b"echo l''s\n"))?;
    ensure!(output.code == 0, "{output}");
    ensure!(output.out().contains("ls\r\n"), "{output}");
    ensure!(output.err().lines().count() <= 1, "{output}");

    // More than a terminal takes at a time, and the end of it is not seen before the rest.
    let words = env.run_words(&["-i", "-t"], &["sh", "-c", "wc -l; exit 2"]);
    let numbers = lines(1..=20_000);
    let output = env.finish(env.call(&refs(&words)).stdin(numbers.as_bytes()))?;
    ensure!(output.code == 2, "{output}");
    ensure!(output.out().ends_with("\n20000\r\n"), "{output}");

    // A last line without an end is input, too.
    let words = env.run_words(
        &["-i", "-t"],
        &["sh", "-c", "read -r line; echo \"<$line>\"; exit 2"],
    );
    let output = env.finish(env.call(&refs(&words)).stdin(b"no end"))?;
    ensure!(
        output.code == 2 && output.out().contains("<no end>"),
        "{output}"
    );
    Ok(())
}

/// Without `-i` the client's terminal stays as it is, and its keys are the client's. The size follows that of the terminal in any case,
/// also when the output goes into a pipe.
fn output_only_and_output_elsewhere(env: &Env) -> Result<()> {
    let script = "trap 'stty size' WINCH; trap 'exit 9' INT; stty size; echo ready; while :; do sleep 0.02; done";
    let words = env.run_words(&["-t"], &["sh", "-c", script]);
    let mut terminal = env.terminal(&refs(&words), SIZE)?;
    terminal.expect(&SIZE.to_string())?;
    terminal.expect("ready")?;
    ensure!(terminal.modes()?.are_cooked(), "{terminal}");
    terminal.resize(Size {
        rows: 11,
        columns: 22,
    })?;
    terminal.expect("11 22")?;
    terminal.send(b"\x03")?;
    terminal.finish(9)?;

    let mut words = vec![
        "sh".to_owned(),
        "-c".to_owned(),
        "\"$@\" | cat -v".to_owned(),
        "sh".to_owned(),
    ];
    let run = env.run_words(
        &["-i", "-t"],
        &["sh", "-c", "stty size; read -r line; echo \"<$line>\""],
    );
    words.extend(env.words(&refs(&run)));
    let mut terminal = Terminal::start(&words, SIZE)?;
    terminal.expect(&format!("{SIZE}^M"))?;
    terminal.send_line("typed")?;
    terminal.expect("<typed>^M")?;
    terminal.finish(0)?;
    Ok(())
}

fn signals_go_to_the_container(env: &Env) -> Result<()> {
    for (name, signal) in [
        ("TERM", Signal::TERM),
        ("INT", Signal::INT),
        ("HUP", Signal::HUP),
        ("QUIT", Signal::QUIT),
        ("USR1", Signal::USR1),
    ] {
        let script =
            format!("trap 'echo got; exit 9' {name}; echo ready; while :; do sleep 0.02; done");
        let mut terminal = env.run_terminal(&[], &["sh", "-c", &script])?;
        terminal.expect("ready")?;
        terminal.signal(signal)?;
        terminal.expect("got").with_context(|| name.to_owned())?;
        terminal.finish(9)?;
    }
    Ok(())
}

fn logged_and_inspected(env: &Env) -> Result<()> {
    let rootfs = env.rootfs();
    let script = "echo out; echo error >&2; read -r line; exit 1";
    let words = [
        "run", "--name", "c", "-it", "--rootfs", &rootfs, "sh", "-c", script,
    ];
    let mut terminal = env.terminal(&words, SIZE)?;
    terminal.expect("out\r\nerror\r\n")?;
    let config = &env.inspect("c")?["Config"];
    ensure!(
        config["Tty"] == true && config["OpenStdin"] == true,
        "{config}"
    );
    ensure!(!terminal.ends_within(Duration::ZERO)?, "{terminal}");
    let list = env.ctr(&["ps"])?.ok()?;
    ensure!(list.contains("Up "), "{list}");
    terminal.send_line("typed")?;
    terminal.finish(1)?;
    // A terminal has one output, and what it echoes is a part of it.
    env.ctr(&["logs", "c"])?
        .prints("out\r\nerror\r\ntyped\r\n")?;
    env.remove("c")?;

    env.create("p", &["-i"], &["true"])?;
    let config = &env.inspect("p")?["Config"];
    ensure!(config["Tty"] == false, "{config}");
    env.remove("p")
}
