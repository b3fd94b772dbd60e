//! An engine of its own in a temporary directory, and the look for what it leaves behind.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_core::{
    Container, CreateRequest, Dependents, Engine, EngineConfig, LogDefaults, LogOptions,
    NamespaceRequest, NetworkRequest, RemoveMode, RemoveRequest, Replace, Runtimes, StartRequest,
    StopRequest,
};
use ctr_events::Actor;
use ctr_rootfs::{RootfsMode, RootfsSource};
use ctr_state::{
    AutoRemove, ContainerId, Intent, IntentKind, Record, RestartPolicy, Run, StartReason, Status,
    StdinMode, StopReason, Terminal,
};
use ctr_sys::{
    BootId, Cgroups, Child, Deadline, FileLock, Launch, PidRef, Signal, Stdio, Sync, mounts_below,
    reap_any, replace_file,
};
use rustix::fs::{CWD, Mode, OFlags};

use crate::fake::open;
use crate::fake::read_all;
use crate::journal::Journal;
use crate::processes::{await_children, children, needed_by};

/// A hang is a failure, not a test run that never ends. Nothing else depends on it.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

/// The file in which a cleanup command that failed says why.
pub(crate) const CLEANUP_ERROR: &str = "cleanup-error";

pub(crate) struct Fixture {
    base: tempfile::TempDir,
    pub(crate) engine: Engine,
    rootfs: Vec<PathBuf>,
    gate: OwnedFd,
}

/// The engine of a base directory, for the test and for the processes beside it.
pub(crate) fn config(base: &Path) -> EngineConfig {
    let name = base.file_name().unwrap().to_str().unwrap();
    EngineConfig {
        root: base.join("root"),
        runroot: base.join("run"),
        program: std::env::current_exe().unwrap(),
        engine_args: vec!["engine".to_owned(), base.to_str().unwrap().to_owned()],
        runtimes: Runtimes::new().path("fake", base.join("fake-runtime")),
        default_runtime: "fake".to_owned(),
        cgroup_parent: format!("/ctr-core-test{name}"),
        clock: ctr_sys::now_ns,
        actor: Actor {
            uid: 0,
            login_uid: None,
            pid: std::process::id().cast_signed(),
            program: "lifecycle".to_owned(),
        },
        log: LogDefaults::default(),
        lock_wait: GUARD,
        keep_events: ctr_state::KEEP_EVENTS,
    }
}

