//! Exec sessions of a container that ends: they end with it, and their codes are told.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::exec_sessions::{FAMILY, all_end, verb, whole_family};
use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::hosted::{WAYS, container, ended, running, session, words};
use crate::harness::process::descriptors;
use crate::harness::program::Running;
use crate::harness::wait::until;

cases! {
    Core a_stop_ends_all,
    Full waiters_are_told,
    Full waiters_are_told_of_what_is_forgotten,
    Full those_of_a_container_go_with_it,
}

/// Ways in which a run ends.
const ENDINGS: [&[&str]; 3] = [&["stop", "c"], &["kill", "c"], &["restart", "-t", "0", "c"]];

/// A client is told the code of its command however its streams get to it.
fn a_stop_ends_all(env: &Env) -> Result<()> {
    const READY: &str = "echo ready; exec sleep 1000";
    for way in ENDINGS {
        container(env, "c", &[])?;
        let mut clients = Vec::new();
        for stdio in WAYS {
            let client = env.call(&words(&[stdio], "c", READY)).spawn()?;
            client.wait_for_stdout("ready")?;
            clients.push(client);
        }
        let id = running(env, &[], "c", FAMILY)?;
        let made = session(env, &[], "c", "true")?;
        let all = whole_family(env, 5)?;
        env.ctr(way)?.ok()?;
        for client in clients {
            let output = client.finish()?;
            output
                .prints_with(137, "ready\n")
                .with_context(|| format!("{way:?}"))?;
        }
        all_end(&all)?;
        // What the monitor has begun may be done by now, or not.
        env.ctr(&["container", "cleanup", "c"])?.ok()?;
        env.check_session_events("c", &id, 137)?;
        let events = env.session_events("c")?;
        ensure!(
            events.len() == 6 && events.iter().all(|(_, id, _)| *id != made),
            "{events:?}"
        );
        ensure!(env.listed_sessions("c")?.is_empty(), "{way:?}");
        env.remove("c")?;
    }
    Ok(())
}

/// Waits until a waiter has looked at its session and watches it.
fn waits(waiter: &Running) -> Result<()> {
    until("a waiter to wait", || {
        let open = descriptors(waiter.pid());
        let watches = |(_, target): &(i32, PathBuf)| target.ends_with("anon_inode:inotify");
        Ok(open.iter().any(watches).then_some(()))
    })
}

/// Whoever waits for a session when its container ends gets the code, although nothing of the session is left.
fn waiters_are_told(env: &Env) -> Result<()> {
    for way in ENDINGS.iter().chain(&[&["rm", "-f", "c"][..]]) {
        container(env, "c", &[])?;
        let made = running(env, &[], "c", FAMILY)?;
        let alone = env.ctr(&words(&["-d"], "c", FAMILY))?.id()?;
        let mut waiters = Vec::new();
        for id in [&made, &alone] {
            let waiter = env.call(&["container", "exec-wait", id]).spawn()?;
            waits(&waiter)?;
            waiters.push(waiter);
        }
        env.ctr(way)?.ok()?;
        for waiter in waiters {
            let output = waiter.finish()?;
            output.prints("137\n").with_context(|| format!("{way:?}"))?;
        }
        env.ctr(&["rm", "-fi", "c"])?;
    }
    Ok(())
}

/// A session in the foreground of a client is forgotten once that has been told its end, also while others wait for it.
fn waiters_are_told_of_what_is_forgotten(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    for _ in 0..env.scale.pick(10, 200) {
        let client = env
            .call(&words(&[WAYS[0]], "c", "echo ready; exec sleep 1000"))
            .spawn()?;
        client.wait_for_stdout("ready")?;
        let ids = env.listed_sessions("c")?;
        let process = env.session_process(&ids[0])?;
        let waiter = env.call(&["container", "exec-wait", &ids[0]]).spawn()?;
        waits(&waiter)?;
        process.signal(Signal::TERM)?;
        client.finish()?.prints_with(143, "ready\n")?;
        waiter.finish()?.prints("143\n")?;
    }
    env.check_no_sessions("c")?;
    env.remove("c")
}

fn those_of_a_container_go_with_it(env: &Env) -> Result<()> {
    for mode in ["stop", "rm"] {
        container(env, "c", &[])?;
        container(env, "d", &[])?;
        let other = running(env, &[], "d", "exec sleep 1000")?;
        let over = running(env, &[], "c", "exit 3")?;
        ended(env, &over, 3)?;
        let runs = running(env, &[], "c", FAMILY)?;
        let made = session(env, &[], "c", "true")?;
        if mode == "stop" {
            env.ctr(&["stop", "c"])?.ok()?;
            env.ctr(&["start", "c"])?.ok()?;
            env.check_no_sessions("c")?;
        } else {
            env.remove("c")?;
        }
        for id in [&over, &runs, &made] {
            for name in ["wait", "inspect", "start", "kill", "rm"] {
                let output = verb(env, name, &[id])?;
                ensure!(output.code == 125, "{output}");
                output.one_error(&["no exec session"])?;
            }
        }
        let list = verb(env, "ls", &["-q"])?.ok()?;
        ensure!(list.trim() == other, "{list}");
        env.ctr(&["rm", "-fa"])?.ok()?;
    }
    Ok(())
}
