//! The operations whose processes are killed, as data.

/// The container that an operation is about.
pub(crate) const NAME: &str = "victim";

/// Stands for the value of `--rootfs` in the words of a command.
pub(crate) const ROOTFS: &str = "ROOTFS";

/// How things are before the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// There is no container, and the engine was never used.
    Nothing,
    Created,
    Initialized,
    Running,
    Paused,
    Exited,
    /// It runs for a moment yet.
    Ending,
    /// It ran, was to be started again, and the machine has lost its power and its volatile files.
    Rebooted,
}

/// What may become of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is there before and after.
    Stays,
    /// It may be there or not.
    MayBeGone,
}

/// An ordinary command after the kill.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) words: &'static [&'static str],
    /// It may be refused with one of these texts.
    pub(crate) refusals: &'static [&'static str],
}

/// One operation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) before: Before,
    pub(crate) words: &'static [&'static str],
    pub(crate) presence: Presence,
    /// The statuses of the container after success; empty where it is gone.
    pub(crate) done: &'static [&'static str],
    /// The commands of which one follows.
    pub(crate) next: &'static [Next],
}

const fn next(words: &'static [&'static str], refusals: &'static [&'static str]) -> Next {
    Next { words, refusals }
}

const GONE: &str = "no such container";
const TAKEN: &str = "is in use";

/// Where the container stays, it can be started whatever had become of it.
const START: Next = next(&["start", NAME], &[]);
/// Where it may be gone.
const START_IF_THERE: Next = next(&["start", NAME], &[GONE]);
const RUN: &[&str] = &[
    "run",
    "-d",
    "--name",
    NAME,
    "--stop-timeout",
    "0",
    "--rootfs",
    ROOTFS,
    "sleep",
    "1000",
];
const RUN_RM: &[&str] = &[
    "run", "--rm", "--name", NAME, "--rootfs", ROOTFS, "echo", "hello",
];
/// The words that make a container for the scenes.
pub(crate) const CREATE: &[&str] = &[
    "create",
    "--name",
    NAME,
    "--stop-timeout",
    "0",
    "--rootfs",
    ROOTFS,
    "sleep",
    "1000",
];
/// The same for one that is started again after a reboot.
pub(crate) const RUN_ALWAYS: &[&str] = &[
    "run",
    "-d",
    "--restart",
    "always",
    "--name",
    NAME,
    "--stop-timeout",
    "0",
    "--rootfs",
    ROOTFS,
    "sleep",
    "1000",
];
/// The same for one that ends by itself soon.
pub(crate) const RUN_BRIEFLY: &[&str] = &[
    "run", "-d", "--name", NAME, "--rootfs", ROOTFS, "sleep", "0.1",
];
const STOP: &[&str] = &["stop", NAME];
const KILL: &[&str] = &["kill", NAME];
const RESTART: &[&str] = &["restart", NAME];
const RM: &[&str] = &["rm", NAME];
const RM_FORCE: &[&str] = &["rm", "-f", NAME];
const EXEC: &[&str] = &["exec", NAME, "true"];
const EXEC_DETACHED: &[&str] = &["exec", "-d", NAME, "sleep", "1000"];
const PRUNE: &[&str] = &["container", "prune", "-f"];

