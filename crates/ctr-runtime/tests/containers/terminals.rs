//! Processes with a terminal, in containers of the built-in runtime and, where it is installed, of runc: both must agree.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use ctr_oci::{CliRuntime, CliRuntimeConfig, DeleteMode, OciRuntime};
use ctr_runtime::Builtin;
use ctr_sys::{ExitStatus, Subreaper, set_subreaper};
use rustix::termios::tcgetwinsize;
use serde_json::json;

use crate::sandbox::{Sandbox, reap};

/// Both runtimes, one after the other.
pub(crate) fn each_runtime(check: impl Fn(&dyn OciRuntime)) {
    check(&Builtin);
    let runc = Path::new("/usr/bin/runc");
    if !runc.exists() {
        println!("skipped: runc is not installed");
        return;
    }
    // Its first process is orphaned.
    set_subreaper(Subreaper::On).unwrap();
    let logs = tempfile::tempdir().unwrap();
    let config = CliRuntimeConfig::new("runc", runc, logs.path());
    check(&CliRuntime::new(config));
    set_subreaper(Subreaper::Off).unwrap();
}

/// A container whose terminal is ours.
struct Session {
    sandbox: Sandbox,
    pid: i32,
    master: File,
}

impl Session {
    /// Creates a container that executes a script on a terminal.
    fn create(runtime: &dyn OciRuntime, sandbox: Sandbox) -> Self {
        let mut sandbox = sandbox.with("/process/terminal", json!(true));
        let listener = listen(&mut sandbox);
        let created = sandbox
            .call(|target, call| runtime.create(target, call))
            .unwrap();
        // The master must be there by now.
        listener.set_nonblocking(true).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let mut packet = ctr_sys::recv_packet(stream.as_fd(), 4096).unwrap();
        assert_eq!(packet.fds.len(), 1);
        Self {
            sandbox,
            pid: created.pid,
            master: File::from(packet.fds.remove(0)),
        }
    }

    fn start(&self, runtime: &dyn OciRuntime) {
        self.sandbox.target(|target| runtime.start(target)).unwrap();
    }

    /// Runs the program to its end: how it ended and what the terminal showed.
    fn finish(mut self, runtime: &dyn OciRuntime) -> (ExitStatus, String) {
        self.start(runtime);
        let shown = read_to_hangup(&mut self.master);
        let end = reap(self.pid);
        self.sandbox
            .target(|target| runtime.delete(target, DeleteMode::Stopped))
            .unwrap();
        self.sandbox.assert_gone();
        (end, shown)
    }
}

/// Listens on a socket whose path is longer than the address of a socket may be.
pub(crate) fn listen(sandbox: &mut Sandbox) -> UnixListener {
    let directory = sandbox.path().join("d".repeat(150));
    std::fs::create_dir(&directory).unwrap();
    let opened = File::open(&directory).unwrap();
    sandbox.console = Some(directory.join("console"));
    UnixListener::bind(format!("/proc/self/fd/{}/console", opened.as_raw_fd())).unwrap()
}

/// What a terminal shows until nobody has it open any more: reading its master fails then.
pub(crate) fn read_to_hangup(master: &mut File) -> String {
    let mut shown = Vec::new();
    let end = master.read_to_end(&mut shown);
    assert_eq!(
        end.unwrap_err().raw_os_error(),
        Some(rustix::io::Errno::IO.raw_os_error())
    );
    String::from_utf8(shown).unwrap().replace("\r\n", "\n")
}

fn check(runtime: &dyn OciRuntime, sandbox: Sandbox, expected: &str) {
    let (end, shown) = Session::create(runtime, sandbox).finish(runtime);
    let name = runtime.name();
    assert_eq!(shown, expected, "{name}");
    assert_eq!(end, ExitStatus::Exited(0), "{name}");
}

