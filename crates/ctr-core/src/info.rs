//! What the engine says of itself and of the host.

use std::time::Duration;

use ctr_oci::{FeatureSummary, Verdict, version_verdict};
use ctr_state::{RuntimeRef, Status};
use ctr_sys::{Cgroups, Deadline};
use serde::Serialize;
use serde_json::Value;

use crate::engine::Engine;
use crate::error::{EngineError, chain};

/// How long a runtime may take to say what it is.
const FEATURES_WAIT: Duration = Duration::from_secs(10);

/// The programs that are looked for when they were not configured.
const KNOWN_RUNTIMES: [&str; 3] = ["crun", "runc", "youki"];

/// The answer of `info`.
#[derive(Clone, Debug, Serialize)]
pub struct EngineInfo {
    /// Version of the engine.
    pub version: String,
    /// Durable state.
    pub root: String,
    /// Volatile state.
    pub runroot: String,
    /// The machine.
    pub host: HostInfo,
    /// How many containers there are.
    pub containers: ContainerCounts,
    /// The runtime of containers that ask for none.
    pub default_runtime: String,
    /// The runtimes that are configured or found.
    pub runtimes: Vec<RuntimeInfo>,
    /// What the engine does not do yet although users of other engines count on it.
    pub limitations: Vec<String>,
}

/// The machine.
#[derive(Clone, Debug, Serialize)]
pub struct HostInfo {
    /// The kernel's release.
    pub kernel: String,
    /// The processor's architecture.
    pub architecture: String,
    /// `v1`, `hybrid` or `v2`.
    pub cgroups: String,
}

/// How many containers there are.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct ContainerCounts {
    /// All.
    pub total: usize,
    /// Those that run.
    pub running: usize,
    /// Those that are frozen.
    pub paused: usize,
    /// The others.
    pub stopped: usize,
}

/// A runtime.
#[derive(Clone, Debug, Serialize)]
pub struct RuntimeInfo {
    /// Its name.
    pub name: String,
    /// Its program; empty for the one that is part of this program.
    pub path: String,
    /// Its version, when it tells.
    pub version: Option<String>,
    /// The version of the OCI runtime specification that it follows, when it tells.
    pub oci_version: Option<String>,
    /// What it says that it can do, in short; `None` when it does not tell.
    pub features: Option<FeatureSummary>,
    /// What is to be known about it: a version with known holes, or why it cannot be used.
    pub warning: Option<String>,
    /// All that it says of itself (the specification's "Features" document).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features_document: Option<Value>,
}

impl Engine {
    /// What the engine is, what it has, and what it runs on. Takes no lock.
    ///
    /// # Errors
    /// When the store or the host cannot be read; a runtime that cannot be asked only gets a warning.
    pub fn info(&self) -> Result<EngineInfo, EngineError> {
        let names = rustix::system::uname();
        Ok(EngineInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            root: self.layout().root().display().to_string(),
            runroot: self.layout().runroot().display().to_string(),
            host: HostInfo {
                kernel: names.release().to_string_lossy().into_owned(),
                architecture: names.machine().to_string_lossy().into_owned(),
                cgroups: Cgroups::detect()?.mode().as_str().to_owned(),
            },
            containers: self.counts()?,
            default_runtime: self.config().default_runtime.clone(),
            runtimes: self.runtimes(),
            limitations: vec![
                "no default seccomp profile yet: containers may use every system call that their \
                 capabilities allow"
                    .to_owned(),
            ],
        })
    }

    fn counts(&self) -> Result<ContainerCounts, EngineError> {
        let mut counts = ContainerCounts::default();
        for summary in self.list()? {
            counts.total += 1;
            match summary.status() {
                Some(Status::Running | Status::Stopping) => counts.running += 1,
                Some(Status::Paused) => counts.paused += 1,
                Some(
                    Status::Configured
                    | Status::Created
                    | Status::Stopped
                    | Status::Exited
                    | Status::Removing,
                )
                | None => counts.stopped += 1,
            }
        }
        Ok(counts)
    }

    fn runtimes(&self) -> Vec<RuntimeInfo> {
        let runtimes = &self.config().runtimes;
        let mut names: Vec<&str> = runtimes.names().collect();
        for name in KNOWN_RUNTIMES {
            if !names.contains(&name) && runtimes.is_installed(name) {
                names.push(name);
            }
        }
        names.into_iter().map(|name| self.runtime(name)).collect()
    }

    fn runtime(&self, name: &str) -> RuntimeInfo {
        let runtimes = &self.config().runtimes;
        let reference = RuntimeRef {
            name: name.to_owned(),
            path: None,
        };
        let mut info = RuntimeInfo {
            name: name.to_owned(),
            path: runtimes.program_text(&reference),
            version: None,
            oci_version: None,
            features: None,
            warning: None,
            features_document: None,
        };
        let asked = runtimes
            .open(&reference, self.layout().runroot())
            .and_then(|runtime| Ok(runtime.features(Deadline::after(FEATURES_WAIT))?));
        match asked {
            Ok(features) => {
                info.warning = features
                    .version
                    .as_deref()
                    .and_then(|version| warning(&features.name, version));
                info.features = features.summary();
                info.version = features.version;
                info.oci_version = features.oci_version;
                info.features_document = features.raw;
            }
            Err(error) => info.warning = Some(chain(&error)),
        }
        info
    }
}

fn warning(name: &str, version: &str) -> Option<String> {
    match version_verdict(name, version) {
        Verdict::Old { minimum } => Some(format!(
            "version {version} has known security holes; use {minimum} or newer"
        )),
        Verdict::Ok | Verdict::Unknown => None,
    }
}
