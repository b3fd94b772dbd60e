//! What a session is attached to: a run of a container, or an exec session.

use ctr_exec::session::{SessionId, Tty};
use ctr_monitor::protocol::{ClientInput, GivenStream};
use ctr_state::{ExitInfo, LogDriver, Terminal};
use ctr_sys::{PidStamp, Signal};

use super::{SessionEnd, SessionIo};
use crate::container::{Container, LockedContainer};
use crate::error::EngineError;
use crate::exec::{exec_end, session_exit_info};
use crate::wait::exit_of;
use crate::watch::Watch;

/// What a session is to the program that it is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The program runs in its foreground, and it sees to what follows its end.
    Owner,
    /// One client of several.
    Observer,
}

/// Whose streams a session has.
#[derive(Debug)]
pub(super) enum Subject {
    /// Those of the container's own program.
    Run {
        /// Which run of the container.
        generation: u64,
        /// Whether they pass through the monitor.
        streams: Copied,
    },
    /// Those of an exec session.
    Exec {
        /// Which.
        id: SessionId,
        /// Those that its process has from the caller, and that are not the session's to read and write.
        given: Vec<GivenStream>,
    },
}

/// Whether a container's streams pass through its monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copied {
    Yes,
    /// It has those of its starter.
    No,
}

/// What a session is attached to.
#[derive(Debug)]
pub(crate) struct Attached {
    subject: Subject,
    process: Option<PidStamp>,
    terminal: Terminal,
    stop_signal: Signal,
    role: Role,
    input: ClientInput,
}

impl Attached {
    /// The present run of a container.
    pub(crate) fn to_run(container: &LockedContainer<'_>, role: Role) -> Self {
        Self {
            subject: Subject::Run {
                generation: container.record().generation(),
                streams: match container.config().log.driver {
                    LogDriver::Passthrough => Copied::No,
                    LogDriver::None | LogDriver::K8sFile | LogDriver::Journald => Copied::Yes,
                },
            },
            process: container.record().init(),
            terminal: container.config().process.terminal,
            stop_signal: container.config().stop_signal,
            role,
            input: ClientInput::Taken,
        }
    }

    /// The same for a client whose input counts, or that only looks on.
    pub(crate) fn with_input(self, input: ClientInput) -> Self {
        Self { input, ..self }
    }

    /// An exec session in the caller's foreground.
    pub(crate) fn to_exec(
        id: SessionId,
        process: PidStamp,
        tty: Tty,
        given: Vec<GivenStream>,
    ) -> Self {
        Self {
            subject: Subject::Exec { id, given },
            process: Some(process),
            terminal: match tty {
                Tty::No => Terminal::No,
                Tty::Yes => Terminal::Yes,
            },
            stop_signal: Signal::TERM,
            role: Role::Owner,
            input: ClientInput::Taken,
        }
    }

    /// An exec session that runs in somebody else's foreground, or in nobody's.
    pub(crate) fn beside_exec(id: SessionId, process: PidStamp, tty: Tty) -> Self {
        Self {
            role: Role::Observer,
            ..Self::to_exec(id, process, tty, Vec::new())
        }
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The process that the caller's signals go to.
    pub(super) fn process(&self) -> Option<PidStamp> {
        self.process
    }

    /// Whether the caller's terminal stands for that of the program: its keys go there, and its size is that one's. Whoever only looks on
    /// keeps a terminal with keys of its own.
    pub(super) fn terminal(&self) -> Terminal {
        match self.input {
            ClientInput::Taken => self.terminal,
            ClientInput::Ignored => Terminal::No,
        }
    }

    /// The signal that asks the program to end.
    pub(super) fn stop_signal(&self) -> Signal {
        self.stop_signal
    }

    /// Whether the caller's input counts.
    pub(super) fn input(&self) -> ClientInput {
        self.input
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// The caller's streams without those that the program reads and writes itself.
    pub(super) fn used<'a>(&self, mut io: SessionIo<'a>) -> SessionIo<'a> {
        let given: &[GivenStream] = match &self.subject {
            Subject::Run {
                streams: Copied::Yes,
                ..
            } => &[],
            Subject::Run {
                streams: Copied::No,
                ..
            } => &[GivenStream::Stdin, GivenStream::Stdout, GivenStream::Stderr],
            Subject::Exec { given, .. } => given,
        };
        for stream in given {
            match stream {
                GivenStream::Stdin => io.stdin = None,
                GivenStream::Stdout => io.stdout = None,
                GivenStream::Stderr => io.stderr = None,
            }
        }
        io
    }

    /// The end of a session whose monitor has not seen it to its end: the last output is missing, if any passed through the monitor.
    pub(super) fn cut_off(&self, exit: ExitInfo) -> SessionEnd {
        let hears = match &self.subject {
            Subject::Run { streams, .. } => *streams == Copied::Yes,
            Subject::Exec { given, .. } => {
                let outputs = [GivenStream::Stdout, GivenStream::Stderr];
                outputs.iter().any(|output| !given.contains(output))
            }
        };
        if hears {
            SessionEnd::CutOff(exit)
        } else {
            SessionEnd::Exited(exit)
        }
    }

    /// How the program ended, as far as anybody knows now.
    pub(super) fn recorded_end(
        &self,
        container: &Container<'_>,
    ) -> Result<Option<ExitInfo>, EngineError> {
        match &self.subject {
            Subject::Run { generation, .. } => exit_of(container, *generation),
            Subject::Exec { id, .. } => {
                let end = exec_end(container, id, self.process)?;
                Ok(end.as_ref().map(session_exit_info))
            }
        }
    }

    /// What announces the end, where the monitor does not.
    pub(super) fn watch(&self, container: &Container<'_>) -> Result<Watch, EngineError> {
        match &self.subject {
            Subject::Run { generation, .. } => Watch::new(container, *generation),
            Subject::Exec { id, .. } => Watch::of_session(container, id, self.process),
        }
    }
}
