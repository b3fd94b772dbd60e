//! All ways in which a run can end, told apart afterwards.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::case::cases;
use crate::harness::env::Env;
use crate::harness::machine::cgroup_roots;
use crate::harness::reboot::RunFiles;
use crate::harness::tree::write;

cases! {
    Full every_ending_of_one_container,
    Full time_is_up,
    Full time_is_up_in_the_background,
    Full out_of_memory_in_the_first_process,
    Full out_of_memory_in_a_child,
    Full names_that_were_used_before,
    Full history_of_nobody,
}

/// Does what the file `/out/mode` says.
const SCRIPT: &str = "case $(cat /out/mode) in \
    zero) exit 0;; \
    three) exit 3;; \
    polite) trap 'exit 7' TERM;; \
    full) echo ready; until test -e /out/go; do sleep 0.02; done; x=$(yes | head -c 200000000);; \
    child) echo ready; until test -e /out/go; do sleep 0.02; done; \
        sh -c 'x=$(yes | head -c 200000000)'; exit 4;; \
    esac; echo ready; while :; do sleep 0.02; done";

/// What is said of a run: the words of the table and the fields of the object.
struct Ending {
    words: &'static str,
    code: i32,
    cause: &'static str,
    stop: Option<&'static str>,
    oom: Option<()>,
}

impl Ending {
    const fn new(
        words: &'static str,
        code: i32,
        cause: &'static str,
        stop: Option<&'static str>,
    ) -> Ending {
        let oom = None;
        Ending {
            words,
            code,
            cause,
            stop,
            oom,
        }
    }

    const fn with_oom(mut self) -> Ending {
        self.oom = Some(());
        self
    }

    fn check(&self, line: &str, run: &Value) -> Result<()> {
        ensure!(
            line.trim_end().contains(self.words),
            "{line:?} does not say {:?}",
            self.words
        );
        ensure!(line.contains(&format!(" {} ", self.code)), "{line:?}");
        ensure!(run["ExitCode"] == self.code, "{run}");
        ensure!(run["Cause"]["kind"] == self.cause, "{run}");
        ensure!(run["StopReason"].as_str() == self.stop, "{run}");
        ensure!(run["OOMKilled"] == self.oom.is_some(), "{run}");
        // Who had a part in it is named, and nobody else.
        ensure!(run["EndedBy"].is_object() == self.stop.is_some(), "{run}");
        ensure!(run["StartedBy"]["uid"] == 0, "{run}");
        let times = ["StartedAt", "FinishedAt"].map(|key| run[key].as_str());
        ensure!(times[0].is_some() && times[0] <= times[1], "{run}");
        Ok(())
    }
}

const ENDINGS: [Ending; 10] = [
    Ending::new(" ended", 0, "exited", None),
    Ending::new("failed with code 3", 3, "exited", None),
    Ending::new(
        "failed with code 7, stopped by ctr",
        7,
        "exited",
        Some("user"),
    ),
    Ending::new(
        "killed by SIGKILL, stopped by ctr",
        137,
        "signaled",
        Some("user"),
    ),
    Ending::new(
        "killed by SIGKILL, signalled by ctr",
        137,
        "signaled",
        Some("kill"),
    ),
    Ending::new("killed by SIGKILL", 137, "signaled", None),
    Ending::new("out of memory: killed by the kernel", 137, "signaled", None).with_oom(),
    Ending::new(
        "a process in it was killed for want of memory",
        4,
        "exited",
        None,
    )
    .with_oom(),
    Ending::new("its monitor was lost", -1, "lost", None),
    Ending::new("ended by a reboot", -1, "reboot", None),
];

const TOLD_BY_THE_KERNEL: Ending = Ending::new(
    "killed by SIGKILL; its monitor was killed before",
    137,
    "signaled",
    None,
);

/// Starts the container in a mode. One that does not end at once is waited for until it says that it is ready.
fn start(env: &Env, mode: &str) -> Result<()> {
    let out = env.path("out");
    write(&out.join("mode"), mode)?;
    fs::remove_file(out.join("go")).ok();
    let ready = env.ctr(&["logs", "c"])?.out().matches("ready").count();
    env.ctr(&["start", "c"])?.prints("c\n")?;
    if !matches!(mode, "zero" | "three") {
        env.wait_for_log("c", &"ready\n".repeat(ready + 1))?;
    }
    Ok(())
}

