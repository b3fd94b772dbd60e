//! Launching, forking, waiting and control groups with real processes.
//!
//! One test function: `fork_helper` refuses a process with several threads, so these run one after the other in the main thread
//! of a harness-less test binary.
#![expect(
    clippy::unwrap_used,
    reason = "a test binary without the harness: a panic is a failed test"
)]

mod ends;
mod other_process;
mod sessions;

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use ctr_sys::{
    CgroupMode, Cgroups, Child, Deadline, Delivery, ExitStatus, Launch, Liveness, OutputLimits,
    PidRef, Signal, Stdio, fork_helper, fork_twin, reap_any,
};

fn main() {
    if std::env::args().nth(1).as_deref() == Some("odd") {
        return odd_callee();
    }
    let tests: [(&str, fn()); 14] = [
        ("what is inherited", what_is_inherited),
        ("exec errors are errors of spawn", exec_errors),
        ("output within limits", output_within_limits),
        ("a deadline kills", deadline_kills),
        ("descriptors cross their numbers", crossing_descriptors),
        ("a helper has only what it keeps", helper_keeps),
        ("a caller's mask and signals", odd_caller),
        ("a pid reference outlives its process", pid_reference),
        ("a twin has all that its parent has", twin),
        ("liveness is asked without being taken", liveness),
        ("a group is killed and removed", groups),
        ("a group below counts", groups_below),
        ("a victim of its memory limit counts", memory_limit),
        ("a victim in a group below counts", memory_limit_above),
    ];
    let tests = tests
        .iter()
        .chain(&ends::TESTS)
        .chain(&other_process::TESTS)
        .chain(&sessions::TESTS);
    let mut passed = 0;
    for (name, test) in tests {
        passed += 1;
        test();
        println!("test {name} ... ok");
    }
    println!("\ntest result: ok. {passed} passed; 0 failed;");
}

fn limits(seconds: u64) -> OutputLimits {
    OutputLimits {
        bytes: 1000,
        deadline: Deadline::after(Duration::from_secs(seconds)),
    }
}

fn shell(script: &str) -> Launch {
    Launch::program("/bin/sh").args(["-c", script])
}

