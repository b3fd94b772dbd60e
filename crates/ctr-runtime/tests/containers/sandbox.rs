//! A bundle in a temporary directory, and what the tests ask of it.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_oci::{
    CreateCall, Created, DeleteMode, OciRuntime, RuntimeFailure, RuntimeState, StdioFds, Target,
};
use ctr_runtime::Builtin;
use ctr_sys::{Cgroups, Deadline, ExitStatus};
use rustix::process::{Pid, WaitId, WaitIdOptions};
use serde_json::{Value, json};

const BUSYBOX: &str = "/usr/bin/busybox";

/// One container's files. What is left in cgroups is removed when it is dropped, so that a failed case does not spoil others.
pub(crate) struct Sandbox {
    directory: tempfile::TempDir,
    pub(crate) id: String,
    pub(crate) spec: Value,
    stdin: File,
    pub(crate) output: File,
    /// Where the master of a terminal is sent.
    pub(crate) console: Option<PathBuf>,
}

impl Sandbox {
    /// A container that executes `args` of busybox.
    pub(crate) fn new(args: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().file_name().unwrap().to_str().unwrap();
        let id = format!("t{}", name.trim_start_matches('.'));
        make_rootfs(&directory.path().join("bundle/rootfs"));
        Self {
            spec: spec(args, &format!("/ctr-runtime-tests/{id}")),
            output: tempfile::tempfile().unwrap(),
            stdin: File::open("/dev/null").unwrap(),
            console: None,
            directory,
            id,
        }
    }

    /// A container that executes a shell script.
    pub(crate) fn script(script: &str) -> Self {
        Self::new(&["/bin/sh", "-c", script])
    }

