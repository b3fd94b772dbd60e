//! The namespaces that a container does not have for itself.
//!
//! A namespace to join is handed over as a mount of its file, made here from a process that is known to live: it leads to that namespace
//! and to no other, whatever becomes of the process and its number meanwhile.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_monitor::files;
use ctr_monitor::protocol::MountTarget;
use ctr_oci::{BindMount, Namespace, NetworkNamespace};
use ctr_state::{Config, ContainerId, NamespaceMode, NetworkMode};
use ctr_sys::{
    Deadline, DetachedMount, NamespaceKind, Recursion, Sync, create_private_dir, replace_file,
};

use crate::dependencies::init_of;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::layout::GENERATED;

/// Where POSIX shared memory lives, `shm_overview(7)`: it belongs to what `ipc` shares.
const SHM: &str = "/dev/shm";

/// How long the process may take that looks into another container's mounts.
const HELPER_WAIT: Duration = Duration::from_secs(10);

/// What the specification says of namespaces, and the mounts that it speaks of.
#[derive(Debug, Default)]
pub(super) struct Joins {
    pub(super) network: NetworkNamespace,
    pub(super) pid: Namespace,
    pub(super) ipc: Namespace,
    pub(super) uts: Namespace,
    pub(super) shm: Option<BindMount>,
    pub(super) targets: Vec<MountTarget>,
    pub(super) mounts: Vec<DetachedMount>,
}

/// Opens the namespaces of others that a container joins.
pub(super) fn joins(
    engine: &Engine,
    config: &Config,
    name: &str,
    run_dir: &Path,
) -> Result<Joins, EngineError> {
    let mut joins = Joins::default();
    let opener = Opener {
        engine,
        name,
        run_dir,
    };
    joins.network = match &config.network {
        NetworkMode::None => NetworkNamespace::Private,
        NetworkMode::Host => NetworkNamespace::Host,
        NetworkMode::Container(id) => {
            NetworkNamespace::Join(opener.open(&mut joins, id, NamespaceKind::Network)?)
        }
    };
    joins.pid = opener.namespace(&mut joins, &config.pid, NamespaceKind::Pid)?;
    joins.ipc = opener.namespace(&mut joins, &config.ipc, NamespaceKind::Ipc)?;
    joins.uts = opener.namespace(&mut joins, &config.uts, NamespaceKind::Uts)?;
    let mut volumes = config.volumes.iter();
    if !volumes.any(|volume| volume.destination == Path::new(SHM)) {
        joins.shm = opener.shm(&mut joins, &config.ipc)?;
    }
    Ok(joins)
}

struct Opener<'a> {
    engine: &'a Engine,
    /// The container's name, for messages.
    name: &'a str,
    run_dir: &'a Path,
}

impl Opener<'_> {
    fn namespace(
        &self,
        joins: &mut Joins,
        mode: &NamespaceMode,
        kind: NamespaceKind,
    ) -> Result<Namespace, EngineError> {
        Ok(match mode {
            NamespaceMode::Private => Namespace::Private,
            NamespaceMode::Host => Namespace::Host,
            NamespaceMode::Container(id) => Namespace::Join(self.open(joins, id, kind)?),
        })
    }

    /// The path at which the runtime will find the namespace.
    fn open(
        &self,
        joins: &mut Joins,
        id: &ContainerId,
        kind: NamespaceKind,
    ) -> Result<PathBuf, EngineError> {
        let init = init_of(self.engine, self.name, id)?;
        let mount = DetachedMount::namespace(&init, kind)?;
        let path = Path::new(files::MOUNTS).join(kind.file_name());
        replace_file(&self.run_dir.join(&path), b"", 0o600, Sync::No)?;
        let full = self.run_dir.join(&path);
        joins.targets.push(MountTarget { path });
        joins.mounts.push(mount);
        Ok(full)
    }

    /// The shared memory of whoever the container shares its queues and semaphores with.
    fn shm(
        &self,
        joins: &mut Joins,
        ipc: &NamespaceMode,
    ) -> Result<Option<BindMount>, EngineError> {
        let shm = Path::new(SHM);
        let mount = match ipc {
            NamespaceMode::Private => return Ok(None),
            NamespaceMode::Host => DetachedMount::clone_tree(shm, Recursion::Single)?,
            NamespaceMode::Container(id) => {
                let init = init_of(self.engine, self.name, id)?;
                let deadline = Deadline::after(HELPER_WAIT);
                DetachedMount::clone_of(&init, shm, Recursion::Single, deadline)?
            }
        };
        let path = Path::new(files::MOUNTS).join("shm");
        let full = self.run_dir.join(&path);
        create_private_dir(&full)?;
        joins.targets.push(MountTarget { path });
        joins.mounts.push(mount);
        Ok(Some(BindMount {
            source: full,
            destination: shm.to_owned(),
            access: ctr_oci::Access::ReadWrite,
        }))
    }
}

/// The directory with the files by which a container in another one's network finds hosts: those of whoever the network was made for.
pub(super) fn network_files(
    engine: &Engine,
    config: &Config,
) -> Result<Option<PathBuf>, EngineError> {
    let mut network = config.network.clone();
    let mut owner = None;
    while let NetworkMode::Container(id) = network {
        network = engine.store().snapshot(&id)?.config()?.network.clone();
        owner = Some(id);
    }
    Ok(owner.map(|id| engine.run_dir(&id).join(GENERATED)))
}
