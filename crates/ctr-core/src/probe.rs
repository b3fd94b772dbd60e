//! What is, as opposed to what is recorded: the kernel and the files of the monitor are asked. Nothing is locked and nothing changed.

use std::path::Path;
use std::time::Duration;

use ctr_monitor::{ExitRecord, ExitReport, MonitorClient, MonitorError, TimedOut, files};
use ctr_state::{
    ContainerId, ExitCause, ExitInfo, IntentKind, OomKilled, Ran, Record, Snapshot, Status,
};
use ctr_sys::{Cgroups, Deadline, ExitStatus, Liveness, PidRef, PidStamp, end_of_zombie};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::summary::{MonitorState, Summary};

/// How long the keeper of a monitor that was killed may take to answer in its place.
const KEEPER_WAIT: Duration = Duration::from_secs(2);
const KERNEL_TOLD: &str = "its monitor was killed; the kernel still knew how the container ended";
const NOBODY_TOLD: &str = "the monitor ended without telling how the container did";

/// How a container that is recorded as active really is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Observed {
    /// It is not recorded as active: nothing to ask.
    Inactive,
    /// Its first process lives.
    Alive(MonitorState),
    /// It has ended.
    Ended(ExitInfo),
    /// The machine was started anew since.
    Rebooted,
}

/// Statuses in which processes of the container should exist.
pub(crate) fn is_active(status: Status) -> bool {
    match status {
        Status::Created | Status::Running | Status::Paused | Status::Stopping => true,
        Status::Configured | Status::Stopped | Status::Exited | Status::Removing => false,
    }
}

/// Looks at the run of a record.
pub(crate) fn observe(
    engine: &Engine,
    id: &ContainerId,
    record: &Record,
) -> Result<Observed, EngineError> {
    if !is_active(record.status()) {
        return Ok(Observed::Inactive);
    }
    if record.boot_id() != Some(engine.boot_id()) {
        return Ok(Observed::Rebooted);
    }
    let run_dir = engine.run_dir(id);
    for _ in 0..LOOKS {
        if let Some(exit) = recorded_exit(&run_dir, record.generation())? {
            return Ok(Observed::Ended(exit));
        }
        if let Some(pid) = Liveness::probe(&run_dir.join(files::ALIVE))? {
            return Ok(Observed::Alive(MonitorState::Present { pid }));
        }
        if !keeper_answers(&run_dir) {
            break;
        }
    }
    // No monitor. It may have written its record and ended since the first look.
    if let Some(exit) = recorded_exit(&run_dir, record.generation())? {
        return Ok(Observed::Ended(exit));
    }
    let init = record.init();
    Ok(match init.map(PidRef::open).transpose()?.flatten() {
        Some(_) => Observed::Alive(MonitorState::Lost),
        None => Observed::Ended(unseen(engine, id, init)?),
    })
}

/// Whether somebody who is not the monitor yet answers in its place: waits for a keeper that is about to take over.
fn keeper_answers(run_dir: &Path) -> bool {
    let Ok(Some(mut client)) = MonitorClient::connect(run_dir) else {
        return false;
    };
    client.status(Deadline::after(KEEPER_WAIT)).is_ok()
}

/// The end of a container that no monitor has recorded. The kernel knows it as long as nobody has reaped the first process.
fn unseen(
    engine: &Engine,
    id: &ContainerId,
    init: Option<PidStamp>,
) -> Result<ExitInfo, EngineError> {
    let end = init.map(end_of_zombie).transpose()?.flatten();
    let (cause, reason) = match end {
        Some(ExitStatus::Exited(code)) => (ExitCause::Exited { code }, KERNEL_TOLD),
        Some(ExitStatus::Signaled(signal)) => (ExitCause::Signaled { signal }, KERNEL_TOLD),
        None => (ExitCause::Lost, NOBODY_TOLD),
    };
    Ok(ExitInfo {
        cause,
        oom: oom_killed(engine, id),
        monitors_lost: 1,
        finished_ns: engine.now_ns(),
        reason: Some(reason.to_owned()),
    })
}

/// Whether the kernel has killed in the container for want of memory, as far as its control group is still there.
fn oom_killed(engine: &Engine, id: &ContainerId) -> OomKilled {
    let snapshot = engine.store().snapshot(id).ok();
    let path = snapshot
        .as_ref()
        .and_then(|snapshot| snapshot.config().ok())
        .map(|config| config.cgroup_path.clone());
    let groups = Cgroups::detect().ok();
    let kills = groups
        .zip(path)
        .and_then(|(groups, path)| groups.oom_kills(&path));
    match kills {
        Some(1..) => OomKilled::Yes,
        Some(0) | None => OomKilled::No,
    }
}

/// The exit that the monitor recorded for a generation.
pub(crate) fn recorded_exit(
    run_dir: &Path,
    generation: u64,
) -> Result<Option<ExitInfo>, EngineError> {
    match ExitRecord::read(run_dir, generation) {
        Ok(record) => Ok(record.as_ref().map(exit_info)),
        // Damaged, or of a newer monitor: the run is over all the same, and nothing else must suffer from it.
        Err(error @ MonitorError::BadRecord { .. }) => Ok(Some(ExitInfo {
            cause: ExitCause::Lost,
            oom: OomKilled::No,
            monitors_lost: 0,
            finished_ns: ctr_sys::now_ns(),
            reason: Some(format!("its exit record cannot be read: {error}")),
        })),
        Err(error) => Err(error.into()),
    }
}

