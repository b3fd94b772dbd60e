//! `container prune`: what does not run goes, once that was confirmed.

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::output::lines;

cases! {
    Full asks_first,
    Full all_that_do_not_run,
    Full filters,
    Full wrong_filters_are_refused,
    Full what_others_need,
    Full restarts_that_are_waited_for,
}

const PRUNE: [&str; 2] = ["container", "prune"];

fn asks_first(env: &Env) -> Result<()> {
    let id = env.create("a", &[], &["true"])?;
    for answer in ["n\n", "N\n", "\n", "", "no\n", "maybe\n"] {
        let output = env.finish(env.call(&PRUNE).stdin(answer.as_bytes()))?;
        let question = output.ok()?;
        ensure!(
            question.contains("[y/N]") && question.lines().count() == 1,
            "{output}"
        );
        ensure!(env.ids()? == [id.as_str()], "{answer:?} is no agreement");
    }
    for answer in ["y\n", "Y\n", "yes\n"] {
        let output = env.finish(env.call(&PRUNE).stdin(answer.as_bytes()))?;
        ensure!(output.code == 0, "{output}");
        ensure!(env.ids()?.is_empty(), "{answer:?} is an agreement");
        env.create("a", &[], &["true"])?;
    }
    env.remove("a")
}

fn all_that_do_not_run(env: &Env) -> Result<()> {
    let quick = ["--stop-timeout", "0"];
    let new = env.create("new", &[], &["true"])?;
    let made = env.create("made", &quick, &["sleep", "1000"])?;
    env.ctr(&["init", "made"])?.prints("made\n")?;
    let over = env.detached("over", &[], "exit 3")?;
    env.wait_for_cleanup("over")?;
    let runs = env.detached("runs", &[], "sleep 1000")?;
    let rests = env.detached("rests", &[], "sleep 1000")?;
    env.ctr(&["pause", "rests"])?.prints("rests\n")?;
    let out = env.ctr(&["container", "prune", "-f"])?.ok()?;
    let mut gone: Vec<&str> = out.lines().collect();
    gone.sort_unstable();
    let mut expected = [&*new, &made, &over];
    expected.sort_unstable();
    ensure!(gone == expected, "{out}");
    ensure!(env.ids()? == [runs, rests]);
    env.ctr(&["container", "prune", "--force"])?.prints("")?;
    env.ctr(&["rm", "-fa"])?.ok()?;
    Ok(())
}

fn filters(env: &Env) -> Result<()> {
    let prune = |filters: &[&str]| {
        let flags = filters.iter().flat_map(|filter| ["--filter", *filter]);
        let words: Vec<&str> = PRUNE.into_iter().chain(["-f"]).chain(flags).collect();
        env.ctr(&words)
    };
    let a = env.create("a", &["-l", "tier=web", "-l", "x=1"], &["true"])?;
    let b = env.create("b", &["-l", "tier=db"], &["true"])?;
    let c = env.create("c", &["-l", "keep"], &["true"])?;
    prune(&["label=nosuch"])?.prints("")?;
    prune(&["label=tier=web", "until=10m"])?.prints("")?;
    prune(&["until=10m"])?.prints("")?;
    prune(&["label=tier=web"])?.prints(&lines([a]))?;
    prune(&["label!=keep"])?.prints(&lines([b]))?;
    let now = env.inspect("c")?["Created"]
        .as_str()
        .context("Created")?
        .to_owned();
    // Created before this moment: the moment itself is not before it.
    prune(&[&format!("until={now}")])?.ok()?;
    env.create("d", &[], &["true"])?;
    let later = env.inspect("d")?["Created"]
        .as_str()
        .context("Created")?
        .to_owned();
    let out = prune(&[&format!("until={later}")])?.ok()?;
    ensure!(!env.ids()?.contains(&c), "{out}");
    ensure!(env.status("d")? == "created");
    env.remove("d")
}

fn wrong_filters_are_refused(env: &Env) -> Result<()> {
    env.create("a", &[], &["true"])?;
    for wrong in ["status=running", "name=a", "nonsense", "until=never"] {
        let word = wrong.trim_start_matches("until=");
        env.ctr(&["container", "prune", "-f", "--filter", wrong])?
            .refused(125, &["--filter", word])?;
        // Asked or not: nothing is to be confirmed that cannot be done.
        let words = ["container", "prune", "--filter", wrong];
        env.finish(env.call(&words).stdin(b"y\n"))?
            .refused(125, &["--filter", word])?;
    }
    ensure!(env.ids()?.len() == 1);
    env.remove("a")
}

fn what_others_need(env: &Env) -> Result<()> {
    let quick = ["--stop-timeout", "0"];
    let need = |name: &str, flags: &[&str]| {
        env.create(name, &[&quick[..], flags].concat(), &["sleep", "1000"])
    };
    // A chain that does not run goes as a whole.
    let first = need("first", &[])?;
    let second = need("second", &["--requires", "first"])?;
    env.ctr(&["container", "prune", "-f"])?
        .prints(&lines([second, first]))?;
    // One that a running one needs stays.
    need("base", &[])?;
    need("top", &["--requires", "base"])?;
    env.ctr(&["start", "top"])?.prints("top\n")?;
    env.ctr(&["stop", "base"])?.prints("base\n")?;
    let other = env.create("other", &[], &["true"])?;
    env.ctr(&["container", "prune", "-f"])?
        .prints(&lines([other]))?;
    ensure!(env.status("base")? == "exited" && env.status("top")? == "running");
    env.ctr(&["rm", "-fa"])?.ok()?;
    Ok(())
}

/// A container between two runs does not run.
fn restarts_that_are_waited_for(env: &Env) -> Result<()> {
    let id = env.detached("loop", &["--restart", "always"], "exit 3")?;
    env.wait_for_event("loop", "cleanup", 3)?;
    // Between two attempts, or else in the middle of one: sooner or later it is pruned.
    crate::harness::wait::until("the container to be pruned", || {
        env.ctr(&["container", "prune", "-f"])?.ok()?;
        Ok(env.ids()?.is_empty().then_some(()))
    })?;
    Env::wait_for_cleaners(&id)
}
