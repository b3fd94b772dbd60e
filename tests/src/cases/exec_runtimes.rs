//! Runtimes that misbehave when they are asked for a process: one clear error, and nothing is left of what they may have made.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::exec_places::groups_of;
use super::exec_sessions::verb;
use crate::harness::base::find;
use crate::harness::case::{Runtime, cases};
use crate::harness::env::Env;
use crate::harness::hosted::{WAYS, session, words};
use crate::harness::output::Output;
use crate::harness::program::Call;
use crate::harness::tree::{write, write_program};
use crate::harness::wait::until;

cases! {
    Core no_process_is_made,
    Core a_process_is_made_all_the_same,
    Full a_process_of_somebody_else_is_named,
    Full a_runtime_that_never_answers,
    Full a_runtime_that_is_killed,
    Full a_runtime_that_is_gone,
}

/// A runtime that does what a file says when it is asked to execute something, and is an ordinary one otherwise.
struct Wrapped {
    program: String,
    order: std::path::PathBuf,
}

impl Wrapped {
    fn make(env: &Env) -> Result<Wrapped> {
        let real = match env.runtime {
            Runtime::Crun => find("crun")?,
            Runtime::Builtin | Runtime::Runc => find("runc")?,
        };
        let (program, order) = (env.path("wrapped"), env.path("order"));
        // Descriptor 9 marks whatever it starts as one of the case.
        let text = format!(
            "#!/bin/sh\nreal={}\npid_file() {{ while test \"$1\" != --pid-file; do shift; done; echo \"$2\"; }}\nfor word; do\n  case $word in\n    exec) exec 9<\"$0\"; test -e {order} && . {order}; break;;\n  esac\ndone\nexec \"$real\" \"$@\" 9<&-\n",
            real.display(),
            order = order.display(),
        );
        write_program(&program, &text)?;
        let program = program.to_string_lossy().into_owned();
        Ok(Wrapped { program, order })
    }

    /// Starts a container of this runtime whose commands are executed as they should be.
    fn container(env: &Env) -> Result<Wrapped> {
        let wrapped = Wrapped::make(env)?;
        env.detached("c", &["--runtime", &wrapped.program], "exec sleep 1000000")?;
        wrapped.is_well(env)?;
        Ok(wrapped)
    }

    fn misbehave(&self, script: &str) -> Result<()> {
        write(&self.order, script)
    }

    /// Behaves again, and commands are executed as if nothing had happened.
    fn is_well(&self, env: &Env) -> Result<()> {
        if self.order.exists() {
            fs::remove_file(&self.order).context("remove the order")?;
        }
        for way in WAYS {
            env.ctr(&words(&[way], "c", "echo well; exit 3"))?
                .prints_with(3, "well\n")?;
        }
        env.check_no_sessions("c")
    }
}

/// A command that would be seen if it lived.
const COMMAND: &str = "exec sleep 4242";

/// One error, after words of the runtime where it has the standard error of the command.
pub(super) fn fails(output: &Output, flags: &[&str]) -> Result<()> {
    let mut output = output.clone();
    let err = output.err();
    if flags.contains(&"--stdio=pass")
        && let Some(at) = err.find("Error: ")
    {
        output.stderr.drain(..at);
    }
    output.refused(125, &[])
}

/// However a command is executed, it fails with one error, nothing of it is left, and the next one is all right.
fn check(env: &Env, runtime: &Wrapped, order: &str) -> Result<()> {
    let story = env.story("c")?;
    for flags in [
        &["--stdio=stream"][..],
        &["--stdio=pass", "-i"],
        &["-t"],
        &["-d"],
    ] {
        runtime.misbehave(order)?;
        let failed = || -> Result<()> {
            fails(&env.ctr(&words(flags, "c", COMMAND))?, flags)?;
            env.check_no_sessions("c")
        };
        failed().with_context(|| format!("{flags:?}"))?;
        env.check_story("c", &story)?;
    }
    // One that was made before says why it could not be started, until it is removed.
    fs::remove_file(&runtime.order).context("remove the order")?;
    let id = session(env, &[], "c", COMMAND)?;
    runtime.misbehave(order)?;
    verb(env, "start", &["-d", &id])?.refused(125, &[])?;
    let value = env.inspect_session(&id)?;
    let is_failed = value["State"] == "failed" && value["Reason"].is_string();
    ensure!(is_failed && value["CanRemove"] == true, "{value}");
    for name in ["wait", "start", "kill"] {
        verb(env, name, &[&id])?.refused(125, &[&id[..12], "failed"])?;
    }
    verb(env, "rm", &[&id])?.prints(&format!("{id}\n"))?;
    env.check_no_sessions("c")?;
    runtime.is_well(env)
}

fn no_process_is_made(env: &Env) -> Result<()> {
    let runtime = Wrapped::container(env)?;
    for order in [
        "exit 0",
        "exit 1",
        "exit 255",
        "echo no luck today >&2; exit 1",
        "kill -9 $$",
        "echo garbage > \"$(pid_file \"$@\")\"; exit 0",
        ": > \"$(pid_file \"$@\")\"; exit 0",
        "echo 99999999 > \"$(pid_file \"$@\")\"; exit 0",
        "echo -1 > \"$(pid_file \"$@\")\"; exit 0",
        "echo 0 > \"$(pid_file \"$@\")\"; exit 0",
        "echo $$ > \"$(pid_file \"$@\")\"; exit 1",
        "head -c 1000000 /dev/zero >&2; exit 1",
        "head -c 3000000 /dev/zero > \"$(pid_file \"$@\")\"; exit 0",
    ] {
        check(env, &runtime, order).with_context(|| order.to_owned())?;
    }
    env.remove("c")
}

