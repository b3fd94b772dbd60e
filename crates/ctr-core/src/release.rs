//! Giving back everything that a run holds: the steps that cleanup, undo and recovery share.
//!
//! Each step is idempotent and goes by what is there, not by what is recorded. A runtime's `delete` that succeeds proves nothing, so the
//! control group and the runtime's state are removed here all the same.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_monitor::{MonitorClient, MonitorError, files};
use ctr_oci::{DeleteMode, Target};
use ctr_rootfs::MountPoints;
use ctr_state::{Config, ContainerId, IntentKind, Record, RootfsMode};
use ctr_sys::{Cgroups, Deadline, Liveness, Root, Signal, SysError, descendants, remove_tree};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::probe::is_active;

/// How long a monitor may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(3);
/// How long a monitor that was told to end may take, and processes that were killed.
const END_WAIT: Duration = Duration::from_secs(10);
/// How often a monitor and its keeper are told to end.
const END_ATTEMPTS: u32 = 3;
/// How long a runtime's `delete` may take.
const DELETE_WAIT: Duration = Duration::from_secs(60);

/// How often a run directory is removed in which somebody makes new files.
const REMOVALS: u32 = 20;

/// What a run left behind, as recorded.
#[derive(Clone, Debug)]
pub(crate) struct Leftovers<'a> {
    pub(crate) id: &'a ContainerId,
    pub(crate) config: &'a Config,
    /// Mount points made in a plain root.
    pub(crate) created_paths: Vec<PathBuf>,
}

impl<'a> Leftovers<'a> {
    pub(crate) fn of(record: &'a ctr_state::LockedRecord<'_>) -> Self {
        Self {
            id: record.id(),
            config: record.config(),
            created_paths: record.record().created_paths().to_vec(),
        }
    }
}

/// Ends the run's monitor and processes and removes all that is volatile. Goes through all steps; the first failure is returned. On
/// success, the mount points that are left in a plain root because others use them.
///
/// Whoever calls it has saved before that the container uses its root no more (see [`uses_root`]): of several that end at the same
/// time, one at least sees then that it is the last.
///
/// # Errors
/// When something is still there afterwards.
pub(crate) fn release(engine: &Engine, left: &Leftovers<'_>) -> Result<Vec<PathBuf>, EngineError> {
    let run_dir = engine.run_dir(left.id);
    let ended = end_monitor(&run_dir);
    let cgroups = Cgroups::detect()?;
    let killed = cgroups.kill_all(&left.config.cgroup_path, Deadline::after(END_WAIT));
    delete_in_runtime(engine, left, &run_dir);
    let cleared = clear_cgroup(&cgroups, left);
    let removed = remove_created(engine, left);
    let steps = [
        ended,
        killed.map(drop).map_err(EngineError::from),
        cleared,
        remove_run_dir(&run_dir),
    ];
    steps.into_iter().collect::<Result<(), EngineError>>()?;
    removed
}

/// Removes the run directory. A monitor whose engine was killed just after it had started it may only now take its liveness lock, which
/// makes a file; it ends at once, and its end is waited for.
fn remove_run_dir(run_dir: &Path) -> Result<(), EngineError> {
    let not_empty = |error: &SysError| error.kind() == std::io::ErrorKind::DirectoryNotEmpty;
    for _ in 1..REMOVALS {
        match remove_tree(run_dir) {
            Err(error) if not_empty(&error) => end_monitor(run_dir)?,
            other => return Ok(other?),
        }
    }
    Ok(remove_tree(run_dir)?)
}

/// Tells the monitor that nobody needs it; one that does not end is killed, and so is a keeper that was to take its place.
pub(crate) fn end_monitor(run_dir: &Path) -> Result<(), EngineError> {
    // A keeper may become the monitor just before it is looked for.
    for _ in 0..END_ATTEMPTS {
        end_serving(run_dir)?;
        let kept = end_keeper(run_dir)?;
        if !kept && Liveness::probe(&run_dir.join(files::ALIVE))?.is_none() {
            break;
        }
    }
    Ok(())
}

/// Kills the keeper of a monitor that is gone; whether there was one.
pub(crate) fn end_keeper(run_dir: &Path) -> Result<bool, EngineError> {
    let Some(keeper) = Liveness::holder(&run_dir.join(files::KEEPER))? else {
        return Ok(false);
    };
    keeper.signal(Signal::KILL)?;
    keeper.wait(Deadline::after(END_WAIT))?;
    Ok(true)
}

fn end_serving(run_dir: &Path) -> Result<(), EngineError> {
    // Held before it is told to end.
    let Some(monitor) = Liveness::holder(&run_dir.join(files::ALIVE))? else {
        return Ok(());
    };
    if tell_to_end(run_dir) && monitor.wait(Deadline::after(END_WAIT))? {
        return Ok(());
    }
    // It is stuck, perhaps in a runtime that is: nothing that it started may stay. Stopped first, so that it starts nothing more.
    monitor.signal(Signal::STOP)?;
    for process in descendants(&monitor)?.iter().chain([&monitor]) {
        process.signal(Signal::KILL)?;
    }
    monitor.wait(Deadline::after(END_WAIT))?;
    Ok(())
}

