//! Signals to a foreground run reach the container.

use anyhow::{Result, ensure};
use rustix::process::Signal;

use crate::harness::case::cases;
use crate::harness::env::Env;

cases! {
    Core signals_reach_the_container,
    Full one_signal_is_one_signal,
    Full a_killed_client_leaves_the_container_running,
}

fn signals_reach_the_container(env: &Env) -> Result<()> {
    for (name, signal) in [
        ("TERM", Signal::TERM),
        ("INT", Signal::INT),
        ("HUP", Signal::HUP),
        ("QUIT", Signal::QUIT),
        ("USR1", Signal::USR1),
    ] {
        let script =
            format!("trap 'echo got; exit 9' {name}; echo ready; while :; do sleep 0.02; done");
        let running = env.start_run(&[], &["sh", "-c", &script])?;
        running.wait_for_stdout("ready")?;
        running.signal(signal)?;
        running.finish()?.prints_with(9, "ready\ngot\n")?;
    }
    Ok(())
}

fn one_signal_is_one_signal(env: &Env) -> Result<()> {
    let script =
        "trap 'echo got' USR1; trap 'exit 3' USR2; echo ready; while :; do sleep 0.02; done";
    let running = env.start_run(&[], &["sh", "-c", script])?;
    running.wait_for_stdout("ready")?;
    for times in 1..=3 {
        running.signal(Signal::USR1)?;
        running.wait_for_stdout(&format!("ready\n{}", "got\n".repeat(times)))?;
    }
    running.signal(Signal::USR2)?;
    running.finish()?.prints_with(3, "ready\ngot\ngot\ngot\n")
}

/// The container outlives its client: output goes on into the log, and others see the end.
fn a_killed_client_leaves_the_container_running(env: &Env) -> Result<()> {
    let rootfs = env.rootfs();
    let script = "trap 'echo end; exit 5' USR1; echo ready; while :; do sleep 0.02; done";
    let running = env
        .call(&[
            "run", "--name", "alone", "--rootfs", &rootfs, "sh", "-c", script,
        ])
        .spawn()?;
    running.wait_for_stdout("ready")?;
    running.signal(Signal::KILL)?;
    let client = running.finish()?;
    ensure!(client.code == 137, "{client}");
    ensure!(env.status("alone")? == "running");
    env.ctr(&["kill", "-s", "USR1", "alone"])?
        .prints("alone\n")?;
    env.ctr(&["wait", "alone"])?.prints("5\n")?;
    env.ctr(&["logs", "alone"])?.prints("ready\nend\n")?;
    env.ctr(&["rm", "alone"])?.prints("alone\n")
}
