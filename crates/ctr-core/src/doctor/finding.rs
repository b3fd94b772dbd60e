//! What an examination finds, as data: stable words for programs, a sentence for people.

use std::fmt;
use std::path::{Path, PathBuf};

use ctr_state::{ContainerId, Snapshot};
use serde::{Deserialize, Serialize};

use super::cure::Cure;

/// What is wrong. The words (in kebab case) are stable: programs may branch on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A directory or file of the engine may be read or changed by others.
    OpenToOthers,
    /// A directory or file of the engine belongs to another user.
    ForeignOwner,
    /// What should be a directory of the engine is something else.
    NotADirectory,
    /// There is nearly no room left.
    DiskNearlyFull,
    /// There are directories of containers, and no database that knows them.
    StoreMissing,
    /// The database cannot be opened or read.
    StoreUnusable,
    /// The database says that it is damaged.
    StoreDamaged,
    /// A row of the database cannot be read, or belongs to nothing. All others are sound.
    StoreRowDamaged,
    /// The log of the database is missing.
    StoreLogMissing,
    /// A process that stands still keeps others from writing to the database.
    StoreBlocked,
    /// A copy of the database that a reader made and never removed.
    StoreCopyLeft,
    /// A container's record cannot be read.
    RecordUnreadable,
    /// The directory that a container runs on is gone.
    RootfsMissing,
    /// The runtime of a container cannot be used.
    RuntimeMissing,
    /// A container's own directory is gone.
    DirectoryMissing,
    /// The run directory of a container that runs is gone.
    RunDirectoryMissing,
    /// A run directory of a run that is over.
    RunDirectoryLeft,
    /// A command that stands still holds a container's lock.
    LockHolderStopped,
    /// A command has held a container's lock for long.
    LockHeldLong,
    /// A command stands still in the middle of something.
    CommandStopped,
    /// A command was killed in the middle of something.
    IntentAbandoned,
    /// A start is to come, and the process that was to see to it is gone.
    RestartAbandoned,
    /// A removal was begun and nobody finishes it.
    RemovalUnfinished,
    /// A container that was to go by itself after its run is still there.
    RemovalDue,
    /// It is recorded as running since before the machine was started anew.
    RebootNotTaken,
    /// It is recorded as running, and its first process is gone.
    EndUnseen,
    /// Its end is in the run directory, and not in the record.
    ExitNotTaken,
    /// The file that tells its end cannot be read.
    ExitRecordDamaged,
    /// A file that tells the end of another run.
    ExitRecordStale,
    /// Its run is over, and nobody has cleaned up after it.
    NotCleanedUp,
    /// It runs, and its monitor is gone.
    MonitorLost,
    /// Its monitor stands still.
    MonitorStopped,
    /// Its monitor does not answer.
    MonitorSilent,
    /// A monitor is there for a container that does not run.
    MonitorWithoutRun,
    /// A monitor is there for a container that nobody knows.
    MonitorWithoutRecord,
    /// The monitor's keeper is there, and the monitor is not.
    KeeperWithoutMonitor,
    /// The monitor's keeper stands still.
    KeeperStopped,
    /// The process that writes the log stands still.
    LogWriterStopped,
    /// The process that writes the log is there, and the monitor is not.
    LogWriterLeft,
    /// The monitor's socket is gone: nobody can reach it.
    ControlSocketMissing,
    /// A container that runs has no control group.
    ControlGroupMissing,
    /// The first process of a container is not in its control group.
    OutsideControlGroup,
    /// A control group of a run that is over.
    ControlGroupLeft,
    /// Processes of a run that is over.
    ProcessesLeft,
    /// A control group of a container that was removed.
    ControlGroupWithoutRecord,
    /// An empty control group of a container that this engine has never heard of.
    ControlGroupUnknown,
    /// It is frozen, and recorded as running.
    FrozenUnrecorded,
    /// It runs, and is recorded as paused.
    ThawedUnrecorded,
    /// The runtime has forgotten a container that runs.
    RuntimeStateMissing,
    /// The runtime remembers something in a container's run directory that is not that container.
    RuntimeStateUnknown,
    /// Something that is mounted in the container is not there.
    MountMissing,
    /// Something is mounted in the engine's directories, where nothing ever is.
    MountLeft,
    /// The process of an exec session is gone, and so is the monitor that would have seen it.
    SessionOrphaned,
    /// The record of an exec session cannot be read.
    SessionUnreadable,
    /// What is left of an exec session that was being removed, or was never made whole.
    SessionLeft,
    /// A directory of a container that nobody knows.
    DirectoryWithoutRecord,
    /// A run directory of a container that nobody knows.
    RunDirectoryWithoutRecord,
    /// A lock file of a container that nobody knows.
    LockWithoutRecord,
    /// Part of a file whose writer was killed.
    TemporaryFileLeft,
    /// Something in the engine's directories that is not the engine's.
    UnknownEntry,
    /// Something could not be looked at, because looking does not come to an end.
    NotExamined,
    /// Something could not be looked at.
    CannotLook,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is wrong.
    Problem,
    /// Worth knowing; another program's business, perhaps.
    Note,
}

