//! A real container of runc with the default specification, where runc is installed and we are root.

use std::fs::File;
use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use ctr_oci::{
    Access, BindMount, Bundle, CgroupNamespace, CliRuntime, CliRuntimeConfig, CreateCall, Created,
    DeleteMode, FailureKind, KillScope, NetworkNamespace, OciRuntime, PosixRlimitType, Rlimit,
    RuntimeFailure, RuntimeStatus, SpecBuilder, StdioFds, Target, UserIds, find_runtime,
};
use ctr_sys::{CgroupMode, Cgroups, PidRef, Signal};
use tempfile::TempDir;

use crate::fake::{patient, read_all};

/// A container of runc whose root holds the host's programs, read-only. Deleted with this value.
pub(crate) struct Container {
    temp: TempDir,
    runtime: CliRuntime,
    state: PathBuf,
    cgroup: String,
}

impl Container {
    /// `None`, with the reason printed, where no container can be made.
    pub(crate) fn new() -> Option<Self> {
        if !is_root() {
            println!("skipped: a container needs root");
            return None;
        }
        let program = match find_runtime("runc", &[]) {
            Ok(program) => program,
            Err(error) => {
                println!("skipped: {error}");
                return None;
            }
        };
        let temp = TempDir::new().expect("temp dir");
        let name = temp.path().file_name().and_then(|name| name.to_str());
        let name = name.expect("a plain name").trim_start_matches('.');
        std::fs::create_dir(temp.path().join("rootfs")).expect("rootfs");
        Some(Self {
            runtime: CliRuntime::new(CliRuntimeConfig::new("runc", program, temp.path())),
            state: temp.path().join("state"),
            cgroup: format!("/ctr-oci-test-{name}"),
            temp,
        })
    }

    fn target(&self) -> Target<'_> {
        Target {
            root: &self.state,
            id: "c1",
            deadline: patient(),
        }
    }

    pub(crate) fn spec(&self, command: &[&str]) -> SpecBuilder {
        let name = "box".parse().expect("a host name");
        self.nameless_spec(command).hostname(name)
    }

    pub(crate) fn nameless_spec(&self, command: &[&str]) -> SpecBuilder {
        let mut builder = SpecBuilder::new(&self.temp.path().join("rootfs"))
            .args(command.iter().copied())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .cgroup_path(&self.cgroup);
        if Cgroups::detect().expect("cgroups").mode() == CgroupMode::Unified {
            builder = builder.cgroup_namespace(CgroupNamespace::Private);
        }
        for directory in ["/bin", "/lib", "/lib64", "/usr"] {
            if Path::new(directory).is_dir() {
                builder = builder.mount(bind(directory, directory, Access::ReadOnly));
            }
        }
        builder
    }

    /// Creates with this end of a pipe as both outputs.
    pub(crate) fn create(
        &self,
        builder: SpecBuilder,
        stdin: &File,
        output: &PipeWriter,
    ) -> Result<Created, RuntimeFailure> {
        let spec = builder.build().expect("the request is valid");
        let bundle = Bundle::write(&self.temp.path().join("bundle"), &spec).expect("bundle");
        let call = CreateCall {
            bundle: bundle.path(),
            pid_file: &self.temp.path().join("pid"),
            stdio: StdioFds {
                stdin: stdin.as_fd(),
                stdout: output.as_fd(),
                stderr: output.as_fd(),
            },
            console: None,
        };
        self.runtime.create(self.target(), call)
    }

    /// Runs to the end and gives what was printed.
    pub(crate) fn run(&self, builder: SpecBuilder) -> String {
        let (reader, writer) = std::io::pipe().expect("pipe");
        let created = self.create(builder, &null(), &writer).expect("create");
        let process = PidRef::capture(created.pid)
            .expect("process")
            .expect("it waits");
        drop(writer);
        self.runtime.start(self.target()).expect("start");
        let output = read_all(reader);
        assert!(process.wait(patient()).expect("wait"));
        self.runtime
            .delete(self.target(), DeleteMode::Force)
            .expect("delete");
        output
    }

    /// What `script` prints in a container that is otherwise the default one.
    pub(crate) fn check(
        &self,
        script: &str,
        adjust: impl FnOnce(SpecBuilder) -> SpecBuilder,
        expected: &str,
    ) {
        let output = self.run(adjust(self.spec(&["sh", "-c", script])));
        assert_eq!(output.trim_end(), expected, "{script}");
    }

    fn check_create_fails(&self, builder: SpecBuilder, kind: FailureKind) {
        let (reader, writer): (PipeReader, PipeWriter) = std::io::pipe().expect("pipe");
        let failure = self
            .create(builder, &null(), &writer)
            .expect_err("create fails");
        assert_eq!(failure.kind, kind, "{failure:?}");
        drop((reader, writer));
        self.runtime
            .delete(self.target(), DeleteMode::Force)
            .expect("delete");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        drop(self.runtime.delete(self.target(), DeleteMode::Force));
        drop(Cgroups::detect().and_then(|cgroups| cgroups.remove(&self.cgroup)));
    }
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(
        &File::open("/proc/self")
            .and_then(|f| f.metadata())
            .expect("/proc"),
    ) == 0
}

