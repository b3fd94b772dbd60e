//! Containers in namespaces of others, on the built-in runtime and on runc; and the adjustment of the OOM score.

use std::os::fd::AsFd;
use std::path::PathBuf;

use ctr_oci::{DeleteMode, FailureKind, RuntimeStatus};
use ctr_runtime::Builtin;
use ctr_sys::{DetachedMount, ExitStatus, NamespaceKind, PidRef, fork_helper};
use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};

use crate::exec::{Host, process};
use crate::sandbox::{Sandbox, reap};
use crate::terminals::each_runtime;

fn file_of(pid: i32, kind: NamespaceKind) -> PathBuf {
    format!("/proc/{pid}/ns/{}", kind.file_name()).into()
}

/// The namespaces of a process, or of the calling one, in the order of [`NamespaceKind::ALL`].
fn links(pid: i32) -> [PathBuf; 4] {
    NamespaceKind::ALL.map(|kind| std::fs::read_link(file_of(pid, kind)).unwrap())
}

fn own_links() -> [PathBuf; 4] {
    links(rustix::process::getpid().as_raw_nonzero().get())
}

fn type_of(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::Ipc => "ipc",
        NamespaceKind::Network => "network",
        NamespaceKind::Pid => "pid",
        NamespaceKind::Uts => "uts",
    }
}

/// A container without a name of its own that joins the namespace at a path for each of some kinds, and has no entry for the others.
fn joining(
    sandbox: Sandbox,
    kinds: &[NamespaceKind],
    path: impl Fn(NamespaceKind) -> PathBuf,
) -> Sandbox {
    let joined = kinds
        .iter()
        .map(|kind| json!({ "type": type_of(*kind), "path": path(*kind) }));
    let list: Vec<Value> = joined.chain([json!({ "type": "mount" })]).collect();
    sandbox
        .with("/linux/namespaces", json!(list))
        .with("/hostname", Value::Null)
}

pub(crate) fn those_of_another_container_are_joined() {
    each_runtime(|runtime| {
        let first = Host::start_in(Sandbox::new(&["sleep", "1000"]), runtime);
        let script = "read name </proc/sys/kernel/hostname; echo $name; cat /proc/1/cmdline; exec sleep 1000";
        let path = |kind| file_of(first.pid, kind);
        let second = joining(Sandbox::script(script), &NamespaceKind::ALL, path);
        let mut second = Host::start_in(second, runtime);
        assert_eq!(links(second.pid), links(first.pid));
        for (ours, theirs) in own_links().iter().zip(links(first.pid)) {
            assert_ne!(*ours, theirs);
        }
        let mounts = [first.pid, second.pid].map(|pid| {
            let link = std::fs::read_link(format!("/proc/{pid}/ns/mnt"));
            link.unwrap()
        });
        assert_ne!(mounts[0], mounts[1]);
        let executed = second
            .exec(&process(
                "for ns in ipc net pid uts; do readlink /proc/self/ns/$ns; done",
            ))
            .unwrap();
        assert_eq!(reap(executed.pid), ExitStatus::Exited(0));
        let lines = links(first.pid).map(|link| format!("{}\n", link.display()));
        let expected = format!("sandbox\nsleep\0{}\0{}", 1000, lines.concat());
        assert_eq!(second.sandbox.printed(), expected, "{}", runtime.name());
        end_both(&second, first);
    });
}

/// What `Host::end` asks of a container that is alone cannot be asked while another one runs.
fn end_both(second: &Host<'_>, first: Host<'_>) {
    second
        .sandbox
        .target(|target| second.runtime.delete(target, DeleteMode::Force))
        .unwrap();
    reap(second.pid);
    first.end();
    second.sandbox.assert_gone();
}

/// As the engine does it: the namespaces are held as mounts, which are attached where only the helper sees them.
pub(crate) fn a_mounted_namespace_is_joined() {
    let first = Host::start_in(Sandbox::new(&["sleep", "1000"]), &Builtin);
    let process = PidRef::capture(first.pid).unwrap().unwrap();
    let mounts =
        NamespaceKind::ALL.map(|kind| (kind, DetachedMount::namespace(&process, kind).unwrap()));
    let places = tempfile::tempdir().unwrap();
    let place = |kind: NamespaceKind| places.path().join(kind.file_name());
    let second = joining(Sandbox::new(&["sleep", "1000"]), &NamespaceKind::ALL, place);
    let helper = second.call(|target, call| {
        let stdio = call.stdio;
        let mut keep = vec![stdio.stdin, stdio.stdout, stdio.stderr];
        keep.extend(mounts.iter().map(|(_, mount)| mount.as_fd()));
        let work = || {
            ctr_sys::enter_private_mount_namespace().unwrap();
            for (kind, mount) in &mounts {
                ctr_sys::replace_file(&place(*kind), b"", 0o600, ctr_sys::Sync::No).unwrap();
                let target = rustix::fs::open(place(*kind), OFlags::PATH, Mode::empty()).unwrap();
                mount.attach(target.as_fd()).unwrap();
            }
            i32::from(Builtin.create_here(target, call).is_err())
        };
        fork_helper(&keep, work).unwrap()
    });
    assert_eq!(helper.wait().unwrap(), ExitStatus::Exited(0));
    let pid = std::fs::read_to_string(second.pid_file()).unwrap();
    let pid = pid.parse().unwrap();
    assert_eq!(links(pid), links(first.pid));
    second.delete(DeleteMode::Force).unwrap();
    reap(pid);
    first
        .sandbox
        .target(|target| first.runtime.delete(target, DeleteMode::Force))
        .unwrap();
    Sandbox::reap_all();
    second.assert_gone();
}

