//! The verbs in their order, and out of it.

use ctr_oci::{DeleteMode, FailureKind, KillScope, OciRuntime, RuntimeStatus};
use ctr_runtime::Builtin;
use ctr_sys::{ExitStatus, PidRef, Signal};

use crate::sandbox::{Sandbox, assert_no_children, reap};

pub(crate) fn a_container_lives_and_leaves_nothing() {
    let mut sandbox = Sandbox::script("echo out; echo err >&2; exit 7");
    let created = sandbox.create().unwrap();
    let pid_file = std::fs::read_to_string(sandbox.pid_file()).unwrap();
    assert_eq!(pid_file, created.pid.to_string());
    let state = sandbox.state().unwrap();
    assert_eq!(
        (state.status, state.pid),
        (RuntimeStatus::Created, Some(created.pid))
    );

    sandbox.start().unwrap();
    assert_eq!(reap(created.pid), ExitStatus::Exited(7));
    let state = sandbox.state().unwrap();
    assert_eq!((state.status, state.pid), (RuntimeStatus::Stopped, None));

    sandbox.delete(DeleteMode::Stopped).unwrap();
    sandbox.assert_gone();
    assert_eq!(sandbox.printed(), "out\nerr\n");
    let missing = sandbox.state().unwrap_err();
    assert_eq!(missing.kind, FailureKind::NoSuchContainer, "{missing}");
}

pub(crate) fn a_zombie_is_stopped() {
    let sandbox = Sandbox::new(&["true"]);
    let created = sandbox.create().unwrap();
    let init = PidRef::capture(created.pid).unwrap().unwrap();
    sandbox.start().unwrap();
    assert!(init.wait(ctr_sys::Deadline::never()).unwrap());
    // Not reaped: the pid is still there.
    assert_eq!(sandbox.state().unwrap().status, RuntimeStatus::Stopped);
    assert!(sandbox.start().is_err());
    sandbox.delete(DeleteMode::Stopped).unwrap();
    reap(created.pid);
    sandbox.assert_gone();
}

pub(crate) fn a_running_container_is_only_deleted_by_force() {
    let sandbox = Sandbox::new(&["sleep", "1000"]);
    let created = sandbox.create().unwrap();
    sandbox.start().unwrap();
    assert_eq!(sandbox.state().unwrap().status, RuntimeStatus::Running);
    let refused = sandbox.delete(DeleteMode::Stopped).unwrap_err();
    assert!(refused.message.contains("is running"), "{refused}");
    assert!(sandbox.start().is_err());
    assert!(
        sandbox
            .create()
            .unwrap_err()
            .message
            .contains("exists already")
    );
    sandbox.delete(DeleteMode::Force).unwrap();
    assert_eq!(reap(created.pid), ExitStatus::Signaled(Signal::KILL));
    sandbox.assert_gone();
    sandbox.delete(DeleteMode::Force).unwrap();
    assert!(sandbox.delete(DeleteMode::Stopped).is_err());
}

pub(crate) fn a_created_container_can_be_deleted() {
    let sandbox = Sandbox::new(&["true"]);
    let created = sandbox.create().unwrap();
    sandbox.delete(DeleteMode::Stopped).unwrap();
    assert_eq!(reap(created.pid), ExitStatus::Signaled(Signal::KILL));
    sandbox.assert_gone();
}

pub(crate) fn signals_reach_the_first_process_or_all() {
    let script = "trap 'exit 5' TERM; sleep 1000 & echo ready; wait";
    let (mut sandbox, pid) = ready(script);
    sandbox
        .target(|target| Builtin.kill(target, Signal::TERM, KillScope::Init))
        .unwrap();
    assert_eq!(reap(pid), ExitStatus::Exited(5));
    let dead = sandbox.target(|target| Builtin.kill(target, Signal::TERM, KillScope::Init));
    assert!(dead.unwrap_err().message.contains("is stopped"));
    sandbox.delete(DeleteMode::Stopped).unwrap();
    sandbox.assert_gone();

    // The first process of a pid namespace ignores signals that it does not handle: only the other shell ends.
    let (again, pid) =
        ready("sh -c 'trap \"exit 9\" TERM; sleep 1000 & echo ready; wait'; exit $?");
    sandbox = again;
    sandbox
        .target(|target| Builtin.kill(target, Signal::TERM, KillScope::All))
        .unwrap();
    assert_eq!(reap(pid), ExitStatus::Exited(9));
    sandbox
        .target(|target| Builtin.kill(target, Signal::KILL, KillScope::All))
        .unwrap();
    sandbox.delete(DeleteMode::Stopped).unwrap();
    sandbox.assert_gone();
}

/// Runs a script until it has printed a line.
fn ready(script: &str) -> (Sandbox, i32) {
    let (read, write) = rustix::pipe::pipe().unwrap();
    let mut sandbox = Sandbox::script(script);
    sandbox.output = write.into();
    let created = sandbox.create().unwrap();
    sandbox.start().unwrap();
    let mut byte = [0];
    while byte != *b"\n" {
        assert_eq!(
            rustix::io::read(&read, &mut byte).unwrap(),
            1,
            "{script:?} ended early"
        );
    }
    (sandbox, created.pid)
}

/// The monitor's way: a helper of its own calls the library, and the first process becomes the child of the helper's parent.
pub(crate) fn create_here_makes_a_child_of_the_callers_parent() {
    let mut sandbox = Sandbox::script("exit 3");
    let pid = sandbox.create_here_in_helper(&[]);
    sandbox.start().unwrap();
    assert_eq!(reap(pid), ExitStatus::Exited(3));
    // The library's intermediate process is the caller's to reap.
    assert_eq!(
        ctr_sys::reap_any().unwrap().map(|(_, end)| end),
        Some(ExitStatus::Exited(0))
    );
    assert_no_children();
    sandbox.delete(DeleteMode::Stopped).unwrap();
    sandbox.assert_gone();
    assert_eq!(sandbox.printed(), "");
}

pub(crate) fn the_caller_keeps_its_own_state() {
    let oom = || std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let fds = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let status = || {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        let groups = text.lines().find(|line| line.starts_with("Groups:"));
        groups.unwrap().to_owned()
    };
    let cwd = || std::env::current_dir().unwrap();
    let dumpable = || rustix::process::dumpable_behavior().unwrap();
    let netns = || std::fs::read_link("/proc/self/ns/net").unwrap();
    let look = || (oom(), fds(), status(), cwd(), dumpable(), netns());
    let mut sandbox = Sandbox::script("cat /proc/self/oom_score_adj")
        .with("/process/oomScoreAdj", serde_json::json!(300));
    let before = look();
    assert_eq!(sandbox.run(), (ExitStatus::Exited(0), "300\n".to_owned()));
    assert_eq!(look(), before);
}
