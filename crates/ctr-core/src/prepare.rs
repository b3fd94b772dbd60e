//! What stands ready before a runtime is called: run directory, mounts as descriptors, generated files, specification, bundle.

mod joins;

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use ctr_monitor::files;
use ctr_monitor::protocol::MountTarget;
use ctr_oci::{BindMount, Bundle, CgroupNamespace, Hostname, SpecBuilder, UserIds};
use ctr_rootfs::{
    ContainerEnv, GeneratedFiles, GeneratedMount, MountPoints, Privileges, ResolvedUser, Rootfs,
    UserSpec, check_destinations, check_layout, resolve_user,
};
use ctr_state::{
    Access, AutoRemove, Config, NamespaceMode, NetworkMode, RootfsMode, Terminal, VolumeConfig,
};
use ctr_sys::{
    CgroupMode, Cgroups, DetachedMount, FileKind, MountAttributes, Recursion, Root, Sync, SysError,
    create_private_dir, replace_file,
};

use crate::container::LockedContainer;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::layout::GENERATED;
use joins::{Joins, joins, network_files};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A run that is ready for the monitor.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) run_dir: PathBuf,
    /// Where the mounts go, relative to the run directory, and the mounts.
    pub(crate) targets: Vec<MountTarget>,
    mounts: Vec<DetachedMount>,
    /// Mount points that the runtime will make in a plain root.
    pub(crate) created_paths: Vec<PathBuf>,
    /// The container's root, for a look after a failure.
    pub(crate) root: Root,
    pub(crate) user: ResolvedUser,
}

impl Prepared {
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.mounts.iter().map(AsFd::as_fd).collect()
    }
}

/// Prepares a run of a container in an empty run directory. What it leaves there is removed with the directory; mounts exist as
/// descriptors only. `shared` are mount points that others on the same plain root have made.
pub(crate) fn prepare(
    engine: &Engine,
    container: &LockedContainer<'_>,
    name: &str,
    shared: BTreeSet<PathBuf>,
) -> Result<Prepared, EngineError> {
    let config = container.config();
    check_oom_score(config)?;
    let run_dir = engine.layout().create_run(&config.id)?;
    let rootfs = rootfs_of(engine, config).mount()?;
    check_layout(rootfs.root())?;
    let user = resolve_user(rootfs.root(), &UserSpec::parse(&config.process.user)?)?;
    let hostname = hostname(engine, config)?;
    let generated = generated(engine, config, name, &hostname, &run_dir)?;
    let mut targets = vec![MountTarget {
        path: PathBuf::from(files::ROOTFS),
    }];
    let mut volumes = Vec::new();
    for (number, volume) in config.volumes.iter().enumerate() {
        let target = Path::new(files::MOUNTS).join(number.to_string());
        volumes.push(volume_mount(volume, &run_dir.join(&target))?);
        targets.push(MountTarget { path: target });
    }
    let mut joins = joins(engine, config, name, &run_dir)?;
    targets.append(&mut joins.targets);
    volumes.append(&mut joins.mounts);
    let mut binds = bind_mounts(config, &run_dir, &generated);
    binds.extend(joins.shm.take());
    let destinations: Vec<PathBuf> = binds.iter().map(|bind| bind.destination.clone()).collect();
    check_destinations(rootfs.root(), &destinations)?;
    check_cwd(config, rootfs.root())?;
    let spec = spec(config, &user, &hostname, binds, joins, &run_dir)?;
    let created_paths = created_paths(config, rootfs.root(), &spec, shared)?;
    Bundle::write(&run_dir.join(files::BUNDLE), &spec)?;
    let rootfs = rootfs.into_mount();
    let root = rootfs.root()?;
    let mut mounts = vec![rootfs];
    mounts.extend(volumes);
    Ok(Prepared {
        run_dir,
        targets,
        mounts,
        created_paths,
        root,
        user,
    })
}

/// Runtimes differ in what they say when the kernel refuses it, and some say nothing that could be understood.
fn check_oom_score(config: &Config) -> Result<(), EngineError> {
    let Some(asked) = config.oom_score_adj else {
        return Ok(());
    };
    let own = ctr_sys::oom_score_adj()?;
    if asked >= own || ctr_sys::may_lower_oom_score_adj()? {
        return Ok(());
    }
    let why =
        format!("less than the engine's own {own} takes CAP_SYS_RESOURCE, which it does not have");
    Err(EngineError::invalid("oom score adjustment", &asked, &why))
}

pub(crate) fn rootfs_of(engine: &Engine, config: &Config) -> Rootfs {
    match config.rootfs.mode {
        RootfsMode::Plain => Rootfs::plain(&config.rootfs.path),
        RootfsMode::Overlay => {
            let directory = engine.layout().container(&config.id);
            let rootfs = Rootfs::overlay(&config.rootfs.path, directory);
            match config.auto_remove {
                AutoRemove::No => rootfs,
                AutoRemove::Yes => rootfs.thrown_away(),
            }
        }
    }
}

