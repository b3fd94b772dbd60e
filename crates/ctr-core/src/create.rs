//! Creating a container: its row, its directory, nothing that runs.

mod config;
mod files;

use std::collections::BTreeMap;
use std::path::PathBuf;

use ctr_events::EventKind;
use ctr_rootfs::RootfsSource;
use ctr_state::{
    AutoRemove, Config, ContainerId, ContainerName, IntentKind, NewContainer, RequiredState,
    RestartPolicy, StateError, Status, StdinMode, Terminal, VolumeConfig, names,
};
use ctr_sys::{Signal, remove_tree};

use crate::container::{Container, LockedContainer};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::log_options::LogOptions;
use crate::remove::{Dependents, RemoveMode, RemoveRequest};
use crate::undo::Undo;
pub(crate) use config::Planned;
use files::write_cid_file;
pub(crate) use files::{remove_cid_file, remove_pid_file};

/// What a container is to be. There is no default: whoever asks says everything.
#[derive(Clone, Debug)]
pub struct CreateRequest {
    /// Its name; `None` for a generated one.
    pub name: Option<ContainerName>,
    /// The files it runs on.
    pub rootfs: RootfsSource,
    /// The fixed beginning of its command line.
    pub entrypoint: Option<Vec<String>>,
    /// The rest of its command line.
    pub command: Vec<String>,
    /// Variables beside the usual ones; they win.
    pub env: Vec<(String, String)>,
    /// The working directory inside, absolute; `None` for `/`.
    pub cwd: Option<PathBuf>,
    /// `USER[:GROUP]` as typed; empty for root.
    pub user: String,
    /// Parts of the host that it sees.
    pub volumes: Vec<VolumeConfig>,
    /// Its host name; `None` for the short id (or the host's name in the host's network).
    pub hostname: Option<String>,
    /// Its network.
    pub network: NetworkRequest,
    /// Whose processes it sees.
    pub pid: NamespaceRequest,
    /// Whose message queues, semaphores and shared memory (also that of `/dev/shm`) it has.
    pub ipc: NamespaceRequest,
    /// Whose host name it has.
    pub uts: NamespaceRequest,
    /// Containers that must be there before it is started.
    pub requires: Vec<RequireRequest>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations for the runtime.
    pub annotations: BTreeMap<String, String>,
    /// The signal that asks it to end.
    pub stop_signal: Signal,
    /// Seconds between that signal and SIGKILL.
    pub stop_timeout_s: u32,
    /// Whether it goes away by itself after its run.
    pub auto_remove: AutoRemove,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// How many seconds a run may take before it is killed; `None` or 0 for no limit.
    pub timeout_s: Option<u32>,
    /// How willingly the kernel kills in it for want of memory, -1000 to 1000; `None`: as the engine. Lowering it takes
    /// `CAP_SYS_RESOURCE`.
    pub oom_score_adj: Option<i32>,
    /// What becomes of a container that has the name already.
    pub replace: Replace,
    /// The runtime's name or path; `None` for the engine's default.
    pub runtime: Option<String>,
    /// Whether its program has a terminal.
    pub terminal: Terminal,
    /// What its program reads.
    pub stdin: StdinMode,
    /// A file to write the id to; it must not exist, and goes with the container.
    pub cid_file: Option<PathBuf>,
    /// A file to write the pid of each run's first process to.
    pub pid_file: Option<PathBuf>,
    /// Its log.
    pub log: LogOptions,
    /// The command line that asked for it.
    pub create_command: Vec<String>,
}

/// Whose network a new container has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkRequest {
    /// One of its own, with nothing but the loopback device.
    #[default]
    None,
    /// That of the host.
    Host,
    /// That of the container with this name or id.
    Container(String),
}

/// Whose namespace of one kind a new container is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NamespaceRequest {
    /// One of its own.
    #[default]
    Private,
    /// That of the host.
    Host,
    /// That of the container with this name or id.
    Container(String),
}

/// A container that a new one requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequireRequest {
    /// Its name or id.
    pub name: String,
    /// How it must be.
    pub condition: RequiredState,
}

/// What becomes of a container that has the name of a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replace {
    /// It stays, and the creation fails.
    #[default]
    No,
    /// It is removed first, by force.
    Yes,
}

