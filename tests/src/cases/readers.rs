//! Readers never wait: `ps`, `inspect`, `logs` and `events` answer while a writer is stopped in the middle of its work.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::process::Process;
use crate::harness::tree::write_program;
use crate::harness::wait;

cases! {
    Full readers_answer_beside_a_stopped_writer,
    Full readers_answer_beside_a_stopped_monitor,
}

/// A runtime whose `create` says that it was called and then takes forever.
fn slow_runtime(env: &Env) -> Result<(PathBuf, PathBuf)> {
    let (program, called) = (env.path("slow-runtime"), env.path("called"));
    let text = format!(
        "#!/bin/sh\n\
         for word; do\n\
         case $word in\n\
         create) : > {}; exec sleep 100000;;\n\
         state) echo 'no such container' >&2; exit 1;;\n\
         start|kill|delete) exit 0;;\n\
         esac\n\
         done\n\
         exit 0\n",
        called.display()
    );
    write_program(&program, &text)?;
    Ok((program, called))
}

fn readers_answer_beside_a_stopped_writer(env: &Env) -> Result<()> {
    let (program, called) = slow_runtime(env)?;
    let program = program.to_string_lossy().into_owned();
    let id = env.create("held", &["--runtime", &program], &["true"])?;
    let starting = env.call(&["start", "held"]).spawn()?;
    wait::until("the runtime to be called", || {
        Ok(called.exists().then_some(()))
    })?;
    starting.signal(Signal::STOP)?;

    let list = env.ctr(&["ps", "-a"])?.ok()?;
    ensure!(list.contains(&id[..12]), "{list}");
    ensure!(env.inspect("held")?["Id"] == id.as_str());
    env.ctr(&["logs", "held"])?.prints("")?;
    env.ctr(&["container", "exists", "held"])?.prints("")?;
    env.ctr(&["info"])?.ok()?;
    let events = env.ctr(&["events", "--no-stream"])?.ok()?;
    ensure!(events.contains(" create "), "{events}");
    // Others are not held up.
    env.run(&[], &["echo", "free"])?.prints("free\n")?;

    // Killed where it stands, it holds nothing any more.
    starting.signal(Signal::KILL)?;
    let output = starting.finish()?;
    ensure!(output.code == 137, "{output}");
    env.remove("held")
}

fn readers_answer_beside_a_stopped_monitor(env: &Env) -> Result<()> {
    let id = env.detached("still", &[], "echo ready; sleep 1000")?;
    env.wait_for_log("still", "ready")?;
    let pid = env.state_number("still", "ConmonPid")?;
    let monitor = Process::open(pid)?.context("the monitor is there")?;
    monitor.signal(Signal::STOP)?;
    let list = env.ctr(&["ps"])?.ok()?;
    ensure!(list.contains(&id[..12]) && list.contains("Up "), "{list}");
    ensure!(env.status("still")? == "running");
    env.ctr(&["logs", "still"])?.prints("ready\n")?;
    monitor.signal(Signal::CONT)?;
    env.remove("still")
}
