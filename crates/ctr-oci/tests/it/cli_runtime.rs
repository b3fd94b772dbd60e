//! Runtimes that misbehave, each a real process.

use std::time::Duration;

use ctr_oci::{
    CliRuntime, CliRuntimeConfig, DeleteMode, FailureKind, KillScope, OciRuntime, RuntimeFailure,
    RuntimeStatus, Target,
};
use ctr_sys::{Deadline, Signal, Sync, replace_file};

use crate::fake::{Fake, patient, read_all};

pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(100))
}

pub(crate) fn check_failure<T: std::fmt::Debug>(
    result: Result<T, RuntimeFailure>,
    kind: FailureKind,
    message: &str,
) {
    let failure = result.expect_err("the call fails");
    assert_eq!(failure.kind, kind, "{failure:?}");
    assert!(failure.message.contains(message), "{failure:?}");
    assert_eq!(failure.runtime, "fake");
}

pub(crate) const KILLED: &str = "did not answer within its deadline and was killed";

#[test]
fn a_hanging_create_is_killed_at_its_deadline() {
    let fake = Fake::new("exec sleep 100000");
    let (result, output) = fake.create(soon());
    check_failure(result, FailureKind::Timeout, KILLED);
    // The end of the pipe's last writer, the runtime, is what this waits for.
    assert_eq!(read_all(output), "");
    assert_eq!(fake.leftover_logs(), 0);
}

#[test]
fn every_other_call_has_a_deadline_too() {
    let fake = Fake::new("exec sleep 100000");
    let target = || fake.target_until(soon());
    let runtime = &fake.runtime;
    check_failure(runtime.start(target()), FailureKind::Timeout, KILLED);
    check_failure(runtime.state(target()), FailureKind::Timeout, KILLED);
    check_failure(
        runtime.kill(target(), Signal::TERM, KillScope::All),
        FailureKind::Timeout,
        KILLED,
    );
    check_failure(
        runtime.delete(target(), DeleteMode::Force),
        FailureKind::Timeout,
        KILLED,
    );
    check_failure(runtime.features(soon()), FailureKind::Timeout, KILLED);
}

#[test]
fn nothing_is_executed_after_the_deadline() {
    let fake = Fake::new("touch $DIR/called");
    let expired = Deadline::after(Duration::ZERO);
    let result = fake.runtime.start(fake.target_until(expired));
    check_failure(result, FailureKind::Timeout, "before it was called");
    assert!(!fake.temp.path().join("called").exists());
}

#[test]
fn much_output_does_not_stop_a_call() {
    let noise = "head -c 204800 /dev/zero | tr '\\0' x >&2; echo >&2; echo last words >&2";
    let fake = Fake::new(&format!("{noise}; exit 1"));
    let failure = fake.runtime.start(fake.target()).unwrap_err();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::Other, "last words")
    );
    assert_eq!(failure.raw.len(), 4096);
    let fake = Fake::new(&format!(
        "{noise}; echo '{{\"status\":\"running\",\"pid\":7}}'"
    ));
    let state = fake.runtime.state(fake.target()).unwrap();
    assert_eq!((state.status, state.pid), (RuntimeStatus::Running, Some(7)));
}

#[test]
fn a_refusal_is_read_from_the_log() {
    let fake = Fake::new(
        r#"echo '{"level":"info","msg":"x"}' >>"$LOG"
        echo '{"level":"error","msg":"runc create failed: unable to start container process: exec: \"no\": executable file not found in $PATH"}' >>"$LOG"
        echo "runc create failed" >&2
        exit 1"#,
    );
    let (result, output) = fake.create(patient());
    let failure = result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::CommandNotFound);
    assert_eq!(
        failure.to_string(),
        "OCI runtime fake failed to create the container: runc create failed: unable to start container process: \
         exec: \"no\": executable file not found in $PATH"
    );
    assert!(
        failure.raw.starts_with(r#"{"level":"info""#),
        "{}",
        failure.raw
    );
    // The container's streams are not ours to read.
    assert_eq!(read_all(output), "runc create failed\n");
    assert_eq!(fake.leftover_logs(), 0);
}

#[test]
fn a_create_hands_over_the_streams_and_reports_the_pid() {
    let fake = Fake::new(
        r#"cat; echo out; echo err >&2; echo 4711 >"$PID_FILE"; printf '%s\n' "$@" >"$DIR/argv"; pwd >"$DIR/cwd""#,
    );
    let (result, output) = fake.create(patient());
    assert_eq!(result.unwrap().pid, 4711);
    assert_eq!(read_all(output), "out\nerr\n");
    assert_eq!(fake.file("cwd"), "/\n");
    let directory = fake.temp.path().display().to_string();
    let argv = fake.file("argv").replace(&directory, "DIR");
    let mut words: Vec<_> = argv.lines().collect();
    let log = std::mem::replace(&mut words[3], "LOG");
    assert!(log.starts_with("DIR/logs/runtime-"), "{log}");
    assert_eq!(
        words.join(" "),
        "--root DIR/state --log LOG --log-format json create --bundle DIR --pid-file DIR/pid c1"
    );
}

