//! `run` in the foreground: output, exit code, standard streams.

use anyhow::{Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::output::lines;
use crate::harness::program::Call;

cases! {
    Core output_and_exit_code,
    Core streams_stay_apart,
    Core host_files_as_image,
    Core killed_from_outside,
    Core stdin_is_passed,
    Full id_of_what_is_not_heard,
    Core end_of_input_ends_cat,
    Full stdin_is_empty_unless_asked,
    Core much_output_arrives_whole,
    Full not_removed_without_rm,
    Core passthrough,
}

fn output_and_exit_code(env: &Env) -> Result<()> {
    env.run(&[], &["echo", "hello"])?.prints("hello\n")?;
    env.run(&[], &["true"])?.prints("")?;
    for code in [1, 3, 124, 255] {
        let script = format!("exit {code}");
        env.run(&[], &["sh", "-c", &script])?
            .prints_with(code, "")?;
    }
    Ok(())
}

fn streams_stay_apart(env: &Env) -> Result<()> {
    let output = env.run(&[], &["sh", "-c", "echo out; echo err >&2; exit 5"])?;
    ensure!(
        (output.code, output.out().as_str(), output.err().as_str()) == (5, "out\n", "err\n"),
        "{output}"
    );
    // Neither a last line without its end nor bytes that are no text are changed.
    let output = env.run(&[], &["printf", "a\\000\\377\\nb"])?;
    ensure!(
        output.code == 0 && output.stdout == b"a\0\xff\nb",
        "{output}"
    );
    Ok(())
}

/// The README's first command on the case's own directories.
fn host_files_as_image(env: &Env) -> Result<()> {
    env.ctr(&["run", "--rm", "--rootfs", "/:O", "echo", "hello"])?
        .prints("hello\n")
}

fn killed_from_outside(env: &Env) -> Result<()> {
    let running = env.start_run(
        &["--name", "k"],
        &["sh", "-c", "echo ready; sleep 1000; echo no"],
    )?;
    running.wait_for_stdout("ready")?;
    env.ctr(&["kill", "-s", "KILL", "k"])?.prints("k\n")?;
    running.finish()?.prints_with(137, "ready\n")
}

fn stdin_is_passed(env: &Env) -> Result<()> {
    let bytes: Vec<u8> = (0..1_048_576_u32)
        .map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let through = |command: &[&str]| {
        let words = env.run_words(&["-i"], command);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        env.call(&words).stdin(&bytes).output()
    };
    let expected = Call::new("sha256sum").stdin(&bytes).output()?.ok()?;
    through(&["sha256sum"])?.prints(&expected)?;
    let output = through(&["cat"])?;
    ensure!(output.code == 0 && output.err().is_empty(), "{output}");
    ensure!(
        output.stdout == bytes,
        "{} bytes came back, not the same",
        output.stdout.len()
    );
    // A program that does not read to the end is no error.
    through(&["true"])?.prints("")
}

/// Who attaches to neither output is told the id, as with `-d`, and still waits for the code.
fn id_of_what_is_not_heard(env: &Env) -> Result<()> {
    let rootfs = env.rootfs();
    let words = [
        "run", "--name", "deaf", "-i", "-a", "stdin", "--rootfs", &rootfs,
    ];
    let script = ["sh", "-c", "cat; exit 3"];
    let output = env.call(&[&words[..], &script].concat());
    let output = output.stdin(b"unheard\n").output()?;
    let id = env.ctr(&["ps", "-a", "-q", "--no-trunc"])?.ok()?;
    output.prints_with(3, &id)?;
    env.wait_for_cleanup("deaf")?;
    env.remove("deaf")?;
    env.run(&["-a", "stderr"], &["echo", "x"])?.prints("")
}

fn end_of_input_ends_cat(env: &Env) -> Result<()> {
    let mut running = env.start_run(&["-i"], &["cat"])?;
    running.say(b"first\n")?;
    running.wait_for_stdout("first\n")?;
    running.say(b"second\n")?;
    running.wait_for_stdout("second\n")?;
    running.close_stdin();
    running.finish()?.prints("first\nsecond\n")
}

fn stdin_is_empty_unless_asked(env: &Env) -> Result<()> {
    let words = env.run_words(&[], &["cat"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    env.call(&words)
        .stdin(b"not for you\n")
        .output()?
        .prints("")?;
    // The input of the command stays its own even while it is open.
    env.start_run(&[], &["cat"])?.finish()?.prints("")
}

fn much_output_arrives_whole(env: &Env) -> Result<()> {
    let output = env.run(&[], &["sh", "-c", "seq 1 100000; seq 1 100000 >&2"])?;
    let expected = lines(1..=100_000);
    ensure!(output.code == 0, "{output}");
    ensure!(output.out() == expected, "standard output is not whole");
    ensure!(output.err() == expected, "standard error is not whole");
    Ok(())
}

fn not_removed_without_rm(env: &Env) -> Result<()> {
    let rootfs = env.rootfs();
    env.ctr(&[
        "run",
        "--name",
        "kept",
        "--rootfs",
        &rootfs,
        "sh",
        "-c",
        "echo x; exit 6",
    ])?
    .prints_with(6, "x\n")?;
    env.wait_for_cleanup("kept")?;
    env.ctr(&["logs", "kept"])?.prints("x\n")?;
    env.ctr(&["wait", "kept"])?.prints("6\n")?;
    env.ctr(&["rm", "kept"])?.prints("kept\n")
}

/// The container's streams are the caller's own, and nothing is kept of what goes through them.
fn passthrough(env: &Env) -> Result<()> {
    let words = env.run_words(
        &["--log-driver", "passthrough"],
        &["sh", "-c", "cat; echo err >&2; exit 4"],
    );
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let output = env.call(&words).stdin(b"in\n").output()?;
    ensure!(
        (output.code, output.out().as_str(), output.err().as_str()) == (4, "in\n", "err\n"),
        "{output}"
    );
    env.run(&["-t", "--log-driver", "passthrough"], &["true"])?
        .refused(125, &["passthrough", "terminal"])?;
    let kept = ["run", "--name", "p", "--log-driver", "passthrough"];
    let rootfs = env.rootfs();
    env.ctr(&[&kept[..], &["--rootfs", &rootfs, "echo", "x"]].concat())?
        .prints("x\n")?;
    env.ctr(&["logs", "p"])?
        .refused(125, &["no logs", "passthrough"])?;
    env.ctr(&["rm", "p"])?.prints("p\n")
}
