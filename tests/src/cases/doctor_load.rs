//! `doctor` while commands go on: what lies between two of their steps is no finding.

use std::thread;

use anyhow::{Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;

cases! {
    Full no_false_alarm_while_containers_come_and_go,
}

/// One worker's share: containers that are run, stopped, executed in and removed.
fn work(env: &Env, name: &str, rounds: u32) -> Result<()> {
    for _ in 0..rounds {
        env.detached(name, &[], "echo ready; sleep 100000")?;
        env.ctr(&["exec", name, "true"])?.prints("")?;
        env.ctr(&["exec", "-d", name, "sleep", "100000"])?.id()?;
        env.ctr(&["pause", name])?.prints(&format!("{name}\n"))?;
        env.ctr(&["unpause", name])?.prints(&format!("{name}\n"))?;
        env.ctr(&["stop", name])?.prints(&format!("{name}\n"))?;
        env.ctr(&["start", name])?.prints(&format!("{name}\n"))?;
        env.remove(name)?;
        env.run(&[], &["true"])?.prints("")?;
        let id = env.detached(name, &[], "true")?;
        env.wait_for_cleanup(name)?;
        Env::wait_for_cleaners(&id)?;
        env.remove(name)?;
    }
    Ok(())
}

fn no_false_alarm_while_containers_come_and_go(env: &Env) -> Result<()> {
    let rounds = env.scale.pick(6, 60);
    thread::scope(|scope| {
        let workers: Vec<_> = ["one", "two", "three"]
            .iter()
            .map(|name| scope.spawn(move || work(env, name, rounds)))
            .collect();
        let mut examined = 0_u32;
        while workers.iter().any(|worker| !worker.is_finished()) {
            env.check_found(&[])?;
            examined += 1;
        }
        for worker in workers {
            worker.join().expect("no worker panics")?;
        }
        ensure!(examined > 3, "the work was over at once");
        Ok(())
    })
}
