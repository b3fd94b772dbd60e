//! `exec`: exit codes of commands, and what is refused before there is one.

use anyhow::{Context, Result, ensure};

use crate::harness::case::{Runtime, cases};
use crate::harness::env::{Env, refs};
use crate::harness::hosted::{WAYS, container, ended, running, words};
use crate::harness::parallel;
use crate::harness::tree::write;

cases! {
    Core every_exit_code,
    Full every_exit_code_of_the_own_program,
    Core every_deadly_signal,
    Core what_cannot_be_executed,
    Full what_cannot_be_executed_is_said_once,
    Full what_the_kernel_cannot_execute,
    Core containers_that_do_not_run,
    Full what_does_not_exist,
    Full wrong_options,
    Full wrong_sessions,
    Full the_latest_container,
}

/// So many commands run at a time where the case is about each of them alone.
const AT_ONCE: usize = 4;

/// All exit codes, or those where something begins or ends.
fn codes(env: &Env) -> Vec<i32> {
    let some = [
        0, 1, 2, 77, 124, 125, 126, 127, 128, 129, 137, 143, 192, 254, 255,
    ];
    env.scale.pick(some.to_vec(), (0..=255).collect())
}

/// Signals that end a process which has no other plans; those that are left out stop it, or do nothing. The C library keeps 32 and 33 for
/// itself.
fn deadly_signals(env: &Env) -> Vec<i32> {
    const OTHERS: [i32; 10] = [17, 18, 19, 20, 21, 22, 23, 28, 32, 33];
    let all = (1..=64).filter(|signal| !OTHERS.contains(signal)).collect();
    env.scale.pick(vec![1, 2, 3, 6, 9, 10, 11, 15, 34, 64], all)
}

fn every_exit_code(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let check = |code: &i32| {
        let script = format!("exit {code}");
        env.ctr(&words(&[], "c", &script))?.prints_with(*code, "")?;
        let id = running(env, &[], "c", &script)?;
        ended(env, &id, *code)?;
        // What a session has ended with stays the answer.
        ended(env, &id, *code)?;
        env.ctr(&["container", "exec-rm", &id])?
            .prints(&format!("{id}\n"))?;
        env.check_session_events("c", &id, i64::from(*code))
    };
    parallel::each(AT_ONCE, &codes(env), check)?;
    env.check_no_sessions("c")?;
    env.remove("c")
}

fn every_exit_code_of_the_own_program(env: &Env) -> Result<()> {
    let check = |code: &i32| {
        let (script, name) = (format!("exit {code}"), format!("c{code}"));
        env.run(&[], &["sh", "-c", &script])?
            .prints_with(*code, "")?;
        env.create(&name, &[], &["sh", "-c", &script])?;
        env.ctr(&["start", "-a", &name])?.prints_with(*code, "")?;
        env.ctr(&["wait", &name])?.prints(&format!("{code}\n"))?;
        env.ctr(&["rm", &name])?.prints(&format!("{name}\n"))
    };
    parallel::each(AT_ONCE, &codes(env), check)
}

/// A shell that kills itself, and a command that somebody else kills, with a client and without one.
fn every_deadly_signal(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let check = |signal: &i32| {
        let (number, code) = (signal.to_string(), 128 + signal);
        // The shell of the root directory ignores SIGQUIT.
        if *signal != 3 {
            let script = format!("kill -{number} $$; exit 1");
            env.ctr(&words(&[], "c", &script))?.prints_with(code, "")?;
        }
        let create = ["container", "exec-create", "c", "sleep", "1000"];
        let id = env.ctr(&create)?.id()?;
        env.ctr(&["container", "exec-start", "-d", &id])?.ok()?;
        let kill = ["container", "exec-kill", "--process", "-s", &number, &id];
        env.ctr(&kill)?.prints(&format!("{id}\n"))?;
        ended(env, &id, code)?;
        env.check_session_code(&id, code)?;
        env.ctr(&["container", "exec-rm", &id])?.ok().map(drop)
    };
    parallel::each(AT_ONCE, &deadly_signals(env), check)?;
    env.check_no_sessions("c")?;
    env.remove("c")
}

