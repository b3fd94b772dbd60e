//! A command with a terminal, from the inside: its size, its keys, its bytes, whoever comes and goes.

use anyhow::{Context, Result, ensure};

use crate::harness::case::{Runtime, cases};
use crate::harness::env::{Env, refs};
use crate::harness::hosted::{container, ended, running, runs, session, words};
use crate::harness::output::lines;
use crate::harness::pattern::{Kind, Pattern};
use crate::harness::receiver::{Pace, Receiver};
use crate::harness::share::Share;
use crate::harness::terminal::{SIZE, Size, Terminal};

cases! {
    Core size_is_there_at_the_start,
    Core new_sizes_are_seen,
    Core size_of_a_detached_session,
    Core all_streams_are_the_terminal,
    Core keys_arrive_at_once,
    Full every_byte_goes_through,
    Full name_of_the_terminal,
    Full full_screen_program,
    Full output_only,
    Full input_or_output_elsewhere,
    Full much_output_of_a_terminal,
}

/// Shows each byte as it comes and as it is.
const SHOW_KEYS: &str = "stty raw -echo; echo ready; exec cat";

/// What a script begins with that looks at its terminal. crun executes programs without telling anybody when: size and owner of the
/// terminal may come a moment later.
fn settled(env: &Env) -> &'static str {
    match env.runtime {
        Runtime::Builtin | Runtime::Runc => "",
        Runtime::Crun => {
            "until test -n \"$(stty size 2>/dev/null)\" && true < $(tty); do sleep 0.01; done 2>/dev/null; "
        }
    }
}

/// `exec -i -t` of a script in a terminal, once the client has taken it over.
fn exec(env: &Env, flags: &[&str], script: &str) -> Result<Terminal> {
    let mut all = vec!["-i", "-t"];
    all.extend(flags);
    let terminal = env.terminal(&words(&all, "c", script), SIZE)?;
    terminal.wait_for_raw()?;
    Ok(terminal)
}

/// A script shows exactly this, and ends with code 3.
fn check(env: &Env, flags: &[&str], script: &str, shown: &str) -> Result<()> {
    let mut all = vec!["-i", "-t"];
    all.extend(flags);
    let terminal = env.terminal(&words(&all, "c", script), SIZE)?;
    let screen = terminal.finish(3)?;
    ensure!(
        screen == shown,
        "{flags:?}: {screen:?} instead of {shown:?}"
    );
    Ok(())
}

fn size_is_there_at_the_start(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let script = format!("{}stty size", settled(env));
    let command = words(&["-i", "-t"], "c", &script);
    for more in 0..env.scale.pick(20, 200) {
        let size = Size {
            rows: 20 + more,
            columns: 70 + more,
        };
        let screen = env.terminal(&command, size)?.finish(0)?;
        ensure!(
            screen == format!("{size}\r\n"),
            "{screen:?} in a terminal of {size}"
        );
    }
    // Also of a session that was made before, and of one whose output alone is a terminal.
    let id = session(env, &["-i", "-t"], "c", &script)?;
    let screen = env
        .terminal(&["container", "exec-start", &id], SIZE)?
        .finish(0)?;
    ensure!(screen == format!("{SIZE}\r\n"), "{screen:?}");
    let mut all = ["sh", "-c", "\"$@\" < /dev/null", "sh"]
        .map(str::to_owned)
        .to_vec();
    all.extend(env.words(&words(&["-t"], "c", &script)));
    let screen = Terminal::start(&all, SIZE)?.finish(0)?;
    ensure!(screen.starts_with(&SIZE.to_string()), "{screen:?}");
    env.remove("c")
}

fn new_sizes_are_seen(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let script =
        "trap 'stty size' WINCH; trap 'exit 3' INT; echo ready; while :; do sleep 0.02; done";
    let mut terminal = exec(env, &[], script)?;
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
    env.remove("c")
}

fn size_of_a_detached_session(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done";
    let id = running(env, &["-t"], "c", script)?;
    let look = [
        "attach",
        "--read-only",
        "--no-stdin",
        "--replay=64",
        "--session",
        &id,
    ];
    let client = env.call(&look).spawn()?;
    client.wait_for_stdout("ready")?;
    for (height, width) in [
        ("10", "20"),
        ("1000", "2000"),
        ("29999", "29999"),
        ("24", "80"),
    ] {
        env.ctr(&[
            "container",
            "exec-resize",
            "--height",
            height,
            "--width",
            width,
            &id,
        ])?
        .prints("")?;
        client.wait_for_stdout(&format!("{height} {width}\r\n"))?;
    }
    sizes_that_are_refused(env, &id)?;
    env.ctr(&["container", "exec-kill", &id])?.ok()?;
    client.finish()?;
    ended(env, &id, 137)?;
    env.ctr(&["container", "exec-resize", "--height=1", "--width=1", &id])?
        .refused(125, &["ended"])?;
    env.remove("c")
}