pub(crate) fn null() -> File {
    File::open("/dev/null").expect("/dev/null")
}

pub(crate) fn bind(source: impl Into<PathBuf>, destination: &str, access: Access) -> BindMount {
    BindMount {
        source: source.into(),
        destination: destination.into(),
        access,
    }
}

#[test]
fn a_life_from_create_to_delete() {
    let Some(container) = Container::new() else {
        return;
    };
    let (runtime, target) = (&container.runtime, || container.target());
    let status = || runtime.state(target()).map(|state| state.status);
    let missing = runtime.state(target()).unwrap_err();
    assert_eq!(missing.kind, FailureKind::NoSuchContainer, "{missing:?}");

    let (reader, writer) = std::io::pipe().unwrap();
    let created = container
        .create(container.spec(&["sleep", "100000"]), &null(), &writer)
        .unwrap();
    drop(writer);
    let process = PidRef::capture(created.pid).unwrap().unwrap();
    let state = runtime.state(target()).unwrap();
    assert_eq!(
        (state.status, state.pid),
        (RuntimeStatus::Created, Some(created.pid))
    );
    runtime.start(target()).unwrap();
    assert_eq!(status(), Ok(RuntimeStatus::Running));
    assert_eq!(
        runtime.start(target()).unwrap_err().kind,
        FailureKind::Other
    );
    assert_eq!(
        runtime
            .delete(target(), DeleteMode::Stopped)
            .unwrap_err()
            .kind,
        FailureKind::Other
    );
    runtime
        .kill(target(), Signal::KILL, KillScope::Init)
        .unwrap();
    assert_eq!(read_all(reader), "");
    assert!(process.wait(patient()).unwrap());
    let state = runtime.state(target()).unwrap();
    assert_eq!((state.status, state.pid), (RuntimeStatus::Stopped, None));
    runtime.delete(target(), DeleteMode::Stopped).unwrap();
    for gone in [
        runtime.delete(target(), DeleteMode::Stopped),
        runtime.start(target()),
    ] {
        assert_eq!(gone.unwrap_err().kind, FailureKind::NoSuchContainer);
    }
    runtime.delete(target(), DeleteMode::Force).unwrap();
}

#[test]
fn a_program_that_cannot_be_executed_is_classified() {
    let Some(container) = Container::new() else {
        return;
    };
    let check =
        |program: &str, kind| container.check_create_fails(container.spec(&[program]), kind);
    check("no-such-program", FailureKind::CommandNotFound);
    check("/bin/no-such-program", FailureKind::CommandNotFound);
    check("/usr", FailureKind::CommandNotExecutable);
    let text = container.temp.path().join("rootfs/text");
    ctr_sys::replace_file(&text, b"text", 0o644, ctr_sys::Sync::No).unwrap();
    check("/text", FailureKind::CommandNotExecutable);
    let nowhere = bind("/no/such/source", "/x", Access::ReadWrite);
    container.check_create_fails(container.spec(&["true"]).mount(nowhere), FailureKind::Other);
}

#[test]
fn rights_are_those_of_the_user() {
    let Some(container) = Container::new() else {
        return;
    };
    let script = "grep -E '^(Cap|Groups|NoNewPrivs|Umask)' /proc/self/status | tr -s '\\t ' ' '";
    // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, FSETID 4, KILL 5, SETGID 6, SETUID 7, SETPCAP 8, NET_BIND_SERVICE 10, SYS_CHROOT 18, SETFCAP 31.
    let rights = |groups: &str, held: &str| {
        format!(
            "Umask: 0022\nGroups: {groups} \nCapInh: 0000000000000000\nCapPrm: {held}\nCapEff: {held}\n\
             CapBnd: 00000000800405fb\nCapAmb: 0000000000000000\nNoNewPrivs: 0"
        )
    };
    container.check(script, |spec| spec, &rights("0", "00000000800405fb"));
    let user = UserIds {
        uid: 1000,
        gid: 2000,
        additional_gids: vec![5, 5],
    };
    container.check(
        script,
        |spec| spec.user(user),
        &rights("5 2000", "0000000000000000"),
    );
}

