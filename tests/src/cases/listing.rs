//! What is told about containers and about the program: `ps`, `container exists`, `info`, `version`.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::output::{is_harmful, lines};

cases! {
    Core ps_shows_what_there_is,
    Full ps_as_json,
    Full ps_shows_no_control_characters,
    Full ps_filters,
    Full ps_orders_and_limits,
    Full ps_json_has_the_types_of_podman,
    Full exists_answers_by_its_code,
    Full files_with_id_and_pid,
    Full info_and_version,
    Full help_is_there,
}

fn ps_shows_what_there_is(env: &Env) -> Result<()> {
    let header = [
        "CONTAINER",
        "ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "PORTS",
        "NAMES",
    ];
    let words =
        |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let empty = env.ctr(&["ps"])?.ok()?;
    ensure!(words(&empty) == header, "{empty}");
    env.ctr(&["ps", "-q"])?.prints("")?;
    env.ctr(&["ps", "-a", "--format", "json"])?.prints("[]\n")?;

    let created = env.create("made", &[], &["true"])?;
    let running = env.detached("runs", &[], "sleep 1000")?;
    let list = env.ctr(&["ps"])?.ok()?;
    let lines: Vec<&str> = list.lines().collect();
    ensure!(lines.len() == 2 && words(lines[0]) == header, "{list}");
    ensure!(
        lines[1].starts_with(&running[..12]) && lines[1].ends_with("runs"),
        "{list}"
    );
    ensure!(lines[1].contains("Up "), "{list}");
    env.ctr(&["ps", "-q"])?
        .prints(&format!("{}\n", &running[..12]))?;
    env.ctr(&["ps", "-q", "--no-trunc"])?
        .prints(&format!("{running}\n"))?;
    // In the order of creation.
    let both = format!("{created}\n{running}\n");
    env.ctr(&["ps", "-a", "-q", "--no-trunc"])?.prints(&both)?;
    env.ctr(&["ps", "-aq", "--no-trunc"])?.prints(&both)?;
    env.ctr(&["container", "ls", "-a", "-q", "--no-trunc"])?
        .prints(&both)?;
    let whole = env.ctr(&["ps", "--format", "table"])?.ok()?;
    ensure!(whole.lines().count() == 2, "{whole}");
    let bare = env.ctr(&["ps", "--noheading"])?.ok()?;
    ensure!(
        whole.ends_with(&bare) && bare.lines().count() == 1,
        "{bare}"
    );
    env.remove("runs")?;
    env.remove("made")
}

fn ps_as_json(env: &Env) -> Result<()> {
    let id = env.create("j", &["--label", "k=v"], &["sh", "-c", "exit 3"])?;
    let one = || -> Result<Value> {
        let text = env.ctr(&["ps", "-a", "--format", "json"])?.ok()?;
        let list: Value = serde_json::from_str(&text).context("read what ps prints")?;
        ensure!(
            list.as_array().is_some_and(|list| list.len() == 1),
            "{text}"
        );
        Ok(list[0].clone())
    };
    let row = one()?;
    ensure!(row["Id"] == id.as_str(), "{row}");
    ensure!(row["Names"] == serde_json::json!(["j"]), "{row}");
    ensure!(row["State"] == "created", "{row}");
    ensure!(row["Labels"]["k"] == "v", "{row}");
    ensure!(
        row["Command"] == serde_json::json!(["sh", "-c", "exit 3"]),
        "{row}"
    );
    env.ctr(&["start", "j"])?.prints("j\n")?;
    env.ctr(&["wait", "j"])?.prints("3\n")?;
    env.wait_for_cleanup("j")?;
    let row = one()?;
    ensure!(row["State"] == "exited" && row["ExitCode"] == 3, "{row}");
    ensure!(row["Exited"] == true, "{row}");
    env.remove("j")
}