impl Engine {
    /// Creates a container.
    ///
    /// # Errors
    /// [`StateError::NameInUse`] inside [`EngineError::State`], [`EngineError::Invalid`] and errors of the files and the runtime that
    /// are named; nothing is left then. With [`Replace::Yes`] also those of the removal of the one that has the name.
    pub fn create(&self, request: CreateRequest) -> Result<Container<'_>, EngineError> {
        let planned = self.plan(request)?;
        let mut locked = self.create_locked(planned)?;
        locked.locked_record().set_intent(None);
        let durability = locked.config().auto_remove.into();
        locked.locked_record().save(&[], durability)?;
        Ok(locked.unlock())
    }

    /// Creates a container and keeps its lock, with the intent of the creation still in its record: the caller's next save is to
    /// replace it.
    pub(crate) fn create_locked(
        &self,
        planned: Planned,
    ) -> Result<LockedContainer<'_>, EngineError> {
        let Planned {
            config,
            name,
            replace,
        } = planned;
        let _span =
            tracing::info_span!("create", container = config.id.short(), generation = 0).entered();
        if let (Some(name), Replace::Yes) = (&name, replace) {
            self.remove_holder(name, &config)?;
        }
        Undo::scope("create", |undo| {
            let directory = self.layout().container(&config.id);
            let locked = self.insert(name.as_ref(), &config)?;
            undo.push("remove the row", {
                let handle = locked.handle();
                move || match handle.lock("create") {
                    Ok(locked) => crate::remove::finish(locked),
                    Err(error) if error.is_not_found() => Ok(()),
                    Err(error) => Err(error),
                }
            });
            self.layout().create_container(&config.id)?;
            undo.push("remove the directory", move || Ok(remove_tree(&directory)?));
            if let Some(path) = &config.cid_file {
                // After the row, so that whoever finds the creation cut off knows of the file.
                write_cid_file(path, &config.id)?;
            }
            Ok(locked)
        })
    }

    /// Removes the container that has a name, if there is one; not one whose id only begins so.
    fn remove_holder(&self, name: &ContainerName, config: &Config) -> Result<(), EngineError> {
        let holder = match self.find(name.as_str()) {
            Ok(holder) => holder,
            Err(EngineError::State(StateError::NotFound { .. } | StateError::Ambiguous { .. })) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let removed = holder.snapshot().and_then(|snapshot| {
            if snapshot.name() != name {
                return Ok(());
            }
            if config.dependencies().contains(holder.id()) {
                let why = "the new container needs the one that it is to replace";
                return Err(EngineError::invalid("name", name, why));
            }
            holder
                .remove(RemoveRequest {
                    mode: RemoveMode::Force,
                    timeout_s: None,
                    dependents: Dependents::Refuse,
                })
                .map(drop)
        });
        match removed {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    fn insert(
        &self,
        name: Option<&ContainerName>,
        config: &Config,
    ) -> Result<LockedContainer<'_>, EngineError> {
        let mut random = random_numbers();
        let mut tries = 0;
        loop {
            let chosen = name
                .cloned()
                .unwrap_or_else(|| names::generate(&mut random));
            let event = self.event_of(EventKind::Create, &config.id, &chosen, config, 0);
            let new = NewContainer {
                config: config.clone(),
                name: chosen,
                dependencies: config.dependencies().into_iter().collect(),
                intent: Some(self.intent(IntentKind::Create, 0)),
                event,
            };
            let durability = config.auto_remove.into();
            match self
                .store()
                .create_locked(new, "create", self.lock_deadline(), durability)
            {
                Ok(record) => return Ok(LockedContainer::new(self, record)),
                // Only a name that we made up may be another one.
                Err(StateError::NameInUse { .. }) if name.is_none() => {}
                // Its holder may only be waiting for somebody to notice that it is over.
                Err(StateError::NameInUse { ref by, .. }) if tries == 0 && self.is_over(by)? => {
                    tries += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes in what has happened to a container, which may be its end; true when it is gone.
    fn is_over(&self, id: &ContainerId) -> Result<bool, EngineError> {
        let summary = Container::new(self, id.clone()).summary();
        let over = summary.is_ok_and(|summary| match summary.status() {
            Some(Status::Configured | Status::Stopped | Status::Exited | Status::Removing) => true,
            Some(Status::Running | Status::Paused | Status::Stopping | Status::Created) | None => {
                false
            }
        });
        if !over {
            return Ok(false);
        }
        match Container::new(self, id.clone()).lock("create") {
            Err(error) if error.is_not_found() => Ok(true),
            Ok(_) | Err(EngineError::State(StateError::Busy { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Numbers for names; nothing depends on them being secret.
fn random_numbers() -> impl FnMut() -> u32 {
    move || {
        let mut bytes = [0; 4];
        // Without randomness (a kernel that is just starting) the clock of the hasher's seed still differs.
        match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK) {
            Ok(_) => u32::from_ne_bytes(bytes),
            Err(_) => std::process::id(),
        }
    }
}
