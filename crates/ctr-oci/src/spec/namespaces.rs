//! Whose namespaces a container uses, `namespaces(7)`.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType};

use super::process::absolute;
use crate::error::OciError;

/// Whose namespace of one kind the container uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Namespace {
    /// One of its own.
    #[default]
    Private,
    /// That of the runtime's caller.
    Host,
    /// An existing one: the absolute path of its file (`/proc/PID/ns/…`, or where such a file is mounted), as the runtime sees it.
    Join(PathBuf),
}

/// The container's network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkNamespace {
    /// A network namespace of its own.
    #[default]
    Private,
    /// The namespace of the runtime's caller.
    Host,
    /// An existing one: the absolute path of its file, as the runtime sees it.
    Join(PathBuf),
}

/// Whether the container sees its own cgroup as the root, `cgroup_namespaces(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupNamespace {
    /// A cgroup namespace of its own: the right choice where only cgroup v2 is mounted.
    Private,
    /// The namespace of the runtime's caller: what podman does where cgroup v1 is mounted.
    Host,
}

/// All that can be chosen. The mount namespace is always the container's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Namespaces {
    pub(super) pid: Namespace,
    pub(super) ipc: Namespace,
    pub(super) uts: Namespace,
    pub(super) network: NetworkNamespace,
    pub(super) cgroup: CgroupNamespace,
}

impl Namespaces {
    /// As they stand in a specification: a namespace that is left out is that of the runtime's caller.
    pub(super) fn listed(&self) -> Result<Vec<LinuxNamespace>, OciError> {
        let network = match &self.network {
            NetworkNamespace::Private => Listed::Own,
            NetworkNamespace::Host => Listed::No,
            NetworkNamespace::Join(path) => Listed::At(path),
        };
        let cgroup = match self.cgroup {
            CgroupNamespace::Private => Listed::Own,
            CgroupNamespace::Host => Listed::No,
        };
        let all = [
            entry(LinuxNamespaceType::Pid, listed(&self.pid))?,
            entry(LinuxNamespaceType::Ipc, listed(&self.ipc))?,
            entry(LinuxNamespaceType::Uts, listed(&self.uts))?,
            entry(LinuxNamespaceType::Mount, Listed::Own)?,
            entry(LinuxNamespaceType::Network, network)?,
            entry(LinuxNamespaceType::Cgroup, cgroup)?,
        ];
        Ok(all.into_iter().flatten().collect())
    }
}

/// How a kind of namespace stands in the list.
#[derive(Clone, Copy)]
enum Listed<'a> {
    Own,
    No,
    At(&'a Path),
}

fn listed(namespace: &Namespace) -> Listed<'_> {
    match namespace {
        Namespace::Private => Listed::Own,
        Namespace::Host => Listed::No,
        Namespace::Join(path) => Listed::At(path),
    }
}

fn entry(kind: LinuxNamespaceType, listed: Listed<'_>) -> Result<Option<LinuxNamespace>, OciError> {
    let path = match listed {
        Listed::Own => None,
        Listed::No => return Ok(None),
        Listed::At(path) => Some(absolute("namespace path", path)?),
    };
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(kind).set_path(path);
    Ok(Some(namespace))
}
