//! Doing what can be done about findings.
//!
//! Everything is looked at again before it is touched, under the container's lock where there is a container: what was found may have
//! been put right by somebody else since, and then nothing is left to do.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use ctr_monitor::files;
use ctr_state::{ContainerId, IntentKind, Status};
use ctr_sys::{Cgroups, Deadline, FileLock, Liveness, PidRef, Signal, SysError, remove_tree};
use rustix::mount::{UnmountFlags, unmount};
use serde::Serialize;

use super::cure::{Cure, Step};
use super::finding::{Finding, FindingKind, Report};
use super::strangers::has_files;
use crate::container::LockedContainer;
use crate::engine::{Engine, EngineConfig};
use crate::error::{EngineError, chain};
use crate::release::end_monitor;

/// What the engine's locks are taken for.
const VERB: &str = "doctor";
/// How long the lock of each container is waited for, unless the engine is to wait for less.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How long killed processes may take to end.
const END_WAIT: Duration = Duration::from_secs(10);

/// What came of a repair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "result", content = "detail")]
pub enum Repair {
    /// It is put right; how.
    Done(String),
    /// It could not be; why.
    Failed(String),
    /// It takes a person.
    Left,
}

/// A finding, and what came of its repair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// What was found.
    #[serde(flatten)]
    pub finding: Finding,
    /// What came of it.
    pub repair: Repair,
}

type Outcome = Result<&'static str, EngineError>;

pub(super) fn repair(config: &EngineConfig, report: &Report) -> Vec<Repaired> {
    let mut findings: Vec<(Option<Step>, &Finding)> = report
        .findings
        .iter()
        .map(|finding| (step(finding), finding))
        .collect();
    findings.sort_by_key(|(step, _)| *step);
    let config = EngineConfig {
        lock_wait: config.lock_wait.min(LOCK_WAIT),
        ..config.clone()
    };
    let mut engine = None;
    findings
        .into_iter()
        .map(|(step, finding)| Repaired {
            finding: finding.clone(),
            repair: step.map_or(Repair::Left, |step| {
                told(repair_one(&config, &mut engine, step, finding))
            }),
        })
        .collect()
}

/// What can be done about a finding, if it is not for a person alone.
fn step(finding: &Finding) -> Option<Step> {
    match finding.kind.cure() {
        Cure::Repair(step, _) if finding.repairable => Some(step),
        Cure::Repair(..) | Cure::Person(_) => None,
    }
}

fn told(outcome: Outcome) -> Repair {
    match outcome {
        Ok(done) => Repair::Done(done.to_owned()),
        Err(error) if error.is_not_found() => Repair::Done("the container is gone".to_owned()),
        Err(error) => Repair::Failed(chain(&error)),
    }
}

fn repair_one(
    config: &EngineConfig,
    engine: &mut Option<Engine>,
    step: Step,
    finding: &Finding,
) -> Outcome {
    let subject = &finding.subject;
    let path = || {
        let path = subject.path.as_deref();
        path.ok_or_else(|| refused("repair", &subject.to_string(), "it has no path"))
    };
    let id = || {
        let id = subject.id.as_ref();
        id.ok_or_else(|| refused("repair", &subject.to_string(), "it is no container"))
    };
    if step == Step::MakePrivate {
        return make_private(path()?);
    }
    let engine = match engine {
        Some(engine) => engine,
        None => engine.insert(Engine::open(config.clone())?),
    };
    match step {
        Step::MakePrivate => make_private(path()?),
        Step::Unmount => take_off(path()?),
        Step::GoOn => go_on(engine, id()?, subject.pid),
        Step::RouseKeeper => rouse_keeper(engine, id()?),
        Step::Settle => settle(engine.container(id()?).lock(VERB)?),
        Step::Sync => {
            engine.container(id()?).lock(VERB)?.sync()?;
            Ok("the record was changed")
        }
        Step::MakeDirectory => {
            let locked = engine.container(id()?).lock(VERB)?;
            engine.layout().create_container(locked.id())?;
            Ok("an empty one was made")
        }
        Step::RemoveStray => remove_stray(&engine.container(id()?).lock(VERB)?, finding, path()?),
        Step::EndStranger => end_stranger(engine, id()?),
        Step::RemoveDirectory => remove_directory(engine, id()?),
        Step::RemoveCopy => {
            remove_tree(path()?)?;
            Ok("it was removed")
        }
        Step::Sweep => {
            engine.sweep()?;
            Ok("it was removed")
        }
    }
}

fn refused(operation: &'static str, subject: &str, why: &str) -> EngineError {
    SysError::invalid(operation, subject, why).into()
}

