//! Building a runtime specification (`config.json`) with safe defaults.
//!
//! Everything that is not asked for has the safe value: a small set of capabilities, every namespace private but the user's, all
//! devices denied but the harmless ones, host information in procfs and sysfs hidden, cgroups read-only. The defaults are data
//! in the modules below this one. Absent on purpose: seccomp and security labels (not every runtime enforces them), user
//! namespaces, and any way for text of somebody else (an image's annotations) to get into a specification unasked.

mod host;
mod hostname;
mod linux;
mod mounts;
mod namespaces;
mod process;
mod rights;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{PosixRlimitType, Process, Root, Spec};

pub use host::HostFacts;
pub use hostname::Hostname;
pub use linux::{MASKED_PATHS, READONLY_PATHS};
pub use mounts::{Access, BindMount, SHM_SIZE};
pub use namespaces::{CgroupNamespace, Namespace, NetworkNamespace};
pub use process::{DEFAULT_UMASK, ProcessBuilder, Rlimit, Terminal, UserIds, set_window};

pub use rights::{DEFAULT_CAPABILITIES, Rights, UnknownCapability, capabilities, parse_capability};

use crate::error::OciError;
use namespaces::Namespaces;
use process::absolute;

/// The version of the specification that we write. Every runtime takes it; some refuse a minor version that they do not know.
const OCI_VERSION: &str = "1.0.2";

/// Builds a runtime specification.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "nothing is built before `build`"]
pub struct SpecBuilder {
    root: PathBuf,
    root_access: Access,
    process: ProcessBuilder,
    hostname: Option<Hostname>,
    mounts: Vec<BindMount>,
    namespaces: Namespaces,
    cgroup_path: Option<String>,
    annotations: BTreeMap<String, String>,
    host: Option<HostFacts>,
}

