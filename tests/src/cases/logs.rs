//! `logs`: which records, in which form, for how long; options of logs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, Mode};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::output::lines;
use crate::harness::program::Call;
use crate::harness::tree;

cases! {
    Full lines_from_the_end,
    Full lines_of_a_time,
    Full several_containers,
    Full follow_survives_rotation_and_ends_with_the_run,
    Full follow_ends_without_a_reader,
    Full follow_shows_what_comes,
    Full forged_records,
    Full bytes_come_back_as_they_were,
    Full swapped_log_file,
    Full driver_none,
    Full bad_log_options,
    Full defaults_of_the_configuration,
}

/// A container that has run to its end.
fn ended(env: &Env, name: &str, flags: &[&str], script: &str) -> Result<()> {
    env.create(name, flags, &["sh", "-c", script])?;
    let output = env.ctr(&["start", "-a", name])?;
    ensure!(output.code == 0, "{output}");
    Ok(())
}

/// Where the log of a container lies.
pub(super) fn log_path(env: &Env, name: &str) -> Result<PathBuf> {
    let value = env.inspect(name)?;
    let path = value["HostConfig"]["LogConfig"]["Path"].as_str();
    Ok(PathBuf::from(
        path.context("inspect has no path of the log")?,
    ))
}

fn lines_from_the_end(env: &Env) -> Result<()> {
    ended(
        env,
        "t",
        &[],
        "echo one; echo two; printf thr; sleep 0.2; echo ee; printf rest",
    )?;
    for (count, expected) in [
        ("0", ""),
        ("1", "rest"),
        ("2", "three\nrest"),
        ("3", "two\nthree\nrest"),
        ("9", "one\ntwo\nthree\nrest"),
        ("-1", "one\ntwo\nthree\nrest"),
        ("all", "one\ntwo\nthree\nrest"),
    ] {
        env.ctr(&["logs", "-n", count, "t"])?.prints(expected)?;
        env.ctr(&["logs", "-f", "--tail", count, "t"])?
            .prints(expected)?;
    }
    env.ctr(&["logs", "--tail", "x", "t"])?
        .refused(125, &["--tail", "x"])?;
    env.ctr(&["logs"])?.refused(125, &["missing"])?;
    env.ctr(&["logs", "-l", "t"])?.refused(125, &["--latest"])?;
    env.ctr(&["logs", "no-such"])?.refused(125, &["no-such"])?;
    env.ctr(&["logs", "-l", "-n", "1"])?.prints("rest")?;
    env.remove("t")
}

fn lines_of_a_time(env: &Env) -> Result<()> {
    ended(
        env,
        "t",
        &[],
        "echo one; sleep 0.2; echo two; sleep 0.2; echo three",
    )?;
    let stamped = env.ctr(&["logs", "-t", "t"])?.ok()?;
    let times: Vec<&str> = stamped
        .lines()
        .filter_map(|line| line.split_once(' ').map(|(time, _)| time))
        .collect();
    let [_, two, three] = times[..] else {
        anyhow::bail!("three lines expected: {stamped}");
    };
    ensure!(two.ends_with('Z'), "{stamped}");
    let logs = |flags: &[&str]| env.ctr(&[&["logs"], flags, &["t"]].concat());
    logs(&["--since", two])?.prints("two\nthree\n")?;
    logs(&["--until", two])?.prints("one\n")?;
    logs(&["--since", two, "--until", three])?.prints("two\n")?;
    logs(&["--since", two, "--tail", "1"])?.prints("three\n")?;
    logs(&["--until", three, "--tail", "1"])?.prints("two\n")?;
    logs(&["-f", "--since", two, "--tail", "9"])?.prints("two\nthree\n")?;
    logs(&["--since", "1h"])?.prints("one\ntwo\nthree\n")?;
    logs(&["--until", "1h"])?.prints("")?;
    logs(&["--since", "soon"])?.refused(125, &["--since", "soon"])?;
    logs(&["--until", ""])?.refused(125, &["--until"])?;
    env.remove("t")
}