/// Only its owner has access from now on.
fn make_private(path: &Path) -> Outcome {
    let failed = |error| SysError::new("change the mode of", path.display().to_string(), error);
    let found = std::fs::metadata(path).map_err(failed)?;
    let mode = found.mode() & 0o700;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    Ok("others have no access any more")
}

fn take_off(path: &Path) -> Outcome {
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    unmount(path, flags)
        .map_err(|errno| SysError::new("unmount", path.display().to_string(), errno.into()))?;
    Ok("it was unmounted")
}

/// Whether nobody has stored a record for it meanwhile.
fn check_unknown(engine: &Engine, id: &ContainerId) -> Result<(), EngineError> {
    match engine.container(id).snapshot() {
        Ok(_) => Err(refused("repair", id.as_str(), "there is a record by now")),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

fn end_stranger(engine: &Engine, id: &ContainerId) -> Outcome {
    check_unknown(engine, id)?;
    let run_dir = engine.run_dir(id);
    end_monitor(&run_dir)?;
    Cgroups::detect()?.clear(&engine.cgroup_path(id), Deadline::after(END_WAIT))?;
    remove_tree(&run_dir)?;
    Ok("it was ended and removed")
}

fn remove_directory(engine: &Engine, id: &ContainerId) -> Outcome {
    check_unknown(engine, id)?;
    let path = engine.layout().container(id);
    if has_files(&path) {
        let path = path.display().to_string();
        return Err(refused("remove", &path, "there are files in it by now"));
    }
    remove_tree(&path)?;
    Ok("it was removed")
}

/// Lets a process of ours beside a container go on.
fn go_on(engine: &Engine, id: &ContainerId, pid: Option<i32>) -> Outcome {
    let run_dir = engine.run_dir(id);
    let writer = FileLock::holder(&run_dir.join(files::LOG_LOCK));
    let processes = [
        Liveness::holder(&run_dir.join(files::ALIVE))?,
        Liveness::holder(&run_dir.join(files::KEEPER))?,
        writer
            .map(|writer| PidRef::open(writer.stamp()))
            .transpose()?
            .flatten(),
    ];
    let mut processes = processes.into_iter().flatten();
    match processes.find(|process| Some(process.stamp().pid) == pid) {
        Some(process) => {
            process.signal(Signal::CONT)?;
            Ok("it goes on")
        }
        None => Ok("it is gone"),
    }
}

/// One that was only stopped takes the monitor's place now; whoever has the lock does without one that does not.
fn rouse_keeper(engine: &Engine, id: &ContainerId) -> Outcome {
    let run_dir = engine.run_dir(id);
    if let Some(keeper) = Liveness::holder(&run_dir.join(files::KEEPER))?
        && keeper.is_stopped()?
    {
        keeper.signal(Signal::CONT)?;
        return Ok("it goes on, and takes the monitor's place");
    }
    settle(engine.container(id).lock(VERB)?)
}

/// What the lock has taken in is followed by what would follow it in any other command.
fn settle(mut locked: LockedContainer<'_>) -> Outcome {
    match locked.status() {
        Status::Stopped => {
            locked.conclude()?;
            Ok("it was cleaned up after")
        }
        Status::Configured | Status::Exited => {
            // All steps go by what is there; where nothing is, nothing happens.
            locked.release_run(IntentKind::Cleanup)?;
            locked.locked_record().set_intent(None);
            locked.save(&[])?;
            locked.conclude()?;
            Ok("what was left of a run is gone")
        }
        Status::Removing => {
            locked.remove_stopped()?;
            Ok("it was removed")
        }
        Status::Created | Status::Running | Status::Paused | Status::Stopping => {
            Ok("what had happened was taken in")
        }
    }
}

fn remove_stray(locked: &LockedContainer<'_>, finding: &Finding, path: &Path) -> Outcome {
    let engine = locked.engine();
    let own = [
        engine.run_dir(locked.id()),
        engine.layout().container(locked.id()),
    ];
    if !own
        .iter()
        .any(|directory| path.starts_with(directory) && path != directory)
    {
        let path = path.display().to_string();
        return Err(refused("remove", &path, "it is not the container's"));
    }
    if finding.kind == FindingKind::SessionUnreadable {
        let session = path.file_name().unwrap_or_default().to_string_lossy();
        let group = format!("{}/exec-{session}", locked.config().cgroup_path);
        if !Cgroups::detect()?.processes(&group)?.is_empty() {
            let path = path.display().to_string();
            let why = "its processes still run, and its record is written anew when they end";
            return Err(refused("remove", &path, why));
        }
    }
    remove_tree(path)?;
    Ok("it was removed")
}
