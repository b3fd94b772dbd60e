//! `rename`: the name changes, and nothing else does.

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;

cases! {
    Core a_running_container_keeps_all_but_its_name,
    Full found_and_started_by_the_new_name,
    Full names_in_use,
    Full names_that_are_none,
    Full the_event_has_both_names,
}

fn a_running_container_keeps_all_but_its_name(env: &Env) -> Result<()> {
    let id = env.detached("old", &[], "echo ready; sleep 1000")?;
    env.wait_for_log("old", "ready")?;
    let pid = env.state_number("old", "Pid")?;
    env.ctr(&["rename", "old", "new"])?.prints("")?;
    let value = env.inspect("new")?;
    ensure!(
        value["Id"] == id.as_str() && value["Name"] == "new",
        "{value}"
    );
    ensure!(
        value["State"]["Pid"] == pid && value["State"]["Status"] == "running",
        "{value}"
    );
    env.ctr(&["container", "exists", "old"])?
        .prints_with(1, "")?;
    let list = env.ctr(&["ps"])?.ok()?;
    ensure!(list.contains(" new\n") && !list.contains("old"), "{list}");
    env.ctr(&["logs", "new"])?.prints("ready\n")?;
    // The old name is free.
    env.create("old", &[], &["true"])?;
    env.ctr(&["stop", "new"])?.prints("new\n")?;
    ensure!(env.status("old")? == "created");
    env.ctr(&["rm", "new", "old"])?.prints("new\nold\n")
}

fn found_and_started_by_the_new_name(env: &Env) -> Result<()> {
    let id = env.create("one", &["-h", "host"], &["sh", "-c", "hostname; exit 4"])?;
    env.ctr(&["rename", "/one", "/two"])?.prints("")?;
    env.ctr(&["start", "-a", "two"])?.prints_with(4, "host\n")?;
    env.wait_for_cleanup("two")?;
    env.ctr(&["rename", &id[..12], "three"])?.prints("")?;
    env.ctr(&["start", "three"])?.prints("three\n")?;
    env.ctr(&["wait", "three"])?.prints("4\n")?;
    // The past goes by the name of the present.
    ensure!(env.past_runs("three")?.len() == 2);
    env.ctr(&["container", "history", "one"])?
        .refused(125, &["one"])?;
    env.remove("three")
}

fn names_in_use(env: &Env) -> Result<()> {
    env.create("a", &[], &["true"])?;
    let id = env.create("b", &[], &["true"])?;
    env.ctr(&["rename", "a", "b"])?
        .refused(125, &["b", "in use", &id[..12]])?;
    env.ctr(&["rename", "a", "/b"])?
        .refused(125, &["b", "in use"])?;
    ensure!(env.inspect("b")?["Id"] == id.as_str());
    // Its own is no other's.
    env.ctr(&["rename", "a", "a"])?.prints("")?;
    env.check_story("a", "create")?;
    env.ctr(&["rename", "nosuch", "c"])?
        .refused(125, &["nosuch"])?;
    env.ctr(&["rm", "a", "b"])?.prints("a\nb\n")
}

fn names_that_are_none(env: &Env) -> Result<()> {
    env.create("a", &[], &["true"])?;
    for wrong in ["", "/", "a/b", "-a", ".a", "a b", "ä", "a\n"] {
        env.ctr(&["rename", "--", "a", wrong])?
            .refused(125, &[])
            .with_context(|| format!("{wrong:?}"))?;
    }
    for words in [
        &["rename"][..],
        &["rename", "a"],
        &["rename", "a", "b", "c"],
    ] {
        env.ctr(words)?.refused(125, &[])?;
    }
    ensure!(env.inspect("a")?["Name"] == "a");
    env.remove("a")
}

fn the_event_has_both_names(env: &Env) -> Result<()> {
    let id = env.create("a", &["-l", "oldName=forged"], &["true"])?;
    env.ctr(&["rename", "a", "b"])?.prints("")?;
    env.ctr(&["rename", "b", "c"])?.prints("")?;
    env.check_story(&id, "create rename rename")?;
    let events = env.events_of(&id)?;
    for (event, old, new) in [(&events[1], "a", "b"), (&events[2], "b", "c")] {
        ensure!(event["Name"] == new, "{event}");
        ensure!(event["Attributes"]["oldName"] == old, "{event}");
    }
    env.remove("c")
}
