//! Other processes in a container, and stopping them all; on the built-in runtime and on runc.

use std::fs::File;
use std::os::fd::AsFd;

use ctr_oci::{
    DeleteMode, ExecCall, Executed, FailureKind, KillScope, OciRuntime, PreservedFd,
    RuntimeFailure, RuntimeStatus,
};
use ctr_runtime::Builtin;
use ctr_sys::{ExitStatus, Signal};
use serde_json::{Value, json};

use crate::devices::in_unified;
use crate::sandbox::{Sandbox, reap};
use crate::terminals::{each_runtime, listen, read_to_hangup};

/// A container that runs until it is killed.
pub(crate) struct Host<'a> {
    pub(crate) runtime: &'a dyn OciRuntime,
    pub(crate) sandbox: Sandbox,
    pub(crate) pid: i32,
}

impl<'a> Host<'a> {
    pub(crate) fn start(runtime: &'a dyn OciRuntime, script: &str) -> Self {
        Self::start_in(Sandbox::script(script), runtime)
    }

    pub(crate) fn start_in(sandbox: Sandbox, runtime: &'a dyn OciRuntime) -> Self {
        let created = sandbox
            .call(|target, call| runtime.create(target, call))
            .unwrap();
        sandbox.target(|target| runtime.start(target)).unwrap();
        Self {
            runtime,
            sandbox,
            pid: created.pid,
        }
    }

    pub(crate) fn exec(&self, process: &Value) -> Result<Executed, RuntimeFailure> {
        self.exec_with(process, None, &[])
    }

    pub(crate) fn exec_with(
        &self,
        process: &Value,
        cgroup: Option<&str>,
        preserved: &[PreservedFd<'_>],
    ) -> Result<Executed, RuntimeFailure> {
        let file = self.sandbox.path().join("process.json");
        let bytes = serde_json::to_vec(process).unwrap();
        ctr_sys::replace_file(&file, &bytes, 0o600, ctr_sys::Sync::No).unwrap();
        let pid_file = self.sandbox.path().join("exec-pid");
        let executed = self.sandbox.call(|target, call| {
            let call = ExecCall {
                process: &file,
                pid_file: &pid_file,
                stdio: call.stdio,
                console: call.console,
                cgroup,
                preserved,
            };
            self.runtime.exec(target, call)
        })?;
        let written = std::fs::read_to_string(pid_file).unwrap();
        assert_eq!(written.trim(), executed.pid.to_string());
        Ok(executed)
    }

    pub(crate) fn end(self) {
        let (sandbox, runtime) = (self.sandbox, self.runtime);
        sandbox
            .target(|target| runtime.delete(target, DeleteMode::Force))
            .unwrap();
        assert_eq!(reap(self.pid), ExitStatus::Signaled(Signal::KILL));
        sandbox.assert_gone();
    }
}

pub(crate) fn process(script: &str) -> Value {
    json!({
        "user": { "uid": 0, "gid": 0 }, "cwd": "/", "env": ["PATH=/bin", "HOME=/"],
        "args": ["sh", "-c", script],
    })
}

pub(crate) fn a_process_joins_the_container() {
    each_runtime(|runtime| {
        let mut host = Host::start(runtime, "exec sleep 1000");
        let script = "for ns in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$ns; done; \
            grep -E '^Cap|^Sig[BIC]' /proc/self/status; id; pwd; umask; exit 7";
        let mut asked = process(script);
        asked["cwd"] = json!("/tmp");
        asked["user"] = json!({ "uid": 1000, "gid": 1001, "additionalGids": [5] });
        asked["capabilities"] = json!({ "bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"] });
        let executed = host.exec(&asked).unwrap();
        assert_eq!(reap(executed.pid), ExitStatus::Exited(7));
        let none = "0000000000000000";
        let sets = ["SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff"];
        let namespaces = ["cgroup", "ipc", "mnt", "net", "pid", "uts"].map(|namespace| {
            let link = std::fs::read_link(format!("/proc/{}/ns/{namespace}", host.pid));
            format!("{}\n", link.unwrap().display())
        });
        let mut expected = namespaces.concat();
        expected += &sets.map(|set| format!("{set}:\t{none}\n")).concat();
        expected.push_str("CapBnd:\t0000000000000020\nCapAmb:\t0000000000000000\n");
        expected.push_str("uid=1000 gid=1001 groups=5,1001\n/tmp\n0022\n");
        // The applet lists the group of the process among the others or not, as the runtime has set it.
        let printed = host
            .sandbox
            .printed()
            .replace("groups=5\n", "groups=5,1001\n");
        assert_eq!(printed, expected, "{}", runtime.name());
        let alone = host.sandbox.target(|target| runtime.processes(target));
        assert_eq!(alone.unwrap(), [host.pid]);
        host.end();
    });
}

