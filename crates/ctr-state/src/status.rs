//! The status machine: two enums and one table, and nothing else in the program changes a status.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// What a container is said to be. What it really is, is asked of the kernel.
///
/// Three words exist for some: the one of the program, the one of the database (the same in lower case) and the one
/// that users see, which [`Display`](fmt::Display) writes and [`FromStr`] reads.
///
/// | status | users see | meaning |
/// |---|---|---|
/// | `Configured` | created | known, but not made in the runtime |
/// | `Created` | initialized | made in the runtime, its program waits to be started |
/// | `Running` | running | its program was started and its end was not seen |
/// | `Paused` | paused | running, and frozen |
/// | `Stopping` | stopping | somebody is about to stop it and does not hold the lock meanwhile |
/// | `Stopped` | stopped | its end was seen, what the run used was not given back yet |
/// | `Exited` | exited | it has run, and nothing of that run is left |
/// | `Removing` | removing | past the point of no return of its removal |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Known, but not made in the runtime.
    Configured,
    /// Made in the runtime, its program waits to be started.
    Created,
    /// Its program was started and its end was not seen.
    Running,
    /// Running, and frozen.
    Paused,
    /// Somebody is about to stop it and does not hold the lock meanwhile.
    Stopping,
    /// Its end was seen, what the run used was not given back yet.
    Stopped,
    /// It has run, and nothing of that run is left.
    Exited,
    /// Past the point of no return of its removal.
    Removing,
}

/// What happens to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trigger {
    /// The runtime has made it.
    Init,
    /// Its program was started.
    Start,
    /// It was frozen.
    Pause,
    /// It was thawed.
    Unpause,
    /// A stop begins.
    BeginStop,
    /// A signal was sent.
    Kill,
    /// Its end was seen, or that of the monitor that should have seen it.
    ExitSeen,
    /// What the run used was given back.
    Cleaned,
    /// What was made for a run that was never started was given back, of a container that has run before.
    TakenBack,
    /// Its removal begins.
    BeginRemove,
    /// The machine was started anew, which ended every process.
    Rebooted,
}

/// A trigger that a status does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("cannot {trigger} while it is {status}")]
pub struct IllegalTransition {
    /// The status the container has.
    pub status: Status,
    /// What was asked of it.
    pub trigger: Trigger,
}

/// Status x trigger. A row for each status, a column for each trigger, in the order of the enums.
#[rustfmt::skip]
const TABLE: [[Option<Status>; Trigger::COUNT]; Status::COUNT] = {
    use Status::{Configured, Created, Exited, Paused, Removing, Running, Stopped, Stopping};
    const NO: Option<Status> = None;
    [
        //                Init           Start          Pause         Unpause        BeginStop       Kill            ExitSeen       Cleaned           TakenBack     BeginRemove     Rebooted
        /* Configured */ [Some(Created), NO,            NO,           NO,            NO,             NO,             NO,            NO,               NO,           Some(Removing), Some(Configured)],
        /* Created    */ [NO,            Some(Running), NO,           NO,            Some(Stopping), NO,             Some(Stopped), Some(Configured), Some(Exited), Some(Removing), Some(Configured)],
        /* Running    */ [NO,            NO,            Some(Paused), NO,            Some(Stopping), Some(Running),  Some(Stopped), NO,               NO,           NO,             Some(Exited)],
        /* Paused     */ [NO,            NO,            NO,           Some(Running), NO,             Some(Paused),   Some(Stopped), NO,               NO,           NO,             Some(Exited)],
        /* Stopping   */ [NO,            NO,            NO,           NO,            Some(Stopping), Some(Stopping), Some(Stopped), NO,               NO,           NO,             Some(Exited)],
        /* Stopped    */ [NO,            NO,            NO,           NO,            NO,             NO,             NO,            Some(Exited),     NO,           Some(Removing), Some(Exited)],
        /* Exited     */ [Some(Created), NO,            NO,           NO,            NO,             NO,             NO,            NO,               NO,           Some(Removing), Some(Exited)],
        /* Removing   */ [NO,            NO,            NO,           NO,            NO,             NO,             NO,            NO,               NO,           Some(Removing), Some(Removing)],
    ]
};