    /// Changes the specification at a JSON pointer, whose parent must exist.
    pub(crate) fn with(mut self, pointer: &str, value: Value) -> Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        self.spec.pointer_mut(parent).unwrap()[key] = value;
        self
    }

    pub(crate) fn with_stdin(mut self, fd: OwnedFd) -> Self {
        self.stdin = File::from(fd);
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.path().join("bundle")
    }

    pub(crate) fn rootfs(&self) -> PathBuf {
        self.path().join("bundle/rootfs")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path().join("state")
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        self.path().join("pid")
    }

    pub(crate) fn cgroup(&self) -> &str {
        self.spec["linux"]["cgroupsPath"].as_str().unwrap()
    }

    /// Asks with a generous deadline.
    pub(crate) fn target<T>(&self, ask: impl FnOnce(Target<'_>) -> T) -> T {
        let root = self.root();
        ask(Target {
            root: &root,
            id: &self.id,
            deadline: Deadline::after(Duration::from_secs(30)),
        })
    }

    /// As [`Sandbox::target`], with a create call that gives out the sandbox's streams.
    pub(crate) fn call<T>(&self, ask: impl FnOnce(Target<'_>, CreateCall<'_>) -> T) -> T {
        self.write_spec();
        let (bundle, pid_file) = (self.bundle(), self.pid_file());
        self.target(|target| {
            ask(
                target,
                CreateCall {
                    bundle: &bundle,
                    pid_file: &pid_file,
                    stdio: StdioFds {
                        stdin: self.stdin.as_fd(),
                        stdout: self.output.as_fd(),
                        stderr: self.output.as_fd(),
                    },
                    console: self.console.as_deref(),
                },
            )
        })
    }

    #[expect(clippy::disallowed_methods, reason = "a test makes its own files")]
    pub(crate) fn write_spec(&self) {
        let bytes = serde_json::to_vec(&self.spec).unwrap();
        std::fs::write(self.bundle().join("config.json"), bytes).unwrap();
    }

    pub(crate) fn create(&self) -> Result<Created, RuntimeFailure> {
        self.call(|target, call| Builtin.create(target, call))
    }

    /// The monitor's way: a helper with descriptors of its own calls the library. The pid of the first process.
    pub(crate) fn create_here_in_helper(&self, kept: &[BorrowedFd<'_>]) -> i32 {
        let helper = self.call(|target, call| {
            let stdio = call.stdio;
            let mut keep = vec![stdio.stdin, stdio.stdout, stdio.stderr];
            keep.extend_from_slice(kept);
            let work = || i32::from(Builtin.create_here(target, call).is_err());
            ctr_sys::fork_helper(&keep, work).unwrap()
        });
        assert_eq!(helper.wait().unwrap(), ExitStatus::Exited(0));
        std::fs::read_to_string(self.pid_file())
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Waits for every child of this process.
    pub(crate) fn reap_all() {
        while rustix::process::waitid(WaitId::All, WaitIdOptions::EXITED).is_ok() {}
    }

    pub(crate) fn start(&self) -> Result<(), RuntimeFailure> {
        self.target(|target| Builtin.start(target))
    }

    pub(crate) fn state(&self) -> Result<RuntimeState, RuntimeFailure> {
        self.target(|target| Builtin.state(target))
    }

    pub(crate) fn delete(&self, mode: DeleteMode) -> Result<(), RuntimeFailure> {
        self.target(|target| Builtin.delete(target, mode))
    }

    /// Create, start, wait, delete: how it ended and what it printed.
    pub(crate) fn run(&mut self) -> (ExitStatus, String) {
        let created = self.create().unwrap();
        self.start().unwrap();
        let end = reap(created.pid);
        self.delete(DeleteMode::Stopped).unwrap();
        self.assert_gone();
        (end, self.printed())
    }

    /// What the container printed so far.
    pub(crate) fn printed(&mut self) -> String {
        let mut text = String::new();
        self.output.rewind().unwrap();
        self.output.read_to_string(&mut text).unwrap();
        text
    }

    /// Nothing of the container is left below the state directory, in a cgroup, or among our children.
    pub(crate) fn assert_gone(&self) {
        let left: Vec<_> = match std::fs::read_dir(self.root()) {
            Ok(entries) => entries.map(|entry| entry.unwrap().file_name()).collect(),
            Err(_) => Vec::new(),
        };
        assert!(left.is_empty(), "left in the state directory: {left:?}");
        assert!(
            !Cgroups::detect().unwrap().exists(self.cgroup()),
            "the cgroup is left"
        );
        assert_no_children();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let cgroups = Cgroups::detect().unwrap();
        drop(cgroups.kill_all(self.cgroup(), Deadline::after(Duration::from_secs(10))));
        drop(cgroups.remove(self.cgroup()));
        while let Ok(Some(_)) = ctr_sys::reap_any() {}
    }
}

/// Waits for a child of this process.
pub(crate) fn reap(pid: i32) -> ExitStatus {
    let status = rustix::process::waitid(
        WaitId::Pid(Pid::from_raw(pid).unwrap()),
        WaitIdOptions::EXITED,
    );
    let status = status.unwrap().unwrap();
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ExitStatus::Exited(code),
        (None, Some(signal)) => ExitStatus::Signaled(ctr_sys::Signal::new(signal).unwrap()),
        (None, None) => panic!("{pid} neither exited nor was killed"),
    }
}

/// There is nobody left to reap, dead or alive.
pub(crate) fn assert_no_children() {
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap();
    assert_eq!(children, "", "children are left");
}

fn make_rootfs(rootfs: &Path) {
    for name in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
        std::fs::create_dir_all(rootfs.join(name)).unwrap();
    }
    std::fs::copy(BUSYBOX, rootfs.join("bin/busybox")).unwrap();
    let applets = [
        "sh", "true", "cat", "ls", "id", "ip", "mknod", "sleep", "stat", "env", "head", "echo",
        "readlink", "dd", "kill", "tty", "stty", "grep",
    ];
    for applet in applets {
        std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
    }
}

/// What `podman run` would ask for, roughly.
fn spec(args: &[&str], cgroup: &str) -> Value {
    let capabilities = [
        "CAP_CHOWN",
        "CAP_KILL",
        "CAP_SETUID",
        "CAP_SETGID",
        "CAP_DAC_OVERRIDE",
    ];
    json!({
        "ociVersion": "1.1.0",
        "root": { "path": "rootfs" },
        "hostname": "sandbox",
        "process": {
            "user": { "uid": 0, "gid": 0, "additionalGids": [0] },
            "args": args,
            "cwd": "/",
            "env": ["PATH=/bin", "HOME=/root"],
            "noNewPrivileges": false,
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
        },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc",
              "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] },
            { "destination": "/sys", "type": "sysfs", "source": "sysfs",
              "options": ["nosuid", "noexec", "nodev", "ro"] },
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "mount" }, { "type": "pid" }, { "type": "ipc" }, { "type": "uts" },
                { "type": "network" },
            ],
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"],
        },
    })
}
