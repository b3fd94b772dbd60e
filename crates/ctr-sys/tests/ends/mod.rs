//! How a process ended that is nobody's child here.

use std::io::Read;
use std::time::Duration;

use ctr_sys::{Deadline, ExitStatus, PidRef, Signal, Stdio, end_of_zombie};

use super::shell;

pub(super) const TESTS: [(&str, fn()); 2] = [
    ("an end is told to strangers", end_for_strangers),
    ("an end is told after the reaping", end_after_reaping),
];

/// A grandchild, whose parent tells its pid and leaves it a zombie until it may reap it.
fn end_for_strangers() {
    for (script, expected) in [
        ("exit 37", ExitStatus::Exited(37)),
        ("kill -9 $$", ExitStatus::Signaled(Signal::KILL)),
    ] {
        let (gate, theirs) = std::io::pipe().unwrap();
        let parent = "exec 8<&0; (read x <&7; SCRIPT) & echo $!; exec sleep 1000";
        let (mut told, stdout) = std::io::pipe().unwrap();
        let parent = shell(&parent.replace(
            "SCRIPT",
            &script.replace("$$", "$(exec sh -c 'echo $PPID')"),
        ))
        .fd(7, gate.into())
        .stdout(Stdio::Fd(stdout.into()))
        .spawn()
        .unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        while told.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        let pid: i32 = String::from_utf8(line).unwrap().parse().unwrap();
        let process = PidRef::capture(pid).unwrap().unwrap();
        assert_eq!(process.end_as_seen_by_others().unwrap(), None);
        assert_eq!(end_of_zombie(process.stamp()).unwrap(), None);
        drop(theirs);
        assert!(
            process
                .wait(Deadline::after(Duration::from_secs(30)))
                .unwrap()
        );
        // Nobody reaps it before its parent has gone.
        assert_eq!(process.reap().unwrap(), None);
        assert_eq!(process.end_as_seen_by_others().unwrap(), Some(expected));
        assert_eq!(end_of_zombie(process.stamp()).unwrap(), Some(expected));
        parent.kill_and_wait().unwrap();
    }
}

/// Since Linux 6.15 the kernel keeps it for those who hold a pidfd.
fn end_after_reaping() {
    let child = shell("exit 5").spawn().unwrap();
    let process = PidRef::capture_child(child.pid()).unwrap().unwrap();
    child.wait().unwrap();
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
    let version = (
        numbers.next().unwrap().unwrap(),
        numbers.next().unwrap().unwrap(),
    );
    let kept = (version >= (6, 15)).then_some(ExitStatus::Exited(5));
    assert_eq!(process.end_as_seen_by_others().unwrap(), kept);
    assert_eq!(end_of_zombie(process.stamp()).unwrap(), None);
}
