//! Records under locks, on their own: two handles on one store, as two processes would have them. The second one waits and
//! is told for whom; readers need not wait at all.
//!
//! `cargo run -p ctr-state --example records`

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::Duration;

use ctr_events::{Actor, EventKind, NewEvent, Subject, SubjectKind};
use ctr_state::{
    AutoRemove, Config, ContainerId, ContainerName, Durability, ExitCause, ExitInfo, LogConfig,
    LogDriver, NamespaceMode, NetworkMode, NewContainer, OomKilled, ProcessConfig, RestartPolicy,
    RootfsConfig, RootfsMode, RuntimeRef, StartReason, StdinMode, Store, StoreConfig, Terminal,
    Trigger, names,
};
use ctr_sys::{Deadline, Signal, now_ns};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let first = open(directory.path())?;
    let second = open(directory.path())?;

    let (id, name) = create(&first)?;
    let mut locked = first.lock(&id, "run", Deadline::after(Duration::from_secs(5)))?;
    let generation = locked.begin_generation(StartReason::User);
    locked.advance(Trigger::Init)?;
    locked.advance(Trigger::Start)?;
    locked.edit().started_ns = Some(now_ns());
    locked.save(
        &[event(EventKind::Start, &id, generation)],
        Durability::Fact,
    )?;
    println!("run {generation} is {}", locked.record().status());

    // A reader is not kept waiting, another holder is, and is told for whom.
    let found = second.resolve(&name.as_str().parse()?)?;
    println!(
        "a reader sees {}",
        second.snapshot(&found)?.record()?.status()
    );
    match second.lock(&id, "stop", Deadline::after(Duration::from_millis(20))) {
        Ok(_) => return Err("two holders of one lock".into()),
        Err(busy) => println!("a second holder is told: {busy}"),
    }

    locked.advance(Trigger::ExitSeen)?;
    locked.edit().exit = Some(exit());
    locked.save(&[event(EventKind::Died, &id, generation)], Durability::Fact)?;
    locked.unlock();

    let locked = second.lock(&id, "remove", Deadline::after(Duration::from_secs(5)))?;
    locked.remove(event(EventKind::Remove, &id, generation))?;
    println!("{} containers are left", first.list()?.len());
    for run in first.runs(&id)? {
        let code = run.ended.as_ref().map(ExitInfo::code);
        println!(
            "the ledger still has run {}: exit code {code:?}",
            run.generation
        );
    }
    Ok(())
}

fn create(store: &Store) -> Result<(ContainerId, ContainerName), Box<dyn Error>> {
    let id = ContainerId::generate()?;
    let name = names::generate(|| u32::from(id.as_str().as_bytes()[0]));
    let new = NewContainer {
        config: config(&id),
        name: name.clone(),
        dependencies: Vec::new(),
        intent: None,
        event: event(EventKind::Create, &id, 0),
    };
    store.create(new, Durability::Durable)?;
    println!("created {name}, {}", id.short());
    Ok((id, name))
}

fn open(directory: &Path) -> Result<Store, Box<dyn Error>> {
    Ok(Store::open(StoreConfig {
        database: directory.join("state.db"),
        wake: directory.join("run/wake"),
        locks: directory.join("run/locks"),
        busy: Duration::from_secs(5),
        clock: now_ns,
        keep_events: ctr_state::KEEP_EVENTS,
    })?)
}

fn exit() -> ExitInfo {
    ExitInfo {
        cause: ExitCause::Signaled {
            signal: Signal::TERM,
        },
        oom: OomKilled::No,
        monitors_lost: 0,
        finished_ns: now_ns(),
        reason: None,
    }
}

fn config(id: &ContainerId) -> Config {
    Config {
        version: Config::VERSION,
        id: id.clone(),
        created_ns: now_ns(),
        create_command: Vec::new(),
        rootfs: RootfsConfig {
            path: "/srv/root".into(),
            mode: RootfsMode::Overlay,
        },
        process: ProcessConfig {
            entrypoint: Vec::new(),
            command: vec!["sleep".to_owned(), "60".to_owned()],
            env: Vec::new(),
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
            path: "/dev/null".into(),
            max_size: None,
            max_files: 1,
            tag: None,
        },
    }
}

fn event(kind: EventKind, id: &ContainerId, generation: u64) -> NewEvent {
    NewEvent {
        time_ns: now_ns(),
        kind,
        subject: Subject {
            kind: SubjectKind::Container,
            id: id.to_string(),
            name: String::new(),
            image: "/srv/root".to_owned(),
        },
        generation,
        actor: Actor {
            uid: 0,
            login_uid: None,
            pid: 1,
            program: "example".to_owned(),
        },
        attributes: BTreeMap::new(),
    }
}