fn sizes_that_are_refused(env: &Env, id: &str) -> Result<()> {
    for (height, width) in [("-1", "80"), ("24", "65536"), ("", "1"), ("a", "b")] {
        let height = format!("--height={height}");
        let width = format!("--width={width}");
        env.ctr(&["container", "exec-resize", &height, &width, id])?
            .refused(125, &["a number from 0 to 65535"])?;
    }
    let pipes = running(env, &[], "c", "exec sleep 1000")?;
    let resize = ["container", "exec-resize", "--height=1", "--width=1"];
    let with = |id| [&resize[..], &[id]].concat();
    env.ctr(&with(&pipes))?.refused(125, &["no terminal"])?;
    Ok(())
}

fn all_streams_are_the_terminal(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let script = "test -t 0 && test -t 1 && test -t 2 && test -c $(tty) && echo opened > /dev/tty && : < $(tty) && \
        echo error >&2; exit 3";
    let script = format!("{}{script}", settled(env));
    for flags in [
        &[][..],
        &["--user=1000"],
        &["--user=alice"],
        &["--privileged"],
    ] {
        check(env, flags, &script, "opened\r\nerror\r\n")?;
    }
    // It controls the session, so a shell has job control, and keys are signals.
    let mut terminal = exec(env, &[], "exec sh")?;
    terminal.expect("# ")?;
    // What is typed is shown with the quotes, and what the job prints without them.
    terminal.send_line("sh -c \"echo be''gan; sleep 1000\"")?;
    terminal.expect("began")?;
    terminal.send(b"\x1a")?;
    terminal.expect("Stopped")?;
    terminal.expect("# ")?;
    terminal.send_line("kill %1; exec sh -c 'exit 5'")?;
    let screen = terminal.finish(5)?;
    ensure!(!screen.contains("job control"), "{screen:?}");
    // Two terminals of one container are two.
    let (mut one, mut two) = (
        exec(env, &[], "tty; exec cat")?,
        exec(env, &[], "tty; exec cat")?,
    );
    let names = [one.expect("\r\n")?, two.expect("\r\n")?];
    ensure!(names[0] != names[1], "{names:?}");
    for terminal in [one, two] {
        terminal.send(b"\x04")?;
        terminal.finish(0)?;
    }
    env.remove("c")
}

/// Each is waited for before the next is typed: one that is held back would never appear.
fn keys_arrive_at_once(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let keys = b"\x10a\x10\x11\x10b\x11\x03\x1a\x00\xff";
    for flags in [
        &[][..],
        &["--detach-keys="],
        &["--detach-keys=ctrl-x,x"],
        &["--detach-keys=ctrl-],q"],
    ] {
        let mut terminal = exec(env, flags, SHOW_KEYS)?;
        terminal.expect("ready\n")?;
        for key in keys.chunks(1) {
            terminal.send(key)?;
            terminal
                .expect_bytes(key)
                .with_context(|| format!("{flags:?}"))?;
        }
        let screen = terminal.screen();
        ensure!(screen == [b"ready\n", &keys[..]].concat(), "{terminal}");
        let ids = env.ctr(&["container", "exec-ls", "-q", "c"])?.ok()?;
        let id = ids.lines().next().context("a session")?;
        env.ctr(&["container", "exec-kill", "-s", "TERM", id])?
            .ok()?;
        terminal.finish(143)?;
    }
    env.remove("c")
}

fn every_byte_goes_through(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let script = "stty raw -echo; echo ready; head -c 768; exit 6";
    let mut terminal = exec(env, &[], script)?;
    terminal.expect("ready\n")?;
    let bytes: Vec<u8> = (0..=255).collect();
    for _ in 0..3 {
        terminal.send(&bytes)?;
    }
    terminal.expect_bytes(&bytes.repeat(3))?;
    terminal.finish(6)?;
    env.remove("c")
}