/// On the built-in runtime: runc gives such a process the limits of its caller, but the container's `oomScoreAdj`.
pub(crate) fn limits_that_are_not_named_are_those_of_the_container() {
    let limit = json!([{ "type": "RLIMIT_SIGPENDING", "soft": 77, "hard": 78 }]);
    let sandbox = Sandbox::new(&["sleep", "1000"])
        .with("/process/rlimits", limit)
        .with("/process/oomScoreAdj", json!(100));
    let mut host = Host::start_in(sandbox, &Builtin);
    let script =
        "set -- `grep pending /proc/self/limits`; echo $4 $5; cat /proc/self/oom_score_adj";
    let mut asked = process(script);
    let executed = host.exec(&asked).unwrap();
    assert_eq!(reap(executed.pid), ExitStatus::Exited(0));
    assert_eq!(host.sandbox.printed(), "77 78\n100\n");
    asked["rlimits"] = json!([{ "type": "RLIMIT_SIGPENDING", "soft": 50, "hard": 51 }]);
    asked["oomScoreAdj"] = json!(200);
    let executed = host.exec(&asked).unwrap();
    assert_eq!(reap(executed.pid), ExitStatus::Exited(0));
    let printed = host.sandbox.printed();
    assert!(printed.ends_with("50 51\n200\n"), "{printed}");
    host.end();
}

/// A container lives long and is entered often, as by health checks.
pub(crate) fn a_process_leaves_nothing_behind() {
    let host = Host::start(&Builtin, "exec sleep 1000");
    let files = || {
        let id = &host.sandbox.id;
        let kept = [id.clone(), format!(".ctr-{id}")];
        let listed = kept.map(|name| std::fs::read_dir(host.sandbox.root().join(name)).unwrap());
        let names = listed.into_iter().flatten();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    let executed = host.exec(&process("true")).unwrap();
    assert_eq!(reap(executed.pid), ExitStatus::Exited(0));
    let mut missing = process("true");
    missing["args"] = json!(["nonsense"]);
    host.exec(&missing).unwrap_err();
    assert_eq!(files(), before);
    host.end();
}

pub(crate) fn a_process_has_a_terminal_of_its_own() {
    each_runtime(|runtime| {
        let mut host = Host::start(runtime, "exec sleep 1000");
        let listener = listen(&mut host.sandbox);
        let script = "tty; stty size; echo tty >/dev/tty; echo name >$(tty); stat -c %u $(tty)";
        let mut asked = process(script);
        asked["terminal"] = json!(true);
        asked["consoleSize"] = json!({ "height": 33, "width": 99 });
        asked["user"] = json!({ "uid": 1000, "gid": 1000 });
        let executed = host.exec(&asked).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let mut packet = ctr_sys::recv_packet(stream.as_fd(), 4096).unwrap();
        let mut master = File::from(packet.fds.remove(0));
        let shown = read_to_hangup(&mut master);
        let expected = "/dev/pts/0\n33 99\ntty\nname\n1000\n";
        assert_eq!(shown, expected, "{}", runtime.name());
        assert_eq!(reap(executed.pid), ExitStatus::Exited(0));
        host.sandbox.console = None;
        let refused = host.exec(&asked).unwrap_err();
        assert!(!refused.message.contains('\n'), "{refused}");
        host.end();
    });
}

pub(crate) fn what_cannot_be_executed_is_told_apart_and_leaves_nothing() {
    let mut host = Host::start(&Builtin, "exec sleep 1000");
    let check = |host: &Host<'_>, name: &str, value: Value, kind, part: &str| {
        let mut asked = process("true");
        asked[name] = value;
        let refused = host.exec(&asked).unwrap_err();
        assert_eq!(refused.kind, kind, "{refused:?}");
        assert!(refused.message.contains(part), "{refused:?}");
        assert!(!refused.message.contains('\n'), "{refused:?}");
        let alone = host.sandbox.target(|target| Builtin.processes(target));
        assert_eq!(alone.unwrap(), [host.pid]);
    };
    let args = |word: &str| json!([word]);
    let (missing, denied) = (
        FailureKind::CommandNotFound,
        FailureKind::CommandNotExecutable,
    );
    let (unsupported, other) = (FailureKind::Unsupported, FailureKind::Other);
    check(&host, "args", args("nonsense"), missing, "nonsense");
    check(&host, "args", args("/bin"), denied, "/bin");
    check(&host, "args", json!([]), other, "args");
    check(&host, "cwd", json!("tmp"), other, "absolute");
    check(&host, "cwd", json!("/nowhere"), other, "chdir");
    check(
        &host,
        "selinuxLabel",
        json!("x"),
        unsupported,
        "selinuxLabel",
    );
    check(&host, "args", json!(7), FailureKind::BadAnswer, "process");
    let left = std::fs::read_dir(
        host.sandbox
            .root()
            .join(format!(".ctr-{}", host.sandbox.id)),
    );
    let mut left: Vec<_> = left
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["config.json", "record.json"]);
    host.sandbox.output = tempfile::tempfile().unwrap();
    host.end();
}

