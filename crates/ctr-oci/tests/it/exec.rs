//! What a runtime's program gets with `exec`.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use ctr_oci::{ExecCall, Executed, FailureKind, OciRuntime, PreservedFd, RuntimeFailure, StdioFds};
use ctr_sys::{CgroupMode, Deadline};

use crate::cli_runtime::{KILLED, check_failure, soon};
use crate::fake::{Fake, patient};

/// Writes what it got: its arguments, and the names of its descriptors.
const EXEC: &str = r#"echo "$*" >$DIR/args
    for fd in 3 4 5 6 7 8 9 98 99 100 101 102 103 121 122; do echo $fd `readlink /proc/self/fd/$fd`; done >$DIR/fds
    echo 77 >${12}"#;

/// Executes with these numbers preserved, each an open directory.
fn exec(
    fake: &Fake,
    deadline: Deadline,
    (cgroup, numbers): (Option<&str>, &[i32]),
    console: Option<&Path>,
) -> Result<Executed, RuntimeFailure> {
    let directory = File::open("/proc").expect("/proc");
    let null = File::open("/dev/null").expect("/dev/null");
    let preserved: Vec<_> = numbers
        .iter()
        .map(|number| PreservedFd {
            number: *number,
            fd: directory.as_fd(),
        })
        .collect();
    let call = ExecCall {
        process: Path::new("/process.json"),
        pid_file: &fake.pid_file(),
        stdio: StdioFds {
            stdin: null.as_fd(),
            stdout: null.as_fd(),
            stderr: null.as_fd(),
        },
        console,
        cgroup,
        preserved: &preserved,
    };
    fake.runtime.exec(fake.target_until(deadline), call)
}

/// The names of the descriptors that are open in the script, but for those that the shell takes for itself.
fn descriptors(fake: &Fake) -> Vec<String> {
    let listed = fake.file("fds");
    let open = listed.lines().filter(|line| line.contains('/'));
    open.map(str::to_owned).collect()
}

#[test]
fn descriptors_are_handed_over_at_their_numbers() {
    let fake = Fake::new(EXEC);
    let made = exec(&fake, patient(), (None, &[5, 9]), None).unwrap();
    assert_eq!(made.pid, 77);
    let open = [
        "3 /dev/null",
        "4 /dev/null",
        "5 /proc",
        "6 /dev/null",
        "7 /dev/null",
        "8 /dev/null",
        "9 /proc",
    ];
    assert_eq!(descriptors(&fake), open);
    let arguments = fake.file("args");
    assert!(arguments.ends_with(" --preserve-fds 7 c1\n"), "{arguments}");
    exec(&fake, patient(), (None, &[]), None).unwrap();
    assert!(!fake.file("args").contains("--preserve-fds"));
    assert!(descriptors(&fake).is_empty());
}

/// Only the unified hierarchy has one way of naming it that all runtimes share.
#[test]
fn a_group_is_named_on_a_unified_hierarchy_alone() {
    let fake = Fake::new(EXEC);
    exec(&fake, patient(), (Some("exec-1"), &[]), None).unwrap();
    let named = fake.file("args").contains(" --cgroup exec-1 ");
    assert_eq!(named, CgroupMode::is_unified().unwrap());
    let refused = exec(&fake, patient(), (Some("../x"), &[]), None);
    check_failure(refused, FailureKind::Other, "control group name");
}

/// What the runtime needs of the host is never at a number that the process in the container gets.
#[test]
fn the_console_keeps_away_from_preserved_descriptors() {
    let fake = Fake::new(EXEC);
    let socket = fake.temp.path().join("console");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let directory = fake.temp.path().canonicalize().unwrap();
    let check = |numbers: &[i32], console: i32| {
        exec(&fake, patient(), (None, numbers), Some(&socket)).unwrap();
        let path = format!("--console-socket /proc/self/fd/{console}/console ");
        let arguments = fake.file("args");
        assert!(arguments.contains(&path), "{arguments}");
        let shown = format!("{console} {}", directory.display());
        let open = descriptors(&fake);
        assert_eq!(open.last(), Some(&shown), "{open:?}");
    };
    check(&[], 100);
    check(&[5], 100);
    check(&[99], 100);
    check(&[100], 101);
    check(&[3, 121], 122);
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let fake = Fake::new(EXEC);
    for numbers in [&[2_i32][..], &[-1], &[5, 5], &[9, 5], &[1024], &[i32::MAX]] {
        let refused = exec(&fake, patient(), (None, numbers), None);
        check_failure(refused, FailureKind::Other, "preserved descriptor");
    }
    assert!(!fake.temp.path().join("args").exists());
}

#[test]
fn an_exec_that_does_not_answer_says_why() {
    let fake = Fake::new("exec sleep 100000");
    let late = exec(&fake, soon(), (None, &[5]), None);
    check_failure(late, FailureKind::Timeout, KILLED);
    let fake = Fake::new("kill -9 $$");
    let killed = exec(&fake, patient(), (None, &[5]), None);
    check_failure(killed, FailureKind::Other, "SIGKILL");
}
