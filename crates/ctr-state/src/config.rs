//! What a container was asked to be. Never changed after it was created.

mod needs;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use ctr_sys::Signal;
use serde::{Deserialize, Serialize};

use crate::{ContainerId, path_text};

pub use needs::{NamespaceMode, RequiredState, Requirement, RestartPolicy};

/// The configuration of a container, stored as it was created. Its name is not here: names can be changed.
///
/// Fields that a later version adds have a default; unknown fields are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The version of this form, [`Config::VERSION`] when it is written.
    pub version: u32,
    /// Whose configuration it is.
    pub id: ContainerId,
    /// When it was created: nanoseconds since 1970-01-01 UTC.
    pub created_ns: i64,
    /// The command line that created it; empty when it was not a command.
    #[serde(default)]
    pub create_command: Vec<String>,
    /// The files it runs on.
    pub rootfs: RootfsConfig,
    /// What runs in it.
    pub process: ProcessConfig,
    /// Parts of the host that it sees.
    #[serde(default)]
    pub volumes: Vec<VolumeConfig>,
    /// Its host name; `None` for one made from the id.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Its network.
    pub network: NetworkMode,
    /// Whose processes it sees.
    #[serde(default)]
    pub pid: NamespaceMode,
    /// Whose message queues, semaphores and shared memory it has.
    #[serde(default)]
    pub ipc: NamespaceMode,
    /// Whose host name it has.
    #[serde(default)]
    pub uts: NamespaceMode,
    /// Containers that must be there before it is started, beside those whose namespaces it joins.
    #[serde(default)]
    pub requires: Vec<Requirement>,
    /// What users have written on it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What is passed on to the runtime.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// The signal that asks it to end.
    pub stop_signal: Signal,
    /// How many seconds it has to obey that, before it is killed.
    pub stop_timeout_s: u32,
    /// Whether it is removed once it has run.
    pub auto_remove: AutoRemove,
    /// When it is started again.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// How many seconds a run may take before it is killed; `None` for no limit.
    #[serde(default)]
    pub timeout_s: Option<u32>,
    /// How willingly the kernel kills in it for want of memory, -1000 to 1000, see `proc_pid_oom_score_adj(5)`; `None`: as the engine.
    #[serde(default)]
    pub oom_score_adj: Option<i32>,
    /// The runtime that runs it.
    pub runtime: RuntimeRef,
    /// Its path in the cgroup hierarchy, from the root of the mount: "/ctr/ID".
    pub cgroup_path: String,
    /// Where its first pid is written for the user.
    #[serde(default, with = "path_text::option")]
    pub pid_file: Option<PathBuf>,
    /// Where its id was written for the user; removed with it.
    #[serde(default, with = "path_text::option")]
    pub cid_file: Option<PathBuf>,
    /// Where its output goes.
    pub log: LogConfig,
}

impl Config {
    /// The version that this program writes, and the newest that it reads.
    pub const VERSION: u32 = 1;

    /// Reads a stored configuration.
    pub(crate) fn from_json(text: &str) -> Result<Self, String> {
        let config: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if config.version > Self::VERSION {
            return Err(format!(
                "its configuration has version {}, this program knows versions up to {}",
                config.version,
                Self::VERSION
            ));
        }
        Ok(config)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers, texts and text keys are always JSON")
    }

    /// The containers whose namespaces it joins, each once, in ascending order.
    pub fn joined(&self) -> BTreeSet<ContainerId> {
        let network = match &self.network {
            NetworkMode::Container(id) => Some(id),
            NetworkMode::None | NetworkMode::Host => None,
        };
        let others = [&self.pid, &self.ipc, &self.uts].into_iter();
        let others = others.filter_map(|mode| match mode {
            NamespaceMode::Container(id) => Some(id),
            NamespaceMode::Private | NamespaceMode::Host => None,
        });
        network.into_iter().chain(others).cloned().collect()
    }

    /// Every container that it needs, each once, in ascending order: those it joins and those it requires.
    pub fn dependencies(&self) -> BTreeSet<ContainerId> {
        let required = self.requires.iter().map(|needed| needed.id.clone());
        self.joined().into_iter().chain(required).collect()
    }
}

/// The files a container runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootfsConfig {
    /// The directory on the host.
    #[serde(with = "path_text")]
    pub path: PathBuf,
    /// What may happen to it.
    pub mode: RootfsMode,
}

/// What a container may do to the directory it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootfsMode {
    /// It is the root itself: what the container writes lands there.
    Plain,
    /// It is the lower layer: what the container writes lands in a layer of its own.
    Overlay,
}