pub(crate) fn nothing_is_inherited_but_what_is_asked_for() {
    let mut host = Host::start(&Builtin, "exec sleep 1000");
    let stray = File::open("/").unwrap();
    let leak = rustix::io::dup(stray.as_fd()).unwrap();
    let script = "for fd in 3 4 5 6 7 8 9 10 11 12 13 14 15; do [ -e /proc/$$/fd/$fd ] && echo $fd; done; true";
    let executed = host.exec(&process(script)).unwrap();
    assert_eq!(reap(executed.pid), ExitStatus::Exited(0));
    assert_eq!(host.sandbox.printed(), "");
    drop(leak);
    host.end();
}

fn size(host: &Host<'_>) -> u64 {
    host.sandbox.output.metadata().unwrap().len()
}

/// Waits for the container to print more.
fn await_growth(host: &Host<'_>) {
    let before = size(host);
    while size(host) == before {
        std::thread::yield_now();
    }
}

fn pauses(runtime: &dyn OciRuntime) {
    let host = Host::start(runtime, "while :; do echo x; done");
    await_growth(&host);
    let status = || {
        let state = host.sandbox.target(|target| runtime.state(target));
        state.unwrap().status
    };
    host.sandbox.target(|target| runtime.pause(target)).unwrap();
    let before = size(&host);
    assert_eq!(status(), RuntimeStatus::Paused, "{}", runtime.name());
    for _ in 0..1000 {
        std::thread::yield_now();
    }
    assert_eq!(size(&host), before, "{}", runtime.name());
    // Twice is an error, and so is another process.
    host.sandbox
        .target(|target| runtime.pause(target))
        .unwrap_err();
    host.exec(&process("true")).unwrap_err();
    host.sandbox
        .target(|target| runtime.delete(target, DeleteMode::Stopped))
        .unwrap_err();
    host.sandbox
        .target(|target| runtime.resume(target))
        .unwrap();
    assert_eq!(status(), RuntimeStatus::Running);
    host.sandbox
        .target(|target| runtime.resume(target))
        .unwrap_err();
    await_growth(&host);
    // A container can be killed while it is paused.
    host.sandbox.target(|target| runtime.pause(target)).unwrap();
    host.sandbox
        .target(|target| runtime.kill(target, Signal::KILL, KillScope::Init))
        .unwrap();
    assert_eq!(reap(host.pid), ExitStatus::Signaled(Signal::KILL));
    host.sandbox
        .target(|target| runtime.delete(target, DeleteMode::Force))
        .unwrap();
    host.sandbox.assert_gone();
    let host = Host::start(runtime, "while :; do echo x; done");
    host.sandbox.target(|target| runtime.pause(target)).unwrap();
    host.end();
}

pub(crate) fn a_paused_container_stands_still() {
    each_runtime(pauses);
}

pub(crate) fn pausing_works_on_a_unified_hierarchy() {
    in_unified(|| {
        pauses(&Builtin);
    });
}

/// A container may make groups below its own, and leave its own to them.
pub(crate) fn a_process_follows_the_first_one_into_its_group() {
    in_unified(|| {
        let mut host = Host::start(&Builtin, "exec sleep 1000");
        let below = std::path::Path::new("/sys/fs/cgroup")
            .join(host.sandbox.cgroup().trim_start_matches('/'))
            .join("below");
        std::fs::create_dir(&below).unwrap();
        let group = format!("{}/below", host.sandbox.cgroup());
        ctr_sys::Cgroups::detect()
            .unwrap()
            .write_control(&group, "cgroup.procs", &host.pid.to_string())
            .unwrap();
        let executed = host.exec(&process("grep ^0: /proc/self/cgroup")).unwrap();
        assert_eq!(reap(executed.pid), ExitStatus::Exited(0));
        assert_eq!(host.sandbox.printed(), format!("0::{group}\n"));
        host.end();
    });
}
