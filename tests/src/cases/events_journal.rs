//! The journal under load: no number is missed and none is seen twice, unless the reader is told that some are gone.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::Signal;

use crate::cases::events::objects;
use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::program::Running;

cases! {
    Full followers_see_every_number_once,
    Full events_that_are_gone_are_reported,
    Full events_come_where_nothing_can_be_watched,
}

/// How many containers run one after the other in each of [`WRITERS`].
const RUNS: usize = 12;
const WRITERS: usize = 4;
/// What a run that removes itself reports: create, init, start, attach, died, remove.
const EVENTS: usize = 6;

/// A follower that is killed and goes on by its cursor.
struct Resumed {
    seen: Vec<u64>,
    /// How often it was killed.
    kills: usize,
}

fn followers_see_every_number_once(env: &Env) -> Result<()> {
    let last = RUNS * WRITERS * EVENTS;
    let steady: Vec<Running> = (0..2).map(|_| follow(env, 0)).collect::<Result<_>>()?;
    let resumed = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| {
                scope.spawn(|| (0..RUNS).try_for_each(|_| env.run(&[], &["true"])?.prints("")))
            })
            .collect();
        let resumed = follow_and_kill(env, u64::try_from(last)?)?;
        for writer in writers {
            writer.join().map_err(|_| anyhow!("a writer panicked"))??;
        }
        Ok::<_, anyhow::Error>(resumed)
    })?;
    let expected: Vec<u64> = (1..).take(last).collect();
    ensure!(
        resumed.seen == expected,
        "a resumed follower saw {:?}",
        resumed.seen
    );
    ensure!(resumed.kills >= 10, "killed {} times only", resumed.kills);
    for follower in steady {
        follower.wait_for_stdout(&format!("\"sequence\":{last},"))?;
        follower.signal(Signal::TERM)?;
        let seen = numbers(&follower.finish()?.quiet(143)?)?;
        ensure!(seen == expected, "a follower saw {seen:?}");
    }
    Ok(())
}

fn follow(env: &Env, after: u64) -> Result<Running> {
    let after = after.to_string();
    env.call(&["events", "--after", &after, "--format", "json"])
        .spawn()
}

/// Follows to the last number, and kills the follower after every few events.
fn follow_and_kill(env: &Env, last: u64) -> Result<Resumed> {
    let mut resumed = Resumed {
        seen: Vec::new(),
        kills: 0,
    };
    let mut cursor = 0;
    while cursor < last {
        let follower = follow(env, cursor)?;
        // Any number between one that it can pass by now and the end.
        let stop = last.min(cursor + 1 + RandomState::new().build_hasher().finish() % 17);
        follower.wait_for_stdout(&format!("\"sequence\":{stop},"))?;
        follower.signal(Signal::KILL)?;
        let output = follower.finish()?;
        ensure!(output.code == 137 && output.stderr.is_empty(), "{output}");
        let out = output.out();
        // A line that was cut off was not seen.
        let (whole, _) = out.rsplit_once('\n').unwrap_or_default();
        resumed.seen.extend(numbers(whole)?);
        resumed.kills += 1;
        cursor = resumed.seen.last().copied().unwrap_or(cursor);
    }
    Ok(resumed)
}

fn numbers(text: &str) -> Result<Vec<u64>> {
    let number = |event: &serde_json::Value| event["sequence"].as_u64().context("a number");
    objects(text)?.iter().map(number).collect()
}

fn events_that_are_gone_are_reported(env: &Env) -> Result<()> {
    let [flag, file] = env.configured("[events]\nkeep = 100\n")?;
    let ctr = |words: &[&str]| env.ctr(&[&[&*flag, &*file], words].concat());
    let rootfs = env.rootfs();
    ctr(&[
        "run",
        "-d",
        "--name",
        "busy",
        "--stop-timeout",
        "0",
        "--rootfs",
        &rootfs,
        "sleep",
        "1000",
    ])?
    .id()?;
    let follower = env.call(&["events", "--after", "0"]).spawn()?;
    follower.wait_for_stdout(" start ")?;
    follower.signal(Signal::STOP)?;
    // Three numbers are there, and old ones go with each number that 64 divides.
    for _ in 0..200 {
        ctr(&["kill", "-s", "CONT", "busy"])?.ok()?;
    }
    let gone = 192 - 100;
    let next = format!("--after {gone}");
    let words = [
        "expired",
        &format!("up to {gone} are gone"),
        &format!("oldest is {}", gone + 1),
        &next,
    ];
    ctr(&["events", "--after", "1", "--no-stream"])?.refused(125, &words)?;
    ctr(&["events", "--after", "1"])?.refused(125, &words)?;
    // One that was there all the time and did not keep up is told as well.
    follower.signal(Signal::CONT)?;
    let output = follower.finish()?;
    ensure!(output.code == 125, "{output}");
    output.one_error(&words)?;
    // What the hint says works, and whoever asks for all that there is gets that.
    for flags in [&["--after", &gone.to_string()][..], &[]] {
        let out = ctr(&[&["events", "--no-stream", "--format", "json"], flags].concat())?.ok()?;
        let seen = numbers(&out)?;
        let expected: Vec<u64> = (gone + 1..=203).collect();
        ensure!(seen == expected, "{seen:?}");
    }
    let output = ctr(&["rm", "-f", "busy"])?;
    output.prints("busy\n")
}

fn events_come_where_nothing_can_be_watched(env: &Env) -> Result<()> {
    // In a user namespace of its own, where no more watches are to be had.
    let exhausted = "echo 0 > /proc/sys/user/max_inotify_instances && exec \"$@\"";
    let through = ["unshare", "-Ur", "sh", "-c", exhausted, "sh"];
    let follower = env
        .call_through(&through, &["events", "--after", "0"])
        .spawn()?;
    env.create("a", &[], &["true"])?;
    follower.wait_for_stdout(" create ")?;
    follower.signal(Signal::TERM)?;
    follower.finish()?;
    let output = env.finish(env.call_through(&through, &["events", "--no-stream"]))?;
    ensure!(output.ok()?.contains(" create "));
    env.remove("a")
}
