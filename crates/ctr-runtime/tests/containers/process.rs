//! What the program in a container finds.

use std::os::fd::AsFd;

use ctr_sys::ExitStatus;
use serde_json::json;

use crate::sandbox::Sandbox;

/// Runs a script, which must succeed, and compares what it prints.
fn check(sandbox: Sandbox, expected: &str) {
    let mut sandbox = sandbox;
    let (end, printed) = sandbox.run();
    assert_eq!((end, printed.as_str()), (ExitStatus::Exited(0), expected));
}

pub(crate) fn only_three_descriptors_are_open() {
    // Open in the caller, on a directory of the host, and not even close-on-exec.
    let stray = std::fs::File::open("/").unwrap();
    let leak = rustix::io::dup(stray.as_fd()).unwrap();
    check(
        Sandbox::new(&["sh", "-c", "cd /proc/self/fd && echo *"]),
        "0 1 2 3\n",
    );
    // 3 above is the shell's own, for the directory that it lists; so count by asking for each.
    let script = "for fd in 3 4 5 6 7 8 9 10 11 12 13 14 15; do [ -e /proc/1/fd/$fd ] && echo $fd; done; true";
    check(Sandbox::new(&["sh", "-c", script]), "");
    drop(leak);
}

pub(crate) fn a_waiting_first_process_holds_nothing_of_the_caller() {
    let stray = tempfile::NamedTempFile::new().unwrap();
    let held = std::fs::File::open(stray.path()).unwrap();
    let sandbox = Sandbox::new(&["true"]);
    let created = sandbox.create_here_in_helper(&[held.as_fd()]);
    let wanted = stray.path().canonicalize().unwrap();
    for entry in std::fs::read_dir(format!("/proc/{created}/fd")).unwrap() {
        let link = std::fs::read_link(entry.unwrap().path()).unwrap();
        assert_ne!(
            link, wanted,
            "the first process holds a descriptor of the caller"
        );
    }
    sandbox.delete(ctr_oci::DeleteMode::Force).unwrap();
}