#[test]
fn a_create_without_a_pid_is_no_success() {
    let check = |script: &str, message: &str| {
        let fake = Fake::new(script);
        replace_file(&fake.pid_file(), b"1", 0o600, Sync::No).unwrap();
        let (result, _output) = fake.create(patient());
        check_failure(result, FailureKind::BadAnswer, message);
    };
    check("", "it left no readable pid file");
    check(r#": >"$PID_FILE""#, "it wrote no pid");
    check(r#"echo 0 >"$PID_FILE""#, "it wrote no pid");
    check(r#"echo -1 >"$PID_FILE""#, "it wrote no pid");
    check(r#"echo x >"$PID_FILE""#, "it wrote no pid");
    check(r#"echo 99999999999 >"$PID_FILE""#, "it wrote no pid");
}

#[test]
fn garbage_for_a_state_is_a_bad_answer() {
    let fake = Fake::new("echo '<html>'");
    let failure = fake.runtime.state(fake.target()).unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadAnswer);
    assert_eq!(failure.raw, "<html>\n");
}

#[test]
fn a_container_that_is_not_there_may_be_deleted_by_force_only() {
    let fake =
        Fake::new(r#"echo '{"level":"error","msg":"container does not exist"}' >>"$LOG"; exit 1"#);
    fake.runtime
        .delete(fake.target(), DeleteMode::Force)
        .unwrap();
    let refused = fake.runtime.delete(fake.target(), DeleteMode::Stopped);
    check_failure(
        refused,
        FailureKind::NoSuchContainer,
        "container does not exist",
    );
}

#[test]
fn the_environment_is_the_one_that_was_given() {
    let script = "tr '\\0' '\\n' </proc/$$/environ >$DIR/environ";
    let fake = Fake::new(script);
    fake.runtime.start(fake.target()).unwrap();
    let standard = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n";
    assert_eq!(fake.file("environ"), standard);
    let fake = Fake::with(script, |config| {
        config.path = Some("/usr/bin:/bin".into());
        config.xdg_runtime_dir = Some("/run/user/0".into());
    });
    fake.runtime.start(fake.target()).unwrap();
    assert_eq!(
        fake.file("environ"),
        "PATH=/usr/bin:/bin\nXDG_RUNTIME_DIR=/run/user/0\n"
    );
}

#[test]
fn a_signal_goes_out_as_a_number() {
    let fake = Fake::new(r#"shift 6; echo "$@" >"$DIR/argv""#);
    fake.runtime
        .kill(fake.target(), Signal::TERM, KillScope::All)
        .unwrap();
    assert_eq!(fake.file("argv"), "kill --all c1 15\n");
}

#[test]
fn a_bad_id_reaches_no_runtime() {
    let fake = Fake::new("touch $DIR/called");
    for id in ["--force", "../x", "a b", ""] {
        let target = Target {
            id,
            ..fake.target()
        };
        check_failure(
            fake.runtime.start(target),
            FailureKind::Other,
            "invalid container id",
        );
        check_failure(
            fake.runtime.state(target),
            FailureKind::Other,
            "invalid container id",
        );
    }
    assert!(!fake.temp.path().join("called").exists());
}

#[test]
fn a_program_that_is_missing_or_unusable_is_told_apart_from_a_refusal() {
    let temp = tempfile::tempdir().unwrap();
    let check = |program: &str, mode: Option<u32>, message: &str| {
        let path = temp.path().join(program);
        if let Some(mode) = mode {
            replace_file(&path, b"#!/nonexistent\n", mode, Sync::No).unwrap();
        }
        let runtime = CliRuntime::new(CliRuntimeConfig::new("fake", path, temp.path()));
        let target = Target {
            root: temp.path(),
            id: "c1",
            deadline: patient(),
        };
        check_failure(runtime.state(target), FailureKind::RuntimeMissing, message);
        check_failure(
            runtime.features(patient()),
            FailureKind::RuntimeMissing,
            message,
        );
    };
    check("gone", None, "is not installed");
    check(".", None, "it is not a regular file");
    check("plain", Some(0o644), "it is not executable");
    check("open", Some(0o757), "everybody may write to it");
    check("no-interpreter", Some(0o755), "start ");
}

#[test]
fn a_log_that_cannot_be_kept_is_an_error() {
    let fake = Fake::with("", |config| config.log_dir.push("missing"));
    check_failure(
        fake.runtime.start(fake.target()),
        FailureKind::Other,
        "keep a log in",
    );
}

#[test]
fn features_come_from_both_questions() {
    let script = r#"case $1 in
        --version) printf 'thing version 1.2.3\nspec: 1.0.2\n';;
        features) echo '{"ociVersionMax":"1.2.0"}';;
    esac"#;
    let features = Fake::new(script).runtime.features(patient()).unwrap();
    assert_eq!(features.name, "thing");
    assert_eq!(features.version.as_deref(), Some("1.2.3"));
    assert_eq!(features.oci_version.as_deref(), Some("1.2.0"));
    assert!(features.raw.is_some());
}

#[test]
fn a_runtime_without_the_verb_still_has_a_version() {
    for answer in [
        "echo unknown command features >&2; exit 1",
        "echo usage: ...",
        "echo []",
    ] {
        let script = format!("case $1 in --version) echo thing version 1.2.3;; *) {answer};; esac");
        let features = Fake::new(&script).runtime.features(patient()).unwrap();
        assert_eq!(
            (features.version.as_deref(), features.raw),
            (Some("1.2.3"), None),
            "{answer}"
        );
    }
    let mute = Fake::new("echo no such option >&2; exit 2");
    check_failure(
        mute.runtime.features(patient()),
        FailureKind::Other,
        "no such option",
    );
}

/// A process that the runtime leaves behind with its pipes open does not hold up the answer.
#[test]
fn leftover_descendants_are_not_waited_for() {
    let fake = Fake::new("sleep 100000 & echo $! >$DIR/child; echo '{\"status\":\"stopped\"}'");
    let state = fake.runtime.state(fake.target()).unwrap();
    assert_eq!(state.status, RuntimeStatus::Stopped);
    let child = fake.file("child").trim().parse().unwrap();
    let child = ctr_sys::PidRef::capture(child).unwrap().unwrap();
    child.signal(Signal::KILL).unwrap();
}
