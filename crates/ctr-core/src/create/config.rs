//! From what is asked for to the configuration that is stored: names become ids, defaults become values, and what cannot be is refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ctr_oci::{Hostname, RuntimeFeatures};
use ctr_rootfs::{Rootfs, UserSpec, mount_destination};
use ctr_state::{
    AutoRemove, Config, ContainerId, ContainerName, LogDriver, NamespaceMode, NetworkMode,
    ProcessConfig, RequiredState, Requirement, RestartPolicy, RootfsConfig, RootfsMode, Terminal,
};
use ctr_sys::SysError;

use super::{CreateRequest, NamespaceRequest, NetworkRequest, Replace, RequireRequest};
use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// What a request leads to; nothing is made yet.
    ///
    /// # Errors
    /// What [`Engine::create`] refuses without looking for the name.
    pub(crate) fn plan(&self, request: CreateRequest) -> Result<Planned, EngineError> {
        check(&request)?;
        let id = ContainerId::generate()?;
        let relations = self.relations(&request)?;
        let (name, replace) = (request.name.clone(), request.replace);
        let config = self.config_of(id, request, relations)?;
        check_policy(&config)?;
        check_requirements(&config)?;
        Ok(Planned {
            config,
            name,
            replace,
        })
    }

    /// The containers that a request names, by their ids.
    fn relations(&self, request: &CreateRequest) -> Result<Relations, EngineError> {
        let namespace = |asked: &NamespaceRequest| {
            Ok::<_, EngineError>(match asked {
                NamespaceRequest::Private => NamespaceMode::Private,
                NamespaceRequest::Host => NamespaceMode::Host,
                NamespaceRequest::Container(name) => {
                    NamespaceMode::Container(self.find(name)?.id().clone())
                }
            })
        };
        let network = match &request.network {
            NetworkRequest::None => NetworkMode::None,
            NetworkRequest::Host => NetworkMode::Host,
            NetworkRequest::Container(name) => {
                NetworkMode::Container(self.find(name)?.id().clone())
            }
        };
        let required = request
            .requires
            .iter()
            .map(|RequireRequest { name, condition }| {
                let id = self.find(name)?.id().clone();
                let condition = *condition;
                Ok(Requirement { id, condition })
            });
        Ok(Relations {
            network,
            pid: namespace(&request.pid)?,
            ipc: namespace(&request.ipc)?,
            uts: namespace(&request.uts)?,
            requires: required.collect::<Result<_, EngineError>>()?,
        })
    }

    fn config_of(
        &self,
        id: ContainerId,
        request: CreateRequest,
        relations: Relations,
    ) -> Result<Config, EngineError> {
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
            network: relations.network,
            pid: relations.pid,
            ipc: relations.ipc,
            uts: relations.uts,
            requires: relations.requires,
            labels: request.labels,
            annotations: request.annotations,
            stop_signal: request.stop_signal,
            stop_timeout_s: request.stop_timeout_s,
            auto_remove: request.auto_remove,
            restart: request.restart,
            timeout_s: request.timeout_s.filter(|seconds| *seconds > 0),
            oom_score_adj: request.oom_score_adj,
            runtime: self.config().runtimes.reference(runtime)?,
            cgroup_path: self.cgroup_path(&id),
            pid_file: request.pid_file,
            cid_file: request.cid_file,
            log,
            id,
        })
    }
}

/// A container that is about to be created.
pub(crate) struct Planned {
    pub(crate) config: Config,
    /// `None` for a generated one.
    pub(crate) name: Option<ContainerName>,
    pub(super) replace: Replace,
}

/// Other containers, by their ids.
struct Relations {
    network: NetworkMode,
    pid: NamespaceMode,
    ipc: NamespaceMode,
    uts: NamespaceMode,
    requires: Vec<Requirement>,
}

/// Whether the container can be started again as its policy says.
fn check_policy(config: &Config) -> Result<(), EngineError> {
    let refuse = |why| Err(EngineError::invalid("restart policy", &config.restart, why));
    match (config.restart, config.auto_remove, config.log.driver) {
        (RestartPolicy::No, _, _) => {}
        (_, _, LogDriver::Passthrough) => {
            return refuse(
                "a container that takes over its starter's streams cannot be started by anybody else",
            );
        }
        (RestartPolicy::Always | RestartPolicy::UnlessStopped, AutoRemove::Yes, _) => {
            return refuse(
                "a container that is removed after its run can only be started again on-failure",
            );
        }
        (
            RestartPolicy::OnFailure { .. } | RestartPolicy::Always | RestartPolicy::UnlessStopped,
            _,
            _,
        ) => {}
    }
    Ok(())
}

/// A container cannot be required in two ways that exclude each other. One whose namespace is joined must run.
fn check_requirements(config: &Config) -> Result<(), EngineError> {
    let joined = config.joined().into_iter();
    let mut needed: BTreeMap<ContainerId, RequiredState> =
        joined.map(|id| (id, RequiredState::Started)).collect();
    for Requirement { id, condition } in &config.requires {
        let known = needed.insert(id.clone(), *condition);
        if known.is_some_and(|known| known != *condition) {
            let why = "one container cannot be required both to run and to have ended";
            return Err(EngineError::invalid("requirement", &id.short(), why));
        }
    }
    Ok(())
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
        if request.uts != NamespaceRequest::Private {
            let why = "a container without a host name of its own cannot be given one";
            return Err(EngineError::invalid("hostname", hostname, why));
        }
    }
    if let Some(value) = request.oom_score_adj
        && !(-1000..=1000).contains(&value)
    {
        let why = "it must be a number from -1000 to 1000";
        return Err(EngineError::invalid("oom score adjustment", &value, why));
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