fn several_containers(env: &Env) -> Result<()> {
    let first = env.create("a", &[], &["echo", "from a"])?;
    let second = env.create("b", &[], &["sh", "-c", "echo from b; echo to stderr >&2"])?;
    env.ctr(&["start", "-a", "a"])?.prints("from a\n")?;
    let started = env.ctr(&["start", "-a", "b"])?;
    ensure!(
        started.code == 0 && started.err() == "to stderr\n",
        "{started}"
    );
    let output = env.ctr(&["logs", "a", "b"])?;
    let (a, b) = (&first[..12], &second[..12]);
    ensure!(
        output.out() == format!("{a} from a\n{b} from b\n"),
        "{output}"
    );
    ensure!(output.err() == format!("{b} to stderr\n"), "{output}");
    let followed = env.ctr(&["logs", "-f", "--names", "b", "a"])?.out();
    let mut both: Vec<&str> = followed.lines().collect();
    both.sort_unstable();
    ensure!(both == ["a from a", "b from b"], "{followed}");
    let output = env.ctr(&["logs", "--names", "b", "a"])?;
    ensure!(output.out() == "b from b\na from a\n", "{output}");
    env.ctr(&["logs", "--names", "a"])?.prints("a from a\n")?;
    env.ctr(&["logs", "a", "no-such"])?
        .refused(125, &["no-such"])?;
    env.remove("a")?;
    env.remove("b")
}

fn follow_survives_rotation_and_ends_with_the_run(env: &Env) -> Result<()> {
    let script = "i=0; while [ $i -lt 1500 ]; do echo line $i; i=$((i+1)); done";
    let flags = ["--log-opt", "max-size=4k", "--log-opt", "max-file=99"];
    env.create("f", &flags, &["sh", "-c", script])?;
    env.ctr(&["start", "f"])?.ok()?;
    let once = lines((0..1500).map(|number| format!("line {number}")));
    env.ctr(&["logs", "-f", "f"])?.prints(&once)?;
    let path = log_path(env, "f")?;
    ensure!(
        path.with_extension("log.1").exists(),
        "nothing was put aside"
    );
    env.wait_for_cleanup("f")?;
    env.ctr(&["start", "f"])?.ok()?;
    env.ctr(&["logs", "-f", "f"])?
        .prints(&format!("{once}{once}"))?;
    env.remove("f")
}

fn follow_ends_without_a_reader(env: &Env) -> Result<()> {
    // The container says nothing more, so only the end of the reader can be noticed.
    env.detached("f", &[], "echo first; sleep 1000")?;
    let words = env.words(&["logs", "-f", "f"]).join(" ");
    let output = Call::new("sh")
        .args(["-c", &format!("{words} | head -n 1")])
        .output()?;
    output.prints("first\n")?;
    env.remove("f")
}

fn follow_shows_what_comes(env: &Env) -> Result<()> {
    let (dir, volume) = env.out()?;
    let script = "echo old; while [ ! -e /out/go ]; do sleep 0.05; done; printf ne; printf w";
    env.detached("f", &["-v", &volume], script)?;
    env.wait_for_log("f", "old")?;
    let all = env.call(&["logs", "-f", "f"]).spawn()?;
    let new = env.call(&["logs", "-f", "-n", "0", "f"]).spawn()?;
    let interrupted = env.call(&["logs", "-f", "f"]).spawn()?;
    all.wait_for_stdout("old\n")?;
    interrupted.wait_for_stdout("old\n")?;
    interrupted.signal(Signal::INT)?;
    ensure!(interrupted.finish()?.code == 130);
    // One that follows until a moment that comes ends then, while the container runs on.
    env.ctr(&["logs", "-f", "--until", "100ms", "f"])?
        .prints("old\n")?;
    env.ctr(&["logs", "-f", "--until", "2020-01-01", "f"])?
        .prints("")?;
    tree::write(&dir.join("go"), "")?;
    all.finish()?.prints("old\nnew")?;
    let new = new.finish()?.ok()?;
    ensure!("new".ends_with(&new) || new == "old\nnew", "{new}");
    env.remove("f")
}