fn what_cannot_be_executed(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let prepare = "echo > /tmp/plain; echo > /tmp/mine; chmod 700 /tmp/mine";
    env.ctr(&words(&[], "c", prepare))?.ok()?;
    let story = env.story("c")?;
    for (code, flags, program) in [
        (127, &[][..], "nosuch"),
        (127, &[], "/nosuch"),
        (127, &["-e", "PATH=/nowhere"], "true"),
        (126, &[], "/tmp/plain"),
        (126, &[], "/etc"),
        (126, &["-u", "alice"], "/tmp/mine"),
    ] {
        // One of the shortcomings: crun looks as root, and the kernel refuses later.
        if env.runtime == Runtime::Crun && flags.contains(&"alice") {
            continue;
        }
        for mode in [&["--stdio=stream"][..], &["-d"], &["--stdio=stream", "-i"]] {
            let all = [&["exec"], mode, flags, &["c", program]].concat();
            env.ctr(&all)?
                .refused(code, &[program])
                .with_context(|| format!("{all:?}"))?;
        }
    }
    env.ctr(&["exec", "c", ""])?.refused(125, &["program"])?;
    env.check_no_sessions("c")?;
    env.check_story("c", &story)?;
    env.remove("c")
}

/// The runtime has the standard error of the command: it must not use it for words of its own.
fn what_cannot_be_executed_is_said_once(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    env.ctr(&words(&[], "c", "echo > /tmp/plain"))?.ok()?;
    for way in WAYS {
        for (code, program) in [(127, "/nosuch"), (126, "/tmp/plain"), (126, "/etc")] {
            env.ctr(&["exec", way, "c", program])?
                .refused(code, &[program])?;
        }
    }
    env.remove("c")
}

/// Only the kernel finds this out: there is a process by then, whose own words and code are passed on.
fn what_the_kernel_cannot_execute(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let prepare = "printf '#!/nowhere/sh\\n' > /tmp/lost; printf 'no program' > /tmp/text; chmod 755 /tmp/lost /tmp/text";
    env.ctr(&words(&[], "c", prepare))?.ok()?;
    for (program, codes) in [("/tmp/text", [126, 126]), ("/tmp/lost", [126, 127])] {
        // One of the shortcomings: other runtimes have a single code for whatever goes wrong that late.
        let codes = match env.runtime {
            Runtime::Builtin => codes,
            Runtime::Runc | Runtime::Crun => [1, 1],
        };
        for mode in [&[][..], &["-i"]] {
            let output = env.ctr(&[&["exec"], mode, &["c", program]].concat())?;
            ensure!(
                codes.contains(&output.code)
                    && output.out().is_empty()
                    && (env.runtime != Runtime::Builtin || output.err().contains(program))
                    && output.err().lines().count() == 1,
                "{output}"
            );
        }
    }
    env.check_no_sessions("c")?;
    env.remove("c")
}

/// Says which state it is in, with all commands that would need a container that runs.
fn refused_in(env: &Env, name: &str, state: &str) -> Result<()> {
    for words in [
        &["exec", name, "true"][..],
        &["exec", "-d", name, "true"],
        &["exec", "-it", name, "true"],
        &["container", "exec-create", name, "true"],
    ] {
        env.ctr(words)?
            .refused(125, &[name, state])
            .with_context(|| format!("{words:?}"))?;
    }
    let sessions = env.listed_sessions(name)?;
    ensure!(sessions.is_empty(), "{state}: {sessions:?}");
    Ok(())
}

fn containers_that_do_not_run(env: &Env) -> Result<()> {
    env.create("c", &["--stop-timeout", "0"], &["sleep", "1000"])?;
    refused_in(env, "c", "created")?;
    env.ctr(&["init", "c"])?.prints("c\n")?;
    refused_in(env, "c", "initialized")?;
    env.ctr(&["start", "c"])?.prints("c\n")?;
    env.ctr(&["exec", "c", "true"])?.prints("")?;
    env.ctr(&["pause", "c"])?.prints("c\n")?;
    refused_in(env, "c", "paused")?;
    env.ctr(&["unpause", "c"])?.prints("c\n")?;
    env.ctr(&["exec", "c", "true"])?.prints("")?;
    env.ctr(&["stop", "c"])?.prints("c\n")?;
    refused_in(env, "c", "exited")?;
    let events = env.session_events("c")?;
    ensure!(events.len() == 4, "{events:?}");
    env.remove("c")
}

fn what_does_not_exist(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    for (words, expected) in [
        (&["exec"][..], "container is missing"),
        (&["exec", "c"], "command"),
        (&["exec", "-l"], "command"),
        (&["exec", "nosuch", "true"], "no such container: nosuch"),
        (&["exec", "", "true"], "no such container"),
        (&["container", "exec-create"], "container is missing"),
        (&["container", "exec-create", "c"], "command"),
        (
            &["container", "exec-create", "no", "true"],
            "no such container",
        ),
        (&["container", "exec-ls", "no"], "no such container"),
        (&["exec", "--no-such-flag", "c", "true"], "--no-such-flag"),
    ] {
        env.ctr(words)?
            .refused(125, &[expected])
            .with_context(|| format!("{words:?}"))?;
    }
    env.check_no_sessions("c")?;
    env.remove("c")
}

