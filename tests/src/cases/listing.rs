//! What is told about containers and about the program: `ps`, `inspect`, `container exists`, `info`, `version`.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::harness::case::cases;
use crate::harness::env::Env;

cases! {
    Core ps_shows_what_there_is,
    Full ps_as_json,
    Full ps_shows_no_control_characters,
    Full inspect_has_the_fields_of_podman,
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

fn ps_shows_no_control_characters(env: &Env) -> Result<()> {
    let nasty = "\u{1b}[2Jx\r\u{202e}y\nz\u{9b}";
    env.create("n", &["--label", &format!("l={nasty}")], &["echo", nasty])?;
    for arguments in [&["ps", "-a"][..], &["ps", "-a", "--no-trunc"]] {
        let text = env.ctr(arguments)?.ok()?;
        let bad = |letter: char| (letter.is_control() && letter != '\n') || letter == '\u{202e}';
        ensure!(!text.contains(bad), "{text:?}");
        ensure!(text.lines().count() == 2, "{text:?}");
    }
    env.remove("n")
}

fn inspect_has_the_fields_of_podman(env: &Env) -> Result<()> {
    let flags = [
        "-e",
        "A=b",
        "-w",
        "/tmp",
        "-u",
        "1000",
        "--hostname",
        "box",
        "--stop-signal",
        "INT",
    ];
    let id = env.detached("i", &flags, "sleep 1000")?;
    let value = env.inspect("i")?;
    for key in [
        "Id",
        "Created",
        "Path",
        "Args",
        "State",
        "Name",
        "Config",
        "HostConfig",
        "Mounts",
        "OCIRuntime",
    ] {
        ensure!(!value[key].is_null(), "no {key}");
    }
    ensure!(value["Id"] == id.as_str() && value["Name"] == "i");
    ensure!(value["State"]["Running"] == true && value["State"]["Status"] == "running");
    let config = &value["Config"];
    ensure!(
        config["Hostname"] == "box" && config["User"] == "1000",
        "{config}"
    );
    ensure!(config["WorkingDir"] == "/tmp", "{config}");
    let variables = config["Env"].as_array().context("Env is no array")?;
    ensure!(variables.iter().any(|entry| entry == "A=b"), "{config}");
    env.remove("i")?;
    // For one that is not there, an empty list on standard output and a line on standard error.
    let output = env.ctr(&["inspect", "i"])?;
    ensure!(
        output.code == 125 && output.out().trim() == "[]",
        "{output}"
    );
    output.one_error(&["i"])
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
