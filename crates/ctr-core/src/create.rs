//! Creating a container: its row, its directory, nothing that runs.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ctr_events::EventKind;
use ctr_oci::{Hostname, RuntimeFeatures};
use ctr_rootfs::{Rootfs, RootfsSource, UserSpec, mount_destination};
use ctr_state::{
    AutoRemove, Config, ContainerId, ContainerName, IntentKind, LogDriver, NetworkMode,
    NewContainer, ProcessConfig, RootfsConfig, RootfsMode, StateError, Status, StdinMode, Terminal,
    VolumeConfig, names,
};
use ctr_sys::{PidRef, Signal, SysError, remove_tree};

use crate::container::{Container, LockedContainer};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::log_options::LogOptions;
use crate::undo::Undo;

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
    pub network: NetworkMode,
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

impl Engine {
    /// Creates a container.
    ///
    /// # Errors
    /// [`StateError::NameInUse`] inside [`EngineError::State`], [`EngineError::Invalid`] and errors of the files and the runtime that
    /// are named; nothing is left then.
    pub fn create(&self, request: CreateRequest) -> Result<Container<'_>, EngineError> {
        let mut locked = self.create_locked(request)?;
        locked.locked_record().set_intent(None);
        let durability = locked.config().auto_remove.into();
        locked.locked_record().save(&[], durability)?;
        Ok(locked.unlock())
    }

    /// Creates a container and keeps its lock, with the intent of the creation still in its record: the caller's next save is to
    /// replace it.
    pub(crate) fn create_locked(
        &self,
        request: CreateRequest,
    ) -> Result<LockedContainer<'_>, EngineError> {
        let id = ContainerId::generate()?;
        let _span = tracing::info_span!("create", container = id.short(), generation = 0).entered();
        let name = request.name.clone();
        let config = self.config_of(id, request)?;
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
                dependencies: Vec::new(),
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

    fn config_of(&self, id: ContainerId, request: CreateRequest) -> Result<Config, EngineError> {
        check(&request)?;
        let directory = self.layout().container(&id);
        let rootfs = Rootfs::from_source(&request.rootfs, &directory);
        rootfs.check()?;
        let runtime = request
            .runtime
            .as_ref()
            .unwrap_or(&self.config().default_runtime);
        let log = self.log_config(&id, request.log)?;
        if (log.driver, request.terminal) == (LogDriver::Passthrough, Terminal::Yes) {
            let why = "a container with a terminal does not have its starter's streams";
            return Err(EngineError::invalid("log driver", &log.driver.name(), why));
        }
        Ok(Config {
            version: Config::VERSION,
            created_ns: self.now_ns(),
            create_command: request.create_command,
            rootfs: RootfsConfig {
                path: rootfs.path().to_owned(),
                mode: match request.rootfs.mode {
                    ctr_rootfs::RootfsMode::Plain => RootfsMode::Plain,
                    ctr_rootfs::RootfsMode::Overlay => RootfsMode::Overlay,
                },
            },
            process: ProcessConfig {
                entrypoint: request.entrypoint.unwrap_or_default(),
                command: request.command,
                env: request.env,
                cwd: request.cwd.unwrap_or_else(|| PathBuf::from("/")),
                user: request.user,
                terminal: request.terminal,
                stdin: request.stdin,
            },
            volumes: request.volumes,
            hostname: request.hostname,
            network: request.network,
            labels: request.labels,
            annotations: request.annotations,
            stop_signal: request.stop_signal,
            stop_timeout_s: request.stop_timeout_s,
            auto_remove: request.auto_remove,
            runtime: self.config().runtimes.reference(runtime)?,
            cgroup_path: self.cgroup_path(&id),
            pid_file: request.pid_file,
            cid_file: request.cid_file,
            log,
            id,
        })
    }
}

fn check(request: &CreateRequest) -> Result<(), EngineError> {
    let entrypoint = request.entrypoint.as_deref().unwrap_or_default();
    let first = entrypoint.iter().chain(&request.command).next();
    if first.is_none_or(String::is_empty) {
        return Err(EngineError::invalid(
            "command",
            &"",
            "there is no program to run",
        ));
    }
    UserSpec::parse(&request.user)?;
    if let Some(hostname) = &request.hostname {
        hostname.parse::<Hostname>()?;
    }
    if let Some(cwd) = &request.cwd
        && (!cwd.is_absolute() || cwd.starts_with("/proc") || cwd.starts_with("/dev/fd"))
    {
        let why = "the working directory must be an absolute path that does not lie in /proc";
        return Err(EngineError::invalid(
            "working directory",
            &cwd.display(),
            why,
        ));
    }
    let known = RuntimeFeatures::named("any");
    for key in request.annotations.keys() {
        if known.is_unsafe_annotation(key) {
            let why = "it changes what runtimes do, and nothing allows that yet";
            return Err(EngineError::invalid("annotation", key, why));
        }
    }
    for volume in &request.volumes {
        mount_destination(&volume.destination)?;
        if !volume.source.is_absolute() {
            let why = "the source of a volume must be an absolute path";
            return Err(EngineError::invalid(
                "volume",
                &volume.source.display(),
                why,
            ));
        }
        std::fs::symlink_metadata(&volume.source).map_err(|error| {
            SysError::new(
                "use the volume source",
                volume.source.display().to_string(),
                error,
            )
        })?;
    }
    Ok(())
}

/// The file must be new: an id file that is there belongs to another container.
fn write_cid_file(path: &Path, id: &ContainerId) -> Result<(), EngineError> {
    use std::io::Write;
    let error = |source| SysError::new("create the id file", path.display().to_string(), source);
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
        .map_err(|source| {
            if source.kind() == std::io::ErrorKind::AlreadyExists {
                let why = "it exists: remove it, or the container that it belongs to";
                return EngineError::invalid("id file", &path.display(), why);
            }
            error(source).into()
        })?;
    let written = file.write_all(id.as_str().as_bytes());
    if let Err(source) = written {
        remove_file(path)?;
        return Err(error(source).into());
    }
    Ok(())
}

/// Removes the id file, if it is this container's: another one may lie at that path by now.
pub(crate) fn remove_cid_file(path: &Path, id: &ContainerId) -> Result<(), EngineError> {
    let mut content = String::new();
    let read = std::fs::File::options()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .and_then(|file| file.take(128).read_to_string(&mut content));
    if read.is_ok() && content.trim() == id.as_str() {
        return remove_file(path);
    }
    Ok(())
}

/// Removes a pid file, unless the pid in it belongs to a process that lives: then it is another container's by now.
pub(crate) fn remove_pid_file(path: &Path) -> Result<(), EngineError> {
    if let Ok(Some(pid)) = ctr_exec::PidFile::new(path).read()
        && PidRef::capture(pid)?.is_some()
    {
        return Ok(());
    }
    remove_file(path)
}

pub(crate) fn remove_file(path: &Path) -> Result<(), EngineError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(SysError::new("remove", path.display().to_string(), error).into())
        }
        _ => Ok(()),
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