/// An option that cannot be meant is named, by `exec` as by the commands for sessions.
fn wrong_options(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    write(&env.path("bad"), "GOOD=1\n=x\n")?;
    let bad = env.name("bad");
    let story = env.story("c")?;
    for (flag, values) in [
        ("--timeout", &["-1", "x", "", "1.5", "99999999999"][..]),
        ("--stdio", &["", "copy"]),
        ("--wait-io", &["", "never"]),
        ("--on-disconnect", &["", "stop", "HUP"]),
        ("--preserve-fds", &["-1", "x", "98", "40"]),
        ("--preserve-fd", &["0", "2", "x", "77", "1000"]),
        ("--cap-add", &["NOSUCH", "", "CHOWN,NOSUCH"]),
        ("--user", &["+5", "01000", "nosuch", "nosuch:5", "a:b:c"]),
        (
            "--workdir",
            &["tmp", "", "/nosuch", "/etc/passwd", "/tmp/../tmp"],
        ),
        ("--env", &["=x", ""]),
        ("--env-file", &["/nosuch", "/", &bad]),
        ("--detach-keys", &["ctrl-", "nosuch"]),
    ] {
        for value in values {
            let joined = format!("{flag}={value}");
            let word = match flag {
                "--workdir" => "dir",
                "--env-file" => "env",
                _ => &flag[2..],
            };
            for mode in [&[][..], &["-d"]] {
                env.ctr(&[&["exec"], mode, &[&joined, "c", "true"]].concat())?
                    .refused(125, &[word])
                    .with_context(|| format!("{mode:?} {joined}"))?;
            }
        }
    }
    env.check_no_sessions("c")?;
    env.check_story("c", &story)?;
    env.remove("c")
}

const WRONG_AT_START: [(&str, &str); 5] = [
    ("--timeout", "x"),
    ("--stdio", "copy"),
    ("--preserve-fd", "77"),
    ("--wait-io", ""),
    ("--on-disconnect", "x"),
];

/// Words that stand for no session, or for too many, and options that do not fit.
fn wrong_sessions(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let create = ["container", "exec-create", "c", "true"];
    let ids = [env.ctr(&create)?.id()?, env.ctr(&create)?.id()?];
    let all = refs(&ids);
    for verb in ["start", "inspect", "kill", "wait", "rm", "resize"] {
        let verb = format!("exec-{verb}");
        let mut words = vec!["container", &verb];
        if verb == "exec-resize" {
            words.extend(["--height", "1", "--width", "1"]);
        }
        let call = |more: &[&str]| env.ctr(&[&words, more].concat());
        call(&[])?.refused(125, &["session", "missing"])?;
        for none in ["nosuch", "", "g"] {
            let output = call(&[none])?;
            ensure!(output.code == 125, "{output}");
            output.one_error(&["no exec session"])?;
        }
        if matches!(&*verb, "exec-start" | "exec-resize") {
            call(&all)?.refused(125, &["one session"])?;
        }
    }
    for (flag, value) in WRONG_AT_START {
        let option = format!("{flag}={value}");
        env.ctr(&["container", "exec-start", &option, all[0]])?
            .refused(125, &[flag])?;
    }
    env.ctr(&["container", "exec-kill", "-s", "NOSUCH", all[0]])?
        .refused(125, &["signal"])?;
    // All that is still possible is what was possible before.
    for id in &ids {
        ensure!(env.inspect_session(id)?["State"] == "created");
        env.ctr(&["container", "exec-rm", id])?.ok()?;
    }
    env.check_no_sessions("c")?;
    env.remove("c")
}

fn the_latest_container(env: &Env) -> Result<()> {
    env.ctr(&["exec", "-l", "true"])?
        .refused(125, &["container"])?;
    container(env, "old", &["--hostname", "old"])?;
    container(env, "new", &["--hostname", "new"])?;
    env.ctr(&["exec", "-l", "hostname"])?.prints("new\n")?;
    // The first word is no container then, whatever it is.
    env.ctr(&["exec", "--latest", "old"])?
        .refused(127, &["old"])?;
    let create = ["container", "exec-create", "-l", "hostname"];
    let id = env.ctr(&create)?.id()?;
    env.ctr(&["container", "exec-start", &id])?
        .prints("new\n")?;
    env.remove("new")?;
    env.ctr(&["exec", "-l", "hostname"])?.prints("old\n")?;
    env.remove("old")
}
