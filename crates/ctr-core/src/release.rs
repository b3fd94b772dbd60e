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
use ctr_state::{Config, ContainerId, RootfsMode};
use ctr_sys::{Cgroups, Deadline, Liveness, PidRef, Root, Signal, descendants, remove_tree};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::probe::is_active;

/// How long a monitor may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(3);
/// How long a monitor that was told to end may take, and processes that were killed.
const END_WAIT: Duration = Duration::from_secs(10);
/// How long a runtime's `delete` may take.
const DELETE_WAIT: Duration = Duration::from_secs(60);

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

/// Ends the run's monitor and processes and removes all that is volatile. Goes through all steps; the first failure is returned.
///
/// # Errors
/// When something is still there afterwards.
pub(crate) fn release(engine: &Engine, left: &Leftovers<'_>) -> Result<(), EngineError> {
    let run_dir = engine.run_dir(left.id);
    let ended = end_monitor(&run_dir);
    let cgroups = Cgroups::detect()?;
    let killed = cgroups.kill_all(&left.config.cgroup_path, Deadline::after(END_WAIT));
    delete_in_runtime(engine, left, &run_dir);
    let steps = [
        ended,
        killed.map(drop).map_err(EngineError::from),
        clear_cgroup(&cgroups, left),
        remove_created(engine, left),
        remove_tree(&run_dir).map_err(EngineError::from),
    ];
    steps.into_iter().collect()
}

/// Tells the monitor that nobody needs it; one that does not end is killed.
pub(crate) fn end_monitor(run_dir: &Path) -> Result<(), EngineError> {
    let alive = run_dir.join(files::ALIVE);
    let Some(pid) = Liveness::probe(&alive)? else {
        return Ok(());
    };
    // Taken before it is told to end, and checked against the lock again: the pid cannot be somebody else's.
    let monitor = PidRef::capture(pid)?;
    let Some(monitor) = monitor.filter(|_| matches!(Liveness::probe(&alive), Ok(Some(_)))) else {
        return Ok(());
    };
    if tell_to_end(run_dir) && monitor.wait(Deadline::after(END_WAIT))? {
        return Ok(());
    }
    // It is stuck, perhaps in a runtime that is: nothing that it started may stay. Stopped first, so that it starts nothing more.
    monitor.signal(Signal::STOP)?;
    for process in descendants(pid)?.iter().chain([&monitor]) {
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
/// directory takes away what others have mounted there. The last one removes what it shares.
fn remove_created(engine: &Engine, left: &Leftovers<'_>) -> Result<(), EngineError> {
    if left.created_paths.is_empty() || !sharers(engine, left.id, left.config)?.is_empty() {
        return Ok(());
    }
    match Root::open(&left.config.rootfs.path) {
        Ok(root) => Ok(MountPoints::remove_created(&root, &left.created_paths)?),
        // Removed by its owner: nothing of ours is left there.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The mount points that other active containers have made in the same plain root.
pub(crate) fn sharers(
    engine: &Engine,
    id: &ContainerId,
    config: &Config,
) -> Result<Vec<BTreeSet<PathBuf>>, EngineError> {
    let mut result = Vec::new();
    if config.rootfs.mode != RootfsMode::Plain {
        return Ok(result);
    }
    for snapshot in engine.store().list()? {
        let (Ok(other), Ok(record)) = (snapshot.config(), snapshot.record()) else {
            continue;
        };
        let uses = is_active(record.status()) || record.intent().is_some();
        if snapshot.id() != id && other.rootfs == config.rootfs && uses {
            result.push(record.created_paths().iter().cloned().collect());
        }
    }
    Ok(result)
}