fn a_process_is_made_all_the_same(env: &Env) -> Result<()> {
    let runtime = Wrapped::container(env)?;
    for order in [
        "\"$real\" \"$@\" 9<&-; exit 1",
        "\"$real\" \"$@\" 9<&-; kill -9 $$",
        "\"$real\" \"$@\" 9<&-; rm \"$(pid_file \"$@\")\"; exit 0",
        "\"$real\" \"$@\" 9<&-; echo garbage > \"$(pid_file \"$@\")\"; exit 0",
        "\"$real\" \"$@\" 9<&-; rm \"$(pid_file \"$@\")\"; kill -9 $$",
    ] {
        check(env, &runtime, order).with_context(|| order.to_owned())?;
    }
    env.remove("c")
}

/// It is neither taken for one of the container's nor hurt.
fn a_process_of_somebody_else_is_named(env: &Env) -> Result<()> {
    let runtime = Wrapped::container(env)?;
    let other = Call::new("sleep").args(["1000"]).directory(&env.path(""));
    let other = other.spawn()?;
    let groups = groups_of(other.pid())?;
    for end in ["exit 0", "exit 1", "kill -9 $$"] {
        let order = format!("echo {} > \"$(pid_file \"$@\")\"; {end}", other.pid());
        check(env, &runtime, &order).with_context(|| order.clone())?;
        ensure!(!other.ends_within(Duration::ZERO)?, "{order}: it was hurt");
        ensure!(groups_of(other.pid())? == groups, "{order}: it was moved");
    }
    env.remove("c")?;
    ensure!(!other.ends_within(Duration::ZERO)?, "it was hurt");
    other.signal(Signal::KILL)?;
    other.finish()?;
    Ok(())
}

/// Nobody has to wait for it: neither a client that is killed, nor whoever ends the container.
fn a_runtime_that_never_answers(env: &Env) -> Result<()> {
    let order = "echo > \"$0.asked\"; exec sleep 1000000";
    for (flags, way) in [
        (
            &["--stdio=stream", "--on-disconnect=keep"][..],
            &["stop", "c"][..],
        ),
        (&["--stdio=stream", "--on-disconnect=kill"], &["kill", "c"]),
        (&["-t"], &["rm", "-f", "c"]),
    ] {
        let runtime = Wrapped::container(env)?;
        runtime.misbehave(order)?;
        let asked = env.path("wrapped.asked");
        let client = env.call(&words(flags, "c", COMMAND)).spawn()?;
        let patient = env.call(&words(flags, "c", COMMAND)).spawn()?;
        until("the runtime to be asked", || {
            Ok(asked.exists().then_some(()))
        })?;
        client.signal(Signal::KILL)?;
        ensure!(client.finish()?.code == 137);
        // Others are served meanwhile.
        ensure!(env.status("c")? == "running");
        ensure!(!env.listed_sessions("c")?.is_empty());
        env.ctr(way)?.ok()?;
        let output = patient.finish()?;
        ensure!(output.code == 125, "{way:?}: {output}");
        output.one_error(&[]).with_context(|| format!("{way:?}"))?;
        fs::remove_file(&asked).context("remove a word")?;
        env.ctr(&["rm", "-fi", "c"])?;
        env.check_leaks_after(&format!("{way:?}"))?;
    }
    Ok(())
}

/// By somebody else, while it works: as good as one that fails.
fn a_runtime_that_is_killed(env: &Env) -> Result<()> {
    let runtime = Wrapped::container(env)?;
    for flags in [&["--stdio=stream"][..], &["--stdio=pass"], &["-t"], &["-d"]] {
        runtime.misbehave(
            "echo $$ > \"$0.draft\"; mv \"$0.draft\" \"$0.asked\"; exec sleep 1000000",
        )?;
        let asked = env.path("wrapped.asked");
        let client = env.call(&words(flags, "c", COMMAND)).spawn()?;
        until("the runtime to be asked", || {
            Ok(asked.exists().then_some(()))
        })?;
        let pid = fs::read_to_string(&asked).context("read a pid")?;
        let process = crate::harness::process::Process::open(pid.trim().parse()?)?;
        process
            .context("the runtime is there")?
            .signal(Signal::KILL)?;
        client.finish()?.refused(125, &[])?;
        env.check_no_sessions("c")?;
        fs::remove_file(&asked).context("remove a word")?;
        runtime.is_well(env)?;
    }
    env.remove("c")
}

fn a_runtime_that_is_gone(env: &Env) -> Result<()> {
    let runtime = Wrapped::container(env)?;
    let kept = env.path("kept");
    fs::rename(&runtime.program, &kept).context("take the runtime away")?;
    for flags in [&[][..], &["-d"], &["-t"]] {
        env.ctr(&words(flags, "c", COMMAND))?
            .refused(125, &["wrapped"])?;
    }
    env.check_no_sessions("c")?;
    fs::rename(&kept, &runtime.program).context("bring the runtime back")?;
    runtime.is_well(env)?;
    env.remove("c")
}