fn name_of_the_terminal(env: &Env) -> Result<()> {
    container(env, "c", &["-e", "FROM=container"])?;
    let script = "echo $TERM $FROM; exit 3";
    check(env, &[], script, "xterm container\r\n")?;
    check(env, &["-e", "TERM=vt100"], script, "vt100 container\r\n")?;
    check(env, &["-e", "TERM=", "-e", "FROM=exec"], script, "exec\r\n")?;
    // One of the container's own is kept, and without a terminal there is none.
    env.detached("t", &["-e", "TERM=linux"], "exec sleep 1000")?;
    let screen = env
        .terminal(&words(&["-it"], "t", "echo $TERM"), SIZE)?
        .finish(0)?;
    ensure!(screen == "linux\r\n", "{screen:?}");
    env.ctr(&words(&[], "c", "echo \"<$TERM>\""))?
        .prints("<>\n")?;
    env.remove("t")?;
    env.remove("c")
}

fn full_screen_program(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let mut terminal = exec(env, &[], "vi /tmp/file; sed s/^/saved-/ /tmp/file")?;
    terminal.expect(&format!("\x1b[{};1H", SIZE.rows))?;
    terminal.send(b"ihello")?;
    terminal.expect("hello")?;
    terminal.send(b"\x1b")?;
    terminal.expect("- ")?;
    terminal.send(b":wq\r")?;
    terminal.expect("saved-hello\r\n")?;
    terminal.finish(0)?;
    env.remove("c")
}

/// `-t` without `-i`: the client's terminal stays as it is, its keys are the client's, and nothing of them is input.
fn output_only(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let script = "trap 'stty size' WINCH; trap 'exit 9' INT; stty size; echo ready; while :; do sleep 0.02; done";
    let script = format!("{}{script}", settled(env));
    let mut terminal = env.terminal(&words(&["-t"], "c", &script), SIZE)?;
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
    env.remove("c")
}

/// A script that asks for a terminal from a pipe gets one inside, and is told at most in a line.
fn input_or_output_elsewhere(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let script = "test -t 0 && test -t 1 && test -t 2 && echo yes; exit 3";
    let output = env.ctr(&words(&["-t"], "c", script))?;
    ensure!(output.code == 3 && output.out() == "yes\r\n", "{output}");
    ensure!(output.err().lines().count() <= 1, "{output}");

    let numbers = lines(1..=20_000);
    for (command, input, code, end) in [
        (&["sh"][..], "echo l''s\n", 0, "ls\r\n"),
        (
            &["sh", "-c", "read -r line; echo \"<$line>\"; exit 2"],
            "no end",
            2,
            "<no end>\r\n",
        ),
        (&["sh", "-c", "wc -l; exit 2"], &numbers, 2, "\n20000\r\n"),
    ] {
        let words = [&["exec", "-i", "-t", "c"][..], command].concat();
        let output = env.finish(env.call(&words).stdin(input.as_bytes()))?;
        ensure!(
            output.code == code && output.out().contains(end) && output.err().lines().count() <= 1,
            "{output}"
        );
    }

    let mut all = ["sh", "-c", "\"$@\" | cat -v", "sh"]
        .map(str::to_owned)
        .to_vec();
    let script = format!("{}stty size; read -r line; echo \"<$line>\"", settled(env));
    all.extend(env.words(&words(&["-i", "-t"], "c", &script)));
    let mut terminal = Terminal::start(&refs(&all), SIZE)?;
    terminal.expect(&format!("{SIZE}^M"))?;
    terminal.send_line("typed")?;
    terminal.expect("<typed>^M")?;
    terminal.finish(0)?;
    env.remove("c")
}

/// Slow readers, many bytes, the end right after the last of them.
fn much_output_of_a_terminal(env: &Env) -> Result<()> {
    let share = Share::make(
        env,
        "share",
        Pattern::new(Kind::Random(70), 8 * 1024 * 1024),
    )?;
    container(env, "c", &["-v", &share.volume])?;
    for pace in [Pace::Fast, Pace::Slow] {
        let script = "stty raw; cat /share/data; exit 7";
        let (receiver, end) = Receiver::start("", &share.pattern, pace)?;
        let client = env
            .call(&words(&["-t"], "c", script))
            .stdout_to(end)
            .spawn()?;
        let output = client.finish()?;
        ensure!(output.code == 7, "{output}");
        receiver.finish()?.is_all_of(&share.pattern)?;
    }
    // Nobody is attached: it goes on as fast as it can, and its last bytes are there to be seen.
    let id = running(
        env,
        &["-t"],
        "c",
        "stty raw; cat /share/data; echo; echo done; exec sleep 1000",
    )?;
    let look = ["attach", "--no-stdin", "--replay=1", "--session", &id];
    let client = env.call(&look).spawn()?;
    client.wait_for_stdout("\ndone\n")?;
    ensure!(runs(env, &id)?);
    env.remove("c")?;
    client.finish()?;
    Ok(())
}
