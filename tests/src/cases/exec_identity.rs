//! Who a command of `exec` is: user, rights, variables. Nobody gets more by `exec` than by `run`, but for what was asked for.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::hosted::container;
use crate::harness::output::Output;
use crate::harness::tree::write;

cases! {
    Core users_as_in_run,
    Core capabilities,
    Core variables,
    Full variables_by_flags,
    Full files_of_variables,
    Full variables_of_a_session,
}

/// `/proc/self/status`, by key; words are joined by single blanks.
type Status = BTreeMap<String, String>;

const STATUS: [&str; 2] = ["cat", "/proc/self/status"];

fn status_of(output: &Output) -> Result<Status> {
    let lines = output.ok()?;
    let pairs = lines.lines().filter_map(|line| line.split_once(':'));
    let joined = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(pairs
        .map(|(key, value)| (key.to_owned(), joined(value)))
        .collect())
}

/// Those of a command that was executed with these flags.
fn status(env: &Env, flags: &[&str]) -> Result<Status> {
    let words = [&["exec"], flags, &["c"], &STATUS].concat();
    status_of(&env.ctr(&words)?)
}

/// Each of these lines is the same in both.
fn same(one: &Status, other: &Status, keys: &[&str]) -> Result<()> {
    for key in keys {
        let (one, other) = (one.get(*key), other.get(*key));
        ensure!(
            one.is_some() && one == other,
            "{key}: {one:?} and {other:?}"
        );
    }
    Ok(())
}

/// Users by name and number, good and bad.
const USERS: [&str; 29] = [
    "1",
    "1:1",
    "root",
    "0:0",
    "alice",
    "alice:",
    "alice:5",
    "alice:audio",
    "alice:nosuch",
    "nosuch",
    "nosuch:1",
    "1000:2000",
    "1234",
    "65534",
    "+5",
    "-1",
    "01000",
    "0x1",
    "1000 ",
    "4294967294",
    "4294967295",
    "4294967296",
    "",
    ":",
    ":0",
    ":5",
    ":audio",
    "1:-1",
    "a:b:c",
];

fn as_in_run(run: &Output, exec: &Output) -> Result<()> {
    if run.code != 0 {
        run.refused(125, &[])?;
        exec.refused(125, &[])?;
        // The words of a runtime are its own.
        let same = exec.stderr == run.stderr || run.err().contains("OCI runtime");
        ensure!(same, "{exec} and {run}");
        return Ok(());
    }
    let (run, exec) = (status_of(run)?, status_of(exec)?);
    same(&run, &exec, &["Uid", "Gid", "Groups"])?;
    same(&run, &exec, &["CapPrm", "CapEff", "CapBnd", "NoNewPrivs"])?;
    let primary = exec["Gid"].split(' ').next();
    let mut groups = exec["Groups"].split(' ');
    ensure!(groups.any(|group| Some(group) == primary), "{exec:?}");
    Ok(())
}

/// The same words mean the same user, or the same refusal.
fn users_as_in_run(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    for user in USERS {
        let flag = format!("--user={user}");
        let run = env.run(&[&flag], &STATUS)?;
        let exec = env.ctr(&[&["exec", "--stdio=stream", &flag, "c"], &STATUS[..]].concat())?;
        as_in_run(&run, &exec).with_context(|| format!("user {user:?}"))?;
    }
    env.check_no_sessions("c")?;
    env.remove("c")?;
    // Whoever the container's own program is is who commands are, unless it is said otherwise.
    container(env, "c", &["-u", "alice:77"])?;
    let alice = status(env, &[])?;
    ensure!(
        alice["Uid"].starts_with("1234 ") && alice["Groups"] == "77",
        "{alice:?}"
    );
    ensure!(status(env, &["-u", "0"])?["Uid"] == "0 0 0 0");
    env.remove("c")
}

fn set(status: &Status, key: &str) -> Result<u64> {
    let text = status.get(key).with_context(|| format!("no {key}"))?;
    u64::from_str_radix(text, 16).with_context(|| format!("{key} is {text}"))
}

const NET_ADMIN: u64 = 1 << 12;
const CAPABILITIES: [&str; 5] = ["CapInh", "CapAmb", "CapPrm", "CapEff", "CapBnd"];

/// Root's capabilities are the usual ones and those that were asked for, and another user has none, whatever was asked for.
fn check_capabilities(env: &Env, run: &Status, flags: &[&str]) -> Result<()> {
    let usual = set(run, "CapEff")?;
    let root = status(env, flags)?;
    let found = set(&root, "CapEff")?;
    if flags.contains(&"--privileged") || flags.contains(&"ALL") {
        let more = found & usual == usual && found & NET_ADMIN != 0 && found > usual;
        ensure!(more, "{root:?}");
    } else {
        let added = if flags.is_empty() { 0 } else { NET_ADMIN };
        ensure!(found == usual | added, "{found:x} beside {usual:x}");
    }
    let other = status(env, &[&["-u", "1000"], flags].concat())?;
    for (who, empty) in [(&root, &CAPABILITIES[..2]), (&other, &CAPABILITIES[..4])] {
        for key in empty {
            ensure!(set(who, key)? == 0, "{key} of {who:?}");
        }
        same(run, who, &["NoNewPrivs"])?;
    }
    Ok(())
}