/// The table.
pub(crate) static OPERATIONS: &[Operation] = &[
    Operation {
        name: "create",
        before: Before::Nothing,
        words: CREATE,
        presence: Presence::MayBeGone,
        done: &["created"],
        next: &[next(CREATE, &[TAKEN]), START_IF_THERE],
    },
    Operation {
        name: "init",
        before: Before::Created,
        words: &["init", NAME],
        presence: Presence::Stays,
        done: &["initialized"],
        next: &[START, next(&["container", "cleanup", NAME], &[])],
    },
    Operation {
        name: "start",
        before: Before::Created,
        words: &["start", NAME],
        presence: Presence::Stays,
        done: &["running"],
        next: &[START],
    },
    Operation {
        name: "run",
        before: Before::Nothing,
        words: RUN,
        presence: Presence::MayBeGone,
        done: &["running"],
        next: &[START_IF_THERE, next(RUN, &[TAKEN])],
    },
    Operation {
        name: "run-rm",
        before: Before::Nothing,
        words: RUN_RM,
        presence: Presence::MayBeGone,
        done: &[],
        next: &[next(RUN_RM, &[TAKEN]), next(RM_FORCE, &[GONE])],
    },
    Operation {
        name: "stop",
        before: Before::Running,
        words: STOP,
        presence: Presence::Stays,
        done: &["exited"],
        next: &[next(STOP, &[]), next(KILL, &["exited", "stopped"])],
    },
    Operation {
        name: "kill",
        before: Before::Running,
        words: KILL,
        presence: Presence::Stays,
        done: &["exited", "stopped"],
        next: &[next(RESTART, &[]), next(STOP, &[])],
    },
    Operation {
        name: "restart",
        before: Before::Running,
        words: RESTART,
        presence: Presence::Stays,
        done: &["running"],
        next: &[next(RESTART, &[]), next(STOP, &[])],
    },
    Operation {
        name: "pause",
        before: Before::Running,
        words: &["pause", NAME],
        presence: Presence::Stays,
        done: &["paused"],
        next: &[
            next(&["rename", NAME, NAME], &["in use", "same"]),
            next(&["unpause", NAME], &["running"]),
        ],
    },
    Operation {
        name: "unpause",
        before: Before::Paused,
        words: &["unpause", NAME],
        presence: Presence::Stays,
        done: &["running"],
        next: &[
            next(&["unpause", NAME], &["running"]),
            next(&["exec", NAME, "true"], &["paused"]),
        ],
    },
    Operation {
        name: "exec",
        before: Before::Running,
        words: EXEC,
        presence: Presence::Stays,
        done: &["running"],
        next: &[next(EXEC, &[]), next(STOP, &[])],
    },
    Operation {
        name: "exec-d",
        before: Before::Running,
        words: EXEC_DETACHED,
        presence: Presence::Stays,
        done: &["running"],
        next: &[next(EXEC, &[]), next(STOP, &[])],
    },
    Operation {
        name: "rename",
        before: Before::Created,
        words: &["rename", NAME, "other"],
        presence: Presence::MayBeGone,
        done: &["created"],
        next: &[START_IF_THERE, next(&["start", "other"], &[GONE])],
    },
    Operation {
        name: "cleanup",
        before: Before::Initialized,
        words: &["container", "cleanup", NAME],
        presence: Presence::Stays,
        done: &["created"],
        next: &[START, next(&["container", "cleanup", NAME], &[])],
    },
    Operation {
        name: "wait",
        before: Before::Ending,
        words: &["wait", NAME],
        presence: Presence::Stays,
        done: &["stopped", "exited"],
        next: &[next(&["container", "cleanup", NAME], &[]), START],
    },
    Operation {
        name: "rm",
        before: Before::Exited,
        words: RM,
        presence: Presence::MayBeGone,
        done: &[],
        next: &[next(RM, &[GONE]), START_IF_THERE],
    },
    Operation {
        name: "rm-f",
        before: Before::Running,
        words: RM_FORCE,
        presence: Presence::MayBeGone,
        done: &[],
        next: &[next(RM_FORCE, &[]), START_IF_THERE],
    },
    Operation {
        name: "prune",
        before: Before::Exited,
        words: PRUNE,
        presence: Presence::MayBeGone,
        done: &[],
        next: &[next(PRUNE, &[]), START_IF_THERE],
    },
    Operation {
        name: "refresh",
        before: Before::Running,
        words: &["container", "refresh", NAME],
        presence: Presence::Stays,
        done: &["running"],
        next: &[next(RESTART, &[]), next(STOP, &[])],
    },
    Operation {
        name: "boot",
        before: Before::Rebooted,
        words: &["boot"],
        presence: Presence::Stays,
        done: &["running"],
        next: &[next(&["boot"], &[]), START],
    },
];

/// The operation of this name.
pub(crate) fn find(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_and_every_operation_is_followed_by_something() {
        for operation in OPERATIONS {
            assert!(!operation.next.is_empty(), "{}", operation.name);
            assert!(std::ptr::eq(find(operation.name).unwrap(), operation));
        }
        assert!(find("fly").is_none());
    }
}
