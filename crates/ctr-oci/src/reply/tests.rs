//! Every text here was printed by the runtime that it stands under (runc 1.1.5, crun 1.8.1), but for the ones marked otherwise.

use ctr_sys::Signal;

use super::*;
use crate::failure::FailureKind as Kind;

fn failed(log: &str, stderr: &str) -> RuntimeReply {
    RuntimeReply {
        status: ExitStatus::Exited(1),
        log: log.to_owned(),
        stdout: Vec::new(),
        stderr: stderr.as_bytes().to_vec(),
    }
}

fn check_log(operation: &str, log: &str, kind: Kind, message: &str) {
    let failure = failed(log, "noise\n").success("rt", operation).unwrap_err();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (kind, message),
        "{log}"
    );
    assert_eq!(failure.raw, log);
    assert_eq!(
        (failure.runtime.as_str(), failure.operation.as_str()),
        ("rt", operation)
    );
}

/// `message` as the message of an error line, in the operation `create`.
fn check_create(message: &str, kind: Kind) {
    let line =
        serde_json::json!({"level": "error", "msg": message, "time": "2026-11-23T17:07:47Z"});
    check_log("create", &line.to_string(), kind, message);
}

#[test]
fn runc_says_why_it_cannot_execute() {
    let create = "runc create failed: unable to start container process: ";
    let check = |text: &str, kind| check_create(&format!("{create}{text}"), kind);
    check(
        r#"exec: "nosuch": executable file not found in $PATH"#,
        Kind::CommandNotFound,
    );
    check(
        r#"exec: "": executable file not found in $PATH"#,
        Kind::CommandNotFound,
    );
    check(
        r#"exec: "/bin/nosuch": stat /bin/nosuch: no such file or directory"#,
        Kind::CommandNotFound,
    );
    check(
        r#"exec: "/usr": permission denied"#,
        Kind::CommandNotExecutable,
    );
    // Newer than 1.1.5, from its source.
    check(
        r#"exec: "/usr": is a directory"#,
        Kind::CommandNotExecutable,
    );
    check(
        "exec /etc/rootonly: permission denied",
        Kind::CommandNotExecutable,
    );
    check(
        r#"error during container init: error mounting "/nosrc" to rootfs at "/x": stat /nosrc: no such file or directory"#,
        Kind::Other,
    );
    check(
        "error during container init: mkdir /bin/true: not a directory",
        Kind::Other,
    );
    check(
        "error during container init: error setting rlimit type 7: operation not permitted",
        Kind::PermissionDenied,
    );
}

#[test]
fn crun_says_why_it_cannot_execute() {
    check_create(
        "executable file `nosuch` not found in $PATH: No such file or directory",
        Kind::CommandNotFound,
    );
    check_create(
        "open executable: Permission denied",
        Kind::CommandNotExecutable,
    );
    check_create(
        "open executable: Operation not permitted",
        Kind::CommandNotExecutable,
    );
    check_create(
        "exec container process `/etc/noformat`: Exec format error",
        Kind::CommandNotExecutable,
    );
    check_create(
        "exec container process (missing dynamic library?) `/etc/badinterp`: No such file or directory",
        Kind::CommandNotFound,
    );
    check_create(
        "error stat'ing file `/nosrc`: No such file or directory",
        Kind::Other,
    );
    check_create(
        "cgroups in hybrid mode not supported, drop all controllers from cgroupv2",
        Kind::Other,
    );
    check_create(
        "setrlimit (RLIM_MEMLOCK): Operation not permitted",
        Kind::PermissionDenied,
    );
}

#[test]
fn a_missing_container_is_told_from_a_missing_file() {
    let runc =
        r#"{"level":"error","msg":"container does not exist","time":"2026-11-23T17:07:47Z"}"#;
    let crun = concat!(
        r#"{"msg":"error opening file `/run/x/c1/status`: No such file or directory","#,
        r#""level":"error","time":"2026-11-23T17:07:51.936468Z"}"#
    );
    let crun_message = "error opening file `/run/x/c1/status`: No such file or directory";
    for operation in ["start", "state", "kill", "delete"] {
        check_log(
            operation,
            runc,
            Kind::NoSuchContainer,
            "container does not exist",
        );
        check_log(operation, crun, Kind::NoSuchContainer, crun_message);
    }
    check_log("create", runc, Kind::Other, "container does not exist");
    let alive = r#"{"level":"error","msg":"container not running"}"#;
    check_log("kill", alive, Kind::Other, "container not running");
}

#[test]
fn the_last_error_of_the_log_counts() {
    let log = concat!(
        "{\"level\":\"error\",\"msg\":\"first\"}\n",
        "not json\n",
        "{\"level\":\"error\",\"msg\":\"second\\nline\"}\n",
        "{\"level\":\"warning\",\"msg\":\"later\"}\n",
    );
    check_log("create", log, Kind::Other, "second line");
    let youki = r#"{"timestamp":"t","level":"ERROR","fields":{"message":"executable 'x' not found in $PATH"},"target":"t"}"#;
    check_log(
        "create",
        youki,
        Kind::CommandNotFound,
        "executable 'x' not found in $PATH",
    );
    let flat =
        r#"{"timestamp":"t","level":"ERROR","message":"container x does not exist","target":"t"}"#;
    check_log(
        "state",
        flat,
        Kind::NoSuchContainer,
        "container x does not exist",
    );
    let stated =
        r#"{"level":"error","msg":"linux.seccomp is not enforced","failure_kind":"unsupported"}"#;
    check_log(
        "create",
        stated,
        Kind::Unsupported,
        "linux.seccomp is not enforced",
    );
}

