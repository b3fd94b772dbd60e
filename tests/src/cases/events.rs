//! `events`: what is reported, in which form, and that a reader misses nothing and is told when it must.

use std::fs;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::output::is_harmful;
use crate::harness::wait;

cases! {
    Core a_run_is_reported_step_by_step,
    Full events_are_filtered,
    Full times_cut_the_past,
    Full wrong_words_are_refused,
    Full a_label_forges_no_event,
    Full a_label_is_no_exit,
    Full a_follower_sees_what_happens_until_it_is_ended,
    Full a_follower_ends_with_its_reader,
}

/// The objects of lines of JSON.
pub(super) fn objects(text: &str) -> Result<Vec<Value>> {
    let read = |line| serde_json::from_str(line).with_context(|| format!("read {line}"));
    text.lines().map(read).collect()
}

/// All events that are there, as objects.
fn all(env: &Env, flags: &[&str]) -> Result<Vec<Value>> {
    let mut words = vec!["events", "--no-stream", "--format", "json"];
    words.extend(flags);
    objects(&env.ctr(&words)?.ok()?)
}

/// The kinds of the events, in a line.
fn kinds(events: &[Value]) -> String {
    let kinds: Vec<&str> = events
        .iter()
        .filter_map(|event| event["Status"].as_str())
        .collect();
    kinds.join(" ")
}

fn a_run_is_reported_step_by_step(env: &Env) -> Result<()> {
    let id = env.create("web", &["--label", "tier=a"], &["sh", "-c", "exit 3"])?;
    let output = env.ctr(&["start", "-a", "web"])?;
    ensure!(output.code == 3, "{output}");
    env.remove("web")?;
    let events = all(env, &[])?;
    ensure!(
        kinds(&events) == "create init start attach died cleanup remove",
        "{events:?}"
    );
    for (event, number) in events.iter().zip(1_u64..) {
        let nanos = event["timeNano"].as_i64().context("timeNano")?;
        ensure!(event["sequence"] == number, "{event}");
        ensure!(event["generation"] == u64::from(number > 1), "{event}");
        ensure!(
            event["ID"] == id.as_str() && event["Name"] == "web",
            "{event}"
        );
        ensure!(event["Type"] == "container", "{event}");
        ensure!(
            Some(event["Image"].as_str().context("Image")?) == env.shared_root().to_str(),
            "{event}"
        );
        ensure!(event["time"] == nanos / 1_000_000_000, "{event}");
        ensure!(event["Attributes"]["tier"] == "a", "{event}");
        let actor = &event["actor"];
        ensure!(actor["uid"] == 0 && actor["program"] == "ctr", "{event}");
        ensure!(actor["pid"].is_number(), "{event}");
        let code = &event["ContainerExitCode"];
        let ended = ["died", "remove"]
            .map(Value::from)
            .contains(&event["Status"]);
        ensure!(if ended { *code == 3 } else { code.is_null() }, "{event}");
    }
    // The same for people: one line each.
    let text = env.ctr(&["events", "--stream=false"])?.ok()?;
    let died = text.lines().nth(4).context("the line of the end")?;
    let image = env.shared_root().display();
    let end = format!(
        " +0000 UTC container died {id} (image={image}, name=web, containerExitCode=3, tier=a)"
    );
    ensure!(died.ends_with(&end), "{died}");
    ensure!(text.lines().count() == 7, "{text}");
    let short = env
        .ctr(&["events", "--no-stream", "--no-trunc=false"])?
        .ok()?;
    ensure!(
        short.contains(&format!(" create {} (", &id[..12])),
        "{short}"
    );
    Ok(())
}

fn events_are_filtered(env: &Env) -> Result<()> {
    let first = env.create("web", &["--label", "tier=a"], &["true"])?;
    env.create("db", &["--label", "tier=b"], &["true"])?;
    env.remove("web")?;
    env.remove("db")?;
    let image = format!("image={}", env.shared_root().display());
    for (filters, expected) in [
        (&["event=create"][..], "web create, db create"),
        (
            &["event=create", "status=remove", "container=db"],
            "db create, db remove",
        ),
        (
            &["container=web", "CONTAINER=db", "Event=remove"],
            "web remove, db remove",
        ),
        (
            &[&format!("container={}", &first[..10])],
            "web create, web remove",
        ),
        (&["container=we"], ""),
        (&["label=tier", "event=create"], "web create, db create"),
        (&["label=tier=b"], "db create, db remove"),
        (&["label=tier=c"], ""),
        (
            &[&image, "type=container", "event=remove"],
            "web remove, db remove",
        ),
        (&["image=/elsewhere"], ""),
        (&["event=die"], ""),
    ] {
        let flags: Vec<&str> = filters.iter().flat_map(|term| ["--filter", term]).collect();
        let found: Vec<String> = all(env, &flags)?
            .iter()
            .map(|event| format!("{} {}", event["Name"], event["Status"]).replace('"', ""))
            .collect();
        ensure!(found.join(", ") == expected, "{filters:?}: {found:?}");
    }
    Ok(())
}