fn every_ending_of_one_container(env: &Env) -> Result<()> {
    let (_, volume) = env.out()?;
    let id = env.create("c", &["-v", &volume], &["sh", "-c", SCRIPT])?;
    for mode in ["zero", "three"] {
        start(env, mode)?;
        env.ctr(&["wait", "c"])?.ok()?;
        env.wait_for_cleanup("c")?;
    }
    start(env, "polite")?;
    env.ctr(&["stop", "-t", "-1", "c"])?.prints("c\n")?;
    start(env, "deaf")?;
    let output = env.ctr(&["stop", "-t", "1", "c"])?;
    ensure!(output.err().contains("SIGTERM"), "{output}");
    start(env, "deaf")?;
    env.ctr(&["kill", "-s", "KILL", "c"])?.prints("c\n")?;
    env.wait_for_cleanup("c")?;
    start(env, "deaf")?;
    env.first_process("c")?.signal(Signal::KILL)?;
    env.ctr(&["wait", "c"])?.prints("137\n")?;
    env.wait_for_cleanup("c")?;
    end_without_a_word(env)?;
    start(env, "deaf")?;
    env.reboot(RunFiles::Kept)?;
    check(env, "c")?;
    env.ctr(&["boot"])?.prints("")?;
    check(env, "c")?;
    env.ctr(&["rm", "c"])?.prints("c\n")?;
    // The ledger outlives the container.
    for what in ["c", &id, &id[..12], &id[..4]] {
        check(env, what).with_context(|| format!("of {what} after its removal"))?;
    }
    Ok(())
}

/// By lack of memory, and with the monitor before the program.
fn end_without_a_word(env: &Env) -> Result<()> {
    for mode in ["full", "child"] {
        start(env, mode)?;
        run_out_of_memory(env)?;
        env.ctr(&["wait", "c"])?.ok()?;
        env.wait_for_cleanup("c")?;
    }
    start(env, "deaf")?;
    let program = env.first_process("c")?;
    env.lose_monitor("c")?;
    Env::shoot(&program)?;
    env.ctr(&["container", "cleanup", "c"])?.prints("c\n")?;
    Ok(())
}

fn check(env: &Env, what: &str) -> Result<()> {
    let table = env.ctr(&["container", "history", what])?.ok()?;
    let runs = env.past_runs(what)?;
    let lines: Vec<&str> = table.lines().skip(1).collect();
    ensure!(
        lines.len() == ENDINGS.len() && runs.len() == ENDINGS.len(),
        "{table}"
    );
    for (number, ending) in ENDINGS.iter().enumerate() {
        let check = |ending: &Ending| ending.check(lines[number], &runs[number]);
        let checked = match ending.cause {
            // The kernel knows the end as long as nobody has reaped the process, which is up to the machine's first one.
            "lost" => check(ending).or_else(|_| check(&TOLD_BY_THE_KERNEL)),
            _ => check(ending),
        };
        checked.with_context(|| format!("run {} of\n{table}", number + 1))?;
        ensure!(runs[number]["Generation"] == number + 1, "{table}");
    }
    Ok(())
}

/// Gives the container little memory, then tells it to use much.
fn run_out_of_memory(env: &Env) -> Result<()> {
    const LITTLE: &str = "20000000";
    let state = &env.inspect("c")?["State"];
    let path = state["CgroupPath"]
        .as_str()
        .context("CgroupPath")?
        .to_owned();
    let file = memory_limit(&path)?;
    write(&file, LITTLE)?;
    // Where swap space is counted, it is not to help.
    let swap = ["memory.memsw.limit_in_bytes", "memory.swap.max"];
    for swap in swap.map(|name| file.with_file_name(name)) {
        if swap.exists() {
            write(&swap, LITTLE)?;
        }
    }
    write(&env.path("out").join("go"), "")
}

fn memory_limit(cgroup: &str) -> Result<PathBuf> {
    for root in cgroup_roots()? {
        for name in ["memory.limit_in_bytes", "memory.max"] {
            let file = root.join(cgroup.trim_start_matches('/')).join(name);
            if file.exists() {
                return Ok(file);
            }
        }
    }
    bail!("this machine cannot limit the memory of {cgroup}")
}

/// The program is killed, and everybody says why.
fn out_of_memory_in_the_first_process(env: &Env) -> Result<()> {
    let (_, volume) = env.out()?;
    env.create("c", &["-v", &volume], &["sh", "-c", SCRIPT])?;
    start(env, "full")?;
    run_out_of_memory(env)?;
    env.ctr(&["wait", "c"])?.prints("137\n")?;
    env.wait_for_cleanup("c")?;
    let state = &env.inspect("c")?["State"];
    ensure!(
        state["OOMKilled"] == true && state["ExitCode"] == 137,
        "{state}"
    );
    check_event(env, &Value::from("true"))?;
    // The next run is another one.
    start(env, "three")?;
    env.ctr(&["wait", "c"])?.prints("3\n")?;
    env.wait_for_cleanup("c")?;
    ensure!(env.inspect("c")?["State"]["OOMKilled"] == false);
    check_event(env, &Value::Null)?;
    env.remove("c")
}