/// What a base directory has before an engine uses it: the runtime, the root of the containers, and the pipes for cues.
pub(crate) fn lay_out(path: &Path) {
    for part in ["cues", "rootfs", "rootfs/etc"] {
        std::fs::create_dir(path.join(part)).unwrap();
    }
    let own = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\nexec '{}' fake-runtime '{}' \"$@\"\n",
        own.display(),
        path.display()
    );
    let file = |name: &str, text: &str, mode| {
        replace_file(&path.join(name), text.as_bytes(), mode, Sync::No).unwrap();
    };
    file("fake-runtime", &script, 0o755);
    file("rootfs/program", "", 0o755);
    for pipe in ["reached", "gate"] {
        rustix::fs::mkfifoat(CWD, path.join(pipe), Mode::from_raw_mode(0o600)).unwrap();
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        let base = tempfile::tempdir().unwrap();
        let path = base.path();
        lay_out(path);
        let mut config = config(path);
        change(&mut config);
        let rootfs = tree(&path.join("rootfs"));
        Self {
            engine: Engine::open(config).unwrap(),
            gate: open(&path.join("gate"), OFlags::RDWR | OFlags::NONBLOCK),
            base,
            rootfs,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// As [`request`].
    pub(crate) fn request(&self, words: &[&str]) -> CreateRequest {
        request(self.base.path(), words)
    }

    pub(crate) fn create(&self, words: &[&str]) -> Container<'_> {
        self.engine.create(self.request(words)).unwrap()
    }

    pub(crate) fn created_with(&self, change: impl FnOnce(&mut CreateRequest)) -> Container<'_> {
        let mut request = self.request(&[]);
        change(&mut request);
        self.engine.create(request).unwrap()
    }

    /// A container with a restart policy that runs.
    pub(crate) fn running_with(&self, restart: RestartPolicy, words: &[&str]) -> Container<'_> {
        let container = self.created_with(|request| {
            *request = CreateRequest {
                restart,
                ..self.request(words)
            };
        });
        container.start(detached()).unwrap();
        container
    }

    /// A container with another name than that of the others.
    pub(crate) fn named(
        &self,
        name: &str,
        change: impl FnOnce(&mut CreateRequest),
    ) -> Container<'_> {
        self.created_with(|request| {
            request.name = Some(name.parse().unwrap());
            change(request);
        })
    }

    /// A container that runs.
    pub(crate) fn running(&self, words: &[&str]) -> Container<'_> {
        let container = self.create(words);
        container.start(detached()).unwrap();
        container
    }

    /// What the runtime does when it is called with the verb.
    pub(crate) fn cue(&self, verb: &str, cue: &str) {
        // What ended a pause of a runtime that was killed in it must not end the next one.
        while cue.starts_with("pause") && rustix::io::read(&self.gate, &mut [0]).is_ok() {}
        let path = self.path("cues").join(verb);
        replace_file(&path, cue.as_bytes(), 0o600, Sync::No).unwrap();
    }

    /// Returns when the runtime has stopped on its cue.
    pub(crate) fn await_pause(&self) {
        read_all(open(&self.path("reached"), OFlags::RDONLY));
    }

    /// Lets the runtime go on, if it is still there.
    pub(crate) fn end_pause(&self) {
        rustix::io::write(&self.gate, b"x").unwrap();
    }

    /// A command in a process of its own.
    pub(crate) fn command(&self, verb: &str, id: &ContainerId) -> Child {
        self.command_to(verb, id, Stdio::Null)
    }

    pub(crate) fn command_to(&self, verb: &str, id: &ContainerId, stdout: Stdio) -> Child {
        Launch::program(std::env::current_exe().unwrap())
            .arg("command")
            .arg(self.base.path())
            .args([verb, id.as_str()])
            .stdout(stdout)
            .stderr(Stdio::Inherit)
            .spawn()
            .unwrap()
    }

    /// The journal from its beginning.
    pub(crate) fn journal(&self) -> Journal {
        Journal::open(self.engine.store().config())
    }

    /// Saves a record as a command would have left it that was killed.
    pub(crate) fn edit(
        &self,
        id: &ContainerId,
        change: impl FnOnce(&mut ctr_state::LockedRecord<'_>),
    ) {
        let store = self.engine.store();
        let mut record = store.lock(id, "test", Deadline::after(GUARD)).unwrap();
        change(&mut record);
        record.save(&[], ctr_state::Durability::Fact).unwrap();
    }

    /// Nothing of a run is left: processes, control groups, mounts, run directory, files in the root, a held lock.
    pub(crate) fn assert_idle(&self, id: &ContainerId) {
        // They end by themselves when nothing was left running.
        let needed = needed_by(&self.engine, Some(id));
        await_children(&needed);
        while reap_any().unwrap().is_some() {}
        self.assert_no_cleanup_error();
        assert!(!self.engine.run_dir(id).exists(), "the run directory");
        let group = format!("{}/{id}", self.engine.config().cgroup_parent);
        assert!(!Cgroups::detect().unwrap().exists(&group), "a cgroup");
        assert_eq!(mounts_below(self.base.path()).unwrap(), [], "mounts");
        let lock = self.path("run/locks").join(id.as_str());
        assert!(!FileLock::is_held(&lock).unwrap(), "the lock is held");
        // Mount points that containers share go with the last one.
        if needed.is_empty() && self.path("rootfs").exists() {
            assert_eq!(tree(&self.path("rootfs")), self.rootfs, "the root");
        }
    }

    /// What a cleanup command that has failed said, which is all right then.
    pub(crate) fn cleanup_error(&self) -> String {
        let path = self.path(CLEANUP_ERROR);
        let error = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        error
    }

    fn assert_no_cleanup_error(&self) {
        let error = std::fs::read_to_string(self.path(CLEANUP_ERROR));
        assert!(error.is_err(), "a cleanup failed: {error:?}");
    }

    /// Nothing of the container is left.
    pub(crate) fn assert_gone(&self, id: &ContainerId) {
        self.assert_idle(id);
        assert!(self.engine.find(id.as_str()).unwrap_err().is_not_found());
        for path in ["root/containers", "run/locks"] {
            let path = self.path(path).join(id.as_str());
            assert!(!path.exists(), "{}", path.display());
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = std::fs::read_to_string(self.path(CLEANUP_ERROR));
            eprintln!(
                "cleanup commands said: {error:?}; running: {:?}",
                children()
            );
        }
        if let Ok(cgroups) = Cgroups::detect() {
            // What is frozen does not even die.
            for snapshot in self.engine.store().list().unwrap_or_default() {
                if let Ok(config) = snapshot.config() {
                    let deadline = Deadline::after(GUARD);
                    cgroups.kill_all(&config.cgroup_path, deadline).ok();
                }
            }
        }
        // The end of one makes its children ours.
        let found = std::iter::repeat_with(children);
        for child in found.take_while(|found| !found.is_empty()).flatten() {
            child.signal(Signal::KILL).ok();
            child.wait(Deadline::after(GUARD)).ok();
        }
        while let Ok(Some(_)) = reap_any() {}
        if let Ok(cgroups) = Cgroups::detect() {
            cgroups.remove(&self.engine.config().cgroup_parent).ok();
        }
    }
}