pub(crate) fn the_program_has_the_terminal() {
    let script = "tty; for fd in 0 1 2; do [ -t $fd ] && readlink /proc/self/fd/$fd; done; \
        echo by name >/dev/tty; echo console >/dev/console; stat -c '%F %t:%T %a' /dev/console; stty size; \
        for fd in 3 4 5 6 7 8 9 10 11 12 13 14 15; do [ -e /proc/1/fd/$fd ] && echo $fd; done; true";
    let expected = "/dev/pts/0\n/dev/pts/0\n/dev/pts/0\n/dev/pts/0\nby name\nconsole\n\
        character special file 88:0 620\n33 99\n";
    each_runtime(|runtime| {
        let size = json!({ "height": 33, "width": 99 });
        let sandbox = Sandbox::script(script).with("/process/consoleSize", size);
        check(runtime, sandbox, expected);

        let sandbox = Sandbox::new(&["cat", "/proc/self/status"]);
        let (end, shown) = Session::create(runtime, sandbox).finish(runtime);
        assert_eq!(end, ExitStatus::Exited(0));
        for set in ["SigBlk", "SigIgn", "SigCgt"] {
            let line = format!("{set}:\t0000000000000000\n");
            assert!(shown.contains(&line), "{}: {shown}", runtime.name());
        }
    });
}

pub(crate) fn a_shell_controls_its_jobs() {
    each_runtime(|runtime| {
        let sandbox =
            Sandbox::new(&["sh", "-i"]).with("/process/env", json!(["PATH=/bin", "PS1=> "]));
        let mut session = Session::create(runtime, sandbox);
        session.start(runtime);
        // The keys: suspend a running job, see it, end it by the key for an interrupt, and end the shell.
        let mut shown = String::new();
        let mut dialog = |awaited: &str, keys: &[u8]| {
            shown.clear();
            let mut byte = [0];
            while !shown.ends_with(awaited) {
                session.master.read_exact(&mut byte).unwrap();
                shown.push(char::from(byte[0]));
            }
            session.master.write_all(keys).unwrap();
            shown.clone()
        };
        // The job itself tells that it has the terminal: a key that is pressed earlier goes to the shell.
        let job = b"sh -c 'trap \"echo ag\"ain CONT; echo ru\"\"ns; while :; do sleep 1; done'\n";
        let greeting = dialog("> ", job);
        assert!(!greeting.contains("can't access tty"), "{greeting}");
        dialog("runs\r\n", b"\x1a");
        let stopped = dialog("> ", b"fg\n");
        assert!(stopped.contains("Stopped"), "{stopped}");
        dialog("again\r\n", b"\x03");
        dialog("> ", b"exit 7\n");
        read_to_hangup(&mut session.master);
        assert_eq!(reap(session.pid), ExitStatus::Exited(7));
        let sandbox = session.sandbox;
        sandbox
            .target(|target| runtime.delete(target, DeleteMode::Stopped))
            .unwrap();
        sandbox.assert_gone();
    });
}

pub(crate) fn a_terminal_belongs_to_the_user() {
    let script = "echo tty >/dev/tty; echo name >/dev/pts/0; echo console >/dev/console; stat -c '%u %a' /dev/pts/0";
    each_runtime(|runtime| {
        let sandbox = Sandbox::script(script)
            .with("/process/user", json!({ "uid": 1000, "gid": 1000 }))
            .with("/process/capabilities", json!({}));
        check(runtime, sandbox, "tty\nname\nconsole\n1000 620\n");
    });
}

pub(crate) fn a_waiting_process_has_the_terminal_alone() {
    let held = tempfile::NamedTempFile::new().unwrap();
    let (inherited, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let stdin: OwnedFd = held.reopen().unwrap().into();
    let leak = rustix::io::dup(inherited.as_fd()).unwrap();
    let sandbox = Sandbox::new(&["true"]).with_stdin(stdin);
    let session = Session::create(&Builtin, sandbox);
    let mut links = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{}/fd", session.pid)).unwrap() {
        let path = entry.unwrap().path();
        let link = std::fs::read_link(&path).unwrap();
        let number = path.file_name().unwrap().to_str().unwrap().to_owned();
        links.push((number, link.to_str().unwrap().to_owned()));
    }
    links.sort();
    let terminal = links.iter().filter(|(_, link)| link == "/dev/pts/0");
    let numbers: Vec<_> = terminal.map(|(number, _)| number.as_str()).collect();
    assert_eq!(numbers, ["0", "1", "2"], "{links:?}");
    let foreign = |link: &str| {
        link.contains("ptmx")
            || link == held.path().to_str().unwrap()
            || link == socket_name(inherited.as_fd())
    };
    assert!(!links.iter().any(|(_, link)| foreign(link)), "{links:?}");
    drop(leak);
    session.sandbox.delete(DeleteMode::Force).unwrap();
    reap(session.pid);
    session.sandbox.assert_gone();
}