#[test]
fn without_a_log_the_end_of_stderr_is_the_message() {
    let check = |log, stderr, message: &str| {
        let failure = failed(log, stderr).success("rt", "create").unwrap_err();
        assert_eq!(
            (failure.kind, failure.message.as_str()),
            (Kind::Other, message)
        );
    };
    check("", "warning: x\nit broke \u{1b}[31m\n\n", "it broke  [31m");
    check("{\"level\":\"info\",\"msg\":\"x\"}", "y", "y");
    check("plain", "", "plain");
    check("", "", "it exited with code 1 and said nothing");
    let mut killed = failed("", "");
    killed.status = ExitStatus::Signaled(Signal::KILL);
    let failure = killed.success("rt", "create").unwrap_err();
    assert_eq!(failure.message, "it was killed by SIGKILL and said nothing");
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let long = "ü".repeat(KEPT_TEXT);
    let failure = failed("", &long).success("rt", "create").unwrap_err();
    assert_eq!(failure.message.len(), KEPT_TEXT);
    assert_eq!(failure.raw.len(), KEPT_TEXT);
    assert_eq!(tail("short"), "short");
    assert_eq!(
        tail(&format!("ü{}", "x".repeat(KEPT_TEXT - 1))).len(),
        KEPT_TEXT - 1
    );
}

fn check_state(stdout: &str, expected: Result<(RuntimeStatus, Option<i32>), Kind>) {
    let reply = RuntimeReply {
        status: ExitStatus::Exited(0),
        log: String::new(),
        stdout: stdout.as_bytes().to_vec(),
        stderr: Vec::new(),
    };
    let state = reply.state("rt");
    let state = state
        .map(|state| (state.status, state.pid))
        .map_err(|failure| failure.kind);
    assert_eq!(state, expected, "{stdout}");
}

#[test]
fn states() {
    use RuntimeStatus::{Created, Creating, Paused, Running, Stopped};
    let runc = r#"{"ociVersion":"1.0.2-dev","id":"c3","pid":11079,"status":"created","bundle":"/b","rootfs":"/b/rootfs",
        "created":"2026-11-23T17:12:37.50085563Z","owner":""}"#;
    check_state(runc, Ok((Created, Some(11079))));
    let crun = r#"{"ociVersion":"1.0.0","id":"c1","pid":0,"status":"stopped","bundle":"/b","rootfs":"rootfs",
        "created":"2026-11-23T17:12:33.287583Z","systemd-scope":"","owner":"root"}"#;
    check_state(crun, Ok((Stopped, None)));
    check_state(r#"{"status":"creating"}"#, Ok((Creating, None)));
    check_state(r#"{"status":"running","pid":1}"#, Ok((Running, Some(1))));
    check_state(r#"{"status":"paused","pid":-1}"#, Ok((Paused, None)));
    for garbage in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"status":"fine"}"#,
        r#"{"status":"running","pid":"1"}"#,
        "<html>",
    ] {
        check_state(garbage, Err(Kind::BadAnswer));
    }
}

#[test]
fn executing_another_process_fails_as_a_creation_does() {
    let check = |message: &str, kind| {
        let line = serde_json::json!({"level": "error", "msg": message});
        check_log("exec", &line.to_string(), kind, message);
    };
    let runc =
        "exec failed: unable to start container process: exec: \"/plain\": permission denied";
    check(runc, Kind::CommandNotExecutable);
    check("exec: No such file or directory", Kind::CommandNotFound);
    check("exec: Exec format error", Kind::CommandNotExecutable);
    check("open executable: Not a directory", Kind::CommandNotFound);
    let youki = "error in executing command: failed to create container: executable '/plain' at path \
        '\"/plain\"' does not have correct permissions";
    check(youki, Kind::CommandNotExecutable);
    check("container does not exist", Kind::NoSuchContainer);
}

#[test]
fn backtraces_are_no_part_of_a_message() {
    let line = r#"{"level":"ERROR","message":"executable 'x' not found in $PATH\n\nStack backtrace:\n   0: <unknown>"}"#;
    let message = "executable 'x' not found in $PATH";
    check_log("exec", line, Kind::CommandNotFound, message);
}

#[test]
fn processes() {
    let check = |stdout: &str, expected: Result<&[i32], Kind>| {
        let reply = RuntimeReply {
            status: ExitStatus::Exited(0),
            stdout: stdout.as_bytes().to_vec(),
            ..failed("", "")
        };
        let pids = reply.processes("rt").map_err(|failure| failure.kind);
        assert_eq!(pids.as_deref().map_err(|kind| *kind), expected, "{stdout}");
    };
    check("[2,1]\n", Ok(&[1, 2]));
    check("[]", Ok(&[]));
    check("null", Ok(&[]));
    for garbage in ["", "{}", "[\"1\"]", "PID\n1\n"] {
        check(garbage, Err(Kind::BadAnswer));
    }
}