/// The lines of `/proc/self/status` in the container that start with one of `keys`, with single blanks.
fn status(sandbox: Sandbox, keys: &[&str]) -> Vec<String> {
    let mut sandbox = sandbox.with("/process/args", json!(["cat", "/proc/self/status"]));
    let (end, printed) = sandbox.run();
    assert_eq!(end, ExitStatus::Exited(0));
    let lines = printed
        .lines()
        .filter(|line| keys.iter().any(|key| line.starts_with(key)));
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

pub(crate) fn signals_are_at_their_defaults() {
    let none = "0000000000000000";
    assert_eq!(
        status(Sandbox::new(&[]), &["SigBlk", "SigIgn", "SigCgt"]),
        [
            format!("SigBlk: {none}"),
            format!("SigIgn: {none}"),
            format!("SigCgt: {none}")
        ]
    );
}

pub(crate) fn the_environment_is_that_of_the_specification_in_its_order() {
    let environment = json!(["Z=1", "PATH=/bin", "A=2", "HOME=/x", "EMPTY=", "EQ=a=b"]);
    check(
        Sandbox::new(&["env"]).with("/process/env", environment),
        "Z=1\nPATH=/bin\nA=2\nHOME=/x\nEMPTY=\nEQ=a=b\n",
    );
    check(
        Sandbox::new(&["env"]).with("/process/env", json!(["PATH=/bin"])),
        "PATH=/bin\nHOME=/root\n",
    );
}

pub(crate) fn users_and_groups_are_those_of_the_specification() {
    let check = |user, expected: [&str; 3]| {
        let sandbox = Sandbox::new(&[]).with("/process/user", user).with(
            "/process/capabilities",
            json!({ "bounding": ["CAP_CHOWN"] }),
        );
        let keys = [
            "Uid:", "Gid:", "Groups:", "CapInh", "CapPrm", "CapEff", "CapAmb",
        ];
        let found = status(sandbox, &keys);
        assert_eq!(found[..3], expected);
        assert!(
            found[3..]
                .iter()
                .all(|line| line.ends_with(": 0000000000000000")),
            "{found:?}"
        );
        assert_eq!(found.len(), keys.len());
    };
    check(
        json!({ "uid": 1000, "gid": 1001, "additionalGids": [1001, 7] }),
        [
            "Uid: 1000 1000 1000 1000",
            "Gid: 1001 1001 1001 1001",
            "Groups: 7 1001",
        ],
    );
    // The caller's groups do not leak in where the specification names none.
    check(
        json!({ "uid": 1, "gid": 1 }),
        ["Uid: 1 1 1 1", "Gid: 1 1 1 1", "Groups:"],
    );
}

pub(crate) fn capabilities_that_are_not_named_are_not_held() {
    let keys = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
    for capabilities in [json!(null), json!({})] {
        let sandbox = Sandbox::new(&[]).with("/process/capabilities", capabilities);
        let found = status(sandbox, &keys);
        assert!(
            found
                .iter()
                .all(|line| line.ends_with(": 0000000000000000")),
            "{found:?}"
        );
    }
    // Of the others, root gets by execution what is in the bounding set.
    let sandbox = Sandbox::new(&[]).with(
        "/process/capabilities",
        json!({ "bounding": ["CAP_CHOWN"] }),
    );
    let (none, chown) = ("0000000000000000", "0000000000000001");
    let expected = [none, chown, chown, chown, none];
    let expected: Vec<_> = keys
        .iter()
        .zip(expected)
        .map(|(key, set)| format!("{key}: {set}"))
        .collect();
    assert_eq!(status(sandbox, &keys), expected);
}

pub(crate) fn the_umask_is_022_or_what_is_asked_for() {
    check(Sandbox::script("umask"), "0022\n");
    check(
        Sandbox::script("umask").with("/process/user/umask", json!(0o027)),
        "0027\n",
    );
}

pub(crate) fn loopback_is_up_and_the_only_interface() {
    check(
        Sandbox::script(
            "cd /sys/class/net && echo *; ip -o link show lo | head -c 26; ip -o -4 addr show lo | head -c 31",
        ),
        "lo\n1: lo: <LOOPBACK,UP,LOWER_1: lo    inet 127.0.0.1/8 scope",
    );
}

pub(crate) fn the_default_devices_are_there() {
    let names = "null zero full random urandom tty";
    check(
        Sandbox::script(&format!(
            "cd /dev; for d in {names}; do stat -c '%n %a %t:%T' $d; done; for l in fd stdin stdout stderr ptmx; do readlink $l; done; head -c 2 zero | wc -c"
        )),
        "null 666 1:3\nzero 666 1:5\nfull 666 1:7\nrandom 666 1:8\nurandom 666 1:9\ntty 666 5:0\n\
         /proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n2\n",
    );
}

pub(crate) fn a_file_for_its_owner_only_can_be_executed() {
    use std::os::unix::fs::PermissionsExt;
    let mut sandbox = Sandbox::new(&["/bin/private"]);
    let file = sandbox.rootfs().join("bin/private");
    std::fs::copy("/usr/bin/busybox", &file).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o750)).unwrap();
    // That it is executed shows in its complaint: busybox has no applet of that name.
    let (_, printed) = sandbox.run();
    assert!(printed.contains("private: applet not found"), "{printed}");
}

pub(crate) fn the_host_name_is_its_own() {
    check(
        Sandbox::script("read name </proc/sys/kernel/hostname; echo $name"),
        "sandbox\n",
    );
}

pub(crate) fn streams_are_handed_over() {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    rustix::io::write(&write, b"typed\n").unwrap();
    drop(write);
    check(Sandbox::new(&["cat"]).with_stdin(read), "typed\n");
}

pub(crate) fn a_pipe_can_be_opened_again_by_the_user() {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let mut sandbox = Sandbox::script("echo again >/dev/stdout")
        .with("/process/user", json!({ "uid": 1000, "gid": 1000 }))
        .with("/process/capabilities", json!({}));
    sandbox.output = write.into();
    let created = sandbox.create().unwrap();
    sandbox.start().unwrap();
    assert_eq!(crate::sandbox::reap(created.pid), ExitStatus::Exited(0));
    let mut buffer = [0; 16];
    let count = rustix::io::read(&read, &mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"again\n");
}
