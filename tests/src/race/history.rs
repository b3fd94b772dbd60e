//! What was asked, when, and what the answer was: the only thing that the checker looks at.

use std::fmt;

/// A container's name, as a number.
pub(crate) type Name = u8;
/// A container, as a number: the order in which the history first speaks of it.
pub(crate) type Id = u16;

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    Create,
    Init,
    Start,
    Stop,
    Kill,
    /// The program is told to end, and the engine does not know what the signal means.
    End,
    /// A signal that programs ignore.
    Signal,
    Pause,
    Unpause,
    Cleanup,
    Rename,
    Remove,
    RemoveByForce,
    /// One container is looked at.
    Read,
    /// One row of a list of all containers; the row that is missing, too.
    List,
    /// A number in the record grows by one.
    Count,
    /// The end of the run is waited for.
    Wait,
}

impl Verb {
    /// As the worker reads it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Init => "init",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::End => "end",
            Self::Signal => "signal",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Cleanup => "cleanup",
            Self::Rename => "rename",
            Self::Remove => "rm",
            Self::RemoveByForce => "rm-f",
            Self::Read => "read",
            Self::List => "list",
            Self::Count => "count",
            Self::Wait => "wait",
        }
    }
}

/// The status of a container as users are told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Status {
    Created,
    Initialized,
    Running,
    Paused,
    Stopping,
    Stopped,
    Exited,
    Removing,
}

impl Status {
    /// Reads the word.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "created" => Self::Created,
            "initialized" => Self::Initialized,
            "running" => Self::Running,
            "paused" => Self::Paused,
            "stopping" => Self::Stopping,
            "stopped" => Self::Stopped,
            "exited" => Self::Exited,
            "removing" => Self::Removing,
            _ => return None,
        })
    }

    /// Whether the run is under way.
    pub(crate) fn is_active(self) -> bool {
        matches!(
            self,
            Self::Initialized | Self::Running | Self::Paused | Self::Stopping
        )
    }
}

/// What a look at a container showed; what the client cannot see is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) name: Option<Name>,
    pub(crate) status: Option<Status>,
    pub(crate) generation: Option<u32>,
    pub(crate) count: Option<u32>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Done, with no more to say.
    Done,
    /// A start: whether it was this one that has started it, when the client can tell.
    Started(Option<bool>),
    /// What was seen.
    Seen(Seen),
    /// A row of a list: who has the name.
    Row(Option<(Id, Status)>),
    /// The number as it is now.
    Counted(u32),
    /// The exit code that was waited for.
    Ended(i32),
    /// The status does not allow it.
    Refused(Status),
    /// Another container has the name; which one, when the client knows.
    InUse(Option<Id>),
    /// There is no such container, or none any more.
    Gone,
    /// Nothing of the kind that is documented.
    Other(String),
}

impl Answer {
    /// The container in a row of a list.
    pub(crate) fn row(&self) -> Option<Id> {
        if let Self::Row(Some((id, _))) = self {
            Some(*id)
        } else {
            None
        }
    }
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Whose.
    pub(crate) process: usize,
    pub(crate) verb: Verb,
    pub(crate) name: Name,
    /// The new name of a rename.
    pub(crate) to_name: Option<Name>,
    /// The container that the name meant, when the client knows.
    pub(crate) id: Option<Id>,
    /// When it was asked and answered: nanoseconds on one clock.
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) answer: Answer,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to_name = self
            .to_name
            .map_or(String::new(), |name| format!(" {name}"));
        let id = self.id.map_or(String::new(), |id| format!(" (#{id})"));
        write!(
            f,
            "{}..{} process {}: {} {}{to_name}{id}: {:?}",
            self.from,
            self.to,
            self.process,
            self.verb.word(),
            self.name,
            self.answer
        )
    }
}