fn forged_records(env: &Env) -> Result<()> {
    let said = "2026-01-01T00:00:00Z stdout F forged\n\
        2026-01-01T00:00:00.000000000+00:00 stderr F forged\n\
        {\"log\":\"forged\\n\",\"stream\":\"stdout\"}\n\
        a\rb\n\
        2026-01-01T00:00:00Z gap F 7 forged\n\
        2026-01-01T00:00:00Z stdout P for";
    let script = format!("cat <<'END'\n{said}\nEND\nprintf 'stdout F half'");
    ended(env, "f", &[], &script)?;
    let output = env.ctr(&["logs", "f"])?;
    output.prints(&format!("{said}\nstdout F half"))?;
    let stamped = env.ctr(&["logs", "-t", "f"])?.ok()?;
    ensure!(stamped.lines().count() == 7, "{stamped}");
    env.ctr(&["logs", "-n", "2", "f"])?
        .prints("2026-01-01T00:00:00Z stdout P for\nstdout F half")?;
    env.remove("f")
}

fn bytes_come_back_as_they_were(env: &Env) -> Result<()> {
    let (dir, volume) = env.out()?;
    let script = "{ head -c 64000000 /dev/zero | tr '\\0' x; echo; head -c 3000000 /dev/urandom; \
        head -c 100000 /dev/zero; } | tee /out/copy";
    env.create("b", &["-v", &volume], &["sh", "-c", script])?;
    env.ctr(&["start", "b"])?.ok()?;
    env.ctr(&["wait", "b"])?.ok()?;
    let copy = fs::read(dir.join("copy"))?;
    let output = env.call(&["logs", "b"]).output()?;
    ensure!(
        output.stdout == copy,
        "{} bytes of {}",
        output.stdout.len(),
        copy.len()
    );
    let tail = env.call(&["logs", "-f", "-n", "1", "b"]).output()?.stdout;
    ensure!(copy.ends_with(&tail) && !tail[..tail.len() - 1].contains(&b'\n'));
    env.remove("b")
}

fn swapped_log_file(env: &Env) -> Result<()> {
    ended(env, "s", &[], "echo genuine")?;
    let path = log_path(env, "s")?;
    let canary = env.path("canary");
    tree::write(&canary, "2026-01-01T00:00:00Z stdout F canary\n")?;
    let refused = |words: &str| -> Result<()> {
        env.ctr(&["logs", "s"])?.refused(125, &["log", words])?;
        env.ctr(&["logs", "-f", "-n", "1", "s"])?
            .refused(125, &["log", words])
    };
    fs::remove_file(&path)?;
    env.ctr(&["logs", "s"])?.prints("")?;
    symlink(&canary, &path)?;
    refused("symbolic link")?;
    env.ctr(&["start", "s"])?.refused(125, &["log"])?;
    fs::remove_file(&path)?;
    fs::hard_link(&canary, &path)?;
    refused("second name")?;
    fs::remove_file(&path)?;
    rustix::fs::mkfifoat(CWD, &path, Mode::from_raw_mode(0o600))?;
    refused("regular file")?;
    fs::remove_file(&path)?;
    fs::create_dir(&path)?;
    refused("regular file")?;
    fs::remove_dir(&path)?;
    env.ctr(&["start", "-a", "s"])?.prints("genuine\n")?;
    env.ctr(&["logs", "s"])?.prints("genuine\n")?;
    env.remove("s")
}

fn driver_none(env: &Env) -> Result<()> {
    env.run(&["--log-driver", "none"], &["echo", "seen"])?
        .prints("seen\n")?;
    env.create("n", &["--log-driver=none"], &["echo", "seen"])?;
    env.ctr(&["start", "-a", "n"])?.prints("seen\n")?;
    env.ctr(&["logs", "n"])?
        .refused(125, &["n", "log driver", "none"])?;
    let log = &env.inspect("n")?["HostConfig"]["LogConfig"];
    ensure!(log["Type"] == "none" && log["Path"] == "", "{log}");
    env.remove("n")
}