fn capabilities(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let run = status_of(&env.run(&[], &STATUS)?)?;
    for flags in [
        &[][..],
        &["-t"],
        &["--privileged"],
        &["--cap-add", "NET_ADMIN"],
        &["--cap-add=cap_net_admin"],
        &["--cap-add=NET_ADMIN,CHOWN"],
        &["--cap-add", "ALL"],
    ] {
        if flags == ["-t"] {
            same(&run, &status(env, flags)?, &CAPABILITIES)?;
            continue;
        }
        check_capabilities(env, &run, flags).with_context(|| format!("{flags:?}"))?;
        // What one command was given, the next one has not.
        let next = status(env, &[])?;
        same(&run, &next, &CAPABILITIES)?;
        same(&run, &next, &["NoNewPrivs", "Seccomp"])?;
    }
    env.check_no_sessions("c")?;
    env.remove("c")
}

/// The variables of a command, sorted. A terminal ends its lines in its own way.
fn variables_of(output: &Output) -> Result<Vec<String>> {
    let mut lines: Vec<String> = output.ok()?.lines().map(str::to_owned).collect();
    lines.sort();
    Ok(lines)
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a command has without any flags, sorted.
const USUAL: [&str; 6] = [
    "BOTH=container",
    "HOME=/root",
    "HOSTNAME=box",
    "OWN=a=b c",
    PATH,
    "container=ctr",
];

/// A container with a name and two variables of its own.
fn box_with_variables(env: &Env) -> Result<()> {
    let own = ["-e", "OWN=a=b c", "-e", "BOTH=container"];
    container(env, "c", &[&["--hostname", "box"], &own[..]].concat())
}

/// The variables of a command whose caller has two.
fn variables_with(env: &Env, flags: &[&str]) -> Result<Vec<String>> {
    let call = env.call(&[&["exec"], flags, &["c", "env"]].concat());
    let call = call.env("SECRET", "of the caller").env("PASSED", "on");
    variables_of(&env.finish(call)?)
}

fn variables(env: &Env) -> Result<()> {
    box_with_variables(env)?;
    let found = variables_with(env, &[])?;
    ensure!(found == USUAL, "{found:?}");
    let found = variables_with(env, &["-t"])?;
    let mut terminal = USUAL.to_vec();
    terminal.insert(5, "TERM=xterm");
    ensure!(found == terminal, "{found:?}");
    env.check_no_sessions("c")?;
    env.remove("c")
}

fn variables_by_flags(env: &Env) -> Result<()> {
    box_with_variables(env)?;
    for (flags, expected, gone) in [
        (&["-e", "BOTH=flag"][..], "BOTH=flag", "BOTH=container"),
        (&["-e", "BOTH="], "BOTH=", "BOTH=container"),
        (&["-e", "BOTH=1", "-e", "BOTH=2"], "BOTH=2", "BOTH=1"),
        (&["-e", "PASSED"], "PASSED=on", "SECRET=of the caller"),
        (&["-e", "NOWHERE"], USUAL[0], "NOWHERE="),
        (&["-u", "alice"], "HOME=/home/alice", "HOME=/root"),
        (&["-u", "4321"], "HOME=/", "HOME=/root"),
        (
            &["-u", "alice", "-e", "HOME=/x"],
            "HOME=/x",
            "HOME=/home/alice",
        ),
        (&["-e", "PATH=/bin"], "PATH=/bin", PATH),
        (&["-e", "HOSTNAME=mine"], "HOSTNAME=mine", "HOSTNAME=box"),
        (&["-t", "-e", "TERM=vt100"], "TERM=vt100", "TERM=xterm"),
    ] {
        let found = variables_with(env, flags)?;
        let has = |wanted: &str| found.iter().any(|line| line == wanted);
        ensure!(has(expected) && !has(gone), "{flags:?}: {found:?}");
    }
    env.check_no_sessions("c")?;
    env.remove("c")
}

/// Flags win over files, later files over earlier ones, and all of them over the container's own.
fn files_of_variables(env: &Env) -> Result<()> {
    container(env, "c", &["-e", "A=container", "-e", "B=container"])?;
    write(
        &env.path("one"),
        "# a comment\n\nA=one\nB=one\nC=one\nPASSED\n",
    )?;
    write(&env.path("two"), "B=two\nC=two\nD= with blanks \n")?;
    let (one, two) = (env.name("one"), env.name("two"));
    let words = [
        "exec",
        "--env-file",
        &one,
        "-e",
        "C=flag",
        "--env-file",
        &two,
        "c",
        "env",
    ];
    let call = env.call(&words).env("PASSED", "on").env("SECRET", "not");
    let found = variables_of(&env.finish(call)?)?;
    for expected in ["A=one", "B=two", "C=flag", "PASSED=on"] {
        ensure!(
            found.iter().any(|line| line == expected),
            "no {expected}: {found:?}"
        );
    }
    ensure!(
        found.iter().any(|line| line.starts_with("D= with blanks")),
        "{found:?}"
    );
    ensure!(
        !found.iter().any(|line| line.contains("SECRET")),
        "{found:?}"
    );
    env.remove("c")
}

/// Those of a session are what they were when it was made.
fn variables_of_a_session(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    write(&env.path("one"), "A=one\nPASSED\n")?;
    let one = env.name("one");
    let create = ["container", "exec-create", "--env-file", &one, "c", "env"];
    let call = env.call(&create).env("PASSED", "then");
    let id = env.finish(call)?.id()?;
    let call = env
        .call(&["container", "exec-start", &id])
        .env("PASSED", "now");
    let found = variables_of(&env.finish(call)?)?;
    ensure!(found.iter().any(|line| line == "PASSED=then"), "{found:?}");
    env.remove("c")
}
