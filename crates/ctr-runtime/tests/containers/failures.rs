//! Creations that fail, and what they leave: nothing.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use ctr_oci::{DeleteMode, FailureKind, OciRuntime, RuntimeStatus, Target};
use ctr_runtime::Builtin;
use ctr_sys::{Deadline, ExitStatus};
use serde_json::json;

use crate::sandbox::{Sandbox, assert_no_children, reap};

fn check_refused(sandbox: &Sandbox, kind: FailureKind, part: &str) {
    let failure = sandbox.create().unwrap_err();
    assert_eq!(failure.kind, kind, "{failure:?}");
    assert!(failure.message.contains(part), "{failure:?}");
    assert!(!sandbox.pid_file().exists());
    sandbox.assert_gone();
}

#[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
fn file(sandbox: &Sandbox, name: &str, mode: u32, text: &str) {
    let path = sandbox.rootfs().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn commands_that_cannot_be_executed_are_told_apart() {
    let missing = FailureKind::CommandNotFound;
    let denied = FailureKind::CommandNotExecutable;
    check_refused(&Sandbox::new(&["nonsense"]), missing, "nonsense");
    check_refused(&Sandbox::new(&["/bin/nonsense"]), missing, "/bin/nonsense");
    check_refused(&Sandbox::new(&["/bin"]), denied, "/bin");
    let sandbox = Sandbox::new(&["/plain"]);
    file(&sandbox, "plain", 0o644, "");
    check_refused(&sandbox, denied, "/plain");
    let powerless = |name| Sandbox::new(&[name]).with("/process/capabilities", json!({}));
    let sandbox = powerless("/owned").with("/process/user", json!({ "uid": 5, "gid": 5 }));
    file(&sandbox, "owned", 0o700, "");
    check_refused(&sandbox, denied, "/owned");
    let sandbox = powerless("/grouped").with(
        "/process/user",
        json!({ "uid": 5, "gid": 5, "additionalGids": [5, 6] }),
    );
    file(&sandbox, "grouped", 0o710, "");
    std::os::unix::fs::chown(sandbox.rootfs().join("grouped"), Some(0), Some(6)).unwrap();
    let created = sandbox.create().unwrap();
    sandbox.delete(DeleteMode::Force).unwrap();
    reap(created.pid);
    sandbox.assert_gone();
}

pub(crate) fn what_only_fails_at_execution_ends_with_126_or_127() {
    let check = |text: &str, code: i32| {
        let mut sandbox = Sandbox::new(&["/program"]);
        file(&sandbox, "program", 0o755, text);
        let (end, printed) = sandbox.run();
        assert_eq!(end, ExitStatus::Exited(code), "{printed}");
        assert_eq!(printed.matches('\n').count(), 1, "{printed}");
        assert!(printed.contains("/program"), "{printed}");
    };
    check("#!/no/such/interpreter\n", 127);
    check("no known format\n", 126);
}

pub(crate) fn unenforceable_specifications_are_refused_before_anything_happens() {
    let unsupported = FailureKind::Unsupported;
    let sandbox = Sandbox::new(&["true"]).with(
        "/linux/seccomp",
        json!({ "defaultAction": "SCMP_ACT_ALLOW" }),
    );
    check_refused(&sandbox, unsupported, "linux.seccomp");
    assert!(!sandbox.root().exists());
    let sandbox = Sandbox::new(&["true"]).with("/process/selinuxLabel", json!("x"));
    check_refused(&sandbox, unsupported, "process.selinuxLabel");
}

pub(crate) fn a_library_failure_says_what_and_leaves_nothing() {
    let mount = json!([{ "destination": "/x", "type": "bind", "source": "/no/such/source",
        "options": ["bind"] }]);
    let sandbox = Sandbox::new(&["true"]).with("/mounts", mount);
    let failure = sandbox.create().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Other);
    assert!(failure.message.contains("/no/such/source"), "{failure:?}");
    assert!(!failure.raw.is_empty(), "{failure:?}");
    sandbox.assert_gone();

    let sandbox = Sandbox::new(&["true"]).with("/process/cwd", json!("/no/such/directory"));
    let failure = sandbox.create().unwrap_err();
    assert!(failure.message.contains("failed to chdir"), "{failure:?}");
    sandbox.assert_gone();
}

pub(crate) fn a_group_that_is_lived_in_is_refused_and_left_alone() {
    let first = Sandbox::new(&["true"]);
    let created = first.create().unwrap();
    let second = Sandbox::new(&["true"]).with("/linux/cgroupsPath", json!(first.cgroup()));
    let failure = second.create().unwrap_err();
    assert!(failure.message.contains("has processes"), "{failure:?}");
    assert_eq!(first.state().unwrap().status, RuntimeStatus::Created);
    first.delete(DeleteMode::Force).unwrap();
    reap(created.pid);
    first.assert_gone();
}

pub(crate) fn a_creation_that_was_cut_short_can_be_deleted() {
    let sandbox = Sandbox::new(&["true"]);
    let created = sandbox.create().unwrap();
    // As if the helper had been killed before it could record what it made.
    let record = sandbox
        .root()
        .join(format!(".ctr-{}/record.json", sandbox.id));
    std::fs::remove_file(record).unwrap();
    assert_eq!(sandbox.state().unwrap().status, RuntimeStatus::Creating);
    assert!(sandbox.delete(DeleteMode::Stopped).is_err());
    sandbox.delete(DeleteMode::Force).unwrap();
    assert_eq!(
        reap(created.pid),
        ExitStatus::Signaled(ctr_sys::Signal::KILL)
    );
    sandbox.assert_gone();
}

pub(crate) fn a_passed_deadline_is_a_timeout_and_force_cleans_up() {
    let sandbox = Sandbox::new(&["true"]);
    let failure = sandbox.call(|target, call| {
        let late = Target {
            deadline: Deadline::after(Duration::ZERO),
            ..target
        };
        Builtin.create(late, call)
    });
    assert_eq!(failure.unwrap_err().kind, FailureKind::Timeout);
    sandbox.delete(DeleteMode::Force).unwrap();
    Sandbox::reap_all();
    assert_no_children();
    sandbox.assert_gone();
}