fn stdout(launch: Launch) -> String {
    let output = launch.output(limits(60)).unwrap();
    assert_eq!(output.status, Some(ExitStatus::Exited(0)), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn what_is_inherited() {
    let extra = rustix::fs::open("/", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
    let extra: OwnedFd = extra.unwrap();
    let script =
        "pwd; umask; /usr/bin/env; ls /proc/self/fd; grep -E 'Sig(Ign|Blk)' /proc/self/status";
    let text = stdout(shell(script).env("A", "b").cwd("/usr").umask(0o027));
    drop(extra);
    // The fourth descriptor is the directory that ls reads.
    let expected = "/usr\n0027\nPWD=/usr\nA=b\n0\n1\n2\n3\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
    let mut lines: Vec<&str> = text.lines().collect();
    let mut expected: Vec<&str> = expected.lines().collect();
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

fn exec_errors() {
    let error = Launch::program("/nonexistent").spawn().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().starts_with("start /nonexistent: "));
    let error = Launch::program("/etc/passwd").spawn().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    let error = Launch::program("/bin/true")
        .arg("a\0b")
        .spawn()
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    let error = Launch::program("/bin/true")
        .cwd("/nonexistent")
        .spawn()
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert_eq!(reap_any().unwrap(), None);
}

fn output_within_limits() {
    let script = "yes first | head -c 200000; yes last | head -c 200000 >&2; exit 3";
    let output = shell(script)
        .env("PATH", "/usr/bin:/bin")
        .output(limits(60))
        .unwrap();
    assert_eq!(output.status, Some(ExitStatus::Exited(3)));
    assert_eq!((output.stdout.len(), output.stderr.len()), (1000, 1000));
    // A descendant that keeps the pipe open is not waited for.
    let output = shell("sleep 1000 & echo $!")
        .env("PATH", "/usr/bin:/bin")
        .output(limits(60));
    let pid = String::from_utf8(output.unwrap().stdout).unwrap();
    let left = PidRef::capture(pid.trim().parse().unwrap())
        .unwrap()
        .unwrap();
    assert_eq!(left.signal(Signal::KILL).unwrap(), Delivery::Delivered);
}

fn deadline_kills() {
    let output = Launch::program("/bin/sleep")
        .arg("1000")
        .output(limits(0))
        .unwrap();
    assert_eq!(output.status, None);
    assert_eq!(reap_any().unwrap(), None);
}

fn crossing_descriptors() {
    let open = |path: &str| -> OwnedFd {
        let fd = rustix::fs::open(path, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
        fd.unwrap()
    };
    let (a, b) = (open("/usr"), open("/etc"));
    // Each wants the other's number.
    let (target_a, target_b) = (b.as_raw_fd(), a.as_raw_fd());
    let script = format!("readlink /proc/self/fd/{target_a} /proc/self/fd/{target_b}");
    let launch = shell(&script)
        .fd(target_a, a)
        .fd(target_b, b)
        .env("PATH", "/usr/bin:/bin");
    assert_eq!(stdout(launch), "/usr\n/etc\n");
}

fn helper_keeps() {
    let (read, write) = rustix::pipe::pipe().unwrap();
    let stray = rustix::fs::open("/", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty());
    let stray: OwnedFd = stray.unwrap();
    let stray_number = stray.as_raw_fd();
    let child = fork_helper(&[write.as_fd()], || {
        let open = std::fs::read_link(format!("/proc/self/fd/{stray_number}")).is_ok();
        let text: &[u8] = if open { b"open" } else { b"closed" };
        rustix::io::write(&write, text).map_or(1, |_| 7)
    })
    .unwrap();
    drop(write);
    let mut text = String::new();
    std::fs::File::from(read).read_to_string(&mut text).unwrap();
    assert_eq!(
        (text.as_str(), child.wait().unwrap()),
        ("closed", ExitStatus::Exited(7))
    );
    let child = fork_helper(&[], || panic!("expected in the test's output")).unwrap();
    assert_eq!(
        child.wait().unwrap(),
        ExitStatus::Exited(ctr_sys::HELPER_PANICKED)
    );
    let threaded = std::thread::spawn(|| fork_helper(&[], || 0).map(drop))
        .join()
        .unwrap();
    assert!(threaded.is_err());
}

/// Called by somebody who ignores the ends of children and shuts everybody out of new files.
fn odd_caller() {
    let shell = format!(
        "trap '' CHLD; umask 757; exec {} odd",
        std::env::current_exe().unwrap().display()
    );
    let child = Launch::program("/bin/sh").args(["-c", &shell]).spawn();
    assert_eq!(child.unwrap().wait().unwrap(), ExitStatus::Exited(0));
}

/// What that caller starts. A panic is a failure.
fn odd_callee() {
    ctr_sys::keep_children();
    ctr_sys::unmask_owner();
    let mask = rustix::process::umask(rustix::fs::Mode::empty());
    assert_eq!(mask.bits(), 0o057);
    let child = fork_helper(&[], || 9).unwrap();
    assert_eq!(child.wait().unwrap(), ExitStatus::Exited(9));
}

fn pid_reference() {
    let child = Launch::program("/bin/sleep")
        .arg("1000")
        .stdin(Stdio::Null)
        .spawn()
        .unwrap();
    let found = PidRef::capture(child.pid()).unwrap().unwrap();
    assert!(!found.wait(Deadline::after(Duration::ZERO)).unwrap());
    assert_eq!(found.signal(Signal::TERM).unwrap(), Delivery::Delivered);
    assert!(found.wait(Deadline::never()).unwrap());
    // A zombie is dead.
    assert!(PidRef::capture(child.pid()).unwrap().is_none());
    assert_eq!(child.wait().unwrap(), ExitStatus::Signaled(Signal::TERM));
    assert_eq!(found.signal(Signal::TERM).unwrap(), Delivery::Gone);
    assert!(PidRef::open(found.stamp()).unwrap().is_none());
}

fn twin() {
    let (mut ours, mut theirs) = std::io::pipe().unwrap();
    let number = theirs.as_raw_fd();
    let child = fork_twin(|| {
        let written = std::io::Write::write_all(&mut theirs, b"twin");
        i32::from(written.is_err() || theirs.as_raw_fd() != number)
    })
    .unwrap();
    assert_eq!(child.wait().unwrap(), ExitStatus::Exited(0));
    drop(theirs);
    let mut said = String::new();
    ours.read_to_string(&mut said).unwrap();
    assert_eq!(said, "twin");
}

fn liveness() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alive");
    assert_eq!(Liveness::probe(&path).unwrap(), None);
    let (read, write) = rustix::pipe::pipe().unwrap();
    let child = {
        let path = path.clone();
        fork_helper(&[write.as_fd()], || {
            let held = Liveness::hold(&path);
            let ok = matches!(held, Ok(Some(_)));
            rustix::io::write(&write, &[u8::from(ok)]).ok();
            std::thread::sleep(Duration::from_secs(1000));
            0
        })
        .unwrap()
    };
    let mut ok = [0];
    rustix::io::read(&read, &mut ok).unwrap();
    assert_eq!(ok, [1]);
    assert_eq!(Liveness::probe(&path).unwrap(), Some(child.pid()));
    assert!(Liveness::hold(&path).unwrap().is_none());
    let holder = Liveness::holder(&path).unwrap().unwrap();
    assert_eq!(holder.stamp().pid, child.pid());
    child.kill_and_wait().unwrap();
    assert!(!holder.is_alive());
    assert_eq!(Liveness::probe(&path).unwrap(), None);
    assert!(Liveness::holder(&path).unwrap().is_none());
}

/// Leaves the group frozen.
fn freeze(groups: &Cgroups, path: &str) {
    let deadline = Deadline::never();
    assert!(!groups.is_frozen(path).unwrap());
    assert!(groups.freeze(path, deadline).unwrap());
    assert!(groups.is_frozen(path).unwrap());
    assert!(groups.thaw(path, deadline).unwrap());
    assert!(!groups.is_frozen(path).unwrap());
    assert!(groups.freeze(path, deadline).unwrap());
    assert!(!groups.is_frozen("/no-such-group").unwrap());
    groups.freeze("/no-such-group", deadline).unwrap_err();
}

/// A process that sleeps, in the last of these groups, of which each lies below the one before.
fn start_in(groups: &Cgroups, paths: &[&str]) -> Child {
    if groups.mode() == CgroupMode::Unified {
        let group = groups.open_unified(paths[paths.len() - 1]).unwrap();
        let launch = Launch::program("/bin/sleep").arg("1000");
        return launch.cgroup(group.unwrap()).spawn().unwrap();
    }
    let (read, write) = rustix::pipe::pipe().unwrap();
    let child = fork_helper(&[write.as_fd()], || {
        let entered = paths.iter().all(|path| groups.enter(path).is_ok());
        let _ = rustix::io::write(&write, &[u8::from(entered)]);
        std::thread::sleep(Duration::from_secs(if entered { 1000 } else { 0 }));
        1
    })
    .unwrap();
    let mut entered = [0];
    rustix::io::read(&read, &mut entered).unwrap();
    assert_eq!(entered, [1]);
    child
}

fn groups() {
    let groups = Cgroups::detect().unwrap();
    let path = format!("/ctr-sys-test-{}", std::process::id());
    let child = start_in(&groups, &[&path]);
    assert_eq!(groups.processes(&path).unwrap(), [child.pid()]);
    freeze(&groups, &path);
    assert!(groups.kill_all(&path, Deadline::never()).unwrap());
    assert_eq!(child.wait().unwrap(), ExitStatus::Signaled(Signal::KILL));
    assert!(groups.exists(&path));
    groups.remove(&path).unwrap();
    groups.remove(&path).unwrap();
    assert!(!groups.exists(&path));
    assert!(
        !Path::new("/sys/fs/cgroup/memory")
            .join(path.trim_start_matches('/'))
            .exists()
    );
}

fn groups_below() {
    let groups = Cgroups::detect().unwrap();
    let path = format!("/ctr-sys-test-{}", std::process::id());
    let below = format!("{path}/below");
    assert!(groups.remove_unused(&path));
    let child = start_in(&groups, &[&path, &below]);
    assert_eq!(groups.processes(&path).unwrap(), [child.pid()]);
    assert!(!groups.remove_unused(&path));
    assert_eq!(groups.processes(&path).unwrap(), [child.pid()]);
    groups.clear(&path, Deadline::never()).unwrap();
    assert_eq!(child.wait().unwrap(), ExitStatus::Signaled(Signal::KILL));
    assert!(!groups.exists(&path));
}

/// Kills what has more memory than the first of these groups may, in the last of them; how often the kernel says that it did so.
fn exceed_memory(groups: &Cgroups, paths: &[&str]) -> u64 {
    // Those that the machine's version has.
    let limits = [
        ("memory.swappiness", "0"),
        ("memory.limit_in_bytes", "16777216"),
        ("memory.swap.max", "0"),
        ("memory.max", "16777216"),
    ];
    let child = fork_helper(&[], || {
        let entered = paths.iter().all(|path| groups.enter(path).is_ok());
        for (file, value) in limits {
            groups.write_control(paths[0], file, value).ok();
        }
        let length = if entered { 256 * 1024 * 1024 } else { 0 };
        std::hint::black_box(vec![1_u8; length]);
        1
    })
    .unwrap();
    assert_eq!(child.wait().unwrap(), ExitStatus::Signaled(Signal::KILL));
    groups.oom_kills(paths[0]).unwrap()
}

/// Whether the machine counts at all: version 1 does, if its memory controller is there.
fn counts_memory() -> bool {
    let counts = Path::new("/sys/fs/cgroup/memory/memory.oom_control").exists();
    if !counts {
        println!("skipped: no memory controller of version 1");
    }
    counts
}

fn memory_limit() {
    if !counts_memory() {
        return;
    }
    let groups = Cgroups::detect().unwrap();
    let path = format!("/ctr-sys-test-{}", std::process::id());
    assert_eq!(groups.oom_kills(&path), None);
    let kills = exceed_memory(&groups, &[&path]);
    groups.clear(&path, Deadline::never()).unwrap();
    assert!(kills >= 1, "{kills}");
}

fn memory_limit_above() {
    if !counts_memory() {
        return;
    }
    let groups = Cgroups::detect().unwrap();
    let path = format!("/ctr-sys-test-{}", std::process::id());
    let below = format!("{path}/below");
    let kills = exceed_memory(&groups, &[&path, &below]);
    groups.clear(&path, Deadline::never()).unwrap();
    assert!(kills >= 1, "{kills}");
}
