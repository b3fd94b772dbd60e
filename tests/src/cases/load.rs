//! Many containers: one after the other, beside each other, and all after the same name.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Error, Result, anyhow, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;

cases! {
    Full two_hundred_in_a_row,
    Full fifty_at_once,
    Full fifty_after_one_name,
    Full one_container_under_many_hands,
}

/// Runs one container that ends with this number's own code and says its number.
fn one(env: &Env, number: u32) -> Result<()> {
    let code = i32::try_from(number % 120)?;
    let script = format!("echo {number}; exit {code}");
    env.run(&[], &["sh", "-c", &script])?
        .prints_with(code, &format!("{number}\n"))
}

fn two_hundred_in_a_row(env: &Env) -> Result<()> {
    for number in 0..200 {
        one(env, number)?;
    }
    ensure!(env.ids()?.is_empty());
    Ok(())
}

fn fifty_at_once(env: &Env) -> Result<()> {
    const AT_A_TIME: usize = 8;
    let next = AtomicU32::new(0);
    let wrong: Mutex<Vec<Error>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(number) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < 50)
                {
                    if let Err(error) = one(env, number) {
                        wrong.lock().expect("no case panics here").push(error);
                    }
                }
            });
        }
    });
    no_errors(wrong)?;
    ensure!(env.ids()?.is_empty());
    Ok(())
}

fn no_errors(wrong: Mutex<Vec<Error>>) -> Result<()> {
    let mut wrong = wrong.into_inner().expect("no case panics here");
    match wrong.pop() {
        None => Ok(()),
        Some(error) => Err(anyhow!("{} more like this: {error:#}", wrong.len())),
    }
}

fn fifty_after_one_name(env: &Env) -> Result<()> {
    let rootfs = env.rootfs();
    let mut started = Vec::new();
    for _ in 0..50 {
        started.push(
            env.call(&["create", "--name", "prize", "--rootfs", &rootfs, "true"])
                .spawn()?,
        );
    }
    let mut outputs = Vec::new();
    for one in started {
        outputs.push(one.finish()?);
    }
    let (winners, losers): (Vec<_>, Vec<_>) = outputs.iter().partition(|output| output.code == 0);
    ensure!(winners.len() == 1, "{} winners", winners.len());
    let id = winners[0].id()?;
    for loser in losers {
        loser.refused(125, &["prize", &id[..12]])?;
    }
    ensure!(env.ids()? == [id]);
    env.remove("prize")
}

/// Verbs of all kinds on one container from many processes: each answers, none leaves it in a state that `rm -f` cannot end.
fn one_container_under_many_hands(env: &Env) -> Result<()> {
    env.create("busy", &["--stop-timeout", "0"], &["sleep", "1000"])?;
    let verbs: [&[&str]; 6] = [
        &["start", "busy"],
        &["stop", "busy"],
        &["kill", "busy"],
        &["inspect", "busy"],
        &["ps", "-a"],
        &["container", "cleanup", "busy"],
    ];
    let wrong: Mutex<Vec<Error>> = Mutex::default();
    std::thread::scope(|scope| {
        for verb in verbs {
            let wrong = &wrong;
            scope.spawn(move || {
                for _ in 0..10 {
                    if let Err(error) = answered(env, verb) {
                        wrong.lock().expect("no case panics here").push(error);
                    }
                }
            });
        }
    });
    no_errors(wrong)?;
    env.remove("busy")
}

/// Success, or a refusal in one line: which of them depends on who was first.
fn answered(env: &Env, verb: &[&str]) -> Result<()> {
    let output = env.ctr(verb)?;
    match output.code {
        0 => Ok(()),
        125 => output.one_error(&["busy"]),
        _ => Err(anyhow!("{output}")),
    }
}