pub(crate) fn those_of_the_host_are_kept() {
    each_runtime(|runtime| {
        let script = "test -w /proc/sysrq-trigger && echo writable; exec sleep 1000";
        let sandbox = joining(Sandbox::script(script), &[], |_| PathBuf::new())
            .with("/linux/readonlyPaths", json!(["/proc/sysrq-trigger"]));
        let mut host = Host::start_in(sandbox, runtime);
        assert_eq!(links(host.pid), own_links());
        let executed = host.exec(&process("readlink /proc/self/ns/pid")).unwrap();
        assert_eq!(reap(executed.pid), ExitStatus::Exited(0));
        let pid = own_links()[2].display().to_string();
        assert_eq!(host.sandbox.printed(), pid + "\n", "{}", runtime.name());
        host.end();
    });
}

pub(crate) fn a_joined_network_is_left_as_it_is() {
    // Its loopback interface is down: nobody has set it up.
    let stranger = ctr_sys::Launch::program("/usr/bin/unshare")
        .args(["--net", "/bin/sleep", "1000"])
        .die_with_parent()
        .spawn()
        .unwrap();
    let network = |pid| file_of(pid, NamespaceKind::Network);
    while std::fs::read_link(network(stranger.pid())).unwrap() == own_links()[1] {
        std::thread::yield_now();
    }
    let path = |_| network(stranger.pid());
    let script = "cat /sys/class/net/lo/flags; ls /sys/class/net; readlink /proc/self/ns/net";
    let sandbox = joining(Sandbox::script(script), &[NamespaceKind::Network], path);
    let mut host = Host::start_in(sandbox, &Builtin);
    assert_eq!(reap(host.pid), ExitStatus::Exited(0));
    let link = std::fs::read_link(network(stranger.pid())).unwrap();
    // IFF_LOOPBACK without IFF_UP.
    let expected = format!("0x8\nlo\n{}\n", link.display());
    assert_eq!(host.sandbox.printed(), expected);
    host.sandbox.delete(DeleteMode::Stopped).unwrap();
    stranger.kill_and_wait().unwrap();
    host.sandbox.assert_gone();
}

/// The end of a first process that is not the first of its namespace kills nobody.
pub(crate) fn what_is_left_in_a_joined_pid_namespace_ends_with_its_container() {
    let first = Host::start_in(Sandbox::new(&["sleep", "1000"]), &Builtin);
    let path = |kind| file_of(first.pid, kind);
    let script = "sleep 1000 & exit 3";
    let second = joining(Sandbox::script(script), &[NamespaceKind::Pid], path);
    let second = Host::start_in(second, &Builtin);
    assert_eq!(reap(second.pid), ExitStatus::Exited(3));
    let state = second.sandbox.state().unwrap();
    assert_eq!(state.status, RuntimeStatus::Stopped);
    let left = second
        .sandbox
        .target(|target| second.runtime.processes(target));
    let left = left.unwrap();
    assert_eq!(left.len(), 1);
    let left = PidRef::capture(left[0]).unwrap().unwrap();
    second.sandbox.delete(DeleteMode::Stopped).unwrap();
    assert!(!left.is_alive());
    first.end();
    second.sandbox.assert_gone();
}

pub(crate) fn a_name_is_not_set_in_a_namespace_of_others() {
    let path = |kind| file_of(1, kind);
    let sandbox = joining(Sandbox::new(&["true"]), &[NamespaceKind::Uts], path)
        .with("/hostname", json!("intruder"));
    let failure = sandbox.create().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unsupported, "{failure:?}");
    assert!(failure.message.contains("hostname"), "{failure:?}");
    sandbox.assert_gone();
}

pub(crate) fn a_missing_namespace_is_named_and_leaves_nothing() {
    for kind in NamespaceKind::ALL {
        let path = |_| PathBuf::from("/no/such/namespace");
        let sandbox = joining(Sandbox::new(&["true"]), &[kind], path);
        let failure = sandbox.create().unwrap_err();
        assert!(
            failure.message.contains("/no/such/namespace"),
            "{failure:?}"
        );
        sandbox.assert_gone();
    }
}

pub(crate) fn the_oom_score_is_adjusted_or_the_failure_says_so() {
    let sandbox =
        |value: i32| Sandbox::new(&["sleep", "1000"]).with("/process/oomScoreAdj", json!(value));
    let host = Host::start_in(sandbox(500), &Builtin);
    let adjustment =
        |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    assert_eq!(adjustment(host.pid), "500\n");
    let own = rustix::process::getpid().as_raw_nonzero().get();
    assert_ne!(adjustment(own), "500\n");
    host.end();
    let refused = |value: i32, kind| {
        let sandbox = sandbox(value);
        let failure = sandbox.create().unwrap_err();
        assert_eq!(failure.kind, kind, "{failure:?}");
        let named = format!("process.oomScoreAdj {value}");
        assert!(failure.message.contains(&named), "{failure:?}");
        sandbox.assert_gone();
    };
    refused(1001, FailureKind::Other);
    if may_lower() {
        let host = Host::start_in(sandbox(-500), &Builtin);
        assert_eq!(adjustment(host.pid), "-500\n");
        host.end();
    } else {
        refused(-500, FailureKind::PermissionDenied);
    }
}

/// Whether this process has `CAP_SYS_RESOURCE`, number 24.
fn may_lower() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let held = u64::from_str_radix(held.unwrap().trim(), 16).unwrap();
    held & (1 << 24) != 0
}
