//! What each operation does in each status: the composites beside the [table of single moves](crate::Status::after).
//!
//! Starting a container that was only described is two moves, restarting one that runs five. Which moves an operation makes in
//! which status, where it has nothing to do and where it is refused, is one more const table, so that messages can say what is
//! possible now and tests can drive every cell of it.

use std::fmt;

use crate::{Status, Trigger};

/// What can be asked of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Have the runtime make it, without starting its program.
    Init,
    /// Start its program.
    Start,
    /// Stop it, if it runs, and start it.
    Restart,
    /// Join its streams.
    Attach,
    /// Execute another process in it.
    Exec,
    /// Send a signal.
    Signal,
    /// Send SIGKILL and wait for the end.
    Kill,
    /// Ask it to end, and insist.
    Stop,
    /// Freeze its processes.
    Pause,
    /// Let them go on.
    Unpause,
    /// Give back what a run that ended has used.
    Cleanup,
    /// Bring it into its present status anew.
    Refresh,
    /// Give it another name.
    Rename,
    /// Remove it if it does not run.
    Remove,
    /// Remove it whatever it does.
    RemoveByForce,
}

/// What an operation does in a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is refused.
    Refused,
    /// It succeeds; the status stays.
    Stays,
    /// It makes these moves, one after the other.
    Moves(&'static [Trigger]),
    /// It removes the container, after these moves.
    Removes(&'static [Trigger]),
}

use Effect::{Moves, Refused as No, Removes, Stays};
use Trigger::{BeginRemove, BeginStop, Cleaned, ExitSeen, Init, Kill, Pause, Start, Unpause};

const INIT: Effect = Moves(&[Init]);
const START: Effect = Moves(&[Start]);
const RUN: Effect = Moves(&[Init, Start]);
const CLEAN: Effect = Moves(&[Cleaned]);
const GONE: Effect = Removes(&[BeginRemove]);
const STOP: Effect = Moves(&[BeginStop, ExitSeen, Cleaned]);
const SIGNAL: Effect = Moves(&[Kill]);
const KILL: Effect = Moves(&[Kill, ExitSeen]);
const CLEAN_INIT: Effect = Moves(&[Cleaned, Init]);
const CLEAN_RUN: Effect = Moves(&[Cleaned, Init, Start]);
const RERUN: Effect = Moves(&[BeginStop, ExitSeen, Cleaned, Init, Start]);
const REFREEZE: Effect = Moves(&[Unpause, BeginStop, ExitSeen, Cleaned, Init, Start, Pause]);
const STOP_GONE: Effect = Removes(&[BeginStop, ExitSeen, BeginRemove]);
const KILL_GONE: Effect = Removes(&[Kill, ExitSeen, BeginRemove]);

/// Operation x status. A row for each operation, a column for each status, in the order of the enums.
#[rustfmt::skip]
const TABLE: [[Effect; Status::COUNT]; Operation::COUNT] = [
    //                   Configured  Created  Running                Paused                  Stopping   Stopped     Exited  Removing
    /* Init          */ [INIT,       No,      No,                    No,                     No,        CLEAN_INIT, INIT,   No],
    /* Start         */ [RUN,        START,   Stays,                 No,                     No,        CLEAN_RUN,  RUN,    No],
    /* Restart       */ [RUN,        START,   RERUN,                 No,                     No,        CLEAN_RUN,  RUN,    No],
    /* Attach        */ [No,         No,      Stays,                 No,                     No,        No,         No,     No],
    /* Exec          */ [No,         No,      Stays,                 No,                     No,        No,         No,     No],
    /* Signal        */ [No,         No,      SIGNAL,                SIGNAL,                 SIGNAL,    No,         No,     No],
    /* Kill          */ [No,         No,      KILL,                  KILL,                   KILL,      No,         No,     No],
    /* Stop          */ [Stays,      STOP,    STOP,                  No,                     STOP,      CLEAN,      Stays,  No],
    /* Pause         */ [No,         No,      Moves(&[Pause]),       No,                     No,        No,         No,     No],
    /* Unpause       */ [No,         No,      No,                    Moves(&[Unpause]),      No,        No,         No,     No],
    /* Cleanup       */ [Stays,      CLEAN,   No,                    No,                     No,        CLEAN,      Stays,  GONE],
    /* Refresh       */ [Stays,      CLEAN_INIT, RERUN,              REFREEZE,               No,        CLEAN,      Stays,  No],
    /* Rename        */ [Stays,      Stays,   Stays,                 Stays,                  Stays,     Stays,      Stays,  No],
    /* Remove        */ [GONE,       GONE,    No,                    No,                     No,        GONE,       GONE,   GONE],
    /* RemoveByForce */ [GONE,       GONE,    STOP_GONE,             KILL_GONE,              STOP_GONE, GONE,       GONE,   GONE],
];

impl Operation {
    /// How many there are.
    pub const COUNT: usize = 15;

    /// All of them, in the order of the table.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Init,
        Self::Start,
        Self::Restart,
        Self::Attach,
        Self::Exec,
        Self::Signal,
        Self::Kill,
        Self::Stop,
        Self::Pause,
        Self::Unpause,
        Self::Cleanup,
        Self::Refresh,
        Self::Rename,
        Self::Remove,
        Self::RemoveByForce,
    ];

    /// What it does to a container in this status: the only reader of the table.
    ///
    /// A container that has run before goes back to Exited where the table says Cleaned of a Created one
    /// ([`Trigger::TakenBack`]).
    ///
    /// | operation | Configured | Created | Running | Paused | Stopping | Stopped | Exited | Removing |
    /// |---|---|---|---|---|---|---|---|---|
    /// | Init | Init | - | - | - | - | Cleaned, Init | Init | - |
    /// | Start | Init, Start | Start | = | - | - | Cleaned, Init, Start | Init, Start | - |
    /// | Restart | Init, Start | Start | BeginStop, ExitSeen, Cleaned, Init, Start | - | - | Cleaned, Init, Start | Init, Start | - |
    /// | Attach | - | - | = | - | - | - | - | - |
    /// | Exec | - | - | = | - | - | - | - | - |
    /// | Signal | - | - | Kill | Kill | Kill | - | - | - |
    /// | Kill | - | - | Kill, ExitSeen | Kill, ExitSeen | Kill, ExitSeen | - | - | - |
    /// | Stop | = | BeginStop, ExitSeen, Cleaned | BeginStop, ExitSeen, Cleaned | - | BeginStop, ExitSeen, Cleaned | Cleaned | = | - |
    /// | Pause | - | - | Pause | - | - | - | - | - |
    /// | Unpause | - | - | - | Unpause | - | - | - | - |
    /// | Cleanup | = | Cleaned | - | - | - | Cleaned | = | BeginRemove, gone |
    /// | Refresh | = | Cleaned, Init | BeginStop, ExitSeen, Cleaned, Init, Start | Unpause, BeginStop, ExitSeen, Cleaned, Init, Start, Pause | - | Cleaned | = | - |
    /// | Rename | = | = | = | = | = | = | = | - |
    /// | Remove | BeginRemove, gone | BeginRemove, gone | - | - | - | BeginRemove, gone | BeginRemove, gone | BeginRemove, gone |
    /// | RemoveByForce | BeginRemove, gone | BeginRemove, gone | BeginStop, ExitSeen, BeginRemove, gone | Kill, ExitSeen, BeginRemove, gone | BeginStop, ExitSeen, BeginRemove, gone | BeginRemove, gone | BeginRemove, gone | BeginRemove, gone |
    pub const fn on(self, status: Status) -> Effect {
        TABLE[self as usize][status as usize]
    }

    /// Whether it is possible in this status.
    pub fn is_legal(self, status: Status) -> bool {
        self.on(status) != Effect::Refused
    }

    /// What is possible in this status, and would do something, as the words of commands.
    pub fn possible(status: Status) -> impl Iterator<Item = &'static str> {
        let useful = move |operation: &Self| match operation.on(status) {
            Effect::Refused => false,
            Effect::Stays => matches!(operation, Self::Attach | Self::Exec | Self::Rename),
            Effect::Moves(_) | Effect::Removes(_) => true,
        };
        let operations = Self::ALL.into_iter().filter(useful);
        // Said once: removing by force is for what cannot be removed otherwise, a signal is what `kill` sends.
        let said = |operation: &Self| matches!(operation, Self::Kill | Self::Refresh);
        let needless = move |operation: &Self| {
            *operation == Self::RemoveByForce && Self::Remove.is_legal(status)
        };
        let operations =
            operations.filter(move |operation| !said(operation) && !needless(operation));
        operations.map(Self::command)
    }

    /// The command that asks for it.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Attach => "attach",
            Self::Exec => "exec",
            Self::Signal | Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Cleanup => "cleanup",
            Self::Refresh => "refresh",
            Self::Rename => "rename",
            Self::Remove => "rm",
            Self::RemoveByForce => "rm -f",
        }
    }
}