/// What a finding is about: a container, a path, a process, or several of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// The id of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ContainerId>,
    /// Its name, if it has a record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A file or directory. The path of a control group is that in its hierarchy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// A process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
}

impl Subject {
    pub(super) fn container(snapshot: &Snapshot) -> Self {
        Self {
            id: Some(snapshot.id().clone()),
            name: Some(snapshot.name().to_string()),
            ..Self::default()
        }
    }

    /// A container without a record.
    pub(super) fn stranger(id: &ContainerId) -> Self {
        Self {
            id: Some(id.clone()),
            ..Self::default()
        }
    }

    pub(super) fn path(path: &Path) -> Self {
        Self {
            path: Some(path.to_owned()),
            ..Self::default()
        }
    }

    #[must_use]
    pub(super) fn at(mut self, path: &Path) -> Self {
        self.path = Some(path.to_owned());
        self
    }

    #[must_use]
    pub(super) fn process(mut self, pid: i32) -> Self {
        self.pid = Some(pid);
        self
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, &self.id, &self.path, self.pid) {
            (Some(name), ..) => f.write_str(name),
            (None, Some(id), None, _) => f.write_str(id.short()),
            (None, _, Some(path), _) => write!(f, "{}", path.display()),
            (None, None, None, Some(pid)) => write!(f, "process {pid}"),
            (None, None, None, None) => f.write_str("the engine"),
        }
    }
}

/// One difference between what is recorded and what is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is about.
    pub subject: Subject,
    /// What is wrong.
    pub kind: FindingKind,
    /// How much it matters.
    pub severity: Severity,
    /// The same as a sentence.
    pub explanation: String,
    /// What can be done about it, by a repair or by a person.
    pub remedy: String,
    /// Whether a repair does that.
    pub repairable: bool,
}

impl Finding {
    pub(super) fn new(kind: FindingKind, subject: Subject, explanation: impl Into<String>) -> Self {
        let (remedy, repairable) = match kind.cure() {
            Cure::Repair(_, remedy) => (remedy, true),
            Cure::Person(remedy) => (remedy, false),
        };
        Self {
            subject,
            kind,
            severity: kind.severity(),
            explanation: explanation.into(),
            remedy: remedy.to_owned(),
            repairable,
        }
    }

    /// A finding of a kind that a repair could do something about, in a case where it must not.
    #[must_use]
    pub(super) fn for_a_person(mut self, remedy: &str) -> Self {
        remedy.clone_into(&mut self.remedy);
        self.repairable = false;
        self
    }

    /// Whether two looks have found the same.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        (self.kind, &self.subject) == (other.kind, &other.subject)
    }
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Records of containers.
    pub containers: usize,
    /// Monitors that were asked how they are.
    pub monitors: usize,
    /// Directories, lock files and the like.
    pub files: usize,
    /// Control groups.
    pub control_groups: usize,
    /// Mounts in the host's table.
    pub mounts: usize,
}

/// What an examination has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What is wrong, problems first.
    pub findings: Vec<Finding>,
    /// How much was looked at.
    pub checked: Checked,
    /// How often: what is found is looked at again before it counts.
    pub looks: u32,
    /// How long it took, in ms.
    pub took_ms: u64,
    /// How long it may take, in ms.
    pub limit_ms: u64,
    /// Whether all of it could be looked at within that time.
    pub complete: bool,
}

impl Report {
    /// Whether something is wrong; notes do not count.
    pub fn has_problems(&self) -> bool {
        self.problems().next().is_some()
    }

    /// What is wrong; without notes.
    pub fn problems(&self) -> impl Iterator<Item = &Finding> {
        let problem = |finding: &&Finding| finding.severity == Severity::Problem;
        self.findings.iter().filter(problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_shown_as_they_are_written() {
        let kind = FindingKind::ControlGroupWithoutRecord;
        assert_eq!(kind.to_string(), "control-group-without-record");
        let json = serde_json::to_string(&kind).unwrap();
        assert_eq!(json, "\"control-group-without-record\"");
    }

    #[test]
    fn a_subject_is_called_by_what_people_know_of_it() {
        let path = Subject::path(Path::new("/run/x"));
        assert_eq!(path.to_string(), "/run/x");
        let named = Subject {
            name: Some("web".into()),
            ..path.process(7)
        };
        assert_eq!(named.to_string(), "web");
    }
}
