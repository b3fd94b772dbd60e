//! What can be done about each kind of finding, and how much it matters.

use super::finding::{FindingKind, Severity};

/// What can be done about a kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cure {
    /// A repair does this; what that is, in words.
    Repair(Step, &'static str),
    /// It takes a person; what they can do.
    Person(&'static str),
}

/// What a repair does, in the order in which it does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Takes the rights of others away. First: nothing can be opened before.
    MakePrivate,
    /// Unmounts. Before what lies below is removed.
    Unmount,
    /// Lets a process that stands still go on. Others may wait for it.
    GoOn,
    /// Has a keeper take its monitor's place.
    RouseKeeper,
    /// Takes the container's lock, and does what follows from what was taken in.
    Settle,
    /// Asks the runtime, and believes it.
    Sync,
    /// Makes a container's directory.
    MakeDirectory,
    /// Removes a file or directory, under its container's lock.
    RemoveStray,
    /// Ends and removes all of a run that belongs to no record.
    EndStranger,
    /// Removes the empty directory of a container that has no record.
    RemoveDirectory,
    /// Removes a copy of the database.
    RemoveCopy,
    /// Removes lock files.
    Sweep,
}

/// What taking a container's lock does.
const TAKEN_IN: Cure = Cure::Repair(
    Step::Settle,
    "the next command that takes its lock takes that in",
);
/// What the cleanup of a container does.
const CLEANED: Cure = Cure::Repair(Step::Settle, "it can be cleaned up after");
const LOOK: Cure = Cure::Person("find out what it is waiting for");

const FOREIGN_OWNER: Cure = Cure::Person("if nobody has tampered with it, give it back with chown");
const DISK_NEARLY_FULL: Cure = Cure::Person("make room, or limit logs with --log-opt max-size");
const STORE_MISSING: Cure =
    Cure::Person("put state.db back, or remove the directories of containers by hand");
const RUNTIME_MISSING: Cure = Cure::Person("install the runtime again, or remove the container");
const RESTART_ABANDONED: Cure = Cure::Repair(Step::Settle, "another process can be started for it");
const REMOVAL_UNFINISHED: Cure = Cure::Repair(Step::Settle, "the removal can be finished");
const MONITOR_STOPPED: Cure = Cure::Repair(Step::GoOn, "it can be let go on (kill -CONT)");
const MONITOR_SILENT: Cure =
    Cure::Person("if it stays so, kill the monitor: another one takes its place");
const CONTROL_SOCKET_MISSING: Cure =
    Cure::Person("kill the monitor and its keeper: another one takes their place");
const CONTROL_GROUP_MISSING: Cure =
    Cure::Person("ctr container refresh or ctr restart makes it anew");
const CONTROL_GROUP_UNKNOWN: Cure =
    Cure::Person("none is needed: it may belong to an engine with another --root");
const DIRECTORY_WITHOUT_RECORD: Cure =
    Cure::Repair(Step::RemoveDirectory, "it can be removed: it is empty");
const OPEN_TO_OTHERS: Cure = Cure::Repair(
    Step::MakePrivate,
    "its mode can be set so that only its owner has access",
);
const STORE_UNUSABLE: Cure = Cure::Person(
    "keep a copy of state.db and state.db-wal; ctr system export shows what can be read",
);
const STORE_ROW_DAMAGED: Cure =
    Cure::Person("nothing else is concerned; ctr system export shows what is stored there");
const STORE_LOG_MISSING: Cure =
    Cure::Person("none is needed, unless something is missing that was there before");
const STORE_BLOCKED: Cure = Cure::Person(
    "let it go on with kill -CONT, or kill it: what it has begun is finished or taken back then",
);
const RECORD_UNREADABLE: Cure = Cure::Person(
    "ctr system export shows what is stored; ctr rm -f of its id removes the container",
);
const DIRECTORY_MISSING: Cure = Cure::Repair(
    Step::MakeDirectory,
    "an empty one can be made; what was in it is lost",
);
const RUN_DIRECTORY_MISSING: Cure =
    Cure::Person("ctr rm -f or ctr kill ends it; nothing else can be done without these files");
const PROCESSES_LEFT: Cure = Cure::Repair(
    Step::Settle,
    "they can be killed with all else that the run has left",
);
const INTENT_ABANDONED: Cure = Cure::Repair(
    Step::Settle,
    "the next command that takes its lock finishes that or takes it back",
);
const MONITOR_LOST: Cure = Cure::Repair(
    Step::Settle,
    "the next command that takes its lock has another monitor look after it",
);
const MONITOR_WITHOUT_RECORD: Cure = Cure::Repair(
    Step::EndStranger,
    "it can be ended, together with all processes of its container",
);
const KEEPER_WITHOUT_MONITOR: Cure = Cure::Repair(
    Step::RouseKeeper,
    "it can be let go on, or another monitor look after the container",
);
const CONTROL_GROUP_WITHOUT_RECORD: Cure = Cure::Repair(
    Step::EndStranger,
    "it can be removed, and what is in it killed",
);
const FROZEN_UNRECORDED: Cure = Cure::Repair(
    Step::Sync,
    "the record can be changed, as ctr ps --sync does",
);
const RUN_DIRECTORY_WITHOUT_RECORD: Cure = Cure::Repair(
    Step::EndStranger,
    "it can be removed with all processes of the run",
);

