//! What an exec session asks for beside its process: a control group of its own, and further descriptors.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use ctr_oci::{CliRuntime, CliRuntimeConfig, DeleteMode, FailureKind, PreservedFd};
use ctr_runtime::Builtin;
use ctr_sys::{
    CgroupMode, Cgroups, Deadline, ExitStatus, PidRef, SessionGroup, Signal, Subreaper,
    fork_helper, set_subreaper,
};
use serde_json::json;

use crate::devices::in_unified;
use crate::exec::{Host, process};
use crate::sandbox::reap;
use crate::terminals::each_runtime;

const NAME: &str = "exec-1";

fn guard() -> Deadline {
    Deadline::after(Duration::from_secs(30))
}

/// Makes a group for a session and returns its path.
fn make_group(host: &Host<'_>) -> (Cgroups, String) {
    let groups = Cgroups::detect().unwrap();
    let path = format!("{}/{NAME}", host.sandbox.cgroup());
    assert_eq!(groups.create_session(&path).unwrap(), SessionGroup::Made);
    (groups, path)
}

/// The process is in its group from the first instruction of its program, and elsewhere in the container's.
fn joins(user: u32) {
    let mut host = Host::start(&Builtin, "exec sleep 1000");
    let (groups, path) = make_group(&host);
    let mut asked = process("cat /proc/self/cgroup; ls /proc/self/fd");
    asked["user"] = json!({ "uid": user, "gid": user });
    let executed = host.exec_with(&asked, Some(NAME), &[]).unwrap();
    assert_eq!(reap(executed.pid), ExitStatus::Exited(0));
    let printed = host.sandbox.printed();
    let expected = if groups.mode() == CgroupMode::Unified {
        format!("0::{path}\n")
    } else {
        format!(":freezer:{path}\n")
    };
    assert!(printed.contains(&expected), "{printed}");
    // What else the container is limited by holds for it, too.
    let pids = format!(":pids:{}\n", host.sandbox.cgroup());
    let limited = groups.mode() == CgroupMode::Unified || printed.contains(&pids);
    assert!(limited, "{printed}");
    // 3 is the directory that is listed.
    assert!(printed.ends_with("\n0\n1\n2\n3\n"), "{printed}");
    groups.remove(&path).unwrap();
    host.sandbox.output = tempfile::tempfile().unwrap();
    host.end();
}

pub(crate) fn a_process_is_made_in_its_group() {
    joins(0);
    joins(1000);
}

pub(crate) fn a_process_is_made_in_its_group_on_a_unified_hierarchy() {
    in_unified(|| {
        joins(0);
        joins(1000);
    });
}

fn may_set_limits() -> bool {
    // The same capability.
    ctr_sys::may_lower_oom_score_adj().unwrap()
}

/// There a group has one name for all runtimes.
pub(crate) fn programs_make_a_process_in_its_group_on_a_unified_hierarchy() {
    in_unified(|| {
        set_subreaper(Subreaper::On).unwrap();
        for program in ["/usr/bin/runc", "/usr/bin/crun"] {
            if !Path::new(program).exists() {
                println!("skipped: {program} is not installed");
                continue;
            }
            if program.ends_with("crun") && !may_set_limits() {
                println!("skipped: crun needs CAP_SYS_RESOURCE for its rules about devices");
                continue;
            }
            let logs = tempfile::tempdir().unwrap();
            let runtime = CliRuntime::new(CliRuntimeConfig::new("program", program, logs.path()));
            let mut host = Host::start(&runtime, "exec sleep 1000");
            let (_, path) = make_group(&host);
            let file = word("x");
            let asked = process("grep ^0:: /proc/self/cgroup; cat <&5");
            let executed = host
                .exec_with(&asked, Some(NAME), &[kept(5, file.as_fd())])
                .unwrap();
            assert_eq!(reap(executed.pid), ExitStatus::Exited(0));
            let printed = host.sandbox.printed();
            assert_eq!(printed, format!("0::{path}\nx\n"), "{program}");
            host.end();
        }
    });
}

pub(crate) fn a_group_that_is_missing_or_elsewhere_is_refused() {
    let host = Host::start(&Builtin, "exec sleep 1000");
    for name in [NAME, "..", "../x", "a/b", "", "-x"] {
        let refused = host
            .exec_with(&process("true"), Some(name), &[])
            .unwrap_err();
        assert_eq!(refused.kind, FailureKind::Other, "{refused:?}");
        assert!(!refused.message.contains('\n'), "{refused:?}");
    }
    host.end();
}