/// The monitor's report as the store keeps it.
pub(crate) fn exit_info(record: &ExitRecord) -> ExitInfo {
    let (cause, reason) = match record.exit {
        _ if record.timed_out == TimedOut::Yes => (
            ExitCause::Timeout,
            Some("it had run for as long as it was allowed to".to_owned()),
        ),
        ExitReport::Exited { code } => (ExitCause::Exited { code }, None),
        ExitReport::Signaled { signal } => (ExitCause::Signaled { signal }, None),
        ExitReport::Unknown => (
            ExitCause::Lost,
            Some("the container's first process was not a child of its monitor".to_owned()),
        ),
    };
    let oom = if record.oom_kills > 0 {
        OomKilled::Yes
    } else {
        OomKilled::No
    };
    ExitInfo {
        cause,
        oom,
        monitors_lost: record.monitors_lost,
        finished_ns: record.finished_ns,
        reason,
    }
}

/// How often a container is looked at again when it changed while it was looked at.
const LOOKS: u32 = 10;

/// A container for lists: what is recorded, corrected by what is.
///
/// # Errors
/// Not found, when it was removed meanwhile.
pub(crate) fn summary(engine: &Engine, snapshot: Snapshot) -> Result<Summary, EngineError> {
    let mut snapshot = snapshot;
    for look in 1.. {
        let Ok(record) = snapshot.record() else {
            break;
        };
        let observed = observe(engine, snapshot.id(), record)?;
        if let Observed::Ended(ExitInfo {
            cause: ExitCause::Lost,
            ..
        }) = observed
        {
            // Files of the run that are gone may have been taken in and removed since the snapshot.
            let fresh = engine.store().snapshot(snapshot.id())?;
            let moved = fresh.record().is_ok_and(|now| {
                (now.status(), now.generation()) != (record.status(), record.generation())
            });
            if moved && look < LOOKS {
                snapshot = fresh;
                continue;
            }
        }
        let summary = corrected(engine, snapshot, observed)?;
        return Ok(summary.in_boot(engine.boot_id()));
    }
    Ok(Summary::corrupt(snapshot))
}

fn corrected(
    engine: &Engine,
    snapshot: Snapshot,
    observed: Observed,
) -> Result<Summary, EngineError> {
    let Ok(record) = snapshot.record() else {
        return Ok(Summary::corrupt(snapshot));
    };
    let (status, exit) = (record.status(), record.exit().cloned());
    Ok(match observed {
        Observed::Inactive => Summary::new(snapshot, status, exit, MonitorState::None),
        Observed::Alive(monitor) => {
            let status = frozen_or_not(&snapshot, record)?;
            Summary::new(snapshot, status, exit, monitor)
        }
        Observed::Ended(exit) => {
            Summary::new(snapshot, Status::Stopped, Some(exit), MonitorState::None)
        }
        Observed::Rebooted => {
            let after = after_reboot(record);
            let exit = rebooted(engine, record.status());
            let exit = (after == Status::Exited).then_some(exit);
            Summary::new(snapshot, after, exit, MonitorState::None)
        }
    })
}

/// The status of a container that lives. Where a command was killed while it froze it or let it go on, the freezer says what came of it.
fn frozen_or_not(snapshot: &Snapshot, record: &Record) -> Result<Status, EngineError> {
    let status = record.status();
    let cut_off = match record.intent() {
        Some(intent) if matches!(intent.kind, IntentKind::Pause | IntentKind::Unpause) => {
            !intent.owner_alive()?
        }
        Some(_) | None => false,
    };
    if !cut_off || !matches!(status, Status::Running | Status::Paused) {
        return Ok(status);
    }
    let path = &snapshot.config()?.cgroup_path;
    Ok(if Cgroups::detect()?.is_frozen(path)? {
        Status::Paused
    } else {
        Status::Running
    })
}

/// The status of a container that a reboot has ended: one that had never run looks as it did before.
fn after_reboot(record: &Record) -> Status {
    match (record.status(), record.facts().history) {
        (Status::Created, Ran::Never) => Status::Configured,
        _ => Status::Exited,
    }
}

/// The end of a run that a reboot cut off, in the status that is recorded.
pub(crate) fn rebooted(engine: &Engine, status: Status) -> ExitInfo {
    let (cause, reason) = if status == Status::Created {
        let reason = "the machine was started anew before the container was started".to_owned();
        let cause = ExitCause::NeverStarted {
            reason: reason.clone(),
        };
        (cause, reason)
    } else {
        let reason = "the machine was started anew while the container ran".to_owned();
        (ExitCause::Reboot, reason)
    };
    ExitInfo {
        cause,
        oom: OomKilled::No,
        monitors_lost: 0,
        finished_ns: engine.now_ns(),
        reason: Some(reason),
    }
}
