//! What an event says.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Cursor, EventError};

/// The attribute with the exit code of what ended.
pub const EXIT_CODE: &str = "containerExitCode";
/// The attribute that is there (with the value "true") when what ended was killed for want of memory.
pub const OOM_KILLED: &str = "oomKilled";
/// The attribute of an event of kind `exec` or `exec_died` that says which exec session it is about.
pub const EXEC_ID: &str = "execID";

/// What kind of thing something happened to. The texts belong to the version of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    /// A container.
    Container,
}

impl SubjectKind {
    /// All kinds.
    pub const ALL: [Self; 1] = [Self::Container];

    /// The text that stands for it in the journal and in filters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
        }
    }
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for SubjectKind {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| EventError::invalid("type", text, "the only type is container"))
    }
}

/// What happened. The set is closed and its texts belong to the version of the journal: a new kind is a new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A client was connected to the standard streams.
    Attach,
    /// What a run left behind was given back.
    Cleanup,
    /// The container came to be.
    Create,
    /// The first process ended.
    Died,
    /// A further process was started in the container.
    Exec,
    /// A further process ended.
    ExecDied,
    /// The runtime made the container, its program has not started.
    Init,
    /// A signal was sent.
    Kill,
    /// The kernel killed for want of memory.
    Oom,
    /// All processes were frozen.
    Pause,
    /// The container is no more.
    Remove,
    /// It has another name now.
    Rename,
    /// It was stopped and started again.
    Restart,
    /// The program runs.
    Start,
    /// A stop was asked for and has succeeded.
    Stop,
    /// The processes run again.
    Unpause,
    /// The record was brought up to date after a reboot, or the container made anew in the status it had.
    Refresh,
    /// The runtime was asked how the container is.
    Sync,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 18] = [
        Self::Attach,
        Self::Cleanup,
        Self::Create,
        Self::Died,
        Self::Exec,
        Self::ExecDied,
        Self::Init,
        Self::Kill,
        Self::Oom,
        Self::Pause,
        Self::Remove,
        Self::Rename,
        Self::Restart,
        Self::Start,
        Self::Stop,
        Self::Unpause,
        Self::Refresh,
        Self::Sync,
    ];

    /// The text that stands for it in the journal, in filters and on the screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Cleanup => "cleanup",
            Self::Create => "create",
            Self::Died => "died",
            Self::Exec => "exec",
            Self::ExecDied => "exec_died",
            Self::Init => "init",
            Self::Kill => "kill",
            Self::Oom => "oom",
            Self::Pause => "pause",
            Self::Remove => "remove",
            Self::Rename => "rename",
            Self::Restart => "restart",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Unpause => "unpause",
            Self::Refresh => "refresh",
            Self::Sync => "sync",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EventKind {
    type Err = EventError;

    /// Takes the text of a kind, and "die" for [`EventKind::Died`].
    fn from_str(text: &str) -> Result<Self, EventError> {
        if text == "die" {
            return Ok(Self::Died);
        }
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::as_str).join(", ");
                EventError::invalid("event", text, format!("known events are {known}"))
            })
    }
}

/// To what it happened, as it was called at that time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The kind of thing.
    pub kind: SubjectKind,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The image or directory that it is made of; empty when there is none.
    pub image: String,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The effective user id.
    pub uid: u32,
    /// The user who logged in, which sudo does not change; `None` outside of a login session.
    pub login_uid: Option<u32>,
    /// The process. It may be gone by now and its number used again: for reading only, never to be signalled.
    pub pid: i32,
    /// The program, as in "ctr".
    pub program: String,
}

/// An event before it has a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEvent {
    /// When it happened: nanoseconds since 1970-01-01 UTC.
    pub time_ns: i64,
    /// What happened.
    pub kind: EventKind,
    /// To what.
    pub subject: Subject,
    /// In which run of the subject; 0 before the first one.
    pub generation: u64,
    /// Who did it.
    pub actor: Actor,
    /// What else is to be said, by name.
    pub attributes: BTreeMap<String, String>,
}

/// An event of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number: one more than that of the event before.
    pub seq: u64,
    /// What it says.
    #[serde(flatten)]
    pub body: NewEvent,
}

impl Event {
    /// Where a reader resumes that has seen this event.
    pub const fn cursor(&self) -> Cursor {
        Cursor(self.seq)
    }

    /// When it happened: nanoseconds since 1970-01-01 UTC.
    pub const fn time_ns(&self) -> i64 {
        self.body.time_ns
    }

    /// What happened.
    pub const fn kind(&self) -> EventKind {
        self.body.kind
    }

    /// To what it happened.
    pub const fn subject(&self) -> &Subject {
        &self.body.subject
    }

    /// In which run of the subject.
    pub const fn generation(&self) -> u64 {
        self.body.generation
    }

    /// Who did it.
    pub const fn actor(&self) -> &Actor {
        &self.body.actor
    }

    /// What else is to be said, by name.
    pub const fn attributes(&self) -> &BTreeMap<String, String> {
        &self.body.attributes
    }

    /// The exit code that the event reports; `None` for events that report no end, and where nothing had run.
    pub fn exit_code(&self) -> Option<i32> {
        self.of_an_end(EXIT_CODE)?.parse().ok()
    }

    /// Whether the event reports that the kernel killed for want of memory.
    pub fn oom_killed(&self) -> bool {
        self.of_an_end(OOM_KILLED).is_some()
    }

    /// An attribute that tells about an end. In events of another kind it can only be a label that is called so.
    fn of_an_end(&self, key: &str) -> Option<&String> {
        let tells = matches!(
            self.kind(),
            EventKind::Died | EventKind::ExecDied | EventKind::Remove
        );
        self.attributes().get(key).filter(|_| tells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back_and_are_those_of_serde() {
        for kind in EventKind::ALL {
            assert_eq!(kind.as_str().parse::<EventKind>().unwrap(), kind);
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json, format!("\"{kind}\""));
        }
        for kind in SubjectKind::ALL {
            assert_eq!(kind.as_str().parse::<SubjectKind>().unwrap(), kind);
        }
    }

    #[test]
    fn die_is_another_word_for_died() {
        assert_eq!("die".parse::<EventKind>().unwrap(), EventKind::Died);
        assert!("dies".parse::<EventKind>().is_err());
    }
}
