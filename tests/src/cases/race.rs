//! Many processes change the same few containers, without a plan. Every answer is one that the documentation knows, and when all are
//! done nothing is left and nothing was lost.

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, bail, ensure};
use serde_json::Value;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::output::Output;

cases! {
    Full fifty_processes_on_eight_names,
}

const PROCESSES: usize = 50;
const NAMES: [&str; 8] = [
    "anna", "bela", "cleo", "dora", "emil", "fynn", "gina", "hugo",
];

/// Each of them so often as it stands here.
const VERBS: [Verb; 14] = [
    Verb::Create,
    Verb::Create,
    Verb::Create,
    Verb::Start,
    Verb::Start,
    Verb::Start,
    Verb::Stop,
    Verb::Stop,
    Verb::Kill,
    Verb::Kill,
    Verb::Remove,
    Verb::Cleanup,
    Verb::List,
    Verb::Inspect,
];

#[derive(Clone, Copy, Debug)]
enum Verb {
    Create,
    Start,
    Stop,
    Kill,
    Remove,
    Cleanup,
    List,
    Inspect,
}

/// What a refusal may say, and nothing else.
const DOCUMENTED: [&str; 4] = [
    "no such container",
    " is in use by container ",
    // The wrong status, with what is possible in it.
    "(possible now: ",
    "it is needed by",
];

const STATUSES: [&str; 8] = [
    "created",
    "initialized",
    "running",
    "paused",
    "stopping",
    "stopped",
    "exited",
    "removing",
];

/// One of these, by chance. The standard library's source of keys for hash tables is random enough.
fn one_of<T: Copy>(of: &[T]) -> T {
    let random = RandomState::new().build_hasher().finish();
    let count = u64::try_from(of.len()).expect("few");
    of[usize::try_from(random % count).expect("less than that")]
}

/// How long each process goes on.
enum Limit {
    Operations(usize),
    Time(Duration),
}

fn fifty_processes_on_eight_names(env: &Env) -> Result<()> {
    let limit = env
        .scale
        .pick(Limit::Operations(10), Limit::Time(Duration::from_secs(300)));
    let wrong: Mutex<Vec<Error>> = Mutex::default();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..PROCESSES {
            scope.spawn(|| {
                for number in 0.. {
                    let over = match limit {
                        Limit::Operations(count) => number == count,
                        Limit::Time(time) => begin.elapsed() >= time,
                    };
                    if over {
                        return;
                    }
                    if let Err(error) = operation(env) {
                        wrong.lock().expect("no case panics here").push(error);
                        return;
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no case panics here");
    let shown: Vec<String> = wrong
        .iter()
        .take(5)
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(
        wrong.is_empty(),
        "{} wrong answers: {}",
        wrong.len(),
        shown.join("\n    ")
    );
    conclude(env)
}

fn operation(env: &Env) -> Result<()> {
    let (verb, name) = (one_of(&VERBS), one_of(&NAMES));
    let rootfs = env.rootfs();
    let words: &[&str] = match verb {
        Verb::Create => {
            let flags = one_of(&[
                &[][..],
                &["--rm"],
                &["--restart", "on-failure"],
                &["--restart", "always"],
            ]);
            let create = ["create", "--name", name, "--stop-timeout", "0"];
            let command = ["--rootfs", &rootfs, "sleep", "1000"];
            return documented(&env.ctr(&[&create, flags, &command].concat())?);
        }
        Verb::List => return list(env),
        Verb::Inspect => {
            let output = env.ctr(&["inspect", name])?;
            serde_json::from_slice::<Value>(&output.stdout).context("what inspect prints")?;
            return documented(&output);
        }
        Verb::Start => &["start", name],
        Verb::Stop => &["stop", "-t", "0", name],
        Verb::Kill => &["kill", name],
        Verb::Remove => &["rm", "-f", name],
        Verb::Cleanup => &["container", "cleanup", name],
    };
    documented(&env.ctr(words)?)
}

/// Success without a word, or a refusal that has its place in the documentation.
fn documented(output: &Output) -> Result<()> {
    if output.code == 0 {
        return output.ok().map(drop);
    }
    ensure!(matches!(output.code, 1 | 2 | 125), "{output}");
    output.one_error(&[])?;
    let said = output.err();
    if said.contains("locked") || !DOCUMENTED.iter().any(|words| said.contains(words)) {
        bail!("{output}");
    }
    Ok(())
}

/// What is listed is whole: no name twice, no status that is none.
fn list(env: &Env) -> Result<()> {
    let output = env.ctr(&["ps", "-a", "--format", "json"])?;
    let list: Vec<Value> =
        serde_json::from_str(&output.ok()?).with_context(|| output.to_string())?;
    let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for row in &list {
        let name = row["Names"][0].as_str().context("a name")?;
        let id = row["Id"].as_str().context("an id")?;
        let state = row["State"].as_str().context("a status")?;
        ensure!(
            NAMES.contains(&name) && names.insert(name),
            "{name} twice: {output}"
        );
        ensure!(ids.insert(id), "{id} twice: {output}");
        ensure!(STATUSES.contains(&state), "{state}: {output}");
    }
    Ok(())
}

/// All goes away, and the journal has a number for everything that was.
fn conclude(env: &Env) -> Result<()> {
    list(env)?;
    let output = env.ctr(&["rm", "-fa", "-t", "0"])?;
    output.ok()?;
    ensure!(env.ids()?.is_empty(), "{output}");
    let text = env
        .ctr(&["events", "--stream=false", "--format", "json"])?
        .ok()?;
    let mut last = None;
    for line in text.lines() {
        let event: Value = serde_json::from_str(line)?;
        let number = event["sequence"].as_u64().context("a number")?;
        ensure!(
            last.is_none_or(|last| number == last + 1),
            "after {last:?}: {event}"
        );
        last = Some(number);
    }
    ensure!(last.is_some(), "nothing has happened");
    env.check_leaks_after("all")
}