/// Where the runtime does not do it itself, the caller moves the process; the container's end ends its sessions, too.
pub(crate) fn a_session_is_ended_alone_or_with_its_container() {
    each_runtime(|runtime| {
        let host = Host::start(runtime, "exec sleep 1000");
        let (groups, path) = make_group(&host);
        let executed = host
            .exec_with(&process("sleep 1000 & wait"), Some(NAME), &[])
            .unwrap();
        let session = PidRef::capture_child(executed.pid).unwrap().unwrap();
        groups.adopt(&path, &session).unwrap();
        assert!(groups.processes(&path).unwrap().contains(&executed.pid));
        assert!(groups.kill_all(&path, guard()).unwrap());
        let killed = ExitStatus::Signaled(Signal::KILL);
        assert_eq!(reap(executed.pid), killed, "{}", runtime.name());
        let alone = host.sandbox.target(|target| runtime.processes(target));
        assert_eq!(alone.unwrap(), [host.pid]);
        // What the container's end finds: a process in the group, and another one that stands still with it.
        let executed = host
            .exec_with(&process("exec sleep 1000"), Some(NAME), &[])
            .unwrap();
        let session = PidRef::capture_child(executed.pid).unwrap().unwrap();
        groups.adopt(&path, &session).unwrap();
        host.sandbox.target(|target| runtime.pause(target)).unwrap();
        assert!(groups.is_frozen(&path).unwrap());
        let (pid, sandbox) = (host.pid, host.sandbox);
        let delete = || {
            let deleted = sandbox.target(|target| runtime.delete(target, DeleteMode::Force));
            i32::from(deleted.is_err())
        };
        let helper = fork_helper(&[], delete).unwrap();
        // The first process of a pid namespace does not end before all others in it have been reaped.
        assert_eq!(reap(executed.pid), killed);
        assert_eq!(reap(pid), killed);
        assert_eq!(helper.wait().unwrap(), ExitStatus::Exited(0));
        // runc removes its own groups alone.
        groups.clear(sandbox.cgroup(), guard()).unwrap();
        sandbox.assert_gone();
    });
}

/// Reads a word from each of these descriptors, and says which others are open.
fn reader(numbers: &[i32]) -> String {
    let reads: Vec<_> = numbers
        .iter()
        .map(|number| format!("read word <&{number}; echo {number} $word"))
        .collect();
    let open =
        "for fd in 3 4 5 6 7 8 9 10 11 12; do [ -e /proc/$$/fd/$fd ] && echo $fd; done; true";
    format!("{}; {open}", reads.join("; "))
}

fn word(word: &str) -> File {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    rustix::io::write(&write, format!("{word}\n").as_bytes()).unwrap();
    File::from(read)
}

fn kept(number: i32, fd: BorrowedFd<'_>) -> PreservedFd<'_> {
    PreservedFd { number, fd }
}

pub(crate) fn descriptors_come_at_their_numbers() {
    each_runtime(|runtime| {
        let mut host = Host::start(runtime, "exec sleep 1000");
        let (a, b) = (word("a"), word("b"));
        let asked = [kept(5, a.as_fd()), kept(9, b.as_fd())];
        let executed = host
            .exec_with(&process(&reader(&[5, 9])), None, &asked)
            .unwrap();
        assert_eq!(reap(executed.pid), ExitStatus::Exited(0));
        // The numbers in between are open where the runtime is a program.
        let open = if runtime.name() == "builtin" {
            "5\n9\n"
        } else {
            "3\n4\n5\n6\n7\n8\n9\n"
        };
        assert_eq!(host.sandbox.printed(), format!("5 a\n9 b\n{open}"));
        host.end();
    });
}

/// Each has the number that the other is to have.
pub(crate) fn descriptors_change_places() {
    each_runtime(|runtime| {
        let mut host = Host::start(runtime, "exec sleep 1000");
        let (a, b) = (word("a"), word("b"));
        let (low, high) = (a.as_raw_fd(), b.as_raw_fd());
        assert!(low < high);
        let asked = [kept(low, b.as_fd()), kept(high, a.as_fd())];
        let script = format!("read word <&{low}; echo $word; read word <&{high}; echo $word");
        let executed = host.exec_with(&process(&script), None, &asked).unwrap();
        assert_eq!(reap(executed.pid), ExitStatus::Exited(0));
        assert_eq!(host.sandbox.printed(), "b\na\n", "{}", runtime.name());
        host.end();
    });
}

pub(crate) fn descriptors_that_cannot_be_had_are_refused() {
    let host = Host::start(&Builtin, "exec sleep 1000");
    let file = word("x");
    let mut asked = process("true");
    asked["rlimits"] = json!([{ "type": "RLIMIT_NOFILE", "soft": 64, "hard": 64 }]);
    let refused = |numbers: &[i32]| {
        let wanted: Vec<_> = numbers.iter().map(|n| kept(*n, file.as_fd())).collect();
        host.exec_with(&asked, None, &wanted).unwrap_err().message
    };
    let limit = refused(&[64]);
    assert!(limit.contains("descriptor 64"), "{limit}");
    for numbers in [&[2][..], &[5, 5], &[7, 5], &[1024]] {
        let message = refused(numbers);
        assert!(message.contains("must ascend"), "{message}");
    }
    let executed = host.exec_with(&asked, None, &[kept(63, file.as_fd())]);
    assert_eq!(reap(executed.unwrap().pid), ExitStatus::Exited(0));
    host.end();
}