impl FindingKind {
    pub(super) fn severity(self) -> Severity {
        if matches!(
            self,
            Self::ControlGroupUnknown | Self::StoreLogMissing | Self::UnknownEntry
        ) {
            Severity::Note
        } else {
            Severity::Problem
        }
    }

    pub(super) fn cure(self) -> Cure {
        match self {
            Self::OpenToOthers => OPEN_TO_OTHERS,
            Self::ForeignOwner => FOREIGN_OWNER,
            Self::NotADirectory => Cure::Person("put what lies there somewhere else"),
            Self::DiskNearlyFull => DISK_NEARLY_FULL,
            Self::StoreMissing => STORE_MISSING,
            Self::StoreUnusable | Self::StoreDamaged => STORE_UNUSABLE,
            Self::StoreRowDamaged => STORE_ROW_DAMAGED,
            Self::StoreLogMissing => STORE_LOG_MISSING,
            Self::StoreBlocked | Self::LockHolderStopped | Self::CommandStopped => STORE_BLOCKED,
            Self::StoreCopyLeft => Cure::Repair(Step::RemoveCopy, "it can be removed"),
            Self::RecordUnreadable => RECORD_UNREADABLE,
            Self::RootfsMissing => Cure::Person("put the directory back, or remove the container"),
            Self::RuntimeMissing => RUNTIME_MISSING,
            Self::DirectoryMissing => DIRECTORY_MISSING,
            Self::RunDirectoryMissing => RUN_DIRECTORY_MISSING,
            Self::RunDirectoryLeft | Self::ControlGroupLeft | Self::NotCleanedUp => CLEANED,
            Self::ProcessesLeft => PROCESSES_LEFT,
            Self::IntentAbandoned => INTENT_ABANDONED,
            Self::RestartAbandoned => RESTART_ABANDONED,
            Self::RemovalUnfinished | Self::RemovalDue => REMOVAL_UNFINISHED,
            Self::RebootNotTaken
            | Self::EndUnseen
            | Self::ExitNotTaken
            | Self::ExitRecordDamaged
            | Self::SessionOrphaned => TAKEN_IN,
            Self::ExitRecordStale
            | Self::TemporaryFileLeft
            | Self::SessionUnreadable
            | Self::SessionLeft
            | Self::RuntimeStateUnknown => Cure::Repair(Step::RemoveStray, "it can be removed"),
            Self::MonitorLost => MONITOR_LOST,
            Self::MonitorStopped | Self::KeeperStopped | Self::LogWriterStopped => MONITOR_STOPPED,
            Self::MonitorSilent => MONITOR_SILENT,
            Self::MonitorWithoutRun => Cure::Repair(Step::Settle, "it can be ended"),
            Self::MonitorWithoutRecord => MONITOR_WITHOUT_RECORD,
            Self::KeeperWithoutMonitor => KEEPER_WITHOUT_MONITOR,
            Self::LockHeldLong | Self::LogWriterLeft => LOOK,
            Self::ControlSocketMissing => CONTROL_SOCKET_MISSING,
            Self::ControlGroupMissing | Self::OutsideControlGroup | Self::MountMissing => {
                CONTROL_GROUP_MISSING
            }
            Self::ControlGroupWithoutRecord => CONTROL_GROUP_WITHOUT_RECORD,
            Self::ControlGroupUnknown => CONTROL_GROUP_UNKNOWN,
            Self::FrozenUnrecorded | Self::ThawedUnrecorded => FROZEN_UNRECORDED,
            Self::RuntimeStateMissing => Cure::Person("ctr restart makes it anew"),
            Self::MountLeft => Cure::Repair(Step::Unmount, "it can be unmounted"),
            Self::DirectoryWithoutRecord => DIRECTORY_WITHOUT_RECORD,
            Self::RunDirectoryWithoutRecord => RUN_DIRECTORY_WITHOUT_RECORD,
            Self::LockWithoutRecord => Cure::Repair(Step::Sweep, "it can be removed"),
            Self::UnknownEntry => Cure::Person("none is needed, if somebody wants it to be there"),
            Self::NotExamined => Cure::Person("find out what it is waiting for, and look again"),
            Self::CannotLook => Cure::Person("the explanation is the error that stood in the way"),
        }
    }
}