fn times_cut_the_past(env: &Env) -> Result<()> {
    for name in ["a", "b", "c"] {
        env.create(name, &[], &["true"])?;
    }
    let events = all(env, &[])?;
    let second = events[1]["timeNano"].as_i64().context("timeNano")?;
    let second = format!("{}.{:09}", second / 1_000_000_000, second % 1_000_000_000);
    let names = |flags: &[&str]| -> Result<String> {
        let found = all(env, flags)?;
        let names = found.iter().filter_map(|event| event["Name"].as_str());
        Ok(names.collect())
    };
    ensure!(names(&["--since", &second])? == "bc");
    ensure!(names(&["--until", &second])? == "a");
    ensure!(names(&["--since", &second, "--until", &second])? == "");
    ensure!(names(&["--since", "1h"])? == "abc");
    ensure!(names(&["--since", "-1h"])? == "");
    ensure!(names(&["--until", "-1h"])? == "");
    ensure!(names(&["--after", "1"])? == "bc");
    ensure!(names(&["--after", "3"])? == "");
    // What is printed is taken back.
    let text = env.ctr(&["events", "--no-stream"])?.ok()?;
    let line = text.lines().nth(1).context("the second line")?;
    let (time, _) = line.split_once(" container ").context("a time")?;
    ensure!(names(&["--since", time])? == "bc");
    // A stream whose end has come, and one whose end comes.
    ensure!(
        env.ctr(&["events", "--until", &second])?
            .ok()?
            .lines()
            .count()
            == 1
    );
    ensure!(
        env.ctr(&["events", "--until", "300ms"])?
            .ok()?
            .lines()
            .count()
            == 3
    );
    ["a", "b", "c"].iter().try_for_each(|name| env.remove(name))
}

fn wrong_words_are_refused(env: &Env) -> Result<()> {
    for (flags, words) in [
        (
            &["--since", "yesterday"][..],
            &["--since", "yesterday", "duration"][..],
        ),
        (&["--until", "1x"], &["--until", "1x", "duration"]),
        (&["--after", "x"], &["--after", "number"]),
        (&["--after", "7"], &["7", "last event is 0", "--after 0"]),
        (&["--after", "0", "--since", "1m"], &["--after", "--since"]),
        (
            &["--filter", "colour=red"],
            &["--filter", "colour=red", "known keys"],
        ),
        (
            &["--filter", "event=exploded"],
            &["exploded", "known events"],
        ),
        (&["--filter", "type=pod"], &["pod", "container"]),
        (&["--filter", "label"], &["label", "key=value"]),
        (&["--format", "yaml"], &["--format", "json"]),
        (&["--stream=maybe"], &["--stream", "true or false"]),
        (&["--stream=true", "--no-stream"], &["--stream"]),
        (&["web"], &["web"]),
    ] {
        let mut call = vec!["events"];
        call.extend(flags);
        env.ctr(&call)?.refused(125, words)?;
    }
    Ok(())
}

fn a_label_forges_no_event(env: &Env) -> Result<()> {
    let forged = "x=1\n2026-01-01 00:00:00.000000000 +0000 UTC container remove 0123 (image=a, name=b)\r\u{1b}[2J\u{9b}1m\u{202e}";
    let object = "y=1\n{\"Status\":\"remove\",\"sequence\":9}\n";
    env.create("web", &["--label", forged, "--label", object], &["true"])?;
    env.remove("web")?;
    for flags in [&[][..], &["--format", "json"]] {
        let mut words = vec!["events", "--no-stream"];
        words.extend(flags);
        let text = env.ctr(&words)?.ok()?;
        ensure!(text.lines().count() == 2, "{text:?}");
        ensure!(!text.contains(is_harmful), "{text:?}");
    }
    let events = all(env, &[])?;
    ensure!(events[0]["Attributes"]["x"] == forged[2..], "{events:?}");
    Ok(())
}

fn a_label_is_no_exit(env: &Env) -> Result<()> {
    let labels = [
        "--label",
        "containerExitCode=7",
        "--label",
        "oomKilled=true",
    ];
    env.create("never", &labels, &["true"])?;
    env.remove("never")?;
    env.create("ran", &labels, &["true"])?;
    env.ctr(&["start", "-a", "ran"])?.ok()?;
    env.remove("ran")?;
    for event in all(env, &[])? {
        let ended =
            event["Name"] == "ran" && matches!(event["Status"].as_str(), Some("died" | "remove"));
        let code = &event["ContainerExitCode"];
        ensure!(if ended { *code == 0 } else { code.is_null() }, "{event}");
        ensure!(event["OOMKilled"].is_null(), "{event}");
    }
    Ok(())
}

fn a_follower_sees_what_happens_until_it_is_ended(env: &Env) -> Result<()> {
    env.create("before", &[], &["true"])?;
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let follower = env.call(&["events", "--format", "json"]).spawn()?;
        // It begins with what happens once it listens.
        wait::until("the follower to listen", || {
            env.create("probe", &[], &["true"])?;
            env.remove("probe")?;
            Ok((!follower.printed().is_empty()).then_some(()))
        })?;
        // A cleaner of temporary files takes the file that announces changes.
        fs::remove_file(env.runroot().join("journal")).context("remove the wake file")?;
        let id = env.create("seen", &[], &["true"])?;
        follower.wait_for_stdout(&id)?;
        env.remove("seen")?;
        let last = all(env, &[])?.len();
        follower.wait_for_stdout(&format!("\"sequence\":{last},"))?;
        follower.signal(signal)?;
        let output = follower.finish()?;
        let out = output.quiet(code)?;
        ensure!(kinds(&objects(&out)?).ends_with(" create remove"), "{out}");
        ensure!(!out.contains("before"), "{out}");
    }
    env.remove("before")
}

fn a_follower_ends_with_its_reader(env: &Env) -> Result<()> {
    env.create("only", &[], &["true"])?;
    // One line is there; once head has it, the follower waits, and nothing that it could write comes.
    let through = ["sh", "-c", "\"$@\" | head -n 1", "sh"];
    let output = env.finish(env.call_through(&through, &["events", "--since", "1h"]))?;
    let out = output.ok()?;
    ensure!(out.contains(" create "), "{out}");
    env.remove("only")
}
