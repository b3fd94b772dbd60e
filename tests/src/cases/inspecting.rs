//! What `inspect` tells.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::output::{Output, is_harmful};

cases! {
    Full inspect_has_the_fields_of_podman,
    Full inspect_before_a_run,
    Full inspect_tells_what_a_run_was_given,
    Full inspect_of_several,
    Full inspect_escapes_what_others_chose,
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

fn inspect_before_a_run(env: &Env) -> Result<()> {
    let value = |name: &str| env.inspect(name);
    env.create(
        "root",
        &["-v", "/proc/sys:/data:ro", "--stop-timeout", "0"],
        &["sh", "-c", "sleep 1000"],
    )?;
    env.create("number", &["-u", "7:8"], &["true"])?;
    env.create("name", &["-u", "nobody"], &["true"])?;
    let all = json!([
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_NET_BIND_SERVICE",
        "CAP_SETFCAP",
        "CAP_SETGID",
        "CAP_SETPCAP",
        "CAP_SETUID",
        "CAP_SYS_CHROOT"
    ]);
    let made = value("root")?;
    ensure!(
        made["EffectiveCaps"] == all && made["BoundingCaps"] == all,
        "{made}"
    );
    ensure!(value("number")?["EffectiveCaps"] == json!([]));
    // Only the files of the container tell who that is, so nobody guesses.
    ensure!(value("name")?["EffectiveCaps"].is_null());
    for (field, expected) in [
        ("/State/FinishedAt", json!("0001-01-01T00:00:00Z")),
        ("/State/CheckpointedAt", json!("0001-01-01T00:00:00Z")),
        ("/ExecIDs", json!([])),
        ("/ProcessLabel", json!("")),
        ("/NetworkSettings/Ports", json!({})),
        ("/NetworkSettings/IPAddress", json!("")),
        ("/Config/Umask", json!("0022")),
        ("/Config/Timeout", json!(0)),
        ("/Config/Tty", json!(false)),
        ("/Config/OpenStdin", json!(false)),
        ("/Config/Env", json!([])),
        (
            "/HostConfig/RestartPolicy",
            json!({"Name": "no", "MaximumRetryCount": 0}),
        ),
        ("/HostConfig/PidMode", json!("private")),
        ("/HostConfig/UTSMode", json!("private")),
        ("/HostConfig/IpcMode", json!("private")),
        ("/HostConfig/Ulimits", json!([])),
        ("/HostConfig/Memory", json!(0)),
        ("/HostConfig/Binds", json!(["/proc/sys:/data:ro"])),
        ("/Mounts/0/RW", json!(false)),
        ("/Mounts/0/Propagation", json!("rprivate")),
    ] {
        ensure!(made.pointer(field) == Some(&expected), "{field}: {made}");
    }
    env.ctr(&["rm", "root", "number", "name"])?.ok()?;
    Ok(())
}

fn inspect_tells_what_a_run_was_given(env: &Env) -> Result<()> {
    env.detached("root", &[], "sleep 1000")?;
    let runs = env.inspect("root")?;
    let pid = env.state_number("root", "Pid")?;
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).context("read the status")?;
    ensure!(status.contains("Umask:\t0022"), "{status}");
    // What it tells is what the kernel says.
    let limits =
        std::fs::read_to_string(format!("/proc/{pid}/limits")).context("read the limits")?;
    let open_files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let limit = runs["HostConfig"]["Ulimits"][0].clone();
    ensure!(limit["Name"] == "RLIMIT_NOFILE", "{runs}");
    let soft = limit["Soft"].to_string();
    let words: Vec<&str> = open_files.unwrap_or_default().split_whitespace().collect();
    ensure!(words.contains(&soft.as_str()), "{soft}: {words:?}");
    let shm = runs["HostConfig"]["ShmSize"].to_string();
    env.ctr(&["rm", "-f", "root"])?.ok()?;
    let kib = env
        .run(
            &[],
            &["sh", "-c", "df -k /dev/shm | tail -1 | awk '{print $2}'"],
        )?
        .ok()?;
    ensure!(
        kib.trim().parse::<u64>()? * 1024 == shm.parse::<u64>()?,
        "{kib} {shm}"
    );
    let variables = runs["Config"]["Env"]
        .as_array()
        .context("Env is no array")?;
    ensure!(
        variables.iter().any(|entry| entry == "HOME=/root"),
        "{variables:?}"
    );
    Ok(())
}

fn inspect_of_several(env: &Env) -> Result<()> {
    env.create("a", &[], &["true"])?;
    let newest = env.create("b", &[], &["true"])?;
    let output = env.ctr(&["inspect", "a", "nosuch", "b"])?;
    ensure!(output.code == 125, "{output}");
    output.one_error(&["nosuch"])?;
    let list: Value = serde_json::from_str(&output.out()).context("read what inspect prints")?;
    let names = [&list[0]["Name"], &list[1]["Name"], &list[2]["Name"]];
    ensure!(
        names == [&json!("a"), &json!("b"), &Value::Null],
        "{output}"
    );
    let latest = env.ctr(&[
        "inspect",
        "--latest",
        "--type",
        "container",
        "--format",
        "json",
    ])?;
    let list: Value = serde_json::from_str(&latest.ok()?).context("read what inspect prints")?;
    ensure!(list[0]["Id"] == newest.as_str(), "{list}");
    env.ctr(&["inspect", "-l", "a"])?
        .refused(125, &["--latest", "names"])?;
    env.ctr(&["inspect", "-t", "image", "a"])?
        .refused(125, &["--type", "image"])?;
    env.ctr(&["inspect", "-t", "", "a"])?
        .refused(125, &["--type"])?;
    env.ctr(&["inspect", "-f", "{{.Id}}", "a"])?
        .refused(125, &["json"])?;
    env.ctr(&["rm", "a", "b"])?.prints("a\nb\n")
}

/// What JSON allows to stand as it is may still move a terminal.
fn inspect_escapes_what_others_chose(env: &Env) -> Result<()> {
    let nasty = "\u{1b}[2Jx\r\u{202e}y\u{9b}\u{7f}";
    let pair = |key: &str| format!("{key}={nasty}");
    let (label, variable, note) = (pair("l"), pair("V"), pair("n"));
    let flags = ["--label", &label, "-e", &variable, "--annotation", &note];
    env.create("n", &flags, &["echo", nasty])?;
    for words in [&["inspect", "n"][..], &["ps", "-a", "--format", "json"]] {
        let text = env.ctr(words)?.ok()?;
        ensure!(!text.contains(is_harmful), "{text:?}");
        let value: Value = serde_json::from_str(&text).context("read the JSON")?;
        let labels = value[0]
            .pointer("/Config/Labels")
            .or_else(|| value[0].pointer("/Labels"));
        ensure!(labels.is_some_and(|labels| labels["l"] == nasty), "{text}");
    }
    let plain = |output: &Output| {
        let err = output.err();
        ensure!(!err.contains(is_harmful), "{err:?}");
        Ok(())
    };
    for verb in ["inspect", "start", "stop", "kill", "rm", "wait", "logs"] {
        let output = env.ctr(&[verb, nasty])?;
        ensure!(output.code != 0, "{output}");
        plain(&output)?;
        output.one_error(&["no such container"])?;
    }
    for flags in [
        ["--filter", nasty],
        ["--sort", nasty],
        ["--last", nasty],
        ["--format", nasty],
    ] {
        let output = env.ctr(&["ps", flags[0], flags[1]])?;
        plain(&output)?;
        output.refused(125, &[])?;
    }
    env.remove("n")
}