/// What runs in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessConfig {
    /// The fixed beginning of the command line.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// The rest of it.
    #[serde(default)]
    pub command: Vec<String>,
    /// The environment, in order, each name once.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// The working directory inside.
    #[serde(with = "path_text")]
    pub cwd: PathBuf,
    /// The user as it was typed; empty for root.
    #[serde(default)]
    pub user: String,
    /// Whether it has a terminal.
    pub terminal: Terminal,
    /// What it reads.
    pub stdin: StdinMode,
}

/// Whether the program of a container has a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Terminal {
    /// Its standard streams are pipes.
    No,
    /// Its standard streams are a pseudo-terminal.
    Yes,
}

/// What the program of a container reads on its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StdinMode {
    /// Nothing, its end at once.
    Null,
    /// What clients send.
    Open,
}

/// A part of the host that a container sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeConfig {
    /// The file or directory on the host.
    #[serde(with = "path_text")]
    pub source: PathBuf,
    /// Where it is inside.
    #[serde(with = "path_text")]
    pub destination: PathBuf,
    /// What may be done to it.
    pub access: Access,
}

/// What a container may do to a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read and change it.
    ReadWrite,
    /// Read it.
    ReadOnly,
}

/// The network of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// One of its own, with nothing but the loopback device.
    None,
    /// That of the host.
    Host,
    /// That of another container, which must run when this one is made in its runtime.
    Container(ContainerId),
}

/// Whether a container is removed once it has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutoRemove {
    /// It stays until somebody removes it.
    No,
    /// It is removed by whoever cleans up after its run.
    Yes,
}

/// The runtime that a container was created with: it stays with that one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeRef {
    /// Its name, as in "crun".
    pub name: String,
    /// Its program, when that was given as a path or configured; else it is looked for by its name.
    #[serde(default, with = "path_text::option")]
    pub path: Option<PathBuf>,
}

/// Where the output of a container goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// How it is logged.
    pub driver: LogDriver,
    /// The file; empty when the driver has none.
    #[serde(with = "path_text")]
    pub path: PathBuf,
    /// The most bytes that a file holds before another one is begun; `None` for no limit.
    #[serde(default)]
    pub max_size: Option<u64>,
    /// How many files there are at most, the present one and those put aside; at least 1.
    #[serde(default = "one_file")]
    pub max_files: u32,
    /// What entries of the journal are marked with.
    #[serde(default)]
    pub tag: Option<String>,
}

fn one_file() -> u32 {
    1
}

/// How the output of a container is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// Not at all.
    None,
    /// To a file in the Kubernetes text form.
    #[serde(rename = "k8s-file")]
    K8sFile,
    /// To the journal of the host.
    Journald,
    /// Not at all: its standard streams are those of whoever starts it.
    Passthrough,
}

impl LogDriver {
    /// The names that users give, the first of each driver being its own.
    const NAMES: &'static [(&'static str, Self)] = &[
        ("k8s-file", Self::K8sFile),
        ("journald", Self::Journald),
        ("none", Self::None),
        ("passthrough", Self::Passthrough),
        // Users of other engines write this and mean a file.
        ("json-file", Self::K8sFile),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::K8sFile => "k8s-file",
            Self::Journald => "journald",
            Self::Passthrough => "passthrough",
        }
    }
}

impl std::str::FromStr for LogDriver {
    type Err = UnknownLogDriver;

    fn from_str(text: &str) -> Result<Self, UnknownLogDriver> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, driver)| *driver).ok_or(UnknownLogDriver)
    }
}

/// A text that is no log driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log drivers are k8s-file (also as json-file), journald, none and passthrough")]
pub struct UnknownLogDriver;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_an_older_record_is_read() {
        let text = r#"{"driver":"k8s-file","path":"/x/ctr.log"}"#;
        let log: LogConfig = serde_json::from_str(text).unwrap();
        assert_eq!(
            (log.driver, log.max_size, log.max_files, log.tag),
            (LogDriver::K8sFile, None, 1, None)
        );
    }

    #[test]
    fn drivers_by_name() {
        for (name, driver) in LogDriver::NAMES {
            assert_eq!(name.parse(), Ok(*driver));
            assert_eq!(driver.name().parse(), Ok(*driver));
            let stored = serde_json::to_string(driver).unwrap();
            assert_eq!(stored, format!("\"{}\"", driver.name()));
        }
        assert!("syslog".parse::<LogDriver>().is_err());
    }
}