impl Status {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// All of them, in the order of the table.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Configured,
        Self::Created,
        Self::Running,
        Self::Paused,
        Self::Stopping,
        Self::Stopped,
        Self::Exited,
        Self::Removing,
    ];

    /// The status after `trigger`: the only reader of the table.
    ///
    /// | from | `Init` | `Start` | `Pause` | `Unpause` | `BeginStop` | `Kill` | `ExitSeen` | `Cleaned` | `TakenBack` | `BeginRemove` | `Rebooted` |
    /// |---|---|---|---|---|---|---|---|---|---|---|---|
    /// | Configured | Created | - | - | - | - | - | - | - | - | Removing | Configured |
    /// | Created | - | Running | - | - | Stopping | - | Stopped | Configured | Exited | Removing | Configured |
    /// | Running | - | - | Paused | - | Stopping | Running | Stopped | - | - | - | Exited |
    /// | Paused | - | - | - | Running | - | Paused | Stopped | - | - | - | Exited |
    /// | Stopping | - | - | - | - | Stopping | Stopping | Stopped | - | - | - | Exited |
    /// | Stopped | - | - | - | - | - | - | - | Exited | - | Removing | Exited |
    /// | Exited | Created | - | - | - | - | - | - | - | - | Removing | Exited |
    /// | Removing | - | - | - | - | - | - | - | - | - | Removing | Removing |
    ///
    /// Single moves only: starting a `Configured` container is Init, then Start; initializing a `Stopped` one is
    /// Cleaned, then Init. A program that died before it was started (`ExitSeen` of `Created`) must not look as if it
    /// could be started.
    ///
    /// # Errors
    /// [`IllegalTransition`] where the table has none.
    pub const fn after(self, trigger: Trigger) -> Result<Self, IllegalTransition> {
        match TABLE[self as usize][trigger as usize] {
            Some(status) => Ok(status),
            None => Err(IllegalTransition {
                status: self,
                trigger,
            }),
        }
    }

    /// The word of the database and of JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Exited => "exited",
            Self::Removing => "removing",
        }
    }

    /// The status of a word of the database.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Configured => "created",
            Self::Created => "initialized",
            Self::Running
            | Self::Paused
            | Self::Stopping
            | Self::Stopped
            | Self::Exited
            | Self::Removing => self.word(),
        })
    }
}

impl FromStr for Status {
    type Err = ParseError;

    /// Takes the words that users see.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::ALL
            .into_iter()
            .find(|status| status.to_string() == text)
            .ok_or_else(|| ParseError::new("status", text, "no such status"))
    }
}

impl Trigger {
    /// How many there are.
    pub const COUNT: usize = 11;

    /// All of them, in the order of the table.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Init,
        Self::Start,
        Self::Pause,
        Self::Unpause,
        Self::BeginStop,
        Self::Kill,
        Self::ExitSeen,
        Self::Cleaned,
        Self::TakenBack,
        Self::BeginRemove,
        Self::Rebooted,
    ];
}

impl fmt::Display for Trigger {
    /// A verb that fits between "cannot" and "a container".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Init => "initialize",
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::BeginStop => "stop",
            Self::Kill => "kill",
            Self::ExitSeen => "take in the end of",
            Self::Cleaned => "clean up",
            Self::TakenBack => "take back the start of",
            Self::BeginRemove => "remove",
            Self::Rebooted => "reset after a reboot",
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn the_enums_index_the_table() {
        for (index, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, index);
        }
        for (index, trigger) in Trigger::ALL.into_iter().enumerate() {
            assert_eq!(trigger as usize, index);
        }
    }

    #[test]
    fn the_documentation_shows_the_table() {
        let expected = rendered().replace('\n', "\n    /// ");
        let expected = format!("    /// {}\n", expected.trim_end_matches("\n    /// "));
        assert!(include_str!("status.rs").contains(&expected), "{expected}");
    }

    pub(crate) fn rendered() -> String {
        let head = Trigger::ALL.map(|trigger| format!("`{trigger:?}`"));
        let row = |status: Status| {
            let cell = |trigger| {
                let after = status.after(trigger);
                after.map_or("-".to_owned(), |after| format!("{after:?}"))
            };
            (format!("{status:?}"), Trigger::ALL.map(cell).to_vec())
        };
        markdown("from", &head, Status::ALL.map(row))
    }

    /// A table, each line with its end.
    pub(crate) fn markdown(
        corner: &str,
        head: &[String],
        rows: impl IntoIterator<Item = (String, Vec<String>)>,
    ) -> String {
        let line = |first: &str, cells: &[String]| format!("| {first} | {} |\n", cells.join(" | "));
        let rule = format!("|---|{}\n", "---|".repeat(head.len()));
        let rows = rows.into_iter().map(|(first, cells)| line(&first, &cells));
        line(corner, head) + &rule + &rows.collect::<String>()
    }

    #[test]
    fn users_and_the_database_have_their_own_words() {
        for status in Status::ALL {
            assert_eq!(status.to_string().parse::<Status>().unwrap(), status);
            assert_eq!(Status::from_word(status.word()), Some(status));
            let json = serde_json::to_string(&status).unwrap();
            assert_eq!(json, format!("\"{}\"", status.word()));
        }
        assert_eq!("created".parse::<Status>().unwrap(), Status::Configured);
        assert!("configured".parse::<Status>().is_err());
    }

    #[test]
    fn a_refusal_says_what_and_why() {
        let error = Status::Paused.after(Trigger::BeginStop).unwrap_err();
        assert_eq!(error.to_string(), "cannot stop while it is paused");
    }
}