/// The container's host name: that of whose name it shares, else its own, the host's in the host's network, else the short id.
pub(crate) fn hostname(engine: &Engine, config: &Config) -> Result<String, EngineError> {
    let host = || {
        let names = rustix::system::uname();
        let name = names.nodename().to_string_lossy().into_owned();
        // The host's own name may be one that we would refuse; the container must start all the same.
        let usable = name.parse::<Hostname>().is_ok();
        if usable {
            name
        } else {
            config.id.short().to_owned()
        }
    };
    Ok(match (&config.uts, &config.hostname, &config.network) {
        (NamespaceMode::Host, _, _) | (NamespaceMode::Private, None, NetworkMode::Host) => host(),
        // What others need was created before them: this ends.
        (NamespaceMode::Container(id), _, _) => {
            return hostname(engine, engine.store().snapshot(id)?.config()?);
        }
        (NamespaceMode::Private, Some(name), _) => name.clone(),
        (NamespaceMode::Private, None, NetworkMode::None | NetworkMode::Container(_)) => {
            config.id.short().to_owned()
        }
    })
}

/// Writes the generated files. In the network of another container, hosts and name servers are that one's.
fn generated(
    engine: &Engine,
    config: &Config,
    name: &str,
    hostname: &str,
    run_dir: &Path,
) -> Result<Vec<GeneratedMount>, EngineError> {
    let mut mounts = generated_files(config, name, hostname).write(&run_dir.join(GENERATED))?;
    if let Some(directory) = network_files(engine, config)? {
        for (file, destination) in [("hosts", "/etc/hosts"), ("resolv.conf", "/etc/resolv.conf")] {
            let theirs = directory.join(file);
            let mount = mounts
                .iter_mut()
                .find(|mount| mount.destination == Path::new(destination));
            if let Some(mount) = mount.filter(|_| theirs.exists()) {
                mount.source = theirs;
            }
        }
    }
    Ok(mounts)
}

fn generated_files(config: &Config, name: &str, hostname: &str) -> GeneratedFiles {
    let container_env = ContainerEnv {
        engine: format!("ctr-{}", env!("CARGO_PKG_VERSION")),
        name: name.to_owned(),
        id: config.id.to_string(),
        image: String::new(),
        image_id: String::new(),
        privileges: Privileges::Root,
    };
    match config.network {
        NetworkMode::None | NetworkMode::Container(_) => {
            GeneratedFiles::isolated(hostname.to_owned(), container_env)
        }
        NetworkMode::Host => GeneratedFiles::host_network(hostname.to_owned(), container_env),
    }
}

/// A volume as a mount of its own, cloned here in the host's mount namespace, and the place where the helper attaches it.
fn volume_mount(volume: &VolumeConfig, target: &Path) -> Result<DetachedMount, EngineError> {
    let source = std::fs::metadata(&volume.source).map_err(|error| {
        SysError::new(
            "use the volume source",
            volume.source.display().to_string(),
            error,
        )
    })?;
    if source.is_dir() {
        create_private_dir(target)?;
    } else {
        replace_file(target, b"", 0o600, Sync::No)?;
    }
    let mount = DetachedMount::clone_tree(&volume.source, Recursion::Recursive)?;
    if volume.access == Access::ReadOnly {
        let read_only = MountAttributes {
            read_only: true,
            ..MountAttributes::default()
        };
        mount.set_attributes(read_only, Recursion::Recursive)?;
    }
    Ok(mount)
}

/// Generated files, but those that a volume covers, then volumes.
fn bind_mounts(config: &Config, run_dir: &Path, generated: &[GeneratedMount]) -> Vec<BindMount> {
    let covered = |destination: &Path| {
        let mut volumes = config.volumes.iter();
        volumes.any(|volume| destination.starts_with(&volume.destination))
    };
    let generated = generated.iter().filter(|file| !covered(&file.destination));
    let generated = generated.map(|file| BindMount {
        source: file.source.clone(),
        destination: file.destination.clone(),
        access: ctr_oci::Access::ReadWrite,
    });
    let volumes = config.volumes.iter().enumerate();
    let volumes = volumes.map(|(number, volume)| BindMount {
        source: run_dir.join(files::MOUNTS).join(number.to_string()),
        destination: volume.destination.clone(),
        access: match volume.access {
            Access::ReadWrite => ctr_oci::Access::ReadWrite,
            Access::ReadOnly => ctr_oci::Access::ReadOnly,
        },
    });
    generated.chain(volumes).collect()
}

