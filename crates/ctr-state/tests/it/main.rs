//! The store as its users see it: real database files, real lock files, real processes.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails by panicking, as the test itself does"
)]

mod busy;
mod concurrency;
mod damage;
mod lock;
mod migration;
mod process;
mod reading;
mod runs;
mod saving;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_events::{
    Actor, Cursor, Event, EventKind, Filter, Journal, NewEvent, Subject, SubjectKind, open_database,
};
use ctr_state::{
    AutoRemove, Config, ContainerId, Durability, LogConfig, LogDriver, NamespaceMode, NetworkMode,
    NewContainer, ProcessConfig, RestartPolicy, RootfsConfig, RootfsMode, RuntimeRef, StateError,
    StdinMode, Store, StoreConfig, Terminal,
};
use ctr_sys::{Deadline, Signal};
use rusqlite::Connection;
use tempfile::TempDir;

/// Far longer than anything takes: reaching it is a failure.
fn patience() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// Does not wait at all.
fn now() -> Deadline {
    Deadline::after(Duration::ZERO)
}

/// A store in a directory of its own.
struct Fixture {
    directory: TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(config_at(directory.path(), Duration::from_secs(30))).unwrap();
        Self { directory, store }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn database(&self) -> PathBuf {
        database_at(self.path())
    }

    /// A second handle, as another process would have it.
    fn again(&self) -> Store {
        Store::open(config_at(self.path(), Duration::from_secs(30))).unwrap()
    }

    /// The database as somebody else sees it.
    fn raw(&self) -> Connection {
        open_database(&self.database(), Duration::from_secs(30)).unwrap()
    }

    fn create(&self, name: &str) -> ContainerId {
        let id = ContainerId::generate().unwrap();
        create(&self.store, &id, name).unwrap();
        id
    }

    /// A container that needs another one.
    fn create_needing(&self, name: &str, needed: &ContainerId) -> Result<ContainerId, StateError> {
        let id = ContainerId::generate().unwrap();
        let dependencies = vec![needed.clone()];
        let new = NewContainer {
            dependencies,
            ..new(&id, name)
        };
        self.store.create(new, Durability::Fact).map(|()| id)
    }

    fn events(&self) -> Vec<Event> {
        Journal::read(&self.raw(), Cursor::start(), &Filter::default(), usize::MAX).unwrap()
    }

    fn event_kinds(&self) -> Vec<EventKind> {
        self.events().iter().map(Event::kind).collect()
    }
}

fn database_at(directory: &Path) -> PathBuf {
    directory.join("lib/state.db")
}

fn config_at(directory: &Path, busy: Duration) -> StoreConfig {
    StoreConfig {
        database: database_at(directory),
        wake: directory.join("run/journal"),
        locks: directory.join("run/locks"),
        busy,
        clock: ctr_sys::now_ns,
        keep_events: ctr_state::KEEP_EVENTS,
    }
}

fn create(store: &Store, id: &ContainerId, name: &str) -> Result<(), StateError> {
    store.create(new(id, name), Durability::Fact)
}

fn new(id: &ContainerId, name: &str) -> NewContainer {
    NewContainer {
        config: config(id),
        name: name.parse().unwrap(),
        dependencies: Vec::new(),
        intent: None,
        event: event(EventKind::Create, id, 0),
    }
}

fn config(id: &ContainerId) -> Config {
    Config {
        version: Config::VERSION,
        id: id.clone(),
        created_ns: ctr_sys::now_ns(),
        create_command: vec!["ctr".to_owned(), "run".to_owned()],
        rootfs: RootfsConfig {
            path: "/srv/root".into(),
            mode: RootfsMode::Plain,
        },
        process: ProcessConfig {
            entrypoint: Vec::new(),
            command: vec!["true".to_owned()],
            env: vec![("PATH".to_owned(), "/bin".to_owned())],
            cwd: "/".into(),
            user: String::new(),
            terminal: Terminal::No,
            stdin: StdinMode::Null,
        },
        volumes: Vec::new(),
        hostname: None,
        network: NetworkMode::None,
        pid: NamespaceMode::Private,
        ipc: NamespaceMode::Private,
        uts: NamespaceMode::Private,
        requires: Vec::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        stop_signal: Signal::TERM,
        stop_timeout_s: 10,
        auto_remove: AutoRemove::No,
        restart: RestartPolicy::No,
        timeout_s: None,
        oom_score_adj: None,
        runtime: RuntimeRef {
            name: "crun".to_owned(),
            path: None,
        },
        cgroup_path: format!("/ctr/{id}"),
        pid_file: None,
        cid_file: None,
        log: LogConfig {
            driver: LogDriver::K8sFile,
            path: "/var/log/c".into(),
            max_size: None,
            max_files: 1,
            tag: None,
        },
    }
}

fn actor(program: &str) -> Actor {
    Actor {
        uid: 0,
        login_uid: None,
        pid: 1,
        program: program.to_owned(),
    }
}

fn event(kind: EventKind, id: &ContainerId, generation: u64) -> NewEvent {
    NewEvent {
        time_ns: ctr_sys::now_ns(),
        kind,
        subject: Subject {
            kind: SubjectKind::Container,
            id: id.to_string(),
            name: String::new(),
            image: String::new(),
        },
        generation,
        actor: actor("test"),
        attributes: BTreeMap::new(),
    }
}