/// The program goes on, and ends when and as it likes.
fn out_of_memory_in_a_child(env: &Env) -> Result<()> {
    let (_, volume) = env.out()?;
    env.create("c", &["-v", &volume], &["sh", "-c", SCRIPT])?;
    start(env, "child")?;
    run_out_of_memory(env)?;
    env.ctr(&["wait", "c"])?.prints("4\n")?;
    env.wait_for_cleanup("c")?;
    let state = &env.inspect("c")?["State"];
    ensure!(
        state["OOMKilled"] == true && state["ExitCode"] == 4,
        "{state}"
    );
    check_event(env, &Value::from("true"))?;
    env.remove("c")
}

/// What the last event of an end says of the memory.
fn check_event(env: &Env, expected: &Value) -> Result<()> {
    let events = env.events_of("c")?;
    let died = events.iter().rfind(|event| event["Status"] == "died");
    let died = died.context("an event of the end")?;
    ensure!(died["Attributes"]["oomKilled"] == *expected, "{died}");
    Ok(())
}

fn time_is_up(env: &Env) -> Result<()> {
    let rootfs = env.rootfs();
    let script = "trap '' TERM INT; echo ready; while :; do sleep 0.02; done";
    let words = [
        "run",
        "--name",
        "t",
        "--timeout",
        "1",
        "--rootfs",
        &rootfs,
        "sh",
        "-c",
        script,
    ];
    let output = env.ctr(&words)?;
    ensure!(output.code == 255 && output.out() == "ready\n", "{output}");
    env.ctr(&["wait", "t"])?.prints("255\n")?;
    let run = env.past_runs("t")?.swap_remove(0);
    ensure!(
        run["Cause"]["kind"] == "timeout" && run["ExitCode"] == 255,
        "{run}"
    );
    ensure!(
        run["StopReason"].is_null() && run["OOMKilled"] == false,
        "{run}"
    );
    let table = env.ctr(&["container", "history", "t"])?.ok()?;
    ensure!(table.contains("killed because its time was up"), "{table}");
    ensure!(env.inspect("t")?["State"]["ExitCode"] == 255);
    env.ctr(&["rm", "t"])?.prints("t\n")
}

fn time_is_up_in_the_background(env: &Env) -> Result<()> {
    // Nobody is there but the monitor, and the time begins anew with each run.
    let id = env.detached(
        "t",
        &["--timeout", "1", "--restart", "on-failure:1"],
        "sleep 1000",
    )?;
    env.wait_for_event("t", "cleanup", 2)?;
    Env::wait_for_cleaners(&id)?;
    for run in env.past_runs("t")? {
        ensure!(run["Cause"]["kind"] == "timeout", "{run}");
    }
    ensure!(env.generation("t")? == 2);
    env.remove("t")?;
    // One that ends before has its own code.
    env.run(&["--timeout", "1000"], &["sh", "-c", "exit 6"])?
        .prints_with(6, "")?;
    for wrong in ["-1", "x", "1.5"] {
        env.run(&[&format!("--timeout={wrong}")], &["true"])?
            .refused(125, &["--timeout", wrong])?;
    }
    Ok(())
}

/// The one that has the name now counts, and after it the one that had it last.
fn names_that_were_used_before(env: &Env) -> Result<()> {
    let mut ids = Vec::new();
    for code in ["1", "2"] {
        ids.push(env.detached("n", &[], &format!("exit {code}"))?);
        env.wait_for_cleanup("n")?;
        env.ctr(&["rm", "n"])?.prints("n\n")?;
    }
    for (what, code) in [("n", 2), (&ids[0], 1), (&ids[1], 2)] {
        let runs = env.past_runs(what)?;
        ensure!(
            runs.len() == 1 && runs[0]["ExitCode"] == code,
            "{what}: {runs:?}"
        );
    }
    env.create("n", &[], &["true"])?;
    ensure!(env.past_runs("n")?.is_empty(), "a new one has no past");
    env.ctr(&["container", "history", "n"])?.ok()?;
    env.ctr(&["rename", "n", "m"])?.prints("")?;
    ensure!(env.past_runs("n")?[0]["ExitCode"] == 2);
    env.remove("m")
}

fn history_of_nobody(env: &Env) -> Result<()> {
    env.ctr(&["container", "history", "nosuch"])?
        .refused(125, &["nosuch"])?;
    for words in [
        &["container", "history"][..],
        &["container", "history", "a", "b"],
    ] {
        env.ctr(words)?.refused(125, &["one"])?;
    }
    Ok(())
}