/// Runtimes differ: some make a missing working directory, some fail with a text of their own.
fn check_cwd(config: &Config, root: &Root) -> Result<(), EngineError> {
    let cwd = &config.process.cwd;
    let volumes = config
        .volumes
        .iter()
        .map(|volume| volume.destination.as_path());
    let mut mounted = volumes.chain([Path::new("/dev"), Path::new("/sys")]);
    if mounted.any(|destination| cwd.starts_with(destination)) {
        return Ok(());
    }
    let why = match root.metadata(cwd)? {
        Some(found) if found.kind == FileKind::Directory => return Ok(()),
        Some(_) => "it is not a directory in the container",
        None => "it does not exist in the container",
    };
    Err(EngineError::invalid(
        "working directory",
        &cwd.display(),
        why,
    ))
}

fn spec(
    config: &Config,
    user: &ResolvedUser,
    hostname: &str,
    binds: Vec<BindMount>,
    joins: Joins,
    run_dir: &Path,
) -> Result<ctr_oci::Spec, EngineError> {
    let process = &config.process;
    let unified = Cgroups::detect()?.mode() == CgroupMode::Unified;
    let mut builder = SpecBuilder::new(&run_dir.join(files::ROOTFS))
        .args(process.entrypoint.iter().chain(&process.command))
        .cwd(&process.cwd)
        .user(user_ids(user))
        .terminal(match process.terminal {
            Terminal::No => ctr_oci::Terminal::No,
            Terminal::Yes => ctr_oci::Terminal::Yes,
        })
        .cgroup_path(&config.cgroup_path)
        .network(joins.network)
        .pid(joins.pid)
        .ipc(joins.ipc)
        .uts(joins.uts)
        .cgroup_namespace(if unified {
            CgroupNamespace::Private
        } else {
            CgroupNamespace::Host
        });
    if config.uts == NamespaceMode::Private {
        builder = builder.hostname(hostname.parse()?);
    }
    if let Some(value) = config.oom_score_adj {
        builder = builder.oom_score_adj(value);
    }
    for (key, value) in environment(config, process.terminal, user, hostname, &[]) {
        builder = builder.env(key, value);
    }
    for (key, value) in &config.annotations {
        builder = builder.annotation(key, value);
    }
    for bind in binds {
        builder = builder.mount(bind);
    }
    Ok(builder.build()?)
}

/// Who a process is, as the specification has it.
pub(crate) fn user_ids(user: &ResolvedUser) -> UserIds {
    UserIds {
        uid: user.uid,
        gid: user.gid,
        additional_gids: user.additional_gids.clone(),
    }
}

/// The usual variables first, then the container's, then those of one process; what comes later wins.
pub(crate) fn environment(
    config: &Config,
    terminal: Terminal,
    user: &ResolvedUser,
    hostname: &str,
    own: &[(String, String)],
) -> Vec<(String, String)> {
    let home = user.home.to_string_lossy().into_owned();
    let mut usual = vec![
        ("PATH", PATH.to_owned()),
        ("container", "ctr".to_owned()),
        ("HOME", home),
        ("HOSTNAME", hostname.to_owned()),
    ];
    match terminal {
        Terminal::No => {}
        // What every terminal that people use today understands.
        Terminal::Yes => usual.push(("TERM", "xterm".to_owned())),
    }
    let usual = usual
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    let groups = [usual.collect(), config.process.env.clone(), own.to_vec()];
    let mut result: Vec<(String, String)> = Vec::new();
    for given in groups {
        result.retain(|(key, _)| !given.iter().any(|(other, _)| other == key));
        result.extend(given);
    }
    result
}

/// The value of `PATH` that the container's own program is searched with.
pub(crate) fn search_path(config: &Config) -> &str {
    search_path_of(&config.process.env)
}

/// The value of `PATH` in an environment.
pub(crate) fn search_path_of(env: &[(String, String)]) -> &str {
    let given = env.iter().rev().find(|(key, _)| key == "PATH");
    given.map_or(PATH, |(_, value)| value)
}

/// What a runtime will make in a root that is not ours: mount points that are missing, and those that others have made for
/// their run and that the last user removes.
fn created_paths(
    config: &Config,
    root: &Root,
    spec: &ctr_oci::Spec,
    shared: BTreeSet<PathBuf>,
) -> Result<Vec<PathBuf>, EngineError> {
    if config.rootfs.mode != RootfsMode::Plain {
        return Ok(Vec::new());
    }
    let mounts = spec.mounts().iter().flatten();
    let mut destinations: Vec<PathBuf> = mounts.map(|mount| mount.destination().clone()).collect();
    destinations.push(config.process.cwd.clone());
    let mut paths = MountPoints::missing(root, &destinations)?;
    paths.extend(shared);
    paths.sort();
    paths.dedup();
    Ok(paths)
}
