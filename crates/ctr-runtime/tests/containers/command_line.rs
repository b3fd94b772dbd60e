//! The command line, as another engine would use it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;

use ctr_oci::DeleteMode;
use ctr_sys::{Deadline, ExitStatus, Launch, OutputLimits, Stdio, Subreaper, set_subreaper};
use serde_json::Value;

use crate::sandbox::{Sandbox, reap};

struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs this program as a runtime.
fn runtime(sandbox: &Sandbox, words: &[&str]) -> Answer {
    let output = command(sandbox, words)
        .output(OutputLimits {
            bytes: 1 << 20,
            deadline: Deadline::after(Duration::from_secs(60)),
        })
        .unwrap();
    Answer {
        code: output.status.map_or(-1, ExitStatus::code),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn command(sandbox: &Sandbox, words: &[&str]) -> Launch {
    Launch::program(std::env::current_exe().unwrap())
        .arg("oci-runtime")
        .arg("--root")
        .arg(sandbox.root())
        .arg("--log")
        .arg(sandbox.path().join("log"))
        .args(["--log-format", "json"])
        .args(words)
        .env("LISTEN_FDS", "5")
        .cwd(sandbox.bundle())
}

fn check_fails(sandbox: &Sandbox, words: &[&str], part: &str) {
    let answer = runtime(sandbox, words);
    assert_eq!(answer.code, 1, "{words:?}");
    assert!(answer.stderr.contains(part), "{words:?}: {}", answer.stderr);
    let log = std::fs::read_to_string(sandbox.path().join("log")).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "error");
    assert!(last["msg"].as_str().unwrap().contains(part), "{last}");
}

fn succeed(sandbox: &Sandbox, words: &[&str]) -> String {
    let answer = runtime(sandbox, words);
    assert_eq!(answer.code, 0, "{words:?}: {}", answer.stderr);
    answer.stdout
}

pub(crate) fn the_verbs_work_as_those_of_runc() {
    set_subreaper(Subreaper::On).unwrap();
    let sandbox = Sandbox::script("echo $LISTEN_FDS; exec sleep 1000");
    let id = sandbox.id.clone();
    sandbox.write_spec();
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let create = command(&sandbox, &["create", "--pid-file", "../pid", &id])
        .stdout(Stdio::Fd(write))
        .spawn()
        .unwrap();
    assert_eq!(create.wait().unwrap(), ExitStatus::Exited(0));
    let pid: i32 = std::fs::read_to_string(sandbox.pid_file())
        .unwrap()
        .parse()
        .unwrap();

    let state: Value = serde_json::from_str(&succeed(&sandbox, &["state", &id])).unwrap();
    assert_eq!(
        (&state["status"], &state["pid"]),
        (&"created".into(), &pid.into())
    );
    let bundle = sandbox.bundle();
    assert_eq!(state["bundle"].as_str(), bundle.to_str());
    check_fails(&sandbox, &["create", &id], "exists already");

    assert_eq!(succeed(&sandbox, &["start", &id]), "");
    let mut byte = [0];
    File::from(read).read_exact(&mut byte).unwrap();
    assert_eq!(byte, *b"\n", "the runtime's environment leaked");
    check_fails(&sandbox, &["delete", &id], "is running");
    succeed(&sandbox, &["kill", "--all", &id, "KILL"]);
    assert_eq!(reap(pid), ExitStatus::Signaled(ctr_sys::Signal::KILL));
    let state: Value = serde_json::from_str(&succeed(&sandbox, &["state", &id])).unwrap();
    assert_eq!(
        (&state["status"], &state["pid"]),
        (&"stopped".into(), &0.into())
    );
    succeed(&sandbox, &["delete", &id]);
    sandbox.assert_gone();
    check_fails(&sandbox, &["state", &id], "does not exist");
    succeed(&sandbox, &["delete", "--force", &id]);
    set_subreaper(Subreaper::Off).unwrap();
}

pub(crate) fn a_run_passes_signals_on_and_ends_as_its_container() {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let sandbox = Sandbox::script("trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done");
    sandbox.write_spec();
    let run = command(&sandbox, &["run", &sandbox.id])
        .stdout(Stdio::Fd(write))
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    File::from(read).read_exact(&mut ready).unwrap();
    run.kill(ctr_sys::Signal::TERM).unwrap();
    assert_eq!(run.wait().unwrap(), ExitStatus::Exited(3));
    sandbox.assert_gone();

    let sandbox = Sandbox::new(&["nonsense"]);
    sandbox.write_spec();
    check_fails(
        &sandbox,
        &["run", &sandbox.id],
        "executable file not found in",
    );
    sandbox.assert_gone();
}

/// A process that enters a container executes the runtime's program, and the container may hold it open and wait for its end.
pub(crate) fn the_program_cannot_be_overwritten() {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let sandbox = Sandbox::script("trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done");
    sandbox.write_spec();
    let run = command(&sandbox, &["run", &sandbox.id])
        .stdout(Stdio::Fd(write))
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    File::from(read).read_exact(&mut ready).unwrap();
    let program = File::open(format!("/proc/{}/exe", run.pid())).unwrap();
    run.kill(ctr_sys::Signal::TERM).unwrap();
    assert_eq!(run.wait().unwrap(), ExitStatus::Exited(3));
    let path = format!("/proc/self/fd/{}", program.as_raw_fd());
    match File::options().write(true).open(path) {
        // The file itself would be busy, because these tests are in it.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem),
        Ok(copy) => {
            let seals = rustix::fs::fcntl_get_seals(&copy).unwrap();
            assert!(seals.contains(rustix::fs::SealFlags::WRITE));
        }
    }
    sandbox.assert_gone();
}

pub(crate) fn descriptors_are_passed_on_as_asked() {
    set_subreaper(Subreaper::On).unwrap();
    let sandbox = Sandbox::new(&["sleep", "1000"]);
    let id = sandbox.id.clone();
    sandbox.write_spec();
    succeed(&sandbox, &["create", "--pid-file", "../pid", &id]);
    succeed(&sandbox, &["start", &id]);
    let pid = std::fs::read_to_string(sandbox.pid_file()).unwrap();
    let exec = |preserved: &str| {
        let script =
            "for fd in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$fd ] && echo $fd; done; cat <&3";
        let file = File::open("/proc/sys/kernel/ostype").unwrap();
        let output = command(
            &sandbox,
            &["exec", "--preserve-fds", preserved, &id, "sh", "-c", script],
        )
        .fd(3, file.into())
        .output(OutputLimits {
            bytes: 1 << 20,
            deadline: Deadline::after(Duration::from_secs(60)),
        })
        .unwrap();
        let code = output.status.map_or(-1, ExitStatus::code);
        (code, String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(exec("1"), (0, "3\nLinux\n".to_owned()));
    // What the caller has not opened is not replaced by something of the runtime's.
    assert_eq!(exec("2"), (255, String::new()));
    // 0: the script fails, having nothing to read.
    assert_eq!(exec("0").1, "");
    succeed(&sandbox, &["delete", "--force", &id]);
    reap(pid.parse().unwrap());
    sandbox.assert_gone();
    set_subreaper(Subreaper::Off).unwrap();
}

/// As from a program whose children talk to it through sockets: those cannot be opened by their names.
pub(crate) fn limits_come_through_a_socket() {
    let sandbox = Sandbox::new(&["true"]);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    (&ours).write_all(br#"{"pids":{"limit":7}}"#).unwrap();
    drop(ours);
    let output = command(&sandbox, &["update", "--resources", "-", "nobody"])
        .stdin(Stdio::Fd(theirs.into()))
        .output(OutputLimits {
            bytes: 1 << 20,
            deadline: Deadline::after(Duration::from_secs(60)),
        })
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, "Error: container nobody does not exist\n");
}

pub(crate) fn errors_go_to_the_log_and_leave_nothing() {
    let sandbox = Sandbox::new(&["nonsense"]);
    sandbox.write_spec();
    check_fails(
        &sandbox,
        &["create", &sandbox.id],
        "executable file not found in",
    );
    sandbox.assert_gone();
    check_fails(&sandbox, &["nonsense"], "unknown verb");
    check_fails(&sandbox, &["--systemd-cgroup", "state", "x"], "cgroupfs");
    check_fails(&sandbox, &["state", "../x"], "container id");
    sandbox.delete(DeleteMode::Force).unwrap();
}

pub(crate) fn features_and_version_are_told() {
    let sandbox = Sandbox::new(&["true"]);
    let features: Value = serde_json::from_str(&succeed(&sandbox, &["features"])).unwrap();
    assert_eq!(features["linux"]["seccomp"]["enabled"], Value::Bool(false));
    assert!(succeed(&sandbox, &["--version"]).contains("spec: 1."));
    assert!(succeed(&sandbox, &["--help"]).starts_with("Usage:"));
}