#[test]
fn the_host_is_out_of_reach() {
    let Some(container) = Container::new() else {
        return;
    };
    let script = r#"
        hostname
        for file in /proc/kcore /proc/keys /proc/timer_list /proc/interrupts; do
            test "$(head -c 1 $file 2>/dev/null)" && echo $file is readable
        done
        for directory in /sys/firmware /sys/dev/block; do
            test "$(ls $directory 2>/dev/null)" && echo $directory is visible
        done
        for file in /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do
            test -w $file && echo $file is writable
        done
        find /sys -maxdepth 5 -writable
        ls /sys/class/net | tr '\n' ' '
        ls /dev | grep -v core | tr '\n' ' '
    "#;
    let devices = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    container.check(script, |spec| spec, &format!("box\nlo {devices}"));
}

#[test]
fn the_hosts_network_comes_with_a_read_only_sysfs() {
    let Some(container) = Container::new() else {
        return;
    };
    let network = |spec: SpecBuilder| spec.network(NetworkNamespace::Host);
    let here = std::fs::read_link("/proc/self/ns/net").unwrap();
    container.check(
        "readlink /proc/self/ns/net",
        network,
        here.to_str().unwrap(),
    );
    container.check("find /sys -maxdepth 5 -writable", network, "");
    let hidden =
        "ls /sys/kernel/debug /sys/kernel/tracing /sys/fs/bpf 2>/dev/null | grep -v : | tr -d '\n'";
    container.check(hidden, network, "");
}

#[test]
fn mounts_have_the_access_that_was_asked_for() {
    let Some(container) = Container::new() else {
        return;
    };
    let data = container.temp.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let script = r"
        (echo x >/rw/file) && cat /ro/file
        (echo y >/ro/file) 2>/dev/null || echo refused
        grep ' /host-dev' /proc/mounts | grep -vc ' ro,'
        touch /new && echo root is writable";
    let mounts = |spec: SpecBuilder| {
        spec.mount(bind(&data, "/rw", Access::ReadWrite))
            .mount(bind(&data, "/ro", Access::ReadOnly))
            // A directory with mounts below it on any host.
            .mount(bind("/dev", "/host-dev", Access::ReadOnly))
    };
    container.check(script, mounts, "x\nrefused\n0\nroot is writable");
    let fixed = |spec: SpecBuilder| spec.root_access(Access::ReadOnly);
    container.check("touch /new2 2>/dev/null || echo refused", fixed, "refused");
}

#[test]
fn limits_are_applied() {
    let Some(container) = Container::new() else {
        return;
    };
    let limit = Rlimit {
        soft: 64,
        hard: 128,
    };
    let limited = |spec: SpecBuilder| spec.rlimit(PosixRlimitType::RlimitNofile, limit);
    container.check("ulimit -Sn; ulimit -Hn", limited, "64\n128");
}

#[test]
fn installed_runtimes_tell_what_they_are() {
    for name in ["runc", "crun", "youki"] {
        let Ok(program) = find_runtime(name, &[]) else {
            println!("skipped: {name} is not installed");
            continue;
        };
        let temp = TempDir::new().unwrap();
        let runtime = CliRuntime::new(CliRuntimeConfig::new("x", program, temp.path()));
        let features = runtime.features(patient()).unwrap();
        assert_eq!(features.name, name);
        let is_number = |text: &String| text.starts_with(|c: char| c.is_ascii_digit());
        assert!(
            features.version.as_ref().is_some_and(is_number),
            "{features:?}"
        );
        let missing = Target {
            root: &temp.path().join("state"),
            id: "c1",
            deadline: patient(),
        };
        let failure = runtime.state(missing).unwrap_err();
        assert_eq!(failure.kind, FailureKind::NoSuchContainer, "{failure:?}");
        runtime.delete(missing, DeleteMode::Force).unwrap();
    }
}