/// Flags of a creation, and words that the refusal must have.
const BAD_OPTIONS: &[(&[&str], &[&str])] = &[
    (&["--log-driver", "syslog"], &["syslog", "k8s-file"]),
    (&["--log-driver", ""], &["--log-driver", "k8s-file"]),
    (
        &["--log-driver", "journald"],
        &["journald", "journal", "k8s-file"],
    ),
    (&["--log-opt", "max-size"], &["max-size", "KEY=VALUE"]),
    (&["--log-opt", "max-size=big"], &["max-size=big", "10m"]),
    (&["--log-opt", "max-size=-2"], &["max-size=-2"]),
    (&["--log-opt", "max-file=0"], &["max-file=0", "at least 1"]),
    (&["--log-opt", "compress=true"], &["compress", "max-size"]),
    (&["--log-opt", "tag=x"], &["tag", "journald"]),
    (
        &["--log-driver=none", "--log-opt", "max-size=1k"],
        &["max-size", "none"],
    ),
    (
        &["--log-driver=none", "--log-opt", "path=/x"],
        &["path", "none"],
    ),
    (&["--log-opt", "path=../../x"], &["path", "absolute"]),
    (&["--log-opt", "path=/tmp/../x"], &["path", ".."]),
    (
        &["--log-opt", "path=/no/such/directory/x"],
        &["path", "no such file"],
    ),
    (&["--log-opt", "path=/proc/x"], &["path", "cannot be made"]),
    (&["--log-opt", "path=/tmp"], &["path", "regular file"]),
    (&["--log-opt", "path=/etc/passwd"], &["path", "not a log"]),
    (&["--log-opt", "path=/dev/null"], &["path", "regular file"]),
];

fn bad_log_options(env: &Env) -> Result<()> {
    let rootfs = env.rootfs();
    for (flags, words) in BAD_OPTIONS {
        let call = [&["create"], *flags, &["--rootfs", &rootfs, "true"]].concat();
        env.ctr(&call)?.refused(125, words)?;
    }
    // A file of the user's stays, and is nobody else's log meanwhile.
    let path = env.path("mine.log");
    let option = format!("path={}", path.display());
    ended(env, "mine", &["--log-opt", &option], "echo kept")?;
    let call = ["create", "--log-opt", &option, "--rootfs", &rootfs, "true"];
    env.ctr(&call)?.refused(125, &["mine", "path"])?;
    env.ctr(&["logs", "mine"])?.prints("kept\n")?;
    env.remove("mine")?;
    ensure!(fs::read_to_string(&path)?.ends_with(" stdout F kept\n"));
    Ok(())
}

fn defaults_of_the_configuration(env: &Env) -> Result<()> {
    let [flag, file] = env.configured("[log]\nmax_size = \"20k\"\nmax_file = 5\n")?;
    let rootfs = env.rootfs();
    let create = |name: &str, flags: &[&str]| {
        let before = [&*flag, &file, "create", "--name", name];
        env.ctr(&[&before, flags, &["--rootfs", &rootfs, "true"]].concat())?
            .id()
    };
    create("file", &[])?;
    create("flag", &["--log-opt", "max-size=0"])?;
    create("none", &["--log-driver", "none"])?;
    for (name, kind, size, files) in [
        ("file", "k8s-file", "20kB", 5),
        ("flag", "k8s-file", "0B", 5),
        ("none", "none", "0B", 1),
    ] {
        let log = &env.inspect(name)?["HostConfig"]["LogConfig"];
        ensure!(
            log["Type"] == kind && log["Size"] == size && log["MaxFiles"] == files,
            "{log}"
        );
        env.remove(name)?;
    }
    Ok(())
}