/// Whether the monitor has understood.
fn tell_to_end(run_dir: &Path) -> bool {
    let Ok(Some(mut client)) = MonitorClient::connect(run_dir) else {
        // It is about to end, or has not begun to listen: either way its process is what is waited for.
        return true;
    };
    match client.cleaned(Deadline::after(ANSWER_WAIT)) {
        // Understood, or just ending.
        Ok(()) | Err(MonitorError::Gone { .. }) => true,
        Err(MonitorError::NoAnswer { .. }) => false,
        // Its container still runs.
        Err(_) => client.abandon(Deadline::after(ANSWER_WAIT)).is_ok(),
    }
}

/// Kills what is left of the container and removes its control group. A helper of a runtime that was killed may still be on its way
/// into the group: it is looked at again until it can be removed.
fn clear_cgroup(cgroups: &Cgroups, left: &Leftovers<'_>) -> Result<(), EngineError> {
    let path = &left.config.cgroup_path;
    let Err(error) = cgroups.clear(path, Deadline::after(END_WAIT)) else {
        return Ok(());
    };
    match cgroups.processes(path)?.first() {
        Some(pid) => Err(EngineError::Unkillable {
            name: left.id.short().to_owned(),
            pid: *pid,
            waited_s: END_WAIT.as_secs(),
        }),
        None => Err(error.into()),
    }
}

/// What counts is what is left, and that is looked at next: no process, no group, no state directory. So a failure is no news, and a
/// runtime that was uninstalled does not keep its containers from being removed.
fn delete_in_runtime(engine: &Engine, left: &Leftovers<'_>, run_dir: &Path) {
    let root = run_dir.join(files::RUNTIME);
    if !has_entries(&root) {
        return;
    }
    let Ok(runtime) = engine.config().runtimes.open(&left.config.runtime, run_dir) else {
        return;
    };
    let target = Target {
        root: &root,
        id: left.id.as_str(),
        deadline: Deadline::after(DELETE_WAIT),
    };
    if let Err(failure) = runtime.delete(target, DeleteMode::Force) {
        tracing::debug!(%failure, "the runtime did not delete the container");
    }
}

fn has_entries(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

/// Removes the mount points that runtimes made in a directory that is not ours, unless another container runs on it: removing a
/// directory takes away what others have mounted there. The last one removes what it shares; those that are left to it are returned.
fn remove_created(engine: &Engine, left: &Leftovers<'_>) -> Result<Vec<PathBuf>, EngineError> {
    if left.created_paths.is_empty() {
        return Ok(Vec::new());
    }
    let mut others = others_on_root(engine, left.id, left.config)?.into_iter();
    if others.any(|other| uses_root(engine, &other)) {
        return Ok(left.created_paths.clone());
    }
    match Root::open(&left.config.rootfs.path) {
        Ok(root) => MountPoints::remove_created(&root, &left.created_paths)?,
        // Removed by its owner: nothing of ours is left there.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Vec::new())
}

/// The mount points that containers on the same plain root have made, or have left to others.
pub(crate) fn made_by_others(
    engine: &Engine,
    id: &ContainerId,
    config: &Config,
) -> Result<BTreeSet<PathBuf>, EngineError> {
    let others = others_on_root(engine, id, config)?.into_iter();
    Ok(others
        .flat_map(|other| other.created_paths().to_vec())
        .collect())
}

/// The records of the other containers on the same plain root.
fn others_on_root(
    engine: &Engine,
    id: &ContainerId,
    config: &Config,
) -> Result<Vec<Record>, EngineError> {
    let mut result = Vec::new();
    if config.rootfs.mode != RootfsMode::Plain {
        return Ok(result);
    }
    for snapshot in engine.store().list()? {
        let (Ok(other), Ok(record)) = (snapshot.config(), snapshot.record()) else {
            continue;
        };
        if snapshot.id() != id && other.rootfs == config.rootfs {
            result.push(record.clone());
        }
    }
    Ok(result)
}

/// Whether a container has, or is about to have, mounts in its root. One that gives them back is not: it has said so before.
fn uses_root(engine: &Engine, record: &Record) -> bool {
    let this_boot = |record: &Record| record.boot_id() == Some(engine.boot_id());
    match record.intent().map(|intent| intent.kind) {
        Some(IntentKind::Create | IntentKind::Init | IntentKind::Start) => true,
        Some(IntentKind::Cleanup | IntentKind::Remove) => false,
        Some(IntentKind::Stop | IntentKind::Pause | IntentKind::Unpause) | None => {
            is_active(record.status()) && this_boot(record)
        }
    }
}