fn ps_filters(env: &Env) -> Result<()> {
    env.create("one", &["--label", "tier=front", "--label", "x"], &["true"])?;
    let two = env.detached("two", &["--label", "tier=back"], "sleep 1000")?;
    env.create("other", &["--network", "host"], &["sh", "-c", "exit 3"])?;
    env.ctr(&["start", "other"])?.prints("other\n")?;
    env.wait_for_cleanup("other")?;
    let names = |terms: &[&str]| -> Result<String> {
        let mut words = vec!["ps", "--format", "json"];
        for &term in terms {
            words.extend(["--filter", term]);
        }
        let rows: Value = serde_json::from_str(&env.ctr(&words)?.ok()?)?;
        let rows = rows.as_array().context("ps prints no array")?;
        let names = rows.iter().filter_map(|row| row["Names"][0].as_str());
        Ok(names.collect::<Vec<_>>().join(" "))
    };
    let check = |terms: &[&str], expected: &str| {
        let found = names(terms)?;
        ensure!(
            found == expected,
            "{terms:?}: {found:?} instead of {expected:?}"
        );
        Ok(())
    };
    // Without a status, of those that run.
    check(&[], "two")?;
    check(&["name=o"], "two")?;
    check(&["label=tier=front"], "")?;
    check(&["status=created"], "one")?;
    check(&["status=exited"], "other")?;
    check(&["status=stopped", "status=running"], "two other")?;
    let all = |terms: &[&str], expected: &str| {
        let mut with_all = vec!["status=created", "status=running", "status=exited"];
        with_all.extend(terms);
        check(&with_all, expected)
    };
    all(&["name=^o"], "one other")?;
    all(&["label=tier"], "one two")?;
    all(&["label=tier", "label=x"], "one")?;
    all(&["label!=tier"], "other")?;
    all(&[&format!("id={}", &two[..20])], "two")?;
    all(&["exited=3"], "other")?;
    all(&["before=two"], "one")?;
    all(&["since=two"], "other")?;
    all(&["network=host"], "other")?;
    all(&["command=^true$"], "one")?;
    all(&["until=10m"], "")?;
    all(&["until=-10m"], "one two other")?;
    all(&["until=2020-01-01"], "")?;
    all(&[&format!("ancestor={}", env.rootfs())], "one two other")?;
    env.ctr(&["ps", "-a", "-f", "before=nosuch"])?
        .refused(125, &["nosuch"])?;
    for (term, word) in [
        ("status", "KEY=VALUE"),
        ("status=asleep", "paused"),
        ("colour=red", "label"),
        ("exited=x", "exit code"),
        ("name=(", "expression"),
        ("pod=p", "pods"),
        ("until=soon", "duration"),
    ] {
        env.ctr(&["ps", "--filter", term])?.refused(125, &[word])?;
    }
    for name in ["one", "two", "other"] {
        env.remove(name)?;
    }
    Ok(())
}

fn ps_orders_and_limits(env: &Env) -> Result<()> {
    let first = env.create("mm", &[], &["c"])?;
    let second = env.create("zz", &[], &["a"])?;
    let third = env.create("aa", &[], &["b"])?;
    let check = |flags: &[&str], expected: &[&String]| -> Result<()> {
        let mut words = vec!["ps", "-q", "--no-trunc"];
        words.extend(flags);
        env.ctr(&words)?.prints(&lines(expected))
    };
    let mut by_id = vec![&first, &second, &third];
    check(&["-a"], &by_id)?;
    check(&["-a", "--sort", "created"], &by_id)?;
    check(&["-a", "--sort", "names"], &[&third, &first, &second])?;
    check(&["-a", "--sort", "command"], &[&second, &third, &first])?;
    check(&["-a", "--sort", "status"], &by_id)?;
    by_id.sort();
    check(&["-a", "--sort", "id"], &by_id)?;
    // Those that were created last, running or not, and still the oldest first.
    check(&["-l"], &[&third])?;
    check(&["-n", "1"], &[&third])?;
    check(&["--last", "2"], &[&second, &third])?;
    check(&["-n", "9"], &[&first, &second, &third])?;
    check(&["-n", "2", "-f", "name=m|z"], &[&first, &second])?;
    // Without a limit, only what runs.
    check(&["-n", "0"], &[])?;
    check(&["-n", "-1"], &[])?;
    for (flags, word) in [
        (&["-n", "few"][..], "number"),
        (&["-n", ""], "number"),
        (&["-l", "-n", "2"], "exclude"),
        (&["--sort", "age"], "runningfor"),
        (&["--sort", "size"], "size"),
        (&["--sort", ""], "created"),
        (&["-s"], "size"),
        (&["--pod"], "pods"),
        (&["--ns"], "namespaces"),
        (&["--format", "{{.ID}}"], "json"),
    ] {
        let mut words = vec!["ps"];
        words.extend(flags);
        env.ctr(&words)?.refused(125, &[word])?;
    }
    env.ctr(&["rm", "mm", "zz", "aa"])?.prints("mm\nzz\naa\n")
}

