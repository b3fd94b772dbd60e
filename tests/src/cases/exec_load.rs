//! Many commands at the same time, many that fail, and many that race the end of their container: each answer is right, and nothing adds up.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::exec_runtimes::fails;
use super::exec_sessions::verb;
use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::hosted::{WAYS, container, session, words};
use crate::harness::parallel;
use crate::harness::process::descriptors;

cases! {
    Core many_at_the_same_time,
    Full many_sessions_at_the_same_time,
    Full many_that_fail,
    Full many_one_after_the_other,
    Full racing_the_end,
}

fn many_at_the_same_time(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let (threads, rounds) = env.scale.pick((32, 4), (512, 20));
    let numbers: Vec<i32> = (0..threads * rounds).collect();
    let check = |number: &i32| {
        let code = number % 256;
        let script = format!("echo {number}; exit {code}");
        let flags = [WAYS[usize::from(number % 3 == 0)]];
        env.ctr(&words(&flags, "c", &script))?
            .prints_with(code, &format!("{number}\n"))
    };
    parallel::each(usize::try_from(threads)?, &numbers, check)?;
    env.check_no_sessions("c")?;
    let list = env.ctr(&["ps", "-q", "--no-trunc"])?.ok()?;
    ensure!(list.lines().count() == 1, "{list}");
    let events = env.session_events("c")?;
    let of = |kind: &str| -> BTreeSet<String> {
        let of_kind = events.iter().filter(|event| event.0 == kind);
        of_kind.map(|(_, id, _)| id.clone()).collect()
    };
    let (begun, ended) = (of("exec"), of("exec_died"));
    let deaths = events.iter().filter(|event| event.0 == "exec_died");
    ensure!(deaths.count() == ended.len(), "some have ended twice");
    // The journal forgets its oldest events.
    if numbers.len() < 1000 {
        ensure!(begun == ended && begun.len() == numbers.len());
        ensure!(events.len() == 2 * numbers.len(), "{} events", events.len());
    }
    env.remove("c")
}

/// In the background, waited for, and removed; the monitor is asked by many at a time.
fn many_sessions_at_the_same_time(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    let count = env.scale.pick(48, 500);
    let numbers: Vec<i32> = (0..count).collect();
    let check = |number: &i32| {
        let code = number % 256;
        let id = session(env, &[], "c", &format!("exit {code}"))?;
        verb(env, "start", &["-d", &id])?.prints(&format!("{id}\n"))?;
        verb(env, "wait", &[&id])?.prints(&format!("{code}\n"))?;
        env.check_session_code(&id, code)?;
        if number % 2 == 0 {
            verb(env, "rm", &[&id])?.prints(&format!("{id}\n"))?;
        }
        Ok(())
    };
    parallel::each(24, &numbers, check)?;
    let left = env.listed_sessions("c")?;
    ensure!(left.len() == numbers.len() / 2, "{} are left", left.len());
    env.ctr(&["stop", "c"])?.ok()?;
    ensure!(env.listed_sessions("c")?.is_empty());
    env.remove("c")
}

/// Every path below a directory that is there and stays.
fn paths_below(directory: &Path, paths: &mut BTreeSet<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            paths_below(&path, paths)?;
        }
        paths.insert(path);
    }
    Ok(())
}

/// What a container that rests has: files below the run directory, descriptors of its monitor, which has a keeper then.
fn possessions(env: &Env) -> Result<(BTreeSet<PathBuf>, usize)> {
    env.keeper("c")?;
    let mut paths = BTreeSet::new();
    paths_below(env.runroot(), &mut paths)?;
    let monitor = env.monitor("c")?;
    Ok((paths, descriptors(monitor.pid).len()))
}

fn many_that_fail(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    // The directory of sessions stays with the run.
    env.ctr(&words(&[], "c", "echo > /tmp/plain; chmod 600 /tmp/plain"))?
        .ok()?;
    env.check_no_sessions("c")?;
    let before = possessions(env)?;
    let kinds: [(i32, &[&str]); 6] = [
        (127, &["exec", "c", "nosuch"]),
        (126, &["exec", "--stdio=stream", "c", "/tmp/plain"]),
        (126, &["exec", "-d", "c", "/etc"]),
        (127, &["exec", "-t", "c", "/nosuch"]),
        (125, &["exec", "-w", "/nosuch", "c", "true"]),
        (125, &["exec", "--stdio=pass", "-t", "c", "true"]),
    ];
    let numbers: Vec<usize> = (0..env.scale.pick(100, 10_000)).collect();
    let check = |number: &usize| {
        let (code, words) = kinds[number % kinds.len()];
        env.ctr(words)?.refused(code, &[])
    };
    parallel::each(8, &numbers, check)?;
    env.check_no_sessions("c")?;
    let after = possessions(env)?;
    ensure!(after == before, "{after:?} instead of {before:?}");
    env.remove("c")
}

fn many_one_after_the_other(env: &Env) -> Result<()> {
    container(env, "c", &[])?;
    env.ctr(&words(&[], "c", "true"))?.ok()?;
    env.check_no_sessions("c")?;
    let before = possessions(env)?;
    for number in 0..env.scale.pick(60, 5_000) {
        let flags = [WAYS[number % 2], "-i"];
        env.ctr(&words(&flags, "c", "cat; exit 3"))?
            .prints_with(3, "")?;
    }
    env.check_no_sessions("c")?;
    let after = possessions(env)?;
    ensure!(after == before, "{after:?} instead of {before:?}");
    env.remove("c")
}

/// A command gets to a container in time, or too late, or is killed with it; there is nothing else, and nothing hangs.
fn racing_the_end(env: &Env) -> Result<()> {
    for round in 0..env.scale.pick(34, 510) {
        let millis = round % 51;
        let (name, life) = (format!("c{round}"), format!("0.{millis:03}"));
        env.detached(&name, &[], &format!("exec sleep {life}"))?;
        let script = ["true", "exec sleep 1000"][round % 2];
        let flags = [&["--stdio=stream"][..], &["--stdio=pass"], &["-t"], &["-d"]][round / 2 % 4];
        let output = env.ctr(&words(flags, &name, script))?;
        let possible: &[i32] = match (flags, script) {
            (&["-d"], _) => &[0, 125],
            (_, "true") => &[0, 125, 137],
            _ => &[125, 137],
        };
        ensure!(possible.contains(&output.code), "{life}: {output}");
        if output.code == 125 {
            fails(&output, flags).with_context(|| format!("a life of {life} s"))?;
        } else {
            ensure!(output.err().is_empty(), "{output}");
        }
        env.ctr(&["wait", &name])?.prints("0\n")?;
        env.wait_for_cleanup(&name)?;
        let events = env.session_events(&name)?;
        let begun = events.iter().filter(|event| event.0 == "exec").count();
        ensure!(events.len() == 2 * begun && begun <= 1, "{events:?}");
        ensure!(env.listed_sessions(&name)?.is_empty());
        env.ctr(&["rm", &name])?.prints(&format!("{name}\n"))?;
    }
    Ok(())
}