fn tree(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// A container whose program gets these words, see [`crate::fake::init`].
pub(crate) fn request(base: &Path, words: &[&str]) -> CreateRequest {
    let mut command = vec!["/program"];
    command.extend(words);
    CreateRequest {
        name: Some("c".parse().unwrap()),
        rootfs: RootfsSource {
            path: base.join("rootfs"),
            mode: RootfsMode::Plain,
        },
        entrypoint: None,
        command: command.into_iter().map(str::to_owned).collect(),
        env: Vec::new(),
        cwd: None,
        user: String::new(),
        volumes: Vec::new(),
        hostname: None,
        network: NetworkRequest::None,
        pid: NamespaceRequest::Private,
        ipc: NamespaceRequest::Private,
        uts: NamespaceRequest::Private,
        requires: Vec::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        stop_signal: Signal::TERM,
        stop_timeout_s: 10,
        auto_remove: AutoRemove::No,
        restart: RestartPolicy::No,
        timeout_s: None,
        oom_score_adj: None,
        replace: Replace::No,
        runtime: None,
        terminal: Terminal::No,
        stdin: StdinMode::Null,
        cid_file: None,
        pid_file: None,
        log: LogOptions::default(),
        create_command: Vec::new(),
    }
}

pub(crate) fn detached() -> StartRequest<'static> {
    StartRequest::in_background(StartReason::User)
}

pub(crate) fn stop_after(timeout_s: i64) -> StopRequest {
    StopRequest {
        timeout_s: Some(timeout_s),
        reason: StopReason::User,
    }
}

pub(crate) fn remove(mode: RemoveMode) -> RemoveRequest {
    RemoveRequest {
        mode,
        timeout_s: None,
        dependents: Dependents::Refuse,
    }
}

pub(crate) fn status(container: &Container<'_>) -> Status {
    container.summary().unwrap().status().unwrap()
}

pub(crate) fn generation(container: &Container<'_>) -> u64 {
    record(container).generation()
}

/// What is recorded of it.
pub(crate) fn record(container: &Container<'_>) -> Record {
    container.snapshot().unwrap().record().unwrap().clone()
}

/// Its runs, as the ledger has them.
pub(crate) fn runs(container: &Container<'_>) -> Vec<Run> {
    let store = container.engine().store();
    store.runs(container.id()).unwrap()
}

/// What a command that was killed had announced.
pub(crate) fn dead_intent(kind: IntentKind, generation: u64) -> Intent {
    let child = Launch::program("/bin/sleep").arg("1000").spawn().unwrap();
    let owner = PidRef::capture(child.pid()).unwrap().unwrap().stamp();
    child.kill_and_wait().unwrap();
    Intent {
        kind,
        owner,
        boot_id: BootId::current().unwrap(),
        since_ns: 0,
        generation,
    }
}

/// A boot that is not this one.
pub(crate) fn other_boot() -> BootId {
    serde_json::from_str("\"another\"").unwrap()
}
