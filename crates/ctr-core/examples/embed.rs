//! Embeds the engine: creates a container on this host's own files, waits for it, reads its log, removes it.
//!
//! ```sh
//! cargo build && sudo cargo run -p ctr-core --example embed            # finds target/debug/ctr
//! sudo cargo run -p ctr-core --example embed -- /usr/local/bin/ctr     # or is told
//! ```
//!
//! An engine needs a `ctr` program for its monitors. It is also the runtime here, through its OCI command line: this example links none.
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ctr_core::{
    CreateRequest, Dependents, Engine, EngineConfig, LogDefaults, LogEvent, LogItem, LogOptions,
    LogRequest, NamespaceRequest, NetworkRequest, RemoveMode, RemoveRequest, Replace, Runtimes,
    StartRequest, WaitFor,
};
use ctr_events::Actor;
use ctr_oci::{CliRuntime, CliRuntimeConfig};
use ctr_rootfs::RootfsSource;
use ctr_state::{AutoRemove, RestartPolicy, StartReason, StdinMode, Terminal};
use ctr_sys::Signal;

fn main() -> Result<(), Box<dyn Error>> {
    let program = program()?;
    let directory = tempfile::Builder::new()
        .prefix("ctr-embed")
        .tempdir_in("/var/tmp")?;
    let engine = Engine::open(config(directory.path(), program))?;

    let container = engine.create(request())?;
    println!("created {}", container.id().short());
    container.start(StartRequest::in_background(StartReason::User))?;
    let exit = container.wait(WaitFor::Exit)?;
    println!("ended with {}", exit.code());
    for event in container.logs(LogRequest::ALL)? {
        if let LogEvent::Item {
            item: LogItem::Line(line),
            ..
        } = event?
        {
            println!("log: {}", String::from_utf8_lossy(&line.bytes));
        }
    }
    container.remove(RemoveRequest {
        mode: RemoveMode::Force,
        timeout_s: None,
        dependents: Dependents::Refuse,
    })?;
    println!("left: {} containers", engine.list()?.len());
    Ok(())
}

/// The first argument, or the program beside this example's directory.
fn program() -> Result<PathBuf, Box<dyn Error>> {
    if let Some(path) = std::env::args_os().nth(1) {
        return Ok(PathBuf::from(path));
    }
    let own = std::env::current_exe()?;
    let built = own.ancestors().nth(2).map(|target| target.join("ctr"));
    built
        .filter(|path| path.exists())
        .ok_or_else(|| "give the path of a ctr program, or run `cargo build` first".into())
}

fn config(directory: &std::path::Path, program: PathBuf) -> EngineConfig {
    let mut runtime = CliRuntimeConfig::new("builtin", &program, directory);
    runtime.prefix = vec!["oci-runtime".to_owned()];
    let root = directory.join("root");
    let runroot = directory.join("run");
    EngineConfig {
        engine_args: [
            "--root",
            &root.to_string_lossy(),
            "--runroot",
            &runroot.to_string_lossy(),
        ]
        .map(str::to_owned)
        .to_vec(),
        root,
        runroot,
        program,
        runtimes: Runtimes::new().with("builtin", Arc::new(CliRuntime::new(runtime))),
        default_runtime: "builtin".to_owned(),
        cgroup_parent: "/ctr".to_owned(),
        clock: ctr_sys::now_ns,
        actor: Actor {
            uid: 0,
            login_uid: ctr_sys::login_uid(),
            pid: std::process::id().cast_signed(),
            program: "embed".to_owned(),
        },
        log: LogDefaults::default(),
        lock_wait: Duration::from_secs(30),
        keep_events: ctr_state::KEEP_EVENTS,
    }
}

fn request() -> CreateRequest {
    CreateRequest {
        name: None,
        rootfs: RootfsSource {
            path: PathBuf::from("/"),
            mode: ctr_rootfs::RootfsMode::Overlay,
        },
        entrypoint: None,
        command: ["sh", "-c", "echo hello from $HOSTNAME; exit 7"]
            .map(str::to_owned)
            .to_vec(),
        env: Vec::new(),
        cwd: None,
        user: String::new(),
        volumes: Vec::new(),
        hostname: Some("embedded".to_owned()),
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