impl SpecBuilder {
    /// A container whose root is the directory `root` (an absolute path), with a private network and the caller's cgroup namespace.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            root_access: Access::ReadWrite,
            process: ProcessBuilder::new(),
            hostname: None,
            mounts: Vec::new(),
            namespaces: Namespaces {
                pid: Namespace::Private,
                ipc: Namespace::Private,
                uts: Namespace::Private,
                network: NetworkNamespace::Private,
                cgroup: CgroupNamespace::Host,
            },
            cgroup_path: None,
            annotations: BTreeMap::new(),
            host: None,
        }
    }

    /// What the container may do with its root; read and write by default.
    pub fn root_access(mut self, access: Access) -> Self {
        self.root_access = access;
        self
    }

    /// Sets the whole process part at once; replaces what was set of it before.
    pub fn process(mut self, process: ProcessBuilder) -> Self {
        self.process = process;
        self
    }

    /// As [`ProcessBuilder::args`].
    pub fn args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.process = self.process.args(args);
        self
    }

    /// As [`ProcessBuilder::env`].
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.process = self.process.env(key, value);
        self
    }

    /// As [`ProcessBuilder::cwd`].
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.process = self.process.cwd(cwd);
        self
    }

    /// As [`ProcessBuilder::user`].
    pub fn user(mut self, user: UserIds) -> Self {
        self.process = self.process.user(user);
        self
    }

    /// As [`ProcessBuilder::terminal`].
    pub fn terminal(mut self, terminal: Terminal) -> Self {
        self.process = self.process.terminal(terminal);
        self
    }

    /// As [`ProcessBuilder::rlimit`].
    pub fn rlimit(mut self, kind: PosixRlimitType, limit: Rlimit) -> Self {
        self.process = self.process.rlimit(kind, limit);
        self
    }

    /// As [`ProcessBuilder::oom_score_adj`].
    pub fn oom_score_adj(mut self, adjustment: i32) -> Self {
        self.process = self.process.oom_score_adj(adjustment);
        self
    }

    /// The name that the container has for itself; none by default, which leaves the host's. It needs a private UTS namespace.
    pub fn hostname(mut self, hostname: Hostname) -> Self {
        self.hostname = Some(hostname);
        self
    }

    /// Adds a directory or file of the host.
    pub fn mount(mut self, mount: BindMount) -> Self {
        self.mounts.push(mount);
        self
    }

    /// Whose processes the container sees; only its own by default.
    pub fn pid(mut self, namespace: Namespace) -> Self {
        self.namespaces.pid = namespace;
        self
    }

    /// Whose System V objects and message queues the container uses; its own by default. `/dev/shm` is a mount of its own: one that
    /// is shared along with them takes its place by [`SpecBuilder::mount`].
    pub fn ipc(mut self, namespace: Namespace) -> Self {
        self.namespaces.ipc = namespace;
        self
    }

    /// Whose host name the container has; its own by default.
    pub fn uts(mut self, namespace: Namespace) -> Self {
        self.namespaces.uts = namespace;
        self
    }

    /// The container's network; private by default.
    pub fn network(mut self, network: NetworkNamespace) -> Self {
        self.namespaces.network = network;
        self
    }

    /// The container's view of the cgroups; the caller's by default.
    pub fn cgroup_namespace(mut self, namespace: CgroupNamespace) -> Self {
        self.namespaces.cgroup = namespace;
        self
    }

    /// The container's cgroup, an absolute path from the root of the hierarchies. Without one the runtime chooses.
    pub fn cgroup_path(mut self, path: impl Into<String>) -> Self {
        self.cgroup_path = Some(path.into());
        self
    }

    /// Adds an annotation. Runtimes act on some keys: ask [`crate::RuntimeFeatures::is_unsafe_annotation`] before passing one
    /// on from somebody who is not trusted.
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// The host's facts that defaults depend on; read from the kernel by [`SpecBuilder::build`] unless given here.
    pub fn host(mut self, host: HostFacts) -> Self {
        self.host = Some(host);
        self
    }

    /// Checks everything and makes the specification.
    ///
    /// # Errors
    /// [`OciError::Invalid`], which names the value and the rule: paths must be absolute, UTF-8 and without `..`, no two mounts
    /// may have one destination, a host name needs a private UTS namespace, annotations need a key without control characters, and
    /// what [`ProcessBuilder::build`] checks. [`OciError::Host`].
    pub fn build(self) -> Result<Spec, OciError> {
        let host = self.host_facts()?;
        self.check_hostname()?;
        let annotations = self.checked_annotations()?;
        let mut root = Root::default();
        root.set_path(absolute("root", &self.root)?)
            .set_readonly(Some(self.root_access == Access::ReadOnly));
        let mounts = mounts::mounts(&self.mounts)?;
        let mut linux = linux::linux(&self.namespaces, self.cgroup_path.as_deref(), &host)?;
        linux.set_readonly_paths(Some(linux::readonly_paths(&host, &mounts)));
        let mut spec = Spec::default();
        spec.set_version(OCI_VERSION.to_owned())
            .set_root(Some(root))
            .set_process(Some(self.process.build(&host)?))
            .set_hostname(self.hostname.map(|name| name.to_string()))
            .set_mounts(Some(mounts))
            .set_annotations(annotations)
            .set_linux(Some(linux));
        Ok(spec)
    }

    /// The process part alone, as `exec` verbs of runtimes take it, with the same defaults as the container's first process.
    ///
    /// # Errors
    /// As [`ProcessBuilder::build`], and [`OciError::Host`].
    pub fn build_process(&self) -> Result<Process, OciError> {
        self.process.build(&self.host_facts()?)
    }

    fn host_facts(&self) -> Result<HostFacts, OciError> {
        self.host.clone().map_or_else(HostFacts::read, Ok)
    }

    /// A runtime would set the name where it is seen by everybody else in that namespace, or ignore it.
    fn check_hostname(&self) -> Result<(), OciError> {
        match (&self.hostname, &self.namespaces.uts) {
            (Some(name), Namespace::Host | Namespace::Join(_)) => {
                let why = "the container has no UTS namespace of its own";
                Err(OciError::invalid("hostname", name.to_string(), why))
            }
            (Some(_), Namespace::Private) | (None, _) => Ok(()),
        }
    }

    fn checked_annotations(&self) -> Result<Option<HashMap<String, String>>, OciError> {
        for (key, value) in &self.annotations {
            if key.is_empty() || key.chars().any(char::is_control) {
                let why = "a key has one character at least and no control characters";
                return Err(OciError::invalid("annotation", key, why));
            }
            without_nul("annotation", value)?;
        }
        let annotations = self.annotations.clone().into_iter().collect();
        Ok((!self.annotations.is_empty()).then_some(annotations))
    }
}

fn without_nul(what: &'static str, text: &str) -> Result<(), OciError> {
    if text.contains('\0') {
        return Err(OciError::invalid(what, text, "it holds a NUL byte"));
    }
    Ok(())
}