fn socket_name(socket: std::os::fd::BorrowedFd<'_>) -> String {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd()));
    link.unwrap().to_str().unwrap().to_owned()
}

pub(crate) fn the_session_is_told_when_the_terminal_goes() {
    each_runtime(|runtime| {
        let script = "trap 'exit 5' HUP; echo ready; while :; do read line || sleep 1; done";
        let mut session = Session::create(runtime, Sandbox::script(script));
        assert_eq!(tcgetwinsize(&session.master).unwrap().ws_row, 0);
        session.start(runtime);
        let mut ready = [0; 7];
        session.master.read_exact(&mut ready).unwrap();
        drop(session.master);
        assert_eq!(reap(session.pid), ExitStatus::Exited(5));
        let sandbox = session.sandbox;
        sandbox
            .target(|target| runtime.delete(target, DeleteMode::Stopped))
            .unwrap();
        sandbox.assert_gone();
    });
}

fn check_refused(sandbox: &Sandbox, part: &str) {
    let refused = sandbox.create().unwrap_err();
    assert!(refused.message.contains(part), "{refused}");
    assert!(!refused.message.contains('\n'), "{refused}");
    sandbox.assert_gone();
}

pub(crate) fn terminal_and_console_socket_come_together() {
    let alone = Sandbox::new(&["true"]).with("/process/terminal", json!(true));
    check_refused(&alone, "a terminal needs a console socket");
    let mut without = Sandbox::new(&["true"]);
    let listener = listen(&mut without);
    check_refused(
        &without,
        "process.terminal of the specification is not true",
    );
    let mut unheard = Sandbox::new(&["true"]).with("/process/terminal", json!(true));
    unheard.console.clone_from(&without.console);
    drop(listener);
    check_refused(&unheard, "console");
    unheard.console = Some(unheard.path().join("none"));
    check_refused(&unheard, "No such file");
    unheard.console = Some(unheard.path().to_owned());
    check_refused(&unheard, "non-socket");
}

pub(crate) fn what_lies_at_dev_console_is_not_followed() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let canary = tempfile::tempdir().unwrap();
    let terminal = || {
        let mut sandbox = Sandbox::script("tty").with("/process/terminal", json!(true));
        let listener = listen(&mut sandbox);
        (sandbox, listener)
    };
    let without_dev = |sandbox: Sandbox| {
        let mounts = sandbox.spec["mounts"].as_array().unwrap().clone();
        let kept = mounts
            .into_iter()
            .filter(|mount| mount["destination"] != "/dev");
        let kept: Vec<_> = kept.collect();
        sandbox.with("/mounts", json!(kept))
    };
    let link_dev = |sandbox: &Sandbox| {
        std::fs::remove_dir(sandbox.rootfs().join("dev")).unwrap();
        std::os::unix::fs::symlink(canary.path(), sandbox.rootfs().join("dev")).unwrap();
    };

    let (sandbox, _listener) = terminal();
    link_dev(&sandbox);
    check_refused(&without_dev(sandbox), "/dev in ");
    let (sandbox, _listener) = terminal();
    std::os::unix::fs::symlink(
        canary.path().join("f"),
        sandbox.rootfs().join("dev/console"),
    )
    .unwrap();
    check_refused(&without_dev(sandbox), "/dev/console in ");
    let (sandbox, _listener) = terminal();
    let pipe = sandbox.rootfs().join("dev/console");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RWXU, 0).unwrap();
    check_refused(&without_dev(sandbox), "/dev/console in ");

    // With a file system of its own on /dev, what the root has there is hidden; a link stays within the root.
    let (sandbox, _listener) = terminal();
    link_dev(&sandbox);
    let created = sandbox.create();
    if let Ok(created) = &created {
        sandbox.delete(DeleteMode::Force).unwrap();
        reap(created.pid);
    }
    sandbox.assert_gone();
    assert_eq!(
        std::fs::read_dir(canary.path()).unwrap().count(),
        0,
        "{created:?}"
    );
}