impl fmt::Display for Operation {
    /// A verb that fits between "cannot" and "container NAME".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Init => "initialize",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::Attach => "attach to",
            Self::Exec => "execute a process in",
            Self::Signal => "signal",
            Self::Kill => "kill",
            Self::Stop => "stop",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Cleanup => "clean up after",
            Self::Refresh => "refresh",
            Self::Rename => "rename",
            Self::Remove | Self::RemoveByForce => "remove",
        })
    }
}

impl fmt::Display for Effect {
    /// A cell of the table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |moves: &[Trigger]| {
            let names: Vec<String> = moves.iter().map(|trigger| format!("{trigger:?}")).collect();
            names.join(", ")
        };
        match self {
            Self::Refused => f.pad("-"),
            Self::Stays => f.pad("="),
            Self::Moves(moves) => f.pad(&names(moves)),
            Self::Removes(moves) => f.pad(&format!("{}, gone", names(moves))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::markdown;

    #[test]
    fn the_enum_indexes_the_table() {
        for (index, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, index);
        }
    }

    /// What an operation does is made of single moves that the other table allows.
    #[test]
    fn every_composite_is_a_path() {
        for operation in Operation::ALL {
            for status in Status::ALL {
                let (Effect::Moves(moves) | Effect::Removes(moves)) = operation.on(status) else {
                    continue;
                };
                let mut at = status;
                for trigger in moves {
                    at = at
                        .after(*trigger)
                        .unwrap_or_else(|error| panic!("{operation:?} of {status:?}: {error}"));
                }
                let gone = matches!(operation.on(status), Effect::Removes(_));
                assert_eq!(gone, at == Status::Removing, "{operation:?} of {status:?}");
            }
        }
    }

    #[test]
    fn the_documentation_shows_the_table() {
        let expected = rendered().replace('\n', "\n    /// ");
        let expected = format!("    /// {}\n", expected.trim_end_matches("\n    /// "));
        assert!(
            include_str!("operation.rs").contains(&expected),
            "{expected}"
        );
    }

    #[test]
    fn the_architecture_shows_both_tables() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ARCHITECTURE.md");
        let text = std::fs::read_to_string(path).unwrap();
        for table in [crate::status::tests::rendered(), rendered()] {
            assert!(text.contains(&table), "ARCHITECTURE.md lacks:\n{table}");
        }
    }

    fn rendered() -> String {
        let head = Status::ALL.map(|status| format!("{status:?}"));
        let row = |operation: Operation| {
            let cells = Status::ALL.map(|status| operation.on(status).to_string());
            (format!("{operation:?}"), cells.to_vec())
        };
        markdown("operation", &head, Operation::ALL.map(row))
    }

    #[test]
    fn what_is_possible_in_words() {
        let words = |status| Operation::possible(status).collect::<Vec<_>>().join(", ");
        assert_eq!(words(Status::Paused), "kill, unpause, rename, rm -f");
        assert_eq!(words(Status::Exited), "init, start, restart, rename, rm");
        assert_eq!(words(Status::Removing), "cleanup, rm");
    }
}