/// Of every field its kind, as podman has it.
fn ps_json_has_the_types_of_podman(env: &Env) -> Result<()> {
    env.detached("t", &["--label", "a=b"], "sleep 1000")?;
    let text = env.ctr(&["ps", "--format", "json"])?.ok()?;
    let rows: Value = serde_json::from_str(&text).context("read what ps prints")?;
    let row = rows[0].as_object().context("a row is no object")?;
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let expected = [
        ("AutoRemove", "bool"),
        ("CIDFile", "string"),
        ("Command", "array"),
        ("Created", "number"),
        ("CreatedAt", "string"),
        ("ExitCode", "number"),
        ("Exited", "bool"),
        ("ExitedAt", "number"),
        ("ExposedPorts", "null"),
        ("Id", "string"),
        ("Image", "string"),
        ("ImageID", "string"),
        ("IsInfra", "bool"),
        ("Labels", "object"),
        ("Mounts", "array"),
        ("Names", "array"),
        ("Namespaces", "object"),
        ("Networks", "array"),
        ("Pid", "number"),
        ("Pod", "string"),
        ("PodName", "string"),
        ("Ports", "null"),
        ("Restarts", "number"),
        ("Size", "null"),
        ("StartedAt", "number"),
        ("State", "string"),
        ("Status", "string"),
    ];
    let found: Vec<(&str, &str)> = row
        .iter()
        .map(|(key, value)| (key.as_str(), kind(value)))
        .collect();
    ensure!(found == expected, "{found:?}");
    ensure!(row["ExitedAt"] == -62_135_596_800_i64, "{text}");
    ensure!(
        row["Pid"].as_i64() == Some(env.state_number("t", "Pid")?.into()),
        "{text}"
    );
    env.remove("t")
}

fn ps_shows_no_control_characters(env: &Env) -> Result<()> {
    let nasty = "\u{1b}[2Jx\r\u{202e}y\nz\u{9b}";
    env.create("n", &["--label", &format!("l={nasty}")], &["echo", nasty])?;
    for arguments in [&["ps", "-a"][..], &["ps", "-a", "--no-trunc"]] {
        let text = env.ctr(arguments)?.ok()?;
        ensure!(!text.contains(is_harmful), "{text:?}");
        ensure!(text.lines().count() == 2, "{text:?}");
    }
    env.remove("n")
}

fn exists_answers_by_its_code(env: &Env) -> Result<()> {
    let id = env.create("e", &[], &["true"])?;
    for there in ["e", &id, &id[..12]] {
        env.ctr(&["container", "exists", there])?.prints("")?;
    }
    env.ctr(&["container", "exists", "other"])?
        .prints_with(1, "")?;
    env.remove("e")
}

fn files_with_id_and_pid(env: &Env) -> Result<()> {
    let (cid, pid) = (env.name("cid"), env.name("pid"));
    let id = env.detached("f", &["--cidfile", &cid, "--pidfile", &pid], "sleep 1000")?;
    ensure!(fs::read_to_string(&cid).context("read the cidfile")?.trim() == id);
    let written = fs::read_to_string(&pid).context("read the pidfile")?;
    ensure!(
        written.trim() == env.state_number("f", "Pid")?.to_string(),
        "{written:?}"
    );
    // A file of an earlier container is not overwritten.
    env.run(&["--cidfile", &cid], &["true"])?
        .refused(125, &["cid"])?;
    ensure!(fs::read_to_string(&cid).context("read the cidfile")?.trim() == id);
    env.remove("f")
}

fn info_and_version(env: &Env) -> Result<()> {
    let version = env.ctr(&["version"])?.ok()?;
    ensure!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    let short = env.ctr(&["--version"])?.ok()?;
    ensure!(short.contains(env!("CARGO_PKG_VERSION")), "{short}");
    let info = env.ctr(&["info"])?.ok()?;
    let root = env.root().to_string_lossy().into_owned();
    ensure!(info.contains(&root), "{info}");
    ensure!(info.to_lowercase().contains("seccomp"), "{info}");
    Ok(())
}

fn help_is_there(env: &Env) -> Result<()> {
    for arguments in [&["--help"][..], &["run", "--help"], &["help"]] {
        let text = env.ctr(arguments)?.ok()?;
        ensure!(text.contains("Usage"), "{text}");
    }
    let help = env.ctr(&["--help"])?.ok()?;
    for verb in [
        "create", "run", "start", "stop", "kill", "rm", "ps", "inspect", "logs", "wait", "info",
        "version",
    ] {
        ensure!(help.contains(verb), "no {verb} in {help}");
    }
    Ok(())
}
